"""The early look can refuse, and nothing else.

What it sees is the leaf that somebody sent, before the proof that it is theirs.  So it must never
be what opens the gate, and it must refuse nobody whom the verdict would not refuse.
"""

from __future__ import annotations

import base64
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from support.contexts import TLS_1_2, TLS_1_3, VERSIONS
from support.impostor import HOST, SECRET
from support.wire import Wire

from pinsock import (
    Outcome,
    PinMismatchError,
    PinnedContext,
    PinPolicy,
    PinSet,
    PinVerificationError,
    Verdict,
    _gate,
)
from pinsock._early import leaf_of_message
from pinsock._throwaway import Authority, Credential, rsa_key

from .witness import Witness, words

Over = Literal["bio", "socket"]

each_over = pytest.mark.parametrize("over", ["bio", "socket"])
each_version = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)


# --- a replayed leaf ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Replayed(Credential):
    """A certificate, with the key of somebody else."""

    @property
    def key_pem(self) -> bytes:
        """A key file whose public half is that of the certificate.

        OpenSSL compares the certificate with that half alone, and computes with the other.
        """
        der = self.key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        own, shown = public_half(self.key), public_half(self.certificate.public_key())
        assert der.count(own) == 1
        assert len(own) == len(shown)
        body = base64.encodebytes(der.replace(own, shown))
        return b"-----BEGIN PRIVATE KEY-----\n" + body + b"-----END PRIVATE KEY-----\n"


