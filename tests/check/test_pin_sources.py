"""Pins from the files that people have: certificates, public keys, private keys and requests."""

from __future__ import annotations

import base64
import functools
import textwrap
from collections.abc import Callable
from typing import TypeAlias

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from pinsock import InvalidCertificateError, InvalidPinError, Pin
from pinsock._pins import sha256

from .certificates import DATA, DECOY, KEY, build
from .oracle import openssl, slice_by_asn1parse

Read: TypeAlias = Callable[[bytes | str], Pin]

#: How each kind of private key is made: the arguments of one command, or of two in a pipe.
MAKE = {
    "rsa": ["genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048"],
    "rsa_pss": ["genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048"],
    "dsa": ["dsaparam -genkey -noout 1024"],
    "p256": ["genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256"],
    "p521": ["genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521"],
    "compressed": ["ecparam -name prime256v1 -genkey -noout", "ec -conv_form compressed"],
    "explicit": ["ecparam -name prime256v1 -genkey -noout -param_enc explicit"],
    "ed25519": ["genpkey -algorithm ed25519"],
    "ed448": ["genpkey -algorithm ed448"],
}
USUAL = ("rsa", "p256", "p521", "ed25519", "ed448")
DOUBTFUL = ("rsa_pss", "dsa", "compressed", "explicit")

FORMS = ("PEM", "DER")
each_kind = pytest.mark.parametrize("kind", MAKE)
each_form = pytest.mark.parametrize("form", FORMS)


@functools.cache
def private_key(kind: str) -> bytes:
    """A private key as the command writes it, in PEM; one for the whole run."""
    key = b""
    for arguments in MAKE[kind]:
        key = openssl(*arguments.split(), data=key)
    return key


def of_key(command: str, key: bytes) -> bytes:
    """What the command makes of a private key, which it reads from its standard input."""
    return openssl(*command.split(), data=key)


@functools.cache
def pin_of_certificate(kind: str) -> Pin:
    """The pin that the certificate for this key has, by ``openssl asn1parse``."""
    der = of_key("req -x509 -subj /CN=x -outform DER -key /dev/stdin", private_key(kind))
    return Pin("spki", sha256(slice_by_asn1parse(der)))


def in_pem(label: str, der: bytes) -> str:
    """A PEM block (RFC 7468)."""
    body = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64))
    return f"-----BEGIN {label}-----\n{body}\n-----END {label}-----\n"


# --- certificates ---------------------------------------------------------------------------------

P256 = DATA["p256"]
P256_PEM = in_pem("CERTIFICATE", P256)


@pytest.mark.parametrize(
    "given",
    [
        P256,
        bytearray(P256),
        memoryview(P256),
        P256_PEM,
        P256_PEM.encode(),
        P256_PEM.replace("\n", "\r\n").encode(),
        P256_PEM.replace("\n", " \n"),
        P256_PEM.rstrip(),
        in_pem("X509 CERTIFICATE", P256),
        "Subject: CN = pinsock\n" + P256_PEM,
        "Sübject\n".encode() + P256_PEM.encode(),
        in_pem("PRIVATE KEY", DECOY) + P256_PEM,
        P256_PEM + in_pem("DH PARAMETERS", DECOY),
        openssl("x509", "-inform", "DER", "-text", data=P256),
    ],
    ids=range(14),
)
def test_a_certificate_is_read_from_der_and_from_pem(given: bytes | str) -> None:
    """As bytes or text, with other line ends, and with what tools write around it."""
    assert Pin.from_certificate(given) == Pin("spki", sha256(slice_by_asn1parse(P256)))
    whole = Pin.from_certificate(given, kind="certificate")
    assert whole == Pin("certificate", sha256(P256))


def test_the_certificate_pin_is_the_fingerprint_that_openssl_prints() -> None:
    """`openssl x509 -fingerprint -sha256` shows the same 32 pairs."""
    printed = openssl("x509", "-inform", "DER", "-noout", "-fingerprint", "-sha256", data=P256)
    pin = Pin.from_certificate(P256, kind="certificate")
    assert printed.decode().strip().rpartition("=")[2] == pin.to_text("hex").partition(":")[2]


