"""What a server says once TLS stands, so that a client has something to talk to."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from pinsock.testing._wire import line

if TYPE_CHECKING:
    from pinsock.testing._wire import Stream

__all__ = ["answer", "smtp"]

_BODY = b"hello\n"
_REQUEST = re.compile(rb"([A-Z]+) (\S+) HTTP/1\.[01]\r?\n")
_BEGUN = re.compile(rb"[A-Z]{1,10}( [^\r\n]{0,8000})?\r?")


class _Ahead:
    """A stream of which some has been read already."""

    def __init__(self, read: bytes, stream: Stream) -> None:
        self._read = read
        self._stream = stream

    def recv(self, size: int = 65536, /) -> bytes:
        if not self._read:
            return self._stream.recv(size)
        data, self._read = self._read[:size], self._read[size:]
        return data

    def sendall(self, data: bytes, /) -> None:
        self._stream.sendall(data)

    def end(self) -> None:
        self._stream.end()


def answer(stream: Stream, *, location: str | None = None) -> None:
    """Requests of HTTP/1.1 are answered with ``hello``; whatever else comes is sent back.

    :param location: where requests are redirected to, unless they are for ``/redirected``.
    """
    first = stream.recv()
    while _BEGUN.fullmatch(first) and (more := stream.recv()):
        first += more
    if _REQUEST.match(first):
        with contextlib.suppress(EOFError):
            _serve_http(_Ahead(first, stream), location)
        return
    while first:
        stream.sendall(first)
        first = stream.recv()


def _serve_http(stream: Stream, location: str | None) -> None:
    """RFC 9112, as far as a client under test needs it."""
    while request := _REQUEST.fullmatch(line(stream)):
        headers = b""
        while (header := line(stream)).strip():
            headers += header.lower()
        _skip_body(stream, headers)
        if location is not None and request[2] != b"/redirected":
            head = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\n".encode("ascii")
        else:
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
        body = b"" if request[1] == b"HEAD" else _BODY
        stream.sendall(head + b"Content-Length: %d\r\n\r\n" % len(_BODY) + body)
        if b"connection: close" in headers:
            return


def _skip_body(stream: Stream, headers: bytes) -> None:
    if size := re.search(rb"^content-length: *(\d+)", headers, re.MULTILINE):
        left = int(size[1])
        while left:
            left -= len(stream.recv(left)) or left
    elif b"transfer-encoding: chunked" in headers:
        while line(stream).strip() != b"0":
            pass
        while line(stream).strip():
            pass


def smtp(stream: Stream) -> None:
    """Mail for everybody, which is thrown away (RFC 5321, what follows STARTTLS)."""
    with contextlib.suppress(EOFError):
        while command := line(stream).upper():
            if command.startswith(b"DATA"):
                stream.sendall(b"354 go ahead\r\n")
                while line(stream) != b".\r\n":
                    pass
            if command.startswith(b"QUIT"):
                stream.sendall(b"221 bye\r\n")
                return
            stream.sendall(b"250 well\r\n")
