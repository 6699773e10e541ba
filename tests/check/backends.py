"""Which of the two checks there are to test: decided here and nowhere else.

Without a compiler pinsock installs without its C library.  A run that means to test that says so
with ``PINSOCK_EXPECT_BACKEND=python``; in any other, a missing C library is an error.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeAlias

import pytest

from pinsock import _pure
from pinsock.exceptions import InvalidCertificateError

if TYPE_CHECKING:
    from types import ModuleType

EXPECTED = os.environ.get("PINSOCK_EXPECT_BACKEND", "c")

BACKENDS: list[ModuleType] = [_pure]
if EXPECTED == "c":
    from pinsock import _native

    BACKENDS.append(_native)

each_backend = pytest.mark.parametrize(
    "backend", BACKENDS, ids=[backend.__name__.rpartition("_")[2] for backend in BACKENDS]
)

#: The slice, or the reason, the field and the offset of the refusal.
Outcome: TypeAlias = bytes | tuple[str, str | None, int | None]


def outcome(backend: ModuleType, der: bytes) -> Outcome:
    """What one back end makes of a certificate.  Any other exception is the test's failure."""
    packed = backend.locate(der, len(der))
    try:
        spki = backend.find_spki(der)
    except InvalidCertificateError as error:
        assert packed < 0
        return error.reason, error.field, error.offset
    assert type(spki) is bytes
    assert der[packed >> 31 :][: packed & 0x7FFFFFFF] == spki
    return spki


def agreed(der: bytes) -> Outcome:
    """What all back ends make of a certificate; they have to agree."""
    first, *others = (outcome(backend, der) for backend in BACKENDS)
    for other in others:
        assert other == first, der.hex()
    return first
