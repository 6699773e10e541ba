"""Runs one of CPython's test modules, plain or pinned, and writes down how each test ended.

Pinned means: every client context is a PinnedContext from the moment that it is made, and any other
becomes one in the moment in which it wraps a client, or a server under CERT_REQUIRED.  A server
that asks for no certificate has nothing to pin and stays plain.  The pins are those of the
certificates that lie beside CPython's tests.  Of each connection that is wrapped, pinned or left
plain, a :class:`Wrap` is kept.

Contexts are pinned in place, by ``pin_context``, and ``ssl.SSLContext`` stays what it is: with
another class under that name, the setters of ``ssl``, which begin with ``super(SSLContext,
SSLContext)``, would call themselves for ever.
"""

from __future__ import annotations

import argparse
import faulthandler
import functools
import gc
import json
import os
import re
import ssl
import sys
import tempfile
import threading
import traceback
import unittest
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from test import support

import pinsock
from pinsock._gate import Gate

from .comparison import Wrap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]

__all__ = ["Pinning", "main", "pins_of_cpython", "pins_of_nobody"]

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def pins_of_cpython() -> pinsock.PinSet:
    """The pins of the certificates that CPython's tests are run with."""
    pins = set()
    home = Path(support.TEST_HOME_DIR)
    for file in (*home.glob("*.pem"), *home.glob("certdata/*.pem")):  # the first: early 3.11
        for pem in _CERTIFICATE.findall(file.read_bytes()):
            try:
                pins.add(pinsock.Pin.from_certificate(pem))
            except pinsock.InvalidCertificateError:
                continue  # badcert.pem and the like, which no peer can show
    return pinsock.PinSet(sorted(pins, key=str), None)


def pins_of_nobody() -> pinsock.PinSet:
    """A pin that no key has: with it, nothing may work."""
    return pinsock.PinSet(pinsock.Pin("spki", bytes(32)), None)


def _side(arguments: tuple[Any, ...], named: dict[str, Any], place: int) -> bool:
    """What a call says of ``server_side``, which is its argument at this place."""
    return bool(arguments[place] if len(arguments) > place else named.get("server_side", False))


def _first(tell: Callable[[Gate], None], method: Callable[[Gate], None]) -> Callable[[Gate], None]:
    def told(gate: Gate) -> None:
        tell(gate)
        method(gate)

    return told


