"""A module of CPython's tests, run both ways, and what is wrong with what came out."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .listed import LISTED

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "HEADING",
    "SUITES",
    "UNSTEADY",
    "Comparison",
    "Result",
    "Run",
    "Wrap",
    "compare",
    "run",
    "steady",
]

SUITES = (
    "test_ssl",
    "test_ftplib",
    "test_imaplib",
    "test_poplib",
    "test_smtplib",
    "test_httplib",
    "test_asyncio.test_sslproto",
    "test_asyncio.test_ssl",
)
#: Where no test makes a connection with TLS: all that is seen is that nothing else breaks.
WITHOUT_TLS = frozenset({"test_smtplib"})
#: Where servers ask for certificates; in the other modules no server does.
WITH_PINNED_SERVERS = frozenset({"test_ssl"})
#: A server that need not be shown a certificate has nothing to pin.
_NOTHING_TO_PIN = frozenset({"server under CERT_NONE", "server under CERT_OPTIONAL"})
#: How many tests of a module may fail once and pass when the module is run again: CPython's tests
#: wait by the clock, and on a busy machine some fail either way.
UNSTEADY = 2

#: Seconds for one test; CPython's longest takes 5.
_LIMIT = 60.0
#: For a test that cannot pass, and may wait for ever for a server that has refused.
_LISTED_LIMIT = 10.0
_GOOD = frozenset({"passed", "skipped", "expected failure"})
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Result:
    """How one test ended."""

    outcome: str
    text: str = ""
    """The traceback, or why it was skipped."""


@dataclass
class Wrap:
    """What became of one connection."""

    test: str
    server_side: bool
    left_plain: str = ""
    """Why; empty: it was pinned, and only then does the rest say anything."""
    verdicts: int = 0
    refused: bool = False
    complete: bool = False
    """Whether OpenSSL said that the handshake was, at the verdict or when all was over."""
    resumed: bool = False

    def judged(self, verdict: Any) -> None:
        """For ``on_verdict``."""
        self.verdicts += 1
        self.refused = not verdict.allowed


@dataclass
class Run:
    """Of one module."""

    results: dict[str, Result] = field(default_factory=dict)
    wraps: list[Wrap] = field(default_factory=list)

    def bad(self) -> list[str]:
        return [name for name, result in self.results.items() if result.outcome not in _GOOD]

    def verdicts(self, *, server_side: bool) -> int:
        return sum(wrap.verdicts for wrap in self.wraps if wrap.server_side == server_side)


def run(
    suite: str,
    pins: str | None = None,
    *,
    only: frozenset[str] | None = None,
    leave_out: frozenset[str] = frozenset(),
    side: str = "both",
    seconds: float = _LIMIT,
) -> Run:
    """Run a module's tests, in a process of its own.

    A test that does not end takes its process with it; the tests that are left have another.

    :param pins: whose (see ``child``); ``None``: plain.
    :param only: of these tests alone.
    :param side: which one is pinned: ``"both"``, ``"clients"`` or ``"servers"``.
    """
    seen = Run()
    with tempfile.TemporaryDirectory() as folder:
        while True:
            known = len(seen.results)
            report = Path(folder, f"{known}.jsonl")
            command = [sys.executable, "-m", f"{__package__}.child", f"test.{suite}", str(report)]
            command += [f"--seconds={seconds}", f"--side={side}"]
            command += [f"--pins={pins}"] if pins else []
            command += [f"--only={name}" for name in only or ()]
            command += [f"--leave-out={name}" for name in (*leave_out, *seen.results)]
            ended = subprocess.run(
                command, cwd=_ROOT, env=_environment(), capture_output=True, check=False
            )
            said = ended.stderr.decode("utf-8", "replace")[-4000:]
            if not report.exists():
                raise RuntimeError(f"test.{suite} cannot be run:\n{said}")
            _read(report, said, seen)
            if ended.returncode == 0:
                return seen
            if len(seen.results) == known:
                raise RuntimeError(f"test.{suite} ended before its first test:\n{said}")


def _environment() -> dict[str, str]:
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):  # tests ask for the trust store's own place
        environment.pop(name, None)
    return environment


def _read(report: Path, said: str, into: Run) -> None:
    for line in report.read_text("utf-8").splitlines():
        values: dict[str, Any] = json.loads(line)
        if "wrap" in values:
            into.wraps.append(Wrap(**values["wrap"]))
            continue
        name = values.pop("test")
        into.results[name] = Result(**values) if values else Result("did not end", said)


HEADING = (
    f"{'':28}{'plain':^22}{'pinned':^22}{'':7}{'verdicts':^14}\n{'':28}"
    f"{' passed skipped failed' * 2} listed client server resumed left-plain"
)


@dataclass
class Comparison:
    """Of one module."""

    suite: str
    plain: Run
    pinned: Run
    """Without the listed tests."""
    listed: Run = field(default_factory=Run)
    """The listed tests, pinned."""
    clients_alone: Run = field(default_factory=Run)
    """Those of them that have to pass where servers are plain."""
    unsteady: list[str] = field(default_factory=list)
    """Failed, and passed when the whole module was run again."""

    def lines(self) -> Iterator[str]:
        """The line of the table, and what stands below it."""
        left_plain = Counter(wrap.left_plain for wrap in self.pinned.wraps if wrap.left_plain)
        yield (
            f"{self.suite:28}{_counted(self.plain)}{_counted(self.pinned)}"
            f"{len(self.listed.results):7}{self.pinned.verdicts(server_side=False):7}"
            f"{self.pinned.verdicts(server_side=True):7}"
            f"{sum(wrap.resumed for wrap in self.pinned.wraps):8}{left_plain.total():11}"
        )
        for why, times in sorted(left_plain.items()):
            yield f"    left plain, {times}: {why}"
        skipped = Counter(r.text for r in self.pinned.results.values() if r.outcome == "skipped")
        for why, times in sorted(skipped.items()):
            yield f"    skipped, {times}: {why}"
        for name in self.listed.results:
            listed = LISTED[_short(name)]
            also = " (passes with the clients alone pinned)" if listed.clients_pass else ""
            yield f"    listed: {_short(name)}{also}: {listed.why}"
        for name in self.unsteady:
            yield f"    failed once, and not when the module was run again: {name}"

    def faults(self) -> Iterator[str]:
        """All that must not be."""
        if not any(result.outcome == "passed" for result in self.plain.results.values()):
            yield "not one test passed"
        for how, seen in (
            ("plain", self.plain),
            ("pinned", self.pinned),
            ("with the clients alone pinned", self.clients_alone),
        ):
            for name in seen.bad():
                result = seen.results[name]
                yield f"fails {how}: {name}: {result.outcome}\n{result.text}"
        for name in self.plain.results.keys() - self.listed.results.keys():
            plain, pinned = self.plain.results[name], self.pinned.results.get(name)
            if pinned is None or plain.outcome != pinned.outcome:
                was = pinned.outcome if pinned else "not run"
                yield f"{plain.outcome} plain and, pinned, {was}: {name}"
        for name, result in self.listed.results.items():
            if result.outcome in _GOOD:
                yield f"passes, and is listed as one that cannot: {name}"
            elif not re.search(LISTED[_short(name)].says, result.text):
                yield f"fails, and not for the reason that is listed: {name}\n{result.text}"
        if len(self.unsteady) > UNSTEADY:
            yield f"{len(self.unsteady)} tests failed once: {', '.join(self.unsteady)}"
        yield from self._faults_of_wraps()

    def _faults_of_wraps(self) -> Iterator[str]:
        for wrap in self.pinned.wraps:
            if wrap.left_plain:
                if wrap.left_plain not in _NOTHING_TO_PIN:
                    yield f"left plain: {wrap}"
            elif wrap.verdicts != int(wrap.complete):
                yield f"not one verdict for each complete handshake: {wrap}"
            elif wrap.refused:
                yield f"refused, with the pins of CPython's own certificates: {wrap}"
        for server_side, modules in (
            (False, frozenset(SUITES) - WITHOUT_TLS),
            (True, WITH_PINNED_SERVERS),
        ):
            if (self.pinned.verdicts(server_side=server_side) > 0) != (self.suite in modules):
                yield f"verdicts of {'servers' if server_side else 'clients'}: not as expected"


def _counted(seen: Run) -> str:
    outcomes = Counter(result.outcome for result in seen.results.values())
    passed = outcomes["passed"] + outcomes["expected failure"]
    return f"{passed:7}{outcomes['skipped']:8}{len(seen.bad()):7}"


def _short(name: str) -> str:
    return name.removeprefix("test.")


def steady(suite: str, pins: str | None = None, **how: Any) -> tuple[Run, list[str]]:
    """What fails is run again with the whole module, so that what one test leaves for the next is
    there the second time as well."""
    seen = run(suite, pins, **how)
    unsteady: list[str] = []
    if seen.bad():
        again = run(suite, pins, **how)
        bad = {*seen.bad()}
        unsteady = sorted(bad.difference(again.bad()))
        good = {name: result for name, result in seen.results.items() if name not in bad}
        seen.results = again.results | good
    return seen, unsteady


def compare(suite: str) -> Comparison:
    """Run a module both ways, at the same time."""
    of_suite = {f"test.{name}": why for name, why in LISTED.items() if name.startswith(f"{suite}.")}
    with ThreadPoolExecutor() as pool:
        both = (
            pool.submit(steady, suite),
            pool.submit(steady, suite, "cpython", leave_out=frozenset(of_suite)),
        )
        (plain, unsteady), (pinned, unsteady_pinned) = (each.result() for each in both)
    comparison = Comparison(suite, plain, pinned, unsteady=sorted({*unsteady, *unsteady_pinned}))
    named = frozenset(name for name in of_suite if name in plain.results)  # those of this Python
    if named:
        comparison.listed = run(suite, "cpython", only=named, seconds=_LISTED_LIMIT)
    clients = frozenset(name for name in named if of_suite[name].clients_pass)
    if clients:
        comparison.clients_alone = run(suite, "cpython", only=clients, side="clients")
    return comparison
