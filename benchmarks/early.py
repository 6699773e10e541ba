"""``python -m benchmarks.early``: what the early verdict costs, against doing without it.

Over sockets, where it takes CPython's message callback; over BIOs it is a look at what is there.
Handshakes of TLS 1.3 (P-256) and messages on the connection afterwards, for a client without and
with a certificate of its own.  Everything takes turns in one run, and what is printed are ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import random
import socket
import ssl
import statistics
from time import perf_counter
from typing import TYPE_CHECKING, Final, NamedTuple

import pinsock
from benchmarks.interleaved import Alternative, Ratio, ratio, time_in_turn
from pinsock import PinMismatchError, PinSet
from pinsock._throwaway import Authority, Credential

if TYPE_CHECKING:
    from collections.abc import Mapping

HOST: Final = "localhost"
PLAIN: Final = "ssl"
OFF: Final = "off"
AUTO: Final = "auto"

#: How many times as long it may take: by what is measured, for a client with a certificate.
GOALS: Final = {"handshake": 1.06, "64 bytes": 1.15, "16384 bytes": 1.03}


class Meeting(NamedTuple):
    """A handshake that was done, over sockets in memory."""

    near: ssl.SSLSocket
    far: ssl.SSLSocket
    seconds: float
    """Of both ends."""
    client_seconds: float
    """Of the client's part alone, once it is wrapped."""

    def close(self) -> None:
        self.near.close()
        self.far.close()


def server_context(credential: Credential, clients: Authority | None) -> ssl.SSLContext:
    """Without session tickets, which the client would have to read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0
    credential.load_into(context)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=clients.pem)
    return context


def client_contexts(
    authority: Authority, pins: PinSet, credential: Credential | None
) -> dict[str, ssl.SSLContext]:
    """The alternatives."""
    contexts: dict[str, ssl.SSLContext] = {PLAIN: ssl.create_default_context(cadata=authority.pem)}
    for early in (OFF, AUTO):
        pinned = pinsock.create_default_context(pins, cadata=authority.pem)
        pinned.early_verdict = early  # type: ignore[assignment]
        contexts[early] = pinned
    if credential is not None:
        for context in contexts.values():
            credential.load_into(context)
    return contexts


def pair(client: ssl.SSLContext, server: ssl.SSLContext) -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
    """Both ends of a connection in memory, before the handshake."""
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    near = client.wrap_socket(ends[0], do_handshake_on_connect=False, server_hostname=HOST)
    return near, server.wrap_socket(ends[1], server_side=True, do_handshake_on_connect=False)


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext) -> Meeting:
    """In one thread: each end goes on when the other waits."""
    begin = perf_counter()
    near, far = pair(client, server)
    start = perf_counter()
    with contextlib.suppress(ssl.SSLWantReadError):
        near.do_handshake()
    client_seconds = perf_counter() - start
    with contextlib.suppress(ssl.SSLWantReadError):
        far.do_handshake()
    start = perf_counter()
    near.do_handshake()
    client_seconds += perf_counter() - start
    far.do_handshake()
    return Meeting(near, far, perf_counter() - begin, client_seconds)


def is_identified(client: ssl.SSLContext, impostor: ssl.SSLContext) -> bool:
    """Whether an impostor gets to the end of its handshake, the client's certificate in hand."""
    near, far = pair(client, impostor)
    with near, far:
        for end in (near, far, near):
            with contextlib.suppress(ssl.SSLWantReadError, PinMismatchError):
                end.do_handshake()
        try:
            far.do_handshake()
        except (ssl.SSLError, ConnectionError):
            return False
        return True


def handshakes(
    clients: Mapping[str, ssl.SSLContext], server: ssl.SSLContext, rounds: int
) -> dict[str, dict[str, list[float]]]:
    """Seconds by what is measured and by client; who goes first is drawn anew in each round."""
    times: dict[str, dict[str, list[float]]] = {
        "handshake": {name: [] for name in clients},
        "handshake, client's part": {name: [] for name in clients},
    }
    order = list(clients)
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            random.shuffle(order)
            for name in order:
                meeting = shake_hands(clients[name], server)
                times["handshake"][name].append(meeting.seconds)
                times["handshake, client's part"][name].append(meeting.client_seconds)
                meeting.close()
    finally:
        gc.enable()
    return times


def ratio_of_medians(times: Mapping[str, list[float]], against: str, parts: int = 20) -> Ratio:
    """The ratio of the medians over all rounds; the spread is that of the same over parts of it."""
    size = max(1, len(times[AUTO]) // parts)
    spread = sorted(
        statistics.median(times[AUTO][i : i + size])
        / statistics.median(times[against][i : i + size])
        for i in range(0, len(times[AUTO]) - size + 1, size)
    )
    cut = len(spread) // 10
    return Ratio(
        statistics.median(times[AUTO]) / statistics.median(times[against]),
        spread[cut],
        spread[-1 - cut],
    )


def messages(
    clients: Mapping[str, ssl.SSLContext], server: ssl.SSLContext, size: int, rounds: int
) -> dict[str, list[float]]:
    """Seconds of a message from the client that the server has read."""
    with contextlib.ExitStack() as stack:
        alternatives = {}
        for name, context in clients.items():
            meeting = shake_hands(context, server)
            stack.callback(meeting.close)
            names = {
                "write": meeting.near.send,
                "read": meeting.far.recv,
                "message": bytes(size),
                "size": size,
            }
            alternatives[name] = Alternative("write(message); read(size)", names)
        return dict(time_in_turn(alternatives, rounds))


def show(what: str, against: str, spread: Ratio, goal: float | None) -> None:
    verdict = "" if goal is None else f"   goal {goal}{'' if spread.median <= goal else ', missed'}"
    print(f"  {what:26} auto / {against:4} {spread}{verdict}")


def main() -> None:
    """Prove that the alternatives differ as they should, then time them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.early", description=__doc__)
    parser.add_argument("--rounds", type=int, default=2000, help="handshakes of each kind")
    rounds = parser.parse_args().rounds

    authority = Authority()
    good, other, own = authority.issue(HOST), authority.issue(HOST), authority.issue("me.example")
    pins = PinSet([good.pin], [authority.issue(HOST).pin])
    for credential in (None, own):
        clients = client_contexts(authority, pins, credential)
        server = server_context(good, None if credential is None else authority)
        print(f"a client {'without' if credential is None else 'with'} a certificate")
        if credential is not None:
            impostor = server_context(other, authority)
            assert is_identified(clients[OFF], impostor), "there is nothing to protect"
            assert not is_identified(clients[AUTO], impostor), "it does not protect"
        handshakes(clients, server, min(rounds, 100))  # warm up
        for what, times in handshakes(clients, server, rounds).items():
            for against in (OFF, PLAIN):
                goal = GOALS.get(what) if credential else None
                show(what, against, ratio_of_medians(times, against), goal)
        for size in (64, 16384):
            times_of = messages(clients, server, size, max(10, rounds // 4))
            what = f"{size} bytes"
            for against in (OFF, PLAIN):
                goal = GOALS[what] if credential else None
                show(what, against, ratio(times_of, AUTO, against), goal)


if __name__ == "__main__":
    main()
