"""Each test tells one attack: what was tried, and that the pinned side gave nothing away."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import ssl
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from OpenSSL import SSL
from support.contexts import TLS_1_2, VERSIONS, client, server
from support.impostor import (
    BANNER,
    HOST,
    SECRET,
    WAIT,
    Conversation,
    Impostor,
    at_once,
    over_tls,
    reset_by,
    resets,
    sends,
    serving,
)
from support.wire import Wire, wraps

from pinsock import (
    InvalidPolicyError,
    Outcome,
    PinMismatchError,
    PinnedContext,
    PinPolicy,
    PinSet,
    PinVerificationError,
    _context,
    create_default_context,
    pin_context,
)
from pinsock._throwaway import Authority, Credential

from .meetings import no_thanks, serves_nobody

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

BOTH = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)


@contextlib.contextmanager
def connected(
    context: ssl.SSLContext, impostor: Impostor, **arguments: Any
) -> Iterator[ssl.SSLSocket]:
    """A connection whose handshake is still to come."""
    sock = socket.create_connection(impostor.address, WAIT)
    at_once(sock)
    with context.wrap_socket(
        sock,
        do_handshake_on_connect=False,
        server_hostname=HOST,
        **arguments,
    ) as wrapped:
        yield wrapped


def refused(context: ssl.SSLContext, conversation: Conversation | ssl.SSLContext) -> str:
    """Send the secret, see that it is refused and that nothing arrived; the error's words."""
    with serving(conversation) as impostor, connected(context, impostor) as wrapped:
        with pytest.raises(PinMismatchError) as caught:
            wrapped.sendall(SECRET)
        report = impostor.report()
    assert report.got_nothing(), report
    assert report.ended
    return str(caught.value)


def served(context: ssl.SSLContext, conversation: Conversation | ssl.SSLContext) -> bytes:
    """Send the secret, and see that it arrived; the banner that came back."""
    with serving(conversation) as impostor:
        with connected(context, impostor) as wrapped:
            wrapped.sendall(SECRET)
            came = wrapped.recv(64)
        assert impostor.report().application == SECRET
    return came


# --- chains ---------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("scope", ["leaf", "chain"])
def test_the_pinned_leaf_injected_beside_a_rogue_chain_is_not_looked_at(
    authority: Authority, good: Credential, version: ssl.TLSVersion, scope: Any
) -> None:
    """What the peer sends along proves nothing: only its own key, or the verified chain."""
    rogue = Authority("an authority that the client trusts as well")
    forged = rogue.issue(HOST)
    injected = Credential(
        forged.certificate, forged.key, (good.certificate, authority.credential.certificate)
    )
    context = client(rogue, version)
    assert served(context, server(injected, version)) == BANNER  # unpinned
    for pin in (good.pin, authority.pin):
        pinned = pin_context(client(rogue, version), PinSet(pin, None, scope=scope))
        refused(pinned, server(injected, version))


@BOTH
def test_the_pinned_authority_appended_to_a_forged_leaf_is_not_believed(
    authority: Authority, version: ssl.TLSVersion
) -> None:
    """Without verification OpenSSL calls a chain verified that anybody can make."""
    impostors_own = Authority("everybody's authority")  # the same name, another key
    forged = impostors_own.issue(HOST)
    # Without key identifiers, which would tell the two authorities apart.
    chain = Credential(forged.certificate, forged.key, (authority.credential.certificate,))

    with pytest.raises(InvalidPolicyError, match="CERT_REQUIRED"):
        pin_context(client(None, version), PinSet(authority.pin, None, scope="chain")).wrap_bio(
            ssl.MemoryBIO(), ssl.MemoryBIO()
        )
    for kind in ("leaf", "chain"):
        pinned = pin_context(client(authority, version), PinSet(authority.pin, None, scope=kind))
        with serving(server(chain, version)) as impostor, connected(pinned, impostor) as wrapped:
            with pytest.raises(ssl.SSLCertVerificationError):
                wrapped.sendall(SECRET)
            assert impostor.report().got_nothing()
    refused(pin_context(client(None, version), PinSet(authority.pin, None)), server(chain, version))


@BOTH
def test_an_intermediate_of_the_same_name_is_not_the_pinned_one(
    authority: Authority, version: ssl.TLSVersion
) -> None:
    """The pin is that of a key; a name is nothing."""
    pinned_one = Authority("the intermediate", parent=authority)
    namesake = Authority("the intermediate", parent=authority)
    pins = PinSet(pinned_one.pin, None, scope="chain")
    context = pin_context(client(authority, version), pins)
    assert served(context, server(pinned_one.issue(HOST), version)) == BANNER
    assert "the intermediate" in refused(context, server(namesake.issue(HOST), version))


# --- resumed sessions -----------------------------------------------------------------------------


