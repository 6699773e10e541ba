"""The check by itself: by kind of key and number of pins, and beside threads that are busy."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from benchmarks.check import KEYS, WAYS, WHOLE, subject
from benchmarks.figures import Chart, Figure, Section
from benchmarks.interleaved import Alternative, ratio, time_in_turn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.figures import Effort

__all__ = ["checks", "threads"]

FLOOR: Final = "the hash alone"
PINS: Final = (1, 2, 8, 64)
BUSY: Final = (1, 2, 4)

#: By key, for two pins: how many times as long as the check in C the idiom should take.
IDIOM_GOALS: Final = {"P-256": 10.0, "RSA-2048": 4.0}


def checks(effort: Effort) -> Iterator[Section]:
    """Deliverables of a table by key: every way against the check in C, and C against its floor."""
    for key in KEYS:
        figures: list[Figure] = []
        for pins in PINS:
            der, spki, ways = subject(key, pins)
            names = WAYS + (WHOLE if pins == 1 else ())
            alternatives = {
                way: Alternative("matches(der)", {"matches": ways[way], "der": der})
                for way in names
            }
            alternatives[FLOOR] = Alternative(
                "sha256(spki).digest()", {"sha256": hashlib.sha256, "spki": spki}
            )
            times = time_in_turn(alternatives, effort.rounds(100))
            suffix = f", {pins} pin{'s' if pins > 1 else ''}"
            for way in names[1:]:
                quoted = goal = None
                if way == "cryptography" and pins == 2:
                    quoted, goal = f"{key}: the `cryptography` idiom / the check in C", IDIOM_GOALS
                elif way == "Python" and pins == 2 and key in IDIOM_GOALS:
                    quoted = f"{key}: the check in Python / in C"
                elif way == "urllib3":
                    goal = {key: 1.0}
                    if key in IDIOM_GOALS:
                        quoted = (
                            f"{key}: urllib3's `assert_fingerprint` (whole certificate) / the check"
                        )
                figures.append(
                    Figure(
                        f"{way} / C{suffix}",
                        ratio(times, way, "C"),
                        (goal or {}).get(key),
                        quoted if quoted and key in IDIOM_GOALS else "",
                    )
                )
            figures.append(
                Figure(
                    f"C / {FLOOR}{suffix}",
                    ratio(times, "C", FLOOR),
                    -2.5,
                    f"{key}: the check in C / SHA-256 of the key alone"
                    if pins == 2 and key in IDIOM_GOALS
                    else "",
                )
            )
        yield Section(
            f"The check, {key}",
            "How many times as long as pinsock's check in C the others take, on one certificate. "
            "`cryptography` and `asn1crypto` parse it, encode the key anew, hash and compare; "
            "urllib3 and aiohttp compare the whole certificate with one fingerprint.",
            figures,
            Chart(f"check-{key}.svg", f"The check, {key}", "times the check in C"),
        )


def threads(effort: Effort) -> Iterator[Section]:
    """The check while others keep the interpreter busy."""
    figures = []
    ways = ("C", "C, GIL released", "Python")
    for key in ("P-256", "RSA-2048"):
        der, _, matches = subject(key)
        names = {way: {"matches": matches[way], "der": der} for way in ways}
        alternatives = {way: Alternative("matches(der)", names[way]) for way in ways}
        for busy in BUSY:
            for way in ways:
                alternatives[f"{way}, {busy}"] = Alternative("matches(der)", names[way], busy)
        times = time_in_turn(alternatives, effort.rounds(10))
        for busy in BUSY:
            beside = f"beside {busy} busy thread{'s' if busy > 1 else ''}"
            one = busy == 1
            figures += [
                Figure(
                    f"{key}: C {beside} / idle",
                    ratio(times, f"C, {busy}", "C"),
                    -4.0 if one else None,
                    f"{key}: the check {beside} / idle" if one else "",
                ),
                Figure(
                    f"{key}, {beside}: C, GIL released / C",
                    ratio(times, f"C, GIL released, {busy}", f"C, {busy}"),
                    50.0 if one else None,
                    f"{key}, {beside}: the same extension, releasing the GIL / the check"
                    if one
                    else "",
                ),
                Figure(
                    f"{key}, {beside}: Python / C", ratio(times, f"Python, {busy}", f"C, {busy}")
                ),
            ]
    yield Section(
        "Threads",
        "Means: the time of a fifth of a second and more of calls by their number, since a call "
        "that has to win the GIL back is rare and long. The build that releases the GIL is the "
        "same source, as cffi would make it by itself.",
        figures,
    )
