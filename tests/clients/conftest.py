"""The matrix prints what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from . import readme

if TYPE_CHECKING:
    from .results import Results

FRESH: pytest.StashKey[Results] = pytest.StashKey()


@pytest.fixture(scope="session")
def fresh(pytestconfig: pytest.Config) -> Results:
    """What came of the rows of this run."""
    return pytestconfig.stash.setdefault(FRESH, {})


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """The README's table, of this run."""
    if made := config.stash.get(FRESH, {}):
        terminalreporter.section("clients: what a wrong key got of them")
        for line in readme.aligned(made):
            terminalreporter.line(line)