def session_with(context: ssl.SSLContext, impostor: Impostor) -> ssl.SSLSession:
    """What one good connection leaves behind; in TLS 1.3 it comes with the first data."""
    with connected(context, impostor) as wrapped:
        assert wrapped.recv(64) == BANNER
        session = wrapped.session
    impostor.report()
    assert session is not None
    return session


@BOTH
def test_a_session_made_under_other_pins_is_checked_again(
    authority: Authority, good: Credential, bad: Credential, version: ssl.TLSVersion
) -> None:
    """Resuming a session shows no certificate, but the session still knows it."""
    context = PinnedContext(pins=PinSet(bad.pin, None))
    context.load_verify_locations(cadata=authority.pem)
    with serving(server(bad, version)) as impostor:
        session = session_with(context, impostor)
        with connected(context, impostor, session=session) as wrapped:
            wrapped.sendall(SECRET)
            assert wrapped.session_reused
        assert impostor.report().application == SECRET
        context.pins = PinSet(good.pin, None)
        with connected(context, impostor, session=session) as wrapped:
            with pytest.raises(PinMismatchError):
                wrapped.sendall(SECRET)
            assert wrapped.session_reused
            assert impostor.report().got_nothing()


@BOTH
def test_a_resumed_session_has_no_chain_that_could_match(
    authority: Authority, good: Credential, version: ssl.TLSVersion
) -> None:
    """Under chain scope it is refused, and the error says how to get a full handshake."""
    context = pin_context(client(authority, version), PinSet(authority.pin, None, scope="chain"))
    with serving(server(good, version)) as impostor:
        session = session_with(context, impostor)
        with connected(context, impostor, session=session) as wrapped:
            with pytest.raises(PinMismatchError, match="resumed session has a leaf but no chain"):
                wrapped.sendall(SECRET)
            assert impostor.report().got_nothing()


@BOTH
def test_a_resumed_session_whose_leaf_matches_is_served_under_chain_scope(
    authority: Authority, good: Credential, version: ssl.TLSVersion
) -> None:
    """The leaf is there in a resumed session too."""
    pins = PinSet([authority.pin, good.pin], scope="chain")
    context = pin_context(client(authority, version), pins)
    with serving(server(good, version)) as impostor:
        session = session_with(context, impostor)
        with connected(context, impostor, session=session) as wrapped:
            wrapped.sendall(SECRET)
            assert wrapped.session_reused
        assert impostor.report().application == SECRET


@BOTH
def test_a_session_from_before_verification_was_switched_on_opens_nothing(
    good: Credential, authority: Authority, version: ssl.TLSVersion
) -> None:
    """Resuming verifies nothing, so report_only and expired sets do not stand on it."""
    unknown = Authority("an authority that nobody trusts").issue(HOST)
    context = PinnedContext(pins=PinSet(unknown.pin, None))
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with serving(server(unknown, version)) as impostor:
        session = session_with(context, impostor)
        context.verify_mode = ssl.CERT_REQUIRED
        context.check_hostname = True
        context.load_verify_locations(cadata=authority.pem)
        for pins in (
            PinSet(good.pin, None, report_only=True),
            PinSet(unknown.pin, None, expires="2020-01-01", on_expiry="unpinned"),
        ):
            context.pins = pins
            with connected(context, impostor, session=session) as wrapped:
                with pytest.raises(PinMismatchError):
                    wrapped.sendall(SECRET)
                assert wrapped.session_reused
                assert impostor.report().got_nothing()


# --- nothing opens without verification underneath ------------------------------------------------

LENIENT: list[dict[str, Any]] = [
    {"report_only": True},
    {"expires": "2020-01-01", "on_expiry": "unpinned"},
]


@BOTH
@pytest.mark.parametrize("settings", LENIENT, ids=["report_only", "unpinned"])
@pytest.mark.parametrize(
    ("check_hostname", "verify_mode", "allowed"),
    [
        (True, ssl.CERT_REQUIRED, True),
        (False, ssl.CERT_REQUIRED, False),
        (False, ssl.CERT_OPTIONAL, False),
        (False, ssl.CERT_NONE, False),
    ],
)
def test_a_lenient_set_lets_through_only_what_was_verified(
    *,
    authority: Authority,
    good: Credential,
    bad: Credential,
    version: ssl.TLSVersion,
    settings: dict[str, Any],
    check_hostname: bool,
    verify_mode: ssl.VerifyMode,
    allowed: bool,
) -> None:
    """report_only and on_expiry="unpinned" fall back on normal verification, or refuse."""
    verdicts: list[Any] = []
    context = pin_context(
        client(authority, version),
        PinSet(good.pin, None, **settings),
        on_verdict=verdicts.append,
    )
    context.check_hostname = check_hostname
    context.verify_mode = verify_mode
    if allowed:
        assert served(context, server(bad, version)) == BANNER
    else:
        assert "did not apply" in refused(context, server(bad, version))
    outcome = Outcome.MISMATCH if "report_only" in settings else Outcome.EXPIRED
    assert [(verdict.outcome, verdict.allowed) for verdict in verdicts] == [(outcome, allowed)]


