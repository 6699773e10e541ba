"""CPython's own tests do not notice that their contexts are pinned, but for those that are listed.

In full they take minutes (``-m dropin``, or ``python -m tests.dropin`` with a table); the tests of
http.client are run every time, also under pins of nobody, which shows that the pins are checked.
"""

from __future__ import annotations

import importlib.util
import os

import pytest

from .comparison import SUITES, WITHOUT_TLS, compare, run


def python_has_its_tests() -> bool:
    """Whether the package ``test`` is there, and whole: Debian's is not."""
    try:
        return importlib.util.find_spec("test.test_ssl") is not None
    except ModuleNotFoundError:
        return False


pytestmark = pytest.mark.skipif(
    not (python_has_its_tests() or os.environ.get("CI")),
    reason="this Python comes without its own tests",
)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "suite",
    [
        suite if suite == "test_httplib" else pytest.param(suite, marks=pytest.mark.dropin)
        for suite in SUITES
    ],
)
def test_a_module_of_cpythons_tests_passes_pinned_as_it_passes_plain(suite: str) -> None:
    """No test that passes plain fails pinned but for those listed, and each of those does."""
    comparison = compare(suite)
    assert comparison.plain
    assert not comparison.worse
    assert not comparison.better
    assert (comparison.verdicts > 0) == (suite not in WITHOUT_TLS)


def test_under_pins_of_nobody_a_test_of_cpythons_fails() -> None:
    """What is run is the real check: it refuses where the pins are others."""
    name = "test.test_httplib.HTTPSTest.test_local_good_hostname"
    only = frozenset({name})
    assert run("test_httplib", "cpython", only=only)[name].outcome == "passed"
    refused = run("test_httplib", "nobody", only=only)[name]
    assert refused.outcome == "error"
    assert "PinMismatchError" in refused.text
