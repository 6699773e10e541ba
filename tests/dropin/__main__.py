"""``python -m tests.dropin [MODULE ...]``: CPython's tests, plain and pinned, and a table."""

from __future__ import annotations

import argparse
import platform
import ssl
import sys

from .comparison import SUITES, WITHOUT_TLS, Comparison, compare, passed
from .listed import LISTED


def told(comparison: Comparison) -> bool:
    """Print the line of one module and what is wrong; whether all is well."""
    print(
        f"{comparison.suite:28}{len(comparison.plain):6}{passed(comparison.plain):7}"
        f"{passed(comparison.pinned):8}{len(comparison.listed):8}{comparison.verdicts:10}",
        flush=True,
    )
    for name in comparison.listed:
        short = name.removeprefix("test.")
        also = " (passes with the clients alone pinned)" if LISTED[short].clients_pass else ""
        print(f"    listed: {short}{also}: {LISTED[short].why}")
    for name in comparison.unsteady:
        print(f"    differed once, and not when it was run alone: {name}")
    for name, result in comparison.worse.items():
        print(f"    FAILS PINNED: {name}: {result.outcome}\n{result.text}")
    for name in comparison.better:
        print(f"    PASSES, and is listed as one that cannot: {name}")
    judged = comparison.verdicts > 0 or comparison.suite in WITHOUT_TLS
    if not judged:
        print("    NOT ONE VERDICT: the pins were not checked")
    return judged and not (comparison.worse or comparison.better)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.dropin", description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="MODULE", help=", ".join(SUITES))
    suites = parser.parse_args().suites or SUITES
    unknown = set(suites) - set(SUITES)
    if unknown:
        parser.error(f"{', '.join(sorted(unknown))}: choose from {', '.join(SUITES)}")
    print(f"Python {platform.python_version()}, {ssl.OPENSSL_VERSION}")
    print(f"{'':28} tests  plain  pinned  listed  verdicts")
    well = [told(compare(suite)) for suite in suites]  # all of them, whatever became of the first
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main())