@BOTH
def test_a_lenient_set_is_still_verified_the_normal_way(
    authority: Authority, good: Credential, version: ssl.TLSVersion
) -> None:
    """report_only opens nothing to an impostor whom the trust store does not know."""
    unknown = Authority("an authority that nobody trusts").issue(HOST)
    context = pin_context(client(authority, version), PinSet(good.pin, None, report_only=True))
    with serving(server(unknown, version)) as impostor, connected(context, impostor) as wrapped:
        with pytest.raises(ssl.SSLCertVerificationError):
            wrapped.sendall(SECRET)
        assert impostor.report().got_nothing()


@BOTH
def test_an_expired_set_refuses_the_right_key_too(
    authority: Authority, good: Credential, version: ssl.TLSVersion
) -> None:
    """on_expiry="refuse", the default, means everybody."""
    pins = PinSet(good.pin, None, expires="2020-01-01")
    context = pin_context(client(authority, version), pins)
    assert "expired on 2020-01-01" in refused(context, server(good, version))


# --- the certificate changes after the check ------------------------------------------------------


@pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "plain"])
@pytest.mark.parametrize("allowed_again", [True, False])
def test_a_server_cannot_change_its_certificate_by_renegotiating(
    authority: Authority, good: Credential, bad: Credential, pinned: bool, allowed_again: bool
) -> None:
    """TLS 1.2 could shake hands once more, with other keys; a plain client goes along."""
    context = client(authority, TLS_1_2)
    if pinned:
        pin_context(context, PinSet(good.pin, None))
    if allowed_again:
        context.options &= ~ssl.OP_NO_RENEGOTIATION
    far_context = SSL.Context(SSL.TLSv1_2_METHOD)
    far_context.set_session_cache_mode(SSL.SESS_CACHE_OFF)  # resuming would show no certificate
    far_context.set_options(SSL.OP_NO_TICKET)
    far_context.use_certificate(good.certificate)
    far_context.use_privatekey(good.key)
    far = SSL.Connection(far_context, None)
    far.set_accept_state()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = context.wrap_bio(incoming, outgoing, server_hostname=HOST)
    got = bytearray()

    def carry() -> None:
        if outgoing.pending:
            far.bio_write(outgoing.read())
        with contextlib.suppress(SSL.Error):
            got.extend(far.recv(65536))
        with contextlib.suppress(SSL.WantReadError):
            incoming.write(far.bio_read(65536))

    def go_on(step: Callable[[], object]) -> None:
        for _ in range(8):
            try:
                step()
            except ssl.SSLWantReadError:
                carry()
                continue
            except ssl.SSLError:
                pass
            return

    go_on(near.do_handshake)
    far.sendall(b"one")
    carry()
    assert near.read(64) == b"one"
    assert near.getpeercert(True) == good.der

    far.use_certificate(bad.certificate)
    far.use_privatekey(bad.key)
    assert far.renegotiate()
    with contextlib.suppress(SSL.Error):
        far.do_handshake()
    go_on(lambda: near.read(64))
    go_on(lambda: near.write(SECRET))
    carry()
    if pinned:
        assert got == b""
    else:
        assert near.getpeercert(True) == bad.der
        assert got == SECRET


def test_post_handshake_authentication_is_refused_on_a_server(
    authority: Authority, good: Credential
) -> None:
    """It would let data pass before the client has shown its certificate."""
    context = pin_context(server(good, clients=authority), PinSet(good.pin, None))
    caller = client(authority, credential=good)
    serves_nobody(context, caller, "post_handshake_auth", True, "post_handshake_auth")


@pytest.mark.parametrize("over", ["bio", "socket"])
def test_post_handshake_authentication_is_refused_on_a_connection(
    authority: Authority, good: Credential, over: Any
) -> None:
    """Another certificate after the check would be one that nobody has checked."""
    context = pin_context(server(good, clients=authority), PinSet(good.pin, None))
    with Wire(context, client(authority, credential=good), over=over, server_side=True) as wire:
        with pytest.raises(InvalidPolicyError, match="post-handshake"):
            wire.near.verify_client_post_handshake()
        wire.do(wire.near.do_handshake)
        with pytest.raises(InvalidPolicyError, match="post-handshake"):
            wire.near.verify_client_post_handshake()


# --- the context changes after the wrap -----------------------------------------------------------


