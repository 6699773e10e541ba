"""A session is offered, and the early look asks who is there now, not who was there then.

What ``ssl`` tells of a session in the middle of a handshake depends on the version of Python and
OpenSSL: some show the certificates and the id of the one that was set, whether it was offered to
the server or not, and some show nothing.
"""

from __future__ import annotations

import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal

import pytest
from support.contexts import TLS_1_2, TLS_1_3, VERSIONS, server
from support.impostor import HOST, SECRET, WAIT
from support.wire import Wire

from pinsock import (
    InvalidPolicyError,
    PinMismatchError,
    PinnedContext,
    PinSet,
    PinVerificationError,
)

from .flights import (
    CERTIFICATE_REQUEST,
    SERVER_HELLO,
    changing,
    message,
    record,
    with_zero_point,
)
from .witness import SCENES, Trouble, Witness, talk, words

if TYPE_CHECKING:
    from collections.abc import Callable

    from pinsock import Verdict
    from pinsock._throwaway import Authority, Credential

Over = Literal["bio", "socket"]

each_over = pytest.mark.parametrize("over", ["bio", "socket"])
each_version = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
each_scene = pytest.mark.parametrize(
    ("trouble", "version"),
    [scene for scene in SCENES if scene[0] in ("none", "HelloRetryRequest")],
    ids=lambda value: getattr(value, "name", value),
)

#: handshake_failure, in the clear.
ALERT = bytes.fromhex("15 0303 0002 0228")
#: close_notify.
CLOSE = bytes.fromhex("15 0303 0002 0100")


def with_session_id(session_id: bytes) -> Callable[[bytes], bytes]:
    """A ServerHello (RFC 5246, section 7.4.1.3) with this one."""

    def change(body: bytes) -> bytes:
        start = 2 + 32
        rest = body[start + 1 + body[start] :]
        return body[:start] + bytes([len(session_id)]) + session_id + rest

    return changing(SERVER_HELLO, change)


@each_over
@each_version
def test_sessions_are_resumed(
    ours: PinnedContext, authority: Authority, good: Credential, over: Over, version: ssl.TLSVersion
) -> None:
    """By a ticket of the first connection; no certificate is shown again, by either side."""
    peer = Witness(good, authority, version)
    session = talk(ours, peer, over)
    assert "CERTIFICATE" in peer.messages
    peer.messages.clear()
    talk(ours, peer, over, resume=session)
    assert "FINISHED" in peer.messages
    assert "CERTIFICATE" not in peer.messages


@each_over
@each_version
def test_a_session_that_an_impostor_declines_does_not_blind_the_look(
    *,
    ours: PinnedContext,
    authority: Authority,
    good: Credential,
    bad: Credential,
    over: Over,
    version: ssl.TLSVersion,
) -> None:
    """The leaf of the old session was right, that of the new handshake is not."""
    session = talk(ours, Witness(good, authority, version), over)
    impostor = Witness(bad, authority, version)
    with Wire(ours, impostor.context, over=over, session=session) as wire:
        with pytest.raises(PinMismatchError):
            wire.do(lambda: wire.near.write(SECRET))
        report = wire.finish()
    assert words(report.raw) == ["ClientHello"]
    assert report.certificate is None


@each_over
@each_version
def test_a_session_without_an_id_does_not_blind_the_look(
    *,
    ours: PinnedContext,
    authority: Authority,
    good: Credential,
    bad: Credential,
    over: Over,
    version: ssl.TLSVersion,
) -> None:
    """In TLS 1.3 it has none until the server's ticket is there, and is not offered without; and in
    TLS 1.2 a server that means to send a ticket gives none."""
    with Wire(ours, Witness(good, authority, TLS_1_3).context, over=over) as wire:
        wire.do(wire.near.do_handshake)
        session = wire.near.session
    assert session.id == b""
    impostor = Witness(bad, authority, version)
    with Wire(ours, impostor.context, over=over, session=session) as wire:
        with pytest.raises(PinMismatchError):
            wire.do(lambda: wire.near.write(SECRET))
        report = wire.finish()
    assert words(report.raw) == ["ClientHello"]
    assert report.certificate is None


