"""What tests against real servers share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import pinsock

if TYPE_CHECKING:
    from collections.abc import Callable

    from pinsock._throwaway import Authority


@pytest.fixture(scope="session")
def pinned_to(authority: Authority) -> Callable[[pinsock.Pin], pinsock.PinnedContext]:
    """Make a context that trusts the authority and accepts one key."""

    def pinned(pin: pinsock.Pin) -> pinsock.PinnedContext:
        pins = pinsock.PinSet([pin], backup=None)
        return pinsock.create_default_context(pins, cadata=authority.pem)

    return pinned
