"""Every outcome, in real handshakes: what is found, whether it is allowed, and what the peer got.

The peers are all certified by an authority that the client trusts, so that pins alone make the
difference.  What is let through without a match is let through only with normal verification
underneath, and each way to be without it is tried on each of them.
"""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import pytest
from support.contexts import TLS_1_2, VERSIONS, client, server
from support.impostor import BANNER, HOST, SECRET, WAIT, over_tls, serving
from support.wire import Wire

from pinsock import (
    InvalidPolicyError,
    Outcome,
    PinMismatchError,
    PinnedContext,
    PinPolicy,
    PinSet,
    PinVerificationError,
    Verdict,
    create_default_context,
    pin_context,
)
from pinsock._throwaway import Authority, Credential

from .tools import Cast, a_pin, a_set, say_secret

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Over: TypeAlias = Literal["bio", "socket"]

LONG_AGO = "2020-01-01"
SOON = "2999-12-31"


@dataclass(frozen=True)
class Situation:
    """A policy, a server, and what is to come of their meeting."""

    policy: Callable[[Cast], PinPolicy]
    server: Callable[[Cast], Credential]
    outcome: Outcome
    allowed: bool


def listed(**settings: object) -> Callable[[Cast], PinPolicy]:
    return lambda cast: PinPolicy({HOST: cast.pins(**settings)})


def unlisted(word: Literal["refuse", "allow"]) -> Callable[[Cast], PinPolicy]:
    return lambda _: PinPolicy({"another.example": a_set()}, unlisted=word)


def approving(cast: Cast) -> PinPolicy:
    return PinPolicy({HOST: cast.pins()}, interception=cast.interceptor.pin)


def good(cast: Cast) -> Credential:
    return cast.good


def backup(cast: Cast) -> Credential:
    return cast.backup


def bad(cast: Cast) -> Credential:
    return cast.bad


def intercepted(cast: Cast) -> Credential:
    return cast.intercepted


MATCHES = {
    "matched": Situation(listed(expires=SOON), good, Outcome.MATCHED, True),
    "matched in the chain": Situation(
        lambda cast: PinPolicy({HOST: PinSet(cast.authority.pin, None, scope="chain")}),
        bad,
        Outcome.MATCHED,
        True,
    ),
    "backup matched": Situation(listed(), backup, Outcome.MATCHED_BACKUP, True),
    "matched, although all is lenient": Situation(
        lambda cast: PinPolicy(
            {HOST: cast.pins(report_only=True, expires=SOON, on_expiry="unpinned")},
            unlisted="allow",
            interception=cast.interceptor.pin,
        ),
        good,
        Outcome.MATCHED,
        True,
    ),
}
REFUSALS = {
    "mismatch": Situation(listed(), bad, Outcome.MISMATCH, False),
    "mismatch, not yet expired": Situation(
        listed(expires=SOON, on_expiry="unpinned"), bad, Outcome.MISMATCH, False
    ),
    "intercepted": Situation(listed(), intercepted, Outcome.MISMATCH, False),
    "mismatch, another interceptor": Situation(approving, bad, Outcome.MISMATCH, False),
    "expired": Situation(listed(expires=LONG_AGO), good, Outcome.EXPIRED, False),
    "expired, backup": Situation(listed(expires=LONG_AGO), backup, Outcome.EXPIRED, False),
    "expired, wrong key": Situation(listed(expires=LONG_AGO), bad, Outcome.EXPIRED, False),
    "expired, report-only": Situation(
        listed(expires=LONG_AGO, report_only=True), bad, Outcome.EXPIRED, False
    ),
    "unlisted": Situation(unlisted("refuse"), good, Outcome.UNLISTED, False),
}
#: Let through without a match, if and only if normal verification stands underneath.
LENIENT = {
    "approved interception": Situation(approving, intercepted, Outcome.APPROVED_INTERCEPTION, True),
    "mismatch, report-only": Situation(listed(report_only=True), bad, Outcome.MISMATCH, True),
    "expired, unpinned": Situation(
        listed(expires=LONG_AGO, on_expiry="unpinned"), good, Outcome.EXPIRED, True
    ),
    "expired, unpinned, wrong key": Situation(
        listed(expires=LONG_AGO, on_expiry="unpinned"), bad, Outcome.EXPIRED, True
    ),
    "unlisted, allowed": Situation(unlisted("allow"), good, Outcome.UNLISTED, True),
}
ALL = MATCHES | REFUSALS | LENIENT


