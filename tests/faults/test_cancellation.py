"""A client that is cancelled while it connects, wherever it waits, leaves nothing half open."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import types
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import pytest
import trio
from anyio.streams.tls import TLSStream
from support.contexts import VERSIONS, client, server
from support.impostor import BANNER, HOST, SECRET, WAIT, Report, over_tls, serving

from pinsock import PinMismatchError, PinSet, pin_context

from .peers import Faulty, Meeting, messages

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Coroutine, Generator, Iterator

    from pinsock._throwaway import Authority, Credential

    Talk: TypeAlias = Callable[[ssl.SSLContext, socket.socket], Coroutine[Any, Any, None]]


async def asyncio_talks(context: ssl.SSLContext, sock: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=sock, ssl=context, server_hostname=HOST)
    try:
        writer.write(SECRET)
        await writer.drain()
        assert await reader.readexactly(len(BANNER)) == BANNER
    finally:
        writer.transport.abort()  # close() would be waited for, and that could be cancelled too


async def trio_talks(context: ssl.SSLContext, sock: socket.socket) -> None:
    async with trio.SocketStream(trio.socket.from_stdlib_socket(sock)) as tcp:
        stream = trio.SSLStream(tcp, context, server_hostname=HOST)
        await stream.send_all(SECRET)
        assert await stream.receive_some(len(BANNER)) == BANNER


async def anyio_talks(context: ssl.SSLContext, sock: socket.socket) -> None:
    async with await anyio.abc.SocketStream.from_socket(sock) as tcp:
        stream = await TLSStream.wrap(
            tcp, hostname=HOST, ssl_context=context, standard_compatible=False
        )
        await stream.send(SECRET)
        assert await stream.receive(len(BANNER)) == BANNER


LOOPS: dict[str, tuple[Talk, str]] = {
    "asyncio": (asyncio_talks, "asyncio"),
    "trio": (trio_talks, "trio"),
    "anyio over asyncio": (anyio_talks, "asyncio"),
    "anyio over trio": (anyio_talks, "trio"),
}
each_loop = pytest.mark.parametrize("loop", LOOPS)
each_version = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
each_key = pytest.mark.parametrize("right", [True, False], ids=["right key", "wrong key"])


class Counted:
    """Runs a coroutine, and calls ``cancel`` as it is about to be suspended for the n-th time."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.count = 0

    @types.coroutine
    def run(
        self, work: Coroutine[Any, Any, None], cancel: Callable[[], object]
    ) -> Generator[Any, Any, None]:
        step: Callable[[Any], Any] = work.send
        argument: Any = None
        while True:
            try:
                wanted = step(argument)
            except StopIteration:
                return
            self.count += 1
            if self.count == self.at:
                cancel()
            try:
                step, argument = work.send, (yield wanted)
            except BaseException as error:
                step, argument = work.throw, error


def descriptors() -> int:
    return len(os.listdir("/dev/fd"))


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Within, a connection may be refused; trio tells so as the cause of an error of its own."""
    try:
        yield
    except (PinMismatchError, trio.BrokenResourceError) as error:
        assert isinstance(error.__cause__ or error, PinMismatchError)  # noqa: PT017 - at most


def is_as_it_should(report: Report, right: bool) -> bool:
    """All or nothing, and nothing for the wrong key."""
    if right:
        return not report.plaintext and report.application in {b"", SECRET}
    return report.got_nothing()


@each_key
@each_version
@each_loop
def test_cancelled_at_any_await_a_client_says_all_or_nothing(
    *,
    loop: str,
    version: ssl.TLSVersion,
    right: bool,
    authority: Authority,
    good: Credential,
    bad: Credential,
) -> None:
    """The wrong key gets nothing, the right one the secret or nothing; no socket stays open."""
    context = pin_context(client(authority, version), PinSet(good.pin, None))
    talk, backend = LOOPS[loop]
    at = 0
    with serving(over_tls(server(good if right else bad, version))) as impostor:
        before = descriptors()
        while True:
            at += 1
            counted = Counted(at)

            async def main(counted: Counted = counted) -> None:
                sock = socket.create_connection(impostor.address)
                sock.setblocking(False)
                with anyio.fail_after(WAIT), anyio.CancelScope() as scope:
                    await counted.run(talk(context, sock), scope.cancel)

            with contextlib.nullcontext() if right else refusals():
                anyio.run(main, backend=backend)
            report = impostor.report()
            assert is_as_it_should(report, right), at
            assert descriptors() == before, at
            if counted.count < at:
                break
        assert report.application == (SECRET if right else b"")  # nobody was in the way
    assert at > 1, "it was never suspended"


@each_key
@each_version
@each_loop
def test_cancelled_in_the_middle_of_any_message_a_client_says_nothing(
    *,
    loop: str,
    version: ssl.TLSVersion,
    right: bool,
    authority: Authority,
    good: Credential,
    bad: Credential,
) -> None:
    """The server stops within a message of the handshake, and then the client is cancelled."""
    through = messages(Meeting.between("client", authority, good, good, version))
    meeting = Meeting.between("client", authority, good, good if right else bad, version)
    talk, backend = LOOPS[loop]
    before = descriptors()
    for at in range(through):
        peer = Faulty(meeting, "stalls", at)
        with serving(peer) as impostor:

            async def main(peer: Faulty = peer, address: Any = impostor.address) -> None:
                sock = socket.create_connection(address)
                sock.setblocking(False)
                with anyio.fail_after(WAIT):
                    async with anyio.create_task_group() as group:
                        group.start_soon(refused_at_most, talk(meeting.ours, sock))
                        await anyio.to_thread.run_sync(peer.settled.wait, WAIT)
                        group.cancel_scope.cancel()

            anyio.run(main, backend=backend)
            report = impostor.report()
            assert report.got_nothing(), at
            assert report.certificate is None or right, at
        assert descriptors() == before, at


async def refused_at_most(talk: Coroutine[Any, Any, None]) -> None:
    with refusals():
        await talk
