"""What the README says of clients is what came of the matrix, and what the matrix ran."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.daemons.process import find

from . import readme, results
from .row import Row
from .rows import ROWS

if TYPE_CHECKING:
    from pinsock._throwaway import Credential

#: Their names.
SCRIPTS = {path.stem for path in Path(__file__).with_name("scripts").glob("[!_]*.py")}


def test_the_readme_has_the_results_and_the_scripts() -> None:
    """Its table is made of results.json, its recipes of the code that was run."""
    text = readme.README.read_text("utf-8")
    assert readme.put(text, results.read()) == text, "cd tests && python -m clients readme"


def test_every_row_has_been_run_and_every_script_has_a_row() -> None:
    """Nothing is left over on either side."""
    assert list(results.read()) == [row.name for row in ROWS]
    assert {row.script or row.name for row in ROWS} == SCRIPTS


def test_the_way_to_the_refusal_is_short_too() -> None:
    """What the README shows beside the table."""
    assert len(lines_of(readme.recipe_of(Path(readme.__file__).with_name("refusal.py")))) <= 8


def test_no_row_let_an_application_byte_pass() -> None:
    """Whatever else differs from client to client."""
    for name, result in results.read().items():
        for run in ("wrong", "quiet"):
            assert result.get(run, result["wrong"])["application_bytes"] == 0, name


@pytest.mark.parametrize("script", sorted(SCRIPTS))
def test_a_recipe_is_short_and_whole(script: str) -> None:
    """At most eight lines beside its imports, and it compiles by itself."""
    code = readme.recipe(script)
    compile(code, script, "exec")
    assert "clients" not in code
    assert len(lines_of(code)) <= 8


def test_a_row_says_that_its_client_cannot_where_the_recipe_uses_what_is_private() -> None:
    """What is not supported is not shown as if it were."""
    stored = results.read()
    for row in ROWS:
        private = re.search(r"\._\w|def _", readme.recipe(row.script or row.name)) is not None
        assert row.cannot.startswith("cannot") == private, row.name
        assert bool(row.cannot) == private, row.name
    (line,) = [cells for cells in readme.table(stored) if cells[0].startswith("pymongo")]
    assert line[0] == "pymongo: cannot, but by a private attribute"


def test_what_is_missing_is_left_out_and_in_ci_it_is_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A machine without the libraries and servers can run what it has."""
    from . import run

    def nowhere(_: Credential) -> Any:
        return find("no-such-server")

    no_library = Row("", "", nowhere, distribution="no_such_library")
    for row, what in (no_library, "no_such_library"), (Row("", "", nowhere), "no-such-server"):
        for ci, outcome in ("", pytest.skip.Exception), ("true", pytest.fail.Exception):
            monkeypatch.setenv("CI", ci)
            with run.world() as world, pytest.raises(outcome, match=f"{what} is not installed"):
                world.run(row)


def lines_of(code: str) -> list[str]:
    """Those that are neither empty nor an import."""
    lines = (line for line in code.splitlines() if line)
    return [line for line in lines if not line.startswith(("import ", "from "))]
