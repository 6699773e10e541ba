"""The mutants of a Python module: cosmic-ray's, and four kinds more."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import cosmic_ray.ast
import cosmic_ray.mutating
import cosmic_ray.plugins
import parso
from cosmic_ray.operators.operator import Operator

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Of each operator's replacements those that are hardest to notice: its negation, its neighbour.
TAKEN: Final = re.compile(
    r"""core/(
        AddNot | Replace(True|False|And|Or|Break|Continue)With\w+
        | NumberReplacer | RemoveDecorator | ZeroIterationForLoop
        | ReplaceUnaryOperator_(Delete_Not | USub_UAdd)
        | ReplaceComparisonOperator_(Eq_NotEq | NotEq_Eq | Is_IsNot | IsNot_Is
            | Lt_LtE | Lt_GtE | LtE_Lt | LtE_Gt | Gt_GtE | Gt_LtE | GtE_Gt | GtE_Lt)
        | ReplaceBinaryOperator_(Add_Sub | Sub_Add | Mul_FloorDiv | FloorDiv_Mul | Mod_Mul
            | LShift_RShift | RShift_LShift | BitAnd_BitOr | BitOr_BitAnd)
    )""",
    re.VERBOSE,
)


class _Changed(Operator):  # type: ignore[misc]  # cosmic-ray has no types
    """A node replaced by other text."""

    def text(self, node: Any) -> str | None:
        """What stands in the node's place, ``None`` where it is not this operator's."""
        raise NotImplementedError

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        if self.text(node) is not None:
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:  # noqa: ARG002  # there is one change
        prefix = node.get_first_leaf().prefix
        return parso.python.tree.Name(self.text(node), node.start_pos, prefix)

    @classmethod
    def examples(cls) -> tuple[()]:
        return ()


class LeaveOutStatement(_Changed):
    """``raise`` and a call whose value nobody takes."""

    def text(self, node: Any) -> str | None:
        alone = node.parent is not None and node.parent.type == "simple_stmt"
        called = node.type in {"atom_expr", "power"}
        return "pass" if alone and (called or node.type == "raise_stmt") else None


class ReturnNone(_Changed):
    """What a function gives back."""

    def text(self, node: Any) -> str | None:
        returned = node.type == "return_stmt" and node.children[-1].get_code() != " None"
        return "return None" if returned else None


class CatchNothing(_Changed):
    """The exceptions of an ``except``."""

    def text(self, node: Any) -> str | None:
        caught = node.parent is not None and node.parent.type == "except_clause"
        return "()" if caught and node is node.parent.children[1] else None


class NotIn(_Changed):
    """``in`` turned round."""

    def text(self, node: Any) -> str | None:
        compared = node.type in {"operator", "keyword"}
        there = compared and node.value == "in" and node.parent.type == "comparison"
        return "not in" if there else None


class Mutant(NamedTuple):
    """One change of a module."""

    module: str
    where: str  # function or method
    lines: tuple[int, int]  # the first and the last that it touches, from 1
    statement: tuple[int, int]  # and those of the statement around it
    old: str
    new: str
    source: str

    def __str__(self) -> str:
        """As it stands in survivors.txt: the line's number may change, its text not."""
        return f"{self.module} {self.where}: {self.old} -> {self.new}"

    @property
    def key(self) -> str:
        """The same with the line, so that no two have the same."""
        return f"{self.lines[0]}: {self}"


class _WithoutAnnotations(ast.NodeTransformer):
    """They are never evaluated: each of our modules says ``from __future__ import annotations``."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:  # ast's name
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    visit_FunctionDef = visit_AsyncFunctionDef = _function  # noqa: N815  # ast's names

    def visit_If(self, node: ast.If) -> ast.AST | None:  # ast's name
        return None if "TYPE_CHECKING" in ast.unparse(node.test) else self.generic_visit(node)


def meaning(source: str) -> str:
    """What of the source a running program can see."""
    return ast.dump(_WithoutAnnotations().visit(ast.parse(source)))


def _around(tree: ast.Module, line: int) -> tuple[str, tuple[int, int]]:
    """Name of the function that a line is in, and the lines of its smallest statement."""
    names: list[str] = []
    lines = (line, line)
    todo: list[ast.AST] = list(tree.body)
    while todo:
        node = todo.pop()
        if not isinstance(node, ast.stmt) or node.end_lineno is None:
            todo += ast.iter_child_nodes(node)
        elif node.lineno <= line <= node.end_lineno:
            lines = (node.lineno, node.end_lineno)
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                names.append(node.name)
            todo = list(ast.iter_child_nodes(node))
    return ".".join(names) or "module", lines


def mutants(module: str, source: str) -> list[Mutant]:
    """All of one module, in the order of its lines."""
    operators = [
        cosmic_ray.plugins.get_operator(name)()
        for name in cosmic_ray.plugins.operator_names()
        if TAKEN.fullmatch(name)
    ]
    operators += [LeaveOutStatement(), ReturnNone(), CatchNothing(), NotIn()]
    python = ast.parse(source)
    found: list[Mutant] = []
    before = ""
    # One function or class after the other: to parse the whole again for each change takes minutes.
    for part in cosmic_ray.ast.get_ast(source).children:
        code = part.get_code()
        after = source[len(before) + len(code) :]
        above = before.count("\n")
        for (first, last), old, new, changed in _changes(code, operators):
            where, statement = _around(python, above + first)
            lines = (above + first, above + last)
            found.append(
                Mutant(module, where, lines, statement, old, new, before + changed + after)
            )
        before += code
    return sorted(found, key=lambda mutant: mutant.lines)


def _changes(
    code: str, operators: list[Operator]
) -> Iterator[tuple[tuple[int, int], str, str, str]]:
    """Lines, what stood there, what stands there now, and the whole, for each that matters."""
    met = {meaning(code)}
    tree = cosmic_ray.ast.get_ast(code)
    rows = code.splitlines()
    for operator in operators:
        places = [
            place
            for node in cosmic_ray.ast.ast_nodes(tree)
            for place in operator.mutation_positions(node)
        ]
        for occurrence, ((first, _), (last, _)) in enumerate(places):
            changed = cosmic_ray.mutating.mutate_code(code, operator, occurrence)
            try:
                means = meaning(changed)
            except SyntaxError:
                continue
            if means not in met:
                met.add(means)
                now = changed.splitlines()
                end = len(now) - (len(rows) - last)
                old = " ".join(row.strip() for row in rows[first - 1 : last])
                # A changed number may have lost the line break before it.
                new = " ".join(row.strip() for row in now[min(first, end) - 1 : end])
                yield (first, last), old, new, changed
