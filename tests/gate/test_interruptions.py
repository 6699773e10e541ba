"""The check is stopped in the middle, at every place where it could be, and never left open.

A signal can raise between any two instructions, and memory can run out in any call.  So the tests
raise at each instruction of pinsock's own code, one handshake after the other, and look at what the
peer got.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
from support.contexts import TLS_1_3, VERSIONS, client, server
from support.impostor import HOST, SECRET, WAIT, over_tls, sends, serving
from support.wire import Wire

import pinsock
from pinsock import (
    PinMismatchError,
    PinSet,
    PinVerificationError,
    Verdict,
    _early,
    _gate,
    pin_context,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from .meetings import People

PACKAGE = str(Path(pinsock.__file__).parent)

Over = Literal["bio", "socket"]
Step = Literal["opcode", "line"]


@pytest.fixture(autouse=True)
def free_lock() -> Iterator[None]:
    """These tests raise before any instruction, and CPython only after calls and jumps; so they can
    raise between the end of a ``with`` and the release of its lock, where no signal can."""
    yield
    _early._after_fork()


class Reached:
    """Counts the steps of pinsock's own code, or of all in ``files``, and acts at one of them."""

    def __init__(self, at: int, step: Step, *files: str) -> None:
        self.at = at
        self.count = 0
        self.act: Callable[[], object] = lambda: None
        self._step = step
        self._files = (PACKAGE, *files)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            yield
        finally:
            sys.settrace(before)

    def _enter(self, frame: FrameType, _event: str, _argument: object) -> Any:
        if not frame.f_code.co_filename.startswith(self._files):
            return None
        if frame.f_code.co_name == "__del__":
            return None  # of a gate that was met before: Python prints what is raised there
        frame.f_trace_opcodes = self._step == "opcode"
        frame.f_trace_lines = self._step == "line"
        return self._each

    def _each(self, _frame: FrameType, event: str, _argument: object) -> Any:
        if event == self._step:
            self.count += 1
            if self.count == self.at:
                self.act()
        return self._each


def each_place(step: Step, *files: str, more_than: int = 30) -> Iterator[Reached]:
    """One that acts at the first step, one that acts at the second, and so on to the last."""
    at = 0
    while True:
        at += 1
        reached = Reached(at, step, *files)
        yield reached
        if reached.count < at:
            break
    assert at > more_than, "the tracing saw none of the check"


def watched(wire: Wire, reached: Reached) -> BaseException | None:
    """Our end sends the secret, stopped where it is to be; what was raised."""

    def speak() -> Iterator[None]:
        yield wire.near.write(SECRET)

    def step() -> None:
        # What is raised where an except block ends stays the thread's current exception, and all
        # that it raises later is chained to that; a generator has one of its own.
        with reached.watching():
            next(speak())

    try:
        wire.do(step)
    except BaseException as error:
        return error
    return None


def used_afterwards(wire: Wire) -> None:
    """Whoever caught the error goes on with the connection, in every way."""
    for call in (
        lambda: wire.near.write(SECRET),
        lambda: wire.near.read(64),
        wire.near.do_handshake,
        lambda: wire.near._sslobj.write(SECRET),
        wire.near._sslobj.shutdown,
    ):
        with contextlib.suppress(OSError, ssl.SSLWantReadError, AssertionError):
            assert not wire.do(call)


def contexts(people: People, right: bool, version: ssl.TLSVersion) -> tuple[Any, Any]:
    ours = pin_context(client(people.authority), PinSet(people.good.pin, None))
    return ours, server(people.good if right else people.bad, version)


ERRORS: list[type[BaseException]] = [KeyboardInterrupt, MemoryError, TimeoutError]
PLACES: list[Any] = [
    pytest.param("opcode", KeyboardInterrupt, id="each instruction"),
    *(pytest.param("line", error, id=f"each line, {error.__name__}") for error in ERRORS),
]