def test_a_pem_text_with_two_certificates_is_refused() -> None:
    """A chain file has several keys; the error says which one is usually meant."""
    with pytest.raises(InvalidCertificateError, match=r"2 blocks of a certificate.*the first is"):
        Pin.from_certificate(P256_PEM + in_pem("CERTIFICATE", build().der))


@pytest.mark.parametrize("kind", ["SPKI", None, "public key"])
def test_a_kind_of_pin_that_there_is_not_is_refused(kind: str) -> None:
    """As in the constructor."""
    with pytest.raises(InvalidPinError, match='kind is "spki" or "certificate"'):
        Pin.from_certificate(P256, kind=kind)  # type: ignore[arg-type]  # the case


# --- public keys ----------------------------------------------------------------------------------


@each_form
@each_kind
def test_the_pin_of_a_public_key_is_that_of_its_certificate(kind: str, form: str) -> None:
    """The bytes are hashed as they are given, so each kind of key comes out right."""
    given = of_key(f"pkey -pubout -outform {form}", private_key(kind))
    assert Pin.from_public_key(given) == pin_of_certificate(kind)
    if form == "PEM":
        assert Pin.from_public_key(given.decode()) == pin_of_certificate(kind)


def test_the_public_key_that_openssl_prints_of_a_certificate_has_its_pin() -> None:
    """The way of most instructions on the web: x509 -pubkey."""
    printed = openssl("x509", "-inform", "DER", "-noout", "-pubkey", data=P256)
    assert Pin.from_public_key(printed) == Pin.from_certificate(P256)


def test_a_pem_block_with_a_stray_character_is_refused() -> None:
    """Most readers pass over it, and over the others that a damaged file may have."""
    text = in_pem("CERTIFICATE", P256)
    stray = text.replace("MII", "M!II", 1)
    assert stray != text
    with pytest.raises(InvalidCertificateError, match="block of the certificate is not base64"):
        Pin.from_certificate(stray)


def test_a_text_without_a_block_is_told_the_usual_label() -> None:
    """Not one of the older ones."""
    for read, label in (
        (Pin.from_private_key, "PRIVATE KEY"),
        (Pin.from_csr, "CERTIFICATE REQUEST"),
    ):
        with pytest.raises(InvalidCertificateError, match=f"from -----BEGIN {label}----- to"):
            read("no block")


# --- requests -------------------------------------------------------------------------------------


@each_form
@each_kind
def test_the_pin_of_a_request_is_that_of_the_certificate_to_come(kind: str, form: str) -> None:
    """The certificate authority copies the key's bytes, so the pin is known before it signs."""
    request = f"req -new -subj /CN=x -outform {form} -key /dev/stdin"
    given = of_key(request, private_key(kind))
    assert Pin.from_csr(given) == pin_of_certificate(kind)
    if form == "PEM":
        assert Pin.from_csr(given.decode()) == pin_of_certificate(kind)
        old = of_key(f"{request} -newhdr", private_key(kind))
        assert b"BEGIN NEW CERTIFICATE REQUEST" in old
        assert Pin.from_csr(old) == pin_of_certificate(kind)


def request_of(kind: str) -> bytes:
    return of_key("req -new -subj /CN=example.com -outform DER -key /dev/stdin", private_key(kind))


@pytest.mark.parametrize("kind", USUAL)
def test_a_request_whose_key_was_damaged_is_refused(kind: str) -> None:
    """Its signature shows it, so that no pin is made that nobody has the key for."""
    der = request_of(kind)
    key = of_key("pkey -pubout -outform DER", private_key(kind))
    end = der.index(key) + len(key)
    for place in (end - 1, end - 2, end - 20):
        damaged = der[:place] + bytes([der[place] ^ 1]) + der[place + 1 :]
        with pytest.raises(InvalidCertificateError, match=r"damaged or .*make the request again"):
            Pin.from_csr(damaged)


def request_with_a_key_of_no_known_kind() -> bytes:
    """Whose signature nobody here can check, so that its form alone is looked at."""
    return request_of("ed25519").replace(b"\x06\x03\x2b\x65\x70", b"\x06\x03\x2b\x65\x7f")


