"""What all tests share: one authority that everybody trusts, and what it has signed."""

from __future__ import annotations

import gc
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from support.impostor import HOST

from pinsock import PinSet
from pinsock._throwaway import Authority, Credential, rsa_key

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True, scope="module")
def _leave_nothing_open() -> Iterator[None]:
    """A socket left open is an error, here and not in whatever test the collector next runs in."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def authority() -> Authority:
    """Whom every client and server of the tests trusts, and the interceptors' authority too."""
    return Authority("everybody's authority")


@pytest.fixture(scope="session")
def good(authority: Authority) -> Credential:
    """The pinned peer's."""
    return authority.issue(HOST)


@pytest.fixture(scope="session")
def bad(authority: Authority) -> Credential:
    """An impostor's: nothing is wrong with it but its key."""
    return authority.issue(HOST)


@pytest.fixture(scope="session")
def bad_rsa(authority: Authority) -> Credential:
    """An impostor's, with an RSA key."""
    return authority.issue(HOST, key=rsa_key())


@pytest.fixture(scope="session")
def backup(authority: Authority) -> Credential:
    """The pinned peer's after it has changed to the key that it kept aside."""
    return authority.issue(HOST)


@pytest.fixture(scope="session")
def pins(good: Credential) -> PinSet:
    """The good peer's pin alone."""
    return PinSet(good.pin, None)


# --- what a plain run leaves out ------------------------------------------------------------------

_LEFT_OUT: pytest.StashKey[Counter[str]] = pytest.StashKey()
#: Tests that are run when they are asked for.
_ASKED_FOR = (
    "browser",
    "clients",
    "commands",
    "dropin",
    "kit",
    "packaging",
    "proofs",
    "soak",
    "toolchain",
)


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Count by marker what was not asked for."""
    if items:
        left_out = items[0].config.stash.setdefault(_LEFT_OUT, Counter())
        left_out.update(m for item in items for m in _ASKED_FOR if item.get_closest_marker(m))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say what a run without ``-m`` has left out."""
    for marker, number in sorted(config.stash.get(_LEFT_OUT, Counter()).items()):
        terminalreporter.line(f"left out: {number} tests, which pytest -m {marker} runs")
