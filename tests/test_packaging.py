"""The sdist, the one wheel for all Pythons, and what is there once they are installed.

The tests marked ``packaging`` build and install as anyone would, dependencies from the package
index included, so they run when they are asked for: ``pytest -m packaging``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from tarfile import TarFile
from typing import NamedTuple

import pytest

PROJECT = Path(__file__).parents[1]
EXTENSION = "pinsock/_ffi.abi3.so"

#: The check on a smallest certificate; prints what serves it and where it was installed.
CHECK = """
import hashlib, pinsock
der = bytes.fromhex(
    "301e 3017 a003020102 020107 3000 3000 3000 3000 3005 3000 030100 3000 030100"
)
pin = pinsock.Pin("spki", hashlib.sha256(der[20:27]).digest())
other = pinsock.Pin("spki", bytes(31) + b"1")
assert pinsock.PinSet([other, pin]).match_certificate(der) == pin
assert pinsock.PinSet(other, backup=None).match_certificate(der) is None
print(pinsock.BACKEND, pinsock.__file__)
"""


class Built(NamedTuple):
    """What ``python -m build`` makes."""

    sdist: Path
    wheel: Path


def run(*command: str | Path, cwd: Path | None = None, **environment: str) -> str:
    """Run a program, which must succeed within ten minutes; give what it printed."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def check_wheel(wheel: Path) -> None:
    """A wheel's tag tells the truth: abi3 has the extension in it, and any machine has none."""
    tag = wheel.stem.split("-", 2)[2]
    with zipfile.ZipFile(wheel) as archive:
        compiled = [name for name in archive.namelist() if name.endswith((".so", ".pyd"))]
    if tag == "py3-none-any":
        assert compiled == [], f"{wheel.name} is said to be pure Python, and holds {compiled}"
    else:
        assert tag.startswith("cp311-abi3-"), f"{wheel.name} is not for every Python from 3.11 on"
        assert compiled == [EXTENSION], f"{wheel.name} lacks the extension, {compiled}"


def install_and_check(python: str | Path, package: Path, where: Path) -> str:
    """Install a wheel in an environment of its own and use it; give its BACKEND."""
    run(python, "-m", "venv", where)
    run(where / "bin/python", "-m", "pip", "install", "--quiet", package)
    backend, file = run(where / "bin/python", "-I", "-c", CHECK, cwd=where).split()
    assert Path(file).is_relative_to(where)
    return backend


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """An sdist from a clean copy of this tree, and a wheel from that sdist."""
    tree = tmp_path_factory.mktemp("build") / "tree"
    left_out = ("[.]*", "build", "dist", "*.egg-info", "*.so", "__pycache__")
    shutil.copytree(PROJECT, tree, ignore=shutil.ignore_patterns(*left_out))
    out = tree.with_name("dist")
    run(sys.executable, "-m", "build", "--outdir", out, tree)
    (sdist,) = out.glob("*.tar.gz")
    (wheel,) = out.glob("*.whl")
    return Built(sdist, wheel)


@pytest.mark.packaging
def test_the_sdist_holds_all_that_a_build_and_its_tests_need(built: Built) -> None:
    """The C library and every test are in it, and nothing that was compiled."""
    with TarFile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"pyproject.toml", "setup.py", "MANIFEST.in", "pytest_pinsock.py"}
    wanted |= {"README.md", "CHANGELOG.md", "LICENSE", "SECURITY.md", "THREATS.md"}
    for folder in ("csrc", "pinsock", "tests", "benchmarks", "examples", "proofs"):
        files = [path for path in (PROJECT / folder).rglob("*") if path.is_file()]
        wanted |= {path.relative_to(PROJECT).as_posix() for path in files}
    wanted = {name for name in wanted if not name.endswith((".so", ".pyc"))}
    assert wanted - names == set()
    assert not [name for name in names if name.endswith((".so", ".pyc"))]


