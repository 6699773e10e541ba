"""The error of a refusal: it tells what to do, carries its data, and survives a hostile peer."""

from __future__ import annotations

import contextlib
import copy
import gc
import pickle
import ssl
import traceback
import types
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from support.contexts import VERSIONS, client, only, server
from support.impostor import HOST, SECRET
from support.wire import Wire

from pinsock import (
    InvalidCertificateError,
    InvalidPinError,
    Outcome,
    PinMismatchError,
    PinSet,
    PinsockError,
    PinVerificationError,
    pin_context,
)
from pinsock._throwaway import Authority, Credential
from pinsock._verify import describe, judge, refusal, safe_text

from .meetings import no_thanks

if TYPE_CHECKING:
    from collections.abc import Callable


def refuse(
    context: ssl.SSLContext, theirs: ssl.SSLContext, **arguments: Any
) -> PinVerificationError:
    """The error of a handshake that pinsock refuses."""
    with Wire(context, theirs, **arguments) as wire:
        with pytest.raises(PinVerificationError) as caught:
            wire.do(wire.near.do_handshake)
        assert wire.finish().got_nothing()
    return caught.value


@pytest.fixture(scope="session")
def mismatch(authority: Authority, pins: PinSet) -> PinMismatchError:
    """The error of an impostor below an intermediate."""
    intermediate = Authority("an intermediate", parent=authority)
    error = refuse(pin_context(client(authority), pins), server(intermediate.issue(HOST, days=9)))
    assert isinstance(error, PinMismatchError)
    return error


# --- what it says ---------------------------------------------------------------------------------


def test_the_message_names_the_host_the_chain_the_pins_and_what_to_do(
    mismatch: PinMismatchError, good: Credential, authority: Authority
) -> None:
    """The chain leaf first, each with subject, date and pin; a warning not to pin it blindly."""
    lines = str(mismatch).splitlines()
    assert lines[0].startswith("server.example: the server's public key is none of the pinned ones")
    assert "confirming it another way" in lines[1]
    for line, entry, subject in zip(
        lines[2:5],
        mismatch.chain,
        (f"CN={HOST}", "CN=an intermediate", "CN=everybody's authority"),
        strict=True,
    ):
        assert line.split("  until ")[0].strip() == str(entry.pin)
        assert entry.not_after in line
        assert line.endswith(subject)
    assert str(good.pin) in str(mismatch)
    assert "update the pins" in lines[-1]
    assert mismatch.chain[2].pin == authority.pin


def test_a_set_that_expired_and_a_host_without_one_say_what_to_do(
    good: Credential,
) -> None:
    """Neither is mended by another key."""
    expired = PinSet(good.pin, None, expires="2020-01-01")
    for given, headline, advice in (
        (expired, "the set of pins expired on 2020-01-01", "Update the program's pins"),
        (None, "the policy has no pins for this host", "Add the host to the policy"),
    ):
        verdict = judge(given, HOST, [good.der], 2e9, True)
        error = refusal(verdict, given, [good.der], peer="server", verified=True, resumed=False)
        lines = str(error).splitlines()
        assert lines[0].startswith(f"{HOST}: {headline}")
        assert lines[-1].strip().startswith(advice)


def test_the_data_is_on_the_error(
    mismatch: PinMismatchError, pins: PinSet, authority: Authority
) -> None:
    """Programs read attributes, not messages."""
    assert mismatch.host == HOST
    assert mismatch.pins is pins
    assert [entry.subject for entry in mismatch.chain] == [
        f"CN={HOST}",
        "CN=an intermediate",
        "CN=everybody's authority",
    ]
    assert mismatch.chain[2].not_after == (
        authority.credential.certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
    )
    verdict = mismatch.verdict
    assert verdict is not None
    assert (verdict.host, verdict.outcome, verdict.allowed) == (HOST, Outcome.MISMATCH, False)
    assert verdict.chain_pins[0] == mismatch.chain[0].pin


