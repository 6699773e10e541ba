"""Plugin of pytest: which tests run which lines of ``pinsock``, and what each takes.

A test that fails here, where another tracer looks on, is set down apart: it may be one that needs
the tracer for itself.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import coverage
import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

#: Where the result goes: module to line to tests, test to seconds, the tests that failed.
OUTPUT: Final = "PINSOCK_REACH"


class _Reach:
    def __init__(self, cover: coverage.Coverage) -> None:
        self._cover = cover
        self._seconds: dict[str, float] = {}
        self._failed: set[str] = set()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        self._cover.switch_context(item.nodeid)
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid] = self._seconds.get(report.nodeid, 0.0) + report.duration
        if report.failed:
            self._failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self._cover.stop()
        data = self._cover.get_data()
        lines = {
            Path(file).stem: {
                line: [test for test in tests if test]
                for line, tests in data.contexts_by_lineno(file).items()
            }
            for file in data.measured_files()
        }
        result = {"lines": lines, "seconds": self._seconds, "failed": sorted(self._failed)}
        Path(os.environ[OUTPUT]).write_text(json.dumps(result))


def pytest_configure(config: pytest.Config) -> None:
    cover = coverage.Coverage(data_file=None, config_file=False, include=["pinsock/*.py"])
    cover.start()
    config.pluginmanager.register(_Reach(cover), "reach")
