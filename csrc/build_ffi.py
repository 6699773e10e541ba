"""Builds ``pinsock._ffi`` from the C library (cffi, API mode, stable ABI)."""

from pathlib import Path

from cffi import FFI

# cffi releases the GIL around each call.  These calls take tens of nanoseconds, far less than
# handing the GIL over: with one busy thread beside it, a check that has to win the GIL back after
# each call waits out the other's switch interval and takes hundreds of times as long.  So the
# macros with which cffi gives the GIL away and takes it back are made empty here, for this one
# file that cffi generates.
KEEP_GIL = """
#undef Py_BEGIN_ALLOW_THREADS
#undef Py_END_ALLOW_THREADS
#define Py_BEGIN_ALLOW_THREADS {
#define Py_END_ALLOW_THREADS }
"""

PRELUDE = """
#include "spki.h"
#include "pin_table.h"
"""


def make(name: str = "pinsock._ffi", csrc: str = "csrc", *, keep_gil: bool = True) -> FFI:
    """The builder.  ``benchmarks`` also makes one that releases the GIL, to compare."""
    ffi = FFI()
    ffi.cdef(Path(csrc, "pinsock.cdef.h").read_text(encoding="ascii"))
    ffi.set_source(
        name,
        PRELUDE + (KEEP_GIL if keep_gil else ""),
        sources=[f"{csrc}/spki.c", f"{csrc}/pin_table.c"],
        depends=[f"{csrc}/spki.h", f"{csrc}/pin_table.h", f"{csrc}/pinsock.cdef.h"],
        include_dirs=[csrc],
        # Without a compiler the build goes on, and pinsock._pure serves.
        optional=True,
    )
    return ffi


def ffi() -> FFI:
    """What setup.py names."""
    return make()