@pytest.mark.packaging
def test_the_wheel_holds_the_package_and_its_extension_and_nothing_else(built: Built) -> None:
    """One abi3 wheel: typed, compiled, without tests and without C sources."""
    check_wheel(built.wheel)
    with zipfile.ZipFile(built.wheel) as archive:
        names = set(archive.namelist())
    assert {EXTENSION, "pinsock/py.typed", "pinsock/_ffi.pyi", "pinsock/__init__.py"} <= names
    version = built.wheel.name.split("-")[1]
    assert {name.split("/")[0] for name in names} == {
        "pinsock",
        "pytest_pinsock.py",
        f"pinsock-{version}.dist-info",
    }
    assert {Path(name).suffix for name in names if name.startswith("pinsock/")} == {
        ".py",
        ".pyi",
        ".so",
        ".typed",
    }


@pytest.mark.packaging
def test_a_wheel_whose_tag_lies_is_found_out(built: Built, tmp_path: Path) -> None:
    """An abi3 wheel that lost its extension fails the check, and so does a pure one that has it."""
    doctored = tmp_path / built.wheel.name
    with zipfile.ZipFile(built.wheel) as whole, zipfile.ZipFile(doctored, "w") as part:
        for name in whole.namelist():
            if name != EXTENSION:
                part.writestr(name, whole.read(name))
    with pytest.raises(AssertionError, match="lacks the extension"):
        check_wheel(doctored)

    project, version, _ = built.wheel.name.split("-", 2)
    renamed = tmp_path / f"{project}-{version}-py3-none-any.whl"
    shutil.copy(built.wheel, renamed)
    with pytest.raises(AssertionError, match="said to be pure Python"):
        check_wheel(renamed)


@pytest.mark.packaging
def test_the_tools_that_judge_packages_find_nothing(built: Built) -> None:
    """No symbol beyond the stable ABI, no stray file, no metadata that an index would refuse."""
    run(sys.executable, "-m", "abi3audit", "--strict", built.wheel)
    run(sys.executable, "-m", "check_wheel_contents", built.wheel)
    run(sys.executable, "-m", "twine", "check", "--strict", *built)


@pytest.mark.packaging
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_the_one_wheel_works_on(built: Built, tmp_path: Path, version: str) -> None:
    """The same file installs on each Python, and the check in C serves there."""
    python = shutil.which(f"python{version}")
    assert python, f"python{version} is not on PATH; this test needs all three"
    assert install_and_check(python, built.wheel, tmp_path / "venv") == "c"


@pytest.mark.packaging
def test_without_a_compiler_the_check_in_python_is_installed(built: Built, tmp_path: Path) -> None:
    """The build does not fail, its wheel is tagged pure Python, and the check works."""
    out = tmp_path / "dist"
    command = ("pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", out, built.sdist)
    run(sys.executable, "-m", *command, CC="false")
    (wheel,) = out.iterdir()
    assert wheel.name.endswith("-py3-none-any.whl")
    check_wheel(wheel)
    assert install_and_check(sys.executable, wheel, tmp_path / "venv") == "python"


WORKFLOW = PROJECT / ".github" / "workflows" / "tests.yml"


@pytest.mark.skipif(not WORKFLOW.exists(), reason="the sdist has no workflows")
def test_the_workflow_leaves_out_what_a_plain_run_does_and_the_servers() -> None:
    """Its ``-m`` takes the place of that in pyproject.toml, and has to say all of it again."""
    settings = tomllib.loads(PROJECT.joinpath("pyproject.toml").read_text("utf-8"))
    options = settings["tool"]["pytest"]["ini_options"]["addopts"]
    plain = options[options.index("-m") + 1]
    (said,) = re.findall(r'pytest .*-m\s+"([^"]+)"', WORKFLOW.read_text("utf-8"))
    assert " ".join(said.split()) == f"{plain} and not servers"


def test_import_asks_for_no_heavy_package() -> None:
    """``import pinsock`` does not even look for cryptography, rich or cffi's Python package."""
    script = """
import sys
asked = set()
class Watch:
    def find_spec(name, path=None, target=None):
        asked.add(name)
sys.meta_path.insert(0, Watch)
import pinsock
assert "pinsock" in asked
print(*asked & {"cffi", "cryptography", "rich"})
"""
    assert run(sys.executable, "-c", script).strip() == ""
