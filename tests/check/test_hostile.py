"""The slice is the key that OpenSSL used.

OpenSSL reads more than DER.  Whoever may choose a certificate's bytes can therefore write one that
OpenSSL reads as it should be read, with the key of the handshake, and that a reader with other
leniencies follows to another key: the pinned one, which anybody can copy from a real certificate.
So each certificate here is either refused, by all back ends with the same words, or the slice is
what ``i2d_X509_PUBKEY`` gives for what OpenSSL read.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pinsock import InvalidCertificateError, Pin, PinSet, _pins
from pinsock._pins import sha256

from .backends import agreed, each_backend, outcome
from .certificates import (
    BIT_STRING,
    BOOLEAN,
    CONSTRUCTED,
    DECOY,
    FIELDS,
    IN_TBS,
    INTEGER,
    KEY,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    SEED,
    SEQUENCE,
    T61_STRING,
    UTF8_STRING,
    Form,
    build,
    definite,
    extension,
    high_tag,
    indefinite,
    name,
    one_padding_byte,
    other_construction,
    padded,
    padded_high_tag,
    tlv,
    too_long,
)
from .oracle import key_used

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

# --- every form at every place --------------------------------------------------------------------

#: Form, what the error says of it, and the byte it means, counted from that of the tag.
FORMS: dict[str, tuple[Form, str, int]] = {
    "indefinite length": (indefinite, "indefinite form", 1),
    "one padding byte": (one_padding_byte, "not in the shortest form", 1),
    "length in four bytes": (padded(4), "not in the shortest form", 1),
    "length in five bytes": (padded(5), "more than four bytes", 1),
    "length in 126 bytes": (padded(126), "more than four bytes", 1),
    "high tag": (high_tag, "more than one byte", 0),
    "high tag with a zero": (padded_high_tag, "more than one byte", 0),
    "other construction": (other_construction, "another type", 0),
    "longer than what holds it": (too_long, "runs past the end", 1),
}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("form", FORMS)
def test_anything_but_der_is_refused_with_its_reason_field_and_byte(form: str, field: str) -> None:
    """No field's tag and length is read in any form but DER's, whatever OpenSSL makes of it."""
    write, reason, byte = FORMS[form]
    certificate = build(forms={field: write})
    # A version with another tag is no version, and then the serial number is expected.
    named = "serialNumber" if field == "version" and byte == 0 else field
    found = agreed(certificate.der)
    assert isinstance(found, tuple)
    assert reason in found[0]
    assert found[1:] == (named, certificate.offsets[field] + byte)
    assert key_used(certificate.der) in (None, KEY)


@pytest.mark.parametrize("field", FIELDS)
def test_the_length_bytes_that_no_form_uses_are_refused(field: str) -> None:
    """The length byte FF is reserved (X.690, 8.1.3.5 c) and refused in every place."""
    certificate = build(forms={field: lambda tag, _: (bytes([tag, 0xFF]), b"")})
    found = agreed(certificate.der)
    assert isinstance(found, tuple)
    assert found[1:] == (field, certificate.offsets[field] + 1)


@pytest.mark.parametrize("field", [*IN_TBS, "signatureAlgorithm", "signatureValue"])
def test_a_certificate_without_one_of_its_fields_is_refused(field: str) -> None:
    """Each field has to be there, except the version, which version 1 has not."""
    der = build(without=(field,)).der
    if field == "version":
        assert agreed(der) == KEY == key_used(der)
    else:
        assert isinstance(agreed(der), tuple)
        assert key_used(der) is None


@pytest.mark.parametrize("field", [*IN_TBS, "signatureAlgorithm", "signatureValue"])
def test_a_field_that_stands_twice_never_moves_the_slice_of_a_certificate(field: str) -> None:
    """One element too many: refused, or OpenSSL refuses it, so that no handshake gets so far."""
    der = build(twice=field).der
    assert isinstance(agreed(der), tuple) or key_used(der) in (None, agreed(der))


@pytest.mark.parametrize("size", range(1, len(KEY)))
def test_a_key_that_runs_past_the_end_of_tbs_certificate_is_refused(size: int) -> None:
    """The slice ends inside tbsCertificate: what follows that could be an attacker's choice."""
    whole = build()
    start = whole.offsets["subjectPublicKeyInfo"]
    in_tbs = whole.der[whole.offsets["version"] : start] + KEY[:size]
    after = KEY[size:] + whole.der[whole.offsets["signatureAlgorithm"] :]
    der = tlv(SEQUENCE, tlv(SEQUENCE, in_tbs), after)
    found = agreed(der)
    assert isinstance(found, tuple)
    assert found[1] == "subjectPublicKeyInfo"
    assert key_used(der) is None


