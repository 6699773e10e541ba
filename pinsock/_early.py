"""The early look: the peer's leaf, before the client's last flight is on the wire.

After the handshake is too late for one thing: by then a client has sent its own certificate and,
in TLS 1.3, its Finished.  So a wrong leaf is refused while that flight is held back.  Over BIOs it
is simply not handed out.  Over a socket OpenSSL writes it by itself, and the one place to stand in
between is CPython's message callback, which a context has for debugging (``_msg_callback``).

The look can only refuse.  What it saw was not yet proven to be the peer's: the proof
(CertificateVerify, or the key exchange) comes later, and so does the verdict that opens the gate.
"""

from __future__ import annotations

import _ssl
from _thread import RLock, get_ident
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

__all__ = ["leaf_of_message", "obstacle", "watching"]

_HANDSHAKE: Final = 22  # ContentType, RFC 8446, section 5.1
_CERTIFICATE: Final = 11  # HandshakeType, RFC 8446, section 4
_COMPRESSED_CERTIFICATE: Final = 25  # RFC 8879, section 7.2
_TLS_1_3: Final = 0x0304

_callback: Final[Any] = getattr(_ssl._SSLContext, "_msg_callback", None)


class Watcher(Protocol):
    """A gate, as it is seen from here."""

    def is_of(self, conn: object) -> bool: ...
    def see_leaf(self, leaf: bytes) -> None: ...
    def see_compressed(self) -> None: ...
    def look_failed(self) -> None: ...


#: By thread: whose handshake is in flight.
_in_flight: Final[dict[int, Watcher]] = {}


def _on_message(  # noqa: PLR0917 - CPython calls it so
    conn: object, direction: str, version: int, content_type: int, msg_type: int, data: bytes
) -> None:
    if content_type != _HANDSHAKE or direction != "read":
        return
    if msg_type not in (_CERTIFICATE, _COMPRESSED_CERTIFICATE):
        return
    watcher = _in_flight.get(get_ident())
    if watcher is None:
        return
    try:
        if not watcher.is_of(conn):
            return
        leaf = None if msg_type == _COMPRESSED_CERTIFICATE else leaf_of_message(data, version)
        if leaf is not None:
            watcher.see_leaf(leaf)
        elif msg_type == _COMPRESSED_CERTIFICATE:
            watcher.see_compressed()
    except BaseException:
        watcher.look_failed()  # CPython keeps the exception back, and OpenSSL would go on
        raise


# ssl.SSLContext's property for the callback asks for this of what it finds.
_on_message.user_function = None  # type: ignore[attr-defined]


def leaf_of_message(message: bytes, version: int) -> bytes | None:
    """The first certificate of a Certificate message, or ``None``: there is none, or OpenSSL will
    refuse the message as malformed.

    TLS 1.2: RFC 5246, section 7.4.2; TLS 1.3: RFC 8446, section 4.4.2.
    """
    position = 4  # HandshakeType and a length of three bytes
    if version == _TLS_1_3:
        if len(message) <= position:
            return None
        position += 1 + message[position]  # certificate_request_context
    position += 3  # the length of the list
    start = position + 3
    if len(message) < start:
        return None
    end = start + int.from_bytes(message[position:start], "big")
    if end == start or end > len(message):
        return None
    return message[start:end]


def obstacle(context: ssl.SSLContext) -> str | None:
    """Why the message callback of a context cannot be set, if so."""
    if _callback is None:
        return "this Python's ssl contexts have no _msg_callback"
    if _callback.__get__(context) not in (None, _on_message):
        return "another message callback is set on the context (_msg_callback)"
    return None


#: By context: how many handshakes are in flight that need its callback.
_watched: Final[WeakKeyDictionary[ssl.SSLContext, int]] = WeakKeyDictionary()
_lock: Final = RLock()  # a signal handler may have a handshake of its own


@contextmanager
def watching(context: ssl.SSLContext, watcher: Watcher | None = None) -> Iterator[None]:
    """Within: the callback is set, and what this thread's handshake receives is shown to
    ``watcher``.

    Just while a handshake is in flight, since it costs something on each record.
    """
    thread = get_ident()
    outer = _in_flight.get(thread)  # in a signal handler there may be one
    with _lock:
        number = _watched.get(context, 0)
        _watched[context] = number + 1
        if not number and obstacle(context) is None:
            _callback.__set__(context, _on_message)
    if watcher is not None:
        _in_flight[thread] = watcher
    try:
        yield
    finally:
        if outer is not None:
            _in_flight[thread] = outer
        else:
            _in_flight.pop(thread, None)
        with _lock:
            number = _watched.pop(context) - 1
            if number:
                _watched[context] = number
            elif _callback is not None and _callback.__get__(context) is _on_message:
                _callback.__set__(context, None)
