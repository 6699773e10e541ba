"""Damaged certificates: only the documented error, in C and Python alike, or the right slice."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pinsock._pure import DerError, read_header

from .backends import Outcome, agreed
from .certificates import DATA, SEQUENCE, build, tlv
from .corpus import objects
from .oracle import key_encoded, key_used
from .patience import patient

CERTIFICATES = {**DATA, "smallest": build().der}
FIELD_NAMES = {
    "Certificate",
    "tbsCertificate",
    "version",
    "serialNumber",
    "signature",
    "issuer",
    "validity",
    "subject",
    "subjectPublicKeyInfo",
    "signatureAlgorithm",
    "signatureValue",
}


def check(der: bytes) -> Outcome:
    """All back ends agree, and the answer is one of the two that are promised."""
    found = agreed(der)
    if isinstance(found, bytes):
        assert found in der
        used = key_used(der)
        # OpenSSL writes DER, so what is not DER within the key is compared as OpenSSL reads it.
        assert used is None or used in (found, key_encoded(found)), der.hex()
    else:
        reason, field, offset = found
        assert reason
        assert field in FIELD_NAMES
        assert offset is not None
        assert 0 <= offset <= len(der)
    return found


@pytest.mark.parametrize("key", CERTIFICATES)
def test_a_certificate_cut_short_at_any_byte_is_refused(key: str) -> None:
    """Nothing that was cut is read as a whole certificate."""
    der = CERTIFICATES[key]
    for size in range(len(der)):
        found = check(der[:size])
        assert isinstance(found, tuple), size


@pytest.mark.parametrize("key", CERTIFICATES)
def test_a_certificate_whose_beginning_is_missing_is_refused(key: str) -> None:
    """Nor is anything read from the middle of one."""
    der = CERTIFICATES[key]
    for start in range(1, len(der)):
        found = check(der[start:])
        assert isinstance(found, tuple), start


@pytest.mark.parametrize("key", CERTIFICATES)
def test_each_byte_flipped_is_refused_or_gives_the_key_that_openssl_used(key: str) -> None:
    """Bits that mean the class, the construction, the number or the length, and all of them."""
    der = CERTIFICATES[key]
    for mask in (
        (0x01, 0x20, 0x80, 0xFF) if len(der) > 500 else (0x01, 0x02, 0x1F, 0x20, 0x80, 0xFF)
    ):
        for place in range(len(der)):
            check(der[:place] + bytes([der[place] ^ mask]) + der[place + 1 :])


def test_each_byte_may_have_a_third_of_all_values() -> None:
    """Certificates that differ from a small one in one byte, whatever the new byte is."""
    der = CERTIFICATES["smallest"]
    for place in range(len(der)):
        for value in (*range(0, 256, 3), 0x1F, 0x80, 0x82):
            check(der[:place] + bytes([value]) + der[place + 1 :])


@pytest.mark.parametrize("key", CERTIFICATES)
def test_a_byte_more_or_less_anywhere_is_refused(key: str) -> None:
    """One byte too many or missing shifts all that follows, so that the lengths no longer fit."""
    der = CERTIFICATES[key]
    for place in range(len(der)):
        assert isinstance(check(der[:place] + der[place + 1 :]), tuple)
        for more in (b"\0", b"\x30", b"\xff"):
            assert isinstance(check(der[:place] + more + der[place:]), tuple)


def _real_certificates() -> st.SearchStrategy[bytes]:
    found = [der for der in objects() if len(der) < 4000 and isinstance(agreed(der), bytes)]
    return st.sampled_from(found)


#: Bytes that mean something to a reader of tags and lengths.
_TELLING = st.sampled_from(
    [bytes([b]) for b in (0x00, 0x02, 0x03, 0x1F, 0x30, 0x3F, 0x7F, 0x80, 0x81, 0x82, 0x84, 0x85)]
    + [b"\0\0", b"\x30\x80", b"\x81\x7f", b"\x82\x00\xff", b"\x84\x7f\xff\xff\xff", b"\xff" * 5]
)


def elements(der: bytes) -> list[bytes]:
    """The elements of one SEQUENCE; from the first that cannot be read on, the rest is one."""
    start, end = read_header(der, 0, len(der), SEQUENCE)
    found = []
    while start < end:
        try:
            _, stop = read_header(der, start, end, der[start])
        except DerError:
            stop = end
        found.append(der[start:stop])
        start = stop
    return found


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A real certificate, changed in a few places.

    Half of the changes are to one field's first bytes, with the lengths around it set right again,
    and the others keep the size, or else the outermost length would catch most of them.
    """
    der = draw(st.deferred(_real_certificates))
    for _ in range(draw(st.integers(1, 3))):
        piece = draw(_TELLING | st.binary(max_size=6))
        if draw(st.booleans()) and isinstance(agreed(der), bytes):
            tbs, *after = elements(der)
            fields = elements(tbs)
            index = draw(st.integers(0, min(len(fields), 7) - 1))
            place = draw(st.integers(0, 5))
            removed = draw(st.sampled_from([len(piece), 0, 1, 2, 40]))
            field = fields[index]
            fields[index] = field[:place] + piece + field[place + removed :]
            der = tlv(SEQUENCE, tlv(SEQUENCE, *fields), *after)
        else:
            place = draw(st.integers(0, len(der)))
            der = der[:place] + piece + der[place + len(piece) :]
    return der


@settings(patient, max_examples=1500)  # this is the contract
@given(damaged())
def test_all_back_ends_make_the_same_of_a_damaged_certificate(der: bytes) -> None:
    """The contract of the two: the same slice, or the same reason, field and offset."""
    check(der)


@settings(patient, max_examples=500)
@given(st.deferred(_real_certificates), st.data())
def test_a_real_certificate_cut_anywhere_is_refused(der: bytes, data: st.DataObject) -> None:
    """Truncation, over all the certificates there are."""
    size = data.draw(st.integers(0, len(der) - 1))
    assert isinstance(check(der[:size]), tuple)


def nested() -> st.SearchStrategy[bytes]:
    """Bytes that look like BER: elements in elements, with right and wrong lengths."""

    def element(inside: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
        def write(tag: int, octets: int, off: int, parts: list[bytes]) -> bytes:
            contents = b"".join(parts)
            size = max(0, len(contents) + off)
            if octets == 0:
                length = bytes([size]) if size < 0x80 else b"\x82" + size.to_bytes(2, "big")
            else:
                length = bytes([0x80 | octets]) + size.to_bytes(octets, "big")
            return bytes([tag]) + length + contents

        tags = st.sampled_from([0x30, 0x02, 0x03, 0xA0, 0x31, 0x1F, 0x00])
        octets = st.just(0) | st.integers(2, 5)
        off = st.just(0) | st.integers(-2, 2)
        return st.builds(write, tags, octets, off, st.lists(inside, max_size=8))

    return st.recursive(st.binary(max_size=8), element, max_leaves=24)


@settings(patient, max_examples=500)
@example(b"")
@example(b"\x30")
@example(b"\x30\x00")
@given(st.binary(max_size=200) | nested())
def test_random_bytes_are_refused_with_the_documented_error(der: bytes) -> None:
    """Whatever the bytes, there is no other exception and no disagreement."""
    check(der)
