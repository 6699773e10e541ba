"""At each message of the handshake the peer resets, stalls, sends rubbish, half-closes or drips.

Whatever the key: where the handshake was not finished nothing passes, the wire is dead, and every
wait has its end.  Where the peer is only slow, the right key is let in and the wrong one is not.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from support.contexts import VERSIONS
from support.impostor import BANNER, SECRET, WAIT, Report

from pinsock import PinMismatchError

from .peers import ENDS, FAULTS, SHORT, WAITS, Faulty, Meeting, messages
from .ways import WAYS, Ours, meet

if TYPE_CHECKING:
    import ssl

    from pinsock._throwaway import Authority, Credential

#: Seconds that a loaded machine may add to what a handshake takes.
PATIENCE = 2.0
#: asyncio's is the only other one.
OUT_OF_TIME = (TimeoutError, ConnectionAbortedError)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("right", [True, False], ids=["right key", "wrong key"])
@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
@pytest.mark.parametrize("way", WAYS)
def test_a_fault_at_any_message_lets_nothing_pass_and_ends(
    *,
    way: str,
    side: str,
    version: ssl.TLSVersion,
    right: bool,
    fault: str,
    authority: Authority,
    good: Credential,
    bad: Credential,
) -> None:
    """Only a peer that is merely slow, and has the right key, gets the secret."""
    through = messages(side, authority, good, version)
    assert through > 3
    meeting = Meeting.between(side, authority, good, good if right else bad, version)
    waits = fault in WAITS

    def try_it(at: int, timeout: float) -> tuple[Faulty, Ours, Report, float]:
        peer = Faulty(meeting, FAULTS[fault], at)
        ours, report = meet(peer, way, timeout)
        if waits and right and not peer.reached and timeout < PATIENCE:
            return try_it(at, 2 * timeout)  # a loaded machine did not come so far
        return peer, ours, report, timeout

    # Those that wait do so together.
    with ThreadPoolExecutor(through if waits else 1) as pool:
        tried = pool.map(try_it, range(through), [SHORT if waits else WAIT] * through)
    stood = 0
    for peer, ours, report, timeout in tried:
        at = peer.at
        assert report.plaintext == b"", at
        assert ours.seconds < PATIENCE + (timeout if waits else 0), at
        if right and fault not in ENDS:
            assert ours.error is None, at
            assert (report.application, ours.said) == (SECRET, BANNER), at
            continue
        assert ours.error is not None, at
        assert ours.said == b"", at
        assert report.got_nothing(), at
        assert report.ended in {"eof", "reset"}, at
        if right:
            assert peer.reached, at
            assert not isinstance(ours.error, PinMismatchError), at
        elif side == "client":
            assert report.certificate is None, at  # ours: an impostor is not shown it
        if waits and not isinstance(ours.error, PinMismatchError):
            stood += 1
            assert isinstance(ours.error, OUT_OF_TIME), at
            # The right key's peer can be slow only where it is asked to be.
            assert ours.seconds >= timeout * 0.9, at
    assert stood > 0 or not waits

    other = meeting if right else Meeting.between(side, authority, good, good, version)
    peer = Faulty(Meeting(meeting.ours, other.theirs, meeting.server_side))
    ours, report = meet(peer, way, WAIT)
    assert report.application == SECRET, "the context serves on"
