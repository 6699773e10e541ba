"""What pinsock costs before the first connection: time to import, contexts, memory."""

from __future__ import annotations

import gc
import ssl
import tracemalloc
from typing import TYPE_CHECKING, Final

import pinsock
from benchmarks.figures import Figure, Section
from benchmarks.imports import added_by_pinsock
from benchmarks.interleaved import Alternative, Ratio, ratio, time_in_turn
from benchmarks.meetings import HOST, people, strangers
from pinsock import Pin, PinPolicy, PinSet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.figures import Effort

__all__ = ["start_up"]

SIZES: Final = (1, 1_000, 100_000)


def start_up(effort: Effort) -> Iterator[Section]:
    """Importing, making contexts, and bytes a pin and a host."""
    plain, added = added_by_pinsock(effort.rounds(15))
    imports = (plain + added) / plain
    who = people("P-256")
    pins = PinSet(*who.pins)
    names = {"make": ssl.create_default_context, "ca": who.authority.pem}
    times = time_in_turn(
        {
            "ssl": Alternative("make(cadata=ca)", names),
            "pinsock": Alternative(
                "make(pins, cadata=ca)",
                {**names, "make": pinsock.create_default_context, "pins": pins},
            ),
        },
        effort.rounds(50),
    )
    contexts = ratio(times, "pinsock", "ssl")
    figures = [
        Figure("import pinsock / import ssl", Ratio(imports, imports, imports)),
        Figure("making a pinned context / a plain one, one authority", contexts),
    ]
    facts = [
        f"`import pinsock` adds {added * 1e3:.0f} ms to the {plain * 1e3:.0f} ms of `import ssl`."
    ]
    for what, make in (("pin", set_of), ("host", policy_of)):
        sizes = [
            f"{bytes_of(make, size) / size:,.0f} among {size:,}"
            for size in SIZES
            if effort.share >= 1 or size < SIZES[-1]
        ]
        facts.append(f"Bytes a {what}: {', '.join(sizes)}.")
    yield Section(
        "Start-up and memory",
        "Imports in processes of their own, the least of all rounds; memory as `tracemalloc` "
        "counts it, with the objects around. A host has a set of its own, with a pin and a backup.",
        figures,
        facts=facts,
    )


def set_of(size: int) -> object:
    """So many pins."""
    return PinSet([Pin("spki", number.to_bytes(32, "big")) for number in range(1, size + 1)], None)


def policy_of(size: int) -> object:
    """So many hosts."""
    return PinPolicy({f"h{number}.{HOST}.example": strangers(number) for number in range(size)})


def bytes_of(make: Callable[[int], object], size: int) -> int:
    """What it leaves in memory."""
    make(1)  # whatever is made only once
    gc.collect()
    tracemalloc.start()
    kept = make(size)
    gc.collect()
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del kept
    return taken