class Pinning:
    """Pins the contexts of this process, from :meth:`install` on.

    :param side: ``"both"``, ``"clients"`` or ``"servers"``; the others stay plain.
    """

    def __init__(self, pins: pinsock.PinSet, side: str = "both") -> None:
        self._pins = pins
        self._side = side
        #: The test that is run.
        self.test = ""
        #: Those left plain, and the pinned ones that are no more.
        self.wraps: list[Wrap] = []
        #: The pinned ones that live, by their gate's id: none must live longer for being watched.
        self._living: dict[int, Wrap] = {}

    def _left_plain(self, context: ssl.SSLContext, server_side: bool) -> str:
        """Why, or nothing: it is pinned."""
        if self._side == ("clients" if server_side else "servers"):
            return "the other side is looked at"
        if server_side and context.verify_mode != ssl.CERT_REQUIRED:
            return f"server under {context.verify_mode.name}"
        # The rest is refused by pin_context, as it must be.
        if type(context) is ssl.SSLContext:
            own = {"sslsocket_class", "sslobject_class"} & set(vars(context))
            return "class of its own for sockets" if own else ""
        return "" if type(context) is pinsock.PinnedContext else "class of its own for contexts"

    def _settle(self, context: ssl.SSLContext, server_side: bool) -> None:
        """Make a context what it has to be for the connection that it is about to wrap."""
        stays_plain = self._left_plain(context, server_side)
        if type(context) is pinsock.PinnedContext and stays_plain:
            context.__class__ = ssl.SSLContext
        elif type(context) is ssl.SSLContext and not stays_plain:
            pinsock.pin_context(context, self._pins)

    def install(self) -> None:
        pinsock.PinnedContext(pins=self._pins)  # the first one tries ssl out: not to be watched
        plain: Any = ssl.SSLContext
        pinned: Any = pinsock.PinnedContext
        new, init = plain.__new__, pinned.__init__

        @functools.wraps(new)
        def make(cls: Any, protocol: Any = None, *rest: Any, **named: Any) -> Any:
            context = new(cls, protocol, *rest, **named)
            if cls is plain and protocol == ssl.PROTOCOL_TLS_CLIENT and self._side != "servers":
                pinsock.pin_context(context, self._pins)
            return context

        @functools.wraps(init)
        def start(context: Any, *arguments: Any, **named: Any) -> None:
            # Python calls this for what make() returned, with a plain context's arguments.
            if "_pins" not in vars(context):
                init(context, *arguments, **named)

        plain.__new__, pinned.__init__ = make, start
        for name, place in (("wrap_socket", 1), ("wrap_bio", 2)):
            self._settle_before(plain, pinned, name, place)
        for name, place in (("_wrap_socket", 1), ("_wrap_bio", 2)):
            for kind in (plain, pinned):
                setattr(kind, name, self._recorded(getattr(kind, name), place))
        gates: Any = Gate
        for name, tell in (("_check", self._look), ("__del__", self._ended)):
            setattr(gates, name, _first(tell, getattr(gates, name)))

    def _settle_before(self, plain: Any, pinned: Any, name: str, place: int) -> None:
        in_plain, in_pinned = getattr(plain, name), getattr(pinned, name)

        @functools.wraps(in_plain)
        def settled(context: Any, *arguments: Any, **named: Any) -> Any:
            self._settle(context, _side(arguments, named, place))
            own = in_pinned if type(context) is pinned else in_plain
            return own(context, *arguments, **named)

        @functools.wraps(in_plain)
        def wrap(context: Any, *arguments: Any, **named: Any) -> Any:
            # Of a pinned context: by its super().
            own = in_plain if type(context) is pinned else settled
            return own(context, *arguments, **named)

        setattr(plain, name, wrap)
        setattr(pinned, name, settled)

    # --- what became of each connection -----------------------------------------------------------

    def _recorded(self, make: Callable[..., Any], place: int) -> Callable[..., Any]:
        """Of the method that makes TLS's own object, or the gate that stands before it."""

        @functools.wraps(make)
        def recorded(context: Any, *arguments: Any, **named: Any) -> Any:
            made = make(context, *arguments, **named)
            server_side = _side(arguments, named, place)
            wrap = Wrap(self.test, server_side)
            if isinstance(made, Gate):
                made._on_verdict = wrap.judged
                self._living[id(made)] = wrap
            else:
                wrap.left_plain = self._left_plain(context, server_side) or "NO REASON"
                self.wraps.append(wrap)
            return made

        return recorded

    def _look(self, gate: Gate) -> None:
        wrap = self._living.get(id(gate))
        if wrap is not None and gate.real.version() is not None:  # OpenSSL's own word
            wrap.complete = True
            wrap.resumed = gate.real.session_reused

    def _ended(self, gate: Gate) -> None:
        self._look(gate)
        wrap = self._living.pop(id(gate), None)
        if wrap is not None:
            self.wraps.append(wrap)

    def finish(self) -> None:
        """Record the connections that tests have left behind."""
        gc.collect()
        for living in gc.get_objects():
            if issubclass(type(living), Gate):
                self._ended(living)


