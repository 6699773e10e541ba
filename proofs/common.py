"""What the commands share: where things are, running a program, and planting a fault."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[1]
CSRC: Final = ROOT / "csrc"
C_TESTS: Final = ROOT / "tests" / "c"
PROOFS: Final = ROOT / "proofs"
LIBRARY: Final = ("spki.c", "pin_table.c")
#: Debian 12's own clang is 14, whose llvm-cov counts no branches of a conditional's parts.
CLANG: Final = "clang-19"
#: valgrind 3.19 does not read clang's DWARF 5.
DEBUG: Final = ("-g", "-gdwarf-4")
SANITISED: Final = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


class Failure(SystemExit):
    """A check that did not hold: ends the command with its text and exit status 1."""


def run(
    *command: str | Path,
    seconds: float = 600,
    cwd: Path = ROOT,
    environment: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run one program to its end, which comes within so many seconds; its output is text."""
    return subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | (environment or {}),
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds,
        check=False,
    )


def must(*command: str | Path, seconds: float = 600, cwd: Path = ROOT, **environment: str) -> str:
    """Run one program that has to succeed; give all that it printed."""
    done = run(*command, seconds=seconds, cwd=cwd, environment=environment)
    if done.returncode != 0:
        shown = " ".join(map(str, command))
        raise Failure(f"{shown}\n{done.stdout}{done.stderr}\nexit status {done.returncode}")
    return done.stdout + done.stderr


def need(*programs: str) -> None:
    """End with the names of the programs that are not there."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise Failure(f"not installed: {', '.join(missing)}; proofs/README.md names the packages")


def say(*parts: object) -> None:
    """Print now, so that what was under way is seen when the command is stopped."""
    print(*parts, flush=True)
    sys.stdout.flush()


class Fault(NamedTuple):
    """A mistake to plant in csrc, which what is tried must find."""

    name: str
    file: str
    function: str
    old: str
    new: str

    def plant(self, folder: Path) -> Path:
        """Copy csrc into the folder, with the fault in it."""
        copy = folder / "csrc"
        shutil.copytree(CSRC, copy)
        source = (CSRC / self.file).read_text()
        if source.count(self.old) != 1:
            raise Failure(f"{self.name}: {self.old!r} stands {source.count(self.old)} times")
        (copy / self.file).write_text(source.replace(self.old, self.new))
        return copy