@BOTH
def test_a_context_swapped_on_the_socket_changes_no_pin(
    authority: Authority, good: Credential, bad: Credential, version: ssl.TLSVersion
) -> None:
    """A client's context stays that of the wrap; its authorities and pins cannot be swapped."""
    pinned = pin_context(client(authority, version), PinSet(good.pin, None))
    loose = client(authority, version)
    loose.check_hostname = False
    loose.verify_mode = ssl.CERT_NONE
    other_pins = pin_context(client(authority, version), PinSet(bad.pin, None))
    for other in (loose, client(authority, version), other_pins):
        with serving(server(bad, version)) as impostor, connected(pinned, impostor) as wrapped:
            for kind in (type(wrapped), ssl.SSLSocket):
                with pytest.raises(InvalidPolicyError):
                    kind.context.__set__(wrapped, other)
            with pytest.raises(PinMismatchError):
                wrapped.sendall(SECRET)
            assert impostor.report().got_nothing()


@BOTH
@pytest.mark.parametrize("unbound", [False, True], ids=["bound", "unbound"])
def test_a_context_swapped_before_connect_changes_no_pin(
    authority: Authority,
    good: Credential,
    bad: Credential,
    version: ssl.TLSVersion,
    unbound: bool,
) -> None:
    """A socket wrapped before it is connected refuses another context, and keeps its pins."""
    pinned = pin_context(client(authority, version), PinSet(good.pin, None))
    plain = client(authority, version)
    with (
        serving(server(bad, version)) as impostor,
        pinned.wrap_socket(socket.socket(), server_hostname=HOST) as wrapped,
    ):
        wrapped.settimeout(WAIT)
        kind = ssl.SSLSocket if unbound else type(wrapped)
        with pytest.raises((InvalidPolicyError, OSError)):
            kind.context.__set__(wrapped, plain)  # type: ignore[attr-defined]
        with pytest.raises(PinMismatchError):
            wrapped.connect(impostor.address)
        assert impostor.report().got_nothing()


@BOTH
def test_a_context_loosened_after_the_wrap_opens_nothing(
    authority: Authority, good: Credential, bad: Credential, version: ssl.TLSVersion
) -> None:
    """Neither other pins nor less verification reach a connection that was wrapped before."""
    context = PinnedContext(pins=PinSet(good.pin, None), on_verdict=no_thanks)
    context.load_verify_locations(cadata=authority.pem)
    with serving(server(bad, version)) as impostor, connected(context, impostor) as wrapped:
        context.pins = PinSet(bad.pin, None)
        context.on_verdict = None
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with pytest.raises(PinMismatchError) as caught:
            wrapped.sendall(SECRET)
        assert isinstance(caught.value.__cause__, Exception)  # from the callback at the wrap
        assert impostor.report().got_nothing()


@BOTH
def test_verification_switched_on_after_the_wrap_does_not_count(
    authority: Authority, good: Credential, bad: Credential, version: ssl.TLSVersion
) -> None:
    """A lenient set asks what was verified, not what the context says by now."""
    context = pin_context(client(None, version), PinSet(good.pin, None, report_only=True))
    with serving(server(bad, version)) as impostor, connected(context, impostor) as wrapped:
        context.verify_mode = ssl.CERT_REQUIRED
        context.check_hostname = True
        context.load_verify_locations(cadata=authority.pem)
        with pytest.raises(PinMismatchError):
            wrapped.sendall(SECRET)
        assert impostor.report().got_nothing()


@BOTH
@pytest.mark.parametrize("second", ["plain", "other pins", "verifies nothing"])
def test_an_sni_callback_that_swaps_the_context_changes_no_pin(
    authority: Authority,
    good: Credential,
    bad: Credential,
    version: ssl.TLSVersion,
    second: str,
) -> None:
    """The pins for clients are those of the context that made the connection."""
    first = pin_context(
        server(good, version, clients=authority), PinSet(good.pin, None), on_verdict=None
    )
    other = server(good, version, clients=authority)
    if second == "verifies nothing":
        other.verify_mode = ssl.CERT_NONE
    if second == "other pins":
        pin_context(other, PinSet(bad.pin, None))
    asked = []

    def swap(tls: Any, name: str | None, _: ssl.SSLContext) -> None:
        asked.append(name)
        tls.context = other

    first.sni_callback = swap
    overs: tuple[Any, ...] = ("bio", "socket")
    for over in overs:
        with Wire(
            first,
            client(authority, version, credential=bad),
            over=over,
            server_side=True,
        ) as wire:
            with pytest.raises(PinMismatchError):
                wire.do(lambda wire=wire: wire.near.write(SECRET))  # type: ignore[misc]
            assert wire.finish().got_nothing()
    assert asked == [HOST, HOST]


# --- the check is called again, stopped, or entered twice -----------------------------------------


