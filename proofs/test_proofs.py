"""The short form of each command: ``pytest proofs -m proofs``."""

from __future__ import annotations

import subprocess
import sys

import pytest

from proofs.common import ROOT

#: The Python tests that hand the C library the most, and the most hostile, input.
HOSTILE = ("tests/check/test_hostile.py", "tests/check/test_native.py", "tests/check/test_table.py")


@pytest.mark.proofs
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "arguments",
    [
        ("fuzz", "--runs", "1000000", "--twins", "20000"),
        ("coverage",),
        ("sanitised", "-q", *HOSTILE),
        ("analyse",),
        ("prove", "--short"),
        ("constant_time",),
        ("foreign",),
        ("mutate", "--every", "10"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_the_command_finds_nothing_wrong(arguments: tuple[str, ...]) -> None:
    """Each fails by itself if its control does."""
    name, *rest = arguments
    done = subprocess.run(
        (sys.executable, "-m", f"proofs.{name}", *rest),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=880,
        check=False,
    )
    print(done.stdout, done.stderr)
    assert done.returncode == 0