@pytest.mark.parametrize("fails", ["mismatch", "callback"])
def test_libraries_find_the_attributes_of_ssls_own_error(
    authority: Authority, good: Credential, bad: Credential, pins: PinSet, fails: str
) -> None:
    """errno 1, since 8 is swallowed as an end of file; strerror, reason, library, verify_code."""
    if fails == "mismatch":
        error = refuse(pin_context(client(authority), pins), server(bad))
        assert error.reason == "PIN_MISMATCH"
    else:
        error = refuse(pin_context(client(authority), pins, on_verdict=no_thanks), server(good))
        assert error.reason == "PIN_VERIFICATION_FAILED"
        assert "on_verdict raised CallbackError" in str(error)
        assert type(error) is PinVerificationError
    for kind in (PinsockError, ssl.SSLCertVerificationError, ssl.SSLError, OSError, ValueError):
        assert isinstance(error, kind)
    assert error.errno == 1  # SSL_ERROR_SSL
    assert error.args == (1, error.strerror)
    assert str(error) == error.strerror
    assert error.library == "PINSOCK"
    assert error.verify_code == 50
    assert error.verify_message == str(error).split("\n", maxsplit=1)[0]


def test_the_pin_of_an_intermediate_under_leaf_scope_says_so(authority: Authority) -> None:
    """It is the mistake that everybody makes once."""
    intermediate = Authority("an intermediate", parent=authority)
    theirs = server(intermediate.issue(HOST))
    for pin, name in (
        (intermediate.pin, "CN=an intermediate"),
        (authority.pin, "CN=everybody's authority"),
    ):
        error = refuse(pin_context(client(authority), PinSet(pin, None)), theirs)
        assert f'One of the pins is that of {name}, higher in the chain: use scope="chain"' in str(
            error
        )
    unverified = pin_context(client(), PinSet(intermediate.pin, None))
    assert "higher in the chain" not in str(refuse(unverified, theirs))


def test_a_peer_without_a_certificate_is_told_apart(authority: Authority, pins: PinSet) -> None:
    """There is no chain to list, whatever the set says."""
    for expires in (None, "2020-01-01"):
        ours = pin_context(client(authority, VERSIONS[0]), PinSet(pins.pins, None, expires=expires))
        ours.set_ciphers("aNULL:@SECLEVEL=0")
        theirs = server(None)
        theirs.set_ciphers("aNULL:@SECLEVEL=0")
        error = refuse(ours, theirs)
        assert isinstance(error, PinMismatchError)
        assert "showed no certificate" in str(error)
        assert error.chain == ()


def test_the_callback_that_raised_is_the_cause(
    authority: Authority, good: Credential, pins: PinSet
) -> None:
    """Its traceback is what whoever wrote the callback needs."""
    error = refuse(pin_context(client(authority), pins, on_verdict=no_thanks), server(good))
    assert type(error.__cause__).__name__ == "CallbackError"


# --- what can be done with it ---------------------------------------------------------------------


def same(error: BaseException, other: BaseException) -> None:
    assert type(error) is type(other)
    assert str(error) == str(other)
    assert error.args == other.args
    assert vars(error) == vars(other)


def pickled(error: PinsockError, protocol: int | None = None) -> Any:
    return pickle.loads(pickle.dumps(error, protocol))  # noqa: S301 - our own bytes


def test_it_pickles_and_copies(mismatch: PinMismatchError) -> None:
    """Errors cross process boundaries with all their data."""
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        same(mismatch, pickled(mismatch, protocol))
    same(mismatch, copy.copy(mismatch))
    same(mismatch, copy.deepcopy(mismatch))
    verdict = pickled(mismatch).verdict
    assert verdict.outcome is Outcome.MISMATCH


@pytest.mark.parametrize(
    "error",
    [
        InvalidPinError("a"),
        InvalidCertificateError("a", "tbsCertificate", 3),
        PinVerificationError("a\nb", host=HOST),
        PinVerificationError("a", headline="b"),
        PinMismatchError("a"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_error_pickles(error: PinsockError) -> None:
    """With its message and attributes."""
    same(error, pickled(error))
    same(error, copy.copy(error))


def test_it_prints_with_notes_and_traceback(mismatch: PinMismatchError) -> None:
    """As any exception, in a traceback and as a repr; notes of one are not those of the next."""
    noted = mismatch.again()
    noted.add_note("while calling home")
    text = "".join(traceback.format_exception(noted))
    assert "PinMismatchError: server.example: the server's public key" in text
    assert "while calling home" in text
    assert "PinMismatchError(1, " in repr(noted)
    assert not hasattr(noted.again(), "__notes__")


# --- a hostile peer -------------------------------------------------------------------------------


def cn(value: str) -> x509.Name:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # names longer than RFC 5280 has them
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, value, _validate=False)])


