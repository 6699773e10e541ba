"""Ways in which programs connect: over sockets, and over TLS objects that event loops feed.

Each says the secret to a server and returns the first bytes that come back, the server's banner.
"""

from __future__ import annotations

import _ssl
import asyncio
import contextlib
import selectors
import socket
import ssl
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import anyio
import trio
from support.impostor import BANNER, HOST, SECRET, WAIT

import pinsock
from pinsock import PinnedContext

if sys.platform != "win32":  # for which there is no uvloop
    import uvloop

__all__ = ["OBJECTS", "SOCKETS", "WAYS", "Pump", "Recorder", "Way", "callback_of"]

Address = tuple[str, int]
Way = Callable[[PinnedContext, Address], bytes]
T = TypeVar("T")

_SIZE = len(BANNER)


_callback: Any = _ssl._SSLContext._msg_callback  # type: ignore[attr-defined]


def callback_of(context: ssl.SSLContext) -> object:
    """The message callback that is set, ours too, which ssl's own property does not show."""
    return _callback.__get__(context)


class Recorder:
    """Stands in for ``_ssl``'s property of that callback, and takes down what is set."""

    def __init__(self) -> None:
        self.was_set: list[object] = []

    def __get__(self, context: ssl.SSLContext, _: object = None) -> object:
        return _callback.__get__(context)

    def __set__(self, context: ssl.SSLContext, value: object) -> None:
        self.was_set.append(value)
        _callback.__set__(context, value)


# --- sockets --------------------------------------------------------------------------------------


def _talk(tls: ssl.SSLSocket) -> bytes:
    tls.sendall(SECRET)
    return tls.recv(_SIZE)


def with_a_timeout(context: PinnedContext, address: Address) -> bytes:
    with (
        socket.create_connection(address, WAIT) as sock,
        context.wrap_socket(sock, server_hostname=HOST) as tls,
    ):
        return _talk(tls)


def blocking(context: PinnedContext, address: Address) -> bytes:
    with socket.create_connection(address) as sock:  # the server hangs up, sooner or later
        assert sock.getblocking()
        with context.wrap_socket(sock, server_hostname=HOST) as tls:
            return _talk(tls)


def deferred(context: PinnedContext, address: Address) -> bytes:
    """The first write is what begins the handshake."""
    with (
        socket.create_connection(address, WAIT) as sock,
        context.wrap_socket(sock, do_handshake_on_connect=False, server_hostname=HOST) as tls,
    ):
        return _talk(tls)


def connected_later(context: PinnedContext, address: Address) -> bytes:
    with context.wrap_socket(socket.socket(), server_hostname=HOST) as tls:
        tls.settimeout(WAIT)
        tls.connect(address)
        return _talk(tls)


def connect_ex(context: PinnedContext, address: Address) -> bytes:
    with context.wrap_socket(socket.socket(), server_hostname=HOST) as tls:
        tls.settimeout(WAIT)
        assert tls.connect_ex(address) == 0
        return _talk(tls)


def create_connection(context: PinnedContext, address: Address) -> bytes:
    with pinsock.create_connection(
        address, context.pins, timeout=WAIT, server_hostname=HOST, context=context
    ) as tls:
        return _talk(tls)


def non_blocking(context: PinnedContext, address: Address) -> bytes:
    with (
        socket.create_connection(address, WAIT) as sock,
        context.wrap_socket(sock, do_handshake_on_connect=False, server_hostname=HOST) as tls,
        selectors.DefaultSelector() as selector,
    ):
        tls.setblocking(False)
        selector.register(tls, selectors.EVENT_READ)

        def patiently(call: Callable[[], T]) -> T:
            while True:
                try:
                    return call()
                except ssl.SSLWantReadError:
                    selector.modify(tls, selectors.EVENT_READ)
                except ssl.SSLWantWriteError:
                    selector.modify(tls, selectors.EVENT_WRITE)
                assert selector.select(WAIT), "the server does not answer"

        patiently(tls.do_handshake)
        assert patiently(lambda: tls.send(SECRET)) == len(SECRET)
        return patiently(lambda: tls.recv(_SIZE))


