"""A clock that is told the time, pins out of nothing, and connections in a few words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from support.contexts import ephemeral, only
from support.impostor import HOST, SECRET, Report

from pinsock import Pin, PinnedContext, PinSet

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from support.wire import Wire

    from pinsock import PinPolicy, PolicyFile, Verdict
    from pinsock._throwaway import Authority, Credential

__all__ = ["Cast", "Clock", "a_pin", "a_set", "pinned", "redis_connections", "say_secret"]


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def a_pin(number: int) -> Pin:
    """A pin that nobody has the key of."""
    return Pin("spki", number.to_bytes(32, "big"))


def a_set(number: int = 1, **settings: Any) -> PinSet:
    """A set of one such pin."""
    return PinSet(a_pin(number), None, **settings)


def pinned(
    pins: PinPolicy | PolicyFile | PinSet,
    *trusted: Authority,
    version: ssl.TLSVersion | None = None,
    on_verdict: Callable[[Verdict], object] | None = None,
) -> PinnedContext:
    """A client that was never given a certificate of its own."""
    context = ephemeral(only(PinnedContext(pins=pins, on_verdict=on_verdict), version))
    for authority in trusted:
        context.load_verify_locations(cadata=authority.pem)
    return context


@dataclass(frozen=True)
class Cast:
    """Who plays: the two authorities that the client trusts, and the credentials of servers."""

    authority: Authority
    interceptor: Authority
    good: Credential
    backup: Credential
    bad: Credential
    intercepted: Credential

    def pins(self, **settings: Any) -> PinSet:
        """Those of the good server, and its backup."""
        return PinSet(self.good.pin, self.backup.pin, **settings)

    def pinned(self, pins: PinPolicy | PolicyFile | PinSet, **settings: Any) -> PinnedContext:
        return pinned(pins, self.authority, self.interceptor, **settings)


def say_secret(wire: Wire) -> tuple[Exception | None, Report]:
    """Try to send the secret: the error that came of it, and what the peer saw."""
    error = None
    try:
        wire.do(lambda: wire.near.write(SECRET))
    except (OSError, ValueError) as raised:
        error = raised
    return error, wire.finish()


def redis_connections(ours: PinnedContext) -> type:
    """The class that a pool of redis-py makes connections of, since it takes no context."""
    import redis

    class PinnedConnection(redis.SSLConnection):
        def _wrap_socket_with_ssl(self, sock: Any) -> Any:
            return ours.wrap_socket(sock, server_hostname=HOST)

    return PinnedConnection
