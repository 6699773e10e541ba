"""A module of CPython's tests, run both ways, and what came out differently."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .listed import LISTED

__all__ = ["SUITES", "WITHOUT_TLS", "Comparison", "Result", "compare", "passed", "run"]

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
    verdicts: int = 0
    """How many connections were judged meanwhile."""
    text: str = ""
    seconds: float = 0.0


def run(
    suite: str,
    pins: str | None = None,
    *,
    only: frozenset[str] | None = None,
    leave_out: frozenset[str] = frozenset(),
    clients_alone: bool = False,
    seconds: float = _LIMIT,
) -> dict[str, Result]:
    """The results of a module's tests, in a process of its own.

    A test that does not end takes its process with it; the tests that are left have another.

    :param pins: whose (see ``child``); ``None``: plain.
    :param only: of these tests alone.
    :param clients_alone: servers stay plain.
    """
    results: dict[str, Result] = {}
    with tempfile.TemporaryDirectory() as folder:
        while True:
            known = len(results)
            report = Path(folder, f"{known}.jsonl")
            command = [sys.executable, "-m", f"{__package__}.child", f"test.{suite}", str(report)]
            command += [f"--seconds={seconds}"]
            command += [f"--pins={pins}"] if pins else []
            command += [f"--only={name}" for name in only or ()]
            command += [f"--leave-out={name}" for name in (*leave_out, *results)]
            command += ["--clients-alone"] if clients_alone else []
            ended = subprocess.run(
                command, cwd=_ROOT, env=_environment(), capture_output=True, check=False
            )
            said = ended.stderr.decode("utf-8", "replace")[-4000:]
            if not report.exists():
                raise RuntimeError(f"test.{suite} cannot be run:\n{said}")
            results |= _read(report, said)
            if ended.returncode == 0:
                return results
            if len(results) == known:
                raise RuntimeError(f"test.{suite} ended before its first test:\n{said}")


def _environment() -> dict[str, str]:
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):  # tests ask for the trust store's own place
        environment.pop(name, None)
    return environment


def _read(report: Path, said: str) -> dict[str, Result]:
    results: dict[str, Result] = {}
    for line in report.read_text("utf-8").splitlines():
        values: dict[str, Any] = json.loads(line)
        name = values.pop("test")
        results[name] = Result(**values) if values else Result("did not end", text=said)
    return results


@dataclass
class Comparison:
    """Of one module."""

    suite: str
    plain: dict[str, Result]
    pinned: dict[str, Result]
    """Without the listed tests."""
    listed: dict[str, Result] = field(default_factory=dict)
    """The listed tests, pinned."""
    clients_alone: dict[str, Result] = field(default_factory=dict)
    """Those of them that have to pass where servers are plain."""
    worse: dict[str, Result] = field(default_factory=dict)
    """Passed plain, failed pinned, twice, and are not listed."""
    unsteady: list[str] = field(default_factory=list)
    """Differed, and when they were run alone did not."""

    @property
    def verdicts(self) -> int:
        return sum(result.verdicts for result in self.pinned.values())

    @property
    def better(self) -> list[str]:
        """Are listed, and passed: they have no place there."""
        return [name for name, result in self.listed.items() if result.outcome in _GOOD]


def passed(results: dict[str, Result]) -> int:
    """How many passed, or were skipped."""
    return sum(result.outcome in _GOOD for result in results.values())


def _worse(plain: dict[str, Result], pinned: dict[str, Result]) -> dict[str, Result]:
    return {
        name: pinned.get(name, Result("not run"))
        for name, result in plain.items()
        if result.outcome in _GOOD
        and (name not in pinned or pinned[name].outcome != result.outcome)
    }


def compare(suite: str) -> Comparison:
    """Run a module both ways, at the same time."""
    of_suite = {f"test.{name}": why for name, why in LISTED.items() if name.startswith(f"{suite}.")}
    with ThreadPoolExecutor() as pool:
        both = (
            pool.submit(run, suite),
            pool.submit(run, suite, "cpython", leave_out=frozenset(of_suite)),
        )
        plain, pinned = (each.result() for each in both)
    comparison = Comparison(suite, plain, pinned)
    named = frozenset(name for name in of_suite if name in plain)  # those of this Python
    if named:
        comparison.listed = run(suite, "cpython", only=named, seconds=_LISTED_LIMIT)
    clients = frozenset(name for name in named if of_suite[name].clients_pass)
    if clients:
        comparison.clients_alone = run(suite, "cpython", only=clients, clients_alone=True)
    expected = {name: plain[name] for name in plain if name not in named}
    left = frozenset(_worse(expected, pinned))
    if left:
        # CPython's tests wait by the clock, and on a busy machine some fail either way.
        comparison.worse = _worse(run(suite, only=left), run(suite, "cpython", only=left))
        comparison.unsteady = sorted(left - comparison.worse.keys())
    comparison.worse |= _worse({name: plain[name] for name in clients}, comparison.clients_alone)
    return comparison