@BOTH
@pytest.mark.parametrize("over", ["bio", "socket"])
def test_a_second_handshake_after_a_refusal_is_refused_again(
    authority: Authority, good: Credential, bad: Credential, version: ssl.TLSVersion, over: Any
) -> None:
    """OpenSSL would say that its handshake is done; the refusal stands, and is a fresh error."""
    context = pin_context(client(authority), PinSet(good.pin, None))
    with Wire(context, server(bad, version), over=over) as wire:
        errors = []
        for _ in range(3):
            with pytest.raises(PinMismatchError) as caught:
                wire.do(wire.near.do_handshake)
            errors.append(caught.value)
        with pytest.raises(PinMismatchError):
            wire.near.write(SECRET)
        assert wire.finish().got_nothing()
    assert len({id(error) for error in errors}) == 3
    assert len({str(error) for error in errors}) == 1


@pytest.mark.parametrize("right", [True, False], ids=["right key", "wrong key"])
@BOTH
def test_a_signal_handler_that_writes_during_the_handshake_gets_an_error(
    authority: Authority, good: Credential, bad: Credential, version: ssl.TLSVersion, right: bool
) -> None:
    """It runs in the thread of the handshake: waiting would be for ever."""
    context = pin_context(client(authority), PinSet(good.pin, None))
    answer = threading.Event()
    raised: list[BaseException] = []
    theirs = over_tls(server(good if right else bad, version), before_answer=answer)
    with serving(theirs) as impostor, connected(context, impostor) as wrapped:

        def handler(_signal: int, _frame: FrameType | None) -> None:
            try:
                wrapped.send(b"from the handler")
            except Exception as error:
                raised.append(error)
            answer.set()

        before = signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        try:
            if right:
                wrapped.sendall(SECRET)
            else:
                with pytest.raises(PinMismatchError):
                    wrapped.sendall(SECRET)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        wrapped.close()
        report = impostor.report()
    assert len(raised) == 1
    assert isinstance(raised[0], PinVerificationError)
    assert "in the middle of its handshake" in str(raised[0])
    assert report.application == (SECRET if right else b"")


@BOTH
def test_a_callback_that_uses_the_connection_gets_an_error_and_refuses_it(
    authority: Authority, good: Credential, version: ssl.TLSVersion
) -> None:
    """on_verdict runs before data may pass, so it cannot send any."""
    made: list[Any] = []
    context = pin_context(
        client(authority),
        PinSet(good.pin, None),
        on_verdict=lambda _: made[0].near.write(SECRET),
    )
    with Wire(context, server(good, version)) as wire:
        made.append(wire)
        with pytest.raises(PinVerificationError, match="on_verdict raised"):
            wire.do(wire.near.do_handshake)
        assert wire.finish().got_nothing()


@BOTH
@pytest.mark.parametrize("right", [True, False], ids=["right key", "wrong key"])
def test_two_threads_that_write_at_once_shake_hands_once(
    authority: Authority, good: Credential, bad: Credential, version: ssl.TLSVersion, right: bool
) -> None:
    """OpenSSL entered twice crashes; with the right key all messages arrive, else none."""
    verdicts: list[Any] = []
    context = pin_context(client(authority), PinSet(good.pin, None), on_verdict=verdicts.append)
    messages = [b"one " * 10, b"two " * 10, b"six " * 10]
    errors: list[Exception] = []
    together = threading.Barrier(len(messages))
    # Without pins too, CPython's ssl breaks if two threads write data at the very same time.
    one_at_a_time = threading.Lock() if right else contextlib.nullcontext()
    theirs = server(good if right else bad, version)
    with serving(theirs) as impostor, connected(context, impostor) as wrapped:

        def write(message: bytes) -> None:
            together.wait(WAIT)
            try:
                if right:
                    wrapped.do_handshake()
                with one_at_a_time:
                    wrapped.sendall(message)
            except PinMismatchError as error:
                errors.append(error)

        threads = [threading.Thread(target=write, args=(message,)) for message in messages]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT)
            assert not thread.is_alive()
        if right:
            assert wrapped.recv(64) == BANNER
        wrapped.close()
        report = impostor.report()
    assert len(verdicts) == 1
    if right:
        assert errors == []
        assert sorted(report.application.split()) == sorted(b"".join(messages).split())
    else:
        assert len({id(error) for error in errors}) == len(messages)
        assert report.got_nothing()


# --- peers that do not play by the rules ----------------------------------------------------------


def test_plaintext_that_arrived_before_the_handshake_is_not_data_from_the_peer() -> None:
    """CVE-2023-40217: a peer that sends in the clear and is gone when the socket is wrapped."""
    authority = Authority()
    context = pin_context(
        server(authority.issue(HOST), clients=authority), PinSet(authority.pin, None)
    )
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname(), WAIT) as intruder,
    ):
        intruder.sendall(b"GET /not-over-tls")
        sock = listener.accept()[0]
        sock.settimeout(WAIT)
        assert sock.recv(3, socket.MSG_PEEK) == b"GET"
        reset_by(intruder)
    with (
        sock,
        pytest.raises(OSError, match=r"."),
        context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False) as wrapped,
    ):
        wrapped.recv(64)