def test_a_key_past_the_end_of_tbs_certificate_is_not_taken() -> None:
    """A key that follows tbsCertificate is no part of it."""
    certificate = build(without=("subjectPublicKeyInfo",), after_tbs=DECOY)
    found = agreed(certificate.der)
    assert isinstance(found, tuple)
    assert found[1:] == ("subjectPublicKeyInfo", certificate.der.index(DECOY))
    assert key_used(certificate.der) is None


@pytest.mark.parametrize(
    ("place", "byte"),
    [("after_tbs", "signatureAlgorithm"), ("after_all", "")],
    ids=["after tbsCertificate", "after the signature"],
)
def test_bytes_that_belong_to_nothing_are_refused(place: str, byte: str) -> None:
    """Certificate holds its three elements and nothing else."""
    whole = build()
    der = build(**{place: DECOY}).der  # type: ignore[arg-type]  # after_* are all bytes
    found = agreed(der)
    assert isinstance(found, tuple)
    assert found[2] == (whole.offsets[byte] + len(DECOY) if byte else len(whole.der))
    assert key_used(der) is None


@pytest.mark.parametrize("rest", [b"\0", b"\n", DECOY, build().der], ids=len)
def test_bytes_after_the_certificate_are_refused(rest: bytes) -> None:
    """One certificate and not a byte more."""
    der = build().der
    found = agreed(der + rest)
    assert isinstance(found, tuple)
    assert "bytes follow" in found[0]
    assert found[1:] == ("Certificate", len(der))


# --- decoys ---------------------------------------------------------------------------------------

#: What follows the serial number in a certificate for the decoy.
_AS_IN_TBS = b"".join(
    tlv(*IN_TBS[field]) for field in ("signature", "issuer", "validity", "subject")
)
_FROM_VALIDITY = tlv(*IN_TBS["validity"]) + tlv(*IN_TBS["subject"]) + DECOY


def lenient_walk(der: bytes) -> bytes:
    """A reader such as could be written without thought of all this.

    It takes every tag for one byte long, every length for as long as it says, and an element of
    indefinite length to end at the next two zero bytes.
    """

    def read(position: int) -> tuple[int, int]:
        length = der[position + 1]
        start = position + 2
        if length == 0x80:
            return start, der.index(b"\0\0", start) + 2
        if length > 0x80:
            octets = length & 0x7F
            length = int.from_bytes(der[start : start + octets], "big")
            start += octets
        return start, start + length

    position, _ = read(0)
    position, _ = read(position)
    for _ in IN_TBS:
        start, (_, position) = position, read(position)
    return der[start:position]


def _serial_as_high_tag() -> bytes:
    """1F 02 82 01 30: read as tag 1F of two bytes, the contents begin with a SEQUENCE."""
    size = 0x130
    # The last byte of that length is the tag of the field `signature`; the contents go on from it.
    contents = (_AS_IN_TBS + DECOY)[1:]
    contents += bytes(size - len(contents))
    return build({"serialNumber": contents}, {"serialNumber": high_tag}).der


def _issuer_of_indefinite_length() -> bytes:
    """An issuer whose value holds two zero bytes and, after them, the rest of a certificate."""
    value = b"\0\0" + _FROM_VALIDITY
    contents = name(value, T61_STRING)
    return build({"issuer": contents}, {"issuer": indefinite}).der


