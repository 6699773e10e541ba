"""Handshakes in one thread, and the contexts that take turns in them."""

from __future__ import annotations

import gc
import random
import ssl
import sys
from functools import cache
from time import thread_time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pinsock
from pinsock import Pin, PinMismatchError, PinPolicy, PinSet
from pinsock._throwaway import Authority, Credential, ec_key, rsa_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

__all__ = [
    "ALTERNATIVES",
    "HOST",
    "PINNED",
    "PLAIN",
    "POLICY",
    "PURE",
    "Meeting",
    "People",
    "client_contexts",
    "in_turn",
    "pair",
    "people",
    "pure_pinsock",
    "server_context",
    "shake_hands",
]

HOST: Final = "localhost"
PLAIN: Final = "ssl"
PINNED: Final = "pinsock"
POLICY: Final = "pinsock, a policy of 1,000 hosts"
PURE: Final = "pinsock, the check in Python"
ALTERNATIVES: Final = (PINNED, POLICY, PURE)


class People(NamedTuple):
    """An authority, the server with the pinned key, one without it, and the client."""

    authority: Authority
    good: Credential
    bad: Credential
    me: Credential

    @property
    def pins(self) -> tuple[Pin, Pin]:
        """That of the server, and one that is kept aside."""
        return self.good.pin, self.me.pin


@cache
def people(key: str) -> People:
    """With keys of this kind."""
    authority = Authority()
    makers: dict[str, Callable[[], Any]] = {"P-256": ec_key, "RSA-2048": rsa_key}
    make = makers[key]
    return People(
        authority,
        authority.issue(HOST, key=make()),
        authority.issue(HOST, key=make()),
        authority.issue("me.example"),
    )


@cache
def pure_pinsock() -> ModuleType:
    """A second pinsock in this process, one without the extension."""
    mine = {name: sys.modules.pop(name) for name in list(sys.modules) if is_of_pinsock(name)}
    sys.modules["pinsock._native"] = None  # type: ignore[assignment]  # as if it could not be imported
    try:
        import pinsock as pure
    finally:
        for name in [name for name in sys.modules if is_of_pinsock(name)]:
            del sys.modules[name]
        sys.modules.update(mine)
    if pure.BACKEND != "python" or pinsock.BACKEND != "c":
        raise RuntimeError("one of the two checks is not what it should be")
    return pure


def is_of_pinsock(name: str) -> bool:
    return name.split(".", 1)[0] == "pinsock"


def client_contexts(
    who: People,
    version: ssl.TLSVersion,
    *,
    certificate: bool = False,
    names: tuple[str, ...] = ALTERNATIVES,
) -> dict[str, ssl.SSLContext]:
    """Plain ``ssl`` and these, each proved to accept the right key and to refuse another."""
    contexts: dict[str, ssl.SSLContext] = {
        PLAIN: ssl.create_default_context(cadata=who.authority.pem)
    }
    for name in names:
        module: Any = pure_pinsock() if name == PURE else pinsock
        pins: Any = module.PinSet(*map(str, who.pins))
        if name == POLICY:
            pins = PinPolicy(
                {f"h{number}.example.com": strangers(number) for number in range(999)}
                | {HOST: pins}
            )
        contexts[name] = module.create_default_context(pins, cadata=who.authority.pem)
    wrong = server_context(who.bad, version)
    for name, context in contexts.items():
        context.minimum_version = context.maximum_version = version
        if certificate:
            who.me.load_into(context)
        shake_hands(context, server_context(who.good, version))
        try:
            shake_hands(context, wrong)
        except ssl.SSLCertVerificationError as error:
            if type(error).__name__ != PinMismatchError.__name__:
                raise
            accepted = False
        else:
            accepted = True
        if accepted != (name == PLAIN):
            raise AssertionError(f"{name}: a key that is not pinned, accepted: {accepted}")
    return contexts


def strangers(number: int) -> PinSet:
    """One pin and one backup, of no key that anybody has."""
    numbers = (2 * number + 1, 2 * number + 2)
    return PinSet(*(Pin("spki", n.to_bytes(32, "big")) for n in numbers))


def server_context(
    credential: Credential,
    version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    *,
    clients: Authority | None = None,
    tickets: int = 0,
) -> ssl.SSLContext:
    """Without session tickets, which the client would have to read, unless they are wanted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = version
    context.num_tickets = tickets
    credential.load_into(context)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=clients.pem)
    return context


class Meeting(NamedTuple):
    """A handshake that was done in memory."""

    seconds: float
    """Of the processor, for the client's part."""
    near: ssl.SSLObject
    far: ssl.SSLObject


def pair(
    client: ssl.SSLContext, server: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Both ends of a connection in memory, before the handshake."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname=HOST, session=session)
    return near, server.wrap_bio(to_server, to_client, server_side=True)


def shake_hands(
    client: ssl.SSLContext, server: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> Meeting:
    """Each end goes on when the other waits."""
    start = thread_time()
    near, far = pair(client, server, session)
    seconds = 0.0
    while True:
        try:
            near.do_handshake()
        except ssl.SSLWantReadError:
            done = False
        else:
            done = True
        seconds += thread_time() - start
        try:
            far.do_handshake()
        except ssl.SSLWantReadError:
            if done:
                raise
        else:
            if done:
                return Meeting(seconds, near, far)
        start = thread_time()


def in_turn(
    clients: Mapping[str, ssl.SSLContext],
    server: ssl.SSLContext,
    rounds: int,
    sessions: Mapping[str, ssl.SSLSession] | None = None,
) -> dict[str, list[float]]:
    """Seconds of the client's part, by client; who goes first is drawn anew in each round."""
    times: dict[str, list[float]] = {name: [] for name in clients}
    order = list(clients)
    gc.collect()
    gc.disable()
    try:
        for number in range(-max(2, rounds // 20), rounds):  # the first are to warm up
            random.shuffle(order)
            for name in order:
                session = None if sessions is None else sessions[name]
                meeting = shake_hands(clients[name], server, session)
                if meeting.near.session_reused != (session is not None):
                    raise AssertionError(f"{name}: resumed is not what it should be")
                if number >= 0:
                    times[name].append(meeting.seconds)
    finally:
        gc.enable()
    return times
