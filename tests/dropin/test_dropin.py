"""CPython's own tests do not notice that their contexts are pinned, but for those that are listed.

In full they take minutes (``-m dropin``, or ``python -m tests.dropin``).  Run every time: the tests
of http.client, and some single ones under pins of nobody, which shows that the pins are checked.
"""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING

import pytest

from . import comparison as of_comparison
from .comparison import (
    HEADING,
    SUITES,
    UNSTEADY,
    Comparison,
    Result,
    Run,
    Wrap,
    compare,
    run,
    steady,
)
from .listed import LISTED

if TYPE_CHECKING:
    from collections.abc import Callable


def python_has_its_tests() -> bool:
    """Whether the package ``test`` is there, and whole: Debian's is not."""
    try:
        return importlib.util.find_spec("test.test_ssl") is not None
    except ModuleNotFoundError:
        return False


needs_cpythons_tests = pytest.mark.skipif(
    not (python_has_its_tests() or os.environ.get("CI")),
    reason="this Python comes without its own tests",
)


@needs_cpythons_tests
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "suite",
    [
        suite if suite == "test_httplib" else pytest.param(suite, marks=pytest.mark.dropin)
        for suite in SUITES
    ],
)
def test_a_module_of_cpythons_tests_passes_pinned_as_it_passes_plain(
    suite: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every test passes plain, and pinned too but for those listed, which fail as is said there;
    each complete handshake of a pinned context had one verdict."""
    comparison = compare(suite)
    with capsys.disabled():  # figures that somebody may want to look at, also where all is well
        print("", HEADING, *comparison.lines(), sep="\n")
    assert list(comparison.faults()) == []


@needs_cpythons_tests
@pytest.mark.parametrize(
    ("side", "suite", "test"),
    [
        ("clients", "test_httplib", "HTTPSTest.test_local_good_hostname"),
        ("servers", "test_ssl", "ThreadedTests.test_PROTOCOL_TLS"),
        ("servers", "test_ssl", "TestPostHandshakeAuth.test_internal_chain_server"),
    ],
)
def test_under_pins_of_nobody_a_test_of_cpythons_fails(side: str, suite: str, test: str) -> None:
    """What is run is the real check: it refuses where the pins are others, on either side."""
    name = f"test.{suite}.{test}"
    only = frozenset({name})

    def judged(seen: Run) -> list[bool]:
        return [w.refused for w in seen.wraps if not w.left_plain for _ in range(w.verdicts)]

    accepted = run(suite, "cpython", only=only, side=side)
    assert accepted.results[name].outcome == "passed"
    assert judged(accepted) == [False]
    assert accepted.verdicts(server_side=side == "servers") == 1

    refused = run(suite, "nobody", only=only, side=side)
    assert refused.results[name].outcome in {"error", "failed"}
    assert judged(refused) == [True]
    if side == "clients":
        assert "PinMismatchError" in refused.results[name].text
    else:  # the client got nothing: CPython's test compares what it has received
        assert "b''" in refused.results[name].text


# --- what is called a fault -----------------------------------------------------------------------

_LISTED = "test.test_ssl.ContextTests.test_options"
_PASSED = "test.test_ssl.T.test_it"


def _sound() -> Comparison:
    """Of a module in which all is well."""
    return Comparison(
        "test_ssl",
        plain=Run({_PASSED: Result("passed"), _LISTED: Result("passed")}),
        pinned=Run(
            {_PASSED: Result("passed")},
            [
                Wrap(_PASSED, server_side=False, verdicts=1, complete=True),
                Wrap(_PASSED, server_side=True, verdicts=1, complete=True),
                Wrap(_PASSED, server_side=True, left_plain="server under CERT_NONE"),
                Wrap(_PASSED, server_side=False),
            ],
        ),
        listed=Run(
            {_LISTED: Result("failed", "AssertionError: <Opti> != <Opti|OP_NO_RENEGOTIATION>")}
        ),
    )


def _failing(comparison: Comparison) -> None:
    comparison.plain.results[_PASSED] = comparison.pinned.results[_PASSED] = Result("failed")


def _skipped(comparison: Comparison) -> None:
    comparison.pinned.results[_PASSED] = Result("skipped")


def _all_skipped(comparison: Comparison) -> None:
    for seen in (comparison.plain, comparison.pinned):
        seen.results = dict.fromkeys(seen.results, Result("skipped"))


def _not_run(comparison: Comparison) -> None:
    comparison.pinned.results.clear()


def _passing_though_listed(comparison: Comparison) -> None:
    comparison.listed.results[_LISTED] = Result("passed")


def _failing_otherwise(comparison: Comparison) -> None:
    comparison.listed.results[_LISTED] = Result("failed", "ModuleNotFoundError")


def _clients_failing(comparison: Comparison) -> None:
    comparison.clients_alone.results[_LISTED] = Result("error")


def _unsteady(comparison: Comparison) -> None:
    comparison.unsteady = [_PASSED] * (UNSTEADY + 1)


def _unjudged(comparison: Comparison) -> None:
    comparison.pinned.wraps.append(Wrap(_PASSED, server_side=False, complete=True))


def _judged_twice(comparison: Comparison) -> None:
    comparison.pinned.wraps.append(Wrap(_PASSED, server_side=False, verdicts=2, complete=True))


def _judged_too_early(comparison: Comparison) -> None:
    comparison.pinned.wraps.append(Wrap(_PASSED, server_side=False, verdicts=1))


def _refused(comparison: Comparison) -> None:
    comparison.pinned.wraps[0].refused = True


def _server_left_plain(comparison: Comparison) -> None:
    wrap = Wrap(_PASSED, server_side=True, left_plain="server under CERT_REQUIRED")
    comparison.pinned.wraps.append(wrap)


def _own_class(comparison: Comparison) -> None:
    wrap = Wrap(_PASSED, server_side=False, left_plain="class of its own for contexts")
    comparison.pinned.wraps.append(wrap)


def _no_server_judged(comparison: Comparison) -> None:
    del comparison.pinned.wraps[1]


def _no_client_judged(comparison: Comparison) -> None:
    del comparison.pinned.wraps[0]


def test_nothing_is_wrong_with_a_module_in_which_all_is_well() -> None:
    """The next test starts from here."""
    assert list(_sound().faults()) == []
    assert _LISTED.removeprefix("test.") in LISTED


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_failing, "fails plain"),
        (_skipped, "passed plain and, pinned"),
        (_all_skipped, "not one test passed"),
        (_not_run, "passed plain and, pinned, not run"),
        (_passing_though_listed, "is listed"),
        (_failing_otherwise, "not for the reason"),
        (_clients_failing, "clients alone"),
        (_unsteady, "failed once"),
        (_unjudged, "not one verdict"),
        (_judged_twice, "not one verdict"),
        (_judged_too_early, "not one verdict"),
        (_refused, "refused"),
        (_server_left_plain, "left plain"),
        (_own_class, "left plain"),
        (_no_server_judged, "of servers"),
        (_no_client_judged, "of clients"),
    ],
)
def test_what_must_not_be_is_called_a_fault(spoil: Callable[[Comparison], None], says: str) -> None:
    """Whatever would let this check pass without having checked."""
    comparison = _sound()
    spoil(comparison)
    assert any(says in fault for fault in comparison.faults())


def test_what_fails_is_run_again_with_its_whole_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test leaves for the next is there the second time too, and what fails twice has
    failed."""
    runs = [
        Run({"once": Result("error"), "twice": Result("failed"), "never": Result("passed")}),
        Run({"once": Result("passed"), "twice": Result("failed"), "never": Result("error")}),
    ]
    asked: list[tuple[object, ...]] = []

    def some_run(*arguments: object, **named: object) -> Run:
        asked.append((arguments, named))
        return runs[len(asked) - 1]

    monkeypatch.setattr(of_comparison, "run", some_run)
    seen, unsteady = steady("test_ssl", "cpython", leave_out=frozenset({"listed"}))
    assert asked == [(("test_ssl", "cpython"), {"leave_out": frozenset({"listed"})})] * 2
    assert seen.bad() == ["twice"]
    assert unsteady == ["once"]
