"""``early_verdict``: what can be said, and what ``"require"`` refuses when it cannot be kept."""

from __future__ import annotations

import pickle
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest
from support.contexts import TLS_1_3, VERSIONS, client
from support.impostor import HOST, SECRET, serving
from support.wire import Wire, wraps

from pinsock import (
    InvalidPolicyError,
    PinMismatchError,
    PinnedContext,
    PinPolicy,
    PinSet,
    PinsockError,
    PinVerificationError,
    _early,
    create_default_context,
    pin_context,
)
from pinsock._throwaway import Authority, Credential

from .ways import WAYS
from .witness import Witness, words

Over = Literal["bio", "socket"]

each_over = pytest.mark.parametrize("over", ["bio", "socket"])
each_version = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    """One end of a connection whose other end says nothing."""
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        yield near


def wrap(context: PinnedContext, over: Over, sock: socket.socket) -> Any:
    """Up to the handshake, which is not begun."""
    if over == "bio":
        return context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=HOST)
    return context.wrap_socket(sock, do_handshake_on_connect=False, server_hostname=HOST)


# --- what can be said -----------------------------------------------------------------------------


def test_it_is_auto_unless_something_else_is_said(authority: Authority, pins: PinSet) -> None:
    """However the context was made."""
    contexts = [
        PinnedContext(pins=pins),
        create_default_context(pins, cadata=authority.pem),
        pin_context(client(authority), pins),
    ]
    assert [context.early_verdict for context in contexts] == ["auto"] * 3


@pytest.mark.parametrize("value", ["auto", "require", "off"])
def test_it_can_be_said_when_the_context_is_made_and_later(pins: PinSet, value: Any) -> None:
    """And read back."""
    assert PinnedContext(pins=pins, early_verdict=value).early_verdict == value
    context = PinnedContext(pins=pins)
    context.early_verdict = value
    assert context.early_verdict == value


@pytest.mark.parametrize("value", ["", "on", "Auto", "required", None, True, False, 1, b"auto"])
def test_anything_else_is_an_error_and_changes_nothing(pins: PinSet, value: Any) -> None:
    """The error says what there is."""
    with pytest.raises(InvalidPolicyError, match='"auto", "require" or "off"'):
        PinnedContext(pins=pins, early_verdict=value)
    context = PinnedContext(pins=pins, early_verdict="require")
    with pytest.raises(InvalidPolicyError, match='"auto", "require" or "off"'):
        context.early_verdict = value
    assert context.early_verdict == "require"


@pytest.mark.parametrize("way", WAYS)
@each_version
def test_what_is_required_is_kept(
    ours: PinnedContext, authority: Authority, bad: Credential, way: str, version: ssl.TLSVersion
) -> None:
    """On every way to connect."""
    ours.early_verdict = "require"
    with serving(Witness(bad, authority, version)) as peer:
        with pytest.raises(PinMismatchError):
            WAYS[way](ours, peer.address)
        assert words(peer.report().raw) == ["ClientHello"]


@each_version
def test_it_can_be_required_of_a_context_without_a_certificate(
    authority: Authority, pins: PinSet, bad: Credential, version: ssl.TLSVersion
) -> None:
    """Then the impostor does not get so much as an empty one."""
    context = pin_context(client(authority), pins)
    context._sends_certificate = False  # pinsock cannot tell, of a context that it has not made
    context.early_verdict = "require"
    impostor = Witness(bad, authority, version)
    impostor.context.verify_mode = ssl.CERT_OPTIONAL
    with Wire(context, impostor.context, over="socket") as wire:
        with pytest.raises(PinMismatchError):
            wire.do(wire.near.do_handshake)
        assert words(wire.finish().raw) == ["ClientHello"]


@each_version
def test_off_leaves_the_verdict_after_the_handshake(
    ours: PinnedContext, authority: Authority, bad: Credential, version: ssl.TLSVersion
) -> None:
    """The certificate goes, and no application byte does."""
    ours.early_verdict = "off"
    with Wire(ours, Witness(bad, authority, version).context, over="socket") as wire:
        with pytest.raises(PinMismatchError):
            wire.do(lambda: wire.near.write(SECRET))
        report = wire.finish()
    assert report.certificate is not None
    assert report.got_nothing()


def test_a_server_is_not_concerned(authority: Authority, good: Credential, me: Credential) -> None:
    """It shows its certificate first, whatever is said of the look."""
    context = PinnedContext(
        ssl.PROTOCOL_TLS_SERVER, pins=PinSet(me.pin, None), early_verdict="require"
    )
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=authority.pem)
    good.load_into(context)
    for over in ("bio", "socket"):
        with Wire(context, client(authority, credential=me), over=over, server_side=True) as wire:
            wire.do(lambda wire=wire: wire.near.write(SECRET))
            assert wire.finish().application == SECRET


