"""A mutual-TLS echo server under load, pinned at both ends, against the same with plain ``ssl``.

The server is a process of its own; 500 asyncio clients connect, send a message, read it back and
close, again and again.  Pinned and plain take turns, in slices of a few seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ssl
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Final, NamedTuple

import pinsock
from benchmarks.figures import Figure, Section
from benchmarks.interleaved import Ratio
from benchmarks.meetings import PINNED, PLAIN, people
from pinsock import PinSet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.figures import Effort

__all__ = ["under_load"]

CLIENTS: Final = 500
SECONDS: Final = 30
SLICES: Final = 6
HOST: Final = "localhost"
MESSAGE: Final = bytes(64)


class Slice(NamedTuple):
    """What one slice of time came to."""

    handshakes: int
    seconds: float
    latencies: list[float]


def under_load(effort: Effort) -> Iterator[Section]:
    """Handshakes a second, latencies, and memory at the end as at the start."""
    clients, length = effort.rounds(CLIENTS, 20), max(0.5, SECONDS * effort.share / SLICES)
    slices: dict[str, list[Slice]] = {PLAIN: [], PINNED: []}
    facts = []
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        contexts = {name: context(name, Path(folder), server=False) for name in slices}
        servers = {name: stack.enter_context(serving(name, Path(folder))) for name in slices}
        asyncio.run(prove(contexts, servers))
        memory: dict[str, dict[int, tuple[int, int]]] = {name: {} for name in slices}
        for number in range(SLICES):
            for name in slices if number % 2 else reversed(slices):
                gc.collect()
                one = asyncio.run(load(contexts[name], servers[name].port, clients, length))
                slices[name].append(one)
                if number in {0, SLICES - 1}:
                    memory[name][number] = servers[name].kilobytes(), kilobytes("self")
        for name, ends in memory.items():
            (server, mine), (server_end, mine_end) = ends[0], ends[SLICES - 1]
            facts.append(
                f"Memory after the first and after the last slice, {name}: server "
                f"{server / 1024:.1f} and {server_end / 1024:.1f} MB, clients "
                f"{mine / 1024:.1f} and {mine_end / 1024:.1f} MB."
            )
    for name, parts in slices.items():
        done = sum(part.handshakes for part in parts)
        late = sorted(latency for part in parts for latency in part.latencies)
        facts.append(
            f"{name}: {done:,} connections in {sum(part.seconds for part in parts):.0f} s; p50 "
            f"{late[len(late) // 2] * 1e3:.0f} ms, p99 {late[len(late) * 99 // 100] * 1e3:.0f} ms."
        )
    yield Section(
        "Under load",
        f"Mutual TLS, {clients} concurrent asyncio clients and an echo server in a process of its "
        f"own, {SLICES} slices of {length:.1f} s each, pinned at both ends and plain in turn.",
        [
            Figure(
                f"connections a second: {PINNED} / {PLAIN}",
                compared(slices, lambda part: part.handshakes / part.seconds),
                None,
                f"connections a second, {clients} clients, mutual TLS: {PINNED} / {PLAIN}",
            ),
            Figure(
                f"p50 of a connection: {PINNED} / {PLAIN}",
                compared(slices, lambda part: statistics.median(part.latencies)),
            ),
            Figure(
                f"p99 of a connection: {PINNED} / {PLAIN}",
                compared(slices, lambda part: statistics.quantiles(part.latencies, n=100)[98]),
            ),
        ],
        facts=facts,
    )


def compared(slices: dict[str, list[Slice]], measure: Measure) -> Ratio:
    pairs = zip(slices[PINNED], slices[PLAIN], strict=True)
    ratios = sorted(measure(one) / measure(other) for one, other in pairs)
    return Ratio(statistics.median(ratios), ratios[0], ratios[-1])


def context(name: str, folder: Path, *, server: bool) -> ssl.SSLContext:
    """Of one end; the files are made by whoever comes first, the clients."""
    who = people("P-256") if not server else None
    authority = folder / "authority.pem"
    if who is not None:
        authority.write_text(who.authority.pem, encoding="ascii")
        who.good.write(folder / "server.pem")
        who.me.write(folder / "client.pem")
        (folder / "pins").write_text(f"{who.good.pin}\n{who.me.pin}\n", encoding="ascii")
    purpose = ssl.Purpose.CLIENT_AUTH if server else ssl.Purpose.SERVER_AUTH
    made = ssl.create_default_context(purpose, cafile=str(authority))
    made.load_cert_chain(folder / ("server.pem" if server else "client.pem"))
    if server:
        made.verify_mode = ssl.CERT_REQUIRED
    if name == PINNED:
        pins = (folder / "pins").read_text(encoding="ascii").split()
        pinsock.pin_context(made, PinSet(pins[1 if server else 0], None))
    return made


class Server(NamedTuple):
    """One that runs."""

    process: subprocess.Popen[str]
    port: int

    def kilobytes(self) -> int:
        """Resident."""
        return kilobytes(str(self.process.pid))


def kilobytes(process: str) -> int:
    """Resident, as Linux tells."""
    status = Path("/proc", process, "status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


@contextlib.contextmanager
def serving(name: str, folder: Path) -> Iterator[Server]:
    """A server in a process of its own, ended afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load", name, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    try:
        assert process.stdout is not None
        yield Server(process, int(process.stdout.readline()))
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


async def serve(name: str, folder: Path) -> None:
    """Echo whatever comes, until the process is ended."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while data := await reader.read(4096):
                writer.write(data)
        writer.close()

    server = await asyncio.start_server(
        echo, "127.0.0.1", 0, ssl=context(name, folder, server=True), backlog=2 * CLIENTS
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def meet(client: ssl.SSLContext, port: int) -> None:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=client, server_hostname=HOST, ssl_handshake_timeout=60
    )
    writer.write(MESSAGE)
    if await reader.readexactly(len(MESSAGE)) != MESSAGE:
        raise AssertionError("the echo is not what was sent")
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def load(client: ssl.SSLContext, port: int, clients: int, seconds: float) -> Slice:
    """Each client does one connection after the other until the time is over."""
    latencies: list[float] = []
    start = perf_counter()

    async def keep_on() -> None:
        while perf_counter() - start < seconds:
            begin = perf_counter()
            await meet(client, port)
            latencies.append(perf_counter() - begin)

    await asyncio.gather(*(keep_on() for _ in range(clients)))
    return Slice(len(latencies), perf_counter() - start, latencies)


async def prove(contexts: dict[str, ssl.SSLContext], servers: dict[str, Server]) -> None:
    """That the pinned ends refuse: a server with another key, and a client with another."""
    for name, server in servers.items():
        await meet(contexts[name], server.port)
    stranger = pinsock.create_default_context(
        PinSet(people("P-256").bad.pin, None), cadata=people("P-256").authority.pem
    )
    people("P-256").me.load_into(stranger)
    try:
        await meet(stranger, servers[PLAIN].port)
    except pinsock.PinMismatchError:
        pass
    else:
        raise AssertionError("a server that is not pinned was accepted")
    unknown = ssl.create_default_context(cadata=people("P-256").authority.pem)
    people("P-256").bad.load_into(unknown)
    try:
        await meet(unknown, servers[PINNED].port)
    except (OSError, asyncio.IncompleteReadError):
        pass
    else:
        raise AssertionError("a client that is not pinned was served")


if TYPE_CHECKING:
    from collections.abc import Callable

    Measure = Callable[[Slice], float]

if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(sys.argv[1], Path(sys.argv[2])))
