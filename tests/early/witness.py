"""Servers that ask for a certificate and write down each word that the client says.

Two accounts of the same thing.  ``Witness.messages`` is TLS's own: the handshake messages that the
server's OpenSSL took in, decrypted where they were encrypted.  :func:`words` is that of the wire:
it names every byte that came, whether TLS has made something of it or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from support.contexts import TLS_1_2, TLS_1_3, server
from support.impostor import BANNER, SECRET, Report, at_once, over_tls
from support.wire import Wire

from pinsock._throwaway import Authority, Credential

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Iterator

    from cryptography import x509

    from pinsock import PinnedContext

__all__ = ["TROUBLES", "Trouble", "Witness", "hellos", "message_name", "records", "talk", "words"]

#: What makes the server's half of the handshake harder to look at.
Trouble = Literal[
    "none", "HelloRetryRequest", "64 kB chain", "byte by byte", "tiny records", "alert at once"
]
TROUBLES: tuple[Trouble, ...] = get_args(Trouble)

#: RFC 8446, section 4, and RFC 5246, section 7.4.
_HANDSHAKE_TYPES = {
    1: "ClientHello",
    11: "Certificate",
    15: "CertificateVerify",
    16: "ClientKeyExchange",
}
#: RFC 8446, section 5.1.
_HANDSHAKE = 22
_CONTENT_TYPES = {20: "ChangeCipherSpec", 21: "Alert", 23: "encrypted"}

#: handshake_failure, in the clear.
_ALERT = bytes.fromhex("15 0303 0002 0228")


def records(data: bytes) -> Iterator[tuple[int, bytes]]:
    """TLS records: content type and contents.  What is no whole record is of type -1."""
    while data:
        end = 5 + int.from_bytes(data[3:5], "big")
        if len(data) < max(5, end):
            yield -1, data
            return
        yield data[0], data[5:end]
        data = data[end:]


def message_name(message_type: Any) -> str:
    """``ssl``'s name of a handshake message; it has none for a compressed certificate."""
    return "CERTIFICATE" if message_type == 25 else str(message_type.name)  # RFC 8879


def words(raw: bytes) -> list[str]:
    """What a client sent, message by message, as far as it can be read on the wire."""
    said: list[str] = []
    clear = b""  # of the handshake, which may go on in the next record
    for content_type, data in records(raw):
        if content_type != _HANDSHAKE:
            said.append(_CONTENT_TYPES.get(content_type, "no TLS"))
        elif _is_encrypted(said):
            said.append("encrypted")
        else:
            clear += data
            while len(clear) >= 4 and len(clear) >= (end := 4 + int.from_bytes(clear[1:4], "big")):
                said.append(_HANDSHAKE_TYPES.get(clear[0], f"handshake message {clear[0]}"))
                clear = clear[end:]
    if clear:
        said.append("a part of a message")
    return said


def _is_encrypted(said: list[str]) -> bool:
    """Whether a handshake record after these words is: TLS 1.3 has other records for those, and a
    ChangeCipherSpec that means nothing between its two ClientHellos."""
    return "ClientKeyExchange" in said and "ChangeCipherSpec" in said


def hellos(trouble: Trouble, version: ssl.TLSVersion) -> list[str]:
    """The words that a client has said before the server shows its certificate."""
    if trouble == "HelloRetryRequest" and version is TLS_1_3:
        return ["ClientHello", "ChangeCipherSpec", "ClientHello"]  # appendix D.4
    return ["ClientHello"]


class Witness:
    """A server, to be given to ``serving`` or ``Wire``, and what it heard.

    :param ballast: certificates that make a chain of 64 kB.
    """

    def __init__(
        self,
        credential: Credential,
        clients: Authority,
        version: ssl.TLSVersion | None = None,
        trouble: Trouble = "none",
        ballast: tuple[x509.Certificate, ...] = (),
    ) -> None:
        if trouble == "64 kB chain":
            credential = Credential(credential.certificate, credential.key, ballast)
        self.messages: list[str] = []
        self.context: Any = server(credential, version, clients=clients)
        self.context._msg_callback = self._note
        if trouble == "HelloRetryRequest":
            self.context.set_ecdh_curve("secp384r1")  # of which no client sends a share at once
        self._alter = _ALTERATIONS.get(trouble)

    def _note(
        self,
        _conn: object,
        direction: str,
        _version: object,
        content_type: Any,
        message_type: Any,
        _data: bytes,
    ) -> None:
        if direction == "read" and content_type == _HANDSHAKE:
            self.messages.append(message_name(message_type))

    def __call__(self, sock: socket.socket, report: Report) -> None:
        at_once(sock)
        if self._alter is not None:
            sock = cast("socket.socket", _Altered(sock, self._alter()))
        over_tls(self.context)(sock, report)


class _Altered:
    """A socket that sends something else than it is told."""

    def __init__(self, sock: socket.socket, alter: Callable[[bytes], Iterator[bytes]]) -> None:
        self._sock = sock
        self._alter = alter
        self.recv = sock.recv

    def sendall(self, data: bytes) -> None:
        for piece in self._alter(data):
            self._sock.sendall(piece)


def _byte_by_byte() -> Callable[[bytes], Iterator[bytes]]:
    return lambda data: (data[i : i + 1] for i in range(len(data)))


def _tiny_records() -> Callable[[bytes], Iterator[bytes]]:
    """One byte of the handshake to a record, as long as it is in the clear."""
    clear = True

    def alter(data: bytes) -> Iterator[bytes]:
        nonlocal clear
        for content_type, contents in records(data):
            head = bytes([content_type]) + b"\x03\x03"
            clear = clear and content_type == _HANDSHAKE
            size = 1 if clear else max(1, len(contents))
            for i in range(0, len(contents), size):
                piece = contents[i : i + size]
                yield head + len(piece).to_bytes(2, "big") + piece

    return alter


def _alert_at_once() -> Callable[[bytes], Iterator[bytes]]:
    """A fatal alert in one piece with what is sent first."""
    alerts = [_ALERT]

    def alter(data: bytes) -> Iterator[bytes]:
        yield data + (alerts.pop() if data and alerts else b"")

    return alter


_ALTERATIONS = {
    "byte by byte": _byte_by_byte,
    "tiny records": _tiny_records,
    "alert at once": _alert_at_once,
}

#: Every trouble with every version; there is no HelloRetryRequest in TLS 1.2.
SCENES = [
    (trouble, version)
    for trouble in TROUBLES
    for version in (TLS_1_2, TLS_1_3)
    if (trouble, version) != ("HelloRetryRequest", TLS_1_2)
]


def talk(
    ours: PinnedContext,
    peer: Witness,
    over: Literal["bio", "socket"],
    resume: ssl.SSLSession | None = None,
) -> ssl.SSLSession:
    """Both sides speak; the session is resumed if the server wants to, and returned."""
    with Wire(ours, peer.context, over=over, session=resume) as wire:
        wire.do(lambda: wire.near.write(SECRET))
        assert wire.do(lambda: wire.near.read(100)) == BANNER
        report = wire.finish()
        assert report.application == SECRET
        assert wire.near.session_reused == report.resumed
        session: ssl.SSLSession = wire.near.session
        assert session.has_ticket
        return session
