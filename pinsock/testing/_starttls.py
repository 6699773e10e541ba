"""What is said in the clear until TLS begins, in seven protocols.

Each is in lockstep there: a message of the client, an answer of the server.  So a forwarder can
read message by message and never takes a byte that belongs to TLS.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from pinsock.testing._wire import Kept, exactly, line

if TYPE_CHECKING:
    from pinsock.testing._wire import Seen, Stream

__all__ = ["PROTOCOLS", "StartTls", "offer", "protocol", "relay"]

StartTls = Literal["smtp", "imap", "pop3", "ftp", "postgres", "mysql", "ldap"]
PROTOCOLS: tuple[StartTls, ...] = get_args(StartTls)


@dataclass(frozen=True)
class _Lines:
    """Protocols of lines: SMTP (RFC 3207), POP3 (RFC 2595), FTP (RFC 4217)."""

    greeting: bytes
    ask: bytes
    """What asks for TLS."""
    agree: bytes
    """How the answer begins that allows it."""
    ask_what: bytes = b""
    """What asks for a list of what the server can do."""
    can: bytes = b""
    """That list."""
    well: bytes = b""
    """The answer to anything else."""
    clear: tuple[bytes, ...] = ()
    """What may be said before TLS; with a space at its end: and whatever follows it."""

    def request(self, stream: Stream) -> bytes:
        return line(stream)

    def reply(self, stream: Stream, request: bytes) -> bytes:
        """An answer may have more lines than one."""
        answer = line(stream)
        if answer[3:4] == b"-" and answer[:3].isdigit():
            end = answer[:3] + b" "
            while not answer.rpartition(b"\n")[0].rpartition(b"\n")[2].startswith(end):
                answer += line(stream)
        elif answer.startswith(b"+OK") and request.upper().startswith(b"CAPA"):
            while not answer.endswith(b"\n.\r\n"):
                answer += line(stream)
        return answer

    def asks(self, request: bytes) -> bool:
        return request.strip().upper() in {self.ask, self.ask.replace(b"TLS", b"SSL")}

    def agrees(self, reply: bytes) -> bool:
        return reply.startswith(self.agree)

    def is_needed(self, said: bytes) -> bool:
        """Whether this request, or the beginning of one, may be said in the clear."""
        words = said.strip().upper()
        return any(
            one.startswith(words) or (one.endswith(b" ") and words.startswith(one))
            for one in (self.ask, *self.clear)
        )

    def answer(self, request: bytes) -> bytes:
        if self.asks(request):
            return self.agree + b" go ahead\r\n"
        return self.can if request.upper().startswith(self.ask_what) else self.well

    def inject(self, _request: bytes) -> bytes:
        """What answers the next command too, if the client takes it for an answer."""
        return self.well


@dataclass(frozen=True)
class _Imap(_Lines):
    """RFC 3501, section 6.2.1: each command has a tag, and the answer ends with its line."""

    #: A tag may be any word.  Those of clients are short, and a longer one is no tag but a secret.
    _LONGEST_TAG = 16

    def reply(self, stream: Stream, request: bytes) -> bytes:
        answer = line(stream)
        if request.strip():
            tag = request.split()[0] + b" "
            while not answer.rpartition(b"\n")[0].rpartition(b"\n")[2].startswith(tag):
                answer += line(stream)
        return answer

    def asks(self, request: bytes) -> bool:
        return request.upper().split()[1:] == [self.ask]

    def is_needed(self, said: bytes) -> bool:
        tag, space, rest = said.partition(b" ")
        if not space and said.endswith((b"\r", b"\n")):
            return not said.strip()
        return len(tag) <= self._LONGEST_TAG and super().is_needed(rest)

    def agrees(self, reply: bytes) -> bool:
        return reply.splitlines()[-1].upper().split()[1:2] == [self.agree]

    def answer(self, request: bytes) -> bytes:
        tag = (request.split() or [b"*"])[0]
        can = b"* CAPABILITY IMAP4rev1 STARTTLS\r\n" if b"CAPABILITY" in request.upper() else b""
        return can + tag + b" OK done\r\n"

    def inject(self, request: bytes) -> bytes:
        tag = request.split()[0]
        number = re.search(rb"\d+$", tag)
        if number is None:
            return b"* CAPABILITY IMAP4rev1\r\n"
        following = b"%0*d" % (len(number[0]), int(number[0]) + 1)
        return tag[: number.start()] + following + b" OK injected\r\n"


class _Postgres:
    """PostgreSQL 15, section 55.2.10: SSLRequest, and one byte as the answer."""

    greeting = b""
    _SSL = bytes.fromhex("00000008 04d2162f")
    _GSSENC = bytes.fromhex("00000008 04d21630")

    def request(self, stream: Stream) -> bytes:
        size = exactly(stream, 4)
        return size + exactly(stream, int.from_bytes(size, "big") - 4)

    def reply(self, stream: Stream, request: bytes) -> bytes:
        return exactly(stream, 1) if request else b""

    def asks(self, request: bytes) -> bool:
        return request == self._SSL

    def is_needed(self, said: bytes) -> bool:
        return self._SSL.startswith(said) or self._GSSENC.startswith(said)

    def agrees(self, reply: bytes) -> bool:
        return reply == b"S"

    def answer(self, request: bytes) -> bytes:
        return b"S" if self.asks(request) else b"N"  # GSSENCRequest

    def inject(self, _request: bytes) -> bytes:
        """AuthenticationOk and ReadyForQuery."""
        return bytes.fromhex("52 00000008 00000000  5a 00000005 49")


class _Mysql:
    """MySQL's client/server protocol: after the greeting SSLRequest, which has no answer."""

    _SSL = 0x800
    #: Version 10, a server, thread 1, salt, capabilities with CLIENT_SSL, utf8mb4, autocommit.
    _GREETING = (
        b"\x0a8.0.0\0" + bytes([1, 0, 0, 0]) + b"saltsalt\0" + b"\xff\xff\x2d\x02\0\xff\xdf"
        b"\x15" + bytes(10) + b"saltsaltsalt\0mysql_native_password\0"
    )
    greeting = len(_GREETING).to_bytes(3, "little") + b"\0" + _GREETING

    def request(self, stream: Stream) -> bytes:
        head = exactly(stream, 4)
        return head + exactly(stream, int.from_bytes(head[:3], "little"))

    def reply(self, stream: Stream, request: bytes) -> bytes:
        return b"" if request and self.asks(request) else self.request(stream)

    def asks(self, request: bytes) -> bool:
        return len(request) == 36 and bool(int.from_bytes(request[4:8], "little") & self._SSL)

    def is_needed(self, said: bytes) -> bool:
        """36 bytes: capabilities, the largest packet, a character set, and 19 bytes of nothing.

        The last four are MariaDB's further capabilities.
        """
        return (
            b"\x20\0\0\x01".startswith(said[:4])
            and len(said) <= 36
            and not any(said[13:32])
            and (len(said) < 36 or self.asks(said))
        )

    def agrees(self, reply: bytes) -> bool:
        return not reply

    def answer(self, request: bytes) -> bytes:
        if self.asks(request):
            return b""
        refusal = b"\xff\x15\x04#28000TLS is required"
        return len(refusal).to_bytes(3, "little") + b"\x02" + refusal

    def inject(self, _request: bytes) -> bytes:
        """An OK packet, as after a log-in."""
        return bytes.fromhex("070000 03 00 00 00 0200 0000")


