"""Pins that change while connections are made: each verdict belongs to the one policy or the other.

There is nothing between them: no connection is judged by half of each, and none by neither.
"""

from __future__ import annotations

import asyncio
import random
import sys
import threading
from collections import Counter
from itertools import count
from typing import TYPE_CHECKING, TypeAlias

import pytest
from support.contexts import server
from support.impostor import BANNER, HOST, SECRET, WAIT
from support.wire import Wire

from pinsock import Outcome, PinMismatchError, PinPolicy, PinSet, PolicyFile

from .tools import Cast, Clock, a_pin, say_secret

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pinsock import PinnedContext, Verdict

THREADS = 8
#: How often the policy of the one name judged a server with the key of the other.
Tally: TypeAlias = "Counter[tuple[str, str]]"


@pytest.fixture
def policies(cast: Cast) -> dict[str, PinPolicy]:
    """Two policies with nothing in common: neither key, backup, label nor pattern."""
    old, new = cast.good.pin, cast.backup.pin
    return {
        "old": PinPolicy({HOST: PinSet(old, a_pin(1), labels={old: "old", a_pin(1): "old"})}),
        "new": PinPolicy(
            {f"**.{HOST}": PinSet(new, a_pin(2), labels={new: "new", a_pin(2): "new"})}
        ),
    }


@pytest.fixture
def servers(cast: Cast) -> dict[str, ssl.SSLContext]:
    """By the policy that their key belongs to."""
    return {"old": server(cast.good), "new": server(cast.backup)}


@pytest.fixture
def quick_switches() -> Iterator[None]:
    """Threads take turns far more often than they do by default, so that they meet anywhere."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def judge_of(verdict: Verdict, error: Exception | None, shown: str) -> str:
    """Whose verdict it was, after seeing that all of it is that one's.

    :param shown: to which policy the key belongs that the server showed.
    """
    if error is None:
        assert verdict.outcome is Outcome.MATCHED
        assert verdict.allowed
        assert verdict.label == shown
        return shown
    assert isinstance(error, PinMismatchError)
    assert error.verdict == verdict
    assert verdict.outcome is Outcome.MISMATCH
    assert not verdict.allowed
    assert error.pins is not None
    [judge] = set(error.pins.labels.values())
    assert judge != shown
    return judge


def handshakes(
    number: int,
    ours: PinnedContext,
    servers: dict[str, ssl.SSLContext],
    change: Callable[[str], None],
) -> Tally:
    """So many of them on eight threads, with a change of policy every third time."""
    turns, lock = count(), threading.Lock()
    tally: Tally = Counter()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            while (turn := next(turns)) < number:
                if turn % 3 == 0:
                    change(("old", "new")[turn % 2])
                shown = ("old", "new")[turn // 2 % 2]
                with Wire(ours, servers[shown], over=("bio", "socket")[turn % 5 == 0]) as wire:
                    error, report = say_secret(wire)
                    judge = judge_of(wire.near.pin_verdict, error, shown)
                assert report.application == (SECRET if judge == shown else b"")
                assert report.got_nothing() is (judge != shown)
                with lock:
                    tally[judge, shown] += 1
        except BaseException as error:  # it is raised again below, where pytest sees it
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(250)
        assert not thread.is_alive()
    if failed:
        raise failed[0]
    assert tally.total() == number
    return tally


EVERY_MEETING = {(judge, shown) for judge in ("old", "new") for shown in ("old", "new")}
numbers = pytest.mark.parametrize("number", [500, pytest.param(10_000, marks=pytest.mark.soak)])


@pytest.mark.usefixtures("quick_switches")
@numbers
def test_each_verdict_is_one_policys_while_the_pins_change(
    cast: Cast,
    policies: dict[str, PinPolicy],
    servers: dict[str, ssl.SSLContext],
    number: int,
) -> None:
    """Eight threads share a context, and each of them assigns to its pins."""
    ours = cast.pinned(policies["old"])

    def change(name: str) -> None:
        ours.pins = policies[name]

    assert set(handshakes(number, ours, servers, change)) == EVERY_MEETING


@pytest.mark.usefixtures("quick_switches")
@numbers
def test_each_verdict_is_one_policys_while_the_file_changes(
    cast: Cast,
    policies: dict[str, PinPolicy],
    servers: dict[str, ssl.SSLContext],
    number: int,
    tmp_path: Path,
) -> None:
    """Eight threads share a context that follows a file, and each of them renames new ones."""
    path = tmp_path / "policy.toml"
    texts = {name: policy.to_toml().encode() for name, policy in policies.items()}
    path.write_bytes(texts["old"])
    clock, names = Clock(), count()
    ours = cast.pinned(PolicyFile(path, clock=clock))

    def change(name: str) -> None:
        new = tmp_path / f"{next(names)}.toml"
        new.write_bytes(texts[name])
        new.replace(path)
        clock.advance(1)

    assert set(handshakes(number, ours, servers, change)) == EVERY_MEETING


def test_each_verdict_is_one_policys_in_an_event_loop(
    cast: Cast, policies: dict[str, PinPolicy], servers: dict[str, ssl.SSLContext]
) -> None:
    """Ten clients connect time and again, and at each turn of the loop the pins may change."""
    ours = cast.pinned(policies["old"])
    got: list[bytes] = []
    tally: Tally = Counter()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(BANNER)
        got.append(await reader.read())
        writer.close()

    async def connect(shown: str, port: int) -> None:
        error = None
        try:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=ours, server_hostname=HOST
            )
        except PinMismatchError as refused:
            error, verdict = refused, refused.verdict
        else:
            verdict = writer.get_extra_info("ssl_object").pin_verdict
            assert await reader.readexactly(len(BANNER)) == BANNER
            writer.write(SECRET)
            writer.close()
            await writer.wait_closed()
        assert verdict is not None
        tally[judge_of(verdict, error, shown), shown] += 1

    async def change() -> None:
        dice = random.Random(5)  # noqa: S311 - a rhythm, no secret
        while True:
            ours.pins = dice.choice(list(policies.values()))
            await asyncio.sleep(0)

    async def insist(ports: dict[str, int]) -> None:
        for _ in range(5):
            for shown, port in ports.items():
                await connect(shown, port)

    async def main() -> None:
        changing = asyncio.create_task(change())
        listeners = {
            name: await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
            for name, context in servers.items()
        }
        ports = {name: one.sockets[0].getsockname()[1] for name, one in listeners.items()}
        await asyncio.gather(*(insist(ports) for _ in range(10)))
        for listener in listeners.values():
            listener.close()
            await listener.wait_closed()
        changing.cancel()

    asyncio.run(asyncio.wait_for(main(), 3 * WAIT))
    assert tally.total() == 100
    assert set(tally) == EVERY_MEETING
    accepted = tally["old", "old"] + tally["new", "new"]
    assert Counter(got)[SECRET] == accepted
    assert set(got) <= {SECRET, b""}