# --- objects --------------------------------------------------------------------------------------


class Pump:
    """TLS over a socket that its owner feeds, as event loops do.

    It sends what TLS has left for the peer after an error too, as it should be, for that may be an
    alert.
    """

    def __init__(self, context: PinnedContext, sock: socket.socket, name: str) -> None:
        self._sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)

    def sendall(self, data: bytes) -> None:
        self._do(lambda: self._tls.write(data))

    def recv(self, size: int) -> bytes:
        return self._do(lambda: self._tls.read(size))

    def _do(self, call: Callable[[], T]) -> T:
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                self._flush()
                data = self._sock.recv(65536)
                self._incoming.write(data) if data else self._incoming.write_eof()
            finally:
                with contextlib.suppress(ConnectionError):
                    self._flush()

    def _flush(self) -> None:
        self._sock.sendall(self._outgoing.read())


def memory_bio(context: PinnedContext, address: Address) -> bytes:
    with socket.create_connection(address, WAIT) as sock:
        pump = Pump(context, sock, HOST)
        pump.sendall(SECRET)
        return pump.recv(_SIZE)


async def _open_connection(context: PinnedContext, address: Address) -> bytes:
    reader, writer = await asyncio.open_connection(*address, ssl=context, server_hostname=HOST)
    return await _talk_in_streams(reader, writer)


async def _start_tls(context: PinnedContext, address: Address) -> bytes:
    reader, writer = await asyncio.open_connection(*address)
    try:
        await writer.start_tls(context, server_hostname=HOST)
    except OSError:
        writer.close()
        raise
    return await _talk_in_streams(reader, writer)


async def _talk_in_streams(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(SECRET)
    came = await reader.read(_SIZE)
    writer.close()
    await writer.wait_closed()
    return came


def on_asyncio(context: PinnedContext, address: Address) -> bytes:
    return asyncio.run(asyncio.wait_for(_open_connection(context, address), WAIT))


def start_tls(context: PinnedContext, address: Address) -> bytes:
    return asyncio.run(asyncio.wait_for(_start_tls(context, address), WAIT))


def on_uvloop(context: PinnedContext, address: Address) -> bytes:
    return uvloop.run(asyncio.wait_for(_open_connection(context, address), WAIT))


def on_trio(context: PinnedContext, address: Address) -> bytes:
    async def talk() -> bytes:
        plain = await trio.open_tcp_stream(*address)
        stream = trio.SSLStream(plain, context, server_hostname=HOST)
        try:
            with trio.fail_after(WAIT):
                await stream.send_all(SECRET)
                return await stream.receive_some(_SIZE)
        except trio.BrokenResourceError as error:
            raise error.__cause__ or error from None  # which trio wraps, whatever it is
        finally:
            await trio.aclose_forcefully(stream)

    return trio.run(talk)


async def _anyio(context: PinnedContext, address: Address) -> bytes:
    with anyio.fail_after(WAIT):
        async with await anyio.connect_tcp(
            *address, ssl_context=context, tls_hostname=HOST, tls_standard_compatible=False
        ) as stream:
            await stream.send(SECRET)
            return await stream.receive(_SIZE)


def anyio_on_asyncio(context: PinnedContext, address: Address) -> bytes:
    return anyio.run(_anyio, context, address, backend="asyncio")


def anyio_on_trio(context: PinnedContext, address: Address) -> bytes:
    return anyio.run(_anyio, context, address, backend="trio")


SOCKETS: dict[str, Way] = {
    "blocking": blocking,
    "with a timeout": with_a_timeout,
    "deferred": deferred,
    "connected later": connected_later,
    "connect_ex": connect_ex,
    "create_connection": create_connection,
    "non-blocking": non_blocking,
}
OBJECTS: dict[str, Way] = {
    "MemoryBIO": memory_bio,
    "asyncio": on_asyncio,
    "asyncio, start_tls": start_tls,
    "trio": on_trio,
    "anyio on asyncio": anyio_on_asyncio,
    "anyio on trio": anyio_on_trio,
}
if sys.platform != "win32":
    OBJECTS["uvloop"] = on_uvloop
WAYS = SOCKETS | OBJECTS