@each_over
@each_scene
def test_a_session_of_a_key_that_was_replaced_does_not_stand_in_the_way(
    *,
    ours: PinnedContext,
    authority: Authority,
    good: Credential,
    bad: Credential,
    over: Over,
    trouble: Trouble,
    version: ssl.TLSVersion,
) -> None:
    """The leaf of the old session is pinned no more, that of the new handshake is."""
    session = talk(ours, Witness(good, authority, version), over)
    ours.pins = PinSet(bad.pin, None)
    changed = Witness(bad, authority, version, trouble)
    talk(ours, changed, over, resume=session)
    assert "CERTIFICATE" in changed.messages


@pytest.mark.parametrize("spoiled_by", ["alert", "echo", "lowered maximum"])
@pytest.mark.parametrize("early", ["auto", "require"])
@each_over
@each_version
def test_an_impostor_who_takes_the_id_of_a_session_does_not_blind_the_look(
    *,
    ours: PinnedContext,
    authority: Authority,
    good: Credential,
    bad: Credential,
    over: Over,
    spoiled_by: str,
    early: Literal["auto", "require"],
    version: ssl.TLSVersion,
) -> None:
    """He lets the first attempt fail, and OpenSSL does not offer the session again, without a word;
    in the second he gives its id, which he has seen in the first, to a session of his own."""
    ours.early_verdict = early
    session = talk(ours, Witness(good, authority, version), over)
    impostor = Witness(bad, authority, TLS_1_2)
    impostor.context.options |= ssl.OP_NO_TICKET
    if spoiled_by == "lowered maximum":
        ours.maximum_version = TLS_1_2
    else:
        with Wire(ours, impostor.context, over=over, session=session) as wire:
            if spoiled_by == "alert":
                wire.alter = lambda _: ALERT
            else:
                wire.alter = with_session_id(session.id)
            with pytest.raises(ssl.SSLError):
                wire.do(lambda: wire.near.write(SECRET))
            assert set(words(wire.finish().raw)) <= {"ClientHello", "Alert"}
    with Wire(ours, impostor.context, over=over, session=session) as wire:
        wire.alter = with_session_id(session.id)
        with pytest.raises(ssl.SSLError):
            wire.do(lambda: wire.near.write(SECRET))
        report = wire.finish()
    assert set(words(report.raw)) <= {"ClientHello", "Alert"}
    assert report.certificate is None


@each_over
@each_version
def test_a_session_cannot_be_changed_in_the_middle_of_the_handshake(
    ours: PinnedContext, authority: Authority, good: Credential, over: Over, version: ssl.TLSVersion
) -> None:
    """CPython lets it be, and crashes with some."""
    session = talk(ours, Witness(good, authority, version), over)
    peer = Witness(good, authority, version)
    with Wire(ours, peer.context, over=over) as wire:
        with pytest.raises(ssl.SSLWantReadError):
            wire.near.do_handshake()
        with pytest.raises(InvalidPolicyError, match="before the handshake begins"):
            wire.near.session = session
        wire.do(lambda: wire.near.write(SECRET))
        with pytest.raises(ValueError, match="after handshake"):
            wire.near.session = session
        assert wire.finish().application == SECRET


@each_over
@each_version
def test_a_handshake_that_fails_is_not_said_to_be_of_the_old_key(
    *,
    ours: PinnedContext,
    authority: Authority,
    good: Credential,
    bad: Credential,
    over: Over,
    version: ssl.TLSVersion,
) -> None:
    """Nothing was shown, so nothing is said to have been shown; and the peer hears why."""
    session = talk(ours, Witness(good, authority, version), over)
    ours.pins = PinSet(bad.pin, None)
    ours.minimum_version = version
    with Wire(ours, server(bad, version), over=over, session=session) as wire:
        wire.alter = changing(SERVER_HELLO, lambda body: body[:10])
        with pytest.raises(ssl.SSLError) as caught:
            wire.do(lambda: wire.near.write(SECRET))
        assert not isinstance(caught.value, PinVerificationError)
        assert words(wire.finish().raw) == ["ClientHello", "Alert"]


