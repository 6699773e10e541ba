"""``python -m proofs.foreign``: the C tests on a big-endian and on a 32-bit machine, by qemu-user.

s390x is 64-bit and big-endian; powerpc is 32-bit and big-endian; i686 is 32-bit and little-endian,
as x86-64 is not and is.  The programs are Debian's cross-compilers', linked statically.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from proofs.common import C_TESTS, CSRC, LIBRARY, Failure, must, need, say

#: Cross-compiler and emulator; bits and byte order, as the program itself has to say.
MACHINES: Final = {
    "s390x": ("s390x-linux-gnu-gcc", "qemu-s390x", "64 big"),
    "powerpc": ("powerpc-linux-gnu-gcc", "qemu-ppc", "32 big"),
    "i686": ("i686-linux-gnu-gcc", "qemu-i386", "32 little"),
}
#: So that a cross-compiler that is none is found out.
WHICH: Final = """
#include <stdint.h>
#include <stdio.h>
int main(void)
{
    const uint16_t one = 1;
    printf("%d %s", (int)sizeof(size_t) * 8, *(const uint8_t *)&one ? "little" : "big");
    return 0;
}
"""


def main() -> None:
    need(*(program for compiler, qemu, _ in MACHINES.values() for program in (compiler, qemu)))
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        (scratch / "which.c").write_text(WHICH)
        for name, (compiler, qemu, expected) in MACHINES.items():
            program = scratch / name
            build = (compiler, "-static", "-O2", "-std=c99", f"-I{CSRC}", "-o", program)
            must(*build, scratch / "which.c")
            if (found := must(qemu, program)) != expected:
                raise Failure(f"{name} is {found}, not {expected}")
            for test in ("test_spki", "test_pin_table"):
                must(*build, C_TESTS / f"{test}.c", *(CSRC / file for file in LIBRARY))
                say(f"{name} ({expected}), {test}: {must(qemu, program).strip()}")


if __name__ == "__main__":
    main()
