"""What the early verdict costs, against doing without it.

Over sockets, where it takes CPython's message callback; over BIOs it is a look at what is there.
Handshakes of TLS 1.3 (P-256) and messages on the connection afterwards, for a client without and
with a certificate of its own.  Everything takes turns in one run, and what is printed are ratios.
"""

from __future__ import annotations

import contextlib
import gc
import random
import socket
import ssl
from time import thread_time
from typing import TYPE_CHECKING, Final, NamedTuple

import pinsock
from benchmarks.figures import Figure, Section
from benchmarks.interleaved import Alternative, Ratio, ratio, ratio_of_medians, time_in_turn
from benchmarks.meetings import HOST, PLAIN, server_context
from pinsock import PinMismatchError, PinSet
from pinsock._throwaway import Authority, Credential

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from benchmarks.figures import Effort

__all__ = ["costs"]

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


def client_contexts(
    authority: Authority, pins: PinSet, credential: Credential | None
) -> dict[str, ssl.SSLContext]:
    """The alternatives."""
    contexts: dict[str, ssl.SSLContext] = {PLAIN: ssl.create_default_context(cadata=authority.pem)}
    for early in (OFF, AUTO):
        pinned = pinsock.create_default_context(pins, cadata=authority.pem)
        pinned.early_verdict = early
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
    begin = thread_time()
    near, far = pair(client, server)
    start = thread_time()
    with contextlib.suppress(ssl.SSLWantReadError):
        near.do_handshake()
    client_seconds = thread_time() - start
    with contextlib.suppress(ssl.SSLWantReadError):
        far.do_handshake()
    start = thread_time()
    near.do_handshake()
    client_seconds += thread_time() - start
    far.do_handshake()
    return Meeting(near, far, thread_time() - begin, client_seconds)


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


def costs(effort: Effort) -> Iterator[Section]:
    """Prove that the alternatives differ as they should, then time them."""
    authority = Authority()
    good, other, own = authority.issue(HOST), authority.issue(HOST), authority.issue("me.example")
    pins = PinSet([good.pin], [authority.issue(HOST).pin])
    figures = []
    for credential in (None, own):
        clients = client_contexts(authority, pins, credential)
        server = server_context(good, clients=None if credential is None else authority)
        client = "with" if credential else "without"
        if credential is not None:
            impostor = server_context(other, clients=authority)
            if not is_identified(clients[OFF], impostor):
                raise AssertionError("there is nothing to protect")
            if is_identified(clients[AUTO], impostor):
                raise AssertionError("it does not protect")
        handshakes(clients, server, effort.rounds(100))  # warm up
        measured = handshakes(clients, server, effort.rounds(1500))
        for what, times in measured.items():
            figures += compared(what, client, ratio_of_medians, times)
        for size in (64, 16384):
            sent = messages(clients, server, size, effort.rounds(300))
            figures += compared(f"{size} bytes", client, ratio, sent)
    yield Section(
        "The early verdict over sockets",
        "A handshake of both ends, and a message of the client afterwards, for a client without "
        "and with a certificate of its own (TLS 1.3, P-256, a socket pair).",
        figures,
    )


def compared(
    what: str, client: str, measure: Callable[..., Ratio], times: Mapping[str, list[float]]
) -> list[Figure]:
    goal = GOALS.get(what) if client == "with" else None
    words = f"{what}, a client {client} a certificate: early verdict"
    return [
        Figure(
            f"{words} / {'without it' if against == OFF else 'plain ssl'}",
            measure(times, AUTO, against),
            -goal if goal and against == OFF else None,
            f"{words} / without it" if goal and against == OFF else "",
        )
        for against in (OFF, PLAIN)
    ]
