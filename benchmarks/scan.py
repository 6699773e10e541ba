"""The scan of the table in constant time, from one pin to a million."""

from __future__ import annotations

import random
import statistics
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cffi import FFI

from benchmarks.check import load
from benchmarks.figures import Chart, Figure, Section
from benchmarks.interleaved import Alternative, Ratio, ratio, time_in_turn
from pinsock._native import find_digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.figures import Effort

__all__ = ["scans"]

SIZES: Final = (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000)
#: Below it what is measured is the call.
LEAST_FOR_GOAL: Final = 100
QUOTED: Final = (1_000, 1_000_000)

_CDEF: Final = """
int64_t scan_by_memcmp(const uint8_t *table, size_t rows, const uint8_t *digest);
uint64_t read_all(const uint8_t *table, size_t rows);
"""


@cache
def _compared() -> Any:
    ffi = FFI()
    ffi.cdef(_CDEF)
    source = Path(__file__).with_name("scan.c").read_text(encoding="ascii")
    ffi.set_source("_scan", source)
    with tempfile.TemporaryDirectory() as folder:
        return load("_scan", ffi.compile(tmpdir=folder)).lib


def scans(effort: Effort) -> Iterator[Section]:
    """Against a scan that stops early, against memory, by place, and by size."""
    lib = _compared()
    digits = random.Random(7)  # noqa: S311 - not secret
    absent = bytes(32)
    figures, places = [], []
    against: dict[str, list[tuple[float, float]]] = {"memcmp scan": [], "reading": []}
    by_size = {}
    for size in SIZES:
        table = digits.randbytes(32 * size)
        for row in {0, size // 2, size - 1}:
            digest = table[32 * row : 32 * row + 32]
            if (
                not find_digest(table, size, digest)
                == lib.scan_by_memcmp(table, size, digest)
                == row
            ):
                raise AssertionError(f"row {row} of {size} was not found in its place")
        if not find_digest(table, size, absent) == lib.scan_by_memcmp(table, size, absent) == -1:
            raise AssertionError("a digest was found that is not there")
        names = {"table": table, "rows": size, "absent": absent, "find": find_digest, "lib": lib}
        names |= {
            "first": table[:32],
            "last": table[-32:],
            "middle": table[32 * (size // 2) :][:32],
        }
        alternatives = {
            place: Alternative(f"find(table, rows, {place})", names)
            for place in ("absent", "first", "middle", "last")
        }
        alternatives["memcmp"] = Alternative(
            "scan(table, rows, absent)", {**names, "scan": lib.scan_by_memcmp}
        )
        alternatives["read"] = Alternative("read(table, rows)", {**names, "read": lib.read_all})
        times = time_in_turn(alternatives, effort.rounds(40 if size < 100_000 else 10))
        by_size[size] = statistics.median(times["absent"])
        for other, name, words in (
            ("memcmp", "memcmp scan", "a memcmp scan without a match"),
            ("read", "reading", "reading the table once"),
        ):
            result = ratio(times, "absent", other)
            against[name].append((size, result.median))
            goal = -1.5 if other == "memcmp" and size >= LEAST_FOR_GOAL else None
            what = f"{size:,} pin{'s' if size > 1 else ''}: the scan / {words}"
            quoted = what if size in QUOTED else ""
            figures.append(Figure(what, result, goal, quoted))
        if size in {1_000, 100_000}:
            places += [
                Figure(
                    f"{size:,} pins: match in the {place} row / no match",
                    ratio(times, place, "absent"),
                )
                for place in ("first", "middle", "last")
            ]
    growth = by_size[1_000_000] / by_size[1_000] / 1_000
    figures.append(
        Figure("time a pin, 1,000,000 / 1,000 pins", Ratio(growth, growth, growth), -1.5)
    )
    yield Section(
        "The table",
        "The scan reads every pin, whether and wherever one matches. A memcmp scan stops at the "
        "first difference in a row, and at the first row that matches; it is timed without a "
        "match, so it reads all rows too. The cost of the call from Python is in all of them.",
        figures + places,
        Chart("table.svg", "The scan in constant time", "times the other", against),
    )
