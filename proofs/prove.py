"""``python -m proofs.prove``: the walk by Frama-C's WP, the scan by ESBMC.

The walk (csrc/spki.c): for every length of input and every content, each function keeps the
contract above it, reads and writes no memory but its own, never wraps around, and ends.  The
contract of ``pinsock_find_spki`` says when an input is a certificate and where its key is.

The scan (csrc/pin_table.c): proofs/scan.c, for every table of up to so many rows.

With ``--faults`` mistakes are planted: each has to leave a goal open, or to be refuted.  The goals
have as long as in the code as it is, all of whose goals were proved just before, and what stays
open is named.  With ``--short`` there are only the quick functions, two rows, and a fault of each
kind.

With ``--smoke`` WP looks for contracts that nothing can meet and for code that nothing reaches, of
which all would be true; a planted contradiction has to be found.
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
from proofs.faults import CONTRADICTION, FAULTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proofs.common import Fault

#: The longest first: they are proved side by side.
FUNCTIONS: Final = (
    *("pinsock_find_spki", "read_header", "find_in_tbs", "pinsock_find_spki_packed"),
    *("fail", "skip", "next_is"),
)
#: Those whose many ways out are proved one by one; together they are too much for a prover.
SPLIT: Final = ("find_in_tbs", "pinsock_find_spki", "pinsock_find_spki_packed")
#: What a short run is about.
QUICK: Final = ("read_header", "fail", "skip", "next_is")
SHORT_FAULTS: Final = ("an element is entered, not stepped over", "a word is not compared")
#: For one goal and prover, of which most take a tenth of a second: the machine may be busy.
GOAL_SECONDS: Final = 10
#: What C lets pass without a word: unsigned arithmetic that wraps around, and a number that does
#: not fit where it is put.  (What C leaves undefined is looked for anyway.)
CHECKED: Final = ("unsigned-overflow", "signed-downcast", "unsigned-downcast")
MACHINE: Final = "gcc_x86_64"  # as Frama-C calls it
#: Loops are unrolled so often: memcpy's 32 bytes and the way out.  ESBMC itself checks that
#: this was enough.
UNWIND: Final = 34


class Result(NamedTuple):
    """Goals proved, goals in all, and the names of those that are open."""

    proved: int
    goals: int
    still_open: list[str]


def wp(csrc: Path, function: str, scratch: Path, *more: str) -> Result:
    """Try every goal of one function."""
    done = run(
        *("frama-c", "-machdep", MACHINE, *(f"-warn-{what}" for what in CHECKED), "-wp", "-wp-rte"),
        *("-wp-prover", "z3,cvc4", "-wp-par", "1", "-wp-timeout", str(GOAL_SECONDS)),
        *("-wp-fct", function, *(("-wp-split",) if function in SPLIT else ()), *more),
        csrc / "spki.c",
        seconds=1800,
        cwd=scratch,
        environment={"WHY3CONFIG": str(scratch / "why3.conf")},
    )
    said = done.stdout + done.stderr
    counted = re.findall(r"Proved goals: +(\d+) / (\d+)", said)
    failed = re.findall(r"^\[wp\] \[Failed\] (?:Goal|Smoke-test) typed_(\w+)", said, re.MULTILINE)
    still_open = list(dict.fromkeys(failed))  # a smoke test is printed twice
    if done.returncode != 0 or len(counted) != 1:
        raise Failure(said)
    proved, goals = map(int, counted[0])
    if goals == 0 or goals - proved != len(still_open):
        raise Failure(f"{function}: {proved} of {goals} goals, and open are {still_open}")
    return Result(proved, goals, still_open)


def prove_walk(functions: Sequence[str], scratch: Path, *more: str) -> None:
    """Every goal of these functions; none that the file holds is unknown to us."""
    start = time.monotonic()
    named = re.findall(r"^[a-z].*?(\w+)\([^;]*$", (CSRC / "spki.c").read_text(), re.MULTILINE)
    if set(named) != set(FUNCTIONS):
        raise Failure(f"spki.c holds {sorted(named)}, and known are {sorted(FUNCTIONS)}")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda f: wp(CSRC, f, scratch, *more), functions))
    proved, goals = sum(r.proved for r in results), sum(r.goals for r in results)
    if proved != goals:
        still_open = ", ".join(name for r in results for name in r.still_open)
        raise Failure(f"the walk: {proved} of {goals} goals; open: {still_open}")
    what = "the walk" if functions == FUNCTIONS else ", ".join(functions)
    seconds = time.monotonic() - start
    say(f"{what}, {' '.join((MACHINE, *more))}: {proved} of {goals} goals in {seconds:.0f} s")


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


def try_fault(fault: Fault, scratch: Path) -> str | None:
    """What is found of it, ``None`` if all is still proved."""
    csrc = fault.plant(Path(tempfile.mkdtemp(dir=scratch)))
    if fault.file == "pin_table.c":
        return esbmc(csrc, 2)
    proved, goals, still_open = wp(csrc, fault.function, scratch)
    names = ", ".join(still_open)
    return None if proved == goals else f"open: {goals - proved} of {goals} goals, {names}"


def try_faults(faults: Sequence[Fault], scratch: Path) -> None:
    """Each planted fault leaves a goal open or is refuted, where the code as it is has none."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(lambda fault: try_fault(fault, scratch), faults)
        for fault, what in zip(faults, found, strict=True):
            if what is None:
                raise Failure(f"still proved: {fault.name}")
            say(f"found: {fault.name} ({what})")


def smoke(scratch: Path) -> None:
    """No contract is true for want of anything that meets it."""
    flag = "-wp-smoke-tests"
    csrc = CONTRADICTION.plant(Path(tempfile.mkdtemp(dir=scratch)))
    still_open = wp(csrc, CONTRADICTION.function, scratch, flag).still_open
    if not any("smoke" in name for name in still_open):
        raise Failure(f"not found: {CONTRADICTION.name}")
    say(f"found: {CONTRADICTION.name} ({', '.join(still_open)})")
    prove_walk(FUNCTIONS, scratch, flag)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m proofs.prove", description=__doc__)
    parser.add_argument("--rows", type=int, default=8, help="of the largest table of the scan")
    parser.add_argument("--faults", action="store_true", help="plant faults as well")
    parser.add_argument("--smoke", action="store_true", help="only look for empty contracts")
    parser.add_argument("--short", action="store_true", help="a part of all that, in minutes")
    options = parser.parse_args()
    need("frama-c", "why3", "z3", "cvc4", "esbmc", "gcc")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        must("why3", "config", "detect", WHY3CONFIG=str(scratch / "why3.conf"))
        if options.smoke:
            smoke(scratch)
            return
        with ThreadPoolExecutor() as pool:
            scan = pool.submit(prove_scan, 2 if options.short else options.rows)
            prove_walk(QUICK if options.short else FUNCTIONS, scratch)
            scan.result()
        if options.short:
            known = {fault.name: fault for fault in FAULTS}
            try_faults([known[name] for name in SHORT_FAULTS], scratch)
        elif options.faults:
            try_faults(FAULTS, scratch)


if __name__ == "__main__":
    main()
