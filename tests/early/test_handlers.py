"""A signal comes while OpenSSL is at work, and its handler raises: in the place of whatever OpenSSL
has to say, which may be that it waits, that it has failed or that the handshake is done.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from support.contexts import TLS_1_2, VERSIONS, client, server
from support.impostor import HOST, SECRET
from support.wire import Wire

from pinsock import PinMismatchError, PinnedContext, PinSet, PinVerificationError, pin_context
from pinsock._throwaway import Authority

from .flights import with_zero_point
from .witness import Witness, talk, words

if TYPE_CHECKING:
    from pinsock import Verdict
    from pinsock._throwaway import Credential

#: After these a program may go on with the handshake.
CAN_GO_ON = [
    TimeoutError("out of time"),
    InterruptedError("once more"),
    BlockingIOError("not yet"),
    ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "of another connection"),
    ssl.SSLWantWriteError(ssl.SSL_ERROR_WANT_WRITE, "of another connection"),
]
ENDS_IT = [
    KeyboardInterrupt(),
    MemoryError(),
    LookupError("a bug of the handler's"),
    ConnectionResetError("of another connection"),
    ssl.SSLSyscallError(ssl.SSL_ERROR_SYSCALL, "of another connection"),
    ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "of another connection"),
    ssl.SSLCertVerificationError(1, "of another connection"),
    PinVerificationError("of another connection"),
]

each_version = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)


def name(error: BaseException | None) -> str:
    return type(error).__name__


each_error = pytest.mark.parametrize("error", CAN_GO_ON + ENDS_IT, ids=name)


class Interrupted:
    """``_ssl._SSLSocket``, in which CPython looks for signals when OpenSSL has done what it can."""

    def __init__(self, real: Any, error: BaseException) -> None:
        self._real = real
        self._error: BaseException | None = error

    def do_handshake(self) -> None:
        error, self._error = self._error, None
        if error is None:
            self._real.do_handshake()
            return
        with contextlib.suppress(ssl.SSLError):
            self._real.do_handshake()
        raise error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def answered(wire: Wire, error: BaseException) -> None:
    """Our end has said its hello and has the answer; the handler waits for the next step."""
    with pytest.raises(ssl.SSLWantReadError):
        wire.near.do_handshake()
    wire.carry()
    gate = wire.near._sslobj
    gate.real = Interrupted(gate.real, error)


def stopped(wire: Wire, error: BaseException) -> None:
    """What the handler raised comes through as it is."""
    answered(wire, error)
    with pytest.raises(type(error)) as caught:
        wire.near.do_handshake()
    assert caught.value is error


def interrupted(wire: Wire, error: BaseException) -> bool:
    """Nothing but errors come of it, then and afterwards; whether the first was the handler's."""
    answered(wire, error)
    with pytest.raises((type(error), PinVerificationError)) as caught:
        wire.near.do_handshake()
    wire.carry()  # whoever caught the error sends what there is
    for _ in range(3):
        with pytest.raises((ssl.SSLError, type(error))):
            wire.do(lambda: wire.near.write(SECRET))
    assert wire.finish().got_nothing()
    return caught.value is error


@each_version
@each_error
def test_an_impostor_gets_no_flight_whatever_a_handler_raises(
    *,
    ours: PinnedContext,
    authority: Authority,
    bad: Credential,
    version: ssl.TLSVersion,
    error: BaseException,
) -> None:
    """OpenSSL has put it all into the BIO.  That a certificate was not verified is no verdict."""
    said: list[Verdict] = []
    ours.on_verdict = said.append
    impostor = Witness(bad, authority, version)
    with Wire(ours, impostor.context) as wire:
        is_handlers = interrupted(wire, error)
        report = wire.report
    assert is_handlers is not bool(said)
    assert is_handlers or not isinstance(error, ssl.SSLCertVerificationError)
    assert words(report.raw) == ["ClientHello"]
    assert report.certificate is None
    assert not report.shaken


@pytest.mark.parametrize("verified", [True, False], ids=["verified", "CERT_NONE"])
@each_error
def test_an_impostor_gets_no_half_flight_whatever_a_handler_raises(
    *,
    ours: PinnedContext,
    authority: Authority,
    bad: Credential,
    me: Credential,
    verified: bool,
    error: BaseException,
) -> None:
    """OpenSSL has failed, with the client's Certificate and an alert in the BIO."""
    if not verified:
        ours.check_hostname = False
        ours.verify_mode = ssl.CERT_NONE
    impostor = Witness(bad, authority, TLS_1_2)
    impostor.context.set_ecdh_curve("X25519")
    with Wire(ours, impostor.context) as wire:
        wire.alter = with_zero_point(wire, bad)
        interrupted(wire, error)
        report = wire.report
    assert words(report.raw) == ["ClientHello"]
    assert me.der not in report.raw


