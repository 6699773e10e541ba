"""What the README says of pools: the connections in them keep their pins until they are closed."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest
from support.contexts import server
from support.impostor import HOST, Report, serving

from pinsock import PinMismatchError, PinnedContext, PinSet

from .tools import redis_connections

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from support.impostor import Conversation

    from .tools import Cast

#: A pool: how to ask its server something, and how to close it.
Pool = tuple["Callable[[], object]", "Callable[[], object]"]


def answering(context: ssl.SSLContext, answer: Callable[[bytes], bytes]) -> Conversation:
    """A server that answers each request, and writes down what it was asked."""

    def converse(sock: socket.socket, report: Report) -> None:
        try:
            with context.wrap_socket(sock, server_side=True) as tls:
                while data := tls.recv(65536):
                    report.application += data
                    tls.sendall(answer(data))
        except ssl.SSLError as error:
            report.error = error

    return converse


def urllib3_pool(ours: PinnedContext, address: tuple[str, int]) -> Pool:
    import urllib3

    host, port = address
    pool = urllib3.PoolManager(
        ssl_context=ours, server_hostname=HOST, assert_hostname=HOST, retries=False
    )
    return lambda: pool.request("GET", f"https://{host}:{port}/").status, pool.clear


def redis_pool(ours: PinnedContext, address: tuple[str, int]) -> Pool:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    pool = redis.ConnectionPool(
        connection_class=redis_connections(ours),
        host=address[0],
        port=address[1],
        protocol=2,
        retry=Retry(NoBackoff(), 0),
    )
    client = redis.Redis(connection_pool=pool)
    return client.ping, client.connection_pool.disconnect


def http_answer(_: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def redis_answer(request: bytes) -> bytes:
    commands = (b"\r\n" + request).count(b"\r\n*")
    return b"+PONG\r\n" if b"PING" in request else b"+OK\r\n" * commands


@pytest.mark.parametrize(
    ("pool", "asked", "answer"),
    [(urllib3_pool, b"GET /", http_answer), (redis_pool, b"PING", redis_answer)],
    ids=["PoolManager.clear() of urllib3", "connection_pool.disconnect() of redis-py"],
)
def test_a_pool_that_is_closed_goes_by_the_new_pins(
    cast: Cast,
    pool: Callable[[PinnedContext, tuple[str, int]], Pool],
    asked: bytes,
    answer: Callable[[bytes], bytes],
) -> None:
    """Its connection lives on under the old pins; once it is closed, the next one is refused."""
    ours = cast.pinned(PinSet(cast.good.pin, None))
    with serving(answering(server(cast.good), answer)) as peer:
        ask, close = pool(ours, peer.address)
        ask()
        ours.pins = PinSet(cast.bad.pin, None)
        ask()
        close()
        assert peer.report().application.count(asked) == 2
        with pytest.raises(Exception, match="pin") as caught:
            ask()
        assert PinMismatchError in kinds(caught.value)
        close()
        assert peer.report().application == b""


def kinds(error: BaseException | None) -> list[type[BaseException]]:
    """Of an error and of all that it came of."""
    found = []
    while error is not None:
        found.append(type(error))
        error = error.__cause__ or error.__context__
    return found
