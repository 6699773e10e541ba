"""The early look is stopped in the middle, and the certificate stays here all the same.

A signal handler can raise between any two instructions of Python, in the message callback too,
whose errors CPython keeps back until OpenSSL has gone on and sent what it likes.
"""

from __future__ import annotations

import contextlib
import dis
import functools
import signal
import ssl
import sys
import threading
from pathlib import Path
from traceback import walk_stack
from typing import TYPE_CHECKING, Any, Literal, cast

import pytest
from support.contexts import TLS_1_3, VERSIONS
from support.impostor import BANNER, SECRET, Impostor, serving
from support.wire import Wire

import pinsock
from pinsock import PinMismatchError, PinnedContext, PinVerificationError, _early, _gate

from .ways import SOCKETS
from .witness import Witness, words

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType

    from pinsock._throwaway import Authority, Credential

Over = Literal["bio", "socket"]

PACKAGE = str(Path(pinsock.__file__).parent)

#: Seconds: more than two handshakes take, and not the end of patience, for here a fault shows as a
#: wait.
A_WHILE = 5.0
#: Seconds: more than a handler takes.
A_MOMENT = 0.01

each_over = pytest.mark.parametrize("over", ["bio", "socket"])
each_version = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)


#: CPython looks for signals at the end of these instructions, so an exception of a handler comes
#: right after one of them; before any instruction, or line, it would come where none can.
_LOOK_FOR_SIGNALS = ("RESUME", "CALL", "CALL_KW", "CALL_FUNCTION_EX", "JUMP_BACKWARD")
#: Python prints what is raised in these, and goes on.
_FORGOTTEN = ("__del__", "__eq__", "__hash__")


class Stop:
    """Does something at one place in pinsock's code where a signal handler can run.

    :param at: which, counted from 1.
    :param within: those alone that are in this function, or in what it calls.
    """

    def __init__(self, at: int, act: Callable[[], object], within: CodeType) -> None:
        self.place = ""
        self._left = at
        self._before: dict[int, int] = {}  # by frame, none of which is kept alive
        self._act = act
        self._within = within

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            yield
        finally:
            sys.settrace(before)

    def _enter(self, frame: FrameType, _event: str, _argument: object) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE) or not self._is_within(frame):
            return None
        self._before.pop(id(frame), None)
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        return self._each

    def _is_within(self, frame: FrameType | None) -> bool:
        while frame is not None and frame.f_code is not self._within:
            if frame.f_code.co_name in _FORGOTTEN:
                return False
            frame = frame.f_back
        return frame is not None

    def _each(self, frame: FrameType, event: str, _argument: object) -> Any:
        if event == "opcode":
            before, now = self._before.get(id(frame)), frame.f_lasti
            self._before[id(frame)] = now
            if before is not None and looks_for_signals(frame.f_code, before, now):
                self._left -= 1
                if self._left == 0:
                    self.place = f"{frame.f_code.co_name}, line {frame.f_lineno}"
                    self._act()
        return self._each


def looks_for_signals(code: CodeType, before: int, now: int) -> bool:
    """Whether an exception can come between these two instructions, of which the first was run.

    Where they have different handlers it cannot be put there by hand: it would be the first one's,
    and what a trace function raises is the second one's.
    """
    return dis.opname[code.co_code[before]] in _LOOK_FOR_SIGNALS and handler(
        code, before
    ) == handler(code, now)


@functools.cache
def handler(code: CodeType, offset: int) -> int | None:
    """Where CPython goes on after an exception in this instruction."""
    for entry in dis.Bytecode(code).exception_entries:
        if entry.start <= offset < entry.end:
            return cast("int", entry.target)
    return None


def everywhere(within: CodeType, act: Callable[[], object], meet: Callable[[Stop], object]) -> int:
    """Meet once for each place; how many there were."""
    at = 0
    while True:
        at += 1
        stop = Stop(at, act, within)
        meet(stop)
        if not stop.place:
            return at - 1


def interrupt() -> None:
    """As Ctrl-C does."""
    raise KeyboardInterrupt


def shake_hands(wire: Wire, stop: Stop | None = None) -> None:
    """Our end shakes hands, and whatever is raised is let go."""

    def step() -> None:
        with contextlib.nullcontext() if stop is None else stop.watching():
            wire.near.do_handshake()

    with contextlib.suppress(OSError, KeyboardInterrupt):
        wire.do(step)


# --- anywhere -------------------------------------------------------------------------------------