class _Ldap:
    """RFC 4511, section 4.14: an extended request with the name of StartTLS."""

    greeting = b""
    _NAME = b"1.3.6.1.4.1.1466.20037"
    _LENGTH = rb"(?:[\x00-\x7f]|\x81.|\x82..|\x84....)"
    #: StartTLS, or an UnbindRequest, [APPLICATION 2]: the end.
    _CLEAR = re.compile(
        rb"\x30" + _LENGTH + rb"\x02[\x01-\x04].{1,4}?"
        rb"(?:\x42\x00|\x77" + _LENGTH + rb"\x80\x16" + re.escape(_NAME) + rb")",
        re.DOTALL,
    )

    def request(self, stream: Stream) -> bytes:
        head = exactly(stream, 2)
        size = head[1]
        if size & 0x80:
            head += exactly(stream, size & 0x7F)
            size = int.from_bytes(head[2:], "big")
        return head + exactly(stream, size)

    def reply(self, stream: Stream, request: bytes) -> bytes:
        return self.request(stream) if request else b""

    def asks(self, request: bytes) -> bool:
        return self._NAME in request

    def is_needed(self, said: bytes) -> bool:
        whole = bytes.fromhex("301d 020101 7718 8016") + self._NAME
        # The beginning of a request is one that goes on as this does.
        return any(map(self._CLEAR.fullmatch, (said, said + whole[len(said) :])))

    def agrees(self, reply: bytes) -> bool:
        # The first result code of an ExtendedResponse, [APPLICATION 24]: success.
        return re.search(rb"\x78.{1,5}?\x0a\x01(.)", reply, re.DOTALL) is not None and (
            b"\x0a\x01\x00" in reply
        )

    def answer(self, request: bytes) -> bytes:
        result = b"\x0a\x01\x00\x04\x00\x04\x00"
        if self.asks(request):
            result += b"\x8a" + bytes([len(self._NAME)]) + self._NAME
        return self._message(self._number(request), b"\x78", result)

    def inject(self, request: bytes) -> bytes:
        """A BindResponse, [APPLICATION 1], to the next request: success."""
        return self._message(
            (self._number(request) + 1) & 0x7F, b"\x61", b"\x0a\x01\x00\x04\x00\x04\x00"
        )

    @staticmethod
    def _number(request: bytes) -> int:
        """The message's, which begins a session at 1 and fits in a byte here."""
        start = 2 + (request[1] & 0x7F if request[1] & 0x80 else 0)
        return request[start + 2]

    @staticmethod
    def _message(number: int, kind: bytes, result: bytes) -> bytes:
        body = b"\x02\x01" + bytes([number]) + kind + bytes([len(result)]) + result
        return b"\x30" + bytes([len(body)]) + body


