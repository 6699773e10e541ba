"""``python -m proofs.constant_time``: does the scan's time depend on anything but the rows?

By valgrind, on the extension itself: tests/c/constant_time.c, loaded into Python, calls the scan
of the object file that the wheel ships, with table and digest marked as undefined; memcheck
complains of every branch and every address that depends on them.  (tests/c does the same with
gcc and clang at -O0, -O2 and -O3.)

By measurement: dudect.c, loaded in the same way, with the same object and with what gcc and clang
make at -O2 and -O3; each of its pairs of classes a million times by default.  Needs x86-64.

Both have to find a scan that stops early.
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

#: The usual bound of a leak (Goodwill et al., "A testing methodology for side-channel resistance
#: validation", 2011); chance alone passes it once in 100,000 tests.
T_SUSPECT: Final = 4.5
#: What a neighbour on the same processor does can pass it as well.  So a suspect is measured again,
#: each time with four times the samples, by which the t of a leak doubles; one that is suspected so
#: often is a leak.
ATTEMPTS: Final = 3
#: What a scan that stops early has to reach, so that the measurement means something.
T_CONTROL: Final = 10 * T_SUSPECT
PAIRS: Final = 4

#: The symbol that the driver lacks is that of the object that was loaded before, for all to see.
DRIVER: Final = """
import ctypes, os, sys
scan = ctypes.CDLL(sys.argv[1], mode=ctypes.RTLD_GLOBAL)
driver = ctypes.CDLL(sys.argv[2])
driver.fflush = ctypes.CDLL(None).fflush
arguments = [os.fsencode(argument) for argument in sys.argv[2:]]
status = driver.main(len(arguments), (ctypes.c_char_p * len(arguments))(*arguments))
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


def measure(driver: Path, scan: Path, pair: int, samples: int, what: str) -> tuple[float, str]:
    """The largest |t| of one run, and the name of the pair."""
    command = (sys.executable, "-c", DRIVER, scan, driver, str(pair), str(samples), what)
    said = must(*command, PYTHONPATH="")
    found = re.search(r"^t (\S+) median \d+ wrong 0, (.*)", said, re.MULTILINE)
    if found is None:
        raise Failure(f"{scan.name}: {said}")
    return float(found[1]), found[2]


def check_times(scratch: Path, built: Path, samples: int) -> None:
    """Each pair of classes: the control, the extension's own scan, and each compiler's."""
    driver = scratch / "dudect.so"
    shared = ("-shared", "-fPIC", f"-I{CSRC}")
    must("gcc", "-O2", "-std=gnu99", *shared, "-o", driver, PROOFS / "dudect.c", "-lm")
    scans = [built]
    for compiler in ("gcc", "clang"):
        for level in ("-O2", "-O3"):
            scans.append(scratch / f"{compiler}{level}")
            must(compiler, level, *shared, "-o", scans[-1], CSRC / "pin_table.c")
    for pair in range(PAIRS):
        control, name = measure(driver, built, pair, samples, "control")
        if control < T_CONTROL:
            raise Failure(f"{name}: a scan that stops early has |t| = {control} only")
        shown = []
        for scan in scans:
            seen: list[float] = []
            while not seen or (seen[-1] >= T_SUSPECT and len(seen) < ATTEMPTS):
                seen.append(measure(driver, scan, pair, samples * 4 ** len(seen), "scan")[0])
            if seen[-1] >= T_SUSPECT:
                raise Failure(f"{name}: {scan.name} has |t| = {seen}, from {samples:,} samples on")
            shown.append(f"{scan.name} {', then '.join(map(str, seen))}")
        say(f"{name}: |t| = {'; '.join(shown)}; stopping early {control}; {samples:,} samples")


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
        check_times(scratch, scan, options.samples)


if __name__ == "__main__":
    main()
