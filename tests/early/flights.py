"""What a server has to say in the clear, said otherwise by somebody in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from .witness import records

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.wire import Wire

    from pinsock._throwaway import Credential

__all__ = [
    "CERTIFICATE_REQUEST",
    "SERVER_HELLO",
    "changing",
    "message",
    "record",
    "with_zero_point",
]

_HANDSHAKE = 22  # ContentType
SERVER_HELLO = 2  # HandshakeType
_SERVER_KEY_EXCHANGE = 12
CERTIFICATE_REQUEST = 13


def record(message: bytes) -> bytes:
    return bytes([_HANDSHAKE, 3, 3]) + len(message).to_bytes(2, "big") + message


def _messages(answer: bytes) -> list[bytes]:
    """The handshake messages of a flight in the clear."""
    clear = b"".join(data for content_type, data in records(answer) if content_type == _HANDSHAKE)
    found = []
    while clear:
        end = 4 + int.from_bytes(clear[1:4], "big")
        found.append(clear[:end])
        clear = clear[end:]
    return found


def message(message_type: int, body: bytes) -> bytes:
    return bytes([message_type]) + len(body).to_bytes(3, "big") + body


def _random_of(hello: bytes) -> bytes:
    """That of a ClientHello or ServerHello at the beginning of its record."""
    return hello[11:43]


def changing(message_type: int, change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Another body for one message of the server's first flight; the rest stays."""
    pending = True

    def alter(answer: bytes) -> bytes:
        nonlocal pending
        if not answer or not pending:
            return answer
        pending = False
        altered = b""
        for one in _messages(answer):
            mine = one[0] == message_type
            altered += record(message(message_type, change(one[4:])) if mine else one)
        return altered

    return alter


def with_zero_point(wire: Wire, credential: Credential) -> Callable[[bytes], bytes]:
    """A point on Curve25519 that is zero (RFC 7748, section 6.1), in TLS 1.2, signed with the
    server's key: OpenSSL finds it out when the client's Certificate stands in its buffer."""
    hello = b""

    def change(body: bytes) -> bytes:
        """RFC 5246, section 7.4.3, and RFC 8422, section 5.4."""
        assert body[:4] == bytes([3, 0, 29, 32])  # named_curve, x25519, length
        parameters, algorithm = body[:4] + bytes(32), body[36:38]
        assert algorithm == b"\x04\x03"  # ecdsa_secp256r1_sha256
        signed = _random_of(wire.report.raw) + _random_of(hello) + parameters
        signature = credential.key.sign(signed, ec.ECDSA(hashes.SHA256()))
        return parameters + algorithm + len(signature).to_bytes(2, "big") + signature

    def alter(answer: bytes) -> bytes:
        nonlocal hello
        if hello:
            return answer
        hello = answer
        return changing(_SERVER_KEY_EXCHANGE, change)(answer)

    return alter
