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
import os
from _thread import RLock, get_ident
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

if TYPE_CHECKING:
    import ssl

__all__ = ["begin", "end", "leaf_of_message", "obstacle", "unproven_ciphers"]

_HANDSHAKE: Final = 22  # ContentType, RFC 8446, section 5.1
_CERTIFICATE: Final = 11  # HandshakeType, RFC 8446, section 4
#: What a server sends after its Certificate and before the client's flight: the first in TLS 1.2,
#: the second in TLS 1.3.  Neither comes in a resumed session, which has no Certificate.
_SERVER_HELLO_DONE: Final = 14  # RFC 5246, section 7.4.5
_CERTIFICATE_VERIFY: Final = 15
_CLIENT_KEY_EXCHANGE: Final = 16  # RFC 5246, section 7.4.7
_COMPRESSED_CERTIFICATE: Final = 25  # RFC 8879, section 7.2
_TLS_1_3: Final = 0x0304

_callback: Final[Any] = getattr(_ssl._SSLContext, "_msg_callback", None)


class Watcher(Protocol):
    """A gate, as it is seen from here."""

    def is_in_flight(self) -> bool: ...
    def is_of(self, conn: object) -> bool: ...
    def see_leaf(self, leaf: bytes) -> None: ...
    def see_compressed(self) -> None: ...
    def look_missed(self) -> None: ...
    def look_failed(self) -> None: ...


_Flight: TypeAlias = "tuple[Watcher, ssl.SSLContext, _Flight | None]"

#: By thread: whose handshake is in flight, in which context; and the one that it interrupted, since
#: a signal handler may have a handshake of its own.
_in_flight: Final[dict[int, _Flight]] = {}

#: What must not come between: that a context's callback is set for one handshake, and taken away
#: after another.
_lock = RLock()


def _after_fork() -> None:
    # The thread that held it is not in the child, nor are the others and their handshakes.
    global _lock  # noqa: PLW0603 - there is no other way to give the child a lock that is free
    _lock = RLock()
    for thread in set(_in_flight) - {get_ident()}:
        del _in_flight[thread]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _on_message(  # noqa: PLR0917 - CPython calls it so
    conn: object, direction: str, version: int, content_type: int, msg_type: int, data: bytes
) -> None:
    if content_type != _HANDSHAKE:
        return
    act = _ACTS.get((direction, msg_type))
    if act is None:
        return
    flight = _in_flight.get(get_ident())
    if flight is None:
        return
    watcher = flight[0]
    try:
        if watcher.is_of(conn):
            act(watcher, data, version)
    except BaseException:
        watcher.look_failed()  # CPython keeps the exception back, and OpenSSL would go on
        raise


def _see_certificate(watcher: Watcher, message: bytes, version: int) -> None:
    leaf = leaf_of_message(message, version)
    if leaf is not None:
        watcher.see_leaf(leaf)
        end(watcher)  # of no more use, and each message of the flight would cost


def _see_compressed(watcher: Watcher, _message: bytes, _version: int) -> None:
    watcher.see_compressed()


def _miss(watcher: Watcher, _message: bytes, _version: int) -> None:
    # An exception in the first lines of the callback, from a signal handler, is swallowed before
    # anything was seen.
    watcher.look_missed()


_ACTS: Final = {
    ("read", _CERTIFICATE): _see_certificate,
    ("read", _COMPRESSED_CERTIFICATE): _see_compressed,
    ("read", _SERVER_HELLO_DONE): _miss,
    ("read", _CERTIFICATE_VERIFY): _miss,
    # OpenSSL tells of these when it has put them into its buffer, and has not sent them yet.
    ("write", _CERTIFICATE): _miss,
    ("write", _CLIENT_KEY_EXCHANGE): _miss,
    ("write", _CERTIFICATE_VERIFY): _miss,
}

# ssl.SSLContext's property for the callback asks for this of what it finds.
_on_message.user_function = None  # type: ignore[attr-defined]  # ssl looks for it on what is set


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


def unproven_ciphers(context: ssl.SSLContext) -> str | None:
    """Why the look would not protect the client's certificate, if so: with RSA key exchange
    (RFC 5246, section 7.4.7.1) it leaves before the server has proven its key, so an impostor who
    shows the pinned certificate would get it."""
    if context.minimum_version >= _TLS_1_3 or not any(
        cipher.get("kea") in {"kx-rsa", "kx-rsa-psk"} for cipher in context.get_ciphers()
    ):
        return None
    return (
        "the context offers RSA key exchange, in which the client's certificate leaves before the "
        "server has proven its key (take it out, as with set_ciphers('DEFAULT:!kRSA:!kRSAPSK'), or "
        "set minimum_version to TLS 1.3)"
    )


def obstacle(context: ssl.SSLContext) -> str | None:
    """Why the message callback of a context cannot be set, if so."""
    if _callback is None:
        return "this Python's ssl contexts have no _msg_callback"
    if _callback.__get__(context) not in (None, _on_message):
        return "another message callback is set on the context (_msg_callback)"
    return None


#: More than the callback and what it calls need, down to the shutdown of the socket.
_FRAMES: Final = 24


def need_frames(number: int = _FRAMES) -> None:
    """Raise RecursionError now if it would be raised in the callback, where CPython keeps it back
    and OpenSSL goes on."""
    if number:
        need_frames(number - 1)


def begin(context: ssl.SSLContext, watcher: Watcher) -> None:
    """From here on the callback is set, and what this thread's handshake receives is shown to
    ``watcher``, until :func:`end`, which is to be called however this ends.

    Just while a handshake is in flight, since it costs something on each record.
    """
    need_frames()
    thread = get_ident()
    with _lock:
        outer = _in_flight.get(thread)
        while outer is not None and not outer[0].is_in_flight():
            outer = outer[2]  # its end was interrupted
        _in_flight[thread] = watcher, context, outer
        if obstacle(context) is None:
            _callback.__set__(context, _on_message)


def end(watcher: Watcher) -> None:
    """``watcher`` need not be shown anything more; for one that never was, this does nothing."""
    thread = get_ident()
    with _lock:
        flight = _in_flight.get(thread)
        if flight is None or flight[0] is not watcher:
            return
        _, context, outer = flight
        if outer is None:
            del _in_flight[thread]
        else:
            _in_flight[thread] = outer
        if not _is_needed(context) and obstacle(context) is None:
            _callback.__set__(context, None)


def _is_needed(context: ssl.SSLContext) -> bool:
    for newest in _in_flight.values():
        flight: _Flight | None = newest
        while flight is not None:
            if flight[1] is context:
                return True
            flight = flight[2]
    return False
