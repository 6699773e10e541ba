"""``python -m benchmarks``: all of them, and a report with tables and pictures.

A wrong result is an error; a slow one is shown.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import ssl
import sys
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

from benchmarks import charts, data_path, early, in_place, load, memory, micro, policies, scan
from benchmarks.figures import Effort, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.figures import Section

BENCHMARKS: Final[tuple[Callable[[Effort], Iterator[Section]], ...]] = (
    micro.checks,
    micro.threads,
    scan.scans,
    in_place.handshakes,
    early.costs,
    data_path.messages,
    policies.many_hosts,
    memory.start_up,
    load.under_load,
)
RESULTS: Final = "RESULTS.md"
#: The share of the work of a full run that shows that everything works.
SHORT: Final = 0.02

#: Of other people's code that is measured, or does the work.
LIBRARIES: Final = ("cffi", "cryptography", "asn1crypto", "urllib3", "aiohttp", "uvloop")


def main() -> None:
    """Run those that are asked for, and write the report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [benchmark.__name__ for benchmark in BENCHMARKS]
    which = f"of {', '.join(names)}; all, if none is named"
    parser.add_argument("benchmark", nargs="*", help=which)
    parser.add_argument(
        "--short", action="store_true", help="see that everything works; the figures say little"
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="a folder for the report and its pictures; without one the tables are printed",
    )
    arguments = parser.parse_args()
    unknown = set(arguments.benchmark) - set(names)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    chosen = [
        benchmark
        for benchmark in BENCHMARKS
        if not arguments.benchmark or benchmark.__name__ in arguments.benchmark
    ]
    effort = Effort(SHORT if arguments.short else 1)

    start = monotonic()
    sections: list[Section] = []
    for number, benchmark in enumerate(chosen, 1):
        done = f"[{number}/{len(chosen)}, {monotonic() - start:4.0f} s]"
        print(f"{done} {benchmark.__name__}", file=sys.stderr, flush=True)
        for section in benchmark(effort):
            sections.append(section)
            if arguments.out is None:
                print(f"\n## {section.title}\n\n{body(section)}", flush=True)
    took = monotonic() - start
    print(f"{took:.0f} s", file=sys.stderr)
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        for section in sections:
            if section.chart is not None:
                charts.draw(section, arguments.out / section.chart.file)
        report = arguments.out / RESULTS
        report.write_text(report_of(sections, effort, took), encoding="utf-8")
        print(f"written: {report}", file=sys.stderr)


def report_of(sections: Sequence[Section], effort: Effort, took: float) -> str:
    """The whole of RESULTS.md."""
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    today = datetime.datetime.now(datetime.UTC).date()
    short = "" if effort.share == 1 else ", in the short form: these figures say little"
    head = (
        "# Results\n\n"
        "Written by `python -m benchmarks --out benchmarks` on "
        f"{today}, in {took:.0f} s{short}.\n\n"
        "Every figure is a ratio of two things that took turns in one run, with the range in which "
        "the middle 80 % of its parts lay. Times are those of the processor, but where threads or "
        "programs wait for one another. Before anything is timed it is proved to give the right "
        "answer.\n\n"
        f"- {processor()}, {os.cpu_count()} processors, {platform.system()}\n"
        f"- {platform.python_implementation()} {platform.python_version()} "
        f"({' '.join(platform.python_compiler().split())}), {ssl.OPENSSL_VERSION}\n"
        f"- {libraries}\n"
    )
    parts = [head, f"## Summary\n\n{summary(sections)}"]
    for section in sections:
        picture = f"\n![{section.title}]({section.chart.file})\n" if section.chart else ""
        parts.append(f"## {section.title}\n\n{body(section)}{picture}")
    return "\n".join(parts)


def summary(sections: Sequence[Section]) -> str:
    """The table that the README quotes, as it stands there."""
    quoted = [
        figure._replace(what=figure.quoted)
        for section in sections
        for figure in section.figures
        if figure.quoted
    ]
    return table(quoted)


def body(section: Section) -> str:
    """Its note, its table and its facts."""
    facts = "".join(f"- {fact}\n" for fact in section.facts)
    return f"{section.note}\n\n{table(section.figures)}" + (f"\n{facts}" if facts else "")


def processor() -> str:
    """Its name, as Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    main()
