"""``python -m benchmarks``: the ratios, and whether they are what was expected."""

from __future__ import annotations

import argparse
import hashlib
import statistics
from typing import Final, TypeAlias

from benchmarks.check import KEYS, WAYS, subject
from benchmarks.imports import added_by_pinsock
from benchmarks.interleaved import Alternative, ratio, time_in_turn

HASH: Final = "the hash alone"
BUSY: Final = ", beside a busy thread"

#: (numerator, denominator, what is expected by key: at least, or at most if negative).
Rows: TypeAlias = tuple[tuple[str, str, dict[str, float]], ...]
IDLE_ROWS: Final[Rows] = (
    ("cryptography", "C", {"P-256": 10.0, "RSA-2048": 4.0}),
    ("Python", "C", {}),
    ("C", HASH, dict.fromkeys(KEYS, -2.5)),
    ("C, GIL released", "C", {}),
)
BUSY_ROWS: Final[Rows] = (
    (f"C{BUSY}", "C", dict.fromkeys(KEYS, -4.0)),
    (f"C, GIL released{BUSY}", "C, GIL released", {}),
    (f"Python{BUSY}", "Python", {}),
    (f"cryptography{BUSY}", "cryptography", {}),
)
MOST_IMPORT_MS: Final = 25.0


def judge(value: float, expectation: float | None) -> str:
    """In words; an expectation below zero is an upper bound."""
    if expectation is None:
        return ""
    at_least = expectation > 0
    holds = value >= expectation if at_least else value <= -expectation
    bound = f"expected {'>=' if at_least else '<='} {abs(expectation):g}"
    return f"{bound}: {'holds' if holds else 'DOES NOT HOLD'}"


def report(key: str, alternatives: dict[str, Alternative], rows: Rows, rounds: int) -> None:
    """Time these in turn; print their times, then the ratios."""
    times = time_in_turn(alternatives, rounds)
    print(f"\n{key}: microseconds a call, median of {rounds} rounds")
    for name, values in times.items():
        print(f"  {name:58}{statistics.median(values) * 1e6:9.2f}")
    print(f"{key}: ratios, median of {rounds} rounds (and the middle 80 % of them)")
    for one, other, expected in rows:
        result = ratio(times, one, other)
        judgement = judge(result.median, expected.get(key))
        print(f"  {one + ' / ' + other:58}{result!s:28}{judgement}".rstrip())


def main() -> None:
    """Print it all; slowness is shown, never an error."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=15, help="beside a busy thread; more is slower"
    )
    rounds = parser.parse_args().rounds
    for key in KEYS:
        der, spki, ways = subject(key)
        calls = {way: {"matches": ways[way], "der": der} for way in WAYS}
        idle = {way: Alternative("matches(der)", names) for way, names in calls.items()}
        busy = {
            way + BUSY: Alternative("matches(der)", names, busy=True)
            for way, names in calls.items()
        }
        floor = Alternative("sha256(spki).digest()", {"sha256": hashlib.sha256, "spki": spki})
        report(key, {HASH: floor} | idle, IDLE_ROWS, 20 * rounds)
        report(key, idle | busy, BUSY_ROWS, rounds)
    ssl, added = added_by_pinsock(rounds)
    print(f"\nimport ssl: {ssl * 1e3:.1f} ms; import pinsock adds {added * 1e3:.1f} ms,", end=" ")
    print(judge(added * 1e3, -MOST_IMPORT_MS))


if __name__ == "__main__":
    main()
