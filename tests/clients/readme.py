"""The README's part on clients: the table and the recipes, made of results and scripts."""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from .rows import ROWS

if TYPE_CHECKING:
    from .results import Result, Results
    from .row import Row

__all__ = ["BEGIN", "END", "README", "aligned", "block", "put", "recipe", "recipe_of", "table"]

README = Path(__file__).parents[2] / "README.md"
BEGIN = "<!-- clients: written by `cd tests && python -m clients readme` -->"
END = "<!-- clients: end -->"

_HERE = Path(__file__).parent

_BEFORE_THE_TABLE = """\
Each of these was run in a process of its own. With the right pin it was served. Without pins it was
read by an interceptor whose certificate it trusts. With pins, through the same interceptor:"""

_BEFORE_THE_RECIPES = """\
In the recipes `context` is `pinsock.create_default_context(pins)`; each is the code that was run.
Where the exception is the library's own, this finds the refusal in it:"""

_HEADINGS = (
    "client",
    "server",
    "bytes that a wrong key got",
    "connections",
    "the exception",
    "the way to `PinMismatchError`",
)


def put(text: str, results: Results) -> str:
    """The README with a new part in the place of the old one."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{README.name} has no lines {BEGIN!r} and {END!r}")
    return before + block(results) + after


def block(results: Results) -> str:
    """From mark to mark."""
    return "\n\n".join(
        [
            BEGIN,
            _BEFORE_THE_TABLE,
            _markdown_table(results),
            _versions(results),
            _BEFORE_THE_RECIPES,
            _code(recipe_of(_HERE / "refusal.py")),
            *_recipes(),
            END,
        ]
    )


# --- the table ------------------------------------------------------------------------------------


def table(results: Results) -> list[tuple[str, ...]]:
    """A line for each row that has a result."""
    return [_line(row, results[row.name]) for row in ROWS if row.name in results]


def _line(row: Row, result: Result) -> tuple[str, ...]:
    wrong = result["wrong"]
    connections = str(wrong["connections"])
    if row.endless:
        connections = "again and again"
    if row.quiet:
        connections += f"; {result['quiet']['connections']} with `{row.stops}`"
    return (
        f"{row.title}: {row.cannot}" if row.cannot else row.title,
        f"{result['server']}{', ours' if row.stub else ''}",
        str(wrong["application_bytes"]),
        connections,
        _exception(row, wrong),
        _way(wrong),
    )


def _exception(row: Row, wrong: Result) -> str:
    name = wrong["error"]
    if name is None:
        return "none while it goes on" if row.endless else "none"
    return f"`{name.removeprefix('pinsock.exceptions.')}`"


def _way(wrong: Result) -> str:
    return {
        "itself": "it is one",
        "causes": "`refusal(error)`",
        None: "none: `on_verdict` and the log tell",
    }.get(wrong["mismatch"], f"`{wrong['mismatch']}`")


def aligned(results: Results) -> list[str]:
    """The table for a terminal."""
    lines = [[cell.replace("`", "") for cell in line] for line in (_HEADINGS, *table(results))]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]


def _markdown_table(results: Results) -> str:
    lines = [_HEADINGS, tuple("---" for _ in _HEADINGS), *table(results)]
    return "\n".join(f"| {' | '.join(cells)} |".replace("  ", " ") for cells in lines)


def _versions(results: Results) -> str:
    seen = sorted({result["version"] for result in results.values()}, key=str.casefold)
    return _wrapped(f"Seen with {', '.join(seen)}.")


# --- the recipes ----------------------------------------------------------------------------------


def _recipes() -> list[str]:
    """One for all the rows that share it."""
    rows_by_code: dict[str, list[Row]] = {}
    for row in ROWS:
        rows_by_code.setdefault(recipe(row.script or row.name), []).append(row)
    return [_one_recipe(code, rows) for code, rows in rows_by_code.items()]


def _one_recipe(code: str, rows: list[Row]) -> str:
    titles = re.sub(r"`(.+?)`", r"<code>\1</code>", "; ".join(row.title for row in rows))
    notes = [_wrapped(row.note) for row in rows if row.note]
    opening, closing = f"<details><summary>{titles}</summary>", "</details>"
    return "\n\n".join([opening, *notes, _code(code), closing])


def _wrapped(text: str) -> str:
    words = " ".join(text.split())
    return textwrap.fill(words, 100, break_long_words=False, break_on_hyphens=False)


def _code(text: str) -> str:
    return f"```python\n{text}```"


def recipe(script: str) -> str:
    """That of one of the scripts."""
    return recipe_of(_HERE / "scripts" / f"{script}.py")


def recipe_of(path: Path) -> str:
    """What stands between a file's marks, and of what stands above it that which it uses."""
    text = path.read_text("utf-8")
    above, mark, rest = text.partition("# recipe\n")
    body, end, _ = rest.partition("# end\n")
    assert mark, f"{path.name} has no line '# recipe'"
    assert end, f"{path.name} has no line '# end' after its recipe"
    lines = above.splitlines()
    _, *statements = ast.parse(above).body  # without the docstring
    used = _names_in(ast.parse(body))
    kept = []
    for statement in reversed(statements):  # what uses an import stands below it
        if isinstance(statement, ast.Import | ast.ImportFrom) and not used & _bound_by(statement):
            continue
        used |= _names_in(statement)
        blank = not lines[statement.lineno - 2]
        kept.append(f"{chr(10) * blank}{ast.get_source_segment(text, statement)}\n")
    code = f"{''.join(reversed(kept)).strip()}\n\n\n{body.strip()}\n".lstrip()
    return re.sub(r"  # noqa: .*", "", code)


def _names_in(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _bound_by(statement: ast.Import | ast.ImportFrom) -> set[str]:
    return {(alias.asname or alias.name).partition(".")[0] for alias in statement.names}
