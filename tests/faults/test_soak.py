"""After very many handshakes that failed, in every way, the process holds what it held before."""

from __future__ import annotations

import ctypes
import gc
import itertools
import os
import random
import sys
import threading
from array import array
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from real.test_soak import SLACK, Held
from support.contexts import VERSIONS
from support.impostor import WAIT

from .peers import ENDS, FAULTS, WAITS, Faulty, Meeting, messages
from .ways import meet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pinsock._throwaway import Authority, Credential

    Case: TypeAlias = tuple[Meeting, int]
    #: The cases of each kind, which is a way to connect and a fault.
    Kinds: TypeAlias = dict[tuple[str, str], list[Case]]

ROUNDS = 5
#: Seconds; what waits is to end soon, since there are thousands.
MOMENT = 0.002
#: Bytes of C's memory for each failure: less than OpenSSL has for a connection or a certificate.
LITTLE = 500
#: Seconds that a thread may take to end.
PATIENCE = 2.0

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="reads what Linux says"
)


class _Mallinfo2(ctypes.Structure):
    """glibc's, of all arenas; bytes."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in [*"0123456", "used", *"89"])


_libc: Any = ctypes.CDLL(None)
if hasattr(_libc, "mallinfo2"):
    _libc.mallinfo2.restype = _Mallinfo2


def used_by_c() -> int:
    """Bytes that malloc() has given out; 0 where nobody can tell."""
    return _libc.mallinfo2().used if hasattr(_libc, "mallinfo2") else 0


def threads() -> set[str]:
    return set(os.listdir("/proc/self/task"))


def held(by: set[str]) -> Held:
    """By these threads: one that was joined is still there for a moment, with what it holds.

    And without what is cached of types: CPython keeps in it names that were made on the fly.
    """
    bound = monotonic() + PATIENCE
    while not threads() <= by:
        assert monotonic() < bound, "threads are left"
        sleep(0)
    clear = getattr(sys, "_clear_internal_caches", None) or sys._clear_type_cache
    clear()
    return Held.now()


@pytest.fixture
def kinds(authority: Authority, good: Credential, bad: Credential) -> Kinds:
    """Clients and servers, both versions, right keys and wrong ones, all messages: shuffled."""
    meetings = [
        (Meeting.between(side, authority, good, shown, version), through)
        for side in ("client", "server")
        for version in VERSIONS
        for through in [messages(side, authority, good, version)]
        for shown in (good, bad)
    ]
    cases = [(meeting, at) for meeting, through in meetings for at in range(through)]
    order = random.Random(9)  # noqa: S311 - the same in each run
    return {
        (way, fault): order.sample(cases, len(cases))
        for fault in sorted(ENDS)
        for way in ("socket", "asyncio", "trio")  # anyio's threads end when they like
    }


@pytest.fixture
def nothing_older() -> Iterator[None]:
    """The collector leaves alone what was there before, so that it is quick."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def fail(way: str, fault: str, case: Case) -> None:
    """One handshake, which must not come to its end."""
    meeting, at = case
    peer = Faulty(meeting, FAULTS[fault], at)
    ours, report = meet(peer, way, MOMENT if fault in WAITS else WAIT)
    assert ours.error is not None
    assert report.got_nothing()


def soak(kinds: Kinds, each: int, after: Callable[[str, str], object]) -> None:
    """In each of the rounds so many failures of each kind; the first is to warm up.

    :param after: called after each failure with its kind.
    """

    def fail_all(kind: tuple[str, str]) -> None:
        for case in itertools.islice(itertools.cycle(kinds[kind]), each):
            fail(*kind, case)
            after(*kind)

    by = threads()
    for kind in kinds:
        fail_all(kind)
    before = held(by)
    for kind in kinds:
        blocks, used = (array("q", bytes(8 * ROUNDS)) for _ in range(2))  # allocated beforehand
        for this in range(ROUNDS):
            if this:
                fail_all(kind)
            blocks[this], used[this] = held(by).blocks, used_by_c()
        name = " ".join(kind)
        # What is cached is cached once, and what leaks does so in each round.
        assert min(b - a for a, b in itertools.pairwise(blocks)) <= 0, (
            f"{name} leaves objects: {blocks}"
        )
        assert min(b - a for a, b in itertools.pairwise(used)) < each * LITTLE, (
            f"{name} leaves memory: {used}"
        )
    now = held(by)
    assert now.descriptors == before.descriptors, "descriptors are left"
    assert now.size - before.size < SLACK


@pytest.mark.usefixtures("nothing_older")
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("times", [1_000, pytest.param(10_000, marks=pytest.mark.soak)])
def test_failed_handshakes_leave_nothing_behind(kinds: Kinds, times: int) -> None:
    """Descriptors, threads and memory are as after the first round, and no kind of failure leaks,
    were it one object or one allocation of OpenSSL's each time."""
    soak(kinds, -(-times // (ROUNDS * len(kinds))), lambda *_: None)


LEAKING = ("socket", "resets in a message")


@pytest.mark.usefixtures("nothing_older")
@pytest.mark.parametrize(
    ("what", "complaint"),
    [
        ("an object", "socket resets in a message leaves objects"),
        ("memory of C's", "socket resets in a message leaves memory"),
        ("a descriptor", "descriptors are left"),
        ("a thread", "threads are left"),
    ],
)
def test_the_soak_finds_what_one_kind_of_failure_leaves(
    kinds: Kinds, what: str, complaint: str
) -> None:
    """One thing for each failure, of a kind that is one among several."""
    allocators = {"an object": sys.getallocatedblocks, "memory of C's": used_by_c}
    if what in allocators and not allocators[what]():
        pytest.skip("the allocator does not say what it has given out")
    objects: list[object] = []
    opened: list[int] = []
    end = threading.Event()
    leave: dict[str, Callable[[], object]] = {
        "an object": lambda: objects.append(object()),
        "memory of C's": lambda: _libc.malloc(4 * LITTLE),
        "a descriptor": lambda: opened.append(os.dup(2)),
        "a thread": lambda: threading.Thread(target=end.wait).start(),
    }

    def after(*kind: str) -> None:
        if kind == LEAKING:
            leave[what]()

    some = [*itertools.islice(kinds, 3), LEAKING]
    try:
        with pytest.raises(AssertionError, match=complaint):
            soak({kind: kinds[kind] for kind in some}, 5, after)
    finally:
        end.set()
        for descriptor in opened:
            os.close(descriptor)