def public_half(key: Any) -> bytes:
    """As it stands in a private key: the point on the curve, or the modulus."""
    public = key if hasattr(key, "verify") else key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        return public.public_numbers().n.to_bytes(public.key_size // 8, "big")
    return public.public_bytes(  # type: ignore[no-any-return]
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The leaves that were looked at early."""
    leaves: list[bytes] = []
    see_leaf = _gate.Gate.see_leaf

    def note(gate: _gate.Gate, leaf: bytes, **options: bool) -> None:
        leaves.append(leaf)
        see_leaf(gate, leaf, **options)

    monkeypatch.setattr(_gate.Gate, "see_leaf", note)
    return leaves


@each_over
@each_version
def test_an_impostor_that_replays_the_pinned_leaf_gets_nothing(
    *,
    ours: PinnedContext,
    authority: Authority,
    good: Credential,
    bad: Credential,
    seen: list[bytes],
    over: Over,
    version: ssl.TLSVersion,
) -> None:
    """The look is content, the proof of the key is not there, and TLS itself ends it."""
    impostor = Witness(Replayed(good.certificate, bad.key), authority, version)
    with Wire(ours, impostor.context, over=over) as wire:
        with pytest.raises(ssl.SSLError) as caught:
            wire.do(lambda: wire.near.write(SECRET))
        report = wire.finish()
        assert wire.near.pin_verdict is None
        with pytest.raises((ssl.SSLError, ConnectionError)):
            wire.near.write(SECRET)
    assert not isinstance(caught.value, PinVerificationError)
    assert over == "bio" or seen == [good.der]  # over BIOs OpenSSL may have ended it before
    assert words(report.raw) == ["ClientHello", "Alert"]
    assert set(impostor.messages) == {"CLIENT_HELLO"}
    assert report.certificate is None
    assert report.got_nothing()


@each_over
def test_the_look_alone_protects_nothing_where_the_proof_comes_last(
    *,
    ours: PinnedContext,
    authority: Authority,
    me: Credential,
    seen: list[bytes],
    over: Over,
) -> None:
    """Ciphers that have to be asked for (RSA key exchange): the server proves its key by its
    Finished, after the client's certificate; the impostor gets that, and no application byte."""
    pinned = authority.issue(HOST, key=rsa_key())
    stolen = Replayed(pinned.certificate, authority.issue(HOST, key=rsa_key()).key)
    impostor = Witness(stolen, authority, TLS_1_2)
    ours.pins = PinSet(pinned.pin, None)
    for context in (ours, impostor.context):
        context.set_ciphers("AES128-GCM-SHA256")
    with Wire(ours, impostor.context, over=over) as wire:
        with pytest.raises((ssl.SSLError, AssertionError)):
            wire.do(lambda: wire.near.write(SECRET))
        report = wire.finish()
        assert wire.near.pin_verdict is None
    assert seen == [pinned.der]
    assert me.der in report.raw
    assert isinstance(report.error, ssl.SSLError)
    assert report.got_nothing()


# --- the look and the verdict ---------------------------------------------------------------------


@each_over
@each_version
def test_a_leaf_that_pleased_at_first_is_judged_again(
    *,
    ours: PinnedContext,
    authority: Authority,
    good: Credential,
    monkeypatch: pytest.MonkeyPatch,
    over: Over,
    version: ssl.TLSVersion,
) -> None:
    """The verdict after the handshake is alone in opening the gate: here it says no."""
    judged: list[bool] = []
    judge = _gate.judge

    def judge_and_change_its_mind(*arguments: Any) -> Verdict:
        judged.append(True)
        verdict = judge(*arguments)
        if len(judged) == looks + 1:
            return verdict._replace(outcome=Outcome.MISMATCH, allowed=False, pin=None)
        return verdict

    monkeypatch.setattr(_gate, "judge", judge_and_change_its_mind)
    # Over BIOs, in TLS 1.3, the handshake is done before anybody had to wait.
    looks = 0 if (over, version) == ("bio", TLS_1_3) else 1
    with Wire(ours, Witness(good, authority, version).context, over=over) as wire:
        with pytest.raises(PinMismatchError):
            wire.do(lambda: wire.near.write(SECRET))
        assert wire.finish().got_nothing()
    assert len(judged) == looks + 1


#: By name: what is pinned, and whose certificate the server shows.
Rule = Callable[["Cast"], Any]
RULES: dict[str, tuple[Rule, str]] = {
    "the pinned key": (lambda cast: PinSet(cast.good.pin, None), "good"),
    "a pinned certificate": (lambda cast: PinSet(cast.whole(cast.good), None), "good"),
    "another certificate": (lambda cast: PinSet(cast.whole(cast.good), None), "bad"),
    "the backup": (lambda cast: PinSet(cast.bad.pin, cast.good.pin), "good"),
    "the wrong key": (lambda cast: PinSet(cast.good.pin, None), "bad"),
    "an intermediate's pin": (lambda cast: PinSet(cast.authority.pin, None), "good"),
    "the wrong key, reported only": (
        lambda cast: PinSet(cast.good.pin, None, report_only=True),
        "bad",
    ),
    "expired": (lambda cast: PinSet(cast.good.pin, None, expires="2020-01-01"), "good"),
    "expired, then unpinned": (
        lambda cast: PinSet(cast.good.pin, None, expires="2020-01-01", on_expiry="unpinned"),
        "bad",
    ),
    "a listed host": (lambda cast: PinPolicy({HOST: PinSet(cast.good.pin, None)}), "good"),
    "a listed host, the wrong key": (
        lambda cast: PinPolicy({HOST: PinSet(cast.good.pin, None)}),
        "bad",
    ),
    "an unlisted host": (
        lambda cast: PinPolicy({"other.example": PinSet(cast.good.pin, None)}),
        "good",
    ),
    "an unlisted host, allowed": (
        lambda cast: PinPolicy({"other.example": PinSet(cast.good.pin, None)}, unlisted="allow"),
        "bad",
    ),
    "the chain's pin": (
        lambda cast: PinSet(cast.authority.pin, None, scope="chain"),
        "good",
    ),
    "an approved interceptor": (
        lambda cast: PinPolicy(
            {HOST: PinSet(cast.good.pin, None)},
            interception=cast.authority.pin,
            interception_with_client_certificate=True,
        ),
        "bad",
    ),
}


@dataclass(frozen=True)
class Cast:
    """Who is in the rules."""

    authority: Authority
    good: Credential
    bad: Credential

    @staticmethod
    def whole(credential: Credential) -> str:
        from pinsock import Pin

        return str(Pin.from_certificate(credential.der, kind="certificate"))


@pytest.fixture
def cast(authority: Authority, good: Credential, bad: Credential) -> Cast:
    return Cast(authority, good, bad)


@each_over
@each_version
@pytest.mark.parametrize("verified", [True, False], ids=["verified", "CERT_NONE"])
@pytest.mark.parametrize("rule", RULES)
def test_the_look_refuses_those_whom_the_verdict_refuses_and_nobody_else(
    *,
    ours: PinnedContext,
    cast: Cast,
    over: Over,
    version: ssl.TLSVersion,
    verified: bool,
    rule: str,
) -> None:
    """With it and without it the same is found, said once, and let in or not."""
    if (rule, verified) == ("the chain's pin", False):
        return  # which is refused when it is wrapped
    make, shown = RULES[rule]
    ours.pins = make(cast)
    if not verified:
        ours.check_hostname = False
        ours.verify_mode = ssl.CERT_NONE
    ends = []
    for early in ("auto", "off"):
        ours.early_verdict = early
        said: list[tuple[Outcome, bool]] = []
        ours.on_verdict = lambda verdict, said=said: said.append((verdict.outcome, verdict.allowed))
        peer = Witness(getattr(cast, shown), cast.authority, version)
        with Wire(ours, peer.context, over=over) as wire:
            try:
                wire.do(lambda wire=wire: wire.near.write(SECRET))  # type: ignore[misc]
            except PinMismatchError as error:
                ended = error.verify_message  # the chain is not verified at the early look
            else:
                ended = "let in"
            ends.append((ended, said, wire.finish().application))
    assert ends[0] == ends[1]
    ended, said, application = ends[0]
    assert len(said) == 1
    assert said[0][1] == (ended == "let in") == (application == SECRET)


@each_over
@each_version
def test_an_early_refusal_is_logged_once(
    ours: PinnedContext,
    authority: Authority,
    caplog: pytest.LogCaptureFixture,
    over: Over,
    version: ssl.TLSVersion,
) -> None:
    """However often the connection is tried afterwards."""
    unheard_of = authority.issue(HOST)  # what was logged a moment ago would be left out
    with (
        caplog.at_level(logging.WARNING, "pinsock"),
        Wire(ours, Witness(unheard_of, authority, version).context, over=over) as wire,
    ):
        with pytest.raises(PinMismatchError):
            wire.do(wire.near.do_handshake)
        with pytest.raises(PinMismatchError):
            wire.near.do_handshake()
    assert len(caplog.records) == 1


@each_over
@each_version
def test_a_chain_that_was_not_verified_is_not_called_verified(
    ours: PinnedContext, over: Over, version: ssl.TLSVersion
) -> None:
    """The look comes before verification: whoever reads the error must not trust its pins more
    than the stranger deserves who sent them."""
    stranger = Authority("a stranger")
    peer = Witness(stranger.issue(HOST), stranger, version)
    with (
        Wire(ours, peer.context, over=over) as wire,
        pytest.raises(ssl.SSLCertVerificationError) as caught,
    ):
        wire.do(wire.near.do_handshake)
    assert "verified chain" not in str(caught.value)


# --- the Certificate message ----------------------------------------------------------------------


@each_version
def test_what_is_looked_at_is_what_openssl_takes_for_the_leaf(
    *,
    ours: PinnedContext,
    authority: Authority,
    good: Credential,
    ballast: tuple[Any, ...],
    seen: list[bytes],
    version: ssl.TLSVersion,
) -> None:
    """Out of a message of its own OpenSSL, long chain and all."""
    peer = Witness(good, authority, version, "64 kB chain", ballast)
    with Wire(ours, peer.context, over="socket") as wire:
        wire.do(wire.near.do_handshake)
        assert seen == [wire.near.getpeercert(True)] == [good.der]


def message(version: int, *certificates: bytes) -> bytes:
    """A Certificate message: RFC 8446, section 4.4.2, or RFC 5246, section 7.4.2."""
    extensions = b"\0\0" if version == TLS_1_3 else b""
    entries = b"".join(
        len(certificate).to_bytes(3, "big") + certificate + extensions
        for certificate in certificates
    )
    body = (b"\0" if version == TLS_1_3 else b"") + len(entries).to_bytes(3, "big") + entries
    return b"\x0b" + len(body).to_bytes(3, "big") + body


@each_version
@pytest.mark.parametrize(
    ("certificates", "leaf"),
    [
        ([b"leaf"], b"leaf"),
        ([b"leaf", b"issuer"], b"leaf"),
        ([bytes(70_000)], bytes(70_000)),
        ([], None),
        ([b""], None),
        ([b"", b"issuer"], None),
    ],
    ids=["alone", "with a chain", "long", "no certificate", "empty", "empty, with a chain"],
)
def test_the_leaf_is_the_first_certificate_of_the_message(
    version: ssl.TLSVersion, certificates: list[bytes], leaf: bytes | None
) -> None:
    """Or there is none, and OpenSSL will refuse the message too."""
    assert leaf_of_message(message(version, *certificates), version) == leaf


@each_version
def test_a_message_that_is_cut_off_has_no_leaf(version: ssl.TLSVersion) -> None:
    """At whatever byte."""
    whole = message(version, b"leaf")
    end = whole.index(b"leaf") + len(b"leaf")
    assert [leaf_of_message(whole[:size], version) for size in range(end)] == [None] * end


@given(data=st.binary(max_size=64), version=st.sampled_from([int(version) for version in VERSIONS]))
def test_no_bytes_make_it_raise(data: bytes, version: int) -> None:
    """What it finds is in the message, or it finds nothing."""
    leaf = leaf_of_message(data, version)
    assert leaf is None or leaf in data