def assert_nothing_got_out(wire: Wire, me: Credential, stop: Stop) -> None:
    report = wire.finish()
    assert words(report.raw) in ([], ["ClientHello"]), stop.place
    assert report.certificate is None, stop.place
    assert me.der not in report.raw, stop.place
    assert report.got_nothing(), stop.place


@each_version
@each_over
@pytest.mark.parametrize("error", [KeyboardInterrupt, TimeoutError, ValueError])
def test_an_interruption_anywhere_lets_nothing_out(
    *,
    ours: PinnedContext,
    authority: Authority,
    bad: Credential,
    me: Credential,
    error: type[BaseException],
    over: Over,
    version: ssl.TLSVersion,
) -> None:
    """Ctrl-C, or a handler that bounds the time of a call; in the callback CPython forgets it."""
    peer = Witness(bad, authority, version)

    def stop_it() -> None:
        raise error

    def meet(stop: Stop) -> None:
        with Wire(ours, peer.context, over=over) as wire:
            with contextlib.suppress(error):
                shake_hands(wire, stop)
            wire.carry()  # whoever caught it sends what there is, and goes on with the connection
            for _ in range(2):
                with contextlib.suppress(OSError):
                    shake_hands(wire)
            assert_nothing_got_out(wire, me, stop)

    assert everywhere(_gate.Gate.do_handshake.__code__, stop_it, meet) > 10


@each_version
def test_an_interruption_anywhere_blinds_no_later_look(
    *,
    ours: PinnedContext,
    authority: Authority,
    good: Credential,
    bad: Credential,
    me: Credential,
    version: ssl.TLSVersion,
) -> None:
    """The next connection of the same context is looked at, whatever became of the one before."""
    right, wrong = Witness(good, authority, version), Witness(bad, authority, version)

    def meet(stop: Stop) -> None:
        with Wire(ours, right.context, over="socket") as wire:
            shake_hands(wire, stop)
        with Wire(ours, wrong.context, over="socket") as wire:
            shake_hands(wire)
            assert_nothing_got_out(wire, me, stop)

    assert everywhere(_gate.Gate.do_handshake.__code__, interrupt, meet) > 10


@each_version
@each_over
def test_a_stack_that_is_nearly_full_lets_nothing_out(
    *,
    ours: PinnedContext,
    authority: Authority,
    bad: Credential,
    me: Credential,
    over: Over,
    version: ssl.TLSVersion,
) -> None:
    """As of a program that connects again within its except, and again: at each depth there is."""
    peer = Witness(bad, authority, version)
    outcomes = set()

    def deeper(number: int, act: Callable[[], object]) -> None:
        if number:
            deeper(number - 1, act)
        else:
            act()

    for room in range(1, 80):
        with Wire(ours, peer.context, over=over) as wire:
            with contextlib.suppress(ssl.SSLWantReadError):
                wire.near.do_handshake()
            wire.carry()
            limit = sys.getrecursionlimit()
            depth = sum(1 for _ in walk_stack(None))
            try:
                deeper(limit - depth - room, wire.near.do_handshake)
            except (OSError, RecursionError) as error:
                outcomes.add(type(error))
            report = wire.finish()
        assert words(report.raw) == ["ClientHello"], room
        assert me.der not in report.raw, room
    assert outcomes >= {RecursionError, PinMismatchError}


def test_a_handler_that_connects_in_the_same_context_does_not_wait_for_itself(
    ours: PinnedContext, authority: Authority, good: Credential
) -> None:
    """As a signal handler may, or a finaliser, wherever it happens to run."""
    peer = Witness(good, authority, TLS_1_3)

    def connect() -> None:
        with Wire(ours, peer.context, over="socket") as wire:
            wire.do(wire.near.do_handshake)

    def meet(stop: Stop) -> None:
        def work() -> None:
            with Wire(ours, peer.context, over="socket") as wire:
                shake_hands(wire, stop)
                wire.near.write(SECRET)
                assert wire.finish().application == SECRET
            done.set()

        done = threading.Event()
        # A daemon: if it hangs, it does so for good.
        threading.Thread(target=work, daemon=True).start()
        assert done.wait(A_WHILE), f"it hangs for good at {stop.place}"

    assert everywhere(_gate.Gate.do_handshake.__code__, connect, meet) > 5


# --- one step fails -------------------------------------------------------------------------------

ERRORS: list[type[BaseException]] = [
    KeyboardInterrupt,
    MemoryError,
    RecursionError,
    SystemExit,
    TimeoutError,
    ssl.SSLWantReadError,
    ValueError,
]


