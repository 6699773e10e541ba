"""The check over the C library.  No other module touches ``lib``."""

from __future__ import annotations

from pinsock._ffi import lib
from pinsock.exceptions import certificate_fault

#: ``locate(der, size)``: ``offset << 31 | length`` of the SubjectPublicKeyInfo; below 0 if
#: :func:`find_spki` raises.  This and the next are the builtins themselves: a Python function
#: around each would cost as much again.
locate = lib.pinsock_find_spki_packed

#: ``find_digest(table, rows, digest)``: the row of 32 bytes that equals ``digest``, or -1, in
#: constant time.
find_digest = lib.pinsock_find_digest


def find_spki(der: bytes) -> bytes:
    """The raw DER SubjectPublicKeyInfo of a DER certificate (RFC 5280, section 4.1).

    Raises InvalidCertificateError for all that is not DER on the way to the key.
    """
    size = len(der)
    packed = locate(der, size)
    if packed < 0:  # csrc/spki.h says how a refusal is packed
        raise certificate_fault(-packed & 0xFF, -packed >> 8 & 0xFF, -packed >> 16, size)
    offset = packed >> 31
    return der[offset : offset + (packed & 0x7FFFFFFF)]
