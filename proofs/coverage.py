"""``python -m proofs.coverage``: what the C tests reach of csrc, 100 per cent or a failure.

A branch counts as reached when each part of its condition has been true and has been false.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Final

from proofs.common import C_TESTS, CLANG, CSRC, LIBRARY, Failure, must, need, say

VERSION: Final = CLANG.rpartition("-")[2]
PROFDATA: Final = f"llvm-profdata-{VERSION}"
COV: Final = f"llvm-cov-{VERSION}"
TESTS: Final = ("test_spki", "test_pin_table")
COUNTED: Final = ("lines", "branches", "functions", "regions")


def main() -> None:
    need(CLANG, PROFDATA, COV)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        library = [CSRC / name for name in LIBRARY]
        for test in TESTS:
            flags = ("-std=c99", "-O0", "-fprofile-instr-generate", "-fcoverage-mapping")
            source = C_TESTS / f"{test}.c"
            must(CLANG, *flags, f"-I{CSRC}", "-o", scratch / test, source, *library)
            must(scratch / test, LLVM_PROFILE_FILE=str(scratch / f"{test}.profraw"))
        raw = [scratch / f"{test}.profraw" for test in TESTS]
        must(PROFDATA, "merge", "-o", scratch / "all", *raw)
        first, *others = (str(scratch / test) for test in TESTS)
        objects = (first, *(f"-object={other}" for other in others))
        chosen = (*objects, f"-instr-profile={scratch / 'all'}", *map(str, library))
        files = json.loads(must(COV, "export", "-summary-only", *chosen))["data"][0]["files"]
        if {Path(file["filename"]).name for file in files} != set(LIBRARY):
            raise Failure(f"other files than {LIBRARY}: {files}")
        missed = False
        for file in files:
            for what in COUNTED:
                count, covered = (file["summary"][what][key] for key in ("count", "covered"))
                say(f"{Path(file['filename']).name}: {covered} of {count} {what}")
                missed |= covered != count or count == 0
        if missed:
            raise Failure(must(COV, "show", "-show-branches=count", *chosen))


if __name__ == "__main__":
    main()
