"""The attacks, each with the client of a user, and what the attacker got.

Every attacker forwards to the right server, so that a client that does not refuse him notices
nothing and returns.  What is no refusal by the client's own words (it returned), or is one but came
too late (something was given away), is told by what arrived here.
"""

from __future__ import annotations

import functools
import itertools
import socket
import ssl
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from pinsock._throwaway import Credential, ec_key
from pinsock.testing._answers import answer
from pinsock.testing._attackers import Cutting, Injecting, Renegotiating
from pinsock.testing._peers import LOOPBACK, Interceptor, PinnedServer
from pinsock.testing._stage import (
    OTHER_HOST,
    VERSIONS,
    NotApplicableError,
    NotReachedError,
    Stage,
    Target,
    judge,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from pinsock.testing._report import Result

__all__ = ["ATTACKS", "LIST", "Attack"]


# --- certificates ---------------------------------------------------------------------------------


def _shown(make: Callable[[Stage], Credential], stage: Stage, attack: str, version: str) -> Result:
    """An interceptor with this certificate."""
    with (
        stage.server() as server,
        stage.interceptor(make(stage), server, version) as interceptor,
    ):
        raised = stage.call(interceptor)
        interceptor.settle()
        return judge(attack, raised, interceptor.connections)


def _injected(stage: Stage) -> Credential:
    chain = (stage.good.certificate, stage.authority.credential.certificate)
    return Credential(stage.rogue.certificate, stage.rogue.key, chain)


def _forged(stage: Stage) -> Credential:
    forged = stage.authority.issue(LOOPBACK, forged_with=ec_key())
    chain = (stage.authority.credential.certificate,)
    return Credential(forged.certificate, forged.key, chain)


def _expired(stage: Stage) -> Credential:
    return stage.authority.issue(LOOPBACK, key=stage.good.key, days=-1)


def _wrong_host(stage: Stage) -> Credential:
    return stage.authority.issue("another.example", key=stage.good.key)


# --- sessions -------------------------------------------------------------------------------------


def _resumption(stage: Stage, attack: str, version: str) -> Result:
    """First the right server, then at the same address twice the interceptor, with tickets."""
    with (
        stage.server() as server,
        stage.interceptor(stage.good, server, version) as interceptor,
    ):
        if (raised := stage.call(interceptor)) is not None:
            raise NotReachedError(words(raised))
        interceptor.settle()
        before = len(interceptor.connections)
        interceptor.show(stage.rogue)
        all_raised = []
        for _ in range(2):
            all_raised.append(stage.call(interceptor))
            interceptor.settle()
        return judge(attack, all_raised, interceptor.connections[before:])


def _renegotiation(stage: Stage, attack: str, _version: str) -> Result:
    with Renegotiating(stage) as server:
        raised = stage.call(server)
        server.settle()
        if not server.asked and raised is None:
            raise NotApplicableError("the client had ended before it could be asked to")
        # A client that does not renegotiate, and goes on with the right server, has refused it.
        if raised is None and not server.renegotiated:
            raised = ConnectionError("it went on without")
        return judge(
            attack,
            raised,
            server.connections,
            b"".join(server.leaked),
            went_on=server.renegotiated,
        )


# --- ways to connect ------------------------------------------------------------------------------


def _implicit(stage: Stage, attack: str, version: str) -> Result:
    """The client's context, and TLS that nobody begins by name: the first write does."""
    make = stage.context
    if make is None:
        raise NotApplicableError("no context= was given")
    if stage.starttls is not None:
        raise NotApplicableError("tried without STARTTLS alone")
    secret = b"GET /secret HTTP/1.1\r\nHost: x\r\n\r\n"

    def connect(target: Target) -> socket.socket:
        return socket.create_connection(target.address, stage.timeout)

    def wrapped(target: Target) -> ssl.SSLSocket:
        return make(target).wrap_socket(
            connect(target), do_handshake_on_connect=False, server_hostname=target.host
        )

    def by_sendall(target: Target) -> None:
        with wrapped(target) as tls:
            tls.sendall(secret)

    def by_unbound_send(target: Target) -> None:
        with wrapped(target) as tls:
            ssl.SSLSocket.send(tls, secret)

    def by_bio(target: Target) -> None:
        with connect(target) as sock:
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = make(target).wrap_bio(incoming, outgoing, server_hostname=target.host)
            while True:
                try:
                    tls.write(secret)
                except ssl.SSLWantReadError:
                    pass
                else:
                    return
                finally:
                    sock.sendall(outgoing.read())  # as event loops do, after an error too
                if not (came := sock.recv(65536)):
                    raise ConnectionError("the server has gone")
                incoming.write(came)

    client = stage.client
    try:
        with (
            stage.server(serve=answer) as server,
            stage.interceptor(stage.rogue, server, version) as interceptor,
        ):
            all_raised = []
            for way in (by_sendall, by_unbound_send, by_bio):
                stage.client = way
                if (raised := stage.call(server)) is not None:
                    raise NotReachedError(words(raised))
                all_raised.append(stage.call(interceptor))
            interceptor.settle()
            return judge(attack, all_raised, interceptor.connections)
    finally:
        stage.client = client


def _proxy(stage: Stage, attack: str, version: str) -> Result:
    with stage.server(version=VERSIONS[version]) as server:
        with stage.interceptor(None, server, upstream=None, proxy=True) as honest:
            raised = stage.call(server, proxy=honest.proxy_url)
            honest.settle()
            if not honest.proxied:
                raise NotApplicableError("the client does not go through target.proxy")
            if raised is not None:
                raise NotReachedError(words(raised))
        with stage.interceptor(
            stage.rogue, server, version, upstream=None, proxy=True
        ) as interceptor:
            raised = stage.call(server, proxy=interceptor.proxy_url)
            interceptor.settle()
            return judge(attack, raised, interceptor.connections)


def _redirect(stage: Stage, attack: str, version: str) -> Result:
    if not stage.speaks_http or stage.has_own_server:
        raise NotApplicableError("no HTTP over TLS with the server of the kit")

    def to(location: str) -> PinnedServer:
        return stage.server(serve=functools.partial(answer, location=location))

    with to("/redirected") as server:
        raised = stage.call(server)
        server.settle()
        if not any(b" /redirected " in seen.application for seen in server.connections):
            raise NotApplicableError("the client does not follow redirects")
        if raised is not None:
            raise NotReachedError(words(raised))
    with Interceptor(
        stage.rogue, clients=stage.clients, version=VERSIONS[version], timeout=stage.timeout
    ) as interceptor:
        location = f"https://{OTHER_HOST}:{interceptor.port}/redirected"
        with to(location) as server:
            raised = stage.call(server)
            tried = server.settle().connections
        interceptor.settle()
        if raised is None and not interceptor.connections:
            raise NotApplicableError("the client does not follow redirects to another host")
        result = judge(attack, raised, interceptor.connections)
        if not interceptor.connections and tried:  # refused before it went there
            result = replace(result, outcome="refused")
        return replace(result, connections=tried + result.connections)


def _starttls_injection(stage: Stage, attack: str, _version: str) -> Result:
    if stage.starttls is None:
        raise NotApplicableError("TLS from the first byte on")
    with Injecting(stage) as server:
        raised = stage.call(server)
        server.settle()
        return judge(attack, raised, server.connections, b"".join(server.leaked))


# --- handshakes that break ------------------------------------------------------------------------


def _broken(how: Literal["end", "reset"], stage: Stage, attack: str, version: str) -> Result:
    """An interceptor that cuts a connection of the client's at each message, one after another.

    Later connections of the same call are served: a client that tries again with less care, or goes
    on in the clear, is found out.
    """
    results: list[Result] = []
    with stage.server() as server:
        for messages in itertools.count():
            with Cutting(stage, server, version, messages, how) as interceptor:
                raised = stage.call(interceptor)
                interceptor.settle()
                if not interceptor.has_cut:
                    uncut = judge(attack, raised, interceptor.connections)
                    break
                results.append(judge(attack, raised, interceptor.connections))
                if interceptor.after_handshake:
                    break
    if not results:  # TLS was never begun
        return uncut if uncut.outcome == "not refused" else replace(uncut, outcome="no connection")
    # Of several, the one that tells most.
    worst = min(results, key=lambda result: (result.ok, result.outcome != "not refused"))
    return replace(
        worst,
        connections=sum(result.connections for result in results),
        leaked=b"".join(result.leaked for result in results),
        in_the_clear=b"".join(result.in_the_clear for result in results),
        client_certificate=any(result.client_certificate for result in results),
    )


# --- the list -------------------------------------------------------------------------------------


class Attack(NamedTuple):
    name: str
    run: Callable[[Stage, str, str], Result]
    """The stage, the name of the row and the version of TLS."""
    versions: tuple[str, ...] = ()
    """A row for each of these; none: one row, in whatever version the client speaks."""

    def rows(self) -> list[tuple[str, str | None]]:
        if not self.versions:
            return [(self.name, None)]
        return [(f"{self.name}, {version}", version) for version in self.versions]


def _certificate(name: str, make: Callable[[Stage], Credential]) -> Attack:
    return Attack(name, functools.partial(_shown, make), tuple(VERSIONS))


LIST = (
    _certificate("rogue key under a trusted authority", lambda stage: stage.rogue),
    _certificate("pinned leaf injected into a rogue chain", _injected),
    _certificate("forged issuer with the real authority appended", _forged),
    _certificate("expired but pinned", _expired),
    _certificate("wrong host but pinned", _wrong_host),
    Attack("resumption into another key", _resumption, tuple(VERSIONS)),
    Attack("renegotiation into another key", _renegotiation, ("TLS 1.2",)),
    Attack("implicit handshake", _implicit),
    Attack("CONNECT proxy", _proxy),
    Attack("redirect to an unpinned host", _redirect),
    Attack("STARTTLS with injected bytes", _starttls_injection),
    Attack(
        "handshake cut within each message",
        functools.partial(_broken, "end"),
        tuple(VERSIONS),
    ),
    Attack(
        "handshake reset after each message",
        functools.partial(_broken, "reset"),
        tuple(VERSIONS),
    ),
)

#: The names of all attacks, to be left out with ``skip=``.
ATTACKS: tuple[str, ...] = tuple(attack.name for attack in LIST)
