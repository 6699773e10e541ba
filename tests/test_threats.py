"""THREATS.md names the tests that hold its promises, and they are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
THREATS = ROOT / "THREATS.md"

_ROW = re.compile(r"^\| *(\d+) *\|(.*)\|(.*)\|$", re.MULTILINE)
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def promises() -> dict[int, list[tuple[str, str]]]:
    """The tests of each promise, by its number."""
    text = THREATS.read_text("utf-8")
    return {int(number): _TEST.findall(tests) for number, _, tests in _ROW.findall(text)}


def test_the_promises_are_numbered_and_each_names_a_test() -> None:
    """From 1 on, none without a test, and no test named where this does not look."""
    found = promises()
    assert list(found) == list(range(1, len(found) + 1))
    assert len(found) >= 25
    assert [number for number, tests in found.items() if not tests] == []
    assert sum(map(len, found.values())) == THREATS.read_text("utf-8").count("::")


@pytest.mark.parametrize("number", promises())
def test_the_tests_of_a_promise_are_there(number: int) -> None:
    """Where they were renamed or removed, the promise has to be thought of again."""
    gone = []
    for file, name in promises()[number]:
        path = ROOT / file
        tree = ast.parse(path.read_text("utf-8")) if path.exists() else ast.Module([], [])
        functions = (node for node in tree.body if isinstance(node, ast.FunctionDef))
        if name not in {function.name for function in functions}:
            gone.append(f"{file}::{name}")
    assert gone == []
