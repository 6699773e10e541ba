"""``python -m benchmarks.in_place``: what pinning costs a real connection, against plain ``ssl``.

The client's part of a TLS 1.3 handshake over memory BIOs (P-256, two pins), the data path after
it, and the second call of ``pinsock.create_connection``.  Everything takes turns in one run, and
what is printed are ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import random
import socket
import ssl
import statistics
import threading
import warnings
from time import perf_counter
from typing import TYPE_CHECKING, Final

import pinsock
from benchmarks.interleaved import Alternative, Ratio, ratio, time_in_turn
from pinsock import PinMismatchError, PinSet
from pinsock._throwaway import Authority, Credential

if TYPE_CHECKING:
    from collections.abc import Mapping

HOST: Final = "localhost"
PLAIN: Final = "ssl"
PINNED: Final = "pinsock"


def server_context(credential: Credential) -> ssl.SSLContext:
    """Without session tickets, which the client would have to read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0
    credential.load_into(context)
    return context


def shake_hands(
    client: ssl.SSLContext, server: ssl.SSLContext
) -> tuple[float, ssl.SSLObject, ssl.SSLObject]:
    """A handshake in memory: the seconds that the client's part took, and both ends."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    start = perf_counter()
    near = client.wrap_bio(to_client, to_server, server_hostname=HOST)
    try:
        near.do_handshake()
    except ssl.SSLWantReadError:
        seconds = perf_counter() - start
    far = server.wrap_bio(to_server, to_client, server_side=True)
    try:
        far.do_handshake()
    except ssl.SSLWantReadError:
        start = perf_counter()
    near.do_handshake()
    seconds += perf_counter() - start
    far.do_handshake()
    return seconds, near, far


def handshakes(
    clients: Mapping[str, ssl.SSLContext], server: ssl.SSLContext, rounds: int
) -> dict[str, list[float]]:
    """Seconds of the client's part, by client; who goes first is drawn anew in each round."""
    times: dict[str, list[float]] = {name: [] for name in clients}
    order = list(clients)
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            random.shuffle(order)
            for name in order:
                times[name].append(shake_hands(clients[name], server)[0])
    finally:
        gc.enable()
    return times


def ratio_of_medians(times: Mapping[str, list[float]], parts: int = 20) -> Ratio:
    """The ratio of the medians over all rounds; the spread is that of the same over parts of it."""
    plain, pinned = times[PLAIN], times[PINNED]
    size = max(1, len(plain) // parts)
    spread = sorted(
        statistics.median(pinned[i : i + size]) / statistics.median(plain[i : i + size])
        for i in range(0, len(plain) - size + 1, size)
    )
    cut = len(spread) // 10
    return Ratio(
        statistics.median(pinned) / statistics.median(plain), spread[cut], spread[-1 - cut]
    )


def data_path(
    clients: Mapping[str, ssl.SSLContext], server: ssl.SSLContext, rounds: int
) -> dict[int, Ratio]:
    """A message from the client, read by the server: seconds of both, by bytes a message."""
    ratios = {}
    for size in (64, 16384):
        alternatives = {}
        for name, context in clients.items():
            _, near, far = shake_hands(context, server)
            names = {"write": near.write, "read": far.read, "message": bytes(size), "size": size}
            alternatives[name] = Alternative("write(message); read(size)", names)
        ratios[size] = ratio(time_in_turn(alternatives, rounds), PINNED, PLAIN)
    return ratios


def second_call(pins: PinSet, server: ssl.SSLContext) -> tuple[float, float]:
    """Seconds of the first and of the second ``create_connection`` with these pins.

    The default trust store does not have the throw-away authority, so both end in a refusal; but
    by then the context was made, which is what takes long.
    """
    seconds = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def serve() -> None:
            for _ in range(2):
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(10)
                    with contextlib.suppress(OSError):
                        server.wrap_socket(connection, server_side=True).close()

        thread = threading.Thread(target=serve)
        thread.start()
        for _ in range(2):
            start = perf_counter()
            try:
                pinsock.create_connection(
                    listener.getsockname(), pins, timeout=10, server_hostname=HOST
                ).close()
            except ssl.SSLCertVerificationError:
                pass
            else:
                raise AssertionError("the default trust store has a throw-away authority")
            seconds.append(perf_counter() - start)
        thread.join(10)
    return seconds[0], seconds[1]


def main() -> None:
    """Prove that both contexts do what they should, then time them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.in_place", description=__doc__)
    parser.add_argument("--rounds", type=int, default=4000, help="handshakes of each kind")
    rounds = parser.parse_args().rounds

    authority = Authority()
    good, other = authority.issue(HOST), authority.issue(HOST)
    pins = PinSet([good.pin], [authority.issue(HOST).pin])
    clients = {
        PLAIN: ssl.create_default_context(cadata=authority.pem),
        PINNED: pinsock.create_default_context(pins, cadata=authority.pem),
    }
    server = server_context(good)
    try:
        shake_hands(clients[PINNED], server_context(other))
    except PinMismatchError:
        pass
    else:
        raise AssertionError("a key that is not pinned was accepted")
    shake_hands(clients[PLAIN], server_context(other))

    handshakes(clients, server, min(rounds, 200))  # warm up
    times = handshakes(clients, server, rounds)
    result = ratio_of_medians(times)
    added = (statistics.median(times[PINNED]) - statistics.median(times[PLAIN])) * 1e6
    print(f"handshake, client's part: pinsock / ssl {result}, {added:.1f} us more, {rounds} rounds")
    for size, spread in data_path(clients, server, max(10, rounds // 100)).items():
        print(f"data path, {size} bytes:      pinsock / ssl {spread}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, second = second_call(pins, server)
    print(f"create_connection without a context: first / second call {first / second:8.2f}")


if __name__ == "__main__":
    main()
