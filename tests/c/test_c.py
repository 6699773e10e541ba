"""The C library by itself: what the compilers, the sanitisers and valgrind say of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.toolchain

HERE = Path(__file__).parent
CSRC = HERE.parents[1] / "csrc"
LIBRARY = (CSRC / "spki.c", CSRC / "pin_table.c")

COMPILERS = ("gcc", "clang")
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror")
SANITISED = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
#: valgrind 3.19 does not read clang's DWARF 5.
DEBUG = ("-g", "-gdwarf-4")
#: memcheck's own verdict, apart from that of the program.
SECRET_WAS_BRANCHED_ON = 99


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run one program to its end, which comes within two minutes."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    print(*command, done.stdout, done.stderr, sep="\n")  # pytest shows it if the test fails
    return done


def build(program: Path, compiler: str, flags: tuple[str, ...], *sources: Path) -> Path:
    """Compile without a warning, or the test fails."""
    done = run(compiler, *STRICT, *DEBUG, *flags, f"-I{CSRC}", "-o", program, *sources)
    assert done.returncode == 0
    return program


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("optimisation", ["-O0", "-O2", "-O3"])
def test_the_library_compiles_without_a_warning(
    tmp_path: Path, compiler: str, optimisation: str
) -> None:
    """Some warnings are found only by an optimiser, so each level is asked."""
    for source in LIBRARY:
        build(tmp_path / "object.o", compiler, (optimisation, "-c"), source)


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("name", ["test_spki", "test_pin_table"])
def test_the_c_tests_pass_under_the_sanitisers(tmp_path: Path, compiler: str, name: str) -> None:
    """On input that ends where its memory ends, no byte too many is read."""
    program = build(tmp_path / name, compiler, SANITISED, HERE / f"{name}.c", *LIBRARY)
    assert run(program).returncode == 0


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("walk", "heap-buffer-overflow"),
        ("scan", "heap-buffer-overflow"),
        ("overflow", "signed integer overflow"),
    ],
)
def test_the_sanitisers_see_a_planted_fault(
    tmp_path: Path, compiler: str, fault: str, says: str
) -> None:
    """The test above means something only if a fault would have ended it."""
    program = build(tmp_path / "faults", compiler, SANITISED, HERE / "faults.c", *LIBRARY)
    done = run(program, fault)
    assert done.returncode != 0
    assert says in done.stderr


def memcheck(tmp_path: Path, compiler: str, optimisation: str, scan: Path) -> str:
    """Run constant_time.c over one scan; give what memcheck said, ``""`` if nothing."""
    program = build(
        tmp_path / "constant_time", compiler, (optimisation,), HERE / "constant_time.c", scan
    )
    code = f"--error-exitcode={SECRET_WAS_BRANCHED_ON}"
    done = run("valgrind", "--quiet", code, program)
    assert done.returncode == (SECRET_WAS_BRANCHED_ON if done.stderr else 0)
    return done.stderr


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("optimisation", ["-O0", "-O2", "-O3"])
def test_the_scan_neither_branches_on_a_secret_nor_addresses_by_one(
    tmp_path: Path, compiler: str, optimisation: str
) -> None:
    """With table and digest marked undefined memcheck has nothing to say, whatever the compiler."""
    assert memcheck(tmp_path, compiler, optimisation, CSRC / "pin_table.c") == ""


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("optimisation", ["-O0", "-O2", "-O3"])
def test_a_scan_with_memcmp_fails_the_same_test(
    tmp_path: Path, compiler: str, optimisation: str
) -> None:
    """An early exit is what the test above is there to find."""
    said = memcheck(tmp_path, compiler, optimisation, HERE / "memcmp_scan.c")
    assert "depends on uninitialised value" in said