@pytest.mark.parametrize("then", ["alert", "close", "rubbish", "end"])
def test_a_peer_that_ends_it_after_a_retry_is_not_said_to_have_the_old_key(
    ours: PinnedContext, authority: Authority, good: Credential, bad: Credential, then: str
) -> None:
    """The second hello still stands in the BIO, and OpenSSL 3.5 shows the old certificates."""
    session = talk(ours, Witness(good, authority, TLS_1_3), "bio")
    ours.pins = PinSet(bad.pin, None)
    said: list[Verdict] = []
    ours.on_verdict = said.append
    peer = Witness(bad, authority, TLS_1_3, "HelloRetryRequest")
    with Wire(ours, peer.context, session=session) as wire:
        more = {
            "alert": ALERT,
            "close": CLOSE,
            "rubbish": record(message(SERVER_HELLO, b"")),
            "end": b"",
        }

        def alter(answer: bytes) -> bytes:
            wire.incoming.write(answer + more[then])
            if then == "end":
                wire.incoming.write_eof()
            return b""

        wire.alter = alter
        with pytest.raises(ssl.SSLError) as caught:
            wire.do(lambda: wire.near.write(SECRET))
        assert not isinstance(caught.value, PinVerificationError)
        assert set(words(wire.report.raw)) == {"ClientHello"}
        assert wire.is_dead()  # what cannot be judged does not leave
    assert said == []


@each_version
def test_a_session_set_by_another_thread_does_not_wait_for_the_handshake(
    *,
    ours: PinnedContext,
    authority: Authority,
    good: Credential,
    version: ssl.TLSVersion,
) -> None:
    """Of a peer that says nothing, for ever."""
    session = talk(ours, Witness(good, authority, version), "bio")
    near, far = socket.socketpair()
    near.settimeout(WAIT)
    far.settimeout(WAIT)
    sock = ours.wrap_socket(near, do_handshake_on_connect=False, server_hostname=HOST)
    with sock, far, ThreadPoolExecutor() as threads:
        shaking = threads.submit(sock.do_handshake)
        assert far.recv(5)
        with pytest.raises(InvalidPolicyError, match="has begun"):
            sock.session = session
        assert not shaking.done()
        far.close()
        with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
            shaking.result(WAIT)


# --- half a flight --------------------------------------------------------------------------------


def ask_for_ed25519(body: bytes) -> bytes:
    """RFC 5246, section 7.4.4: of the kinds of signatures no more than this."""
    types = body[: 1 + body[0]]
    rest = body[len(types) :]
    authorities = rest[2 + int.from_bytes(rest[:2], "big") :]
    return types + b"\x00\x02\x08\x07" + authorities


@pytest.mark.parametrize("right", [True, False], ids=["right key", "wrong key"])
@pytest.mark.parametrize("verified", [True, False], ids=["verified", "CERT_NONE"])
@pytest.mark.parametrize("asks_for", ["any certificate", "one that we have not"])
@pytest.mark.parametrize("offers", [False, True], ids=["no session", "a session"])
@each_over
def test_an_impostor_gets_no_half_flight(
    *,
    ours: PinnedContext,
    authority: Authority,
    good: Credential,
    bad: Credential,
    me: Credential,
    over: Over,
    offers: bool,
    asks_for: str,
    verified: bool,
    right: bool,
) -> None:
    """His point on Curve25519 is zero (RFC 7748, section 6.1), which OpenSSL finds out when the
    client's Certificate stands in its buffer; with the alert it would send that too.  An empty one
    would tell what we have not."""
    session = talk(ours, Witness(good, authority, TLS_1_2), over) if offers else None
    if not verified:
        ours.check_hostname = False
        ours.verify_mode = ssl.CERT_NONE
    credential = good if right else bad
    peer = Witness(credential, authority, TLS_1_2)
    peer.context.set_ecdh_curve("X25519")
    with Wire(ours, peer.context, over=over, session=session) as wire:
        zero = with_zero_point(wire, credential)

        def alter(answer: bytes) -> bytes:
            if asks_for == "one that we have not":
                answer = changing(CERTIFICATE_REQUEST, ask_for_ed25519)(answer)
            return zero(answer)

        wire.alter = alter
        with pytest.raises(ssl.SSLError) as caught:
            wire.do(lambda: wire.near.write(SECRET))
        assert isinstance(caught.value, PinMismatchError) is not right
        report = wire.finish()
    assert (me.der in report.raw) is (right and asks_for == "any certificate")
    assert words(report.raw) == (
        ["ClientHello", "Certificate", "Alert"] if right else ["ClientHello"]
    )