@pytest.mark.parametrize("report_only", [False, True], ids=["enforced", "report only"])
@each_version
@each_error
def test_a_session_whose_pin_was_withdrawn_is_not_finished_whatever_a_handler_raises(
    *,
    ours: PinnedContext,
    authority: Authority,
    good: Credential,
    bad: Credential,
    version: ssl.TLSVersion,
    report_only: bool,
    error: BaseException,
) -> None:
    """It is resumed, so there is no certificate; the server does not learn that it was to be.
    Where pins are only to be reported, nobody knows that it was ever verified."""
    peer = Witness(good, authority, version)
    session = talk(ours, peer, "bio")
    ours.pins = PinSet(bad.pin, None, report_only=report_only)
    said: list[Verdict] = []
    ours.on_verdict = said.append
    with Wire(ours, peer.context, session=session) as wire:
        is_handlers = interrupted(wire, error)
        report = wire.report
    assert is_handlers is (error in ENDS_IT)
    assert is_handlers is not bool(said)
    assert words(report.raw) == ["ClientHello"]
    assert not report.shaken


@pytest.mark.parametrize("resumed", [False, True], ids=["full", "resumed"])
@each_version
@each_error
def test_the_pinned_server_is_not_said_to_be_another_whatever_a_handler_raises(
    *,
    ours: PinnedContext,
    authority: Authority,
    good: Credential,
    version: ssl.TLSVersion,
    resumed: bool,
    error: BaseException,
) -> None:
    """It is served where the program goes on; else the connection has failed by what was raised,
    and by nothing else."""
    said: list[Verdict] = []
    peer = Witness(good, authority, version)
    session = talk(ours, peer, "bio") if resumed else None
    ours.on_verdict = said.append
    with Wire(ours, peer.context, session=session) as wire:
        stopped(wire, error)
        if error in CAN_GO_ON:
            wire.do(lambda: wire.near.write(SECRET))
            assert wire.finish().application == SECRET
            assert wire.report.resumed is resumed
        else:
            with pytest.raises(PinVerificationError):
                wire.near.write(SECRET)
            assert wire.finish().got_nothing()
    matched = [("MATCHED", True)] if error in CAN_GO_ON else []
    assert [(verdict.outcome.name, verdict.allowed) for verdict in said] == matched


@each_version
@pytest.mark.parametrize("error", CAN_GO_ON, ids=name)
def test_a_server_that_nobody_signed_is_no_matter_of_pins(
    *, ours: PinnedContext, version: ssl.TLSVersion, error: BaseException
) -> None:
    """OpenSSL has refused it, and says so to whoever goes on."""
    said: list[Verdict] = []
    ours.on_verdict = said.append
    with Wire(ours, server(Authority("nobody's authority").issue(HOST), version)) as wire:
        stopped(wire, error)
        assert words(wire.finish().raw) == ["ClientHello", "Alert"]
        with pytest.raises(ssl.SSLError) as later:
            wire.near.do_handshake()
        assert not isinstance(later.value, PinVerificationError)
    assert said == []


@pytest.mark.parametrize("error", [None, *CAN_GO_ON], ids=name)
def test_a_server_without_a_certificate_gets_no_flight(
    authority: Authority, good: Credential, error: BaseException | None
) -> None:
    """An anonymous exchange of keys, which TLS 1.2 still has, for those who ask for it."""
    plain = client(authority, TLS_1_2)
    plain.check_hostname = False
    plain.verify_mode = ssl.CERT_NONE
    theirs = server(good, TLS_1_2)
    for context in plain, theirs:
        context.set_ciphers("AECDH:@SECLEVEL=0")
    with Wire(pin_context(plain, PinSet(good.pin, None)), theirs) as wire:
        if error is not None:
            answered(wire, error)
        with pytest.raises(PinMismatchError):
            wire.do(wire.near.do_handshake)
        assert words(wire.finish().raw) == ["ClientHello"]


@each_version
def test_without_the_look_a_handlers_error_is_no_verdict(
    ours: PinnedContext, authority: Authority, bad: Credential, version: ssl.TLSVersion
) -> None:
    """It was told not to look."""
    ours.early_verdict = "off"
    said: list[Verdict] = []
    ours.on_verdict = said.append
    error = ConnectionResetError("of another connection")
    with Wire(ours, Witness(bad, authority, version).context) as wire:
        stopped(wire, error)
        assert wire.finish().got_nothing()
    assert said == []
