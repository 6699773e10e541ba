"""The bytes of one connection: what a client sent, sorted, and TLS on top of any stream.

TLS goes through MemoryBIOs here, so that application data, TLS records and bytes in the clear can
be told apart, and so that TLS can go through TLS.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Kept", "Plain", "Seen", "Stream", "Tls", "drain", "exactly", "line", "pump", "reset"]

T = TypeVar("T")

_LARGEST_RECORD = 2**14 + 2048  # RFC 5246, section 6.2.3; less in TLS 1.3


class Stream(Protocol):
    """What both TLS and a socket are, to those who serve over it."""

    def recv(self, size: int = 65536, /) -> bytes:
        """At least one byte and at most so many; none at the end."""

    def sendall(self, data: bytes, /) -> None: ...

    def end(self) -> None:
        """Say that no more is to come."""


@dataclass
class Seen:
    """What a server or an interceptor saw of one client's connection."""

    preamble: bytes = b""
    """What was said in the clear before TLS was due, to come to it: CONNECT, STARTTLS."""
    application: bytes = b""
    """What the client sent in TLS, decrypted."""
    not_tls: bytes = b""
    """What came where TLS was due and is no TLS, from its first byte on; before that, what was said
    in the clear and is not needed to come to TLS."""
    shaken: bool = False
    """Whether the handshake ended well on the server's side."""
    resumed: bool = False
    client_certificate: bytes | None = None
    """In DER; empty if it was sent, but did not hold."""
    error: Exception | None = None
    """What ended the connection on the server's side, other than its end."""

    _rest: bytes = b""
    _is_tls: bool = True

    def hear(self, data: bytes, *, needed: bool) -> None:
        """Note what was said in the clear before TLS is due.

        :param needed: whether it takes this to come to TLS.
        """
        if needed:
            self.preamble += data
        else:
            self.not_tls += data

    def take(self, data: bytes) -> None:
        """Sort what came over the wire where TLS is due."""
        if not self._is_tls:
            self.not_tls += data
            return
        rest = self._rest + data
        while rest:
            if not _may_be_record(rest):
                self._is_tls = False
                self.not_tls, rest = self.not_tls + rest, b""
                break
            size = 5 + int.from_bytes(rest[3:5], "big")
            if len(rest) < 5 or len(rest) < size:
                break
            rest = rest[size:]
        self._rest = rest

    def begin_again(self) -> None:
        """What comes next is not within what came before: another layer of TLS has ended."""
        self._rest = b""


def _may_be_record(data: bytes) -> bool:
    """Whether these bytes begin a TLS record, as far as they go (RFC 8446, section 5.1)."""
    return (
        20 <= data[0] <= 23
        and data[1:2] in (b"", b"\x03")
        and data[2:3] in (b"", b"\x01", b"\x02", b"\x03", b"\x04")
        and (len(data) < 5 or int.from_bytes(data[3:5], "big") <= _LARGEST_RECORD)
    )


class Plain:
    """A socket whose waits are bounded, and which can be ended without losing what has come.

    :param timeout: seconds, for each wait.
    """

    def __init__(self, sock: socket.socket, timeout: float) -> None:
        self.sock = sock
        self.timeout = timeout
        sock.settimeout(timeout)
        with contextlib.suppress(OSError):  # no TCP, no delay
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._awake, self._wake = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(sock, selectors.EVENT_READ)
        self._selector.register(self._awake, selectors.EVENT_READ)

    def recv(self, size: int = 65536, /) -> bytes:
        if self.sock.fileno() < 0:
            return b""  # reset() has closed it
        ready = {key.fileobj for key, _ in self._selector.select(self.timeout)}
        if self.sock in ready:
            return self.sock.recv(size)
        if ready:
            return b""  # finish() was called, and nothing more has come
        raise TimeoutError(f"nothing came in {self.timeout} seconds")

    def sendall(self, data: bytes, /) -> None:
        self.sock.sendall(data)

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def finish(self) -> None:
        """From another thread: take what has come, wait for no more."""
        with contextlib.suppress(OSError):
            self._wake.send(b"x")

    def close(self) -> None:
        self._selector.close()
        for sock in (self.sock, self._awake, self._wake):
            sock.close()


