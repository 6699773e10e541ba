"""How much of the processor, and of memory, one input may take."""

from __future__ import annotations

import contextlib
import math
import time
import tracemalloc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["SLOW", "bounded", "grows_too_fast"]

#: Seconds of the processor, on a machine that is busy, and bytes.
SLOW, LARGE = 5.0, 50_000_000


@contextlib.contextmanager
def bounded(slow: float = SLOW) -> Iterator[None]:
    """Raise AssertionError if what is done within takes more."""
    with contextlib.ExitStack() as after:
        if not tracemalloc.is_tracing():
            tracemalloc.start()
            after.callback(tracemalloc.stop)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        began = time.process_time()
        yield
        took = time.process_time() - began
        most = tracemalloc.get_traced_memory()[1] - before
    assert took < slow, f"{took:.2f} s"
    assert most < LARGE, f"{most:,} bytes"


def grows_too_fast(run: Callable[[int], None], size: int) -> bool:
    """Whether four times the size takes more than eight times the time: sixteen times, if it grows
    as the square.
    """
    once = fourfold = math.inf
    end = time.process_time() + 20.0
    for tries in range(20):
        once = min(once, _took(run, size))
        fourfold = min(fourfold, _took(run, 4 * size))
        # Noise only adds, so the least of some tell; and what takes no time does not grow.
        too_fast = fourfold > 8 * once + 0.005
        if time.process_time() > end or (tries >= 3 and not too_fast):
            break
    return too_fast


def _took(run: Callable[[int], None], size: int) -> float:
    began = time.process_time()
    run(size)
    return time.process_time() - began
