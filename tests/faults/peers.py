"""Peers with the right certificate or a wrong one whose handshake goes wrong at a chosen message.

What is counted are TLS records: OpenSSL puts each message of a handshake into one of its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import select
import socket
import ssl
import termios
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Event
from time import monotonic, sleep
from typing import TYPE_CHECKING, TypeAlias

from support.contexts import client, server
from support.impostor import BANNER, HOST, WAIT, Report, advance, at_once, reset_by

from pinsock import PinnedContext, PinSet, pin_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pinsock._throwaway import Authority, Credential

__all__ = [
    "ENDS",
    "FAULTS",
    "SHORT",
    "WAITS",
    "Fault",
    "Faulty",
    "Meeting",
    "await_taken",
    "messages",
    "records",
]

#: Seconds that our end gives a handshake whose peer falls silent, or is too slow.
SHORT = 0.06


def records(flight: bytes) -> Iterator[bytes]:
    """The records of a flight (RFC 8446, section 5.1)."""
    while flight:
        end = 5 + int.from_bytes(flight[3:5], "big")
        yield flight[:end]
        flight = flight[end:]


@dataclass(frozen=True)
class Meeting:
    """A pinned end of ours, and a peer."""

    ours: PinnedContext
    theirs: ssl.SSLContext
    server_side: bool
    """Of ours."""

    @classmethod
    def between(
        cls,
        side: str,
        authority: Authority,
        pinned: Credential,
        shown: Credential,
        version: ssl.TLSVersion | None,
    ) -> Meeting:
        """Both show a certificate, so that there are messages in both directions.

        :param side: ``"client"`` or ``"server"``: what we are.
        :param shown: the peer's.
        """
        if side == "client":
            plain = client(authority, version, credential=pinned)
            theirs = server(shown, version, clients=authority)
        else:
            plain = server(pinned, version, clients=authority)
            theirs = client(authority, version, credential=shown)
        ours = pin_context(plain, PinSet(pinned.pin, None))
        return cls(ours, theirs, side == "server")


@functools.cache
def messages(
    side: str, authority: Authority, credential: Credential, version: ssl.TLSVersion
) -> int:
    """How many records the peer sends before our end is through with its handshake."""
    meeting = Meeting.between(side, authority, credential, credential, version)
    here, there = ssl.MemoryBIO(), ssl.MemoryBIO()
    name = None if meeting.server_side else HOST
    ours = meeting.ours.wrap_bio(here, there, meeting.server_side, server_hostname=name)
    name = HOST if meeting.server_side else None
    theirs = meeting.theirs.wrap_bio(
        far_in := ssl.MemoryBIO(),
        far_out := ssl.MemoryBIO(),
        not meeting.server_side,
        server_hostname=name,
    )
    count = 0
    for _ in range(10):
        with contextlib.suppress(ssl.SSLWantReadError):
            theirs.do_handshake()
        for record in [*records(far_out.read()), b""]:
            here.write(record)
            try:
                ours.do_handshake()
            except ssl.SSLWantReadError:
                count += bool(record)
            else:
                return count + 1
        far_in.write(there.read())
    raise AssertionError("the handshake does not end")


# --- faults: what is done in the place of sending a record, and whether the peer goes on ----------

Fault: TypeAlias = "Callable[[Faulty, socket.socket, bytes], bool]"


def resets(_: Faulty, sock: socket.socket, _record: bytes) -> bool:
    reset_by(sock)
    return False


def stalls(_: Faulty, _sock: socket.socket, _record: bytes) -> bool:
    return False


def half_closes(_: Faulty, sock: socket.socket, _record: bytes) -> bool:
    sock.shutdown(socket.SHUT_WR)
    return False


def midway(fault: Fault) -> Fault:
    """After half of the record."""

    def strike(peer: Faulty, sock: socket.socket, record: bytes) -> bool:
        sock.sendall(record[: len(record) // 2])
        return fault(peer, sock, record)

    return strike


def says(change: Callable[[bytes], bytes]) -> Fault:
    """Something else than the record, and no more."""

    def strike(_: Faulty, sock: socket.socket, record: bytes) -> bool:
        sock.sendall(change(record))
        return False

    return strike


def drips(peer: Faulty, sock: socket.socket, record: bytes) -> bool:
    """Our end has taken each byte before the next is sent; it does go on."""
    for i in range(len(record)):
        sock.sendall(record[i : i + 1])
        await_taken(peer)
    return True


def await_taken(peer: Faulty) -> None:
    """Until our end has read all that was sent, or is closed, which is an OSError."""
    near = peer.near.result(WAIT)
    bound = monotonic() + WAIT
    while fcntl.ioctl(near, termios.FIONREAD, bytes(4)) != bytes(4):
        assert monotonic() < bound, "our end does not read"
        sleep(0)


def drips_too_slowly(_: Faulty, sock: socket.socket, record: bytes) -> bool:
    """A byte comes before each wait has ended, but all of them take longer than SHORT, and the last
    one never comes: a handshake over a socket that ran out of time may be gone on with."""
    for i in range(len(record) - 1):
        sock.sendall(record[i : i + 1])
        if select.select([sock], [], [], SHORT / 3)[0]:
            break  # our end has hung up
    return False


def alert(level: int, description: int) -> bytes:
    """In the clear (RFC 8446, section 6)."""
    return bytes([21, 3, 3, 0, 2, level, description])


FAULTS: dict[str, Fault] = {
    "resets in a message": midway(resets),
    "resets before a message": resets,
    "stalls in a message": midway(stalls),
    "stalls before a message": stalls,
    "half-closes in a message": midway(half_closes),
    "half-closes before a message": half_closes,
    # Of the right length and type; of the right type alone; not even a record.
    "sends garbage": says(lambda record: record[:5] + bytes(byte ^ 0xA5 for byte in record[5:])),
    "sends too long a record": says(lambda record: record[:3] + b"\xff\xff" + record[5:]),
    "sends no TLS": says(lambda record: bytes(len(record))),
    "sends a fatal alert": says(lambda _: alert(2, 40)),  # handshake_failure
    "says goodbye": says(lambda _: alert(1, 0)),  # close_notify
    "drips": drips,
    "drips too slowly": drips_too_slowly,
}
#: After these there is no handshake, whatever the key.
ENDS = frozenset(FAULTS) - {"drips"}
#: These our end does not notice before its time is out.
WAITS = frozenset({"stalls in a message", "stalls before a message", "drips too slowly"})


@dataclass
class Faulty:
    """A conversation (see ``support.impostor``) in which one record goes wrong; what follows is
    never sent, unless the fault is one after which the peer goes on."""

    meeting: Meeting
    fault: Fault = stalls
    at: int = -1
    """The number of the record, from 0; -1: none."""
    near: Future[int] = field(default_factory=Future)
    """The descriptor of our end, from whoever has made it."""
    reached: bool = False
    """Whether it came to that record."""
    settled: Event = field(default_factory=Event)
    """Set once it did, or never will."""

    def __call__(self, sock: socket.socket, report: Report) -> None:
        try:
            self._converse(sock, report)
        finally:
            self.settled.set()

    def _converse(self, sock: socket.socket, report: Report) -> None:
        at_once(sock)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.meeting.theirs.wrap_bio(
            incoming,
            outgoing,
            server_side=not self.meeting.server_side,
            server_hostname=HOST if self.meeting.server_side else None,
        )
        sent = 0
        speaking = True
        while True:
            if report.error is None:
                advance(tls, BANNER, report)
            for record in records(outgoing.read()):
                if not speaking:
                    break
                with contextlib.suppress(OSError):  # our end may have cut the connection
                    if sent == self.at:
                        self.reached = True
                        speaking = self.fault(self, sock, record)
                        self.settled.set()
                    else:
                        sock.sendall(record)
                sent += 1
            if sock.fileno() == -1:
                report.ended = "reset"
                return
            data = sock.recv(65536)
            if not data:
                report.ended = "eof"
                return
            report.take(data)
            incoming.write(data)