def each(situations: dict[str, Situation]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("situation", situations.values(), ids=situations)


over_both = pytest.mark.parametrize("over", ["bio", "socket"])
with_both_versions = pytest.mark.parametrize("version", VERSIONS, ids=lambda v: v.name)


# --- what is found, and whether it is allowed -----------------------------------------------------


@with_both_versions
@over_both
@each(ALL)
def test_every_outcome_is_reached(
    cast: Cast, situation: Situation, over: Over, version: ssl.TLSVersion
) -> None:
    """Found and allowed are as the policy says; who is refused gets nothing, and says nothing."""
    ours = cast.pinned(situation.policy(cast), version=version)
    verdicts: list[Verdict] = []
    ours.on_verdict = verdicts.append
    theirs = server(situation.server(cast))
    before = time.time()
    with Wire(ours, theirs, over=over) as wire:
        error, report = say_secret(wire)
        [verdict] = verdicts
        assert wire.near.pin_verdict == verdict
        if situation.allowed:
            assert error is None
            assert report.application == SECRET
            assert wire.do(lambda: wire.near.read(64)) == BANNER
        else:
            assert isinstance(error, PinMismatchError)
            assert error.verdict == verdict
            assert report.got_nothing()
            assert wire.is_dead()
    assert verdict.outcome is situation.outcome
    assert verdict.allowed is situation.allowed
    assert verdict.host == HOST
    assert before <= verdict.time <= time.time()
    assert verdict.certificate == situation.server(cast).der


@with_both_versions
@each(ALL)
def test_every_outcome_is_reached_over_tcp(
    cast: Cast, situation: Situation, version: ssl.TLSVersion
) -> None:
    """The same with a server in a thread of its own, and a client that simply connects."""
    ours = cast.pinned(situation.policy(cast), version=version)
    with (
        serving(server(situation.server(cast))) as peer,
        socket.create_connection(peer.address, WAIT) as sock,
    ):
        if situation.allowed:
            with ours.wrap_socket(sock, server_hostname=HOST) as wrapped:
                wrapped.sendall(SECRET)
                assert wrapped.recv(64) == BANNER
                assert wrapped.pin_verdict is not None
                assert wrapped.pin_verdict.outcome is situation.outcome
            assert peer.report().application == SECRET
        else:
            with pytest.raises(PinMismatchError) as caught:
                ours.wrap_socket(sock, server_hostname=HOST)
            assert caught.value.verdict is not None
            assert caught.value.verdict.outcome is situation.outcome
            assert peer.report().got_nothing()


def test_a_verdict_says_which_pin_matched_and_where(cast: Cast) -> None:
    """The pin with its place and label if one matched, else the pins that were seen."""
    good, backup, bad = cast.good.pin, cast.backup.pin, cast.bad.pin
    root, proxy = cast.authority.pin, cast.interceptor.pin
    labels = {good: "2026 key", backup: "the safe"}
    rows = [
        (cast.pins(labels=labels), cast.good, (good, 0, "2026 key", ())),
        (cast.pins(labels=labels), cast.backup, (backup, 0, "the safe", ())),
        (cast.pins(labels=labels), cast.bad, (None, None, None, (bad,))),
        (cast.pins(), cast.good, (good, 0, None, ())),
        (
            PinSet(root, None, scope="chain", labels={root: "root"}),
            cast.bad,
            (root, 1, "root", ()),
        ),
        (a_set(scope="chain"), cast.bad, (None, None, None, (bad, root))),
        (cast.pins(labels=labels, expires=LONG_AGO), cast.good, (good, 0, "2026 key", ())),
        (cast.pins(labels=labels, expires=LONG_AGO), cast.bad, (None, None, None, (bad,))),
    ]
    for pins, shown, expected in rows:
        wire = Wire(cast.pinned(PinPolicy({HOST: pins})), server(shown))
        say_secret(wire)
        verdict = wire.near.pin_verdict
        found = verdict.pin, verdict.position, verdict.label, verdict.chain_pins
        assert found == expected
    wire = Wire(cast.pinned(approving(cast)), server(cast.intercepted))
    assert say_secret(wire)[0] is None
    verdict = wire.near.pin_verdict
    assert (verdict.pin, verdict.position) == (proxy, 1)
    assert verdict.chain_pins == (cast.intercepted.pin, proxy)


def test_an_interceptors_pin_may_have_a_label(cast: Cast) -> None:
    """As every pin in TOML, and it is in the verdict."""
    policy = PinPolicy.from_toml(
        f'[interception]\npins = [{{ pin = "{cast.interceptor.pin}", label = "proxy" }}]\n'
        + PinPolicy({HOST: cast.pins()}).to_toml().partition("\n")[2]
    )
    wire = Wire(cast.pinned(policy), server(cast.intercepted))
    assert say_secret(wire)[0] is None
    assert wire.near.pin_verdict.label == "proxy"
    assert PinPolicy.from_toml(policy.to_toml()) == policy


def test_the_error_says_which_of_the_three_it_is(cast: Cast) -> None:
    """A wrong key, a date that has passed and an unlisted host ask for different things."""
    told = {}
    for name in ("mismatch", "expired", "unlisted"):
        ours = cast.pinned(ALL[name].policy(cast))
        error, _ = say_secret(Wire(ours, server(ALL[name].server(cast))))
        told[name] = str(error)
    assert "none of the pinned" in told["mismatch"]
    assert f"expired on {LONG_AGO}" in told["expired"]
    assert "no pins for this host" in told["unlisted"]
    assert all(HOST in text for text in told.values())


# --- nothing opens without verification underneath ------------------------------------------------


def unverified(context: ssl.SSLContext) -> None:
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE


def optional(context: ssl.SSLContext) -> None:
    context.verify_mode = ssl.CERT_OPTIONAL


def unnamed(context: ssl.SSLContext) -> None:
    context.check_hostname = False


WITHOUT = {"CERT_NONE": unverified, "CERT_OPTIONAL": optional, "no check_hostname": unnamed}


@with_both_versions
@over_both
@pytest.mark.parametrize("without", WITHOUT.values(), ids=WITHOUT)
@each(LENIENT)
def test_nothing_opens_without_verification_underneath(
    cast: Cast,
    situation: Situation,
    without: Callable[[ssl.SSLContext], None],
    over: Over,
    version: ssl.TLSVersion,
) -> None:
    """The server is the same, and trusted; but the client did not ask whether it is."""
    ours = cast.pinned(situation.policy(cast), version=version)
    without(ours)
    with Wire(ours, server(situation.server(cast)), over=over) as wire:
        error, report = say_secret(wire)
        assert isinstance(error, PinMismatchError)
        assert error.verdict is not None
        assert not error.verdict.allowed
        assert report.got_nothing()
        assert wire.is_dead()


@pytest.mark.parametrize("without", WITHOUT.values(), ids=WITHOUT)
def test_a_match_opens_without_verification_underneath(
    cast: Cast, without: Callable[[ssl.SSLContext], None]
) -> None:
    """The key is proof enough; under CERT_NONE that is how a self-signed server is pinned."""
    shown = Authority(HOST).credential if without is unverified else cast.good
    ours = cast.pinned(PinPolicy({HOST: PinSet(shown.pin, None)}))
    without(ours)
    error, report = say_secret(Wire(ours, server(shown)))
    assert error is None
    assert report.application == SECRET


@over_both
@each(LENIENT)
def test_verification_counts_as_it_was_when_the_connection_was_wrapped(
    cast: Cast, situation: Situation, over: Over
) -> None:
    """Neither can it be said afterwards that verification is on, nor that it is off."""
    policy, theirs = situation.policy(cast), server(situation.server(cast))
    ours = cast.pinned(policy)
    unverified(ours)
    with Wire(ours, theirs, over=over) as wire:
        ours.verify_mode = ssl.CERT_REQUIRED
        ours.check_hostname = True
        error, report = say_secret(wire)
        assert isinstance(error, PinMismatchError)
        assert report.got_nothing()
    with Wire(ours, theirs, over=over) as wire:
        unverified(ours)
        assert say_secret(wire)[0] is None


def resume(ours: PinnedContext, theirs: ssl.SSLContext, over: Over) -> Wire:
    """A connection that resumes the session of one that was let through."""
    with Wire(ours, theirs, over=over) as first:
        assert say_secret(first)[0] is None
        assert first.do(lambda: first.near.read(64)) == BANNER  # the session's ticket came with it
        session = first.near.session
    return Wire(ours, theirs, over=over, session=session)


@with_both_versions
@over_both
@each(LENIENT)
def test_nothing_opens_on_a_resumed_session(
    cast: Cast, situation: Situation, over: Over, version: ssl.TLSVersion
) -> None:
    """The session may have been made when nothing was verified, and resuming verifies nothing."""
    ours = cast.pinned(situation.policy(cast), version=version)
    with resume(ours, server(situation.server(cast)), over) as wire:
        error, report = say_secret(wire)
        assert wire.near.session_reused
        assert isinstance(error, PinMismatchError)
        assert report.got_nothing()
        assert wire.is_dead()


@with_both_versions
@over_both
def test_a_match_opens_on_a_resumed_session(
    cast: Cast, over: Over, version: ssl.TLSVersion
) -> None:
    """The leaf is there and is checked again; an approved interceptor is no hindrance."""
    policy = PinPolicy({HOST: cast.pins()}, interception=cast.interceptor.pin)
    with resume(cast.pinned(policy, version=version), server(cast.good), over) as wire:
        assert say_secret(wire)[0] is None
        assert wire.near.session_reused


def test_an_unpinned_session_is_not_resumed_once_the_host_is_pinned(cast: Cast) -> None:
    """New pins judge the leaf of a session that was made before them."""
    ours = cast.pinned(unlisted("allow")(cast), version=TLS_1_2)
    theirs = server(cast.bad)
    wire = resume(ours, theirs, "bio")
    ours.pins = PinPolicy({HOST: cast.pins(report_only=True)})
    with Wire(ours, theirs, session=wire.near.session) as again:
        error, report = say_secret(again)
        assert again.near.session_reused
        assert isinstance(error, PinMismatchError)
        assert report.got_nothing()


NOT_VERIFIED: dict[str, Callable[[Cast], Credential]] = {
    "another host's": lambda cast: cast.authority.issue("another.example"),
    "expired": lambda cast: cast.authority.issue(HOST, days=-1),
    "another authority's": lambda _: Authority().issue(HOST),
    "an unknown interceptor's": lambda cast: Authority("company proxy", Authority()).issue(
        HOST, key=cast.intercepted.key
    ),
}


@over_both
@pytest.mark.parametrize("shown", NOT_VERIFIED.values(), ids=NOT_VERIFIED)
@each(LENIENT | {"matched": MATCHES["matched"]})
def test_normal_verification_refuses_as_ever(
    cast: Cast, situation: Situation, shown: Callable[[Cast], Credential], over: Over
) -> None:
    """Report-only and all the rest leave it to OpenSSL to say no, in its own words."""
    ours = cast.pinned(situation.policy(cast))
    with Wire(ours, server(shown(cast)), over=over) as wire:
        error, report = say_secret(wire)
    assert isinstance(error, ssl.SSLCertVerificationError)
    assert not isinstance(error, PinVerificationError)
    assert report.got_nothing()


# --- approved interception ------------------------------------------------------------------------


def refused_by(ours: PinnedContext, theirs: ssl.SSLContext) -> Outcome:
    error, report = say_secret(Wire(ours, theirs))
    assert isinstance(error, PinMismatchError)
    assert report.got_nothing()
    assert error.verdict is not None
    return error.verdict.outcome


def test_an_interceptors_pin_matches_no_leaf(cast: Cast) -> None:
    """It is the pin of an authority: a server that shows that very key is none."""
    policy = PinPolicy({HOST: cast.pins()}, interception=cast.bad.pin)
    assert refused_by(cast.pinned(policy), server(cast.bad)) is Outcome.MISMATCH


def test_an_interceptors_certificate_that_is_only_sent_along_is_nothing(cast: Cast) -> None:
    """Anybody can append it; what counts is the chain that was verified."""
    impostor = Credential(
        cast.bad.certificate, cast.bad.key, (cast.interceptor.credential.certificate,)
    )
    assert refused_by(cast.pinned(approving(cast)), server(impostor)) is Outcome.MISMATCH


def test_an_interceptor_may_be_an_intermediate(cast: Cast) -> None:
    """Any certificate above the leaf will do, in TLS 1.2 and 1.3."""
    proxy = Authority("site proxy", cast.interceptor)
    policy = PinPolicy({HOST: cast.pins()}, interception=[a_pin(1), proxy.pin])
    for version in VERSIONS:
        wire = Wire(cast.pinned(policy, version=version), server(proxy.issue(HOST)))
        assert say_secret(wire)[0] is None
        assert wire.near.pin_verdict.outcome is Outcome.APPROVED_INTERCEPTION
        assert wire.near.pin_verdict.position == 1


def test_an_interceptor_changes_nothing_for_an_unlisted_or_expired_host(cast: Cast) -> None:
    """Approval stands in for a match, not for a policy."""
    for sets in ({"another.example": a_set()}, {HOST: cast.pins(expires=LONG_AGO)}):
        policy = PinPolicy(sets, interception=cast.interceptor.pin)
        outcome = refused_by(cast.pinned(policy), server(cast.intercepted))
        assert outcome is (Outcome.EXPIRED if HOST in sets else Outcome.UNLISTED)


@over_both
@with_both_versions
def test_an_interceptor_gets_no_client_certificate(
    cast: Cast, over: Over, version: ssl.TLSVersion
) -> None:
    """A context that has one approves of nobody, unless the policy allows that by name."""
    theirs = server(cast.intercepted, version, clients=cast.authority)
    ours = cast.pinned(approving(cast), version=version)
    cast.good.load_into(ours)
    with Wire(ours, theirs, over=over) as wire:
        error, report = say_secret(wire)
        assert isinstance(error, PinMismatchError)
        assert report.got_nothing()
        assert report.certificate is None

    ours.pins = PinPolicy(
        {HOST: cast.pins()},
        interception=cast.interceptor.pin,
        interception_with_client_certificate=True,
    )
    with Wire(ours, theirs, over=over) as wire:
        error, report = say_secret(wire)
        assert error is None
        assert report.certificate == cast.good.der
        assert wire.near.pin_verdict.outcome is Outcome.APPROVED_INTERCEPTION


def test_an_interceptor_gets_no_certificate_by_another_context(cast: Cast) -> None:
    """One that is put in the place of the first, before the handshake, brings none with it."""
    theirs = server(cast.intercepted, clients=cast.authority)
    theirs.verify_mode = ssl.CERT_OPTIONAL
    other = client(cast.authority, credential=cast.good)
    other.load_verify_locations(cadata=cast.interceptor.pem)
    wire = Wire(cast.pinned(approving(cast)), theirs)
    try:
        wire.near.context = other
    except InvalidPolicyError:
        return
    _, report = say_secret(wire)
    assert report.certificate is None


def test_a_context_that_was_pinned_afterwards_may_have_a_certificate(cast: Cast) -> None:
    """ssl does not tell, so interception is not approved; create_default_context knows its own."""
    theirs = server(cast.intercepted)
    pem = cast.authority.pem + cast.interceptor.pem
    foreign = pin_context(ssl.create_default_context(cadata=pem), approving(cast))
    assert refused_by(foreign, theirs) is Outcome.MISMATCH
    own = create_default_context(approving(cast), cadata=pem)
    assert say_secret(Wire(own, theirs))[0] is None


# --- the early verdict, under a policy ------------------------------------------------------------


def test_the_early_verdict_cannot_be_required_where_the_leaf_does_not_decide(cast: Cast) -> None:
    """Under chain scope or with an approved interceptor: refused when it is wrapped, and why."""
    chain = PinSet(cast.authority.pin, None, scope="chain")
    for policy, why in (
        (PinPolicy({HOST: chain}), "chain"),
        (PinPolicy({"**.server.example": chain}), "chain"),
        (approving(cast), "interceptor"),
    ):
        ours = cast.pinned(policy)
        ours.early_verdict = "require"
        outgoing = ssl.MemoryBIO()
        with pytest.raises(InvalidPolicyError, match=why):
            ours.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=HOST)
        near, far = socket.socketpair()
        with near, far:
            with pytest.raises(InvalidPolicyError, match=why):
                ours.wrap_socket(near, server_hostname=HOST)
            far.settimeout(WAIT)
            assert far.recv(1) == b""
        assert not outgoing.pending
    ours.pins = PinPolicy({HOST: cast.pins(), "another.example": chain})
    assert say_secret(Wire(ours, server(cast.good)))[0] is None


