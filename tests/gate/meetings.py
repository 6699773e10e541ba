"""Who meets whom: a context of ours, pinned or left plain, and a peer that is to be refused.

The plain one is what shows that the tests are worth something: the same peer, the same settings,
and the secret is gone.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from support.contexts import ANONYMOUS, TLS_1_2, TLS_1_3, VERSIONS, client, server
from support.impostor import WAIT, calling

from pinsock import InvalidPolicyError, PinSet, Verdict, pin_context

if TYPE_CHECKING:
    from pinsock import PinnedContext
    from pinsock._throwaway import Authority, Credential

__all__ = [
    "PEERS",
    "SERVED",
    "CallbackError",
    "Meeting",
    "People",
    "meet",
    "no_thanks",
    "serves_nobody",
]

#: TLS with a pre-shared key has no certificates (Python 3.13).
PSK = hasattr(ssl.SSLContext, "set_psk_client_callback")

#: Our side, the peer, and the version of TLS.  In TLS 1.3 a server cannot be anonymous.
PEERS = [
    (side, peer, version)
    for side in ("client", "server")
    for peer in ("wrong leaf", "wrong RSA leaf", "no certificate", "callback that raises")
    for version in VERSIONS
    if (side, peer, version) != ("client", "no certificate", TLS_1_3)
] + [("client", "pre-shared key", version) for version in VERSIONS if PSK]

#: Whom a plain context lets pass, and a pinned one too if the key is right.
SERVED = [
    *(row for row in PEERS if row[1] != "callback that raises"),
    *((side, "right key", version) for side in ("client", "server") for version in VERSIONS),
]


class CallbackError(Exception):
    """What the callback that raises raises."""


def no_thanks(verdict: Verdict) -> None:
    """A callback that raises."""
    raise CallbackError(verdict.outcome)


@dataclass(frozen=True)
class People:
    """Everybody's authority, the pinned peer and two impostors."""

    authority: Authority
    good: Credential
    bad: Credential
    bad_rsa: Credential

    def credential(self, peer: str) -> Credential | None:
        return {
            "wrong leaf": self.bad,
            "wrong RSA leaf": self.bad_rsa,
            "callback that raises": self.good,
            "right key": self.good,
        }.get(peer)


@dataclass(frozen=True)
class Meeting:
    ours: ssl.SSLContext
    theirs: ssl.SSLContext


def meet(people: People, side: str, peer: str, version: ssl.TLSVersion, *, pinned: bool) -> Meeting:
    credential = people.credential(peer)
    if side == "server":
        theirs = client(people.authority, version, credential=credential)
        ours = server(people.good, version, clients=people.authority)
        if peer == "no certificate" and not pinned:
            ours.verify_mode = ssl.CERT_NONE  # OpenSSL itself would refuse
    else:
        theirs = server(credential, version)
        ours = client(people.authority, version)
        if peer == "no certificate":
            theirs.set_ciphers(ANONYMOUS)
            ours.set_ciphers(ANONYMOUS)
        elif peer == "pre-shared key":
            _share_a_key(ours, theirs, version)
    if pinned:
        callback = no_thanks if peer == "callback that raises" else None
        pin_context(ours, PinSet(people.good.pin, None), on_verdict=callback)
    return Meeting(ours, theirs)


def _share_a_key(ours: ssl.SSLContext, theirs: ssl.SSLContext, version: ssl.TLSVersion) -> None:
    ours.check_hostname = False
    ours.verify_mode = ssl.CERT_NONE
    if version is TLS_1_2:
        ours.set_ciphers("PSK")
        theirs.set_ciphers("PSK")
    ours.set_psk_client_callback(lambda _hint: ("somebody", bytes(32)))  # type: ignore[attr-defined]
    theirs.set_psk_server_callback(lambda _identity: bytes(32))  # type: ignore[attr-defined]


def serves_nobody(
    context: PinnedContext, caller_context: ssl.SSLContext, setting: str, value: object, why: str
) -> None:
    """Over BIOs, as a listener, and as one that was wrapped before it was set so."""
    before = getattr(context, setting)
    with (
        context.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True) as listener,
        calling(listener.getsockname(), caller_context) as caller,
    ):
        setattr(context, setting, value)
        assert getattr(context, setting) != before
        listener.settimeout(WAIT)
        with pytest.raises(InvalidPolicyError, match=why):
            listener.accept()
        assert caller.report().got_nothing()
    with pytest.raises(InvalidPolicyError, match=why):
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
    with (
        socket.create_server(("127.0.0.1", 0)) as plain,
        pytest.raises(InvalidPolicyError, match=why),
    ):
        context.wrap_socket(plain, server_side=True)
