"""Peers with the right certificate or a wrong one whose handshake goes wrong at a chosen message.

What is counted are TLS records: OpenSSL puts each message of a handshake into one of its own.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING

from support.contexts import client, server
from support.impostor import BANNER, HOST, Report, advance, at_once, reset_by

from pinsock import PinnedContext, PinSet, pin_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pinsock._throwaway import Authority, Credential

__all__ = ["ENDS", "FAULTS", "Faulty", "Meeting", "messages", "records"]


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


def messages(meeting: Meeting) -> int:
    """How many records the peer sends before our end is through with its handshake."""
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


def resets(sock: socket.socket, record: bytes) -> bool:
    sock.sendall(record[: len(record) // 2])
    reset_by(sock)
    return False


def stalls(sock: socket.socket, record: bytes) -> bool:
    sock.sendall(record[: len(record) // 2])
    return False


def sends_garbage(sock: socket.socket, record: bytes) -> bool:
    """Of the right length and type."""
    sock.sendall(record[:5] + bytes(byte ^ 0xA5 for byte in record[5:]))
    return False


def sends_no_tls(sock: socket.socket, record: bytes) -> bool:
    """Not even a record."""
    sock.sendall(b"\0" * len(record))
    return False


def half_closes(sock: socket.socket, record: bytes) -> bool:
    sock.sendall(record[: len(record) // 2])
    sock.shutdown(socket.SHUT_WR)
    return False


def drips(sock: socket.socket, record: bytes) -> bool:
    """One byte at a time; it does go on."""
    for i in range(len(record)):
        sock.sendall(record[i : i + 1])
    return True


FAULTS: dict[str, Callable[[socket.socket, bytes], bool]] = {
    "resets": resets,
    "stalls": stalls,
    "sends garbage": sends_garbage,
    "sends no TLS": sends_no_tls,
    "half-closes": half_closes,
    "drips": drips,
}
#: After these there is no handshake, whatever the key.
ENDS = frozenset(FAULTS) - {"drips"}


@dataclass
class Faulty:
    """A conversation (see ``support.impostor``) in which one record goes wrong, and what follows
    is never sent, or does not go wrong and is sent one byte at a time."""

    meeting: Meeting
    fault: str
    at: int
    """The number of the record, from 0."""
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
                        speaking = FAULTS[self.fault](sock, record)
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
