"""What a benchmark gives back: ratios with their spread, and whether that is what was hoped for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.interleaved import Ratio

__all__ = ["Chart", "Effort", "Figure", "Section", "judge", "table"]


class Effort(NamedTuple):
    """How much of everything is done: 1 for figures to quote, less to see that it works."""

    share: float

    def rounds(self, number: int, least: int = 2) -> int:
        """So many of them."""
        return max(least, round(number * self.share))


class Figure(NamedTuple):
    """One ratio, and what it is of."""

    what: str
    ratio: Ratio
    goal: float | None = None
    """At least that; at most that if it is negative; ``None``: it is just shown."""
    quoted: str = ""
    """What the README calls it, if it stands there."""


class Chart(NamedTuple):
    """A picture of a section's ratios: bars, or lines over sizes."""

    file: str
    title: str
    unit: str
    lines: dict[str, list[tuple[float, float]]] | None = None
    """By name: (size, ratio); both axes are logarithmic."""


class Section(NamedTuple):
    """Figures that were measured in one run, with what has to be known to read them."""

    title: str
    note: str
    figures: Sequence[Figure]
    chart: Chart | None = None
    facts: Sequence[str] = ()
    """Sentences for what is not a ratio."""


def judge(value: float, goal: float | None) -> str:
    """In words; a goal below zero is an upper bound."""
    if goal is None:
        return ""
    holds = value >= goal if goal > 0 else value <= -goal
    bound = f"{'at least' if goal > 0 else 'at most'} {abs(goal):g}"
    return f"{bound}: {'reached' if holds else 'missed'}"


def number(value: float) -> str:
    """With as many digits as say something."""
    if abs(value - 1) < 0.02:
        return f"{value:.3f}"
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def table(figures: Sequence[Figure]) -> str:
    """In Markdown."""
    lines = ["| | ratio | middle 80 % | goal |", "|---|---|---|---|"]
    lines += [
        f"| {figure.what} | {number(figure.ratio.median)} "
        f"| {number(figure.ratio.low)} to {number(figure.ratio.high)} "
        f"| {judge(figure.ratio.median, figure.goal)} |"
        for figure in figures
    ]
    return "\n".join(lines) + "\n"
