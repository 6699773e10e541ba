"""``python -m proofs.constant_time``: does the scan's time depend on anything but the rows?

By valgrind, on the extension itself: tests/c/constant_time.c, loaded into Python, calls the scan
of the object file that the wheel ships, with table and digest marked as undefined; memcheck
complains of every branch and every address that depends on them.  (tests/c does the same with
gcc and clang at -O0, -O2 and -O3.)

By measurement: dudect.c, a million times by default.  Needs x86-64.

Both have to find a scan with memcmp.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Final

from proofs.common import C_TESTS, CSRC, DEBUG, PROOFS, Failure, must, need, run, say

#: dudect's own bounds: from 10 on it is "definitely not constant time".
T_LEAKS: Final = 10.0
#: What a scan that stops early has to reach, so that the measurement means something.
T_CONTROL: Final = 100.0
#: An interruption can look like a difference, though not again and again; a leak shows always.
ATTEMPTS: Final = 3

#: The symbol that the driver lacks is that of the object that was loaded before, for all to see.
DRIVER: Final = """
import ctypes, sys
scan = ctypes.CDLL(sys.argv[1], mode=ctypes.RTLD_GLOBAL)
driver = ctypes.CDLL(sys.argv[2])
driver.fflush = ctypes.CDLL(None).fflush
status = driver.main()
driver.fflush(None)
sys.exit(status)
"""


def memcheck(scratch: Path, scan: Path) -> tuple[bool, list[str]]:
    """Run the driver over one object: is it content, and what memcheck said of the scan."""
    driver = scratch / "constant_time.so"
    source = C_TESTS / "constant_time.c"
    must("gcc", *DEBUG, "-O1", "-shared", "-fPIC", f"-I{CSRC}", "-o", driver, source)
    done = run(
        *("valgrind", sys.executable, "-c", DRIVER, scan, driver),
        environment={"PYTHONMALLOC": "malloc", "PYTHONPATH": ""},
    )
    said = done.stderr
    ended = re.search(r"^[1-9]\d* checks, (\d+) failures", done.stdout, re.MULTILINE)
    if ended is None or (ended[1] == "0") != (done.returncode == 0):
        raise Failure(f"the driver did not run to its end:\n{done.stdout}{said[-3000:]}")
    # Pythons differ in what memcheck says of themselves.
    complaints = re.split(r"^==\d+== *\n", said, flags=re.MULTILINE)
    of_the_scan = re.compile(r"(at|by) 0x\w+: pinsock_find_digest")
    return ended[1] == "0", [text for text in complaints if of_the_scan.search(text)]


def check_object(scratch: Path, scan: Path) -> None:
    """The scan in a shared object, and the control."""
    content, complaints = memcheck(scratch, scan)
    if complaints or not content:
        what = "secrets are branched on, or answers are wrong"
        raise Failure("\n".join([f"{scan}: {what}", *complaints]))
    say(f"valgrind has nothing to say of {scan.name}")
    control = scratch / "memcmp_scan.so"
    must("gcc", "-O2", "-shared", "-fPIC", f"-I{CSRC}", "-o", control, C_TESTS / "memcmp_scan.c")
    _, complaints = memcheck(scratch, control)
    if not any("depends on uninitialised value" in text for text in complaints):
        raise Failure("valgrind has nothing to say of a scan with memcmp")
    say("valgrind finds the scan with memcmp")


def measure(scratch: Path, compiler: str, level: str, scan: Path, samples: int) -> float:
    """The largest |t| of one run."""
    program = scratch / "dudect"
    flags = (level, "-std=gnu99", f"-I{CSRC}", "-o", program, PROOFS / "dudect.c", scan, "-lm")
    must(compiler, *flags)
    return float(re.findall(r"^t (\S+)", must(program, str(samples)))[0])


def check_times(scratch: Path, samples: int) -> None:
    """Each compiler's scan, and the control."""
    for compiler in ("gcc", "clang"):
        for level in ("-O2", "-O3"):
            control = measure(scratch, compiler, level, C_TESTS / "memcmp_scan.c", samples)
            if control < T_CONTROL:
                raise Failure(f"{compiler} {level}: a scan with memcmp has |t| = {control} only")
            seen: list[float] = []
            while not seen or (min(seen) >= T_LEAKS and len(seen) < ATTEMPTS):
                scan = CSRC / "pin_table.c"
                seen.append(measure(scratch, compiler, level, scan, samples))
            if min(seen) >= T_LEAKS:
                raise Failure(f"{compiler} {level}: |t| = {seen}, {samples:,} samples")
            tried = ", ".join(map(str, seen))
            say(f"{compiler} {level}: |t| = {tried}; with memcmp {control}; {samples:,} samples")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m proofs.constant_time", description=__doc__)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--wheel", type=Path, help="check the object in it, not what is installed")
    options = parser.parse_args()
    need("gcc", "clang", "valgrind")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        if options.wheel is None:
            from pinsock import _ffi

            scan = Path(_ffi.__file__)
        else:
            with zipfile.ZipFile(options.wheel) as wheel:
                (member,) = (name for name in wheel.namelist() if "_ffi." in name and ".so" in name)
                scan = Path(wheel.extract(member, scratch))
        check_object(scratch, scan)
        check_times(scratch, options.samples)


if __name__ == "__main__":
    main()
