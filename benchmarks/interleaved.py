"""Alternatives timed in turn, in one process, and the ratios between them.

A machine is not equally fast for a whole run, and a time measured early does not compare with one
measured late.  So each round times every alternative once, one after the other, and a ratio is
taken within a round; the median of those ratios, with the spread around it, is the result.
"""

from __future__ import annotations

import statistics
import threading
import timeit
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import NamedTuple, TypeAlias

__all__ = ["Alternative", "Ratio", "busy_thread", "mean", "ratio", "time_in_turn"]

#: By alternative, then by round: the mean seconds of a call.
Times: TypeAlias = Mapping[str, list[float]]

#: Seconds of one alternative in one round: so few that a disturbance spoils a round, not a result.
BATCH = 0.002
#: With a busy thread a batch spans many of the interpreter's 5 ms turns, or it would show luck.
BUSY_BATCH = 0.2


class Alternative(NamedTuple):
    """A statement, and what its names mean; ``busy``: with a second thread that never rests."""

    statement: str
    names: Mapping[str, object]
    busy: bool = False


class Ratio(NamedTuple):
    """The median over the rounds, and between what the middle 80 % of them lay."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:8.2f}  ({self.low:.2f} to {self.high:.2f})"


@contextmanager
def busy_thread() -> Iterator[None]:
    """Beside the block, a thread that runs Python and gives the GIL away only when it has to."""
    running = threading.Event()
    stop: list[bool] = []

    def spin() -> None:
        running.set()
        while not stop:
            pass

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    if not running.wait(10):
        raise RuntimeError("the busy thread did not start within 10 s")
    try:
        yield
    finally:
        stop.append(True)
        thread.join(10)


def mean(alternative: Alternative) -> float:
    """Seconds of a call: the time of a batch by the calls that went into it.

    A batch has a length in time, not a number of calls.  Beside a busy thread a call may cost a
    microsecond or five milliseconds, and a number that was right for the one is not for the other.
    """
    timer = timeit.Timer(alternative.statement, globals=dict(alternative.names))
    batch = BUSY_BATCH if alternative.busy else BATCH
    total, calls, chunk = 0.0, 0, 1
    with busy_thread() if alternative.busy else nullcontext():
        while total < batch:
            seconds = timer.timeit(chunk)
            total += seconds
            calls += chunk
            if seconds < batch / 100:
                chunk *= 2
    return total / calls


def time_in_turn(alternatives: Mapping[str, Alternative], rounds: int) -> Times:
    """The mean seconds of a call, for each alternative and round."""
    times: dict[str, list[float]] = {name: [] for name in alternatives}
    order = list(alternatives)
    for _ in range(rounds):
        for name in order:
            times[name].append(mean(alternatives[name]))
        order.reverse()  # what ran first in one round runs last in the next
    return times


def ratio(times: Times, numerator: str, denominator: str) -> Ratio:
    """How many times the one takes as long as the other."""
    pairs = zip(times[numerator], times[denominator], strict=True)
    ratios = [one / other for one, other in pairs]
    if len(ratios) == 1:
        return Ratio(*ratios * 3)
    tenths = statistics.quantiles(ratios, n=10, method="inclusive")
    return Ratio(statistics.median(ratios), tenths[0], tenths[-1])
