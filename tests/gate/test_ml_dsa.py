"""Peers that sign with ML-DSA-65 (FIPS 204), for whom the gate is the same.

A key of theirs takes 1,952 bytes and a signature 3,309, so that a handshake's flights do not fit
where those of other peers do.
"""

from __future__ import annotations

import ssl
from typing import Literal

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from support.contexts import TLS_1_3
from support.impostor import BANNER, HOST, SECRET
from support.wire import Wire

from pinsock import PinMismatchError, _throwaway
from pinsock._throwaway import Authority

from .meetings import People, meet

pytestmark = pytest.mark.skipif(
    ssl.OPENSSL_VERSION_INFO < (3, 5),
    reason=f"{ssl.OPENSSL_VERSION} knows no ML-DSA, which came with 3.5",
)

#: id-ml-dsa-65 (RFC 9881, section 2), in DER.
ML_DSA_65 = bytes.fromhex("0609608648016503040312")

over = pytest.mark.parametrize("over", ["socket", "bio"])
side = pytest.mark.parametrize("side", ["client", "server"])
Over = Literal["socket", "bio"]


@pytest.fixture(scope="module")
def people() -> People:
    """An authority, a pinned peer and an impostor, with keys of this kind alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_throwaway, "ec_key", MLDSA65PrivateKey.generate)
        patch.setattr(_throwaway, "_hash_for", lambda _: None)
        authority = Authority("authority of tomorrow")
        good, bad = authority.issue(HOST), authority.issue(HOST)
    for der in (authority.credential.der, good.der, bad.der):
        assert der.count(ML_DSA_65) == 3  # the key's, and the signature's twice
    return People(authority, good, bad, bad)


@side
@over
def test_the_pinned_peer_is_served(people: People, side: str, over: Over) -> None:
    """With the right key the data goes both ways, and both ends saw each other's certificate."""
    meeting = meet(people, side, "right key", TLS_1_3, pinned=True)
    with Wire(meeting.ours, meeting.theirs, over=over, server_side=side == "server") as wire:
        wire.do(lambda: wire.near.write(SECRET))
        assert wire.do(lambda: wire.near.read(len(BANNER))) == BANNER
        assert wire.near.getpeercert(True) == people.good.der
        assert wire.finish().application == SECRET
        assert wire.report.error is None


@side
@over
def test_an_impostor_gets_nothing(people: People, side: str, over: Over) -> None:
    """Its certificate is as good, its key is another; a client's certificate stays here too."""
    meeting = meet(people, side, "wrong leaf", TLS_1_3, pinned=True)
    if side == "client":
        people.good.load_into(meeting.ours)
        meeting.theirs.verify_mode = ssl.CERT_REQUIRED
        meeting.theirs.load_verify_locations(cadata=people.authority.pem)
    with Wire(meeting.ours, meeting.theirs, over=over, server_side=side == "server") as wire:
        for _ in range(2):
            with pytest.raises(PinMismatchError, match="sha256/"):
                wire.do(lambda: wire.near.write(SECRET))
        report = wire.finish()
        assert report.got_nothing()
        assert wire.is_dead()
        if side == "client":
            assert report.certificate is None
            assert not report.shaken


@side
@over
def test_a_plain_context_tells_the_impostor(people: People, side: str, over: Over) -> None:
    """Nothing but the pins stands between the two."""
    meeting = meet(people, side, "wrong leaf", TLS_1_3, pinned=False)
    with Wire(meeting.ours, meeting.theirs, over=over, server_side=side == "server") as wire:
        wire.do(lambda: wire.near.write(SECRET))
        assert wire.finish().application == SECRET
