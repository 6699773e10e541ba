"""Real clients, real servers: the right pin is served, a wrong one gets nothing of the program's.

``pytest -m clients``.  What must hold of each client is said in :mod:`clients.run`; what differs
from client to client has to be as in ``results.json``, which the README's table is made of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from . import results
from .rows import ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .results import Results
    from .row import Row
    from .run import World

pytestmark = pytest.mark.clients


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Each server is started when the first client needs it."""
    from . import run  # what it needs is not needed by a run that leaves the matrix out

    with run.world() as made:
        yield made


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_client_is_as_the_readme_says(world: World, fresh: Results, row: Row) -> None:
    """Served with the right pin; read without pins; with a wrong pin it gives nothing away."""
    result = fresh[row.name] = world.run(row)
    stored = results.read().get(row.name, {})
    assert results.without_version(result) == results.without_version(stored), (
        f"as it is now, it belongs into results.json: cd tests && python -m clients run {row.name}"
    )
