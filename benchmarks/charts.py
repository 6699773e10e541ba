"""Pictures of the results, as SVG (matplotlib, from the extra ``benchmarks``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.figures import Section

__all__ = ["draw"]


def draw(section: Section, path: Path) -> None:
    """The picture that a section asks for."""
    import matplotlib

    matplotlib.use("svg")
    # Text stays text, and the same figures give the same file.
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "pinsock"})
    from matplotlib import pyplot

    chart = section.chart
    if chart is None:
        raise ValueError(f"{section.title} has no picture")
    if chart.lines is not None:
        figure, axes = pyplot.subplots(figsize=(7, 4))
        for name, points in chart.lines.items():
            axes.plot(*zip(*points, strict=True), marker="o", label=f"against {name}")
        axes.set_xscale("log")
        axes.set_xlabel("pins")
        axes.set_ylabel(chart.unit)
        axes.axhline(1, color="grey", linewidth=0.8)
        axes.legend()
    else:
        figures = section.figures
        figure, axes = pyplot.subplots(figsize=(9, 1 + 0.28 * len(figures)))
        places = range(len(figures), 0, -1)
        medians = [one.ratio.median for one in figures]
        errors = [
            [max(0.0, one.ratio.median - one.ratio.low) for one in figures],
            [max(0.0, one.ratio.high - one.ratio.median) for one in figures],
        ]
        axes.barh(places, medians, xerr=errors, color="#4878a8", ecolor="#333333", capsize=2)
        axes.set_yticks(places, [one.what for one in figures], fontsize=8)
        axes.axvline(1, color="grey", linewidth=0.8)
        axes.set_xlabel(chart.unit)
        if max(medians) > 20 * min(medians):
            axes.set_xscale("log")
    axes.set_title(chart.title)
    figure.savefig(path, format="svg", bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)
