"""The check in Python: what csrc/spki.c and csrc/pin_table.c do, byte for byte.

It serves where the C library could not be built, and tests hold the two against each other.  The
reasons for what is refused stand in csrc/spki.c.
"""

from __future__ import annotations

from hmac import compare_digest

from pinsock.exceptions import InvalidCertificateError, certificate_fault

_TRUNCATED = 1
_UNEXPECTED_TAG = 2
_HIGH_TAG = 3
_INDEFINITE_LENGTH = 4
_NON_MINIMAL_LENGTH = 5
_OVERLONG_LENGTH = 6
_OVERRUN = 7
_TRAILING_BYTES = 8
_TOO_LARGE = 9

_CERTIFICATE = 0
_TBS_CERTIFICATE = 1
_VERSION = 2
_SUBJECT_PUBLIC_KEY_INFO = 8
_SIGNATURE_ALGORITHM = 9
_SIGNATURE_VALUE = 10

_MAX = 0x7FFFFFFF

SEQUENCE = 0x30
INTEGER = 0x02
BIT_STRING = 0x03
_EXPLICIT_0 = 0xA0

#: serialNumber, signature, issuer, validity, subject: (field, tag).
_BEFORE_THE_KEY = ((3, INTEGER), (4, SEQUENCE), (5, SEQUENCE), (6, SEQUENCE), (7, SEQUENCE))


class DerError(Exception):
    """What was wrong (a number of csrc/spki.h), and at which byte."""

    def __init__(self, status: int, offset: int) -> None:
        super().__init__(status, offset)
        self.status = status
        self.offset = offset


def read_header(der: bytes, position: int, end: int, tag: int) -> tuple[int, int]:
    """Read one DER tag and length; the contents are ``der[result[0]:result[1]]``."""
    if position >= end:
        raise DerError(_TRUNCATED, position)
    if der[position] & 0x1F == 0x1F:
        raise DerError(_HIGH_TAG, position)
    if der[position] != tag:
        raise DerError(_UNEXPECTED_TAG, position)
    position += 1
    if position >= end:
        raise DerError(_TRUNCATED, position)
    length = der[position]
    start = position + 1
    if length == 0x80:
        raise DerError(_INDEFINITE_LENGTH, position)
    if length > 0x80:
        octets = length & 0x7F
        if octets > 4:
            raise DerError(_OVERLONG_LENGTH, position)
        if octets > end - start:
            raise DerError(_TRUNCATED, position)
        first = der[start]
        if first == 0 or (octets == 1 and first < 0x80):
            raise DerError(_NON_MINIMAL_LENGTH, position)
        length = int.from_bytes(der[start : start + octets], "big")
        start += octets
    if length > end - start:
        raise DerError(_OVERRUN, position)
    return start, start + length


def _walk(der: bytes) -> tuple[int, int]:
    """Where the SubjectPublicKeyInfo begins and ends."""
    size = len(der)
    if size > _MAX:
        raise certificate_fault(_TOO_LARGE, _CERTIFICATE, 0, size)
    field = _CERTIFICATE
    try:
        position, certificate_end = read_header(der, 0, size, SEQUENCE)
        if certificate_end != size:
            raise DerError(_TRAILING_BYTES, certificate_end)
        field = _TBS_CERTIFICATE
        position, tbs_end = read_header(der, position, certificate_end, SEQUENCE)
        if position < tbs_end and der[position] == _EXPLICIT_0:
            field = _VERSION
            _, position = read_header(der, position, tbs_end, _EXPLICIT_0)
        for field, tag in _BEFORE_THE_KEY:  # noqa: B007 - the handler below reads it
            _, position = read_header(der, position, tbs_end, tag)
        field = _SUBJECT_PUBLIC_KEY_INFO
        _, spki_end = read_header(der, position, tbs_end, SEQUENCE)
        field = _SIGNATURE_ALGORITHM
        _, end = read_header(der, tbs_end, certificate_end, SEQUENCE)
        field = _SIGNATURE_VALUE
        _, end = read_header(der, end, certificate_end, BIT_STRING)
        if end != certificate_end:
            raise DerError(_TRAILING_BYTES, end)
    except DerError as fault:
        raise certificate_fault(fault.status, field, fault.offset, size) from None
    return position, spki_end


def find_spki(der: bytes) -> bytes:
    """The raw DER SubjectPublicKeyInfo of a DER certificate (RFC 5280, section 4.1).

    Raises InvalidCertificateError for all that is not DER on the way to the key.
    """
    start, end = _walk(der)
    return der[start:end]


def locate(der: bytes, size: int) -> int:  # noqa: ARG001 - as the C function, which needs it
    """``offset << 31 | length`` of the SubjectPublicKeyInfo; below 0 where find_spki raises."""
    try:
        start, end = _walk(der)
    except InvalidCertificateError:
        return -1
    return start << 31 | (end - start)


def find_digest(table: bytes, rows: int, digest: bytes) -> int:
    """The row of 32 bytes that equals ``digest``, or -1.  All rows are read, always."""
    found = -1
    for row in range(rows):
        if compare_digest(table[row * 32 : row * 32 + 32], digest):
            found = row
    return found
