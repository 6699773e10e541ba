"""A server on loopback that is many hosts, and counts what each of them saw."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections import Counter
from typing import TYPE_CHECKING, Self, cast

from support.impostor import WAIT

from pinsock import PinPolicy, PinSet

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from pinsock._throwaway import Authority

__all__ = ["Fleet"]


class Fleet:
    """Hosts ``h0.fleet.example`` and so on, all with one key, in a thread of its own.

    :param hold: how many connections must stand at once before any of them gets an answer.
    """

    def __init__(self, authority: Authority, *, hold: int = 0) -> None:
        self.credential = authority.issue("*.fleet.example")
        self.hosts: Counter[str] = Counter()
        """By name: the handshakes that were begun."""
        self.application = b""
        self.most = 0
        """Connections that stood at once."""
        self.times: list[float] = []
        """When each connection came, by the loop's clock."""
        self._hold = hold
        self._open = 0
        self._ready = threading.Event()

    def target(self, number: int) -> str:
        return f"h{number}.fleet.example:{self.port}@127.0.0.1"

    def write(self, folder: Path, number: int) -> tuple[Path, Path]:
        """A policy for all of them, and a file of so many hosts."""
        policy, hosts = folder / "pins.toml", folder / "hosts"
        pins = PinSet(self.credential.pin, None, labels={self.credential.pin: "the fleet's key"})
        policy.write_text(PinPolicy({"*.fleet.example": pins}).to_toml())
        hosts.write_text("".join(f"{self.target(one)}\n" for one in range(number)))
        return policy, hosts

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._ready.wait(WAIT)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(WAIT)
        assert not self._thread.is_alive()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._enough = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.credential.load_into(self._context)
        self._context.sni_callback = self._named  # type: ignore[assignment]
        server = await self._loop.create_server(lambda: _Host(self), "127.0.0.1", 0, backlog=1000)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _named(self, _: ssl.SSLObject, name: str | None, __: ssl.SSLContext) -> None:
        self.hosts[name or ""] += 1

    def begin(self, host: _Host, transport: asyncio.Transport) -> None:
        """A connection has come; before TLS begins it may have to wait for others."""
        self.times.append(self._loop.time())
        self._open += 1
        self.most = max(self.most, self._open)
        transport.pause_reading()
        if self._open >= self._hold:
            self._enough.set()
        task = self._loop.create_task(self._attend(host, transport))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _attend(self, host: _Host, transport: asyncio.Transport) -> None:
        await self._enough.wait()
        with contextlib.suppress(OSError):
            await self._loop.start_tls(transport, host, self._context, server_side=True)

    def end(self) -> None:
        self._open -= 1


class _Host(asyncio.Protocol):
    """One connection."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._fleet.begin(self, cast("asyncio.Transport", transport))

    def data_received(self, data: bytes) -> None:
        self._fleet.application += data

    def connection_lost(self, _: Exception | None) -> None:
        self._fleet.end()
