"""``python -m tests.fuzz TARGET [--seconds N]``: with atheris if it is installed, else without.

The inputs are tried in a process of their own, which notes each in a file before it is tried: so
that the one at fault is told whatever became of that process, a hang and a crash included.
"""

from __future__ import annotations

import argparse
import faulthandler
import functools
import gc
import importlib.util
import multiprocessing
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from random import Random
from types import FunctionType

from .bounds import SLOW, bounded
from .mutation import MOST, mutated
from .targets import CONTROLS, SEEDS, TARGETS, Target


def tried(target: Target, noted: Path, slow: float, data: bytes) -> None:
    """One input, which ends the process if it takes too long."""
    noted.write_bytes(data)
    faulthandler.dump_traceback_later(10 * slow, exit=True)
    try:
        with bounded(slow):
            target(data)
    finally:
        faulthandler.cancel_dump_traceback_later()


def without_atheris(run: Target, seeds: list[bytes], seconds: float, seed: int) -> None:
    """Mutations of the seeds, without regard to what they reach."""
    random = Random(seed)  # noqa: S311 - to be repeated, not to be secret
    runs, slowest, most = 0, 0.0, 0
    end = time.monotonic() + seconds
    while (began := time.monotonic()) < end:
        run(mutated(random, seeds))
        runs += 1
        slowest = max(slowest, time.monotonic() - began)
        most = max(most, tracemalloc.get_traced_memory()[1])
    print(f"{runs} inputs, the slowest {slowest:.3f} s, {most:,} bytes at most")


def with_atheris(run: Target, seeds: list[bytes], seconds: float, seed: int) -> None:
    """Guided by the coverage of the package, and of Python's reader of TOML."""
    import tomllib

    import atheris

    for function in gc.get_objects():
        if isinstance(function, FunctionType) and str(function.__module__).startswith(
            ("pinsock", tomllib.__name__)
        ):
            atheris.instrument_func(function)
    with tempfile.TemporaryDirectory() as corpus:
        for number, data in enumerate(seeds):
            Path(corpus, str(number)).write_bytes(data)
        options = (
            f"-max_total_time={seconds:.0f} -seed={seed} -max_len={MOST} -print_final_stats=1 "
            f"-artifact_prefix={corpus}/"
        )
        atheris.Setup([sys.argv[0], *options.split(), corpus], run)
        atheris.Fuzz()


def search(  # noqa: PLR0917 - a process is given no others
    target: str, noted: Path, guided: bool, slow: float, seconds: float, seed: int
) -> None:
    """Try inputs until the time is over, or one is at fault."""
    tracemalloc.start()
    run = functools.partial(tried, (TARGETS | CONTROLS)[target], noted, slow)
    seeds = SEEDS.get(target, [b"harmless"])
    (with_atheris if guided else without_atheris)(run, seeds, seconds, seed)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=[*TARGETS, *CONTROLS])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--slow", type=float, default=SLOW, help="seconds for one input")
    parser.add_argument(
        "--atheris",
        action=argparse.BooleanOptionalAction,
        default=importlib.util.find_spec("atheris") is not None,
        help="be guided by it",
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        noted = Path(folder, "input")
        options = (given.atheris, given.slow, given.seconds, given.seed)
        child = multiprocessing.Process(target=search, args=(given.target, noted, *options))
        child.start()
        child.join()
        if child.exitcode:
            data = noted.read_bytes() if noted.exists() else b""
            sys.exit(f"{given.target}: exit status {child.exitcode} at the input {data!r}")


if __name__ == "__main__":
    main()