@with_both_versions
@over_both
@each({"mismatch": ALL["mismatch"], "expired": ALL["expired"], "unlisted": ALL["unlisted"]})
def test_a_policy_refuses_early_as_well(
    cast: Cast, situation: Situation, over: Over, version: ssl.TLSVersion
) -> None:
    """A wrong key, an expired set and an unlisted host cost no client certificate either."""
    ours = cast.pinned(situation.policy(cast), version=version)
    cast.good.load_into(ours)
    ours.early_verdict = "require"
    theirs = server(situation.server(cast), version, clients=cast.authority)
    with Wire(ours, theirs, over=over) as wire:
        error, report = say_secret(wire)
        assert isinstance(error, PinMismatchError)
        assert report.got_nothing()
        assert report.certificate is None
        assert not report.shaken


# --- hosts ----------------------------------------------------------------------------------------


def handshake(ours: PinnedContext, theirs: ssl.SSLContext, host: str | bytes) -> Verdict:
    """With a name of our own."""
    with (
        serving(theirs) as peer,
        socket.create_connection(peer.address, WAIT) as sock,
        ours.wrap_socket(sock, server_hostname=host) as wrapped,
    ):
        assert wrapped.pin_verdict is not None
        return wrapped.pin_verdict


@pytest.mark.parametrize("host", ["Server.EXAMPLE", "SERVER.example", b"sErVer.Example"])
def test_the_case_of_a_host_does_not_matter_to_a_connection(cast: Cast, host: str | bytes) -> None:
    """Another spelling of a listed host has its pins, and is not an unlisted host."""
    ours = cast.pinned(PinPolicy({HOST: cast.pins()}, unlisted="allow"))
    assert handshake(ours, server(cast.good), host).outcome is Outcome.MATCHED
    with pytest.raises(PinMismatchError):
        handshake(ours, server(cast.bad), host)


