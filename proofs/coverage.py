"""``python -m proofs.coverage``: what the C tests reach of csrc, 100 per cent or a failure.

A branch counts as reached when each part of its condition has been true and has been false.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from proofs.common import C_TESTS, CLANG, CSRC, LIBRARY, Failure, must, need, say

VERSION: Final = CLANG.rpartition("-")[2]
PROFDATA: Final = f"llvm-profdata-{VERSION}"
COV: Final = f"llvm-cov-{VERSION}"
#: How to compile what counts for itself.
COUNTING: Final = ("-std=c99", "-O0", "-fprofile-instr-generate", "-fcoverage-mapping")
TESTS: Final = ("test_spki", "test_pin_table")


def reach(scratch: Path, *runs: tuple[str | Path, ...]) -> list[str]:
    """Run programs that count, say what of csrc they reached, and give the lines that they missed.

    A line is missed if it was not reached, or one side of a branch that begins there was not.
    """
    raw = []
    for number, command in enumerate(runs):
        raw.append(scratch / f"{number}.profraw")
        must(*command, LLVM_PROFILE_FILE=str(raw[-1]))
    must(PROFDATA, "merge", "-o", scratch / "all", *raw)
    library = [CSRC / name for name in LIBRARY]
    first, *others = (str(program) for program, *_ in runs)
    objects = [first, *(f"-object={other}" for other in others)]
    chosen = [f"-instr-profile={scratch / 'all'}", *map(str, library)]
    *files, _ = must(COV, "export", "-format=lcov", *objects, *chosen).split("end_of_record\n")
    if len(files) != len(LIBRARY):
        raise Failure(f"{len(files)} files, not {LIBRARY}")
    missed: list[str] = []
    for file in files:
        records = [line.partition(":")[::2] for line in file.splitlines()]
        (name,) = (Path(value) for key, value in records if key == "SF")
        source = name.read_text().splitlines()
        absent: set[int] = set()
        for key, what in (("DA", "lines"), ("BRDA", "sides of branches")):
            counts = [value.split(",") for kind, value in records if kind == key]
            unreached = [int(line) for line, *_, count in counts if count in ("0", "-")]
            say(f"{name.name}: {len(counts) - len(unreached)} of {len(counts)} {what}")
            if not counts:
                raise Failure(f"{name.name}: no {what}")
            absent.update(unreached)
        missed += [f"{name.name}: {source[line - 1].strip()}" for line in sorted(absent)]
    return missed


def main() -> None:
    need(CLANG, PROFDATA, COV)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        library = [CSRC / name for name in LIBRARY]
        for test in TESTS:
            source = C_TESTS / f"{test}.c"
            must(CLANG, *COUNTING, f"-I{CSRC}", "-o", scratch / test, source, *library)
        if missed := reach(scratch, *((scratch / test,) for test in TESTS)):
            raise Failure("\n".join(["not reached:", *missed]))


if __name__ == "__main__":
    main()
