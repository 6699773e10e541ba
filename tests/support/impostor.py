"""Peers on loopback that write down what they got of each connection.

An impostor is a real TLS peer, but it sits on the bytes of the wire itself (TLS goes through
MemoryBIOs), so that it can tell application data, TLS records and bytes in the clear apart, and how
the connection ended.  It sends its banner with the last bytes of its handshake: a peer that is to
be refused has then already spoken when it is.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

__all__ = [
    "BANNER",
    "HOST",
    "SECRET",
    "WAIT",
    "Conversation",
    "Impostor",
    "Report",
    "advance",
    "at_once",
    "calling",
    "over_tls",
    "reset_by",
    "resets",
    "sends",
    "serving",
]

#: The name that every certificate of the tests is made out to; connections go to 127.0.0.1.
HOST = "server.example"
#: What must never reach an impostor.
SECRET = b"the secret that only the pinned peer may have"
#: What must never come back from one.
BANNER = b"220 whatever an impostor says first"
#: Seconds: the bound of every wait.  Nothing waits that long unless something is wrong.
WAIT = 20.0

_LARGEST_RECORD = 2**14 + 2048  # RFC 5246, section 6.2.3; less in TLS 1.3


@dataclass
class Report:
    """What a peer saw of one connection."""

    raw: bytes = b""
    """All that came over the wire."""
    records: Counter[int] = field(default_factory=Counter)
    """TLS records by content type (RFC 8446, appendix B.1): 21 alert, 22 handshake, 23 data."""
    plaintext: bytes = b""
    """From the first byte on that is not part of a TLS record."""
    application: bytes = b""
    """What was decrypted."""
    shaken: bool = False
    """Whether the handshake ended well on the peer's side."""
    resumed: bool = False
    certificate: bytes | None = None
    """What the other side showed, in DER."""
    error: Exception | None = None
    """What went wrong on the peer's side."""
    ended: str = ""
    """``"eof"``, ``"reset"``, or ``""`` if the connection still stood after WAIT seconds."""

    _rest: bytes = b""

    def take(self, data: bytes) -> None:
        """Sort what came over the wire."""
        self.raw += data
        if self.plaintext:
            self.plaintext += data
            return
        rest = self._rest + data
        while rest:
            if not _may_be_record(rest):
                self.plaintext, rest = rest, b""
                break
            size = 5 + int.from_bytes(rest[3:5], "big")
            if len(rest) < 5 or len(rest) < size:
                break
            self.records[rest[0]] += 1
            rest = rest[size:]
        self._rest = rest

    def got_nothing(self) -> bool:
        """Whether no application data came, encrypted or not, and no byte in the clear."""
        return not (self.application or self.plaintext or SECRET in self.raw)


def _may_be_record(data: bytes) -> bool:
    """Whether these bytes begin a TLS record, as far as they go (RFC 8446, section 5.1)."""
    return (
        20 <= data[0] <= 23
        and data[1:2] in (b"", b"\x03")
        and data[2:3] in (b"", b"\x01", b"\x02", b"\x03")
        and (len(data) < 5 or int.from_bytes(data[3:5], "big") <= _LARGEST_RECORD)
    )


Conversation = Callable[[socket.socket, Report], None]


def over_tls(
    context: ssl.SSLContext,
    *,
    server_side: bool = True,
    banner: bytes = BANNER,
    before_answer: threading.Event | None = None,
) -> Conversation:
    """Shake hands, say the banner, listen to the end.

    :param before_answer: no byte is sent before this is set.
    """

    def converse(sock: socket.socket, report: Report) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(
            incoming,
            outgoing,
            server_side=server_side,
            server_hostname=None if server_side else HOST,
        )
        while True:
            if report.error is None:
                advance(tls, banner, report)
            answer = outgoing.read()
            if answer and before_answer is not None and not before_answer.wait(WAIT):
                return
            # Whoever has cut the connection may still have sent something before.
            with contextlib.suppress(ConnectionError):
                sock.sendall(answer)
            data = sock.recv(65536)
            if not data:
                report.ended = "eof"
                return
            report.take(data)
            incoming.write(data)

    return converse


