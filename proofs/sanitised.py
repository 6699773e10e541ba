"""``python -m proofs.sanitised [ARGUMENTS OF PYTEST]``: the tests on a sanitised extension.

The extension is built with ASan and UBSan, in a copy of the sources, and the tests of that copy
run on it; ``tests/check`` if none are named.  Python takes each object from malloc, so that ASan
sees a read past the end of one.  First a fault is provoked, which has to end Python.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from proofs.common import ROOT, SANITISED, Failure, must, need, run, say

#: What the build and the tests need.
COPIED: Final = (
    *("pinsock", "csrc", "tests", "benchmarks", "examples"),
    *("pyproject.toml", "setup.py", "README.md", "CHANGELOG.md", "LICENSE", "MANIFEST.in"),
)
#: More rows than the table has, as no caller of pinsock's can ask for.
FAULT: Final = "from pinsock import _native; _native.find_digest(bytes(64), 9, bytes(32))"


def main() -> None:
    need("gcc")
    arguments = sys.argv[1:] or ["-q", "tests/check"]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        copy.mkdir()
        unwanted = shutil.ignore_patterns("__pycache__", "*.so", "*.o", "*.c~")
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=unwanted)
            else:
                shutil.copy(source, copy / name)
        flags = " ".join((*SANITISED, "-g"))
        build = (sys.executable, "setup.py", "-q", "build_ext", "--inplace")
        must(*build, cwd=copy, CC="gcc", CFLAGS=flags, LDFLAGS=flags)
        environment = {
            "PYTHONPATH": str(copy),
            "PYTHONMALLOC": "malloc",
            "LD_PRELOAD": must("gcc", "-print-file-name=libasan.so").strip(),
            # Python itself frees little of what it holds at its end; and a test provokes a SIGSEGV.
            "ASAN_OPTIONS": "detect_leaks=0:handle_segv=0:handle_sigbus=0",
            "UBSAN_OPTIONS": "print_stacktrace=1",
        }
        seen = run(sys.executable, "-c", FAULT, cwd=copy, environment=environment)
        if seen.returncode == 0 or "heap-buffer-overflow" not in seen.stderr:
            raise Failure(f"the provoked fault passed unseen:\n{seen.stdout}{seen.stderr}")
        say("the provoked fault is seen: heap-buffer-overflow")
        tests = subprocess.run(
            (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments),
            cwd=copy,
            env=os.environ | environment,
            check=False,
        )
        if tests.returncode != 0:
            raise Failure(f"pytest on the sanitised extension: exit status {tests.returncode}")


if __name__ == "__main__":
    main()
