"""The C library on input that ends where its memory ends."""

from __future__ import annotations

import subprocess
import sys

from pinsock._native import find_digest, find_spki, locate

from .certificates import build

# bytes of Python end in a hidden NUL, which an over-read by one would find.  Here the byte after
# the input is on a page that may not be read: the process would be killed by a signal.
_PROGRAM = """
import ctypes, mmap, sys
from pinsock._ffi import ffi, lib

PAGE = mmap.PAGESIZE
memory = mmap.mmap(-1, 2 * PAGE)
start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.mprotect(ctypes.c_void_p(start + PAGE), ctypes.c_size_t(PAGE), 0) == 0

def at_the_end(data):
    memory[PAGE - len(data) : PAGE] = data
    return ffi.cast("uint8_t *", start + PAGE - len(data))

if len(sys.argv) > 2:
    ctypes.string_at(start + PAGE, 1)

der = bytes.fromhex(sys.argv[1])
for size in range(len(der) + 1):
    cut = der[:size]
    assert lib.pinsock_find_spki_packed(at_the_end(cut), size) == \
        lib.pinsock_find_spki_packed(cut, size), size
    for place in range(max(0, size - 8), size):
        for value in (0x1F, 0x30, 0x7F, 0x80, 0x81, 0x82, 0x84, 0x85, 0xFF):
            bad = cut[:place] + bytes([value]) + cut[place + 1 :]
            assert lib.pinsock_find_spki_packed(at_the_end(bad), size) == \
                lib.pinsock_find_spki_packed(bad, size), (size, place, value)

rows = [bytes([row]) * 32 for row in range(64)]
for count in range(65):
    table = b"".join(rows[:count])
    for row in (0, count - 1, 63):
        expected = row if 0 <= row < count else -1
        assert lib.pinsock_find_digest(at_the_end(table), count, rows[row]) == expected
assert lib.pinsock_find_digest(rows[5] + rows[6], 2, at_the_end(rows[6])) == 1
print("read to the end")
"""


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-c", _PROGRAM, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_no_byte_after_the_input_is_read() -> None:
    """Certificates cut and changed at each byte, and tables of each size, at the end of a page."""
    done = _run(build().der.hex())
    assert done.returncode == 0, done.stderr
    assert done.stdout == "read to the end\n"


def test_a_byte_read_past_the_end_would_be_seen() -> None:
    """The control: the process is killed by a signal if it reads one byte too many."""
    assert _run(build().der.hex(), "read on").returncode < 0


def test_the_functions_that_the_package_uses_are_those_of_the_library() -> None:
    """What is tested here is what runs."""
    from pinsock import BACKEND, _backend

    assert BACKEND == "c"
    assert _backend.find_spki is find_spki
    assert _backend.find_digest is find_digest
    assert _backend.locate is locate
