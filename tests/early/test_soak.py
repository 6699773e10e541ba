"""Handshake after handshake, and nothing piles up."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.contexts import VERSIONS
from support.wire import Wire

from pinsock import PinMismatchError, PinnedContext

from .ways import callback_of
from .witness import Witness

if TYPE_CHECKING:
    from pinsock._throwaway import Authority, Credential


def descriptors() -> int:
    return len(os.listdir("/dev/fd"))


def resident() -> int:
    """Pages that the process has in memory: what OpenSSL holds counts too."""
    return int(Path("/proc/self/statm").read_text().split()[1])


def shake_hands(ours: PinnedContext, servers: list[Witness], times: int) -> tuple[int, int, int]:
    """So many handshakes, over sockets and BIOs, with each of these servers in turn; how many
    descriptors, Python's blocks of memory, and pages there are afterwards."""
    for number in range(times):
        server = servers[number % len(servers)]
        over = "bio" if number // len(servers) % 2 else "socket"
        with (
            Wire(ours, server.context, over=over) as wire,
            contextlib.suppress(PinMismatchError),
        ):
            wire.do(wire.near.do_handshake)
        server.messages.clear()
    gc.collect()
    return descriptors(), sys.getallocatedblocks(), resident()


@pytest.mark.parametrize(
    "times", [300, pytest.param(10_000, marks=[pytest.mark.soak, pytest.mark.timeout(600)])]
)
def test_descriptors_and_memory_stay_flat(
    ours: PinnedContext,
    authority: Authority,
    good: Credential,
    bad: Credential,
    times: int,
) -> None:
    """With the right key and with the wrong one, in both versions of TLS."""
    servers = [
        Witness(credential, authority, version)
        for credential in (good, bad)
        for version in VERSIONS
    ]
    warm = shake_hands(ours, servers, 300)
    then = shake_hands(ours, servers, times)
    assert then[0] == warm[0]
    assert then[1] - warm[1] < times, "each handshake leaves a block of Python's memory"
    assert (then[2] - warm[2]) * os.sysconf("SC_PAGE_SIZE") < 1_000_000 + 100 * times
    assert callback_of(ours) is None
