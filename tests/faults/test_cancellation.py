"""An end that is cancelled in its handshake, wherever it waits, leaves nothing half open."""

from __future__ import annotations

import asyncio
import contextlib
import types
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import pytest
import trio
from support.contexts import VERSIONS
from support.impostor import SECRET, WAIT, Report

from pinsock import PinMismatchError

from .peers import FAULTS, Faulty, Meeting, messages
from .ways import (
    Talk,
    anyio_talks,
    asyncio_starts_tls,
    asyncio_talks,
    connected,
    descriptors,
    trio_talks,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Coroutine, Generator, Iterator

    from pinsock._throwaway import Authority, Credential

#: What is done within can be cancelled by what it gives.
Cancellable: TypeAlias = Callable[[], AbstractAsyncContextManager[Callable[[], object]]]


@contextlib.asynccontextmanager
async def in_a_scope() -> AsyncIterator[Callable[[], object]]:
    with anyio.CancelScope() as scope:
        yield scope.cancel


@contextlib.asynccontextmanager
async def in_a_timeout() -> AsyncIterator[Callable[[], object]]:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(None) as timeout:

            def run_out() -> None:
                with contextlib.suppress(RuntimeError):  # it has ended
                    timeout.reschedule(0.0)

            yield run_out


LOOPS: dict[str, tuple[Talk, Cancellable, str]] = {
    "asyncio": (asyncio_talks, in_a_scope, "asyncio"),
    "asyncio.timeout": (asyncio_talks, in_a_timeout, "asyncio"),
    "asyncio, start_tls": (asyncio_starts_tls, in_a_timeout, "asyncio"),
    "trio": (trio_talks, in_a_scope, "trio"),
    "anyio over asyncio": (anyio_talks, in_a_scope, "asyncio"),
    "anyio over trio": (anyio_talks, in_a_scope, "trio"),
}
each_loop = pytest.mark.parametrize("loop", LOOPS)
each_side = pytest.mark.parametrize("side", ["client", "server"])
each_version = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
each_key = pytest.mark.parametrize("right", [True, False], ids=["right key", "wrong key"])


class Counted:
    """Runs a coroutine, and calls ``cancel`` as it is about to be suspended for the n-th time."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.count = 0

    @types.coroutine
    def run(
        self, work: Coroutine[Any, Any, object], cancel: Callable[[], object]
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


@contextlib.contextmanager
def refusals(right: bool) -> Iterator[None]:
    """Within, the wrong key may be refused; trio tells so as the cause of an error of its own."""
    try:
        yield
    except (PinMismatchError, trio.BrokenResourceError) as error:
        assert isinstance(error.__cause__ or error, PinMismatchError)  # noqa: PT017 - at most
        assert not right


def is_as_it_should(report: Report, side: str, right: bool) -> bool:
    """All or nothing, and for the wrong key nothing and not even our certificate."""
    if right:
        return not report.plaintext and report.application in {b"", SECRET}
    return report.got_nothing() and (report.certificate is None or side == "server")


@each_key
@each_version
@each_side
@each_loop
def test_cancelled_at_any_await_our_end_says_all_or_nothing(
    *,
    loop: str,
    side: str,
    version: ssl.TLSVersion,
    right: bool,
    authority: Authority,
    good: Credential,
    bad: Credential,
) -> None:
    """The wrong key gets nothing, the right one the secret or nothing; no socket stays open."""
    meeting = Meeting.between(side, authority, good, good if right else bad, version)
    talk, cancellable, backend = LOOPS[loop]
    before = descriptors()
    at = 0
    while True:
        at += 1
        counted = Counted(at)
        with connected(Faulty(meeting), meeting.server_side) as (sock, impostor):

            async def main(counted: Counted = counted, sock: Any = sock) -> None:
                with anyio.fail_after(WAIT):
                    async with cancellable() as cancel:
                        await counted.run(talk(meeting, sock, WAIT), cancel)

            with refusals(right):
                anyio.run(main, backend=backend)
            report = impostor.report()
        assert is_as_it_should(report, side, right), at
        assert descriptors() == before, at
        if counted.count < at:
            break
    assert report.application == (SECRET if right else b"")  # nobody was in the way
    assert at > 1, "it was never suspended"


@each_key
@each_version
@each_side
@each_loop
def test_cancelled_in_the_middle_of_any_message_our_end_says_nothing(
    *,
    loop: str,
    side: str,
    version: ssl.TLSVersion,
    right: bool,
    authority: Authority,
    good: Credential,
    bad: Credential,
) -> None:
    """The peer stops within a message of the handshake, and then our end is cancelled."""
    through = messages(side, authority, good, version)
    meeting = Meeting.between(side, authority, good, good if right else bad, version)
    talk, cancellable, backend = LOOPS[loop]
    before = descriptors()
    for at in range(through):
        peer = Faulty(meeting, FAULTS["stalls in a message"], at)
        with connected(peer, meeting.server_side) as (sock, impostor):

            async def main(peer: Faulty = peer, sock: Any = sock) -> None:
                async def wait(cancel: Callable[[], object]) -> None:
                    await anyio.to_thread.run_sync(peer.settled.wait, WAIT)
                    cancel()

                with anyio.fail_after(WAIT):
                    async with anyio.create_task_group() as group, cancellable() as cancel:
                        group.start_soon(wait, cancel)
                        with refusals(right):
                            await talk(meeting, sock, WAIT)

            anyio.run(main, backend=backend)
            report = impostor.report()
        assert report.got_nothing(), at
        assert is_as_it_should(report, side, right), at
        assert descriptors() == before, at
