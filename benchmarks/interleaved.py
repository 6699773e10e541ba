"""Alternatives timed in turn, in one process, and the ratios between them.

A machine is not equally fast for a whole run, and a time measured early does not compare with one
measured late.  So each round times every alternative once, one after the other, and a ratio is
taken within a round; the median of those ratios, with the spread around it, is the result.
"""

from __future__ import annotations

import statistics
import threading
import timeit
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter, thread_time
from typing import NamedTuple, TypeAlias

__all__ = [
    "Alternative",
    "Ratio",
    "busy_threads",
    "mean",
    "ratio",
    "ratio_of_medians",
    "ratio_of_totals",
    "time_in_turn",
]

#: By alternative, then by round: the mean seconds of a call.
Times: TypeAlias = Mapping[str, list[float]]

#: Seconds of one alternative in one round: so few that a disturbance spoils a round, not a result.
BATCH = 0.002
#: With a busy thread a batch spans many of the interpreter's 5 ms turns, or it would show luck.
BUSY_BATCH = 0.2


class Alternative(NamedTuple):
    """A statement, and what its names mean; ``busy``: beside so many threads that never rest."""

    statement: str
    names: Mapping[str, object]
    busy: int = 0


class Ratio(NamedTuple):
    """The median over the rounds, and between what the middle 80 % of them lay."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:8.2f}  ({self.low:.2f} to {self.high:.2f})"


@contextmanager
def busy_threads(number: int = 1) -> Iterator[None]:
    """Beside the block, threads that run Python and give the GIL away only when they have to."""
    stop: list[bool] = []

    def spin(running: threading.Event) -> None:
        running.set()
        while not stop:
            pass

    threads = []
    try:
        for _ in range(number):
            running = threading.Event()
            threads.append(threading.Thread(target=spin, args=(running,), daemon=True))
            threads[-1].start()
            if not running.wait(10):
                raise RuntimeError("a busy thread did not start within 10 s")
        yield
    finally:
        stop.append(True)
        for thread in threads:
            thread.join(10)


def mean(alternative: Alternative) -> float:
    """Seconds of a call: the time of a batch by the calls that went into it.

    A batch has a length in time, not a number of calls.  Beside a busy thread a call may cost a
    microsecond or five milliseconds, and a number that was right for the one is not for the other.
    """
    # Of the processor, so that other programs do not count; but what a thread waits for does.
    clock = perf_counter if alternative.busy else thread_time
    timer = timeit.Timer(alternative.statement, timer=clock, globals=dict(alternative.names))
    batch = BUSY_BATCH if alternative.busy else BATCH
    total, calls, chunk = 0.0, 0, 1
    with busy_threads(alternative.busy):
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
    return _spread([one / other for one, other in pairs])


def ratio_of_medians(times: Times, numerator: str, denominator: str, parts: int = 20) -> Ratio:
    """The same for single events, of which one is no measure of another.

    The ratio of the medians over all; the spread is that of the same over parts of the run.
    """
    return _over_parts(times, numerator, denominator, parts, statistics.median)


def ratio_of_totals(times: Times, numerator: str, denominator: str) -> Ratio:
    """The same of the sums, where what counts is all that was waited for.

    Beside busy threads a call may cost a microsecond or five milliseconds, and a median would show
    one of the two.
    """
    return _over_parts(times, numerator, denominator, 5, sum)


def _over_parts(
    times: Times,
    numerator: str,
    denominator: str,
    parts: int,
    measure: Callable[[list[float]], float],
) -> Ratio:
    one, other = times[numerator], times[denominator]
    size = max(1, len(one) // parts)
    spread = _spread(
        [
            measure(one[i : i + size]) / measure(other[i : i + size])
            for i in range(0, len(one) - size + 1, size)
        ]
    )
    return Ratio(measure(one) / measure(other), spread.low, spread.high)


def _spread(ratios: list[float]) -> Ratio:
    if len(ratios) == 1:
        return Ratio(*ratios * 3)
    tenths = statistics.quantiles(ratios, n=10, method="inclusive")
    return Ratio(statistics.median(ratios), tenths[0], tenths[-1])