# --- what cannot be kept --------------------------------------------------------------------------


def chain_scope(context: PinnedContext, authority: Authority, _: pytest.MonkeyPatch) -> None:
    context.pins = PinSet(authority.pin, None, scope="chain")


def interceptor(context: PinnedContext, authority: Authority, _: pytest.MonkeyPatch) -> None:
    context.pins = PinPolicy(
        {HOST: PinSet("sha256/" + "A" * 43 + "=", None)},
        interception=authority.pin,
        interception_with_client_certificate=True,
    )


def callback(context: Any, _: Authority, __: pytest.MonkeyPatch) -> None:
    context._msg_callback = lambda *_: None


def no_such_api(_: PinnedContext, __: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_early, "_callback", None)


Hinder = Callable[[PinnedContext, Authority, pytest.MonkeyPatch], None]
OBSTACLES: list[tuple[Over, Hinder, str]] = [
    ("bio", chain_scope, "scope chain"),
    ("socket", chain_scope, "scope chain"),
    ("bio", interceptor, "interceptor is approved"),
    ("socket", interceptor, "interceptor is approved"),
    ("socket", callback, "another message callback is set"),
    ("socket", no_such_api, "have no _msg_callback"),
]
each_obstacle = pytest.mark.parametrize(
    ("over", "hinder", "reason"),
    OBSTACLES,
    ids=[f"{hinder.__name__}, {over}" for over, hinder, _ in OBSTACLES],
)


@each_obstacle
def test_what_cannot_be_kept_is_refused_when_it_is_wrapped(
    *,
    ours: PinnedContext,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    sock: socket.socket,
    over: Over,
    hinder: Hinder,
    reason: str,
) -> None:
    """With the reason, before a byte is sent; and the context works again once that is gone."""
    before = ours.pins
    hinder(ours, authority, monkeypatch)
    ours.early_verdict = "require"
    with pytest.raises(InvalidPolicyError, match=reason) as caught:
        wrap(ours, over, sock)
    assert 'early_verdict="require"' in str(caught.value)
    pickle.dumps(caught.value)

    monkeypatch.undo()
    ours.pins = before
    ours._msg_callback = None  # type: ignore[attr-defined]
    near, far = socket.socketpair()
    with near, far, wrap(ours, "socket", near) as wrapped:
        assert wrapped.pin_verdict is None


@each_obstacle
@each_version
def test_auto_does_without_it(
    *,
    ours: PinnedContext,
    authority: Authority,
    good: Credential,
    me: Credential,
    monkeypatch: pytest.MonkeyPatch,
    over: Over,
    hinder: Hinder,
    reason: str,
    version: ssl.TLSVersion,
) -> None:
    """The connection is made, and judged after the handshake as ever."""
    del reason
    hinder(ours, authority, monkeypatch)
    with Wire(ours, Witness(good, authority, version).context, over=over) as wire:
        wire.do(lambda: wire.near.write(SECRET))
        report = wire.finish()
    assert report.certificate == me.der
    assert report.application == SECRET


@pytest.mark.parametrize("early", ["auto", "require"])
def test_a_compressed_certificate_is_refused_with_the_reason(
    *,
    ours: PinnedContext,
    authority: Authority,
    good: Credential,
    me: Credential,
    monkeypatch: pytest.MonkeyPatch,
    early: Any,
) -> None:
    """No OpenSSL of today sends us one, so the number of an ordinary one stands for it."""
    monkeypatch.setitem(_early._ACTS, ("read", _early._CERTIFICATE), _early._see_compressed)
    ours.early_verdict = early
    with Wire(ours, Witness(good, authority, TLS_1_3).context, over="socket") as wire:
        with pytest.raises(PinVerificationError, match="compressed certificate"):
            wire.do(lambda: wire.near.write(SECRET))
        report = wire.finish()
        with pytest.raises(PinVerificationError, match="compressed certificate"):
            wire.near.read(1)
    assert words(report.raw) == ["ClientHello"]
    assert report.certificate is None
    assert me.der not in report.raw


@pytest.mark.parametrize("certificate", [True, False])
def test_where_the_look_could_not_read_compressed_certificates_none_is_asked_for(
    *,
    ours: PinnedContext,
    authority: Authority,
    pins: PinSet,
    monkeypatch: pytest.MonkeyPatch,
    sock: socket.socket,
    certificate: bool,
) -> None:
    """By OpenSSL's option for it, from the version on that has one; otherwise it stays unset."""
    context = ours if certificate else create_default_context(pins, cadata=authority.pem)
    for version, option in ((3, 1), 0), ((3, 2), 1 << 33):
        monkeypatch.setattr(ssl, "OPENSSL_VERSION_INFO", version)
        with wrap(context, "socket", sock.dup()):
            assert context.options & 1 << 33 == (option if certificate else 0)


