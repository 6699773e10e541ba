"""THREATS.md names the tests that hold its promises: they are there, can fail, and are run."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import pytest
from check.backends import EXPECTED

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is promised is of Linux")

ROOT = Path(__file__).resolve().parents[1]
THREATS = ROOT / "THREATS.md"
CI = ROOT / ".ci/run"

#: What is left out where pinsock was built without a compiler on purpose.
WITHOUT_C = () if EXPECTED == "c" else ("tests/check/test_native.py",)

_ROW = re.compile(r"^\| *(\d+) *\|(.*)\|(.*)\|$", re.MULTILINE)
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def promises() -> dict[int, list[tuple[str, str]]]:
    """The tests of each promise, by its number."""
    text = THREATS.read_text("utf-8")
    return {int(number): _TEST.findall(tests) for number, _, tests in _ROW.findall(text)}


# --- what pytest makes of them --------------------------------------------------------------------

#: Collects the files in argv and writes, for each test in them, the markers of each of its cases.
#: A case that would be left out has the marker "skip" too, however that was said.
_COLLECT = """
import json, sys
import pytest


class Collected:
    def pytest_collection_finish(self, session):
        found = {}
        for item in session.items:
            markers = {marker.name for marker in item.iter_markers()}
            if any(any(marker.args) for marker in item.iter_markers("skipif")):
                markers.add("skip")
            file = item.path.relative_to(session.config.rootpath).as_posix()
            found.setdefault(f"{file}::{item.originalname}", []).append(sorted(markers))
        with open(sys.argv[1], "w") as output:
            json.dump(found, output)


options = ["--collect-only", "-q", "-m", "", "-p", "no:cacheprovider", "--rootdir", "."]
sys.exit(pytest.main([*options, *sys.argv[2:]], plugins=[Collected()]))
"""


def collected(root: Path, files: set[str], output: Path) -> dict[str, list[set[str]]]:
    """As in CI, where nothing may be left out for what is missing."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", _COLLECT, str(output), *sorted(files)],
        cwd=root,
        env=dict(os.environ, CI="true", PYTHONPATH=os.pathsep.join(filter(None, sys.path))),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(output.read_text())
    return {test: [set(case) for case in cases] for test, cases in found.items()}


# --- what .ci/run runs ----------------------------------------------------------------------------


class Runs(NamedTuple):
    """The ``-m`` expressions of all runs of pytest over the tests."""

    expressions: set[str]

    @classmethod
    def of(cls, script: str, otherwise: str) -> Runs:
        """Of the functions that are parts, or in one; without ``-m`` it is the default's."""
        functions = re.findall(r"^(\w+)\(\) \{.*?\n(.*?)^\}$", script, re.MULTILINE | re.DOTALL)
        lines = re.findall(r"^part .*$", script, re.MULTILINE)
        parts = {word for line in lines for word in " ".join(shlex.split(line)[2:]).split()}
        expressions = set()
        for name, body in functions:
            if name not in parts:
                continue
            for arguments in re.findall(r"^ *(?:\w+=\S* )*pytest\b(.*)$", body, re.MULTILINE):
                words = shlex.split(arguments)
                if not words:
                    expressions.add(otherwise)
                elif words[0] == "-m":
                    expressions.add(words[1])
        return cls(expressions)

    def reach(self, markers: set[str]) -> bool:
        """Whether a test with these markers is run."""
        known = defaultdict(bool, dict.fromkeys(markers, True))
        return any(
            eval(one, {"__builtins__": {}}, known)  # noqa: S307 - our own script's
            for one in self.expressions
        )


def default_expression() -> str:
    import tomllib

    with (ROOT / "pyproject.toml").open("rb") as file:
        options = tomllib.load(file)["tool"]["pytest"]["ini_options"]["addopts"]
    expression: str = options[options.index("-m") + 1]
    return expression


# --- what is wrong with a test --------------------------------------------------------------------


