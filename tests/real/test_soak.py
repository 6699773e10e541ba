"""After very many handshakes, right and wrong, the process holds what it held before.

Some are made in every run; ten thousand where the ``soak`` marker is asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import os
import resource
import socket
import ssl
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.contexts import server
from support.impostor import HOST, WAIT

import pinsock

from .servers import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pinsock._throwaway import Authority, Credential

ROUNDS = 5
#: Bytes.  One connection or certificate of OpenSSL's left behind by each of ten thousand would be
#: several times that; a heap full of holes is less.
SLACK = 16_000_000


@dataclass(frozen=True)
class Meetings:
    """A client, the server that it has pinned, and one that it has not."""

    client: pinsock.PinnedContext
    pinned: ssl.SSLContext
    other: ssl.SSLContext

    def server(self, right: bool) -> ssl.SSLContext:
        return self.pinned if right else self.other

    def over_bios(self, right: bool) -> None:
        """Both ends in this thread, their bytes carried by hand."""
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = self.client.wrap_bio(to_client, to_server, server_hostname=HOST)
        server = self.server(right).wrap_bio(to_server, to_client, server_side=True)
        while client.pin_verdict is None:
            for end in (client, server):
                with contextlib.suppress(ssl.SSLWantReadError):
                    end.do_handshake()
        client.write(b"hello")
        assert server.read() == b"hello"

    def over_sockets(self, right: bool) -> None:
        """Two sockets; the server is a thread."""
        near, far = socket.socketpair()
        far.settimeout(WAIT)
        thread = threading.Thread(target=echo, args=(far, self.server(right)))
        thread.start()
        try:
            with near, self.client.wrap_socket(near, server_hostname=HOST) as wrapped:
                wrapped.settimeout(WAIT)
                wrapped.sendall(b"hello")
                assert wrapped.recv(5) == b"hello"
        finally:
            thread.join(WAIT)

    def over_asyncio(self, right: bool) -> None:
        """A client and a server on one event loop."""
        asyncio.run(asyncio.wait_for(self._over_asyncio(right), WAIT))

    async def _over_asyncio(self, right: bool) -> None:
        ended = asyncio.Event()

        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                writer.write(await reader.readexactly(5))
                await writer.drain()
            writer.close()
            ended.set()

        async with await asyncio.start_server(echo, LOOPBACK, 0, ssl=self.server(right)) as served:
            address = served.sockets[0].getsockname()
            reader, writer = await asyncio.open_connection(
                *address, ssl=self.client, server_hostname=HOST
            )
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            writer.close()
            await writer.wait_closed()
            await ended.wait()


def echo(sock: socket.socket, context: ssl.SSLContext) -> None:
    """Send the first words back, if they come."""
    with sock, contextlib.suppress(OSError), context.wrap_socket(sock, server_side=True) as wrapped:
        wrapped.sendall(wrapped.recv(5))


@pytest.fixture(scope="module")
def meetings(authority: Authority, good: Credential, bad: Credential) -> Meetings:
    """The same contexts throughout, as a program has them."""
    pins = pinsock.PinSet(good.pin, None)
    client = pinsock.create_default_context(pins, cadata=authority.pem)
    return Meetings(client, server(good), server(bad))


MEET = {
    "over BIOs": Meetings.over_bios,
    "over sockets": Meetings.over_sockets,
    "over asyncio": Meetings.over_asyncio,
}
#: Mostly the quick one.
MIX = [*["over BIOs"] * 8, "over sockets", "over asyncio"]


def meet(meetings: Meetings, how: str, right: bool) -> None:
    """One handshake, which is refused if it is a wrong one."""
    try:
        MEET[how](meetings, right)
    except pinsock.PinMismatchError:
        assert not right
    else:
        assert right


def soak(meetings: Meetings, times: int) -> None:
    """Right ones and wrong ones in turn, in every way."""
    for number in range(times):
        meet(meetings, MIX[number // 2 % len(MIX)], right=number % 2 == 0)


@dataclass(frozen=True)
class Held:
    """What the process holds."""

    descriptors: int
    threads: int
    blocks: int
    """Of memory, by Python's objects."""
    size: int
    """In memory, in bytes, whoever holds them."""

    @classmethod
    def now(cls) -> Held:
        gc.collect()  # asyncio makes reference cycles, with any context
        return cls(
            len(os.listdir("/proc/self/fd")),
            len(os.listdir("/proc/self/task")),
            sys.getallocatedblocks(),
            int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize(),
        )


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads what Linux says")
@pytest.mark.parametrize("times", [1_500, pytest.param(10_000, marks=pytest.mark.soak)])
def test_handshakes_leave_nothing_behind(meetings: Meetings, times: int) -> None:
    """Descriptors, threads and memory are as after the first of five rounds.

    Python's caches go on finding their size, less and less; what leaks does so in every round.
    """
    each = times // ROUNDS
    held = []
    for _ in range(ROUNDS):
        soak(meetings, each)
        held.append(Held.now())
    assert {(now.descriptors, now.threads) for now in held} == {
        (held[0].descriptors, held[0].threads)
    }
    grown = [after.blocks - before.blocks for before, after in itertools.pairwise(held)]
    assert min(grown) < each / 2, grown  # one for each refusal would be that
    assert held[-1].size - held[0].size < SLACK


@pytest.fixture
def no_collector() -> Iterator[None]:
    """What is in a cycle stays, until the test looks for it."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("how", ["over BIOs", "over sockets"])
@pytest.mark.parametrize("right", [True, False], ids=["right", "wrong"])
@pytest.mark.usefixtures("no_collector")
def test_a_handshake_makes_no_reference_cycle(meetings: Meetings, how: str, right: bool) -> None:
    """All of it is gone at once; the collector finds nothing."""
    meet(meetings, how, right)
    gc.collect()
    for _ in range(20):
        meet(meetings, how, right)
    assert gc.collect() == 0
