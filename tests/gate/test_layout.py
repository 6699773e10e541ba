"""The modules import each other in one order, and few of them know ssl, cryptography or C."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import pinsock

PACKAGE = Path(pinsock.__file__).parent

#: Lowest first: a module imports only from those above it in this list.
ORDER = (
    "_version",
    "_text",
    "exceptions",
    "_pure",
    "_native",
    "_backend",
    "_pins",
    "_throwaway",
    "_policy",
    "_verify",
    "_records",
    "_early",
    "_gate",
    "_context",
    "rotation",
    "testing",
    "",  # the package itself
    "cli",
    "__main__",
)
#: These are packages of modules that import each other.
PACKAGES = ("testing", "cli")
#: The decision is tested with bytes and dates.
PURE = ("_pure", "_native", "_backend", "_pins", "_policy", "_verify", "_records", "rotation")
#: What `import pinsock` does not load.
HEAVY = {"cryptography", "rich", "pytest"}


def modules() -> dict[str, tuple[str, ast.Module]]:
    """Each file, the name by which it stands in ORDER, and what it says."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = "" if parts == ("__init__",) else parts[0]
        found["/".join(parts)] = (name, ast.parse(path.read_text(encoding="utf-8")))
    return found


MODULES = modules()


def imported(tree: ast.AST, *, at_import: bool = False) -> set[str]:
    """Dotted names that are imported, those for type checkers apart.

    :param at_import: only those that are imported as soon as the module is.
    """
    names: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports here are absolute"
            module = node.module or ""
            names.update(f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            names |= imported(ast.Module(node.orelse, []), at_import=at_import)
        elif not (at_import and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))):
            names |= imported(node, at_import=at_import)
    return names


def ours(name: str) -> str:
    """The module of ours that a dotted name is of, as it stands in ORDER."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ORDER else ""


def roots(tree: ast.AST, *, at_import: bool = False) -> set[str]:
    return {name.split(".")[0] for name in imported(tree, at_import=at_import)}


@pytest.mark.parametrize("file", MODULES)
def test_a_module_imports_only_from_those_below_it(file: str) -> None:
    """Within functions as well; a file that is new stands in the list first."""
    name, tree = MODULES[file]
    assert name in ORDER, "say in ORDER where this module stands"
    for found in imported(tree):
        if found.split(".")[0] == "pinsock" and not found.startswith("pinsock._ffi"):
            other = ours(found)
            below = ORDER.index(other) < ORDER.index(name)
            assert below or (other == name and name in PACKAGES), found


def test_one_module_touches_the_c_library() -> None:
    """``_native``, and no other, imports ``_ffi``."""
    touching = [
        name
        for name, tree in MODULES.values()
        if any(found.startswith("pinsock._ffi") for found in imported(tree))
    ]
    assert touching == ["_native"]


@pytest.mark.parametrize("file", [file for file, (name, _) in MODULES.items() if name in PURE])
def test_the_decision_knows_no_connection(file: str) -> None:
    """No ``ssl`` and no ``socket`` below the gate, but for the base class of the errors."""
    _, tree = MODULES[file]
    assert roots(tree).isdisjoint({"ssl", "_ssl", "socket", "_socket", "asyncio", "select"})


def test_private_names_of_ssl_are_known_to_three_modules() -> None:
    """The gate, the context, and the early look with its callback."""
    knowing = {name for name, tree in MODULES.values() if roots(tree) & {"_ssl", "_socket"}}
    assert knowing == {"_early", "_gate", "_context"}
    for file, (name, tree) in MODULES.items():
        attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        if name not in knowing:
            assert attributes.isdisjoint({"_sslobj", "_wrap_socket", "_wrap_bio"}), file


@pytest.mark.parametrize(
    "file",
    [file for file, (name, _) in MODULES.items() if name not in {"_throwaway", "testing", "cli"}],
)
def test_nothing_heavy_is_loaded_with_the_package(file: str) -> None:
    """``cryptography`` and ``rich`` come when an error message or a command needs them."""
    name, tree = MODULES[file]
    at_import = imported(tree, at_import=True)
    assert {found.split(".")[0] for found in at_import}.isdisjoint(HEAVY)
    if name != "__main__":
        assert not {ours(found) for found in at_import if found.startswith("pinsock.")} & {
            "_throwaway",
            "cli",
        }
