"""What came of each row when the matrix was last run with ``python -m clients run``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .rows import ROWS

__all__ = ["Result", "Results", "read", "without_version", "write"]

#: Of one row.  ``version``: of the library, as of that day.  ``server``.  ``wrong``: of the run
#: with the wrong key, ``application_bytes`` and ``connections`` as that key's owner counted them,
#: the class of the exception (``error``) and the way from it to ``PinMismatchError``
#: (``mismatch``, as in ``harness.Told``).  ``quiet``: the same of the run
#: with what keeps the client from trying again.
Result = dict[str, Any]
Results = dict[str, Result]

_FILE = Path(__file__).with_name("results.json")


def read() -> Results:
    results: Results = json.loads(_FILE.read_text("utf-8"))
    return results


def write(fresh: Results) -> None:
    """Replace what is there of these rows; what has no row any more goes."""
    kept = (read() if _FILE.exists() else {}) | fresh
    ordered = {row.name: kept[row.name] for row in ROWS if row.name in kept}
    _FILE.write_text(json.dumps(ordered, indent=1) + "\n", "utf-8")


def without_version(result: Result) -> Result:
    """What has to be the same in each run."""
    return {name: value for name, value in result.items() if name != "version"}