@pytest.mark.parametrize("host", ["server.example.", "Server.EXAMPLE."])
def test_a_trailing_dot_unpins_nothing(cast: Cast, host: str) -> None:
    """Whatever normal verification makes of such a name, the pins hold."""
    ours = cast.pinned(PinPolicy({HOST: cast.pins()}, unlisted="allow"))
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(ours, server(cast.bad), host)
    unverified(ours)
    assert handshake(ours, server(cast.good), host).outcome is Outcome.MATCHED
    with pytest.raises(PinMismatchError):
        handshake(ours, server(cast.bad), host)


@pytest.mark.parametrize(
    ("pattern", "host"),
    [
        ("bücher.example", "BÜCHER.example"),
        ("xn--bcher-kva.example", "bücher.example"),
        ("*.bücher.example", "a.xn--bcher-kva.example"),
        ("**.bücher.example", "bücher\N{IDEOGRAPHIC FULL STOP}example"),
        ("127.1", "127.0.0.1"),
        ("[0::1]", "::1"),
    ],
)
def test_a_pattern_and_a_connection_may_spell_a_host_in_their_own_ways(
    cast: Cast, pattern: str, host: str
) -> None:
    """IDNA and addresses are compared, not letters, and normal verification agrees."""
    name = host if ":" in host or host[0] == "1" else host.encode("idna").decode().lower()
    shown = cast.authority.issue(name)
    policy = PinPolicy({pattern: PinSet(shown.pin, None)}, unlisted="allow")
    verdict = handshake(cast.pinned(policy), server(shown), host)
    assert verdict.outcome is Outcome.MATCHED
    assert verdict.host == name
    with pytest.raises(PinMismatchError):
        handshake(cast.pinned(policy), server(cast.authority.issue(name)), host)


