"""Signals that come to the thread that is in the middle of a handshake.

What they do to clients over sockets is in ``tests/early/test_interruptions.py``.
"""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import anyio
import pytest
from support.impostor import BANNER, SECRET, WAIT

from pinsock import PinMismatchError

from .peers import Faulty, Meeting, await_taken, messages
from .test_cancellation import LOOPS, each_key, each_side, each_version
from .ways import WAYS, connected, descriptors, meet, on_a_loop

if TYPE_CHECKING:
    import socket
    import ssl

    from pinsock._throwaway import Authority, Credential

#: Seconds: more than a handler takes.
A_MOMENT = 0.01


def signal_to_us(number: signal.Signals) -> None:
    signal.pthread_kill(threading.main_thread().ident or 0, number)


@each_key
@each_version
@each_side
@pytest.mark.parametrize("way", WAYS)
def test_signals_in_the_middle_of_any_message_change_nothing(
    *,
    way: str,
    side: str,
    version: ssl.TLSVersion,
    right: bool,
    authority: Authority,
    good: Credential,
    bad: Credential,
) -> None:
    """The peer sends bytes singly, and signals in between; the handler runs wherever we are."""
    heard = threading.Semaphore(0)
    knocks = 0

    def knock(_: Faulty, sock: socket.socket, record: bytes) -> bool:
        nonlocal knocks
        for i in range(len(record)):
            if i % 16 == 0:
                signal_to_us(signal.SIGUSR1)
                # It may have come too late to wake anybody, so this does not insist.
                knocks += heard.acquire(timeout=A_MOMENT)
            sock.sendall(record[i : i + 1])
        return True

    through = messages(side, authority, good, version)
    meeting = Meeting.between(side, authority, good, good if right else bad, version)
    before = signal.signal(signal.SIGUSR1, lambda *_: heard.release())
    try:
        for at in range(through):
            ours, report = meet(Faulty(meeting, knock, at), way, WAIT)
            if right:
                assert (ours.error, ours.said) == (None, BANNER), at
                assert report.application == SECRET, at
            else:
                assert isinstance(ours.error, PinMismatchError), at
                assert report.got_nothing(), at
                assert report.certificate is None or side == "server", at
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert knocks > through


def interrupt(peer: Faulty, sock: socket.socket, record: bytes) -> bool:
    """Ctrl-C, once our end waits for the other half."""
    sock.sendall(record[: len(record) // 2])
    await_taken(peer)
    signal_to_us(signal.SIGINT)
    return False


@each_version
@each_side
@pytest.mark.parametrize("loop", LOOPS)
def test_ctrl_c_in_the_middle_of_any_message_ends_an_event_loop_and_nothing_passes(
    *,
    loop: str,
    side: str,
    version: ssl.TLSVersion,
    authority: Authority,
    good: Credential,
) -> None:
    """Each loop has a way of its own to take the handshake down, and no socket stays open."""
    talk, _, backend = LOOPS[loop]

    async def talk_awake(meeting: Meeting, sock: socket.socket, timeout: float) -> bytes:
        # With it a signal that comes just before the loop waits wakes it too.
        with anyio.open_signal_receiver(signal.SIGUSR1):
            return await talk(meeting, sock, timeout)

    meeting = Meeting.between(side, authority, good, good, version)
    before = descriptors()
    for at in range(messages(side, authority, good, version)):
        peer = Faulty(meeting, interrupt, at)
        with connected(peer, meeting.server_side) as (sock, impostor):
            peer.near.set_result(sock.fileno())
            with pytest.raises(KeyboardInterrupt):
                on_a_loop(talk_awake, backend, meeting, sock, WAIT)
            report = impostor.report()
        assert report.got_nothing(), at
        assert report.ended in {"eof", "reset"}, at
        assert descriptors() == before, at


@each_version
@each_side
def test_a_handler_that_raises_in_the_middle_of_any_message_ends_the_handshake(
    side: str, version: ssl.TLSVersion, authority: Authority, good: Credential
) -> None:
    """As Ctrl-C does over a socket: nothing passes, and no socket stays open."""
    heard = threading.Event()

    def raise_once(*_: object) -> None:
        if not heard.is_set():
            heard.set()
            raise KeyboardInterrupt

    def knock(peer: Faulty, sock: socket.socket, record: bytes) -> bool:
        sock.sendall(record[: len(record) // 2])
        await_taken(peer)
        while not heard.is_set():  # it may come too late to wake anybody
            signal_to_us(signal.SIGUSR1)
            heard.wait(A_MOMENT)
        return False

    meeting = Meeting.between(side, authority, good, good, version)
    open_before = descriptors()
    before = signal.signal(signal.SIGUSR1, raise_once)
    try:
        for at in range(messages(side, authority, good, version)):
            heard.clear()
            peer = Faulty(meeting, knock, at)
            with connected(peer, meeting.server_side) as (sock, impostor):
                peer.near.set_result(sock.fileno())
                with pytest.raises(KeyboardInterrupt):
                    WAYS["socket"](meeting, sock, WAIT)
                report = impostor.report()
            assert report.got_nothing(), at
            assert report.ended in {"eof", "reset"}, at
            assert descriptors() == open_before, at
    finally:
        signal.signal(signal.SIGUSR1, before)
