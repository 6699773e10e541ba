"""``python -m proofs.analyse``: gcc -fanalyzer, clang-tidy and cppcheck have nothing to say.

Each is shown the mistakes of proofs/careless.c as well, in a file and in a header, and has to
complain of each, and not of the file without one.  They find common mistakes; of the faults in
proofs/faults.py they find none, so they prove nothing.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from proofs.common import CSRC, LIBRARY, PROOFS, Failure, need, run, say

CHECKS: Final = (
    "-*",
    "bugprone-*",
    "-bugprone-easily-swappable-parameters",  # (status, offset) are an enum and a size
    "cert-*",
    "clang-analyzer-*",
    # It asks for memcpy_s of C11's Annex K, which no compiler here has.
    "-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling",
    "concurrency-*",
    "misc-*",
    "-misc-include-cleaner",  # it asks for stddef.h beside our own header, which includes it
    "performance-*",
    "portability-*",
)

STRICT: Final = ("-Wall", "-Wextra", "-Werror")

ANALYSERS: Final = {
    "gcc": ("gcc", "-fanalyzer", "-O2", "-std=c99", *STRICT, "-c", "-o/dev/null"),
    "clang-tidy": (
        "clang-tidy-19",
        "--quiet",
        "--warnings-as-errors=*",
        "--header-filter=.*",
        *("--extra-arg=-Xclang", "--extra-arg=-analyzer-opt-analyze-headers"),
        f"--checks={','.join(CHECKS)}",
    ),
    "cppcheck": (
        *("cppcheck", "--enable=all", "--inconclusive", "--std=c99", "--quiet"),
        "--error-exitcode=1",
        "--suppress=missingIncludeSystem",
        "--suppress=unusedFunction",  # those that cffi calls
        "--suppress=unmatchedSuppression",
    ),
}


MISTAKES: Final = ("NEVER_FREED", "USED_AFTER_FREE", "FREED_TWICE")


def analyse(name: str, file: Path, *flags: str) -> str:
    """What one of them says of a file, ``""`` if nothing."""
    before = ("--", "-std=c99") if name == "clang-tidy" else ()
    done = run(*ANALYSERS[name], file, *before, f"-I{CSRC}", *flags)
    return f"{name}, {file.name}:\n{done.stdout}{done.stderr}" if done.returncode != 0 else ""


def main() -> None:
    need("gcc", "clang-tidy-19", "cppcheck")
    with tempfile.TemporaryDirectory() as folder:
        careless = PROOFS / "careless.c"
        Path(folder, "careless.h").write_text(careless.read_text())
        includes = Path(folder, "includes.c")
        includes.write_text('#include "careless.h"\n')
        for name in ANALYSERS:
            for file in LIBRARY:
                if said := analyse(name, CSRC / file):
                    raise Failure(said)
            for example in (careless, includes):
                if said := analyse(name, example, "-DNO_MISTAKE"):
                    raise Failure(said)
                for mistake in MISTAKES:
                    if not analyse(name, example, f"-D{mistake}"):
                        raise Failure(f"{name} has nothing to say of {example.name}, {mistake}")
            say(f"{name}: nothing to say of {' and '.join(LIBRARY)}; finds {', '.join(MISTAKES)}")


if __name__ == "__main__":
    main()