def test_a_request_with_a_key_of_no_known_kind_has_a_pin() -> None:
    """That of the key's bytes as they stand there."""
    der = request_with_a_key_of_no_known_kind()
    start = der.index(b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x7f")
    assert Pin.from_csr(der) == Pin("spki", sha256(der[start : start + 44]))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"", b""),
        (b"\x02\x01\x00", b"\x02\x01\x01"),
        (b"\x03\x21\x00", b"\x04\x21\x00"),
        (b"\x30\x2a\x30\x05", b"\x30\x2a\x30\x04"),
    ],
    ids=["a byte more", "another version", "a key that is no bit string", "a shorter algorithm"],
)
def test_a_request_of_another_form_is_refused(old: bytes, new: bytes) -> None:
    """The place of what is wrong is in the error."""
    der = request_with_a_key_of_no_known_kind()
    wrong = der.replace(old, new, 1) if old else der + b"\0"
    assert wrong != der
    with pytest.raises(InvalidCertificateError, match=r"not a certificate signing request .* byte"):
        Pin.from_csr(wrong)


def test_a_request_with_something_after_its_signature_is_refused() -> None:
    """Within the outermost SEQUENCE, of which its length tells."""
    der = request_with_a_key_of_no_known_kind()
    assert der[:2] == b"\x30\x81"
    longer = b"\x30\x81" + bytes([der[2] + 2]) + der[3:] + b"\x05\x00"
    with pytest.raises(InvalidCertificateError, match="not a certificate signing request"):
        Pin.from_csr(longer)


def test_a_request_whose_damaged_key_is_of_a_kind_with_one_encoding_is_refused() -> None:
    """cryptography reads keys of that kind, and cannot read this one."""
    der = request_of("p256")
    point = der.index(b"\x03\x42\x00\x04")
    damaged = der[: point + 3] + b"\x05" + der[point + 4 :]
    with pytest.raises(InvalidCertificateError, match=r"damaged or .*make the request again"):
        Pin.from_csr(damaged)


@pytest.mark.parametrize(
    ("tag", "taken"), [(b"\x05", False), (b"\x06", True)], ids=["no identifier", "another kind"]
)
def test_a_request_that_cryptography_cannot_read_is_refused_if_it_should(
    monkeypatch: pytest.MonkeyPatch, tag: bytes, taken: bool
) -> None:
    """Keys of a kind with several encodings it may not know; what is no key at all is damaged."""

    def fail(_: bytes) -> None:
        raise ValueError

    monkeypatch.setattr("cryptography.x509.load_der_x509_csr", fail)
    der = request_with_a_key_of_no_known_kind().replace(
        b"\x06\x03\x2b\x65\x7f", tag + b"\x03\x2b\x65\x7f"
    )
    if taken:
        assert Pin.from_csr(der).kind == "spki"
    else:
        with pytest.raises(InvalidCertificateError, match="damaged"):
            Pin.from_csr(der)


# --- private keys ---------------------------------------------------------------------------------


@each_form
@pytest.mark.parametrize("kind", USUAL)
def test_the_pin_of_a_private_key_is_that_of_its_certificate(kind: str, form: str) -> None:
    """Where the public key has one usual encoding, in PKCS #8 and in the older forms."""
    key = private_key(kind)
    given = [of_key(f"pkcs8 -topk8 -nocrypt -outform {form}", key)]
    if kind in ("rsa", "p256", "p521"):
        given.append(of_key(f"pkey -traditional -outform {form}", key))
        assert given[1] != given[0]
    for each in given:
        assert Pin.from_private_key(each) == pin_of_certificate(kind)
        if form == "PEM":
            assert Pin.from_private_key(each.decode()) == pin_of_certificate(kind)


def test_the_parameters_that_openssl_writes_before_an_ec_key_are_passed_by() -> None:
    """`openssl ecparam -genkey` without -noout writes them in a block of their own."""
    given = openssl("ecparam", "-name", "prime256v1", "-genkey")
    assert b"BEGIN EC PARAMETERS" in given
    public = of_key("pkey -pubout -outform DER", given)
    assert Pin.from_private_key(given) == Pin("spki", sha256(public))