@each_version
def test_a_callback_that_is_set_after_the_wrap_breaks_no_promise(
    ours: Any, authority: Authority, bad: Credential, version: ssl.TLSVersion
) -> None:
    """What was required when it was wrapped is kept, or the connection is refused."""
    ours.early_verdict = "require"
    with Wire(ours, Witness(bad, authority, version).context, over="socket") as wire:
        ours._msg_callback = lambda *_: None
        with pytest.raises(PinsockError):
            wire.do(lambda: wire.near.write(SECRET))
        report = wire.finish()
    assert report.certificate is None
    assert words(report.raw) in ([], ["ClientHello"])


# --- other contexts -------------------------------------------------------------------------------


@each_over
@each_version
def test_a_client_keeps_its_context_until_the_handshake_is_over(
    *,
    ours: PinnedContext,
    authority: Authority,
    bad: Credential,
    me: Credential,
    over: Over,
    version: ssl.TLSVersion,
) -> None:
    """The look is tied to the context, so another one cannot be slipped in to be rid of it."""
    plain = client(authority, credential=me)
    with Wire(ours, Witness(bad, authority, version).context, over=over) as wire:
        with pytest.raises(InvalidPolicyError, match="cannot be changed"):
            wire.near.context = plain
        assert wire.near.context is ours
        with pytest.raises(ssl.SSLWantReadError):
            wire.near.do_handshake()
        with pytest.raises(InvalidPolicyError, match="cannot be changed"):
            wire.near.context = plain
        with pytest.raises(PinMismatchError):
            wire.do(wire.near.do_handshake)
        assert words(wire.finish().raw) == ["ClientHello"]


@each_version
def test_a_client_may_change_its_context_afterwards(
    ours: PinnedContext,
    authority: Authority,
    good: Credential,
    me: Credential,
    version: ssl.TLSVersion,
) -> None:
    """As sockets of ``ssl`` do."""
    plain = client(authority, credential=me)
    with Wire(ours, Witness(good, authority, version).context, over="socket") as wire:
        wire.do(wire.near.do_handshake)
        wire.near.context = plain
        assert wire.near.context is plain
        wire.near.write(SECRET)
        assert wire.finish().application == SECRET


@each_over
@each_version
def test_what_was_said_at_the_wrap_holds(
    ours: PinnedContext,
    authority: Authority,
    bad: Credential,
    over: Over,
    version: ssl.TLSVersion,
) -> None:
    """Whoever switches it off later does so for later connections."""
    with Wire(ours, Witness(bad, authority, version).context, over=over) as wire:
        ours.early_verdict = "off"
        with pytest.raises(PinMismatchError):
            wire.do(wire.near.do_handshake)
        assert words(wire.finish().raw) == ["ClientHello"]


def test_what_was_said_at_the_wrap_holds_when_it_connects_later(ours: PinnedContext) -> None:
    """A socket that was wrapped first: it is not connected under other terms."""
    ours.early_verdict = "require"
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        ours.wrap_socket(socket.socket(), server_hostname=HOST) as wrapped,
    ):
        listener.setblocking(False)
        ours.early_verdict = "off"
        with pytest.raises(InvalidPolicyError, match="early_verdict of the context"):
            wrapped.connect(listener.getsockname())
        with pytest.raises(BlockingIOError):
            listener.accept()


@each_over
def test_rsa_key_exchange_is_refused_where_the_look_is_required(
    ours: PinnedContext, over: Over
) -> None:
    """There the certificate leaves before the server has proven its key; TLS 1.3 has it no more."""
    ours.early_verdict = "require"
    assert wraps(ours, over)
    ours.set_ciphers("ECDHE+AESGCM:kRSA+AESGCM")
    with pytest.raises(InvalidPolicyError, match="RSA key exchange"):
        wraps(ours, over)
    ours.set_ciphers("DEFAULT:!kRSA:!kRSAPSK")
    assert wraps(ours, over)
    ours.set_ciphers("ECDHE+AESGCM:kRSA+AESGCM")
    ours.minimum_version = ssl.TLSVersion.TLSv1_3
    assert wraps(ours, over)


def test_a_certificate_that_is_loaded_in_the_midst_of_a_wrap_is_noticed(
    authority: Authority, me: Credential, pins: PinSet
) -> None:
    """By another thread, after it was decided that there is none to protect."""
    context = create_default_context(pins, cadata=authority.pem)
    gate = context._gate

    def and_load(*arguments: Any) -> Any:
        made = gate(*arguments)
        me.load_into(context)
        return made

    context._gate = and_load  # type: ignore[method-assign]
    with pytest.raises(InvalidPolicyError, match="wrap it again"):
        wraps(context, "socket")
