"""What an impostor learns of a client that has a certificate: its ClientHello, and nothing else.

Each row is one way to connect, one trouble and one version of TLS.  The impostor asks for a
certificate and writes down what it gets.  The same table without the early verdict shows that it
would have got something.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from support.contexts import TLS_1_2
from support.impostor import BANNER, SECRET, serving

from pinsock import PinMismatchError, PinnedContext
from pinsock._throwaway import Authority, Credential

from .ways import OBJECTS, WAYS
from .witness import SCENES, Trouble, Witness, hellos, words

if TYPE_CHECKING:
    from cryptography import x509

MakeWitness = Callable[[Credential, Trouble, ssl.TLSVersion], Witness]


@pytest.fixture
def witness(authority: Authority, ballast: tuple[x509.Certificate, ...]) -> MakeWitness:
    """Make a server that asks for a certificate."""

    def make(credential: Credential, trouble: Trouble, version: ssl.TLSVersion) -> Witness:
        return Witness(credential, authority, version, trouble, ballast)

    return make


def rows(exists: Callable[[str, Trouble, ssl.TLSVersion], bool]) -> list[Any]:
    return [
        pytest.param(way, trouble, version, id=f"{way}-{trouble}-{version.name}")
        for way in WAYS
        for trouble, version in SCENES
        if exists(way, trouble, version)
    ]


def always(_way: str, _trouble: Trouble, _version: ssl.TLSVersion) -> bool:
    return True


def leaks(way: str, trouble: Trouble, version: ssl.TLSVersion) -> bool:
    """Whether the client's last flight is gone when the handshake is done: over BIOs it is still
    held back then in TLS 1.3, and few programs send what is in them after an error."""
    if way not in OBJECTS:
        return True
    return version is TLS_1_2 and (trouble != "alert at once" or way == "MemoryBIO")


def succeeds(_way: str, trouble: Trouble, _version: ssl.TLSVersion) -> bool:
    return trouble != "alert at once"


@pytest.mark.parametrize(("way", "trouble", "version"), rows(always))
def test_an_impostor_hears_the_hello_and_nothing_else(
    *,
    ours: PinnedContext,
    bad: Credential,
    witness: MakeWitness,
    way: str,
    trouble: Trouble,
    version: ssl.TLSVersion,
) -> None:
    """Not a byte follows what is said before a server shows its certificate."""
    impostor = witness(bad, trouble, version)
    with serving(impostor) as peer:
        with pytest.raises(PinMismatchError):
            WAYS[way](ours, peer.address)
        report = peer.report()
    assert words(report.raw) == hellos(trouble, version)
    assert set(impostor.messages) == {"CLIENT_HELLO"}
    assert report.certificate is None
    assert not report.application
    assert report.ended


@pytest.mark.parametrize(("way", "trouble", "version"), rows(leaks))
def test_without_the_early_verdict_the_impostor_has_the_certificate(
    *,
    ours: PinnedContext,
    bad: Credential,
    me: Credential,
    witness: MakeWitness,
    way: str,
    trouble: Trouble,
    version: ssl.TLSVersion,
) -> None:
    """The same impostors, and a client that is refused only once its last flight is gone."""
    ours.early_verdict = "off"
    impostor = witness(bad, trouble, version)
    with serving(impostor) as peer:
        with pytest.raises(ssl.SSLError):
            WAYS[way](ours, peer.address)
        report = peer.report()
    assert report.certificate == me.der
    assert {"CERTIFICATE", "CERTIFICATE_VERIFY", "FINISHED"} <= set(impostor.messages)
    assert words(report.raw) != hellos(trouble, version)
    assert not report.application  # the later verdict holds all the same


@pytest.mark.parametrize(("way", "trouble", "version"), rows(succeeds))
def test_the_pinned_server_gets_the_certificate_and_the_secret(
    *,
    ours: PinnedContext,
    good: Credential,
    me: Credential,
    witness: MakeWitness,
    way: str,
    trouble: Trouble,
    version: ssl.TLSVersion,
) -> None:
    """With the right key all is as before; and the server spoke first."""
    with serving(witness(good, trouble, version)) as peer:
        came = WAYS[way](ours, peer.address)
        report = peer.report()
    assert came == BANNER
    assert report.certificate == me.der
    assert report.application == SECRET