def test_plaintext_ahead_of_the_handshake_is_not_data_from_the_peer(
    authority: Authority, good: Credential
) -> None:
    """STARTTLS injection: what came before TLS spoils the handshake and is never returned."""
    context = pin_context(client(authority), PinSet(good.pin, None))
    theirs = sends(first=b"250 everything is fine\r\n")
    with serving(theirs) as impostor, connected(context, impostor) as wrapped:
        for _ in range(2):
            with pytest.raises(OSError, match=r"."):
                wrapped.recv(64)
        assert impostor.report().got_nothing()


def flight(credential: Credential) -> bytes:
    """The beginning of what a server answers, in its form at least."""
    wire = Wire(client(), server(credential))
    with contextlib.suppress(ssl.SSLWantReadError):
        wire.near.do_handshake()
    wire.carry()
    return wire.incoming.read()


RUDE: dict[str, Callable[[Credential], Conversation]] = {
    "resets": lambda _: resets,
    "stalls": lambda _: sends(),
    "sends rubbish": lambda _: sends(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10),
    "sends half a flight": lambda good: sends(flight(good)[:60]),
    "sends somebody else's flight": lambda good: sends(flight(good)),
    "sends half a flight, then rubbish": lambda good: sends(flight(good)[:200] + b"\0" * 2000),
    "sends an alert": lambda _: sends(b"\x15\x03\x03\x00\x02\x02\x28"),
    "says goodbye": lambda _: sends(b"\x15\x03\x03\x00\x02\x01\x00"),
}
#: What holds the line without an end, so that our timeout ends it.
SILENT = ("stalls", "sends half a flight", "sends half a flight, then rubbish")


def use_deferred(context: ssl.SSLContext, address: Any, timeout: float) -> ssl.SSLSocket:
    sock = context.wrap_socket(
        socket.create_connection(address, timeout),
        do_handshake_on_connect=False,
        server_hostname=HOST,
    )
    with contextlib.suppress(OSError):
        sock.do_handshake()
    return sock


def use_connect(context: ssl.SSLContext, address: Any, timeout: float) -> ssl.SSLSocket:
    sock = context.wrap_socket(socket.socket(), server_hostname=HOST)
    sock.settimeout(timeout)
    with contextlib.suppress(OSError):
        sock.connect(address)
    return sock


def use_connect_ex(context: ssl.SSLContext, address: Any, timeout: float) -> ssl.SSLSocket:
    sock = context.wrap_socket(socket.socket(), server_hostname=HOST)
    sock.settimeout(timeout)
    with contextlib.suppress(OSError):
        sock.connect_ex(address)
    return sock


@pytest.mark.parametrize("use", [use_deferred, use_connect, use_connect_ex])
@pytest.mark.parametrize("peer", RUDE)
def test_after_a_broken_handshake_nothing_goes_out_in_the_clear(
    authority: Authority, good: Credential, peer: str, use: Any
) -> None:
    """A reset, a stall or rubbish ends the handshake, and the socket never becomes a plain one."""
    context = pin_context(client(authority), PinSet(good.pin, None))
    timeout = 0.05 if peer in SILENT else WAIT
    with serving(RUDE[peer](good)) as impostor:
        with use(context, impostor.address, timeout) as wrapped:
            errors = []
            for call in (
                lambda: wrapped.send(SECRET),
                lambda: wrapped.sendall(SECRET),
                lambda: wrapped.write(SECRET),
                lambda: wrapped.sendto(SECRET, impostor.address),
                lambda: ssl.SSLSocket.send(wrapped, SECRET),
                wrapped.unwrap,
                lambda: wrapped.send(SECRET),
            ):
                with pytest.raises((OSError, ValueError)) as caught:
                    call()
                errors.append(caught.value)
            assert wrapped.gettimeout() == timeout
            if peer in SILENT[:2] and use is use_deferred:  # connect() has had its time
                assert isinstance(errors[0], TimeoutError)
        report = impostor.report()
    assert report.got_nothing(), report
    assert set(report.records) <= {21, 22}, report  # our half of a handshake, and alerts


@pytest.mark.parametrize("peer", ["sends rubbish", "sends an alert", "stalls"])
def test_after_a_broken_handshake_a_plain_socket_speaks_in_the_clear(
    authority: Authority, good: Credential, peer: str
) -> None:
    """What the test above guards against is there."""
    with serving(RUDE[peer](good)) as impostor:
        timeout = 0.05 if peer in SILENT else WAIT
        with use_connect(client(authority), impostor.address, timeout) as wrapped:
            wrapped.send(SECRET)
        assert impostor.report().plaintext == SECRET