@pytest.mark.parametrize("over", ["bio", "socket"])
@pytest.mark.parametrize(("step", "error"), PLACES)
def test_a_check_interrupted_anywhere_lets_no_wrong_key_pass(
    people: People, over: Over, step: Step, error: type[BaseException]
) -> None:
    """Wherever it was stopped: no byte, no open gate, and a connection that is dead."""
    ours, theirs = contexts(people, False, VERSIONS[1])

    def stop() -> None:
        raise error

    for reached in each_place(step):
        reached.act = stop
        with Wire(ours, theirs, over=over) as wire:
            raised = watched(wire, reached)
            assert raised is not None
            used_afterwards(wire)
            report = wire.finish()
            assert isinstance(wire.near._sslobj, _gate.Gate), reached.at
            with pytest.raises(PinVerificationError) as caught:
                wire.near.write(SECRET)
            assert report.got_nothing(), reached.at
            # Stopped while it waits for the peer, in the very last step, it is not cut: it stays
            # "in the middle of its handshake" for good.
            assert "in the middle" in str(caught.value) or wire.is_dead(), reached.at
            verdict = wire.near.pin_verdict
            assert verdict is None or not verdict.allowed


@pytest.mark.parametrize("over", ["bio", "socket"])
@pytest.mark.parametrize(("step", "error"), PLACES)
def test_a_check_interrupted_anywhere_opens_to_the_right_key_or_refuses(
    people: People, over: Over, step: Step, error: type[BaseException]
) -> None:
    """Afterwards the connection works as a whole, or it raises: it never hangs."""
    ours, theirs = contexts(people, True, VERSIONS[1])

    def stop() -> None:
        raise error

    for reached in each_place(step):
        reached.act = stop
        with Wire(ours, theirs, over=over) as wire:
            watched(wire, reached)
            try:
                wire.do(lambda wire=wire: wire.near.write(SECRET))  # type: ignore[misc]
            except PinVerificationError:
                assert wire.finish().application in {b"", SECRET}, reached.at
            else:
                assert wire.finish().application in {SECRET, SECRET * 2}, reached.at


@pytest.mark.parametrize("over", ["bio", "socket"])
@pytest.mark.parametrize("right", [True, False], ids=["right key", "wrong key"])
def test_a_handler_that_writes_at_any_line_of_the_check_opens_nothing(
    people: People, over: Over, right: bool
) -> None:
    """A signal handler runs between two lines, in the same thread, and uses the connection."""
    ours, theirs = contexts(people, right, VERSIONS[1])
    for reached in each_place("line"):
        with Wire(ours, theirs, over=over) as wire:

            def write(wire: Wire = wire) -> None:
                with contextlib.suppress(OSError):
                    wire.near.write(SECRET)

            reached.act = write
            raised = watched(wire, reached)
            report = wire.finish()
            if right:
                assert raised is None, reached.at
                assert report.application in {SECRET, SECRET * 2}, reached.at
            else:
                assert isinstance(raised, PinMismatchError), reached.at
                assert report.got_nothing(), reached.at


@pytest.mark.parametrize("over", ["bio", "socket"])
@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_a_refusal_within_a_handler_is_not_forgotten_by_the_call_that_it_interrupted(
    people: People, over: Over, version: ssl.TLSVersion
) -> None:
    """A handler's own handshake is refused by a callback that would not raise a second time."""
    ours, theirs = contexts(people, True, version)
    for reached in each_place("line"):
        said: list[Verdict] = []

        def once(verdict: Verdict, said: list[Verdict] = said) -> None:
            said.append(verdict)
            if len(said) == 1:
                raise LookupError

        ours.on_verdict = once
        with Wire(ours, theirs, over=over) as wire:

            def write(wire: Wire = wire) -> None:
                with contextlib.suppress(OSError):
                    wire.near.write(SECRET)

            reached.act = write
            raised = watched(wire, reached)
            assert isinstance(raised, PinVerificationError), reached.at
            assert wire.finish().got_nothing(), reached.at
            assert len(said) == 1, reached.at


