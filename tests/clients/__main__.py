"""``cd tests && python -m clients``: run the matrix, or write the README's part of it."""

from __future__ import annotations

import argparse
import sys

from . import readme, results
from .rows import ROWS


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m clients", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run rows and write what came of them to results.json")
    run.add_argument("names", nargs="*", metavar="ROW", help="which; without one, all")
    commands.add_parser("readme", help="write table and recipes into README.md")
    arguments = parser.parse_args()
    if arguments.command == "readme":
        text = readme.README.read_text("utf-8")
        readme.README.write_text(readme.put(text, results.read()), "utf-8")
    else:
        _run(arguments.names)


def _run(names: list[str]) -> None:
    from .run import world  # the servers' programs are not needed for the README

    if unknown := set(names) - {row.name for row in ROWS}:
        sys.exit(f"no such row: {', '.join(sorted(unknown))}")
    with world() as w:
        for row in ROWS:
            if not names or row.name in names:
                result = w.run(row)
                results.write({row.name: result})
                print(row.name, result, flush=True)


if __name__ == "__main__":
    main()
