"""Messages on a connection whose key was checked, against plain ``ssl``."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path
from time import thread_time
from typing import TYPE_CHECKING, Final

import uvloop

from benchmarks.figures import Figure, Section
from benchmarks.interleaved import Alternative, Ratio, ratio, ratio_of_medians, time_in_turn
from benchmarks.meetings import (
    HOST,
    PINNED,
    PLAIN,
    client_contexts,
    people,
    server_context,
    shake_hands,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.figures import Effort

__all__ = ["messages"]

SIZES: Final = (64, 16_384)
VERSION: Final = ssl.TLSVersion.TLSv1_3

#: Run under callgrind: so many messages from the client, read by the server.
_COUNTED: Final = """
import ssl, sys
import pinsock
name, count, folder, pin = sys.argv[1:]
if name == "ssl":
    context = ssl.create_default_context(cafile=folder + "/authority.pem")
else:
    pins = pinsock.PinSet(pin, None)
    context = pinsock.create_default_context(pins, cafile=folder + "/authority.pem")
server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
server.num_tickets = 0
server.load_cert_chain(folder + "/server.pem")
to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
near = context.wrap_bio(to_client, to_server, server_hostname="localhost")
far = server.wrap_bio(to_server, to_client, server_side=True)
for end in (near, far, near, far):
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        pass
message = bytes(64)
for _ in range(int(count)):
    near.write(message)
    if far.read(64) != message:
        raise SystemExit("the message is not what was sent")
"""


def messages(effort: Effort) -> Iterator[Section]:
    """Over objects, sockets, and the streams of asyncio and uvloop."""
    who = people("P-256")
    clients = client_contexts(who, VERSION, names=(PINNED,))
    server = server_context(who.good, VERSION)
    figures = []
    for size in SIZES:
        with contextlib.ExitStack() as stack:
            for kind, near_and_far in (
                ("SSLObject", lambda client: shake_hands(client, server)[1:]),
                ("SSLSocket", lambda client: over_socket(stack, client, server)),
            ):
                times = time_in_turn(
                    {name: one_way(near_and_far(client), size) for name, client in clients.items()},
                    effort.rounds(200),
                )
                what = f"{kind}, {size:,} bytes: {PINNED} / {PLAIN}"
                quoted = f"a message of {size:,} bytes, {kind}: {PINNED} / {PLAIN}"
                figures.append(Figure(what, ratio(times, PINNED, PLAIN), None, quoted))
        for loop, run in (("asyncio", asyncio.run), ("uvloop", uvloop.run)):
            streamed = run(streams(clients, server, size, effort.rounds(2000)))
            figures.append(
                Figure(
                    f"{loop} streams, {size:,} bytes there and back: {PINNED} / {PLAIN}",
                    ratio_of_medians(streamed, PINNED, PLAIN),
                )
            )
    facts = []
    counted = by_instructions(effort.rounds(2000, 50))
    if counted is None:
        facts.append("Instructions were not counted: valgrind is not installed.")
    else:
        figures.append(
            Figure(
                f"SSLObject, 64 bytes, instructions (callgrind): {PINNED} / {PLAIN}",
                Ratio(counted, counted, counted),
                -1.005,
                "the same, by instructions",
            )
        )
    yield Section(
        "The data path",
        "After the check it is that of `ssl`: 1.00 within the spread is what should stand here. "
        "Instructions are those of a message from the client that the server reads, both ends.",
        figures,
        facts=facts,
    )


def over_socket(
    stack: contextlib.ExitStack, client: ssl.SSLContext, server: ssl.SSLContext
) -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
    """Both ends of a connection through a socket pair."""
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    near = client.wrap_socket(ends[0], do_handshake_on_connect=False, server_hostname=HOST)
    far = server.wrap_socket(ends[1], server_side=True, do_handshake_on_connect=False)
    stack.callback(near.close)
    stack.callback(far.close)
    for end in (near, far, near, far):
        with contextlib.suppress(ssl.SSLWantReadError):
            end.do_handshake()
    if near.version() is None or far.version() is None:
        raise AssertionError("the handshake did not end")
    return near, far


def one_way(
    ends: tuple[ssl.SSLSocket, ssl.SSLSocket] | tuple[ssl.SSLObject, ssl.SSLObject], size: int
) -> Alternative:
    """A message of the client that the server reads."""
    near, far = ends
    names = {"write": near.write, "read": far.read, "message": bytes(size), "size": size}
    return Alternative("write(message); read(size)", names)


async def streams(
    clients: Mapping[str, ssl.SSLContext], server: ssl.SSLContext, size: int, rounds: int
) -> dict[str, list[float]]:
    """Seconds of a message there and back, by client; the connections take turns."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                writer.write(await reader.readexactly(size))
        writer.close()

    listening = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=server)
    address = listening.sockets[0].getsockname()
    ends = {}
    for name, client in clients.items():
        ends[name] = await asyncio.open_connection(*address, ssl=client, server_hostname=HOST)
    times: dict[str, list[float]] = {name: [] for name in clients}
    message = bytes(size)
    gc.collect()
    for number in range(-20, rounds):
        order = list(ends.items())
        for name, (reader, writer) in order if number % 2 else reversed(order):
            start = thread_time()
            writer.write(message)
            if await reader.readexactly(size) != message:
                raise AssertionError("the echo is not what was sent")
            if number >= 0:
                times[name].append(thread_time() - start)
    for _, writer in ends.values():
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()
    listening.close()
    return times


def by_instructions(messages: int) -> float | None:
    """Instructions of so many messages, pinned by plain: what a run without any takes is off."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        return None
    who = people("P-256")
    counted = {}
    with tempfile.TemporaryDirectory() as name_of_folder:
        folder = Path(name_of_folder)
        (folder / "authority.pem").write_text(who.authority.pem, encoding="ascii")
        who.good.write(folder / "server.pem")
        for name in (PLAIN, PINNED):
            for count in (0, messages):
                counts = folder / f"{name}-{count}"
                subprocess.run(
                    [
                        valgrind,
                        "--tool=callgrind",
                        f"--callgrind-out-file={counts}",
                        sys.executable,
                        "-c",
                        _COUNTED,
                        *(name, str(count), str(folder), str(who.good.pin)),
                    ],
                    check=True,
                    capture_output=True,
                    timeout=300,
                    env={**os.environ, "PYTHONHASHSEED": "0"},
                )
                text = counts.read_text(encoding="utf-8", errors="replace")
                summary = next(
                    line for line in text.splitlines() if line.startswith(("summary:", "totals:"))
                )
                counted[name, count] = int(summary.split()[1])
    pinned, plain = (counted[name, messages] - counted[name, 0] for name in (PINNED, PLAIN))
    return pinned / plain
