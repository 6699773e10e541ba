"""What all tests share: one authority that everybody trusts, and what it has signed."""

from __future__ import annotations

import pytest
from support.impostor import HOST

from pinsock import PinSet
from pinsock._throwaway import Authority, Credential, rsa_key


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
