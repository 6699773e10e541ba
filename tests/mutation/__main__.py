"""``python -m tests.mutation MODULE [--limit N]``: mutants of ``pinsock/MODULE.py`` that survive.

Each mutant stands in a copy of the tree, in a temporary folder, and the module's own tests are run
on it.  What survives is printed with its line; a survivor is no fault of the code, but a place that
the tests which were chosen do not hold.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
#: Quick ones that between them hold the module.
TESTS = {
    "_verify": [
        "tests/gate/test_verify.py",
        "tests/gate/test_errors.py",
        "tests/check/test_mutants.py",
    ],
    "_pins": [
        "tests/check/test_pins.py",
        "tests/check/test_pin_texts.py",
        "tests/check/test_mutants.py",
    ],
    "_gate": [
        "tests/gate/test_attacks.py",
        "tests/gate/test_contexts.py",
        "tests/gate/test_mutants.py",
    ],
}
_SECONDS = 120

_OPPOSITE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}


def changed(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand in the place of this node."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        other = copy.deepcopy(node)
        other.ops = [_OPPOSITE[type(node.ops[0])]()]
        yield other
    elif isinstance(node, ast.BoolOp):
        other_op = copy.deepcopy(node)
        other_op.op = ast.And() if isinstance(node.op, ast.Or) else ast.Or()
        yield other_op
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield ast.Constant(node.value + 1)
    elif isinstance(node, (ast.If, ast.IfExp)):
        negated = copy.deepcopy(node)
        negated.test = ast.UnaryOp(ast.Not(), negated.test)
        yield negated
    elif isinstance(node, ast.Raise) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    ):
        yield ast.Pass()
    elif isinstance(node, ast.Return) and node.value is not None:
        yield ast.Return(ast.Constant(None))


def mutants(source: str) -> Iterator[tuple[int, str, str]]:
    """Line, what was changed to what, and the whole source, for each mutant."""
    for index, node in enumerate(ast.walk(ast.parse(source))):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        for number in range(len(list(changed(node)))):
            tree = ast.parse(source)
            target = list(ast.walk(tree))[index]
            new = list(changed(target))[number]
            parents = [
                (parent, name, value)
                for parent in ast.walk(tree)
                for name, value in ast.iter_fields(parent)
                if value is target or (isinstance(value, list) and any(v is target for v in value))
            ]
            parent, name, value = parents[0]
            if isinstance(value, list):
                value[[v is target for v in value].index(True)] = new
            else:
                setattr(parent, name, new)
            ast.fix_missing_locations(tree)
            was, now = (ast.unparse(each).split("\n")[0] for each in (node, new))
            yield getattr(node, "lineno", 0), f"{was}  ->  {now}", ast.unparse(tree)


def survives(folder: Path, tests: list[str]) -> bool:
    present = [test for test in tests if (folder / test).exists()]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *present]
    environment = dict(os.environ, PYTHONPATH=str(folder), PYTHONDONTWRITEBYTECODE="1")
    try:
        ended = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return ended.returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("module", choices=TESTS)
    parser.add_argument("--limit", type=int, help="so many, chosen at random")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "tree")
        for name in ("pinsock", "tests", "csrc", "examples"):
            shutil.copytree(ROOT / name, folder / name)
        for name in ("pyproject.toml", "README.md"):
            shutil.copy(ROOT / name, folder)
        path = folder / "pinsock" / f"{arguments.module}.py"
        source = path.read_text("utf-8")
        path.write_text(ast.unparse(ast.parse(source)), "utf-8")
        if not survives(folder, TESTS[arguments.module]):
            raise SystemExit("the tests fail without a mutant")
        chosen = list(mutants(source))
        if arguments.limit:
            random.seed(arguments.seed)
            chosen = sorted(random.sample(chosen, min(arguments.limit, len(chosen))))
        left = 0
        for line, what, text in chosen:
            path.write_text(text, "utf-8")
            if survives(folder, TESTS[arguments.module]):
                left += 1
                print(f"survives: pinsock/{arguments.module}.py:{line}: {what}", flush=True)
        print(f"{arguments.module}: {len(chosen)} mutants, {left} survive", flush=True)


if __name__ == "__main__":
    main()
