"""Threads that share a context, in handshakes that go on at the same time."""

from __future__ import annotations

import itertools
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from support.impostor import BANNER, SECRET, WAIT

from pinsock import PinMismatchError

from .peers import FAULTS, Faulty, Meeting
from .test_cancellation import each_side, each_version
from .ways import WAYS, meet

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from pinsock._throwaway import Authority, Credential

THREADS = 8
TIMES = 6


@pytest.fixture
def restless() -> Iterator[None]:
    """Python changes threads much oftener than it would."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@each_version
@each_side
@pytest.mark.usefixtures("restless")
def test_eight_threads_share_a_context(
    side: str, version: ssl.TLSVersion, authority: Authority, good: Credential, bad: Credential
) -> None:
    """Sockets and event loops; right keys, wrong ones, and peers that reset: each gets its own."""
    right = Meeting.between(side, authority, good, good, version)
    wrong = Meeting.between(side, authority, good, bad, version)
    wrong = Meeting(right.ours, wrong.theirs, right.server_side)
    begin = threading.Barrier(THREADS)

    def work(number: int) -> None:
        begin.wait(WAIT)
        ways = itertools.islice(itertools.cycle(WAYS), number, number + TIMES)
        for turn, way in enumerate(ways, number):
            match turn % 3:
                case 0:
                    ours, report = meet(Faulty(right), way, WAIT)
                    assert (ours.error, ours.said) == (None, BANNER)
                    assert report.application == SECRET
                case 1:
                    ours, report = meet(Faulty(wrong), way, WAIT)
                    assert isinstance(ours.error, PinMismatchError)
                    assert report.got_nothing()
                    assert report.certificate is None or side == "server"
                case _:
                    fault = FAULTS["resets in a message"]
                    ours, report = meet(Faulty(right, fault, turn % 2), way, WAIT)
                    assert ours.error is not None
                    assert not isinstance(ours.error, PinMismatchError)
                    assert report.got_nothing()

    with ThreadPoolExecutor(THREADS) as pool:
        for done in [pool.submit(work, number) for number in range(THREADS)]:
            done.result()
