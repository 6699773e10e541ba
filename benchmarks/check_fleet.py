"""``python -m benchmarks.check_fleet``: the rate of ``pinsock check``, against a bare asyncio loop.

Both make the same verified handshakes with the same hosts on loopback, as many at once, and take
turns; the server is a process of its own.  ``pinsock check`` is timed from its arguments to its
last line: with its policy and its list of hosts, which it reads, and its results, which it writes.
The server counts: a handshake that is missing, or a byte of application data, is an error.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import ssl
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Final, NamedTuple

from pinsock import PinPolicy, PinSet
from pinsock._throwaway import Authority
from pinsock.cli import main as pinsock

if TYPE_CHECKING:
    from collections.abc import Iterator

GOAL: Final = 0.7
JOBS: Final = 50
BARE: Final = "bare asyncio loop"
CHECK: Final = "pinsock check"
_LOOPBACK: Final = "127.0.0.1"


# --- the server -----------------------------------------------------------------------------------


class _Peer(asyncio.Protocol):
    """One connection, which is over when the client says so."""

    shaken = 0
    application = 0

    def connection_made(self, _: asyncio.BaseTransport) -> None:
        _Peer.shaken += 1  # over TLS this comes after the handshake

    def data_received(self, data: bytes) -> None:
        _Peer.application += len(data)


async def _serve(credential: str) -> None:
    """Print the port, and for each line of standard input what was seen since the last one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(credential)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Peer, _LOOPBACK, 0, ssl=context, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(_Peer.shaken, _Peer.application, flush=True)
        _Peer.shaken = _Peer.application = 0


class _Server:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin, process.stdout
        self.port = int(self._out.readline())

    def must_have_seen(self, handshakes: int) -> None:
        self._in.write("\n")
        self._in.flush()
        seen, application = map(int, self._out.readline().split())
        if (seen, application) != (handshakes, 0):
            raise AssertionError(
                f"the server saw {seen} handshakes of {handshakes} and {application} bytes of data"
            )


@contextlib.contextmanager
def _server(credential: Path) -> Iterator[_Server]:
    command = [sys.executable, "-m", "benchmarks.check_fleet", "--serve", str(credential)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield _Server(process)
        finally:
            process.terminate()


# --- the two alternatives -------------------------------------------------------------------------


async def _bare(hosts: list[str], port: int, context: ssl.SSLContext) -> None:
    """What anybody would write: connect, shake hands, close."""
    left = iter(hosts)

    async def work() -> None:
        for host in left:
            _, writer = await asyncio.open_connection(
                _LOOPBACK, port, ssl=context, server_hostname=host
            )
            writer.close()
            await writer.wait_closed()

    await asyncio.gather(*(work() for _ in range(JOBS)))


def _check(arguments: list[str], number: int) -> None:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        status = pinsock(arguments)
    summary = json.loads(out.getvalue().splitlines()[-1])["summary"]
    if status != 0 or summary["passed"] != number:
        raise AssertionError(f"status {status}: {summary}")


class Times(NamedTuple):
    """Of one round, in seconds."""

    wall: float
    processor: float
    """Of the client alone: it hardly depends on what else the machine does."""


def measure(number: int, rounds: int) -> dict[str, list[Times]]:
    """The times of each round, of the bare loop and of ``pinsock check``."""
    authority = Authority()
    credential = authority.issue("*.fleet.example")
    hosts = [f"h{one}.fleet.example" for one in range(number)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "authority.pem").write_text(authority.pem)
        policy = PinPolicy({"*.fleet.example": PinSet(credential.pin, None)})
        (folder / "pins.toml").write_text(policy.to_toml())
        with _server(credential.write(folder / "credential.pem")) as server:
            targets = (f"{host}:{server.port}@{_LOOPBACK}\n" for host in hosts)
            (folder / "hosts").write_text("".join(targets))
            arguments = ["check", "--json", "--jobs", str(JOBS)]
            for option, file in (
                ("-p", "pins.toml"),
                ("--hosts", "hosts"),
                ("--cafile", "authority.pem"),
            ):
                arguments += [option, str(folder / file)]
            context = ssl.create_default_context(cadata=authority.pem)

            def bare() -> None:
                asyncio.run(_bare(hosts, server.port, context))

            def check() -> None:
                _check(arguments, number)

            times: dict[str, list[Times]] = {BARE: [], CHECK: []}
            order = [(BARE, bare), (CHECK, check)]
            for turn in range(rounds + 1):
                for what, run in order:
                    start = perf_counter(), process_time()
                    run()
                    took = Times(perf_counter() - start[0], process_time() - start[1])
                    server.must_have_seen(number)
                    if turn:  # the first one warms up
                        times[what].append(took)
                order.reverse()
    return times


def main() -> None:
    """Print the two rates and their ratio; slowness is shown, never an error."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.check_fleet", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(_serve(arguments.serve))
        return
    times = measure(arguments.hosts, arguments.rounds)
    for what in (BARE, CHECK):
        rate = arguments.hosts / statistics.median(one.wall for one in times[what])
        print(f"{what}: {rate:.0f} hosts/s")
    for what, of in (("rate", "wall"), ("hosts a second of the client's processor", "processor")):
        pairs = zip(times[BARE], times[CHECK], strict=True)
        ratios = sorted(getattr(one, of) / getattr(other, of) for one, other in pairs)
        ratio = statistics.median(ratios)
        goal = f"  {'reached' if ratio >= GOAL else 'NOT reached'}: at least {GOAL}"
        print(
            f"{what}, {CHECK} / {BARE}, {arguments.hosts} hosts: {ratio:.2f} ({ratios[0]:.2f} to "
            f"{ratios[-1]:.2f}, {len(ratios)} rounds){goal * (of == 'wall')}"
        )


if __name__ == "__main__":
    main()
