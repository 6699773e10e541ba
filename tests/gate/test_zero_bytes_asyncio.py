"""No application byte passes a peer that is refused, through asyncio either.

asyncio shakes hands by itself before it gives a connection to anybody, so what is left to show is
that it gives none, and what becomes of the one that start_tls() was to change.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest
from support.contexts import TLS_1_3
from support.impostor import BANNER, HOST, SECRET, WAIT, Impostor, Report, calling, serving

from pinsock import PinMismatchError, PinVerificationError

from .meetings import PEERS, SERVED, Meeting, People, meet

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Collector(asyncio.Protocol):
    """Keeps what came, and whether there ever was a connection to give it to."""

    def __init__(self, *, says: bytes = b"") -> None:
        self.says = says
        self.came = b""
        self.transport: asyncio.BaseTransport | None = None
        self.something = asyncio.Event()
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        assert isinstance(transport, asyncio.Transport)
        transport.write(self.says)

    def data_received(self, data: bytes) -> None:
        self.came += data
        self.something.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's own
        self.lost.set()

    async def close(self, transport: asyncio.Transport) -> None:
        transport.close()
        await self.lost.wait()


# --- calls on streams -----------------------------------------------------------------------------


async def write(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(SECRET)
    await writer.drain()
    return b""


async def read(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> bytes:
    return await reader.read(64)


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


CALLS = {"write": write, "read": read}

# --- ways to a TLS connection ---------------------------------------------------------------------


async def open_connection(ours: ssl.SSLContext, impostor: Impostor, call: str) -> bytes:
    streams = await asyncio.open_connection(*impostor.address, ssl=ours, server_hostname=HOST)
    came = await CALLS[call](*streams)
    await close(streams[1])
    return came


async def start_tls_of_streams(ours: ssl.SSLContext, impostor: Impostor, call: str) -> bytes:
    streams = await asyncio.open_connection(*impostor.address)
    try:
        await streams[1].start_tls(ours, server_hostname=HOST)
    except OSError as error:
        # A program that goes on with what it has must not speak in the clear.
        with contextlib.suppress(OSError, RuntimeError):
            assert await CALLS[call](*streams) == b""
        streams[1].close()
        raise error from None
    came = await CALLS[call](*streams)
    await close(streams[1])
    return came


async def create_connection(ours: ssl.SSLContext, impostor: Impostor, call: str) -> bytes:
    loop = asyncio.get_running_loop()
    collector = Collector(says=SECRET if call == "write" else b"")
    try:
        transport, _ = await loop.create_connection(
            lambda: collector, *impostor.address, ssl=ours, server_hostname=HOST
        )
    except OSError:
        assert collector.transport is None
        assert collector.came == b""
        raise
    if call == "read":
        await collector.something.wait()
    await collector.close(transport)
    return collector.came


async def start_tls_of_the_loop(ours: ssl.SSLContext, impostor: Impostor, call: str) -> bytes:
    loop = asyncio.get_running_loop()
    collector = Collector()
    plain, _ = await loop.create_connection(lambda: collector, *impostor.address)
    try:
        transport = await loop.start_tls(plain, collector, ours, server_hostname=HOST)
    except OSError:
        assert collector.came == b""
        plain.write(SECRET)
        await collector.close(plain)
        raise
    assert transport is not None
    if call == "write":
        transport.write(SECRET)
    else:
        await collector.something.wait()
    await collector.close(transport)
    return collector.came


CLIENT_WAYS: dict[str, Callable[[ssl.SSLContext, Impostor, str], Awaitable[bytes]]] = {
    "open_connection": open_connection,
    "create_connection": create_connection,
    "start_tls of streams": start_tls_of_streams,
    "start_tls of the loop": start_tls_of_the_loop,
}


def expected_error(peer: str) -> type[Exception]:
    return PinVerificationError if peer == "callback that raises" else PinMismatchError


def as_client(meeting: Meeting, way: str, call: str) -> tuple[bytes, Exception | None, Report]:
    """What came back, what was raised, and what the server saw."""
    with serving(meeting.theirs) as impostor:

        async def run() -> bytes:
            return await asyncio.wait_for(CLIENT_WAYS[way](meeting.ours, impostor, call), WAIT)

        try:
            came, error = asyncio.run(run()), None
        except OSError as raised:
            came, error = b"", raised
        return came, error, impostor.report()


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("way", CLIENT_WAYS)
@pytest.mark.parametrize(("side", "peer", "version"), [row for row in PEERS if row[0] == "client"])
def test_asyncio_gives_no_connection_to_an_impostor(
    *, people: People, side: str, peer: str, version: ssl.TLSVersion, way: str, call: str
) -> None:
    """The handshake raises, no protocol sees a byte, and nothing goes out afterwards."""
    meeting = meet(people, side, peer, version, pinned=True)
    came, error, report = as_client(meeting, way, call)
    assert came == b""
    assert isinstance(error, expected_error(peer))
    assert report.got_nothing(), report
    assert report.ended
    if version is TLS_1_3:
        assert not report.shaken


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("way", CLIENT_WAYS)
@pytest.mark.parametrize(
    ("side", "peer", "version"),
    [row for row in SERVED if row[0] == "client"],
)
def test_asyncio_without_pins_leaks_and_the_right_key_is_served(
    *, people: People, side: str, peer: str, version: ssl.TLSVersion, way: str, call: str
) -> None:
    """The secret is gone, or the banner came; with pins for the pinned key alone."""
    meeting = meet(people, side, peer, version, pinned=peer == "right key")
    came, _, report = as_client(meeting, way, call)
    assert came == BANNER if call == "read" else report.application == SECRET


# --- a server of asyncio --------------------------------------------------------------------------


def as_server(meeting: Meeting, *, served: bool) -> tuple[list[Collector], Report]:
    """The protocols that were made for a client, and what that client saw."""
    made: list[Collector] = []

    async def run() -> Report:
        loop = asyncio.get_running_loop()
        any_made = asyncio.Event()

        def make() -> Collector:
            made.append(Collector(says=SECRET))
            any_made.set()
            return made[-1]

        server = await loop.create_server(make, "127.0.0.1", 0, ssl=meeting.ours)
        async with server:
            with calling(server.sockets[0].getsockname(), meeting.theirs) as impostor:
                if served:
                    await any_made.wait()
                    await made[0].something.wait()
                    assert isinstance(made[0].transport, asyncio.Transport)
                    await made[0].close(made[0].transport)
                return await loop.run_in_executor(None, impostor.report)

    async def bounded() -> Report:
        return await asyncio.wait_for(run(), WAIT)

    return made, asyncio.run(bounded())


@pytest.mark.parametrize(("side", "peer", "version"), [row for row in PEERS if row[0] == "server"])
def test_a_server_of_asyncio_hears_nothing_of_an_impostor(
    people: People, side: str, peer: str, version: ssl.TLSVersion
) -> None:
    """No connection is made for a client that is refused, and it is sent nothing."""
    made, report = as_server(meet(people, side, peer, version, pinned=True), served=False)
    assert [collector for collector in made if collector.transport or collector.came] == []
    assert report.got_nothing(), report
    assert report.ended


@pytest.mark.parametrize(
    ("side", "peer", "version"),
    [row for row in SERVED if row[0] == "server"],
)
def test_a_server_of_asyncio_without_pins_leaks_and_the_right_key_is_served(
    people: People, side: str, peer: str, version: ssl.TLSVersion
) -> None:
    """The client has the secret, and the server its words; with pins for the pinned key alone."""
    meeting = meet(people, side, peer, version, pinned=peer == "right key")
    made, report = as_server(meeting, served=True)
    assert made[0].came == BANNER
    assert report.application == SECRET