def raw_cn(tag: int, value: bytes) -> bytes:
    """The DER of a Name with one commonName of this type (X.690)."""

    def tlv(tag: int, body: bytes) -> bytes:
        size = len(body)
        length = bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2, "big")
        return bytes([tag]) + length + body

    return tlv(0x30, tlv(0x31, tlv(0x30, bytes.fromhex("0603550403") + tlv(tag, value))))


HOSTILE: dict[str, x509.Name] = {
    "new lines": cn("innocent\n    sha256/forged  until 2099  CN=friend\r\nPinned:"),
    "control characters": cn("a\x00b\x07c\x08\x08\x7f\x85\u2028\u2029"),
    "ANSI escapes": cn("\x1b[2J\x1b[1;31mred\x1b]0;title\x07\x9b31m"),
    "right to left": cn("\u202egnp.exe\u2066"),
    "surrogates' neighbours": cn("\U0001f600\ufffe\uffff"),
    "64 characters that are escaped": cn("\U0001f600" * 64),
    "60 kB": cn("x" * 60_000),
    "60 kB of backslashes": cn("\\" * 60_000),
    "a backslash at the cut": cn("y" * 116 + "\\" * 9),
    "500 attributes": x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"o{i}") for i in range(500)]
    ),
    "empty": x509.Name([]),
}


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_subject_neither_forges_a_line_nor_floods_a_log(
    authority: Authority, pins: PinSet, name: str, version: ssl.TLSVersion
) -> None:
    """Printable ASCII, cut; the mismatch is told all the same, and the pin is right."""
    credential = authority.issue(HOST, subject=HOSTILE[name])
    context = only(client(authority), version)
    error = refuse(pin_context(context, pins), server(credential))
    assert isinstance(error, PinMismatchError)
    lines = str(error).split("\n")
    assert len(lines) == 7
    assert str(error).replace("\n", "").isprintable()
    assert str(error).isascii()
    assert all(len(line) < 1000 for line in lines)
    assert error.chain[0].pin == credential.pin
    assert str(credential.pin) in lines[2]
    # Some of these make cryptography warn; that is neither shown nor in the way.
    assert error.chain[0].subject != "(subject cannot be read)"
    same(error, pickled(error))


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        (0x0C, b"\xff\xfe not UTF-8"),
        (0x0C, b"\xed\xa0\x80"),
        (0x1E, b"odd"),
        (0x1E, b"\xd8\x00"),
        (0x1C, b"\x00\x11\x00\x00"),
        (0x13, b"\xff*@"),
        (0x14, b"\xe9t\xe9"),
        (0x03, b"\x00bits"),
        (0x05, b""),
        (0x02, b"\x05"),
    ],
    ids=lambda value: value.hex() if isinstance(value, bytes) else f"tag {value}",
)
def test_a_subject_that_cannot_be_decoded_never_hides_the_mismatch(
    authority: Authority, pins: PinSet, tag: int, value: bytes
) -> None:
    """A text of no encoding, in DER that is sound around it."""
    honest = authority.issue(HOST, subject=cn("x" * 40))
    before = raw_cn(0x0C, b"x" * 40)
    filled = raw_cn(tag, value)
    # The outer lengths stay true: what is missing is filled with a serialNumber attribute's bytes.
    missing = len(before) - len(filled)
    der = honest.der.replace(before, filled) if missing == 0 else _with_subject(honest.der, filled)
    entry = describe(der)
    assert entry.pin == honest.pin
    assert entry.subject.isprintable()
    assert entry.subject.isascii()
    verdict = judge(pins, HOST, [der], 0.0, True)
    error = refusal(verdict, pins, [der], peer="server", verified=False, resumed=False)
    assert str(honest.pin) in str(error)
    assert str(error).replace("\n", "").isprintable()


