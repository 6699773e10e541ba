"""The pytest plugin of pinsock: fixtures over ``pinsock.testing``.

It stands beside the package, for every pytest run loads it, and to import anything of ``pinsock``
loads ``ssl``.  A project that uses none of the fixtures pays for none of it.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pinsock.testing import AttackReport, Authority, Interceptor, PinnedServer

__all__ = ["interceptor", "pin_attacks", "pin_authority", "pinned_server"]

_NAMES = ("127.0.0.1", "localhost")


def _demand_the_extra() -> None:
    if importlib.util.find_spec("trustme") is None:
        pytest.fail(
            "the fixtures of pinsock need its extra: pip install 'pinsock[testing]'", pytrace=False
        )


@pytest.fixture(scope="session")
def pin_authority() -> Authority:
    """The authority that a client under test has to trust: ``pin_authority.pem``."""
    _demand_the_extra()
    from pinsock.testing import Authority

    return Authority("the authority of the tests")


@pytest.fixture
def pinned_server(pin_authority: Authority) -> Iterator[PinnedServer]:
    """A TLS server on loopback: ``.address``, ``.url`` and the ``.pins`` of its two keys.

    It answers HTTP with ``hello`` and sends everything else back.
    """
    from pinsock.testing import PinnedServer

    backup = pin_authority.issue(*_NAMES)
    with PinnedServer(pin_authority.issue(*_NAMES), backup=backup) as server:
        yield server


@pytest.fixture
def interceptor(pin_authority: Authority, pinned_server: PinnedServer) -> Iterator[Interceptor]:
    """A man in the middle before ``pinned_server``, whose certificate the client trusts.

    ``interceptor.settle()`` says what it was given.
    """
    from pinsock.testing import Interceptor

    with Interceptor(pin_authority.issue(*_NAMES), pinned_server.address) as between:
        yield between


@pytest.fixture
def pin_attacks() -> Callable[..., AttackReport]:
    """``pin_attacks(client)``: see :func:`pinsock.testing.assert_refuses_interception`."""
    _demand_the_extra()
    from pinsock.testing import assert_refuses_interception

    return assert_refuses_interception
