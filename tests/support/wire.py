"""Both ends of a connection in one thread, so that a test can stop it wherever it likes."""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from support.impostor import BANNER, HOST, Report, advance

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Wire", "wraps"]

T = TypeVar("T")


class Wire:
    """Our end (``near``), over a socket or over MemoryBIOs, and a peer that keeps a report.

    The peer moves only when it is told to, by :meth:`do` or :meth:`carry`.
    """

    near: Any
    #: What is done to what the peer says.
    alter: Callable[[bytes], bytes] = staticmethod(lambda answer: answer)

    def __init__(
        self,
        ours: ssl.SSLContext,
        theirs: ssl.SSLContext,
        *,
        over: Literal["bio", "socket"] = "bio",
        server_side: bool = False,
        session: ssl.SSLSession | None = None,
        banner: bytes = BANNER,
        host: str = HOST,
    ) -> None:
        self.report = Report()
        self._banner = banner
        self._far_in, self._far_out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.far = theirs.wrap_bio(
            self._far_in,
            self._far_out,
            server_side=not server_side,
            server_hostname=HOST if server_side else None,
        )
        name = None if server_side else host
        self._far_sock: socket.socket | None = None
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        if over == "bio":
            self.near = ours.wrap_bio(
                self.incoming, self.outgoing, server_side, server_hostname=name, session=session
            )
        else:
            near, self._far_sock = socket.socketpair()
            near.setblocking(False)
            self._far_sock.setblocking(False)
            self.near = ours.wrap_socket(
                near,
                server_side,
                do_handshake_on_connect=False,
                server_hostname=name,
                session=session,
            )

    def carry(self) -> None:
        """Carry to the peer what is on the wire, let it go on, and carry its answer back."""
        came = self._collect()
        self.report.take(came)
        self._far_in.write(came)
        if self.report.error is None:
            advance(self.far, self._banner, self.report)
        answer = self.alter(self._far_out.read())
        with contextlib.suppress(ConnectionError):
            self.say(answer)

    def say(self, data: bytes) -> None:
        """The peer says this, whatever it is."""
        if self._far_sock is None:
            self.incoming.write(data)
        else:
            self._far_sock.sendall(data)

    def do(self, step: Callable[[], T]) -> T:
        """Our end takes this step, however often it has to wait for the peer."""
        for _ in range(20):
            try:
                return step()
            except ssl.SSLWantReadError:
                self.carry()
        raise AssertionError("neither end goes on")

    def finish(self) -> Report:
        """What the peer has seen by now; ``ended`` is told by sockets alone."""
        self.carry()
        return self.report

    def is_dead(self) -> bool:
        """Whether nothing more is to come from our end: an end of file, or an empty BIO."""
        if self._far_sock is None:
            return not self.outgoing.pending
        self.carry()
        return self.report.ended != ""

    def _collect(self) -> bytes:
        if self._far_sock is None:
            return self.outgoing.read()
        came = b""
        try:
            while data := self._far_sock.recv(65536):
                came += data
            self.report.ended = "eof"
        except BlockingIOError:
            pass
        except ConnectionError:
            self.report.ended = "reset"
        return came

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._far_sock is not None:
            self._far_sock.close()
            self.near.close()


def wraps(context: ssl.SSLContext, over: Literal["bio", "socket"]) -> bool:
    """Whether it wraps a client's end, and does not raise."""
    if over == "bio":
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=HOST)
        return True
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        context.wrap_socket(near, do_handshake_on_connect=False, server_hostname=HOST).close()
    return True
