"""``python -m proofs.analyse``: gcc -fanalyzer, clang-tidy and cppcheck have nothing to say.

Each is shown proofs/careless.c as well, and has to complain.  They find common mistakes; of the
faults in proofs/faults.py they find none, so they prove nothing.
"""

from __future__ import annotations

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


def main() -> None:
    need("gcc", "clang-tidy-19", "cppcheck")
    for name, command in ANALYSERS.items():
        after = ("--", "-std=c99", f"-I{CSRC}") if name == "clang-tidy" else (f"-I{CSRC}",)
        for file in LIBRARY:
            done = run(*command, CSRC / file, *after)
            if done.returncode != 0:
                raise Failure(f"{name}, {file}:\n{done.stdout}{done.stderr}")
        if run(*command, PROOFS / "careless.c", *after).returncode == 0:
            raise Failure(f"{name} has nothing to say of careless.c")
        say(f"{name}: nothing to say of {' and '.join(LIBRARY)}")


if __name__ == "__main__":
    main()
