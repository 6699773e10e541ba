"""Input made from other input: for machines without atheris, and for a run of a few seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

__all__ = ["MOST", "mutated"]

#: Bytes of an input.
MOST = 20_000

_ODD = (b"\0", b"\r\n", b"\xff", b"\xed\xa0\x80", b"\xc2\xa0", b'"', b"\\", b";", b"=", b"\x80\x84")


def mutated(random: Random, seeds: list[bytes]) -> bytes:
    """One of the seeds, changed up to eight times."""
    data = random.choice(seeds)
    for _ in range(random.randint(0, 8)):
        at = random.randint(0, len(data))
        to = min(len(data), at + random.choice((0, 1, 1, 2, 8, 64)))
        piece = random.choice(
            (
                b"",
                random.randbytes(random.choice((1, 1, 4, 40))),
                random.choice(_ODD),
                data[at:to] * random.choice((2, 3, 300)),
                random.choice(seeds)[: random.randint(0, 60)],
            )
        )
        data = (data[:at] + piece + data[to:])[:MOST]
    return data
