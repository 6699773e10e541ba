"""Runs one of CPython's test modules, plain or pinned, and writes down how each test ended.

Pinned means: every client context is a PinnedContext from the moment that it is made, and any other
becomes one in the moment in which it wraps a client, or a server under CERT_REQUIRED.  A server
that asks for no certificate has nothing to pin and stays plain.  The pins are those of the
certificates that lie beside CPython's tests.

Contexts are pinned in place, by ``pin_context``, and ``ssl.SSLContext`` stays what it is: with
another class under that name, the setters of ``ssl``, which begin with ``super(SSLContext,
SSLContext)``, would call themselves for ever.
"""

from __future__ import annotations

import argparse
import faulthandler
import functools
import json
import os
import re
import ssl
import sys
import tempfile
import traceback
import unittest
from pathlib import Path
from time import monotonic
from typing import IO, TYPE_CHECKING, Any

from test import support

import pinsock

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


class Pinning:
    """Pins the contexts of this process, from :meth:`install` on."""

    def __init__(self, pins: pinsock.PinSet, *, clients_alone: bool = False) -> None:
        self._pins = pins
        self._clients_alone = clients_alone
        #: One for each connection whose peer was judged.
        self.verdicts: list[pinsock.Verdict] = []

    def _pin(self, context: ssl.SSLContext) -> None:
        pinsock.pin_context(context, self._pins, on_verdict=self.verdicts.append)

    def _settle(self, context: ssl.SSLContext, server_side: bool) -> None:
        """Make a context what it has to be for the connection that it is about to wrap."""
        asks_for_certificate = context.verify_mode == ssl.CERT_REQUIRED
        has_something_to_pin = not server_side or (asks_for_certificate and not self._clients_alone)
        if type(context) is pinsock.PinnedContext and not has_something_to_pin:
            context.__class__ = ssl.SSLContext
        elif (
            type(context) is ssl.SSLContext
            and has_something_to_pin
            # A class of the test's own for its sockets is refused by pin_context, as it must be.
            and not {"sslsocket_class", "sslobject_class"} & set(vars(context))
        ):
            self._pin(context)

    def install(self) -> None:
        plain: Any = ssl.SSLContext
        pinned: Any = pinsock.PinnedContext
        new, init = plain.__new__, pinned.__init__

        @functools.wraps(new)
        def make(cls: Any, protocol: Any = None, *rest: Any, **named: Any) -> Any:
            context = new(cls, protocol, *rest, **named)
            if cls is plain and protocol == ssl.PROTOCOL_TLS_CLIENT:
                self._pin(context)
            return context

        @functools.wraps(init)
        def start(context: Any, *arguments: Any, **named: Any) -> None:
            # Python calls this for what make() returned, with a plain context's arguments.
            if "_pins" not in vars(context):
                init(context, *arguments, **named)

        plain.__new__, pinned.__init__ = make, start
        self._watch(plain, pinned, "wrap_socket", 1)
        self._watch(plain, pinned, "wrap_bio", 2)

    def _watch(self, plain: Any, pinned: Any, name: str, place: int) -> None:
        """Settle each context before it wraps; ``server_side`` is the argument at this place."""
        in_plain, in_pinned = getattr(plain, name), getattr(pinned, name)

        @functools.wraps(in_plain)
        def settled(context: Any, *arguments: Any, **named: Any) -> Any:
            side = arguments[place] if len(arguments) > place else named.get("server_side", False)
            self._settle(context, bool(side))
            own = in_pinned if type(context) is pinned else in_plain
            return own(context, *arguments, **named)

        @functools.wraps(in_plain)
        def wrap(context: Any, *arguments: Any, **named: Any) -> Any:
            # Of a pinned context: by its super().
            own = in_plain if type(context) is pinned else settled
            return own(context, *arguments, **named)

        setattr(plain, name, wrap)
        setattr(pinned, name, settled)


class Report(unittest.TestResult):
    """One line of JSON when a test begins, and one when it has ended."""

    def __init__(self, out: IO[str], pinning: Pinning | None, seconds: float) -> None:
        super().__init__()
        self._out = out
        self._pinning = pinning
        self._seconds = seconds
        self._outcome = "passed"
        self._text = ""
        self._before = 0
        self._began = 0.0

    def _write(self, **values: object) -> None:
        self._out.write(json.dumps(values) + "\n")
        self._out.flush()

    def _verdicts(self) -> int:
        return len(self._pinning.verdicts) if self._pinning else 0

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's name
        super().startTest(test)
        # Ends the process: a thread that waits for ever cannot be stopped otherwise.
        faulthandler.dump_traceback_later(self._seconds, exit=True)
        self._outcome, self._text = "passed", ""
        self._began = monotonic()
        self._before = self._verdicts()
        self._write(test=test.id())

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's name
        super().stopTest(test)
        faulthandler.cancel_dump_traceback_later()
        self._write(
            test=test.id(),
            outcome=self._outcome,
            text=self._text,
            verdicts=self._verdicts() - self._before,
            seconds=round(monotonic() - self._began, 2),
        )

    def _went_wrong(self, test: unittest.TestCase, outcome: str, error: ExcInfo) -> None:
        text = "".join(traceback.format_exception(*error))[-4000:]
        if self._outcome == "passed" or not self._text:
            self._outcome, self._text = outcome, text
        if not isinstance(test, unittest.TestCase):  # setUpModule or setUpClass
            self._write(test=test.id(), outcome=outcome, text=text, verdicts=0, seconds=0)

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
    parser.add_argument("--clients-alone", action="store_true", help="servers stay plain")
    parser.add_argument("--leave-out", action="append", default=[], metavar="TEST")
    parser.add_argument("--only", action="append", default=[], metavar="TEST")
    arguments = parser.parse_args()

    report = arguments.report.resolve()
    support.use_resources = ["cpu", "decimal", "subprocess", "walltime"]  # and no network
    support.verbose = False
    pinning = None
    if arguments.pins:
        pinning = Pinning(PINS[arguments.pins](), clients_alone=arguments.clients_alone)
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
        suite.run(Report(out, pinning, arguments.seconds))
        os.chdir("/")


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    # A thread that a test has left behind must not keep the process.
    os._exit(0)