@pytest.mark.parametrize("closing", [False, True], ids=["connect that fails", "close"])
def test_a_handler_that_writes_at_any_line_never_finds_a_plain_socket(
    people: People, closing: bool
) -> None:
    """ssl takes its C object away before connect() gives up and before close() has closed."""
    peer = over_tls(server(people.good)) if closing else sends()
    ours = pin_context(client(people.authority), PinSet(people.good.pin, None))
    for reached in each_place("line", ssl.__file__, more_than=1):
        with (
            serving(peer) as impostor,
            ours.wrap_socket(socket.socket(), server_hostname=HOST) as wrapped,
        ):
            wrapped.settimeout(WAIT if closing else 0.02)  # then its handshake times out

            def write(wrapped: ssl.SSLSocket = wrapped) -> None:
                with contextlib.suppress(OSError):
                    wrapped.send(SECRET)

            reached.act = write
            if closing:
                wrapped.connect(impostor.address)
                with reached.watching():
                    wrapped.close()
            else:
                with pytest.raises((OSError, ValueError)), reached.watching():
                    wrapped.connect(impostor.address)
                wrapped.close()
            report = impostor.report()
        assert report.plaintext == b"", reached.at


# --- one step fails -------------------------------------------------------------------------------

#: What the gate calls, by the name under which it finds it, and whether the key is right.
STEPS = [
    (step, right)
    for step in ("judge", "time", "refusal", "match_certificate", "on_verdict")
    for right in (True, False)
    if (step, right) != ("refusal", True)  # there is none
]


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
@pytest.mark.parametrize("over", ["bio", "socket"])
@pytest.mark.parametrize("error", [*ERRORS, ssl.SSLWantReadError, SystemExit, RecursionError])
@pytest.mark.parametrize(("step", "right"), STEPS)
def test_a_step_of_the_check_that_fails_refuses(
    *,
    people: People,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    error: type[BaseException],
    right: bool,
    over: Over,
    version: ssl.TLSVersion,
) -> None:
    """Whatever a step raises, nothing passes and the connection is dead at once."""

    def fail(*_: object) -> Any:
        raise error("a step failed")

    ours, theirs = contexts(people, right, version)
    if step == "on_verdict":
        ours.on_verdict = fail
    elif step == "match_certificate":
        monkeypatch.setattr(PinSet, step, fail)
    else:
        monkeypatch.setattr(_gate, step, fail)
    with Wire(ours, theirs, over=over) as wire:
        with pytest.raises((OSError, error)) as caught:
            wire.do(lambda: wire.near.write(SECRET))
        if issubclass(error, Exception) and not issubclass(error, OSError):
            assert isinstance(caught.value, PinVerificationError)
        assert wire.is_dead()
        assert wire.finish().got_nothing()
        if over == "bio" and version is TLS_1_3:
            assert not wire.report.shaken  # our Finished stayed in the BIO
        monkeypatch.undo()
        ours.on_verdict = None
        for call in (lambda: wire.near.write(SECRET), lambda: wire.near.read(64)):
            with pytest.raises(PinVerificationError):
                call()
        assert wire.finish().got_nothing()


@pytest.mark.parametrize("over", ["bio", "socket"])
def test_the_connection_is_cut_before_the_error_is_put_together(
    people: People, monkeypatch: pytest.MonkeyPatch, over: Over
) -> None:
    """Reading hostile certificates takes time, and the peer waits for our last words meanwhile."""
    ours, theirs = contexts(people, False, TLS_1_3)
    dead: list[bool] = []
    real = vars(_gate)["refusal"]
    with Wire(ours, theirs, over=over) as wire:

        def refusal(*arguments: Any, **named: Any) -> PinMismatchError:
            dead.append(wire.is_dead())
            return real(*arguments, **named)

        monkeypatch.setattr(_gate, "refusal", refusal)
        with pytest.raises(PinMismatchError):
            wire.do(wire.near.do_handshake)
    assert dead == [True]


def test_a_callback_that_raises_never_turns_a_refusal_into_another_error(
    people: People,
) -> None:
    """The caller sees the refusal; what the callback raised is its cause."""
    said: list[Verdict] = []

    def complain(verdict: Verdict) -> None:
        said.append(verdict)
        raise LookupError("no telephone")

    context = pin_context(
        client(people.authority), PinSet(people.good.pin, None), on_verdict=complain
    )
    with Wire(context, server(people.bad)) as wire:
        with pytest.raises(PinMismatchError) as caught:
            wire.do(wire.near.do_handshake)
        assert isinstance(caught.value.__cause__, LookupError)
        assert [verdict.allowed for verdict in said] == [False]
        with pytest.raises(PinMismatchError):
            wire.near.do_handshake()
        assert len(said) == 1