@BOTH
def test_a_handshake_that_timed_out_can_go_on(
    authority: Authority, good: Credential, version: ssl.TLSVersion
) -> None:
    """A timeout is no refusal: the peer was slow, and its key is the right one."""
    context = pin_context(client(authority), PinSet(good.pin, None))
    answer = threading.Event()
    with serving(over_tls(server(good, version), before_answer=answer)) as impostor:
        with connected(context, impostor) as wrapped:
            wrapped.settimeout(0.1)
            with pytest.raises(TimeoutError):
                wrapped.send(SECRET)
            answer.set()
            wrapped.settimeout(WAIT)
            wrapped.sendall(SECRET)
        assert impostor.report().application == SECRET


@pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "plain"])
@pytest.mark.parametrize("unbound", [False, True], ids=["bound", "unbound"])
@pytest.mark.parametrize("behind", ["socket.connect", "non-blocking connect"])
def test_a_socket_connected_behind_ssls_back_sends_nothing_in_the_clear(
    authority: Authority, good: Credential, pinned: bool, behind: str, unbound: bool
) -> None:
    """Wrapped, then connected in a way that ssl does not notice: a plain context leaks."""
    context = client(authority)
    if pinned:
        pin_context(context, PinSet(good.pin, None))
    kind = ssl.SSLContext if unbound else type(context)
    with (
        serving(server(good)) as impostor,
        kind.wrap_socket(context, socket.socket(), server_hostname=HOST) as wrapped,
    ):
        if behind == "socket.connect":
            wrapped.settimeout(WAIT)
            socket.socket.connect(wrapped, impostor.address)
        else:
            wrapped.setblocking(False)
            with pytest.raises(BlockingIOError):
                wrapped.connect(impostor.address)
            with selectors.DefaultSelector() as selector:
                selector.register(wrapped, selectors.EVENT_WRITE)
                assert selector.select(WAIT)
        if not pinned:
            wrapped.send(SECRET)
        else:
            for call in (
                lambda: wrapped.send(SECRET),
                lambda: ssl.SSLSocket.sendall(wrapped, SECRET),
                lambda: ssl.SSLSocket.connect(wrapped, impostor.address),
                lambda: wrapped.sendto(SECRET, impostor.address),
                lambda: wrapped.sendmsg([SECRET]),  # type: ignore[arg-type]  # typeshed: Never
                lambda: wrapped.recv(64),
                wrapped.do_handshake,
                wrapped.unwrap,
                lambda: wrapped.makefile("wb", buffering=0).write(SECRET),
            ):
                with pytest.raises((OSError, ValueError, NotImplementedError)):
                    call()
            wrapped.shutdown(socket.SHUT_RD)
            with pytest.raises(OSError, match=r"."):
                wrapped.send(SECRET)
        wrapped.close()
        report = impostor.report()
    assert report.got_nothing() == pinned, report


# --- the program around it ------------------------------------------------------------------------

WITHOUT_ASSERTIONS = """
import ssl, sys
from pinsock import PinMismatchError, PinSet, pin_context
from pinsock._throwaway import Authority
from support.contexts import client, server
from support.impostor import HOST, SECRET
from support.wire import Wire, wraps

authority = Authority()
bad, good = authority.issue(HOST), authority.issue(HOST)
print("assertions:", __debug__)
for credential in (good, bad):
    context = pin_context(client(authority), PinSet(good.pin, None))
    with Wire(context, server(credential), over="socket") as wire:
        try:
            wire.do(lambda: wire.near.write(SECRET))
        except PinMismatchError:
            print("refused")
        print(len(wire.finish().application))
"""


