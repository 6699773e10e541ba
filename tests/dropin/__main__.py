"""``python -m tests.dropin [MODULE ...]``: CPython's tests, plain and pinned, and a table."""

from __future__ import annotations

import argparse
import platform
import ssl
import sys

from .comparison import HEADING, SUITES, compare


def told(suite: str) -> bool:
    """Print the lines of one module and what is wrong; whether all is well."""
    comparison = compare(suite)
    for line in comparison.lines():
        print(line, flush=True)
    faults = list(comparison.faults())
    for fault in faults:
        print(f"    FAULT: {fault}", flush=True)
    return not faults


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.dropin", description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="MODULE", help=", ".join(SUITES))
    suites = parser.parse_args().suites or SUITES
    unknown = set(suites) - set(SUITES)
    if unknown:
        parser.error(f"{', '.join(sorted(unknown))}: choose from {', '.join(SUITES)}")
    print(f"Python {platform.python_version()}, {ssl.OPENSSL_VERSION}; no test uses a network")
    print(HEADING)
    well = [told(suite) for suite in suites]  # all of them, whatever became of the first
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main())