class Tls:
    """TLS over a stream.  One thread may read while another writes.

    :param seen: where to note what comes; ``None``: nowhere.
    """

    def __init__(
        self,
        transport: Stream,
        context: ssl.SSLContext,
        *,
        server_side: bool = True,
        name: str | None = None,
        seen: Seen | None = None,
    ) -> None:
        self._transport = transport
        self._seen = Seen() if seen is None else seen
        self._lock = threading.RLock()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side, name)

    def shake(self) -> None:
        """The handshake; on an error the peer gets its alert, and is listened to until its end."""
        try:
            self._do(self._tls.do_handshake)
        except ssl.SSLError as error:
            if isinstance(error, ssl.SSLCertVerificationError):
                self._seen.client_certificate = b""
            self._listen_to_the_end()
            raise
        self._seen.shaken = True
        self._seen.resumed = bool(self._tls.session_reused)
        self._seen.client_certificate = self._tls.getpeercert(True)

    @property
    def protocol(self) -> str | None:
        """The protocol that ALPN chose."""
        return self._tls.selected_alpn_protocol()

    def recv(self, size: int = 65536, /) -> bytes:
        try:
            data = self._do(lambda: self._tls.read(size))
        except (ssl.SSLZeroReturnError, EOFError):
            return b""
        except ssl.SSLError:
            self._listen_to_the_end()
            raise
        self._seen.application += data
        return data

    def sendall(self, data: bytes, /) -> None:
        try:
            with self._lock:
                for start in range(0, len(data), 16384):
                    self._tls.write(data[start : start + 16384])
                self._flush()
        except ConnectionError:
            drain(self)  # whoever has gone may have said something before
            raise

    def end(self) -> None:
        with self._lock, contextlib.suppress(OSError):
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()
            self._flush()
        self._transport.end()

    def _do(self, step: Callable[[], T]) -> T:
        while True:
            with self._lock:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    pass
                finally:
                    # Whoever has gone may still have said something before.
                    with contextlib.suppress(ConnectionError):
                        self._flush()
            data = self._transport.recv(65536)
            if not data:
                # OpenSSL is not told: it would answer no more to what has come before.
                raise EOFError("the other side has gone")
            with self._lock:
                self._seen.take(data)
                self._incoming.write(data)

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self._transport.sendall(data)

    def _listen_to_the_end(self) -> None:
        self._transport.end()
        with contextlib.suppress(OSError):
            while data := self._transport.recv(65536):
                self._seen.take(data)


class Kept:
    """A stream, and what has been read from it.

    What reads whole messages raises at one that is cut short; its beginning is here.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.data = b""

    def recv(self, size: int = 65536, /) -> bytes:
        data = self._stream.recv(size)
        self.data += data
        return data

    def sendall(self, data: bytes, /) -> None:
        self._stream.sendall(data)

    def end(self) -> None:
        self._stream.end()


def drain(stream: Stream) -> None:
    """Read to the end, for whoever keeps count."""
    with contextlib.suppress(OSError):
        while stream.recv(65536):
            pass


def pump(source: Stream, target: Stream) -> None:
    """Carry what comes from the one to the other, to the end."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    target.end()


def reset(sock: socket.socket) -> None:
    """End a connection with a TCP reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def exactly(stream: Stream, size: int) -> bytes:
    """The next so many bytes; no more is taken from the stream."""
    data = b""
    while len(data) < size:
        more = stream.recv(min(size - len(data), 65536))
        if not more:
            raise EOFError(f"the connection ended after {data!r}")
        data += more
    return data


def line(stream: Stream) -> bytes:
    """The next line, with its end; no more is taken from the stream."""
    data = b""
    while not data.endswith(b"\n"):
        data += exactly(stream, 1)
    return data