@pytest.mark.parametrize("form", ["as OpenSSL had it once", "PKCS #8"])
def test_an_ec_key_without_its_public_half_has_the_same_pin(form: str) -> None:
    """RFC 5915 leaves that to whoever writes the file."""
    given = of_key("ec -no_public -outform DER", private_key("p256"))
    if form == "PKCS #8":
        inner = given.replace(b"\xa0\x0a\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07", b"")
        inner = b"\x30" + bytes([len(inner) - 2]) + inner[2:]
        kind = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")
        body = b"\x02\x01\x00" + kind + b"\x04" + bytes([len(inner)]) + inner
        given = b"\x30" + bytes([len(body)]) + body
    assert Pin.from_private_key(given) == pin_of_certificate("p256")


def test_the_pin_of_an_ml_dsa_private_key_is_that_of_its_public_key() -> None:
    """OpenSSL 3.0 does not know the algorithm; cryptography does."""
    key = MLDSA65PrivateKey.generate()
    private = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert Pin.from_private_key(private) == Pin.from_public_key(public)
    assert Pin.from_public_key(public) == Pin("spki", sha256(public))


#: Old forms of those, of the algorithm's own: kind, PEM label, command that writes DER.
_OLD = [
    ("dsa", "DSA PRIVATE KEY", "pkey -traditional -outform DER"),
    ("compressed", "EC PRIVATE KEY", "ec -conv_form compressed -outform DER"),
    ("explicit", "EC PRIVATE KEY", "ec -param_enc explicit -outform DER"),
]


@each_form
@pytest.mark.parametrize(
    ("kind", "label", "write"),
    [*((kind, "PRIVATE KEY", "pkcs8 -topk8 -nocrypt -outform DER") for kind in DOUBTFUL), *_OLD],
)
def test_a_private_key_whose_public_key_has_several_encodings_is_refused(
    kind: str, label: str, write: str, form: str
) -> None:
    """The certificate's could be any of them; the error names what does show it."""
    der = of_key(write, private_key(kind))
    with pytest.raises(InvalidCertificateError) as caught:
        Pin.from_private_key(der if form == "DER" else in_pem(label, der))
    assert "Pin.from_certificate" in str(caught.value)
    assert "Pin.from_csr" in str(caught.value)
    reason = {"compressed": "the key's point is compressed", "explicit": "spelt out"}
    assert reason.get(kind, "in more than one way") in str(caught.value)


_ENCRYPTED = {
    "PKCS #8": "pkcs8 -topk8 -passout pass:secret",
    "PKCS #8 in DER": "pkcs8 -topk8 -passout pass:secret -outform DER",
    "the old form": "pkey -traditional -aes128 -passout pass:secret",
}


@pytest.mark.parametrize("way", _ENCRYPTED)
@pytest.mark.parametrize("kind", ["rsa", "p256", "explicit"])
def test_an_encrypted_private_key_is_refused(kind: str, way: str) -> None:
    """How its public key is encoded cannot be seen; the error names what to take instead."""
    given = of_key(_ENCRYPTED[way], private_key(kind))
    with pytest.raises(InvalidCertificateError, match=r"is encrypted.*Pin\.from_csr"):
        Pin.from_private_key(given)


# --- what is none of these ------------------------------------------------------------------------

READ: dict[str, Read] = {
    "certificate": Pin.from_certificate,
    "public key": Pin.from_public_key,
    "CSR": Pin.from_csr,
    "private key": Pin.from_private_key,
}
each_reader = pytest.mark.parametrize("what", READ)


@functools.cache
def right(what: str) -> bytes:
    """DER that is read as what it is."""
    key = private_key("p256")
    return {
        "certificate": P256,
        "public key": of_key("pkey -pubout -outform DER", key),
        "CSR": request_of("p256"),
        "private key": of_key("pkcs8 -topk8 -nocrypt -outform DER", key),
    }[what]


LABELS = {
    "certificate": "CERTIFICATE",
    "public key": "PUBLIC KEY",
    "CSR": "CERTIFICATE REQUEST",
    "private key": "PRIVATE KEY",
}


@each_reader
@pytest.mark.parametrize("other", READ)
def test_a_file_of_another_kind_is_refused(what: str, other: str) -> None:
    """DER says where it stopped being what was expected, PEM what it is called."""
    if what == other:
        assert READ[what](right(what)) == READ[what](in_pem(LABELS[what], right(what)))
        return
    with pytest.raises(InvalidCertificateError) as caught:
        READ[what](right(other))
    assert f"{len(right(other))} bytes" in str(caught.value)
    with pytest.raises(InvalidCertificateError) as caught:
        READ[what](in_pem(LABELS[other], right(other)))
    assert f"no {what} in this PEM text, which has {LABELS[other]}" in str(caught.value)


