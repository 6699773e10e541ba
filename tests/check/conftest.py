"""What tests of the check share."""

from __future__ import annotations

from .backends import EXPECTED

# It calls the C library itself, which this run does not have on purpose.
collect_ignore = [] if EXPECTED == "c" else ["test_native.py"]
