"""After very many handshakes that failed, in every way, the process holds what it held before."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from real.test_soak import SLACK, Held
from support.contexts import VERSIONS
from support.impostor import WAIT

from .peers import ENDS, Faulty, Meeting, messages
from .test_messages import WAYS

if TYPE_CHECKING:
    from pinsock._throwaway import Authority, Credential

ROUNDS = 5
#: Seconds; what stalls is to end soon, since there are thousands.
MOMENT = 0.002
#: Mostly the quick one, and seldom the fault that has to be waited for.
FAULTS = [*sorted(ENDS - {"stalls"}) * 5, "stalls"]


def fail(meeting: Meeting, way: str, fault: str, at: int) -> None:
    """One handshake, which must not come to its end."""
    peer = Faulty(meeting, fault, at)
    ours, report = WAYS[way](peer, MOMENT if fault == "stalls" else WAIT)
    assert ours.error is not None
    assert report.got_nothing()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads what Linux says")
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("times", [1_000, pytest.param(10_000, marks=pytest.mark.soak)])
def test_failed_handshakes_leave_nothing_behind(
    authority: Authority, good: Credential, bad: Credential, times: int
) -> None:
    """Descriptors, threads and memory are as after the first of five rounds."""
    meetings = [
        (Meeting.between(side, authority, good, shown, version), through)
        for side in ("client", "server")
        for version in VERSIONS
        for through in [messages(Meeting.between(side, authority, good, good, version))]
        for shown in (good, bad)
    ]
    cases = [
        (meeting, way, fault, at)
        for fault in FAULTS
        for meeting, through in meetings
        for at in range(through)
        for way in ("socket", "socket", "socket", "asyncio")
    ]
    each = times // ROUNDS
    held = []
    for this in range(ROUNDS):
        for number in range(this * each, (this + 1) * each):
            fail(*cases[number % len(cases)])
        held.append(Held.now())
    assert {(now.descriptors, now.threads) for now in held} == {
        (held[0].descriptors, held[0].threads)
    }
    grown = [after.blocks - before.blocks for before, after in itertools.pairwise(held)]
    assert min(grown) < each / 2, grown  # one for each failure would be that
    assert held[-1].size - held[0].size < SLACK