def can_fail(path: Path, name: str) -> bool:
    """Whether there is anything in it, but for texts, that can raise."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name:
            return any(isinstance(part, (ast.Assert, ast.Call)) for part in _inside(node))
    return False


def _inside(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.AST]:
    """Without its decorators, and without what comes after a ``return``."""
    body = []
    for statement in function.body:
        if isinstance(statement, ast.Return):
            break
        body.append(statement)
    return [part for statement in body for part in ast.walk(statement)]


def wrong(root: Path, file: str, name: str, cases: list[set[str]], runs: Runs | None) -> list[str]:
    """What keeps this test from failing where its promise is broken."""
    if not cases:
        return ["it is not there"]
    said = []
    if not can_fail(root / file, name):
        said.append("nothing in it can fail")
    for markers in cases:
        if markers & {"skip", "xfail"}:
            said.append("it is left out, or may fail")
        elif runs is not None and not runs.reach(markers):
            said.append(f".ci/run has no part for {sorted(markers)}")
    return list(dict.fromkeys(said))


@pytest.fixture(scope="module")
def tests(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[set[str]]]:
    """What pytest finds in the files that are named."""
    files = {file for named in promises().values() for file, _ in named if file not in WITHOUT_C}
    gone = [file for file in files if not (ROOT / file).exists()]
    assert gone == []
    return collected(ROOT, files, tmp_path_factory.mktemp("collected") / "tests.json")


@pytest.fixture(scope="module")
def runs() -> Runs | None:
    """``None`` where there is no .ci/run: in the sdist."""
    if not CI.exists() and not os.environ.get("CI"):
        return None
    return Runs.of(CI.read_text("utf-8"), default_expression())


def test_the_promises_are_numbered_and_each_names_a_test() -> None:
    """From 1 on, none without a test, and no test named where this does not look."""
    found = promises()
    assert list(found) == list(range(1, len(found) + 1))
    assert len(found) >= 25
    assert [number for number, named in found.items() if not named] == []
    assert sum(map(len, found.values())) == THREATS.read_text("utf-8").count("::")


@pytest.mark.parametrize("number", promises())
def test_the_tests_of_a_promise_are_there_and_are_run(
    number: int, tests: dict[str, list[set[str]]], runs: Runs | None
) -> None:
    """Where they were renamed, emptied or left out, the promise has to be thought of again."""
    for file, name in promises()[number]:
        if file in WITHOUT_C:
            continue
        test = f"{file}::{name}"
        assert (test, wrong(ROOT, file, name, tests.get(test, []), runs)) == (test, [])


# --- controls -------------------------------------------------------------------------------------

_CASES = '''
import os
import pytest


def test_good():
    """It is."""
    assert os.sep


@pytest.mark.skipif(not os.environ.get("CI"), reason="no server")
def test_good_in_ci():
    os.stat(".")


def test_of_a_text():
    """Nothing else."""


def test_of_nothing():
    return
    assert False


@pytest.mark.skip
def test_skipped():
    assert os.sep


@pytest.mark.skipif("CI" in os.environ, reason="flaky")
def test_skipped_in_ci():
    assert os.sep


@pytest.mark.xfail
def test_may_fail():
    assert os.sep


@pytest.mark.parametrize("case", [])
def test_without_a_case(case):
    assert case


@pytest.mark.parametrize("case", [1, pytest.param(2, marks=pytest.mark.skip)])
def test_with_a_case_left_out(case):
    assert case


@pytest.mark.slow
def test_that_nothing_runs():
    assert os.sep


@pytest.mark.soak
def test_that_a_part_runs():
    assert os.sep
'''
_SCRIPT = """
plain() {
    pytest
}

never() {
    pytest -m slow
}

soak() { # LONG
    again tools
    LONG=1 pytest -m 'soak or kit'
    pytest proofs -m slow
}

part 'never' pair 'plain 3.11' "soak"
"""


def test_a_test_that_could_not_fail_is_noticed(tmp_path: Path) -> None:
    """Emptied, left out in whole or in part, without a case, and in no part of .ci/run."""
    (tmp_path / "test_cases.py").write_text(_CASES)
    cases = collected(tmp_path, {"test_cases.py"}, tmp_path / "out.json")
    runs = Runs.of(_SCRIPT, "not slow and not soak")
    assert runs.expressions == {"not slow and not soak", "soak or kit"}
    said = {
        name.partition("::")[2]: wrong(tmp_path, *name.split("::"), found, runs)
        for name, found in cases.items()
    }
    left_out = ["it is left out, or may fail"]
    assert said == {
        "test_good": [],
        "test_good_in_ci": [],
        "test_that_a_part_runs": [],
        "test_of_a_text": ["nothing in it can fail"],
        "test_of_nothing": ["nothing in it can fail"],
        "test_skipped": left_out,
        "test_skipped_in_ci": left_out,
        "test_may_fail": left_out,
        "test_without_a_case": left_out,
        "test_with_a_case_left_out": left_out,
        "test_that_nothing_runs": [".ci/run has no part for ['slow']"],
    }
    assert wrong(tmp_path, "test_cases.py", "test_gone", [], runs) == ["it is not there"]