ATTACKS = {
    "serial number as high tag": _serial_as_high_tag(),
    "issuer of indefinite length": _issuer_of_indefinite_length(),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_lenient_reader_would_be_led_to_the_pinned_key(attack: str) -> None:
    """The attacks below are attacks: here is a reader that falls for them."""
    assert lenient_walk(build().der) == KEY
    assert lenient_walk(ATTACKS[attack]) == DECOY


@pytest.mark.parametrize("attack", ATTACKS)
@each_backend
def test_a_certificate_that_leads_to_a_decoy_never_matches_its_pin(
    attack: str, backend: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The victim pinned the decoy's key: the attacker's certificate is refused, not matched."""
    monkeypatch.setattr(_pins, "find_spki", backend.find_spki)
    monkeypatch.setattr(_pins, "locate", backend.locate)
    monkeypatch.setattr(_pins, "find_digest", backend.find_digest)
    victim = PinSet(Pin("spki", sha256(DECOY)), backup=None)
    with pytest.raises(InvalidCertificateError):
        victim.match_certificate(ATTACKS[attack])
    assert key_used(ATTACKS[attack]) in (None, KEY)


#: A decoy in a place where honest DER can hold one.
DECOYS = {
    "serial number": build({"serialNumber": _AS_IN_TBS + DECOY}),
    "issuer": build({"issuer": name(_AS_IN_TBS + DECOY, T61_STRING)}),
    "subject": build({"subject": name(DECOY, T61_STRING)}),
    "issuer, among other names": build({"issuer": name(b"i") + name(DECOY, T61_STRING)}),
    "extension": build(
        after_key=tlv(0xA3, tlv(SEQUENCE, extension(tlv(OCTET_STRING, _AS_IN_TBS + DECOY))))
    ),
    "issuerUniqueID": build(after_key=tlv(0x81, b"\0" + DECOY)),
    "signature": build({"signatureValue": b"\0" + DECOY}),
    "parameters of the algorithm": build(
        {"signature": tlv(OBJECT_IDENTIFIER, bytes.fromhex("2a030405")) + DECOY}
    ),
}


@pytest.mark.parametrize("place", DECOYS)
def test_a_decoy_in_honest_der_is_passed_by(place: str) -> None:
    """A second key in a name, the serial number or an extension changes nothing."""
    der = DECOYS[place].der
    assert DECOY in der
    assert agreed(der) == KEY
    # OpenSSL also wants the two algorithms of a certificate to be equal only when it verifies.
    assert key_used(der) == KEY


@pytest.mark.parametrize("form", [indefinite, padded(4), high_tag], ids=lambda form: form.__name__)
@pytest.mark.parametrize("field", ["serialNumber", "issuer", "subject"])
def test_a_decoy_in_ber_is_never_reached(field: str, form: Form) -> None:
    """The same in BER: refused, and where OpenSSL accepts it, it used the other key."""
    decoy = _AS_IN_TBS + DECOY
    contents = decoy if field == "serialNumber" else name(decoy, T61_STRING)
    der = build({field: contents}, {field: form}).der
    assert isinstance(agreed(der), tuple)
    assert key_used(der) in (None, KEY)


# --- odd elsewhere --------------------------------------------------------------------------------

_OID = tlv(OBJECT_IDENTIFIER, bytes.fromhex("2a030405"))
_VALUE = tlv(OCTET_STRING, b"value")


def _extensions(*each: bytes, form: Form = definite, inner: Form = definite) -> bytes:
    return tlv(0xA3, tlv(SEQUENCE, *each, form=inner), form=form)


#: Certificates that are not DER, or not as RFC 5280 has them, but not on the way to the key.
ODD = {
    "extensions of indefinite length": build(
        after_key=_extensions(extension(_VALUE), form=indefinite, inner=indefinite)
    ),
    "extensions with padded lengths": build(
        after_key=_extensions(extension(_VALUE), form=padded(3), inner=padded(4))
    ),
    "extensions with a high tag": build(after_key=_extensions(extension(_VALUE), inner=high_tag)),
    "an extension's value in pieces": build(
        after_key=_extensions(
            extension(tlv(OCTET_STRING | CONSTRUCTED, _VALUE, _VALUE, form=indefinite))
        )
    ),
    "an extension that is critical by 01": build(
        after_key=_extensions(tlv(SEQUENCE, _OID, tlv(BOOLEAN, b"\1"), _VALUE))
    ),
    "an extension not critical by 00": build(
        after_key=_extensions(tlv(SEQUENCE, _OID, tlv(BOOLEAN, b"\0"), _VALUE))
    ),
    "no extensions in the list": build(after_key=_extensions()),
    "unique identifiers": build(after_key=tlv(0x81, b"\0id") + tlv(0x82, b"\0id")),
    "serial number zero": build({"serialNumber": b"\0"}),
    "negative serial number": build({"serialNumber": b"\x80\1"}),
    "serial number with padding": build({"serialNumber": b"\0\0\0\1"}),
    "serial number of no bytes": build({"serialNumber": b""}),
    "serial number of 300 bytes": build({"serialNumber": b"\1" * 300}),
    "version 1, spelt out": build({"version": tlv(INTEGER, b"\0")}),
    "version 8": build({"version": tlv(INTEGER, b"\7")}),
    "version 1 with extensions": build(
        without=("version",), after_key=_extensions(extension(_VALUE))
    ),
    "version in BER inside": build({"version": tlv(INTEGER, b"\2", form=padded(2))}),
    "issuer in BER inside": build({"issuer": tlv(0x31, name(b"i")[2:], form=indefinite)}),
    "issuer with no name": build({"issuer": b""}),
    "subject with no name": build({"subject": b""}),
    "subject in pieces": build(
        {"subject": name(tlv(UTF8_STRING, b"s"), UTF8_STRING | CONSTRUCTED)}
    ),
    "subject in padded lengths": build(
        {"subject": tlv(0x31, name(b"s")[2:], form=padded(4)) + name(b"t")}
    ),
    "dates that are none": build({"validity": tlv(0x17, b"yesterday") + tlv(0x18, b"tomorrow")}),
    "algorithms that differ": build({"signatureAlgorithm": _OID}),
    "algorithm in BER inside": build(
        {"signatureAlgorithm": tlv(OBJECT_IDENTIFIER, bytes.fromhex("2b6570"), form=padded(2))}
    ),
    "signature of no bytes": build({"signatureValue": b"\0"}),
    "signature with unused bits": build({"signatureValue": b"\3" + bytes(8)}),
}


@pytest.mark.parametrize("oddity", ODD)
def test_a_certificate_that_is_odd_elsewhere_passes_with_the_right_slice(oddity: str) -> None:
    """What is not on the way to the key is not judged: that is OpenSSL's work."""
    der = ODD[oddity].der
    assert agreed(der) == KEY
    assert key_used(der) in (None, KEY)


#: The same key, in ways that OpenSSL reads as well.
UNUSUAL_KEYS = {
    "padded lengths": tlv(SEQUENCE, tlv(SEQUENCE, KEY[4:9], form=padded(2)), KEY[9:]),
    "indefinite length": tlv(SEQUENCE, tlv(SEQUENCE, KEY[4:9], form=indefinite), KEY[9:]),
    "bits in pieces": tlv(
        SEQUENCE, KEY[2:9], tlv(BIT_STRING | CONSTRUCTED, KEY[9:], form=indefinite)
    ),
}


@pytest.mark.parametrize("way", UNUSUAL_KEYS)
def test_a_key_in_ber_is_sliced_as_it_stands_and_has_another_pin(way: str) -> None:
    """The pin is of bytes: the same key in BER does not match the pin of the key in DER."""
    spki = UNUSUAL_KEYS[way]
    der = build({"subjectPublicKeyInfo": spki[2:]}).der
    assert key_used(der) == KEY
    assert agreed(der) == spki
    assert PinSet(Pin("spki", sha256(KEY)), backup=None).match_certificate(der) is None


# --- lengths and offsets of every size ------------------------------------------------------------


@pytest.mark.parametrize("size", [100, 127, 128, 255, 256, 65_535, 65_536, 16_777_215, 16_777_216])
@pytest.mark.parametrize(
    "field", ["issuer", "subjectPublicKeyInfo", "extensions", "signatureValue"]
)
def test_lengths_of_one_to_four_bytes_are_read(field: str, size: int) -> None:
    """The slice is right behind an element of any size, before one, and at any size of its own."""
    contents = bytes(size)
    if field == "extensions":
        certificate = build(after_key=tlv(0xA3, contents))
    else:
        certificate = build({field: contents})
    key = tlv(SEQUENCE, contents) if field == "subjectPublicKeyInfo" else KEY
    start = certificate.offsets["subjectPublicKeyInfo"]
    assert agreed(certificate.der) == key == certificate.der[start : start + len(key)]


@pytest.mark.parametrize(("octets", "size"), [(1, 127), (2, 255), (3, 65_535), (4, 16_777_215)])
def test_the_longest_length_that_needs_a_byte_less_is_refused(octets: int, size: int) -> None:
    """One more would be right in that many bytes: the boundary is X.690's, 10.1."""
    certificate = build({"issuer": bytes(size)}, {"issuer": padded(octets)})
    found = agreed(certificate.der)
    assert isinstance(found, tuple)
    assert "not in the shortest form" in found[0]
    assert found[1:] == ("issuer", certificate.offsets["issuer"] + 1)


def test_a_fault_far_into_a_certificate_is_reported_at_its_byte() -> None:
    """An offset of more than 24 bits arrives whole."""
    certificate = build({"issuer": bytes(16_777_216)}, {"subject": indefinite})
    found = agreed(certificate.der)
    assert isinstance(found, tuple)
    assert found[1:] == ("subject", certificate.offsets["subject"] + 1)


@each_backend
def test_more_than_two_gibibytes_are_refused_at_once(backend: ModuleType) -> None:
    """Lengths and offsets fit 31 bits, because nothing longer is looked at."""
    found = outcome(backend, bytes(0x80000000))  # zero pages that nobody touches
    assert isinstance(found, tuple)
    assert "longer than 2 GiB" in found[0]
    assert found[1:] == ("Certificate", 0)


# --- in a handshake -------------------------------------------------------------------------------


def certificate_in_handshake(der: bytes, folder: Path) -> bytes:
    """What a client's ``getpeercert(True)`` gives after a handshake with this certificate."""
    key = Ed25519PrivateKey.from_private_bytes(SEED)
    pem = ssl.DER_cert_to_PEM_cert(der).encode()
    pem += key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file = folder / "server.pem"
    file.write_bytes(pem)
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(file)
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname = False
    client_context.verify_mode = ssl.CERT_NONE
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    seen = client.getpeercert(binary_form=True)
    assert seen is not None
    return seen


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_attacks_come_through_a_handshake_and_are_refused(attack: str, tmp_path: Path) -> None:
    """OpenSSL hands those bytes on as they came, with the handshake done under the other key."""
    seen = certificate_in_handshake(ATTACKS[attack], tmp_path)
    assert seen == ATTACKS[attack]
    assert key_used(seen) == KEY
    assert isinstance(agreed(seen), tuple)


@pytest.mark.parametrize("oddity", ["extensions of indefinite length", "negative serial number"])
def test_a_certificate_odd_elsewhere_is_matched_after_a_handshake(
    oddity: str, tmp_path: Path
) -> None:
    """Pinning works with it as TLS does."""
    seen = certificate_in_handshake(ODD[oddity].der, tmp_path)
    pin = Pin("spki", sha256(KEY))
    assert PinSet(pin, backup=None).match_certificate(seen) == pin