def test_python_without_assertions_checks_as_well() -> None:
    """`python -OO` drops assert statements and docstrings, and no check of ours."""
    result = subprocess.run(
        [sys.executable, "-OO", "-W", "error", "-c", WITHOUT_ASSERTIONS],
        env=os.environ | {"PYTHONPATH": ":".join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.stdout.split("\n")[:-1] == [
        "assertions: False",
        str(len(SECRET)),
        "refused",
        "0",
    ], result.stderr


class ContextOfAnotherLibrary(ssl.SSLContext):
    """As truststore's: a subclass that wraps its sockets with a context inside."""

    inner = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    def wrap_socket(self, *arguments: Any, **named: Any) -> ssl.SSLSocket:
        return self.inner.wrap_socket(*arguments, **named)


def test_a_context_of_another_library_is_not_pinned_in_vain(good: Credential) -> None:
    """Its own wrap_socket would go around the check, so that is an error at once."""
    context = ContextOfAnotherLibrary(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(TypeError, match="ContextOfAnotherLibrary"):
        pin_context(context, PinSet(good.pin, None))
    assert type(context) is ContextOfAnotherLibrary


@pytest.mark.parametrize("name", ["sslsocket_class", "sslobject_class"])
def test_a_context_with_a_socket_class_of_its_own_is_not_pinned_in_vain(
    good: Credential, name: str
) -> None:
    """A class of the context's own could go around the check."""
    context = client()
    setattr(context, name, getattr(ssl.SSLContext, name))
    with pytest.raises(TypeError, match=name):
        pin_context(context, PinSet(good.pin, None))


def test_a_context_changed_between_wrap_and_connect_is_refused(
    authority: Authority, good: Credential, bad: Credential
) -> None:
    """Pins and verification are those of the wrap, though TLS begins with `connect()`."""

    def new_pins(context: Any) -> None:
        context.pins = PinSet(bad.pin, None)

    def no_verification(context: Any) -> None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE

    for change in (new_pins, no_verification):
        context = pin_context(client(authority), PinSet(good.pin, None))
        with (
            serving(server(bad)) as impostor,
            context.wrap_socket(socket.socket(), server_hostname=HOST) as wrapped,
        ):
            change(context)
            for _ in range(2):
                with pytest.raises((InvalidPolicyError, OSError)):
                    wrapped.connect(impostor.address)
                with pytest.raises(OSError, match=r"."):
                    wrapped.send(SECRET)


def test_a_connect_that_does_not_wait_leaves_no_live_plain_socket(
    authority: Authority, good: Credential, tmp_path: Any
) -> None:
    """It is over at once on a Unix socket; ssl then takes TLS off, and the wire must be dead."""
    context = pin_context(client(authority), PinSet(good.pin, None))
    path = str(tmp_path / "s")
    with (
        socket.socket(socket.AF_UNIX) as listener,
        context.wrap_socket(socket.socket(socket.AF_UNIX), server_hostname=HOST) as wrapped,
    ):
        listener.bind(path)
        listener.listen()
        wrapped.setblocking(False)
        with pytest.raises(OSError, match=r"."):
            wrapped.connect(path)
        with pytest.raises(OSError, match=r"."):
            socket.socket.send(wrapped, SECRET)  # what a thread in that window would do
        peer, _ = listener.accept()
        with peer:
            peer.settimeout(WAIT)
            received = b"".join(iter(lambda: peer.recv(65536), b""))
    assert received[:1] == b"\x16"  # our hello, then the end
    assert SECRET not in received


# --- another thread -------------------------------------------------------------------------------


def switches_it_off(context: PinnedContext) -> None:
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE


def switches_it_off_and_on(context: PinnedContext) -> None:
    switches_it_off(context)
    context.verify_mode = ssl.CERT_REQUIRED
    context.check_hostname = True


@pytest.mark.parametrize("over", ["bio", "socket"])
@pytest.mark.parametrize("change", [switches_it_off, switches_it_off_and_on])
def test_verification_that_another_thread_switches_off_in_the_wrap_is_not_taken_for_granted(
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[PinnedContext], None],
    over: Any,
) -> None:
    """The gate takes it down, OpenSSL copies it, and between the two it may be another; under
    report-only or chain scope that would open to anybody."""
    pins = PinSet(Authority("nobody's").pin, None, report_only=True)
    context = PinnedContext(pins=pins)
    context.load_verify_locations(cadata=Authority("a trusted one").pem)
    name = "_wrap_bio_in_c" if over == "bio" else "_wrap_socket_in_c"
    real = vars(_context)[name]

    def meanwhile(*arguments: Any, **named: Any) -> Any:
        change(context)
        return real(*arguments, **named)

    monkeypatch.setattr(_context, name, meanwhile)
    with pytest.raises(InvalidPolicyError, match="wrap it again"):
        wraps(context, over)


@pytest.mark.parametrize("over", ["bio", "socket"])
def test_no_interceptor_is_approved_for_a_certificate_that_comes_in_the_wrap(
    monkeypatch: pytest.MonkeyPatch,
    authority: Authority,
    good: Credential,
    over: Any,
) -> None:
    """It is decided before whether there is one, and the interceptor would get it."""
    policy = PinPolicy({HOST: PinSet(good.pin, None)}, interception=[authority.pin])
    context = create_default_context(policy, cadata=authority.pem)
    name = "_wrap_bio_in_c" if over == "bio" else "_wrap_socket_in_c"
    real = vars(_context)[name]

    def meanwhile(*arguments: Any, **named: Any) -> Any:
        authority.issue("me.example").load_into(context)
        return real(*arguments, **named)

    monkeypatch.setattr(_context, name, meanwhile)
    with pytest.raises(InvalidPolicyError, match="wrap it again"):
        wraps(context, over)
