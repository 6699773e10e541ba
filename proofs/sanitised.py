"""``python -m proofs.sanitised [ARGUMENTS OF PYTEST]``: the tests on a sanitised extension.

The extension is built with ASan and UBSan, in a copy of the sources, and the tests of that copy
run on it: what a plain ``pytest`` runs, if none are named.  Python takes each object from
malloc, so that ASan sees a read past the end of one.  First a fault is provoked for each of the
two, which has to end Python.
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

#: What was built or cached, and what belongs to no test.
LEFT_OUT: Final = shutil.ignore_patterns(
    *(".git", ".venv", "build", "dist", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis"),
    *("*.so", "*.o"),
)
#: All that a plain run has but for one test: programs that tests start have the sanitiser in them
#: as well, and with it PostgreSQL's initdb does not end within its minute.
WHOLE: Final = (
    *("-q", "tests", "--deselect"),
    "tests/early/test_servers.py::test_postgresql_knows_the_client_with_the_right_pin_alone",
)
#: Calls that no code of pinsock's makes, and what is to be said of them.
FAULTS: Final = {
    "heap-buffer-overflow": "lib.pinsock_find_digest(bytes(64), 9, bytes(32))",
    "runtime error: null pointer": "lib.pinsock_find_digest(bytes(64), 2, ffi.NULL)",
}


def main() -> None:
    need("gcc")
    arguments = sys.argv[1:] or WHOLE
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
        flags = " ".join((*SANITISED, "-g"))
        build = (sys.executable, "setup.py", "-q", "build_ext", "--inplace")
        must(*build, cwd=copy, CC="gcc", CFLAGS=flags, LDFLAGS=flags)
        environment = {
            "PYTHONPATH": str(copy),
            "PYTHONMALLOC": "malloc",
            # The C++ runtime beside it, or ASan ends programs in which greenlet raises.
            "LD_PRELOAD": " ".join(
                must("gcc", f"-print-file-name={name}").strip()
                for name in ("libasan.so", "libstdc++.so.6")
            ),
            # Python itself frees little of what it holds at its end; and a test provokes a SIGSEGV.
            "ASAN_OPTIONS": "detect_leaks=0:handle_segv=0:handle_sigbus=0",
            "UBSAN_OPTIONS": "print_stacktrace=1",
        }
        for fault, call in FAULTS.items():
            script = f"from pinsock._ffi import ffi, lib; {call}"
            seen = run(sys.executable, "-c", script, cwd=copy, environment=environment)
            if seen.returncode == 0 or fault not in seen.stderr:
                raise Failure(f"{call} passed unseen:\n{seen.stdout}{seen.stderr}")
            say(f"the provoked fault is seen: {fault}")
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
