"""The texts of a pin: what is read, what is written, and what is refused with what words."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import certifi
import pytest
from asn1crypto import x509
from hypothesis import given
from hypothesis import strategies as st

from pinsock import InvalidPinError, Pin, PinSet

from .corpus import pem
from .patience import patient

#: ISRG Root X1, as its certificate authority publishes it.
BASE64 = "C5+lpZ7tcVwmwQIMcRtPbsQtWLABXhQzejna0wHFr8M="
DIGEST = base64.b64decode(BASE64)
HEX = DIGEST.hex()
PAIRS = DIGEST.hex(":").upper()
SPKI = Pin("spki", DIGEST)
CERTIFICATE = Pin("certificate", DIGEST)

#: Form, pin, text.
WRITTEN = [
    ("sha256", SPKI, f"sha256/{BASE64}"),
    ("curl", SPKI, f"sha256//{BASE64}"),
    ("hpkp", SPKI, f'pin-sha256="{BASE64}"'),
    ("hex", SPKI, f"spki:{PAIRS}"),
    ("tlsa", SPKI, f"3 1 1 {HEX}"),
    ("sha256", CERTIFICATE, f"cert-sha256/{BASE64}"),
    ("hex", CERTIFICATE, f"certificate:{PAIRS}"),
    ("tlsa", CERTIFICATE, f"3 0 1 {HEX}"),
]


@pytest.mark.parametrize(("form", "pin", "text"), WRITTEN)
def test_each_form_is_written_and_read(form: str, pin: Pin, text: str) -> None:
    """What to_text writes is what parse reads."""
    assert pin.to_text(form) == text  # type: ignore[arg-type]  # a str of the table
    assert Pin.parse(text) == pin


@pytest.mark.parametrize(
    ("pin", "text"),
    [
        (SPKI, f"spki:{PAIRS.lower()}"),
        (CERTIFICATE, f"certificate:{PAIRS.lower()}"),
        (SPKI, f"3 1 1 {HEX.upper()}"),
        (CERTIFICATE, f"3 0 1 {HEX.upper()}"),
    ],
)
def test_hex_is_read_in_lower_and_upper_case(pin: Pin, text: str) -> None:
    """Tools differ in the case of hex, which means nothing."""
    assert Pin.parse(text) == pin


def test_the_canonical_text_is_what_str_gives_and_repr_shows() -> None:
    """str(pin) is what is stored and compared; repr(pin) makes the pin again."""
    assert str(SPKI) == f"sha256/{BASE64}"
    assert str(CERTIFICATE) == f"cert-sha256/{BASE64}"
    assert repr(SPKI) == f"Pin.parse('sha256/{BASE64}')"


digests = st.binary(min_size=32, max_size=32)
#: Those whose base64 begins with a slash (the first six bits are ones), as curl's prefix ends.
slashed = digests.map(lambda digest: bytes([digest[0] | 0xFC]) + digest[1:])


@patient
@given(digests | slashed)
def test_whatever_the_digest_each_form_reads_back_as_the_same_pin(digest: bytes) -> None:
    """Also where the base64 begins with a slash, and sha256/ and sha256// look alike."""
    for form in ("sha256", "curl", "hpkp", "hex", "tlsa"):
        pin = Pin("spki", digest)
        assert Pin.parse(pin.to_text(form)) == pin
    for form in ("sha256", "hex", "tlsa"):
        pin = Pin("certificate", digest)
        assert Pin.parse(pin.to_text(form)) == pin  # type: ignore[arg-type]  # all the forms


@patient
@given(slashed)
def test_a_digest_that_begins_with_a_slash_is_told_from_curls_second_slash(digest: bytes) -> None:
    """Both texts hold two slashes or more; the number of characters decides."""
    text = base64.b64encode(digest).decode()
    assert text.startswith("/")
    assert Pin.parse(f"sha256/{text}").digest == digest
    assert Pin.parse(f"sha256//{text}").digest == digest


@patient
@given(st.text(max_size=80) | st.from_regex(r"(sha256/|spki:|3 1 1 )[ -~]{0,64}", fullmatch=True))
def test_any_other_text_is_refused_with_the_documented_error(text: str) -> None:
    """Parsing ends in a pin that writes the same, or in InvalidPinError."""
    try:
        pin = Pin.parse(text)
    except InvalidPinError:
        return
    forms = [pin.to_text(form) for form in ("sha256", "curl", "hpkp", "hex", "tlsa")]
    assert text.lower() in [form.lower() for form in forms]