_Protocol = _Lines | _Postgres | _Mysql | _Ldap

_TABLE: dict[str, _Protocol] = {
    "smtp": _Lines(
        b"220 ready\r\n",
        b"STARTTLS",
        b"220",
        b"EHLO",
        b"250-server\r\n250 STARTTLS\r\n",
        b"250 well\r\n",
        (b"EHLO ", b"HELO ", b"NOOP", b"RSET", b"QUIT"),
    ),
    "imap": _Imap(
        b"* OK ready\r\n",
        b"STARTTLS",
        b"OK",
        clear=(b"CAPABILITY", b"ID ", b"NOOP", b"LOGOUT"),
    ),
    "pop3": _Lines(
        b"+OK ready\r\n",
        b"STLS",
        b"+OK",
        b"CAPA",
        b"+OK\r\nSTLS\r\n.\r\n",
        b"+OK well\r\n",
        (b"CAPA", b"QUIT"),
    ),
    "ftp": _Lines(
        b"220 ready\r\n",
        b"AUTH TLS",
        b"234",
        b"FEAT",
        b"211-Features\r\n AUTH TLS\r\n211 End\r\n",
        b"230 well\r\n",
        (b"FEAT", b"AUTH SSL", b"QUIT"),
    ),
    "postgres": _Postgres(),
    "mysql": _Mysql(),
    "ldap": _Ldap(),
}


def protocol(name: StartTls) -> _Protocol:
    try:
        return _TABLE[name]
    except KeyError:
        raise ValueError(
            f"starttls={name!r}: pinsock.testing knows {', '.join(PROTOCOLS)}"
        ) from None


def _heard(speaks: _Protocol, client: Stream, seen: Seen) -> bytes:
    """A client's next request, noted; so is the beginning of one that never ends."""
    kept = Kept(client)
    try:
        return speaks.request(kept)
    finally:
        seen.hear(kept.data, needed=speaks.is_needed(kept.data))


def offer(name: StartTls, client: Stream, seen: Seen, *, inject: bool = False) -> None:
    """A server's half, until TLS is due.

    :param inject: send more after the agreement, in one piece with it.
    """
    speaks = protocol(name)
    client.sendall(speaks.greeting)
    while True:
        request = _heard(speaks, client, seen)
        asks = speaks.asks(request)
        answer = speaks.answer(request)
        client.sendall(answer + (speaks.inject(request) if asks and inject else b""))
        if asks:
            return


def relay(name: StartTls, client: Stream, server: Stream, seen: Seen) -> None:
    """A forwarder's half, until TLS is due on both sides."""
    speaks = protocol(name)
    client.sendall(speaks.reply(server, b""))
    while True:
        request = _heard(speaks, client, seen)
        server.sendall(request)
        reply = speaks.reply(server, request)
        client.sendall(reply)
        if speaks.asks(request) and speaks.agrees(reply):
            return