def test_a_host_that_no_policy_could_list_is_refused_before_the_handshake(cast: Cast) -> None:
    """Not even unlisted="allow" lets a name through that is none."""
    ours = cast.pinned(PinPolicy({HOST: cast.pins()}, unlisted="allow"))
    for host in ("a..example", "a b.example", "1.2.3.256", "-1.2.3.4", "user@server.example"):
        outgoing = ssl.MemoryBIO()
        with pytest.raises((InvalidPolicyError, UnicodeError)):
            ours.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=host)
        assert not outgoing.pending


def test_a_policy_from_a_file_is_held_to_its_labels(cast: Cast, tmp_path: Path) -> None:
    """What a file calls a pin stands in the verdict of a connection."""
    path = tmp_path / "policy.toml"
    path.write_text(
        f"""
        [[pin]]
        host = "**.Server.Example"
        pins = [{{ pin = "{cast.good.pin}", label = "2026 key, in the HSM" }}]
        backup = [{{ pin = "{cast.backup.pin}", label = "2027 key" }}]
        [end]
        """,
        encoding="utf-8",
    )
    ours = cast.pinned(PinPolicy.from_file(path))
    assert handshake(ours, server(cast.good), HOST).label == "2026 key, in the HSM"
    assert handshake(ours, server(cast.backup), HOST).label == "2027 key"


def test_a_host_is_told_in_one_spelling(cast: Cast) -> None:
    """So that what is counted by host is counted once; ssl keeps the name that it was given."""
    said: list[Verdict] = []
    context = pin_context(client(cast.authority), cast.pins(), on_verdict=said.append)
    for name in (HOST, HOST.title(), HOST.upper()):
        with (
            serving(over_tls(server(cast.good))) as peer,
            socket.create_connection(peer.address, WAIT) as plain,
            context.wrap_socket(plain, server_hostname=name) as wrapped,
        ):
            assert wrapped.server_hostname == name
    assert [verdict.host for verdict in said] == [HOST] * 3
