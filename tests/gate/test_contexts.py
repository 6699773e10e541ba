"""Contexts and sockets: ssl's own in everything but the check, and clear about what is wrong."""

from __future__ import annotations

import inspect
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from support.contexts import VERSIONS, client, server
from support.impostor import BANNER, HOST, SECRET, WAIT, Impostor, serving
from support.wire import Wire

from pinsock import (
    InvalidPinError,
    InvalidPolicyError,
    Outcome,
    Pin,
    PinMismatchError,
    PinnedContext,
    PinnedSocket,
    PinnedSSLObject,
    PinSet,
    PinVerificationError,
    PinWarning,
    Verdict,
    _context,
    create_connection,
    create_default_context,
    pin_context,
    wrap_socket,
)
from pinsock._throwaway import Authority, Credential

from .meetings import serves_nobody

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OTHER_PIN = Pin("spki", bytes(range(32)))


@pytest.fixture
def theirs(good: Credential) -> Iterator[Impostor]:
    """The pinned server."""
    with serving(server(good)) as peer:
        yield peer


@pytest.fixture
def default_store(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """The machine's trust store holds everybody's authority, and no context is kept yet."""
    file = tmp_path / "authorities.pem"
    file.write_text(authority.pem, encoding="ascii")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    _context._kept_context.cache_clear()
    yield
    _context._kept_context.cache_clear()


def public(context: ssl.SSLContext) -> dict[str, Any]:
    """Every public attribute that is no method, and what the read-only methods say."""
    found = {}
    for name in dir(ssl.SSLContext):
        if name.startswith("_") or name in {"sslsocket_class", "sslobject_class"}:
            continue
        value = getattr(context, name)
        if not callable(value):
            found[name] = value
    found["ciphers"] = [cipher["name"] for cipher in context.get_ciphers()]
    return found


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "purpose"),
    [
        (ssl.PROTOCOL_TLS_CLIENT, ssl.Purpose.SERVER_AUTH),
        (ssl.PROTOCOL_TLS_SERVER, ssl.Purpose.CLIENT_AUTH),
    ],
    ids=["client", "server"],
)
def test_the_settings_are_those_of_the_default_context(
    protocol: int,
    purpose: ssl.Purpose,
    pins: PinSet,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All public attributes are those of ssl.create_default_context() on this very Python."""
    monkeypatch.delenv("SSLKEYLOGFILE", raising=False)  # for debugging, and no setting of ours
    expected = public(ssl.create_default_context(purpose, cadata=authority.pem))
    assert expected["options"] & ssl.OP_NO_RENEGOTIATION == 0
    expected["options"] |= ssl.OP_NO_RENEGOTIATION  # the one thing that is added
    assert len(expected) > 10
    assert public(PinnedContext(protocol, pins=pins)) == expected
    assert public(create_default_context(pins, purpose=purpose, cadata=authority.pem)) == expected


def test_the_settings_of_a_client_verify_everything(pins: PinSet) -> None:
    """Without a protocol the context is a client's that verifies, never PROTOCOL_TLS."""
    for context in (
        PinnedContext(pins=pins),
        PinnedContext(pins=pins, on_verdict=None),
        PinnedContext(protocol=ssl.PROTOCOL_TLS_CLIENT, pins=pins),
    ):
        assert context.protocol == ssl.PROTOCOL_TLS_CLIENT
        assert context.verify_mode == ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.get_ca_certs() == []
    with pytest.raises(TypeError, match="PROTOCOL_TLS_CLIENT"):
        PinnedContext(None, pins=pins)  # type: ignore[arg-type]  # what is tested
    with pytest.raises(TypeError):
        PinnedContext()  # type: ignore[call-arg]  # what is tested


def test_a_subclass_is_made_like_its_base(pins: PinSet) -> None:
    """A subclass that takes more arguments gets a verifying client as well."""

    class Mine(PinnedContext):
        def __init__(self, *, pins: PinSet, label: str) -> None:
            super().__init__(pins=pins)
            self.label = label

    mine = Mine(pins=pins, label="a")
    assert mine.verify_mode == ssl.CERT_REQUIRED
    assert mine.protocol == ssl.PROTOCOL_TLS_CLIENT


@pytest.mark.usefixtures("default_store")
def test_create_default_context_loads_the_trust_store(
    pins: PinSet, authority: Authority, tmp_path: Path
) -> None:
    """The machine's own, or the authority that is given instead."""
    assert len(create_default_context(pins).get_ca_certs()) == 1
    for given in (
        {"cafile": str(tmp_path / "authorities.pem")},
        {"cadata": Authority("another").pem},
    ):
        assert len(create_default_context(pins, **given).get_ca_certs()) == 1  # type: ignore[arg-type]
    on_server = create_default_context(pins, purpose=ssl.Purpose.CLIENT_AUTH, cadata=authority.pem)
    assert on_server.protocol == ssl.PROTOCOL_TLS_SERVER


def test_signatures_are_those_of_ssl() -> None:
    """Libraries pass ssl's arguments in ssl's order, by position and by name."""
    for ours, name in (
        (PinnedContext, "wrap_socket"),
        (PinnedContext, "wrap_bio"),
        (PinnedSocket, "connect"),
        (PinnedSocket, "connect_ex"),
        (PinnedSocket, "shutdown"),
        (PinnedSocket, "verify_client_post_handshake"),
        (PinnedSSLObject, "verify_client_post_handshake"),
    ):
        theirs = {
            PinnedContext: ssl.SSLContext,
            PinnedSocket: ssl.SSLSocket,
            PinnedSSLObject: ssl.SSLObject,
        }[ours]
        expected = inspect.signature(getattr(theirs, name)).parameters.values()
        found = inspect.signature(getattr(ours, name)).parameters.values()
        assert [(p.name, p.kind, p.default) for p in found] == [
            (p.name, p.kind, p.default) for p in expected
        ]


# --- pins on a context ----------------------------------------------------------------------------


@pytest.mark.parametrize("nothing", [None, "", [], (), set(), b"", 0, False])
def test_no_pins_is_an_error_and_the_old_pins_stay(pins: PinSet, nothing: Any) -> None:
    """Nothing to check would mean nothing is checked."""
    context = PinnedContext(pins=pins)
    with pytest.raises(InvalidPinError):
        context.pins = nothing
    assert context.pins == pins
    for make in (
        lambda: PinnedContext(pins=nothing),
        lambda: create_default_context(nothing),
        lambda: pin_context(client(), nothing),
    ):
        with pytest.raises(InvalidPinError):
            make()


def test_pins_are_taken_in_every_form(good: Credential, backup: Credential) -> None:
    """A set, a text, a list of curl's, an iterable of texts and pins."""
    both = PinSet([good.pin, backup.pin])
    for form in (
        both,
        f"{good.pin};{backup.pin}",
        [str(good.pin), str(backup.pin)],
        iter((good.pin, str(backup.pin))),
    ):
        assert PinnedContext(pins=form).pins == both
    with pytest.warns(PinWarning, match="backup"):
        context = PinnedContext(pins=str(good.pin))
    context.pins = both
    assert context.pins == both
    with pytest.raises(AttributeError):
        del context.pins


def test_assigned_pins_hold_from_the_next_connection_on(
    authority: Authority, good: Credential, bad: Credential
) -> None:
    """A connection that was made under the old pins goes on."""
    context = PinnedContext(pins=PinSet(good.pin, None))
    context.load_verify_locations(cadata=authority.pem)
    with Wire(context, server(good)) as wire:
        wire.do(wire.near.do_handshake)
        context.pins = PinSet(bad.pin, None)
        wire.near.write(SECRET)
        assert wire.finish().application == SECRET
    with Wire(context, server(good)) as wire, pytest.raises(PinMismatchError):
        wire.do(wire.near.do_handshake)


def test_a_callback_that_cannot_be_called_is_an_error(pins: PinSet) -> None:
    """It would otherwise show at the first connection."""
    for make in (
        lambda: PinnedContext(pins=pins, on_verdict="print"),  # type: ignore[arg-type]
        lambda: pin_context(client(), pins, on_verdict=3),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError, match="on_verdict"):
            make()


# --- pin_context ----------------------------------------------------------------------------------


def test_pin_context_pins_in_place(authority: Authority, pins: PinSet) -> None:
    """The same object, with its settings and its trust."""
    context = client(authority)
    context.set_alpn_protocols(["h2"])
    before = public(context)
    pinned = pin_context(context, pins)
    assert pinned is context
    assert type(pinned) is PinnedContext
    assert pinned.pins is pins
    assert len(pinned.get_ca_certs()) == 1
    assert public(pinned) == before | {"options": before["options"] | ssl.OP_NO_RENEGOTIATION}


@pytest.mark.parametrize("wrong", [None, "context", object(), ssl.SSLContext, ssl])
def test_pin_context_takes_a_context(pins: PinSet, wrong: Any) -> None:
    """Anything else is an error that says what it was."""
    with pytest.raises(TypeError, match=r"takes an ssl\.SSLContext"):
        pin_context(wrong, pins)


def test_pin_context_refuses_what_is_pinned_already(pins: PinSet) -> None:
    """Else the second pins would silently win."""
    context = PinnedContext(pins=pins)
    with pytest.raises(InvalidPolicyError, match="pinned already"):
        pin_context(context, PinSet(OTHER_PIN, None))
    assert context.pins is pins


def test_pin_context_with_wrong_pins_leaves_the_context_as_it_was() -> None:
    """Half a change would be worse than none."""
    context = client()
    before = public(context)
    with pytest.raises(InvalidPinError):
        pin_context(context, "sha1/AAAA")
    assert type(context) is ssl.SSLContext
    assert public(context) == before


# --- a connection ---------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
@pytest.mark.parametrize("over", ["bio", "socket"])
def test_a_matched_connection_is_ssls_own_afterwards(
    authority: Authority, good: Credential, pins: PinSet, version: ssl.TLSVersion, over: Any
) -> None:
    """The C object is back in its place, so that the data path is CPython's."""
    context = pin_context(client(authority, version), pins)
    with Wire(context, server(good), over=over) as wire:
        near: Any = wire.near
        assert near.pin_verdict is None
        assert near.version() is None
        wire.do(lambda: wire.near.write(SECRET))
        assert wire.do(lambda: wire.near.read(64)) == BANNER
        assert wire.finish().application == SECRET
        assert type(wire.near._sslobj).__module__ == "_ssl"
        verdict = wire.near.pin_verdict
        assert isinstance(wire.near, PinnedSocket if over == "socket" else PinnedSSLObject)
    assert (verdict.outcome, verdict.allowed) == (Outcome.MATCHED, True)
    assert (verdict.host, verdict.pin, verdict.position) == (HOST, good.pin, 0)
    assert verdict.chain_pins == ()


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_a_gate_that_cannot_be_swapped_out_is_as_good(
    authority: Authority,
    good: Credential,
    bad: Credential,
    pins: PinSet,
    version: ssl.TLSVersion,
) -> None:
    """Where the owner keeps the C object elsewhere (gevent), or there is none, the gate stays."""
    for credential in (good, bad):
        with Wire(pin_context(client(authority), pins), server(credential, version)) as wire:
            gate = wire.near.context._wrap_bio(wire.incoming, wire.outgoing, False, HOST)
            if credential is bad:
                for call in (gate.do_handshake, lambda gate=gate: gate.read(64), gate.shutdown):
                    with pytest.raises(PinMismatchError):
                        wire.do(call)
                assert wire.finish().got_nothing()
                continue
            with pytest.raises(PinVerificationError, match="before the peer's public key"):
                _ = gate.verify_client_post_handshake
            wire.do(lambda gate=gate: gate.write(SECRET))  # type: ignore[misc]
            assert wire.do(lambda gate=gate: gate.read(64)) == BANNER  # type: ignore[misc]
            buffer = bytearray(5)
            wire.far.write(b"12345")
            wire.carry()
            assert gate.read(5, buffer) == 5
            assert buffer == b"12345"
            assert (gate.server_side, gate.version()) == (False, wire.far.version())
            assert gate.verdict.allowed
            with pytest.raises(ssl.SSLWantReadError):
                gate.shutdown()  # our goodbye is on its way, and the peer's is to come
            assert wire.finish().application == SECRET


def test_harmless_questions_are_answered_before_the_handshake(
    authority: Authority, pins: PinSet
) -> None:
    """As ssl answers them; what could move data or change the check is not among them."""
    plain, pinned = client(authority), pin_context(client(authority), pins)
    with (
        Wire(plain, server(None), over="socket") as theirs,
        Wire(pinned, server(None), over="socket") as ours,
    ):
        for name in (
            "cipher",
            "compression",
            "pending",
            "selected_alpn_protocol",
            "shared_ciphers",
            "version",
        ):
            assert getattr(ours.near, name)() == getattr(theirs.near, name)(), name
        for name in ("server_side", "server_hostname", "session", "session_reused"):
            assert getattr(ours.near, name) == getattr(theirs.near, name), name
        assert ours.near.context is pinned
        with pytest.raises(ValueError, match="handshake not done"):
            ours.near.getpeercert()
        with pytest.raises(AttributeError):
            _ = ours.near._sslobj.nothing_like_it
        for name in ("verify_client_post_handshake", "shared_secrets"):
            with pytest.raises((PinVerificationError, AttributeError)):
                getattr(ours.near._sslobj, name)


def test_the_verdict_of_a_backup_and_of_a_chain_say_where_they_matched(
    authority: Authority, good: Credential, backup: Credential
) -> None:
    """A backup is told apart, and the place in the chain counts from the leaf."""
    intermediate = Authority("intermediate", parent=authority)
    below = intermediate.issue(HOST)
    for credential, pin_set, outcome, pin, position in (
        (backup, PinSet(good.pin, backup.pin), Outcome.MATCHED_BACKUP, backup.pin, 0),
        (
            below,
            PinSet([good.pin, intermediate.pin], scope="chain"),
            Outcome.MATCHED,
            intermediate.pin,
            1,
        ),
        (
            below,
            PinSet(good.pin, authority.pin, scope="chain"),
            Outcome.MATCHED_BACKUP,
            authority.pin,
            2,
        ),
    ):
        said: list[Verdict] = []
        context = pin_context(client(authority), pin_set, on_verdict=said.append)
        with Wire(context, server(credential), over="socket") as wire:
            wire.do(lambda wire=wire: wire.near.write(SECRET))  # type: ignore[misc]
            verdict = wire.near.pin_verdict
            assert wire.finish().application == SECRET
        assert verdict.allowed
        assert (verdict.outcome, verdict.pin, verdict.position) == (outcome, pin, position)
        assert said == [verdict]


@pytest.mark.parametrize("over", ["bio", "socket"])
@pytest.mark.parametrize("right", [True, False], ids=["right key", "wrong key"])
def test_the_callback_is_told_once_and_before_any_data(
    *, authority: Authority, good: Credential, bad: Credential, pins: PinSet, over: Any, right: bool
) -> None:
    """On acceptance and refusal alike, with what pin_verdict says afterwards."""
    seen: list[tuple[Verdict, bytes]] = []
    wires: list[Wire] = []

    def on_verdict(verdict: Verdict) -> None:
        wires[0].carry()
        seen.append((verdict, wires[0].report.application))

    context = pin_context(client(authority), pins, on_verdict=on_verdict)
    with Wire(context, server(good if right else bad), over=over) as wire:
        wires.append(wire)
        for _ in range(2):
            if right:
                wire.do(lambda: wire.near.write(SECRET))
            else:
                with pytest.raises(PinMismatchError):
                    wire.do(lambda: wire.near.write(SECRET))
        wire.finish()
        assert seen == [(wire.near.pin_verdict, b"")]
        assert seen[0][0].allowed == right
        assert wire.report.application == (SECRET * 2 if right else b"")
    if not right:
        assert seen[0][0].chain_pins[0] == bad.pin


def test_a_server_pins_its_clients(
    authority: Authority, good: Credential, bad: Credential, pins: PinSet
) -> None:
    """The right client is served, another is told so in words that fit a client."""
    context = pin_context(server(bad, clients=authority), pins)
    with Wire(context, client(authority, credential=good), server_side=True) as wire:
        wire.do(lambda: wire.near.write(SECRET))
        assert wire.finish().application == SECRET
        assert wire.near.pin_verdict.host is None
    with Wire(context, client(authority, credential=bad), server_side=True) as wire:
        with pytest.raises(PinMismatchError, match="the client's public key is none") as caught:
            wire.do(wire.near.do_handshake)
        assert caught.value.host is None


@pytest.mark.parametrize("mode", [ssl.CERT_NONE, ssl.CERT_OPTIONAL])
def test_a_server_must_ask_its_clients_for_a_certificate(
    authority: Authority, good: Credential, pins: PinSet, mode: ssl.VerifyMode
) -> None:
    """Pins of certificates that nobody has to show would check nothing."""
    context = pin_context(server(good, clients=authority), pins)
    caller = client(authority, credential=good)
    serves_nobody(context, caller, "verify_mode", mode, "CERT_REQUIRED")


@pytest.mark.parametrize("over", ["bio", "socket"])
def test_a_self_signed_peer_is_pinned_without_verification(over: Any) -> None:
    """The usual way with peers that no authority knows: the pin is what verifies."""
    authority = Authority("its own authority")
    credential = Credential(authority.credential.certificate, authority.credential.key)
    context = PinnedContext(pins=PinSet(credential.pin, None))
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with Wire(context, server(credential), over=over) as wire:
        wire.do(lambda: wire.near.write(SECRET))
        assert wire.finish().application == SECRET
    with (
        Wire(context, server(authority.issue(HOST)), over=over) as wire,
        pytest.raises(PinMismatchError, match="as sent, which anybody could send"),
    ):
        wire.do(wire.near.do_handshake)


def test_normal_verification_stays_in_force(good: Credential, authority: Authority) -> None:
    """The right pin does not make up for a wrong name, an old date or an unknown authority."""
    elsewhere = authority.issue("elsewhere.example", key=good.key)
    expired = authority.issue(HOST, key=good.key, days=-1)
    unknown = Authority("unknown").issue(HOST, key=good.key)
    for credential in (elsewhere, expired, unknown):
        assert credential.pin == good.pin
        context = pin_context(client(authority), PinSet(good.pin, None))
        with Wire(context, server(credential), over="socket") as wire:
            with pytest.raises(ssl.SSLCertVerificationError) as caught:
                wire.do(wire.near.do_handshake)
            assert not isinstance(caught.value, PinVerificationError)
            assert wire.finish().got_nothing()


def test_a_refused_socket_stays_one_that_speaks_tls_or_nothing(
    authority: Authority, bad: Credential, pins: PinSet
) -> None:
    """shutdown() of a pinned socket never makes it a plain one, before or after the handshake."""
    context = pin_context(client(authority), pins)
    for how in (socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR):
        with Wire(context, server(bad), over="socket") as wire:
            wire.near.shutdown(how)
            assert wire.near._sslobj is not None
            with pytest.raises(OSError, match=r"."):
                wire.do(lambda wire=wire: wire.near.send(SECRET))  # type: ignore[misc]
            assert wire.finish().got_nothing()


def test_a_served_socket_shut_down_for_reading_still_speaks_tls(
    authority: Authority, good: Credential, pins: PinSet
) -> None:
    """ssl's own shutdown() would have the next send go out in the clear."""
    context = pin_context(client(authority), pins)
    with Wire(context, server(good), over="socket") as wire:
        wire.do(wire.near.do_handshake)
        wire.near.shutdown(socket.SHUT_RD)
        wire.near.send(SECRET)
        assert wire.finish().application == SECRET
        assert wire.report.plaintext == b""


def test_unwrap_ends_tls_and_gives_the_socket_back(
    authority: Authority, good: Credential, pins: PinSet
) -> None:
    """After a match whoever wants to go on in the clear may, as with ssl."""
    context = pin_context(client(authority), pins)
    with serving(server(good)) as peer:
        with context.wrap_socket(
            socket.create_connection(peer.address, WAIT), server_hostname=HOST
        ) as wrapped:
            assert wrapped.recv(64) == BANNER
            with wrapped.unwrap() as plain:
                plain.sendall(b"in the clear")
        assert peer.report().plaintext == b"in the clear"


def test_a_connect_that_failed_can_be_tried_again(
    theirs: Impostor, authority: Authority, pins: PinSet
) -> None:
    """Nothing of TLS had begun, so the socket still waits for its connection, with its pins."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = closed.getsockname()
    context = pin_context(client(authority), pins)
    with context.wrap_socket(socket.socket(), server_hostname=HOST) as wrapped:
        with pytest.raises(ConnectionError):
            wrapped.connect(nobody)
        with pytest.raises(OSError, match="before it was connected"):
            wrapped.send(SECRET)
        assert wrapped.pin_verdict is None
        assert wrapped.connect_ex(theirs.address) == 0
        wrapped.settimeout(WAIT)
        assert wrapped.recv(64) == BANNER
        assert wrapped.pin_verdict is not None
        with pytest.raises(ValueError, match="already"):
            wrapped.connect(theirs.address)


def test_a_refused_socket_cannot_be_connected_again(
    authority: Authority, bad: Credential, theirs: Impostor, pins: PinSet
) -> None:
    """A refusal is for good, whoever would answer the next time."""
    context = pin_context(client(authority), pins)
    with (
        serving(server(bad)) as impostor,
        context.wrap_socket(socket.socket(), server_hostname=HOST) as wrapped,
    ):
        wrapped.settimeout(WAIT)
        with pytest.raises(PinMismatchError):
            wrapped.connect(impostor.address)
        with pytest.raises(ValueError, match="already"):
            wrapped.connect(theirs.address)
        with pytest.raises(PinMismatchError):
            wrapped.send(SECRET)
        assert impostor.report().got_nothing()


def test_a_session_given_before_connect_is_resumed(
    theirs: Impostor, authority: Authority, pins: PinSet
) -> None:
    """As an argument of the wrap or assigned to the socket that waits."""
    context = pin_context(client(authority), pins)
    with context.wrap_socket(
        socket.create_connection(theirs.address, WAIT), server_hostname=HOST
    ) as wrapped:
        assert wrapped.recv(64) == BANNER
        session = wrapped.session
    for given in (True, False):
        with context.wrap_socket(
            socket.socket(), server_hostname=HOST, session=session if given else None
        ) as wrapped:
            wrapped.settimeout(WAIT)
            assert wrapped.session_reused is None
            if not given:
                wrapped.session = session
            wrapped.connect(theirs.address)
            assert wrapped.session_reused
            assert wrapped.recv(64) == BANNER


# --- the short ways -------------------------------------------------------------------------------


@pytest.mark.usefixtures("default_store")
def test_create_connection_needs_an_address_and_pins_alone(theirs: Impostor, pins: PinSet) -> None:
    """The trust store is the machine's, the timeout is kept."""
    with create_connection(theirs.address, pins, timeout=WAIT, server_hostname=HOST) as connection:
        connection.sendall(SECRET)
        assert connection.recv(64) == BANNER
        assert connection.gettimeout() == WAIT
        assert connection.pin_verdict is not None
    assert theirs.report().application == SECRET


@pytest.mark.usefixtures("default_store")
def test_create_connection_verifies_the_host_of_the_address(authority: Authority) -> None:
    """Without server_hostname the address is the name: here an IP address."""
    credential = authority.issue("127.0.0.1")
    with serving(server(credential)) as peer:
        with create_connection(peer.address, PinSet(credential.pin, None)) as connection:
            assert connection.server_hostname == "127.0.0.1"
            assert connection.gettimeout() == socket.getdefaulttimeout()
        with create_connection(
            peer.address,
            PinSet(credential.pin, None),
            timeout=None,
            source_address=("127.0.0.1", 0),
        ) as connection:
            assert connection.gettimeout() is None


@pytest.mark.usefixtures("default_store")
def test_the_short_ways_keep_their_contexts(
    theirs: Impostor,
    pins: PinSet,
    good: Credential,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The trust store is loaded for the first connection with these pins, and for no other."""
    loaded = []
    real = ssl.create_default_context

    def counting(*arguments: Any, **named: Any) -> ssl.SSLContext:
        loaded.append(arguments)
        return real(*arguments, **named)

    monkeypatch.setattr(ssl, "create_default_context", counting)
    contexts = set()
    for _ in range(3):
        with create_connection(theirs.address, pins, server_hostname=HOST) as connection:
            contexts.add(connection.context)
        with wrap_socket(
            socket.create_connection(theirs.address, WAIT),
            PinSet(str(good.pin), None),  # equal, though not the same
            server_hostname=HOST,
        ) as connection:
            contexts.add(connection.context)
    assert len(contexts) == 1
    assert len(loaded) == 1
    with create_connection(
        theirs.address, PinSet([good.pin, OTHER_PIN]), server_hostname=HOST
    ) as connection:
        assert connection.context not in contexts
    assert len(loaded) == 2


@pytest.mark.usefixtures("default_store")
def test_the_contexts_that_are_kept_are_few() -> None:
    """Whoever makes pins without end does not fill the memory with contexts."""
    for number in range(40):
        _context._kept_context(PinSet(Pin("spki", bytes([number]) * 32), None))
    assert _context._kept_context.cache_info().currsize <= 32


@pytest.mark.usefixtures("default_store")
def test_a_kept_context_that_was_changed_does_not_serve_others(
    theirs: Impostor, pins: PinSet
) -> None:
    """What somebody does to the context of his connection must not weaken the next one."""
    with create_connection(theirs.address, pins, server_hostname=HOST) as connection:
        assert isinstance(connection.context, PinnedContext)
        connection.context.pins = PinSet(OTHER_PIN, None)
    with create_connection(theirs.address, pins, server_hostname=HOST) as connection:
        assert isinstance(connection.context, PinnedContext)
        assert connection.context.pins == pins
        connection.context.check_hostname = False
        connection.context.verify_mode = ssl.CERT_NONE
    with create_connection(theirs.address, pins, server_hostname=HOST) as connection:
        assert connection.context.verify_mode == ssl.CERT_REQUIRED
        assert connection.context.check_hostname
        connection.context.set_ciphers("ECDHE+AESGCM")
        changed = connection.context.get_ciphers()
    with create_connection(theirs.address, pins, server_hostname=HOST) as connection:
        assert connection.context.get_ciphers() != changed
        connection.context.sslsocket_class = ssl.SSLSocket
    with create_connection(theirs.address, pins, server_hostname=HOST) as connection:
        assert isinstance(connection, PinnedSocket)


@pytest.mark.parametrize("name", ["recvfrom", "recvfrom_into", "sendto"])
def test_datagram_calls_before_connect_raise_what_ssl_raises(
    authority: Authority, pins: PinSet, name: str
) -> None:
    """An OSError before, and a ValueError afterwards."""
    arguments = {
        "recvfrom": (1,),
        "recvfrom_into": (bytearray(1), 1),
        "sendto": (b"x", ("127.0.0.1", 9)),
    }
    for context in (client(authority), pin_context(client(authority), pins)):
        with (
            context.wrap_socket(socket.socket(), server_hostname=HOST) as wrapped,
            pytest.raises(OSError),  # noqa: PT011 - its number is not the same everywhere
        ):
            getattr(wrapped, name)(*arguments[name])


def test_a_client_that_asks_for_post_handshake_authentication_hears_what_ssl_says(
    authority: Authority, good: Credential, pins: PinSet
) -> None:
    """It is not a server."""
    with Wire(pin_context(client(authority), pins), server(good)) as wire:
        wire.do(wire.near.do_handshake)
        with pytest.raises(ssl.SSLError, match="not server"):
            wire.near.verify_client_post_handshake()


@pytest.mark.parametrize("address", ["server.example:443", "server.example", ("host",), None, 443])
def test_an_address_that_is_none_is_named(pins: PinSet, address: Any) -> None:
    """Before anything is connected."""
    with pytest.raises(TypeError, match=r"\(host, port\), not "):
        create_connection(address, pins)


@pytest.mark.parametrize("sock", [None, "socket", 5])
def test_what_is_not_a_socket_is_named(pins: PinSet, sock: Any) -> None:
    """By its type."""
    with pytest.raises(TypeError, match=f"connected socket, not {type(sock).__name__}"):
        wrap_socket(sock, pins, server_hostname=HOST, context=PinnedContext(pins=pins))


def test_a_callback_that_cannot_be_called_is_refused_when_it_is_set(pins: PinSet) -> None:
    """And not in the middle of a handshake."""
    context = PinnedContext(pins=pins)
    with pytest.raises(TypeError, match="int is not callable"):
        context.on_verdict = 5  # type: ignore[assignment]
    assert context.on_verdict is None


def test_the_short_ways_take_a_context(
    theirs: Impostor, authority: Authority, pins: PinSet
) -> None:
    """A plain one is pinned in place; a pinned one must have these pins."""
    context = client(authority)
    for _ in range(2):
        with wrap_socket(
            socket.create_connection(theirs.address, WAIT),
            pins,
            server_hostname=HOST,
            context=context,
        ) as connection:
            assert connection.context is context
            assert type(context) is PinnedContext
        with create_connection(
            theirs.address, pins, server_hostname=HOST, context=context
        ) as connection:
            assert connection.context is context


def test_a_context_with_other_pins_is_refused(
    theirs: Impostor, authority: Authority, pins: PinSet
) -> None:
    """Which of the two would hold is not for a reader to guess."""
    context = pin_context(client(authority), PinSet(OTHER_PIN, None))
    with pytest.raises(InvalidPolicyError, match="other pins"):
        create_connection(theirs.address, pins, context=context)
    with (
        socket.create_connection(theirs.address, WAIT) as sock,
        pytest.raises(InvalidPolicyError, match="other pins"),
    ):
        wrap_socket(sock, pins, server_hostname=HOST, context=context)


def test_the_short_ways_take_no_context_of_another_library(theirs: Impostor, pins: PinSet) -> None:
    """It could go around the check, so it is refused by the name of its class."""

    class Foreign(ssl.SSLContext):
        pass

    foreign = Foreign(ssl.PROTOCOL_TLS_CLIENT)
    for wrong in (foreign, "context", ssl):
        with pytest.raises(TypeError, match=r"takes an ssl\.SSLContext"):
            create_connection(theirs.address, pins, context=wrong)  # type: ignore[arg-type]
        with (
            socket.create_connection(theirs.address, WAIT) as sock,
            pytest.raises(TypeError, match=r"takes an ssl\.SSLContext"),
        ):
            wrap_socket(sock, pins, server_hostname=HOST, context=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [None, "", [], "sha256/AAAA", "sha1/AAAA", 5, b"x" * 32])
def test_wrong_pins_are_refused_before_there_is_any_network(
    wrong: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake in the pins does not wait for a server to be reached."""

    def connects(*_: object, **__: object) -> None:
        raise AssertionError("connected")

    monkeypatch.setattr(socket, "create_connection", connects)
    with pytest.raises(InvalidPinError):
        create_connection((HOST, 443), wrong)


# --- bad input ------------------------------------------------------------------------------------


def test_a_server_hostname_that_is_needed_is_asked_for(
    theirs: Impostor, authority: Authority, pins: PinSet
) -> None:
    """Where names are verified there must be one."""
    context = pin_context(client(authority), pins)
    with (
        socket.create_connection(theirs.address, WAIT) as sock,
        pytest.raises(ValueError, match="server_hostname"),
    ):
        context.wrap_socket(sock)
    with (
        socket.create_connection(theirs.address, WAIT) as sock,
        pytest.raises(TypeError, match="server_hostname"),
    ):
        wrap_socket(sock, pins, context=context)  # type: ignore[call-arg]  # what is tested
    with (
        socket.create_connection(theirs.address, WAIT) as sock,
        pytest.raises(ValueError, match="server_hostname"),
    ):
        context.wrap_socket(sock, server_hostname="")


def test_a_bio_without_a_server_hostname_stands_on_its_pin_alone(
    authority: Authority, good: Credential, bad: Credential
) -> None:
    """ssl asks for no name there and verifies none, so a lenient set opens nothing."""
    context = pin_context(client(authority), PinSet(good.pin, None, report_only=True))
    for credential, allowed in ((good, True), (bad, False)):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        near = context.wrap_bio(incoming, outgoing)
        far = server(credential).wrap_bio(outgoing, incoming, server_side=True)
        with pytest.raises(ssl.SSLWantReadError):
            near.do_handshake()
        with pytest.raises(ssl.SSLWantReadError):
            far.do_handshake()
        if allowed:
            near.write(SECRET)
            far.do_handshake()
            assert far.read(64) == SECRET
        else:
            with pytest.raises(PinMismatchError, match="report_only did not apply"):
                near.write(SECRET)
            with pytest.raises(ssl.SSLWantReadError):
                far.do_handshake()


def test_a_closed_socket_is_refused(pins: PinSet) -> None:
    """With the error of a closed descriptor, and in words."""
    sock = socket.socket()
    sock.close()
    with pytest.raises(OSError, match="closed") as caught:
        PinnedContext(pins=pins).wrap_socket(sock, server_hostname=HOST)
    assert caught.value.errno == 9


def test_a_datagram_socket_is_refused(pins: PinSet) -> None:
    """TLS runs over streams; nothing of a datagram socket is pinned in silence."""
    context = PinnedContext(pins=pins)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        with pytest.raises((NotImplementedError, ValueError), match="stream"):
            context.wrap_socket(sock, server_hostname=HOST)
        with pytest.raises((NotImplementedError, ValueError), match="stream"):
            wrap_socket(sock, pins, server_hostname=HOST, context=context)


@pytest.mark.parametrize("pinned_first", [True, False], ids=["pinned", "plain"])
def test_a_socket_that_speaks_tls_already_is_refused(
    theirs: Impostor, authority: Authority, pins: PinSet, pinned_first: bool
) -> None:
    """TLS within TLS would be over the bytes of the outer one, which ssl does not do."""
    first = client(authority)
    if pinned_first:
        pin_context(first, pins)
    with first.wrap_socket(
        socket.create_connection(theirs.address, WAIT), server_hostname=HOST
    ) as wrapped:
        with pytest.raises(ValueError, match="speaks TLS already"):
            PinnedContext(pins=pins).wrap_socket(wrapped, server_hostname=HOST)
        with pytest.raises(ValueError, match="speaks TLS already"):
            wrap_socket(wrapped, pins, server_hostname=HOST, context=PinnedContext(pins=pins))
        wrapped.sendall(SECRET)  # still good
        assert wrapped.recv(64) == BANNER
    assert theirs.report().application == SECRET


def test_an_unconnected_socket_that_was_wrapped_is_refused_a_second_time(pins: PinSet) -> None:
    """Wrapped once it waits for connect(); a second wrap would drop the first one's pins."""
    context = PinnedContext(pins=pins)
    with context.wrap_socket(socket.socket(), server_hostname=HOST) as wrapped:
        with pytest.raises(ValueError, match="speaks TLS already"):
            context.wrap_socket(wrapped, server_hostname=HOST)
        with pytest.raises(OSError, match="before it was connected"):
            wrapped.send(SECRET)


def test_a_handshake_at_once_on_a_non_blocking_socket_is_refused(
    theirs: Impostor, authority: Authority, pins: PinSet
) -> None:
    """As ssl does."""
    with socket.create_connection(theirs.address, WAIT) as sock:
        sock.setblocking(False)
        with pytest.raises(ValueError, match="non-blocking"):
            pin_context(client(authority), pins).wrap_socket(sock, server_hostname=HOST)


def test_the_chain_without_verification_is_refused_at_the_wrap(authority: Authority) -> None:
    """And the message names both ways out."""
    context = pin_context(client(), PinSet(authority.pin, None, scope="chain"))
    for mode in (ssl.CERT_NONE, ssl.CERT_OPTIONAL):
        context.verify_mode = mode
        with pytest.raises(InvalidPolicyError, match=r'CERT_REQUIRED.*scope="leaf"'):
            context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=HOST)


def test_a_python_whose_ssl_goes_another_way_is_refused(
    pins: PinSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If ssl did not go through the gate, nothing would be checked: that must be an error."""
    for name, original in (
        ("_wrap_socket", ssl._ssl._SSLContext._wrap_socket),  # type: ignore[attr-defined]
        ("_wrap_bio", ssl._ssl._SSLContext._wrap_bio),  # type: ignore[attr-defined]
    ):
        _context._prove_once.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr(PinnedContext, name, original)
            with pytest.raises(Exception, match="cannot guard the ssl module of this Python"):
                PinnedContext(pins=pins)
            _context._prove_once.cache_clear()
    PinnedContext(pins=pins)
