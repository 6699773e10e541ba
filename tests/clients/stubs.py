"""Stubs of two protocols whose servers Debian does not have: just what the recipes need of them.

They are real TLS servers; what is said over TLS is made up.
"""

from __future__ import annotations

import struct
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from support.daemons.process import LOOPBACK, Daemon, needs_module

from pinsock.testing import PinnedServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pinsock._throwaway import Credential
    from pinsock.testing._wire import Stream

__all__ = ["kafka_stub", "mongodb_stub"]


def _read(stream: Stream, size: int) -> bytes:
    """So many bytes, or fewer at the end."""
    data = b""
    while len(data) < size and (more := stream.recv(size - len(data))):
        data += more
    return data


# --- MongoDB --------------------------------------------------------------------------------------

#: Opcodes of the wire protocol.
_QUERY, _REPLY, _MESSAGE = 2004, 1, 2013


@contextmanager
def mongodb_stub(credential: Credential) -> Iterator[Daemon]:
    """Port ``mongodb``; to every command it answers that all is well and it is the primary."""
    needs_module("bson")
    import bson

    document = bson.encode(
        {"ok": 1, "ismaster": True, "helloOk": True, "minWireVersion": 0, "maxWireVersion": 21}
    )

    def serve(stream: Stream) -> None:
        while head := _read(stream, 16):
            size, request, _, opcode = struct.unpack("<iiii", head)
            _read(stream, size - 16)
            if opcode == _QUERY:  # how a client begins that does not know the server yet
                opcode, body = _REPLY, struct.pack("<iqii", 0, 0, 0, 1) + document
            else:
                opcode, body = _MESSAGE, bytes(5) + document
            stream.sendall(struct.pack("<iiii", 16 + len(body), request, request, opcode) + body)

    with PinnedServer(credential, serve=serve) as server:
        yield Daemon("stub of MongoDB", credential, {"mongodb": server.port}, Path("/dev/null"))


# --- Kafka ----------------------------------------------------------------------------------------

#: Keys of the two requests that it knows, in one version each.
_METADATA, _API_VERSIONS = 3, 18
_KNOWN = {_METADATA: 1, _API_VERSIONS: 0}
_UNSUPPORTED_VERSION = 35


def _text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode("ascii")


@contextmanager
def kafka_stub(credential: Credential) -> Iterator[Daemon]:
    """Port ``kafka``: one broker, one empty topic, ``greeting``, with one partition."""

    def metadata() -> bytes:
        broker = struct.pack(">i", 0) + _text(LOOPBACK) + struct.pack(">ih", server.port, -1)
        partition = struct.pack(">hiiiiii", 0, 0, 0, 1, 0, 1, 0)
        topic = struct.pack(">h", 0) + _text("greeting") + struct.pack(">?i", False, 1) + partition
        return struct.pack(">i", 1) + broker + struct.pack(">ii", 0, 1) + topic

    def api_versions(version: int) -> bytes:
        error = 0 if version == _KNOWN[_API_VERSIONS] else _UNSUPPORTED_VERSION
        known = [struct.pack(">hhh", key, version, version) for key, version in _KNOWN.items()]
        return struct.pack(">hi", error, len(known)) + b"".join(known)

    def serve(stream: Stream) -> None:
        while head := _read(stream, 4):
            request = _read(stream, *struct.unpack(">i", head))
            key, version, correlation = struct.unpack_from(">hhi", request)
            body = metadata() if key == _METADATA else api_versions(version)
            stream.sendall(struct.pack(">ii", 4 + len(body), correlation) + body)

    with PinnedServer(credential, serve=serve) as server:
        yield Daemon("stub of Kafka", credential, {"kafka": server.port}, Path("/dev/null"))
