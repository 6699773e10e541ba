"""Certificates built byte by byte, honest and hostile.

A certificate is a table of fields.  For any of them a test can give other contents, and another
form of tag and length than DER's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

BOOLEAN = 0x01
INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
OBJECT_IDENTIFIER = 0x06
UTF8_STRING = 0x0C
T61_STRING = 0x14
UTC_TIME = 0x17
SEQUENCE = 0x30
SET = 0x31
CONSTRUCTED = 0x20

DATA = {
    path.stem: path.read_bytes() for path in sorted(Path(__file__).with_name("data").glob("*.der"))
}


# --- forms of tag and length ---------------------------------------------------------------------

#: From a tag and the size of the contents: what stands before the contents, and what after.
Form: TypeAlias = Callable[[int, int], tuple[bytes, bytes]]


def definite(tag: int, size: int) -> tuple[bytes, bytes]:
    """DER (X.690, 10.1)."""
    if size < 0x80:
        return bytes([tag, size]), b""
    octets = (size.bit_length() + 7) // 8
    return bytes([tag, 0x80 | octets]) + size.to_bytes(octets, "big"), b""


def indefinite(tag: int, _size: int) -> tuple[bytes, bytes]:
    """No length, and two zero bytes at the end (X.690, 8.1.3.6)."""
    return bytes([tag, 0x80]), bytes(2)


def padded(octets: int) -> Form:
    """A length in so many bytes, with zeros in front."""

    def form(tag: int, size: int) -> tuple[bytes, bytes]:
        return bytes([tag, 0x80 | octets]) + size.to_bytes(octets, "big"), b""

    return form


def one_padding_byte(tag: int, size: int) -> tuple[bytes, bytes]:
    """A length in one byte more than it needs, whatever it needs."""
    return padded(len(definite(tag, size)[0]) - 1)(tag, size)


def high_tag(tag: int, size: int) -> tuple[bytes, bytes]:
    """The same tag's number in a byte of its own (X.690, 8.1.2.4), as only numbers from 31 may."""
    header, end = definite(tag, size)
    return bytes([tag | 0x1F, tag & 0x1F]) + header[1:], end


def padded_high_tag(tag: int, size: int) -> tuple[bytes, bytes]:
    """The same, with a leading zero in the number (against X.690, 8.1.2.4.2)."""
    header, end = definite(tag, size)
    return bytes([tag | 0x1F, 0x80, tag & 0x1F]) + header[1:], end


def other_construction(tag: int, size: int) -> tuple[bytes, bytes]:
    """Constructed where a primitive belongs, and the other way round (X.690, 8.1.2.5)."""
    return definite(tag ^ CONSTRUCTED, size)


def too_long(tag: int, size: int) -> tuple[bytes, bytes]:
    """A length that promises 64 KiB more than there is."""
    return definite(tag, size + 0x10000)


def tlv(tag: int, *contents: bytes, form: Form = definite) -> bytes:
    """One element."""
    inside = b"".join(contents)
    header, end = form(tag, len(inside))
    return header + inside + end


# --- certificates --------------------------------------------------------------------------------


def _ed25519(seed: bytes) -> bytes:
    key = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    return tlv(SEQUENCE, ED25519, tlv(BIT_STRING, b"\0" + key))


def name(value: bytes, tag: int = UTF8_STRING) -> bytes:
    """The contents of a Name with one commonName."""
    attribute = tlv(SEQUENCE, tlv(OBJECT_IDENTIFIER, bytes.fromhex("550403")), tlv(tag, value))
    return tlv(SET, attribute)


def extension(value: bytes) -> bytes:
    """An extension that nobody knows."""
    return tlv(SEQUENCE, tlv(OBJECT_IDENTIFIER, bytes.fromhex("2a030405")), value)


ED25519 = tlv(SEQUENCE, tlv(OBJECT_IDENTIFIER, bytes.fromhex("2b6570")))
SEED = b"a key to build certificates for."
#: The key that the certificates are for, and the one that a victim has pinned.
KEY = _ed25519(SEED)
DECOY = _ed25519(b"and one that they only pretend..")

#: The fields of tbsCertificate (RFC 5280, section 4.1), in their order, and what stands around
#: them: tag and contents.
IN_TBS: Mapping[str, tuple[int, bytes]] = MappingProxyType(
    {
        "version": (0xA0, tlv(INTEGER, b"\2")),
        "serialNumber": (INTEGER, b"\1"),
        "signature": (SEQUENCE, ED25519[2:]),
        "issuer": (SEQUENCE, name(b"issuer")),
        "validity": (SEQUENCE, tlv(UTC_TIME, b"200101000000Z") + tlv(UTC_TIME, b"491231235959Z")),
        "subject": (SEQUENCE, name(b"subject")),
        "subjectPublicKeyInfo": (SEQUENCE, KEY[2:]),
    }
)
AFTER_TBS: Mapping[str, tuple[int, bytes]] = MappingProxyType(
    {
        "signatureAlgorithm": (SEQUENCE, ED25519[2:]),
        "signatureValue": (BIT_STRING, b"\0" + bytes(64)),
    }
)
FIELDS = ("Certificate", "tbsCertificate", *IN_TBS, *AFTER_TBS)


class Built(NamedTuple):
    """A certificate, and at which byte each of its fields begins."""

    der: bytes
    offsets: dict[str, int]


def build(
    contents: Mapping[str, bytes] = MappingProxyType({}),
    forms: Mapping[str, Form] = MappingProxyType({}),
    *,
    without: tuple[str, ...] = (),
    twice: str = "",
    after_key: bytes = b"",
    after_tbs: bytes = b"",
    after_all: bytes = b"",
) -> Built:
    """A certificate with these contents and forms of its fields, the others as they should be."""

    def elements(fields: Mapping[str, tuple[int, bytes]]) -> tuple[bytes, dict[str, int]]:
        result = b""
        offsets = {}
        for field, (tag, usual) in fields.items():
            if field in without:
                continue
            offsets[field] = len(result)
            element = tlv(tag, contents.get(field, usual), form=forms.get(field, definite))
            result += element * (2 if field == twice else 1)
        return result, offsets

    in_tbs, tbs_offsets = elements(IN_TBS)
    in_tbs += after_key
    tbs_header, tbs_end = forms.get("tbsCertificate", definite)(SEQUENCE, len(in_tbs))
    tbs = tbs_header + in_tbs + tbs_end + after_tbs
    after, after_offsets = elements(AFTER_TBS)
    size = len(tbs) + len(after) + len(after_all)
    header, end = forms.get("Certificate", definite)(SEQUENCE, size)
    start = len(header)
    return Built(
        header + tbs + after + after_all + end,
        {
            "Certificate": 0,
            "tbsCertificate": start,
            **{field: start + len(tbs_header) + at for field, at in tbs_offsets.items()},
            **{field: start + len(tbs) + at for field, at in after_offsets.items()},
        },
    )