class Report(unittest.TestResult):
    """One line of JSON when a test begins, one when it has ended, and one for each connection."""

    def __init__(self, out: IO[str], pinning: Pinning | None, seconds: float) -> None:
        super().__init__()
        self._out = out
        self._pinning = pinning
        self._seconds = seconds
        self._outcome = "passed"
        self._text = ""
        self._told = 0
        self._in_threads: list[str] = []
        self._excepthook = threading.excepthook
        threading.excepthook = self._raised_in_thread

    def _raised_in_thread(self, raised: threading.ExceptHookArgs) -> None:
        """Of a server that a test runs in a thread this may be all that tells."""
        self._in_threads += traceback.format_exception_only(raised.exc_type, raised.exc_value)
        self._excepthook(raised)

    def _write(self, **values: object) -> None:
        self._out.write(json.dumps(values) + "\n")
        self._out.flush()

    def tell_of_wraps(self) -> None:
        if self._pinning:
            for wrap in self._pinning.wraps[self._told :]:
                self._write(wrap=asdict(wrap))
                self._told += 1

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's name
        super().startTest(test)
        # Ends the process: a thread that waits for ever cannot be stopped otherwise.
        faulthandler.dump_traceback_later(self._seconds, exit=True)
        self._outcome, self._text, self._in_threads = "passed", "", []
        if self._pinning:
            self._pinning.test = test.id()
        self._write(test=test.id())

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's name
        super().stopTest(test)
        faulthandler.cancel_dump_traceback_later()
        threads = "".join(f"in a thread: {line}" for line in self._in_threads)
        text = self._text + (threads if self._outcome in {"error", "failed"} else "")
        self._write(test=test.id(), outcome=self._outcome, text=text)
        self.tell_of_wraps()

    def _went_wrong(self, test: unittest.TestCase, outcome: str, error: ExcInfo) -> None:
        text = "".join(traceback.format_exception(*error))[-4000:]
        if self._outcome == "passed" or not self._text:
            self._outcome, self._text = outcome, text
        if not isinstance(test, unittest.TestCase):  # setUpModule or setUpClass
            self._write(test=test.id(), outcome=outcome, text=text)

    def addError(self, test: Any, err: ExcInfo) -> None:  # noqa: N802 - unittest's name
        super().addError(test, err)
        self._went_wrong(test, "error", err)

    def addFailure(self, test: Any, err: ExcInfo) -> None:  # noqa: N802 - unittest's name
        super().addFailure(test, err)
        self._went_wrong(test, "failed", err)

    def addSubTest(  # noqa: N802 - unittest's name
        self, test: unittest.TestCase, subtest: unittest.TestCase, err: ExcInfo | None
    ) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._went_wrong(test, "failed", err)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802 - unittest's name
        super().addSkip(test, reason)
        if self._outcome == "passed":
            self._outcome, self._text = "skipped", reason

    def addExpectedFailure(  # noqa: N802 - unittest's name
        self, test: unittest.TestCase, err: ExcInfo
    ) -> None:
        super().addExpectedFailure(test, err)
        self._outcome = "expected failure"

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's name
        super().addUnexpectedSuccess(test)
        self._outcome = "unexpected success"


def _each(suite: Iterable[Any]) -> Iterator[unittest.TestCase]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from _each(test)
        else:
            yield test


PINS: dict[str, Callable[[], pinsock.PinSet]] = {
    "cpython": pins_of_cpython,
    "nobody": pins_of_nobody,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("module", help="such as test.test_ssl")
    parser.add_argument("report", type=Path)
    parser.add_argument("--pins", choices=sorted(PINS))
    parser.add_argument("--seconds", type=float, default=60.0, help="for one test")
    parser.add_argument("--side", choices=("both", "clients", "servers"), default="both")
    parser.add_argument("--leave-out", action="append", default=[], metavar="TEST")
    parser.add_argument("--only", action="append", default=[], metavar="TEST")
    arguments = parser.parse_args()

    report = arguments.report.resolve()
    support.use_resources = ["cpu", "decimal", "subprocess", "walltime"]  # and no network
    support.verbose = False
    pinning = None
    if arguments.pins:
        pinning = Pinning(PINS[arguments.pins](), arguments.side)
        pinning.install()
    with tempfile.TemporaryDirectory() as folder, report.open("a", encoding="utf-8") as out:
        os.chdir(folder)
        loaded = unittest.defaultTestLoader.loadTestsFromName(arguments.module)
        suite = unittest.TestSuite(
            test
            for test in _each([loaded])
            if test.id() not in arguments.leave_out
            and (not arguments.only or test.id() in arguments.only)
        )
        results = Report(out, pinning, arguments.seconds)
        suite.run(results)
        if pinning:
            pinning.finish()
        results.tell_of_wraps()
        os.chdir("/")


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    # A thread that a test has left behind must not keep the process.
    os._exit(0)
