"""The figures in the README are those that were measured."""

from __future__ import annotations

import re
from pathlib import Path

TOP = Path(__file__).parents[1]
MARKS = ("<!-- the summary of benchmarks/RESULTS.md -->", "<!-- its end -->")


def test_the_figures_of_the_readme_are_those_of_the_results() -> None:
    """Its table is the summary of benchmarks/RESULTS.md, letter for letter."""
    readme = (TOP / "README.md").read_text(encoding="utf-8")
    results = (TOP / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    quoted = readme.split(MARKS[0])[1].split(MARKS[1])[0].strip()
    summary = results.split("## Summary\n")[1].split("\n## ")[0].strip()
    assert quoted == summary
    assert summary.count("\n") > 10


def test_the_results_are_of_a_full_run_and_have_their_pictures() -> None:
    """And not those of the short form, which says little."""
    results = (TOP / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    assert "short form" not in results
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", results)
    assert len(pictures) > 2
    for picture in pictures:
        assert (TOP / "benchmarks" / picture).read_text(encoding="utf-8").startswith("<?xml")
