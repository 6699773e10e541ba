"""What pinning costs a handshake: the client's part, against plain ``ssl``.

In memory, where the client's part alone is timed, and over loopback TCP, where the processor time
of the client's thread is.
"""

from __future__ import annotations

import gc
import random
import socket
import ssl
import statistics
import threading
from time import thread_time
from typing import TYPE_CHECKING, Final

from benchmarks.figures import Chart, Figure, Section
from benchmarks.interleaved import ratio_of_medians
from benchmarks.meetings import (
    ALTERNATIVES,
    HOST,
    PINNED,
    PLAIN,
    client_contexts,
    in_turn,
    people,
    server_context,
    shake_hands,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.figures import Effort

__all__ = ["handshakes"]

GOAL: Final = -1.02
VERSIONS: Final = {"TLS 1.2": ssl.TLSVersion.TLSv1_2, "TLS 1.3": ssl.TLSVersion.TLSv1_3}
KEYS: Final = ("P-256", "RSA-2048")
#: The one that is quoted.
MAIN: Final = "TLS 1.3, P-256, full"


def handshakes(effort: Effort) -> Iterator[Section]:
    """In memory and over TCP."""
    figures, facts = [], []
    for word, version in VERSIONS.items():
        for key in KEYS:
            who = people(key)
            for certificate in (False, True):
                clients = client_contexts(who, version, certificate=certificate)
                server = server_context(
                    who.good, version, clients=who.authority if certificate else None, tickets=1
                )
                sessions = {name: session(client, server) for name, client in clients.items()}
                quiet = server_context(
                    who.good, version, clients=who.authority if certificate else None
                )
                for how in ("full", "resumed"):
                    what = f"{word}, {key}, {how}{', client certificate' if certificate else ''}"
                    rounds = effort.rounds(4000 if what == MAIN else 300)
                    if how == "full":
                        times = in_turn(clients, quiet, rounds)
                    else:
                        times = in_turn(clients, server, rounds, sessions)
                    figures += of_one(what, times, quoted=what == MAIN)
                    if what == MAIN:
                        facts.append(added(times))
    yield Section(
        "A handshake in memory",
        f"The client's part alone, over `ssl.MemoryBIO`; medians, {effort.rounds(4000)} rounds for "
        f"{MAIN}, {effort.rounds(300)} for the others.",
        figures,
        Chart("handshake.svg", "The client's part of a handshake", "times plain ssl"),
        facts,
    )

    figures = []
    for word, version in VERSIONS.items():
        who = people("P-256")
        clients = client_contexts(who, version)
        times = over_tcp(clients, server_context(who.good, version), effort.rounds(400))
        figures += of_one(f"{word}, P-256, full", times, quoted=False)
    yield Section(
        "A handshake over loopback TCP",
        "Processor time of the client's thread, from `connect` to `close`; medians.",
        figures,
    )


def of_one(what: str, times: Mapping[str, list[float]], *, quoted: bool) -> list[Figure]:
    figures = []
    for name in ALTERNATIVES:
        result = ratio_of_medians(times, name, PLAIN)
        words = f"client's part of a handshake in memory, {what}: {name} / {PLAIN}"
        goal = GOAL if name == PINNED else None
        figures.append(Figure(f"{what}: {name} / {PLAIN}", result, goal, words if quoted else ""))
    return figures


def added(times: Mapping[str, list[float]]) -> str:
    more = statistics.median(times[PINNED]) - statistics.median(times[PLAIN])
    plain = statistics.median(times[PLAIN])
    return (
        f"{MAIN}: plain `ssl` {plain * 1e6:.0f} us, pinsock {more * 1e6:+.1f} us, here and today."
    )


def session(client: ssl.SSLContext, server: ssl.SSLContext) -> ssl.SSLSession:
    """One to resume; in TLS 1.3 it comes after the handshake."""
    meeting = shake_hands(client, server)
    meeting.far.write(b"x")
    meeting.near.read(1)
    found = meeting.near.session
    if found is None:
        raise AssertionError("the server gave no session")
    return found


def over_tcp(
    clients: Mapping[str, ssl.SSLContext], server: ssl.SSLContext, rounds: int
) -> dict[str, list[float]]:
    """Seconds of the processor, by client."""
    times: dict[str, list[float]] = {name: [] for name in clients}
    order = list(clients)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def serve() -> None:
            for _ in range((rounds + 2) * len(clients)):
                connection, _ = listener.accept()
                connection.settimeout(10)
                with server.wrap_socket(connection, server_side=True) as wrapped:
                    wrapped.recv(1)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        gc.collect()
        gc.disable()
        try:
            for number in range(-2, rounds):
                random.shuffle(order)
                for name in order:
                    start = thread_time()
                    plain = socket.create_connection(listener.getsockname(), 10)
                    clients[name].wrap_socket(plain, server_hostname=HOST).close()
                    if number >= 0:
                        times[name].append(thread_time() - start)
        finally:
            gc.enable()
        thread.join(10)
    return times
