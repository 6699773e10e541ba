"""What the tests of the early verdict share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from support.contexts import client

from pinsock import PinnedContext, PinSet, pin_context

if TYPE_CHECKING:
    from collections.abc import Callable

    from pinsock._throwaway import Authority, Credential

#: Made for examples; nobody reads what is in the extension.
_BALLAST = x509.ObjectIdentifier("2.999.1")


@pytest.fixture(scope="session")
def me(authority: Authority) -> Credential:
    """The client's own, which no impostor may see."""
    return authority.issue("me.example")


@pytest.fixture(scope="session")
def ballast(authority: Authority) -> tuple[x509.Certificate, ...]:
    """Over 64 kB of certificates, to send along in a chain."""
    return tuple(
        # Of random bytes, for OpenSSL 3.5 compresses a client's certificates (RFC 8879).
        authority.issue(
            f"ballast {number}",
            extensions=(x509.UnrecognizedExtension(_BALLAST, os.urandom(16_500)),),
        ).certificate
        for number in range(4)
    )


@pytest.fixture
def fresh(authority: Authority, me: Credential, pins: PinSet) -> Callable[[], PinnedContext]:
    """Make a client's context that has a certificate, and accepts the good server alone."""
    return lambda: pin_context(client(authority, credential=me), pins)


@pytest.fixture
def ours(fresh: Callable[[], PinnedContext]) -> PinnedContext:
    """One of those."""
    return fresh()
