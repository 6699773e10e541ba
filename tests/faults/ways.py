"""Our end of a connection: a client or a server, over a socket or on an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import socket
import traceback
import warnings
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import pytest
import trio
from anyio.streams.tls import TLSStream
from support.impostor import BANNER, HOST, SECRET, Conversation, Impostor, Report, calling, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from .peers import Faulty, Meeting

__all__ = [
    "WAYS",
    "Ours",
    "Talk",
    "Way",
    "anyio_talks",
    "asyncio_starts_tls",
    "asyncio_talks",
    "connected",
    "descriptors",
    "meet",
    "trio_talks",
]

#: Shakes hands within so many seconds, says the secret, gives the first bytes that come back.
Talk: TypeAlias = "Callable[[Meeting, socket.socket, float], Coroutine[Any, Any, bytes]]"


@dataclass
class Ours:
    """What our end has seen of one connection."""

    error: BaseException | None = None
    said: bytes = b""
    """What it was told by the peer."""
    seconds: float = 0.0
    """What it took, well or not."""


Way: TypeAlias = "Callable[[Meeting, socket.socket, float], Ours]"


def over_a_socket(meeting: Meeting, sock: socket.socket, timeout: float) -> Ours:
    """After a failure, whoever caught it goes on."""
    ours = Ours()
    sock.settimeout(timeout)
    began = monotonic()
    name = None if meeting.server_side else HOST
    try:
        wrapped = meeting.ours.wrap_socket(
            sock, meeting.server_side, do_handshake_on_connect=False, server_hostname=name
        )
    except OSError as error:  # the peer was gone before it could be wrapped
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # CPython 3.11 leaves it open
            traceback.clear_frames(error.__traceback__)
        return Ours(error)
    with wrapped:
        try:
            wrapped.do_handshake()
        except OSError as error:
            ours.error, ours.seconds = error, monotonic() - began
            with pytest.raises(OSError):  # noqa: PT011 - which one is the fault's affair
                wrapped.send(SECRET)
            assert wrapped.gettimeout() == timeout
        else:
            wrapped.sendall(SECRET)
            ours.said = wrapped.recv(len(BANNER))
            ours.seconds = monotonic() - began
    return ours


# --- asyncio --------------------------------------------------------------------------------------

Streams: TypeAlias = "tuple[asyncio.StreamReader, asyncio.StreamWriter]"


async def _streams(meeting: Meeting, sock: socket.socket, **tls: Any) -> Streams:
    """As ``asyncio.open_connection()`` and ``asyncio.start_server()`` make them."""
    sock.setblocking(False)
    if not meeting.server_side:
        return await asyncio.open_connection(
            sock=sock, server_hostname=HOST if tls else None, **tls
        )
    made: list[Streams] = []
    protocol = asyncio.StreamReaderProtocol(
        asyncio.StreamReader(), lambda *streams: made.append(streams)
    )
    loop = asyncio.get_running_loop()
    await loop.connect_accepted_socket(lambda: protocol, sock, **tls)
    return made[0]


async def _converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(SECRET)
    await writer.drain()
    return await reader.readexactly(len(BANNER))


async def asyncio_talks(meeting: Meeting, sock: socket.socket, timeout: float) -> bytes:
    """TLS from the first byte on."""
    streams = await _streams(meeting, sock, ssl=meeting.ours, ssl_handshake_timeout=timeout)
    try:
        return await _converse(*streams)
    finally:
        streams[1].transport.abort()  # close() would be waited for, and that could be cancelled too


async def asyncio_starts_tls(meeting: Meeting, sock: socket.socket, timeout: float) -> bytes:
    """TLS on streams that there are."""
    reader, writer = await _streams(meeting, sock)
    try:
        await writer.start_tls(
            meeting.ours,
            server_hostname=None if meeting.server_side else HOST,
            ssl_handshake_timeout=timeout,
        )
        return await _converse(reader, writer)
    finally:
        writer.transport.abort()


# --- trio and anyio -------------------------------------------------------------------------------


async def trio_talks(meeting: Meeting, sock: socket.socket, timeout: float) -> bytes:
    """Over trio's own streams."""
    async with trio.SocketStream(trio.socket.from_stdlib_socket(sock)) as tcp:
        stream = trio.SSLStream(
            tcp,
            meeting.ours,
            server_hostname=None if meeting.server_side else HOST,
            server_side=meeting.server_side,
        )
        with anyio.fail_after(timeout):
            await stream.do_handshake()
        await stream.send_all(SECRET)
        return bytes(await stream.receive_some(len(BANNER)))


async def anyio_talks(meeting: Meeting, sock: socket.socket, timeout: float) -> bytes:
    """Over anyio's, whichever loop is beneath."""
    try:
        stream = await anyio.abc.SocketStream.from_socket(sock)
    except ValueError as error:  # the peer was gone before it could be wrapped
        sock.close()
        raise ConnectionError from error
    async with stream as tcp:
        with anyio.fail_after(timeout):
            tls = await TLSStream.wrap(
                tcp,
                server_side=meeting.server_side,
                hostname=None if meeting.server_side else HOST,
                ssl_context=meeting.ours,
                standard_compatible=False,
            )
        await tls.send(SECRET)
        return await tls.receive(len(BANNER))


# --- all of them ----------------------------------------------------------------------------------


def on_a_loop(
    talk: Talk, backend: str, meeting: Meeting, sock: socket.socket, timeout: float
) -> Ours:
    """One connection in an event loop of its own, to which nothing else may be complained."""
    ours = Ours()
    complaints: list[dict[str, Any]] = []

    async def main() -> None:
        if backend == "asyncio":
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda _, context: complaints.append(context))
        began = monotonic()
        try:
            ours.said = await talk(meeting, sock, timeout)
        except (OSError, anyio.EndOfStream) as error:
            ours.error = error
        except (anyio.BrokenResourceError, trio.BrokenResourceError) as error:
            ours.error = error.__cause__ or error
        finally:
            ours.seconds = monotonic() - began

    anyio.run(main, backend=backend)
    assert complaints == []
    return ours


WAYS: dict[str, Way] = {
    "socket": over_a_socket,
    "asyncio": functools.partial(on_a_loop, asyncio_talks, "asyncio"),
    "trio": functools.partial(on_a_loop, trio_talks, "trio"),
    "anyio": functools.partial(on_a_loop, anyio_talks, "asyncio"),
}


@contextlib.contextmanager
def connected(
    converse: Conversation, server_side: bool
) -> Iterator[tuple[socket.socket, Impostor]]:
    """A socket of ours with TCP alone, and the peer.

    :param server_side: whether our end is the server.
    """
    if not server_side:
        with serving(converse) as impostor:
            yield socket.create_connection(impostor.address), impostor
        return
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        calling(listener.getsockname(), converse) as impostor,
    ):
        yield listener.accept()[0], impostor


def meet(peer: Faulty, way: str, timeout: float) -> tuple[Ours, Report]:
    """One connection, and what both have seen of it."""
    with connected(peer, peer.meeting.server_side) as (sock, impostor):
        peer.near.set_result(sock.fileno())
        return WAYS[way](peer.meeting, sock, timeout), impostor.report()


def descriptors() -> int:
    """How many are open."""
    return len(os.listdir("/dev/fd"))
