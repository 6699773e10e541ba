"""``python -m tests.mutation``: every small change of ``_gate``, ``_verify`` and ``_pins`` is
noticed by a test, or explained in survivors.txt.

First the core suite runs once and says which tests reach which line.  Then each mutant, in a copy
of the tree, is met by the tests that reach what was changed: one case of each test first, the
quickest first, and if it still lives all their cases.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tests.mutation import reach
from tests.mutation.mutants import Mutant, mutants

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ROOT: Final = Path(__file__).resolve().parents[2]
SURVIVORS: Final = Path(__file__).with_name("survivors.txt")
MODULES: Final = ("_gate", "_verify", "_pins")
TESTS: Final = ("check", "gate", "early", "policy", "real", "faults", "testing")
#: These trace, or interrupt every few instructions, and would not end under another tracer.
APART: Final = ("tests/gate/test_interruptions.py", "tests/early/test_interruptions.py")
#: Of tests that one mutant meets in each of the two turns, as they took when nothing was changed.
FIRST_SECONDS: Final = 20.0
ALL_SECONDS: Final = 40.0


class Reach:
    """Which tests to run on which lines."""

    def __init__(self, found: dict[str, Any]) -> None:
        self._lines = {
            module: {int(line): frozenset(tests) for line, tests in lines.items()}
            for module, lines in found["lines"].items()
        }
        self._seconds: dict[str, float] = found["seconds"]
        self._apart: list[str] = found["failed"]

    def _cheapest(self, tests: Iterable[str], limit: float) -> list[str]:
        chosen, sum_ = [], 0.0
        for test in sorted(tests, key=lambda test: self._seconds[test]):
            sum_ += self._seconds[test]
            if sum_ > limit and chosen:
                break
            chosen.append(test)
        return chosen

    def _one_of_each(self, tests: Iterable[str]) -> Iterable[str]:
        """The quickest case of each test."""
        by_time = sorted(tests, key=lambda test: -self._seconds[test])
        return {test.split("[")[0]: test for test in by_time}.values()

    def turns(self, mutant: Mutant) -> list[list[str]]:
        """One case of each test that reaches the change; all cases, and what tests apart."""
        lines = self._lines.get(mutant.module, {})
        for first, last in (mutant.lines, mutant.statement):
            tests = frozenset().union(*(lines.get(n, ()) for n in range(first, last + 1)))
            if tests:
                break
        else:  # what runs at import time is reached by every test
            every = frozenset().union(*lines.values())
            limit = FIRST_SECONDS + ALL_SECONDS
            return [self._cheapest(self._one_of_each(every), limit), self._apart]
        first_turn = self._cheapest(self._one_of_each(tests), FIRST_SECONDS)
        second = self._cheapest(tests - set(first_turn), ALL_SECONDS)
        return [first_turn, second, self._apart]


class Fate(NamedTuple):
    """What became of a mutant."""

    mutant: Mutant
    killed: bool
    tests: int  # that it met
    seconds: float


def copied(folder: Path) -> Path:
    """The tree, with the extension as it was built."""
    for name in ("pinsock", "tests", "csrc", "examples"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "pytest_pinsock.py", "README.md", "CHANGELOG.md", "THREATS.md"):
        shutil.copy(ROOT / name, folder)
    return folder


def passes(folder: Path, *arguments: str, seconds: float, **variables: str) -> bool:
    """Whether pytest ends well in that copy within the time; what it started ends with it."""
    environment = dict(os.environ, PYTHONPATH=str(folder), PYTHONDONTWRITEBYTECODE="1", **variables)
    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments)
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return process.wait(seconds) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def look(folder: Path, tests: Sequence[str]) -> dict[str, Any]:
    """Which of the tests reach what."""
    output = folder / "reach.json"
    paths = [str(Path("tests", test)) for test in tests]
    variables = {reach.OUTPUT: str(output)}
    left_out = [f"--deselect={name}" for name in APART]
    passes(folder, "-p", "tests.mutation.reach", *left_out, *paths, seconds=1800, **variables)
    found: dict[str, Any] = json.loads(output.read_text())
    if not found["seconds"]:
        raise SystemExit("no test ran")
    found["failed"] += [name for name in APART if Path(name).parent.name in tests]
    return found


def fate(mutant: Mutant, reached: Reach, original: str, folder: Path) -> Fate:
    """Whether a test notices this one."""
    start = time.monotonic()
    path = folder / "pinsock" / f"{mutant.module}.py"
    path.write_text(mutant.source)
    met, killed = 0, False
    try:
        for turn in reached.turns(mutant):
            met += len(turn)
            # Twice: on a busy machine a test may fail for want of time.
            if turn and not any(
                passes(folder, "-x", *turn, seconds=10 * ALL_SECONDS) for _ in range(2)
            ):
                killed = True
                break
    finally:
        path.write_text(original)
    return Fate(mutant, killed, met, time.monotonic() - start)


def explained() -> dict[str, str]:
    """Mutant and reason: two lines each, the second indented."""
    text = SURVIVORS.read_text() if SURVIVORS.exists() else ""
    return dict(re.findall(r"^(?! |#)(.+)\n {4}(\S.*)$", text, re.MULTILINE))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("modules", nargs="*", default=MODULES, metavar="MODULE")
    parser.add_argument("--sample", type=int, help="so many, chosen at random")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--tests", nargs="+", default=TESTS, help="below tests/")
    parser.add_argument("--reach", type=Path, help="file that keeps which tests reach what")
    parser.add_argument("--log", type=Path, help="file of what was seen, which a later run goes on")
    options = parser.parse_args()

    sources = {module: (ROOT / "pinsock" / f"{module}.py").read_text() for module in MODULES}
    chosen = [mutant for module in options.modules for mutant in mutants(module, sources[module])]
    if options.sample:
        random.seed(options.seed)
        chosen = random.sample(chosen, options.sample)
    seen: dict[str, bool] = {}
    if options.log and options.log.exists():
        seen = dict(json.loads(line)[:2] for line in options.log.read_text().splitlines())

    start = time.monotonic()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as temporary:
        Path(temporary).chmod(0o755)  # servers of the tests run as other users
        folders: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for number in range(options.jobs):
            folders.put(copied(Path(temporary, str(number))))
        if options.reach and options.reach.exists():
            found = json.loads(options.reach.read_text())
        else:
            folder = folders.get()
            found = look(folder, options.tests)
            folders.put(folder)
            if options.reach:
                options.reach.write_text(json.dumps(found))
        print(
            f"{len(found['seconds'])} tests in {time.monotonic() - start:.0f} s,"
            f" {len(found['failed'])} of them apart; {len(chosen)} mutants",
            flush=True,
        )
        reached = Reach(found)

        def one(mutant: Mutant) -> Fate:
            folder = folders.get()
            try:
                return fate(mutant, reached, sources[mutant.module], folder)
            finally:
                folders.put(folder)

        alive = {text for text, killed in seen.items() if not killed}
        with ThreadPoolExecutor(options.jobs) as pool:
            for end in pool.map(one, [each for each in chosen if each.key not in seen]):
                if options.log:
                    with options.log.open("a") as log:
                        log.write(
                            json.dumps([end.mutant.key, end.killed, end.tests, end.seconds]) + "\n"
                        )
                if not end.killed:
                    alive.add(end.mutant.key)
                    print(f"alive after {end.tests} tests: {end.mutant.key}", flush=True)
    lived = [mutant for mutant in chosen if mutant.key in alive]
    print(
        f"{len(chosen)} mutants in {time.monotonic() - start:.0f} s:"
        f" {len(chosen) - len(lived)} killed, {len(lived)} alive"
    )
    reasons = explained()
    open_ = sorted({str(mutant) for mutant in lived} - set(reasons))
    if open_:
        raise SystemExit("\n".join(["alive and not explained:", *open_]))
    stale = sorted({str(mutant) for mutant in chosen} & set(reasons) - {str(m) for m in lived})
    if stale:
        raise SystemExit("\n".join(["explained and not alive:", *stale]))


if __name__ == "__main__":
    main()