@pytest.mark.parametrize("other", ["public key", "CSR", "private key"])
def test_a_file_that_is_no_certificate_has_no_certificate_pin(other: str) -> None:
    """Its digest could be taken, but it would be the pin of nothing that a peer sends."""
    with pytest.raises(InvalidCertificateError, match="not a certificate in DER"):
        Pin.from_certificate(right(other), kind="certificate")


@each_reader
@pytest.mark.parametrize("nothing", [b"", bytearray()], ids=["bytes", "bytearray"])
def test_no_bytes_are_refused(what: str, nothing: bytes) -> None:
    """An empty file never has a pin."""
    with pytest.raises(InvalidCertificateError, match=f"no bytes where a {what} was expected"):
        READ[what](nothing)


@each_reader
@pytest.mark.parametrize("text", ["", "server.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_text_without_a_block_is_refused(what: str, text: str) -> None:
    """A file's name given for its contents, or a block that was cut."""
    with pytest.raises(InvalidCertificateError, match=f"no {what} in this text: it has no whole"):
        READ[what](text)


@each_reader
@pytest.mark.parametrize(
    "given", [None, 5, ["x"], object()], ids=lambda given: type(given).__name__
)
def test_what_is_neither_bytes_nor_text_is_refused(what: str, given: object) -> None:
    """The error names the type, and what is expected."""
    with pytest.raises(
        InvalidCertificateError, match=f"a {what} is DER .*bytes of its file"
    ) as got:
        READ[what](given)  # type: ignore[arg-type]  # the case
    assert f"not {type(given).__name__};" in str(got.value)


@each_reader
@pytest.mark.parametrize("body", ["!!!!", "AAA", "AAAA====", "AAAA=AAA", "é"])
def test_a_block_that_is_no_base64_is_refused(what: str, body: str) -> None:
    """The error says that the file is damaged."""
    text = f"-----BEGIN {LABELS[what]}-----\n{body}\n-----END {LABELS[what]}-----\n"
    for given in (text, text.encode()):
        with pytest.raises(InvalidCertificateError):
            READ[what](given)


@each_reader
def test_whatever_is_cut_from_a_file_it_is_refused(what: str) -> None:
    """At every byte, and with bytes after it."""
    der = right(what)
    for given in (*(der[:size] for size in range(len(der))), der + b"\0", der + der):
        with pytest.raises(InvalidCertificateError):
            READ[what](given)


@each_reader
@pytest.mark.parametrize("mask", [0x01, 0x1F, 0x80, 0xFF])
def test_whatever_byte_of_a_file_is_flipped_no_other_error_comes(what: str, mask: int) -> None:
    """A pin or the documented error: nothing of cryptography's comes through, nor a warning."""
    der = right(what)
    for place in range(len(der)):
        try:
            pin = READ[what](der[:place] + bytes([der[place] ^ mask]) + der[place + 1 :])
        except InvalidCertificateError:
            continue
        assert pin.kind == "spki"


def test_the_error_of_a_certificate_says_which_byte_of_which_field_was_wrong() -> None:
    """Also when it came in PEM: the byte is that of the DER."""
    certificate = build({"subject": b""}, {"validity": lambda tag, _: (bytes([tag, 0x80]), b"")})
    for given in (certificate.der, in_pem("CERTIFICATE", certificate.der)):
        with pytest.raises(InvalidCertificateError) as caught:
            Pin.from_certificate(given)
        assert caught.value.field == "validity"
        assert caught.value.offset == certificate.offsets["validity"] + 1
        assert f"validity, at byte {caught.value.offset}" in str(caught.value)
        assert f"({len(certificate.der)} bytes)" in str(caught.value)


@pytest.mark.parametrize("size", [1, 2, 40, len(KEY) - 1])
def test_the_error_of_a_public_key_says_which_byte_was_wrong(size: int) -> None:
    """And which command writes the form that is read."""
    with pytest.raises(InvalidCertificateError, match=r"wrong at byte \d+.*openssl pkey -pubout"):
        Pin.from_public_key(KEY[:size])