def advance(tls: ssl.SSLObject, banner: bytes, report: Report) -> None:
    """Go on with TLS as far as the bytes that have come allow."""
    try:
        if not report.shaken:
            tls.do_handshake()
            report.shaken = True
            report.resumed = bool(tls.session_reused)
            report.certificate = tls.getpeercert(True)
            if banner:
                tls.write(banner)
        while data := tls.read(65536):
            report.application += data
        with contextlib.suppress(ssl.SSLError):
            tls.unwrap()
    except ssl.SSLWantReadError:
        pass
    except ssl.SSLError as error:
        report.error = error


def sends(*answers: bytes, first: bytes = b"") -> Conversation:
    """Say ``first`` unasked, and one answer for each time that something came.  No TLS."""

    def converse(sock: socket.socket, report: Report) -> None:
        sock.sendall(first)
        left = list(answers)
        while data := sock.recv(65536):
            report.take(data)
            if left:
                with contextlib.suppress(ConnectionError):
                    sock.sendall(left.pop(0))
        report.ended = "eof"

    return converse


def reset_by(sock: socket.socket) -> None:
    """End a connection with a TCP reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def resets(sock: socket.socket, report: Report) -> None:
    """Answer the first bytes with a TCP reset."""
    report.take(sock.recv(65536))
    reset_by(sock)
    report.ended = "reset"


class Impostor:
    """A peer in a thread of its own; made by :func:`serving` or :func:`calling`."""

    def __init__(self, converse: Conversation) -> None:
        self._converse = converse
        self._reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self._live: set[socket.socket] = set()
        self.address = ("", 0)

    def report(self) -> Report:
        """What was seen of the next connection, once that has ended."""
        return self._reports.get(timeout=WAIT + 5)

    def attend(self, sock: socket.socket) -> None:
        """See one connection through."""
        report = Report()
        self._live.add(sock)
        with sock:
            sock.settimeout(WAIT)
            try:
                self._converse(sock, report)
            except ConnectionError:
                report.ended = "reset"
            except TimeoutError:
                pass  # the report says that the connection stands
            self._live.discard(sock)
        self._reports.put(report)

    def hang_up(self) -> None:
        for sock in list(self._live):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def _in_thread(work: Callable[[], None], impostor: Impostor) -> Iterator[Impostor]:
    thread = threading.Thread(target=work, name="impostor")
    thread.start()
    try:
        yield impostor
    finally:
        impostor.hang_up()
        thread.join(WAIT)
        assert not thread.is_alive(), "the impostor did not end"


@contextlib.contextmanager
def serving(converse: Conversation | ssl.SSLContext) -> Iterator[Impostor]:
    """A server on loopback, for one connection after the other."""
    if isinstance(converse, ssl.SSLContext):
        converse = over_tls(converse)
    impostor = Impostor(converse)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        impostor.address = listener.getsockname()

        def serve() -> None:
            with contextlib.suppress(OSError):  # the listener was shut down
                while True:
                    impostor.attend(listener.accept()[0])

        with _in_thread(serve, impostor):
            try:
                yield impostor
            finally:
                with contextlib.suppress(OSError):
                    listener.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def calling(
    address: tuple[str, int], converse: Conversation | ssl.SSLContext
) -> Iterator[Impostor]:
    """A client that connects there, once."""
    if isinstance(converse, ssl.SSLContext):
        converse = over_tls(converse, server_side=False)
    impostor = Impostor(converse)
    impostor.address = address
    sock = socket.create_connection(address, WAIT)
    with _in_thread(lambda: impostor.attend(sock), impostor):
        yield impostor


def at_once(sock: socket.socket) -> None:
    """Let no byte wait for the acknowledgement of another: what leaks is seen."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