@each_over
@each_version
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("right", [True, False], ids=["right key", "wrong key"])
@pytest.mark.parametrize("step", ["see_leaf", "judge", "leaf_of_message"])
def test_a_look_that_fails_refuses_and_lets_nothing_out(
    *,
    ours: PinnedContext,
    authority: Authority,
    good: Credential,
    bad: Credential,
    me: Credential,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    right: bool,
    error: type[BaseException],
    over: Over,
    version: ssl.TLSVersion,
) -> None:
    """Whatever is raised in it: nobody is shown the certificate, and the gate is shut for good."""
    if over == "bio" and (step == "leaf_of_message" or (step, version) == ("see_leaf", TLS_1_3)):
        return  # there are no messages to read, and in TLS 1.3 the handshake ends before any look

    def fail(*_: object, **__: object) -> Any:
        raise error("the look failed")

    if step == "see_leaf":
        monkeypatch.setattr(_gate.Gate, step, fail)
    elif step == "judge":
        monkeypatch.setattr(_gate, step, fail)
    else:
        monkeypatch.setattr(_early, step, fail)
    peer = Witness(good if right else bad, authority, version)
    with Wire(ours, peer.context, over=over) as wire:
        with pytest.raises((OSError, error)):
            wire.do(lambda: wire.near.write(SECRET))
        wire.carry()
        monkeypatch.undo()
        with pytest.raises(PinVerificationError):
            wire.near.write(SECRET)
        report = wire.finish()
    assert words(report.raw) == ["ClientHello"]
    assert report.certificate is None
    assert me.der not in report.raw
    assert report.got_nothing()


# --- signals --------------------------------------------------------------------------------------


class Knocks:
    """A signal handler, and how often it was called.

    :param at: at the time with this number it raises, as handlers do that bound the time of a call.
    """

    def __init__(self, at: int = 0) -> None:
        self.count = 0
        self.heard = threading.Semaphore(0)
        self._at = at

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        self.heard.release()
        if self.count == self._at:
            raise TimeoutError("out of time")


class Knocking:
    """A server's socket that sends bytes singly, and signals to the main thread in between."""

    def __init__(self, sock: socket.socket, knocks: Knocks) -> None:
        self._sock = sock
        self._knocks = knocks
        self.recv = sock.recv
        self.setsockopt = sock.setsockopt

    def sendall(self, data: bytes) -> None:
        for i in range(len(data)):
            if i % 16 == 0:
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
                # It may have come too late to wake anybody, so this does not insist.
                self._knocks.heard.acquire(timeout=A_MOMENT)
            self._sock.sendall(data[i : i + 1])


@contextlib.contextmanager
def knocking(witness: Witness, knocks: Knocks) -> Iterator[Impostor]:
    before = signal.signal(signal.SIGUSR1, knocks)
    try:
        with serving(
            lambda sock, report: witness(cast("socket.socket", Knocking(sock, knocks)), report)
        ) as peer:
            yield peer
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("way", SOCKETS)
@each_version
@pytest.mark.parametrize("right", [True, False], ids=["right key", "wrong key"])
def test_signals_in_the_middle_of_the_handshake_change_nothing(
    *,
    ours: PinnedContext,
    authority: Authority,
    good: Credential,
    bad: Credential,
    me: Credential,
    way: str,
    version: ssl.TLSVersion,
    right: bool,
) -> None:
    """They go to the thread that shakes hands."""
    knocks = Knocks()
    with knocking(Witness(good if right else bad, authority, version), knocks) as peer:
        if right:
            assert SOCKETS[way](ours, peer.address) == BANNER
        else:
            with pytest.raises(PinMismatchError):
                SOCKETS[way](ours, peer.address)
        report = peer.report()
    assert knocks.count
    assert report.certificate == (me.der if right else None)
    assert right or words(report.raw) == ["ClientHello"]


@each_version
@pytest.mark.parametrize("when", [1, 2, 5, 10, 20, 30, 40, 50])
def test_a_handler_that_raises_in_the_middle_lets_nothing_out(
    ours: PinnedContext, authority: Authority, bad: Credential, version: ssl.TLSVersion, when: int
) -> None:
    """At the first signal, or at a later one."""
    with knocking(Witness(bad, authority, version), Knocks(when)) as peer:
        with pytest.raises((TimeoutError, PinVerificationError)):
            SOCKETS["with a timeout"](ours, peer.address)
        report = peer.report()
    assert words(report.raw) == ["ClientHello"]
    assert report.certificate is None
