"""``python -m tests.fuzz TARGET [--seconds N]``: with atheris if it is installed, else without."""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
import tracemalloc
from random import Random

from .mutation import mutated
from .targets import SEEDS, TARGETS

#: Seconds and bytes for one input.
_SLOW, _LARGE = 5.0, 50_000_000


def without_atheris(target: str, seconds: float, seed: int) -> None:
    """Mutations of the seeds, without regard to what they reach."""
    random = Random(seed)  # noqa: S311 - to be repeated, not to be secret
    began = time.monotonic()
    runs, slowest = 0, 0.0
    tracemalloc.start()
    while time.monotonic() < began + seconds:
        data = mutated(random, SEEDS[target])
        start = time.monotonic()
        try:
            TARGETS[target](data)
        except BaseException:
            print(f"{target}: {data!r}", file=sys.stderr)
            raise
        slowest = max(slowest, time.monotonic() - start)
        runs += 1
    most = tracemalloc.get_traced_memory()[1]
    print(f"{target}: {runs} inputs, the slowest {slowest:.3f} s, {most:,} bytes at most")
    assert slowest < _SLOW
    assert most < _LARGE


def with_atheris(target: str, seconds: float, seed: int) -> None:
    """Guided by coverage of the package."""
    import atheris

    atheris.instrument_all()
    options = [f"-max_total_time={seconds:.0f}", f"-seed={seed}", f"-timeout={_SLOW:.0f}"]
    atheris.Setup([sys.argv[0], *options, "-rss_limit_mb=1000"], TARGETS[target])
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    guided = importlib.util.find_spec("atheris") is not None
    run = with_atheris if guided else without_atheris
    run(arguments.target, arguments.seconds, arguments.seed)


if __name__ == "__main__":
    main()