@patient
@given(digests, st.integers(0, 43), st.characters(min_codepoint=33, max_codepoint=126))
def test_one_changed_character_never_reads_as_the_same_pin(
    digest: bytes, place: int, changed: str
) -> None:
    """No two texts of a form mean one digest, so a slip of the hand is seen."""
    text = base64.b64encode(digest).decode()
    if text[place] == changed:
        return
    try:
        pin = Pin.parse(f"sha256/{text[:place]}{changed}{text[place + 1 :]}")
    except InvalidPinError:
        return
    assert pin.digest != digest


# --- refusals -------------------------------------------------------------------------------------


def in_base64(size: int) -> str:
    return base64.b64encode(bytes(size)).decode()


_ANEW = "Pin.from_certificate"

#: What is given, what the error says is wrong or expected, and what it says to do.
REFUSED = {
    "SHA-1": (f"sha1/{in_base64(20)}", "SHA1 is broken", _ANEW),
    "SHA-1 of curl": (f"sha1//{in_base64(20)}", "SHA1 is broken", _ANEW),
    "SHA-1 of RFC 7469": (f'pin-sha1="{in_base64(20)}"', "SHA1 is broken", _ANEW),
    "SHA-1, capitals": (f"SHA-1 {in_base64(20)}", "SHA-1 is broken", _ANEW),
    "SHA-1 of a certificate": (f"cert-sha1/{in_base64(20)}", "SHA1 is broken", _ANEW),
    "MD5": (f"md5/{in_base64(16)}", "MD5 is broken", _ANEW),
    "MD5 of RFC 7469": (f'pin-md5="{in_base64(16)}"', "MD5 is broken", _ANEW),
    "20 bytes called SHA-256": (f"sha256/{in_base64(20)}", "a SHA-1 digest has 20", _ANEW),
    "16 bytes called SHA-256": (f"sha256/{in_base64(16)}", "an MD5 digest has 16", _ANEW),
    "28 bytes": (f"sha256/{in_base64(28)}", "a SHA-224 digest has 28", _ANEW),
    "31 bytes": (f"sha256/{in_base64(31)}", "31 bytes, but a pin is a SHA-256 digest of 32", _ANEW),
    "33 bytes": (f"sha256/{in_base64(33)}", "33 bytes, but a pin is a SHA-256 digest of 32", _ANEW),
    "50 bytes": (f"cert-sha256/{in_base64(50)}", "50 bytes", _ANEW),
    "64 bytes": (f"sha256//{in_base64(64)}", "a SHA-512 digest has 64", _ANEW),
    "no bytes": ("sha256/", "0 bytes", _ANEW),
    "no bytes, curl": ("sha256//", "0 bytes", _ANEW),
    "no bytes, RFC 7469": ('pin-sha256=""', "0 bytes", _ANEW),
    "SHA-1 in hex": (HEX[:40], "a SHA-1 digest has 20", _ANEW),
    "SHA-1 in pairs": (PAIRS[:59], "a SHA-1 digest has 20", _ANEW),
    "MD5 in hex": (HEX[:32], "an MD5 digest has 16", _ANEW),
    "short hex with its kind": (f"spki:{PAIRS[:59]}", "a SHA-1 digest has 20", _ANEW),
    "no padding": (f"sha256/{BASE64[:-1]}", "not base64", "44 characters, the last one ="),
    "too much padding": (f"sha256/{BASE64}=", "not base64", "44 characters, the last one ="),
    "padding within": (f"sha256/{BASE64[:8]}={BASE64[9:]}", "not base64", "44 characters"),
    "another character": (f"sha256/{BASE64[:8]}!{BASE64[9:]}", "not base64", "44 characters"),
    "stray bits": (f"sha256/{BASE64[:-2]}N=", "not the canonical base64", "copy the pin again"),
    "stray bits, RFC 7469": (f'pin-sha256="{BASE64[:-2]}O="', "not the canonical", "copy"),
    "white space in front": (f" sha256/{BASE64}", "white space", "remove the white space"),
    "white space behind": (f"sha256/{BASE64} ", "white space", "remove the white space"),
    "white space within": (f"sha256/{BASE64[:9]} {BASE64[9:]}", "white space", "remove"),
    "white space after the prefix": (f"sha256/ {BASE64}", "white space", "remove"),
    "a line end": (f"sha256/{BASE64}\n", "printable ASCII", "without line ends"),
    "a tab": (f"sha256/\t{BASE64}", "printable ASCII", "without line ends"),
    "an escape sequence": (f"\x1b[2Jsha256/{BASE64}", "printable ASCII", "without line ends"),
    "letters that only look so": (f"sha256/\u0421{BASE64[1:]}", "printable ASCII", "without"),
    "base64 for URLs": (f"sha256/{BASE64.replace('+', '-')}", "base64 for URLs", "write + for -"),
    "hex for base64": (f"sha256/{HEX}", "this is hex", "spki:AA:BB:... or certificate:AA:BB:"),
    "plain hex": (HEX, "hex does not say what", f"spki:{PAIRS} if it is of the public key"),
    "plain hex, capitals": (HEX.upper(), "hex does not say what", f"certificate:{PAIRS} if it is"),
    "plain pairs": (PAIRS, "hex does not say what it is the digest of", f"spki:{PAIRS} if"),
    "a kind without pairs": (f"spki:{HEX}", "32 pairs of hex digits", "AA:BB"),
    "pairs between dashes": (f"spki:{PAIRS.replace(':', '-')}", "32 pairs", "AA:BB"),
    "pairs that are no hex": (f"certificate:{PAIRS[:-2]}GG", "32 pairs", "AA:BB"),
    "no quotes": (f"pin-sha256={BASE64}", "RFC 7469 has quotes here", 'pin-sha256="BASE64"'),
    "one quote": (f'pin-sha256="{BASE64}', "RFC 7469 has quotes here", 'pin-sha256="BASE64"'),
    "one quote and no more": ('pin-sha256="', "RFC 7469 has quotes here", "BASE64"),
    "a quote at the end": (f'pin-sha256={BASE64}"', "RFC 7469 has quotes here", "BASE64"),
    "15 bytes and a half in hex": (HEX[:31], "not the text of a pin", "sha256/ and 44"),
    "a list": (f"sha256/{BASE64};sha256/{BASE64}", "one pin was expected", "PinSet reads"),
    "TLSA of a CA": (f"2 1 1 {HEX}", "certificate usage '2' is not read", 'scope="chain"'),
    "TLSA with PKIX": (f"1 1 1 {HEX}", "certificate usage '1' is not read", "sha256/"),
    "TLSA selector": (f"3 2 1 {HEX}", "the selector is 0", "1 (SubjectPublicKeyInfo)"),
    "TLSA of everything": (f"3 1 0 {HEX}", "matching type must be 1", "make a record with 3 1 1"),
    "TLSA of SHA-512": (f"3 1 2 {HEX}{HEX}", "matching type must be 1", "make a record"),
    "TLSA that is short": (f"3 1 1 {HEX[:-2]}", "31 bytes", _ANEW),
    "TLSA with half a byte": (f"3 1 1 {HEX[:-1]}", "after 3 1 1 come", "64 hex digits"),
    "TLSA that is no hex": ("3 0 1 certificate", "after 3 0 1 come", "64 hex digits"),
    "nothing": ("", "not the text of a pin", "sha256/ and 44 characters of base64"),
    "base64 alone": (BASE64, "does not say what it is of", f"write sha256/{BASE64} if"),
    "another hash": (f"sha512/{in_base64(64)}", "not the text of a pin", "sha256/ and 44"),
    "another separator": (f"sha256:{BASE64}", "not the text of a pin", "sha256/ and 44"),
    "a host": ("example.com", "not the text of a pin", "as in sha256/"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_text_that_is_no_pin_is_refused_with_what_to_do(case: str) -> None:
    """The error says what was given, what is expected and what to do."""
    text, wrong, remedy = REFUSED[case]
    with pytest.raises(InvalidPinError) as caught:
        Pin.parse(text)
    message = str(caught.value)
    assert ascii(text)[:70] in message
    assert wrong in message
    assert remedy in message
    assert message.isascii()
    assert message.isprintable()


_NOTHING = hashlib.sha256(b"").digest()
_NOTHING_BASE64 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


@pytest.mark.parametrize(
    "text",
    [
        f"sha256/{_NOTHING_BASE64}",
        f"sha256//{_NOTHING_BASE64}",
        f'pin-sha256="{_NOTHING_BASE64}"',
        f"cert-sha256/{_NOTHING_BASE64}",
        f"spki:{_NOTHING.hex(':')}",
        f"certificate:{_NOTHING.hex(':')}",
        f"3 1 1 {_NOTHING.hex()}",
        f"3 0 1 {_NOTHING.hex()}",
    ],
)
def test_the_digest_of_nothing_is_refused_in_every_form(text: str) -> None:
    """A tool that was given nothing prints it, and it matches no key that there is."""
    assert base64.b64decode(_NOTHING_BASE64) == _NOTHING
    with pytest.raises(InvalidPinError, match=r"of no bytes at all.*make the pin again"):
        Pin.parse(text)


@pytest.mark.parametrize("text", [b"sha256/" + BASE64.encode(), None, 32, DIGEST, SPKI])
def test_what_is_no_text_is_refused_by_its_type(text: object) -> None:
    """parse reads str; the error names the type given and the constructor for a digest."""
    with pytest.raises(InvalidPinError) as caught:
        Pin.parse(text)  # type: ignore[arg-type]  # the case
    assert f"not {type(text).__name__}" in str(caught.value)
    assert "Pin(kind, digest)" in str(caught.value)


def test_a_long_text_is_cut_in_the_message() -> None:
    """A whole file given by mistake does not fill the log."""
    with pytest.raises(InvalidPinError) as caught:
        Pin.parse("x" * 1_000_000)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("form", ["curl", "hpkp"])
def test_a_certificate_pin_is_not_written_where_it_would_read_as_a_key_pin(form: str) -> None:
    """curl's form and RFC 7469's know keys alone; the error names the forms that know both."""
    with pytest.raises(InvalidPinError, match=r"no certificate pins; write cert-sha256/.*spki"):
        CERTIFICATE.to_text(form)  # type: ignore[arg-type]  # a str of the table


@pytest.mark.parametrize("form", ["", "SHA256", "okhttp", None])
def test_a_form_that_there_is_not_is_refused_with_those_that_there_are(form: str) -> None:
    """The error names them."""
    with pytest.raises(InvalidPinError, match="sha256, curl, hpkp, hex, tlsa") as caught:
        SPKI.to_text(form)  # type: ignore[arg-type]  # the case
    assert repr(form) in str(caught.value)


# --- published facts ------------------------------------------------------------------------------

ROOTS = {
    "ISRG Root X1": "C5+lpZ7tcVwmwQIMcRtPbsQtWLABXhQzejna0wHFr8M=",
    "ISRG Root X2": "diGVwiVYbubAI3RW4hB9xU8e/CH2GnkuvVFZE8zmgzI=",
    "DigiCert Global Root G2": "i7WTqTvh0OioIruIfFR4kMPnBqrS2rdiVPl/s2uC/CY=",
    "Amazon Root CA 1": "++MBgDH5WGvL9Bcn5Be30cRcL0f5O+NyoXuWtQdX1aI=",
}


@pytest.mark.parametrize("root", ROOTS)
def test_the_pins_of_well_known_roots_are_those_that_their_owners_publish(root: str) -> None:
    """What is computed from certifi is what operators already hold in their configurations."""
    named = [
        Pin.from_certificate(der)
        for _, der in pem(Path(certifi.where()).read_bytes())
        if x509.Certificate.load(der).subject.native.get("common_name") == root
    ]
    assert named == [Pin.parse(f"sha256/{ROOTS[root]}")]


def test_the_examples_of_rfc_7469_are_read() -> None:
    """The header fields of its section 2.1.5, directive by directive, and as one set."""
    header = (
        'pin-sha256="d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM="; '
        'pin-sha256="E9CZ9INDbd+2eRQozYqqbQ2yXLVKB9+xcprMF+44U1g="; '
        'pin-sha256="LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="'
    )
    pins = [Pin.parse(text) for text in header.split("; ")]
    assert [pin.to_text("hpkp") for pin in pins] == header.split("; ")
    assert PinSet(header).pins == tuple(pins)
    assert PinSet(header.replace("; ", ";")) == PinSet(header)
    assert re.findall('"(.*?)"', header) == [str(pin).removeprefix("sha256/") for pin in pins]