def _with_subject(der: bytes, subject: bytes) -> bytes:
    """The certificate with another subject, lengths put right; its signature is not."""
    header = 4  # SEQUENCE with a length of two bytes, for the certificate and its inside
    inside_end = header + header + int.from_bytes(der[6:8], "big")
    before = raw_cn(0x0C, b"x" * 40)
    at = der.index(before)
    inside = der[8:at] + subject + der[at + len(before) : inside_end]
    whole = b"\x30\x82" + len(inside).to_bytes(2, "big") + inside + der[inside_end:]
    return b"\x30\x82" + len(whole).to_bytes(2, "big") + whole


@pytest.mark.parametrize("der", [b"", b"\x30", b"\x30\x80\x00\x00", b"\xff" * 70_000])
def test_bytes_that_are_no_certificate_are_described_as_such(der: bytes, pins: PinSet) -> None:
    """They have no pin, and the list goes on."""
    entry = describe(der)
    assert entry.pin is None
    assert entry.subject == "(subject cannot be read)"
    assert entry.not_after is None
    verdict = judge(pins, HOST, [der], 0.0, True)
    error = refusal(verdict, pins, [der], peer="server", verified=True, resumed=False)
    assert "(not DER, so it has no pin)" in str(error)


def test_a_long_chain_is_listed_in_part(authority: Authority, pins: PinSet) -> None:
    """Ten certificates and a count; a peer can send a hundred."""
    chain = [authority.credential.der] * 100
    verdict = judge(pins, HOST, chain, 0.0, True)
    error = refusal(verdict, pins, chain, peer="server", verified=False, resumed=False)
    assert len(error.chain) == 10
    assert "... and 90 more" in str(error)
    assert len(str(error)) < 4000


def test_text_is_escaped_so_that_it_stays_what_it_was() -> None:
    """Plain names are left alone."""
    for text in ("CN=server.example", 'CN=it\'s "quoted"', "O=a\\, b", ""):
        assert safe_text(text) == text
    assert safe_text("CN=M\u00fcller") == "CN=M\\xfcller"
    assert safe_text("x" * 120) == "x" * 120
    assert safe_text("x" * 121) == "x" * 120 + "..."


# --- memory ---------------------------------------------------------------------------------------


def left_by(act: Callable[[], object]) -> list[str]:
    """The types of what was left for the garbage collector."""
    act()  # what is made once
    gc.collect()
    gc.disable()
    try:
        act()
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        return sorted({type(thing).__name__ for thing in gc.garbage})
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize("over", ["bio", "socket"])
@pytest.mark.parametrize("case", ["right key", "wrong key", "callback", "wrong key, callback"])
def test_a_connection_leaves_no_reference_cycle(
    *, authority: Authority, good: Credential, bad: Credential, pins: PinSet, over: Any, case: str
) -> None:
    """Sockets and errors are freed at once, not whenever the collector comes along."""
    context = pin_context(
        client(authority), pins, on_verdict=no_thanks if "callback" in case else None
    )
    theirs = server(bad if "wrong" in case else good)

    def connect() -> None:
        wire = Wire(context, theirs, over=over)
        with wire:
            for _ in range(2):
                try:
                    wire.do(wire.near.do_handshake)
                    wire.near.write(SECRET)
                except PinVerificationError:
                    pass
                else:
                    break

    assert left_by(connect) == []


def test_a_refused_gate_keeps_no_traceback(
    authority: Authority, bad: Credential, pins: PinSet
) -> None:
    """What it raises again is a fresh error, so that frames and their locals are let go."""
    context = pin_context(client(authority), pins)
    with Wire(context, server(bad)) as wire:
        first = None
        try:
            wire.do(wire.near.do_handshake)
        except PinMismatchError as error:
            first = error
        assert first is not None
        held = [
            thing
            for thing in gc.get_referents(wire.near._sslobj)
            if isinstance(thing, (BaseException, types.TracebackType))
        ]
        assert held
        assert all(thing is not first for thing in held)
        assert all(
            thing.__traceback__ is None for thing in held if isinstance(thing, BaseException)
        )
        with contextlib.suppress(PinMismatchError):
            wire.near.read(1)
        assert first.__context__ is None or not isinstance(first.__context__, PinMismatchError)
