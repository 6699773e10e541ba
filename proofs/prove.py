"""``python -m proofs.prove``: the walk by Frama-C's WP, the scan by ESBMC.

The walk (csrc/spki.c): for every length of input and every content, each function keeps the
contract above it, reads and writes no memory but its own, never wraps around, and ends.  The
contract of ``pinsock_find_spki`` says when an input is a certificate and where its key is.

The scan (csrc/pin_table.c): proofs/scan.c, for every table of up to so many rows.

With ``--faults`` mistakes are planted: each has to leave a goal open, or to be refuted.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from proofs.common import CSRC, PROOFS, Failure, must, need, run, say
from proofs.faults import FAULTS

if TYPE_CHECKING:
    from proofs.common import Fault

#: The longest first: they are proved side by side.
FUNCTIONS: Final = (
    *("pinsock_find_spki", "read_header", "find_in_tbs", "pinsock_find_spki_packed"),
    *("fail", "skip", "next_is"),
)
#: Those whose many ways out are proved one by one; together they are too much for a prover.
SPLIT: Final = ("find_in_tbs", "pinsock_find_spki", "pinsock_find_spki_packed")
#: For one goal and prover.  Most take a tenth of a second, the longest one.
GOAL_SECONDS: Final = 30
#: The same where a fault was planted: there the goals that stay open are waited for.
FAULT_SECONDS: Final = 5
#: Loops are unrolled so often: memcpy's 32 bytes and the way out.  ESBMC itself checks that
#: this was enough.
UNWIND: Final = 34


class Result(NamedTuple):
    """Goals proved, goals in all, and what WP printed."""

    proved: int
    goals: int
    said: str


def wp(csrc: Path, function: str, scratch: Path, machine: str, seconds: int) -> Result:
    """Try every goal of one function."""
    done = run(
        *("frama-c", "-machdep", machine, "-warn-unsigned-overflow", "-wp", "-wp-rte"),
        *("-wp-prover", "z3,cvc4", "-wp-par", "1", "-wp-timeout", str(seconds)),
        *("-wp-fct", function, *(("-wp-split",) if function in SPLIT else ())),
        csrc / "spki.c",
        seconds=1800,
        cwd=scratch,
        environment={"WHY3CONFIG": str(scratch / "why3.conf")},
    )
    said = done.stdout + done.stderr
    counted = re.findall(r"Proved goals: +(\d+) / (\d+)", said)
    if done.returncode != 0 or len(counted) != 1:
        raise Failure(said)
    return Result(int(counted[0][0]), int(counted[0][1]), said)


def prove_walk(scratch: Path, machine: str) -> None:
    """Every goal of every function."""
    start = time.monotonic()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda f: wp(CSRC, f, scratch, machine, GOAL_SECONDS), FUNCTIONS))
    proved, goals = sum(r.proved for r in results), sum(r.goals for r in results)
    named = re.findall(r"^[a-z].*?(\w+)\([^;]*$", (CSRC / "spki.c").read_text(), re.MULTILINE)
    if proved != goals or set(named) != set(FUNCTIONS):
        said = "".join(r.said for r in results)
        still_open = re.findall(r"^\[wp\] \[Failed\] Goal (\w+)", said, re.MULTILINE)
        raise Failure(
            f"the walk: {proved} of {goals} goals of {sorted(named)}; open: {', '.join(still_open)}"
        )
    say(f"the walk, {machine}: {proved} of {goals} goals in {time.monotonic() - start:.0f} s")


def esbmc(csrc: Path, rows: int, *defines: str) -> str | None:
    """What ESBMC refutes, ``None`` if nothing."""
    done = run(
        *("esbmc", PROOFS / "scan.c", csrc / "pin_table.c", f"-I{csrc}", f"-DROWS={rows}"),
        *(*defines, "--boolector", "--unwind", str(max(UNWIND, rows + 2)), "--overflow-check"),
        seconds=1800,
    )
    said = done.stdout + done.stderr
    if "VERIFICATION SUCCESSFUL" in said and done.returncode == 0:
        return None
    refuted = re.findall(r"Violated property:\n.*\n +(.*)", said)
    if "VERIFICATION FAILED" not in said or not refuted:
        raise Failure(said)
    return str(refuted[0])


def prove_scan(rows: int) -> None:
    """The scan, and that the proof comes to its end at the last row."""
    start = time.monotonic()
    if (refuted := esbmc(CSRC, rows)) is not None:
        raise Failure(f"the scan: {refuted}")
    control = esbmc(CSRC, rows, "-DREACHABLE")
    if control is None or not control.startswith("control"):
        raise Failure(f"the control that must fail: {control}")
    say(f"the scan: exact for 0 to {rows} rows, in {time.monotonic() - start:.0f} s")


def try_fault(fault: Fault, scratch: Path, machine: str) -> str | None:
    """What is found of it, ``None`` if all is still proved."""
    csrc = fault.plant(Path(tempfile.mkdtemp(dir=scratch)))
    if fault.file == "pin_table.c":
        return esbmc(csrc, 3)
    proved, goals, _ = wp(csrc, fault.function, scratch, machine, FAULT_SECONDS)
    return None if proved == goals else f"{goals - proved} of {goals} goals open"


def try_faults(scratch: Path, machine: str) -> None:
    """Each planted fault leaves a goal open or is refuted, where the code as it is has none."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(lambda fault: try_fault(fault, scratch, machine), FAULTS)
        for fault, what in zip(FAULTS, found, strict=True):
            if what is None:
                raise Failure(f"still proved: {fault.name}")
            say(f"found: {fault.name} ({what})")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m proofs.prove", description=__doc__)
    parser.add_argument("--rows", type=int, default=8, help="of the largest table of the scan")
    parser.add_argument("--machine", default="gcc_x86_64", help="or gcc_x86_32 (Frama-C's names)")
    parser.add_argument("--faults", action="store_true", help="plant faults as well")
    options = parser.parse_args()
    need("frama-c", "why3", "z3", "cvc4", "esbmc", "gcc")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        must("why3", "config", "detect", WHY3CONFIG=str(scratch / "why3.conf"))
        prove_scan(options.rows)
        prove_walk(scratch, options.machine)
        if options.faults:
            try_faults(scratch, options.machine)


if __name__ == "__main__":
    main()
