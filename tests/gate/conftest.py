"""What the tests of the gate share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .meetings import People

if TYPE_CHECKING:
    from pinsock._throwaway import Authority, Credential


@pytest.fixture(scope="session")
def people(authority: Authority, good: Credential, bad: Credential, bad_rsa: Credential) -> People:
    return People(authority, good, bad, bad_rsa)
