"""A program on gevent or eventlet, driven line by line: what do its sockets let out, and in?

test_green.py starts it, after the library has patched what it patches, and says which one that is.
It reads one JSON object a line, does what that says, and answers in JSON.  What came of a call is
told in words: ``"raised NAME"`` or ``"returned VALUE"``.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import ssl
import sys
from typing import TYPE_CHECKING, Any

import pinsock

if TYPE_CHECKING:
    from collections.abc import Callable

LIBRARY, _, PATCHED = sys.argv[2].partition(", ")
if LIBRARY == "gevent":
    import gevent
    from gevent import select, socket
    from gevent import ssl as green_ssl
else:
    import eventlet
    from eventlet.green import select, socket
    from eventlet.green import ssl as green_ssl

#: Seconds, where the order says nothing else.
WAIT = 10.0
#: What no impostor may have.
SECRET = os.environb[b"SECRET"]


def told(call: Callable[[], object]) -> str:
    """What came of it, in words."""
    try:
        return f"returned {call()!r}"
    except Exception as error:
        return f"raised {type(error).__name__}"


def patiently(sock: Any, call: Callable[[Any], Any], timeout: float) -> Any:
    """Try again where a non-blocking socket has to wait for its peer."""
    while True:
        with contextlib.suppress(ssl.SSLWantReadError):
            # gevent's send() says 0 where that of ssl raises.
            if (result := call(sock)) != 0 or sock.gettimeout() != 0:
                return result
        if not select.select([sock], [], [], timeout)[0]:
            raise TimeoutError


# --- what a program may call ----------------------------------------------------------------------


def read_into(sock: Any) -> bytes:
    buffer = bytearray(100)
    return bytes(buffer[: sock.recv_into(buffer)])


def read_file(sock: Any) -> Any:
    with sock.makefile("rb") as file:
        return file.read(1)


def shut_then_send(sock: Any) -> Any:
    """What makes a socket of ``ssl`` a plain one."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RD)
    return sock.send(SECRET)


CALLS: dict[str, Callable[[Any], object]] = {
    "do_handshake": lambda sock: sock.do_handshake(),
    "send": lambda sock: sock.send(SECRET),
    "sendall": lambda sock: sock.sendall(SECRET),
    "sendfile": lambda sock: sock.sendfile(io.BytesIO(SECRET)),
    "write": lambda sock: sock.write(SECRET),
    "recv": lambda sock: sock.recv(100),
    "recv_into": read_into,
    "read": lambda sock: sock.read(100),
    "makefile": read_file,
    "unbound send": lambda sock: green_ssl.SSLSocket.send(sock, SECRET),
    "_sslobj": lambda sock: sock._sslobj.write(SECRET),
    "unwrap": lambda sock: sock.unwrap(),
    "shutdown, then send": shut_then_send,
}


class Program:
    """Its contexts, and the socket that it uses at the moment."""

    def __init__(self, host: str, cadata: str, pin: str, credential: str) -> None:
        self.host = host
        self.verdicts: list[str] = []
        self.unpinned = ssl.create_default_context(cadata=cadata)
        self.pinned = pinsock.create_default_context(
            pinsock.PinSet(pin, None),
            cadata=cadata,
            on_verdict=self.judged,
        )
        self.serving = pinsock.create_default_context(
            pinsock.PinSet(pin, None),
            purpose=ssl.Purpose.CLIENT_AUTH,
            cadata=cadata,
            on_verdict=self.judged,
        )
        self.serving.verify_mode = ssl.CERT_REQUIRED
        self.serving.load_cert_chain(credential)
        self.sock: Any = None
        self.timeout = WAIT

    def judged(self, verdict: pinsock.Verdict) -> None:
        self.verdicts.append(verdict.outcome.name)

    def wrap(self, sock: Any, *, at_once: bool = True, pinned: bool = True) -> Any:
        """As a program does that is patched; else by the library's own class."""
        context = self.pinned if pinned else self.unpinned
        options: dict[str, Any] = {"do_handshake_on_connect": at_once, "server_hostname": self.host}
        if PATCHED:
            return context.wrap_socket(sock, **options)
        return green_ssl.SSLSocket(sock, _context=context, **options)

    def connect(self, way: str, address: tuple[str, int], timeout: float = WAIT) -> str:
        """Connect in this way, with this timeout from then on; what came of it."""
        self.verdicts.clear()
        self.timeout = timeout
        return told(lambda: self._connect(way, address))

    def _connect(self, way: str, address: tuple[str, int]) -> None:
        method, _, manner = way.partition(", ")
        if method == "wrap":
            self.sock = socket.create_connection(address, self.timeout)
            self.sock = self.wrap(self.sock, at_once=manner != "late", pinned=manner != "unpinned")
            return
        self.sock = self.wrap(socket.socket(), at_once=manner != "not waiting")
        if manner == "not waiting":
            self.sock.setblocking(False)
        else:
            self.sock.settimeout(self.timeout)
        with contextlib.suppress(BlockingIOError):
            getattr(self.sock, method)(address)
        select.select([], [self.sock], [], WAIT)

    def listen(self, host: str) -> tuple[str, int]:
        """Be a server for the client that has the pinned key; where."""
        listener = socket.socket()
        listener.bind((host, 0))
        listener.listen()
        options: dict[str, Any] = {"server_side": True, "do_handshake_on_connect": False}
        if PATCHED:
            self.listener = self.serving.wrap_socket(listener, **options)
        else:
            self.listener = green_ssl.SSLSocket(listener, _context=self.serving, **options)
        self.listener.settimeout(WAIT)
        address: tuple[str, int] = self.listener.getsockname()
        return address

    def accept(self) -> None:
        """Take the next connection, and listen no more."""
        self.verdicts.clear()
        with contextlib.closing(self.listener):
            self.sock, _ = self.listener.accept()
        self.sock.settimeout(WAIT)
        self.timeout = WAIT

    def call(self, name: str) -> str:
        """Make one call; what came of it."""
        return told(lambda: patiently(self.sock, CALLS[name], self.timeout))

    def found(self) -> dict[str, Any]:
        """What on_verdict and pin_verdict say of the connection."""
        verdict = self.sock.pin_verdict if isinstance(self.sock, pinsock.PinnedSocket) else None
        return {"on_verdict": self.verdicts, "pin_verdict": verdict and verdict.outcome.name}

    def close(self) -> None:
        self.sock.close()

    def converse(self, size: int, address: tuple[str, int]) -> int:
        """Send so many bytes, and read until as many have come back."""
        with contextlib.closing(self.wrap(socket.create_connection(address, WAIT))) as sock:
            sock.sendall(bytes(size))
            came = 0
            while came < size and (data := sock.recv(65536)):
                came += len(data)
            return came

    def talk(self, times: int, size: int, address: tuple[str, int]) -> dict[str, Any]:
        """So many conversations at once: how many bytes came back in each."""
        self.verdicts.clear()
        if LIBRARY == "gevent":
            talks = [gevent.spawn(self.converse, size, address) for _ in range(times)]
            came = [talk.get(timeout=WAIT) for talk in talks]
        else:
            with eventlet.Timeout(WAIT):
                talks = [eventlet.spawn(self.converse, size, address) for _ in range(times)]
                came = [talk.wait() for talk in talks]
        return {"came": came, "on_verdict": self.verdicts}


program = Program(**json.loads(sys.stdin.readline()))
for line in sys.stdin:
    order = json.loads(line)
    if "address" in order:
        order["address"] = tuple(order["address"])  # which JSON does not have
    print(json.dumps(getattr(program, order.pop("do"))(**order)), flush=True)
