"""What is said in the clear before TLS: STARTTLS and its relatives.

Two rules.  A server's answers are bounded, in length here and in time by whoever calls.  And what
comes after its go-ahead comes before TLS: it is refused, never read as an answer (RFC 3207,
section 6; CVE-2021-22947), whether it came in the same segment or in one right behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Final

from pinsock._text import safe_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["DEFAULT_PORTS", "NoTLS", "Plain", "ask_for_tls", "unasked"]

#: Bytes of all of a server's answers together.
_MOST: Final = 16_384


class NoTLS(Exception):  # noqa: N818 - it is the server's refusal
    """Why the server does not begin TLS."""


class Plain:
    """A connection in the clear, over which lines are said and heard."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._heard = 0

    @property
    def own_address(self) -> str:
        address: str = self._sock.getsockname()[0]
        return address

    async def say(self, data: bytes) -> None:
        if self._buffer:
            raise NoTLS(unasked(self._buffer))
        await self._loop.sock_sendall(self._sock, data)

    async def until(self, end: bytes) -> bytes:
        """What comes up to and with ``end``."""
        while end not in self._buffer:
            await self._hear()
        heard, _, self._buffer = self._buffer.partition(end)
        return heard + end

    async def exactly(self, size: int) -> bytes:
        """The next so many bytes."""
        while len(self._buffer) < size:
            await self._hear()
        heard, self._buffer = self._buffer[:size], self._buffer[size:]
        return heard

    async def line(self) -> bytes:
        return (await self.until(b"\n")).rstrip(b"\r\n")

    async def _hear(self) -> None:
        # One byte more than there may be, so that too much is told from just enough.
        data = await self._loop.sock_recv(self._sock, _MOST + 1 - self._heard)
        if not data:
            heard = f" after '{_shown(self._buffer)}'" if self._buffer else ""
            raise NoTLS(f"the server ended the connection before TLS{heard}; check the port")
        self._heard += len(data)
        self._buffer += data
        if self._heard > _MOST:
            raise NoTLS(
                f"more than {_MOST} bytes before TLS ('{_shown(self._buffer)}'); check the port"
            )

    def end(self) -> None:
        """The server has said that it is ready for TLS, so there is nothing more to read."""
        early = self._buffer
        with contextlib.suppress(BlockingIOError):
            early += self._sock.recv(64, socket.MSG_PEEK)
        if early:
            raise NoTLS(unasked(early))


def unasked(data: bytes) -> str:
    """What is wrong with bytes that came between the go-ahead and the server's part of TLS."""
    return (
        f"bytes came before TLS, and are not read: '{_shown(data)}'; if the server is yours, see "
        f"whether something stands in front of it"
    )


def _shown(data: bytes) -> str:
    return safe_text(data[:60].decode("latin-1"))


def _refused(what: str, answer: bytes) -> NoTLS:
    return NoTLS(f"{what}: the server says '{_shown(answer)}'; check the port and the protocol")


# --- the dialogues --------------------------------------------------------------------------------


async def _codes(plain: Plain, code: bytes) -> list[bytes]:
    """The lines of an answer of SMTP (RFC 5321, section 4.2) or FTP (RFC 959, section 4.2)."""
    first = line = await plain.line()
    lines = [line]
    while line[:4] != first[:3] + b" ":
        if not first[:3].isdigit() or first[3:4] != b"-":
            raise _refused(f"{code.decode()} was expected", first)
        line = await plain.line()
        lines.append(line)
    if first[:3] != code:
        raise _refused(f"{code.decode()} was expected", line)
    return lines


async def _smtp(plain: Plain, host: str) -> None:  # noqa: ARG001 - all are called alike
    """RFC 3207."""
    await _codes(plain, b"220")
    address = plain.own_address.partition("%")[0]
    # An address literal (RFC 5321, section 4.1.3): this machine's name is nobody's business.
    await plain.say(f"EHLO [{'IPv6:' * (':' in address)}{address}]\r\n".encode("ascii"))
    offered = await _codes(plain, b"250")
    if not any(line[4:].strip().upper() == b"STARTTLS" for line in offered):
        raise _refused("STARTTLS is not offered", offered[-1])
    await plain.say(b"STARTTLS\r\n")
    await _codes(plain, b"220")


async def _ftp(plain: Plain, host: str) -> None:  # noqa: ARG001 - ditto
    """RFC 4217, section 4."""
    await _codes(plain, b"220")
    await plain.say(b"AUTH TLS\r\n")
    await _codes(plain, b"234")


async def _imap(plain: Plain, host: str) -> None:  # noqa: ARG001 - ditto
    """RFC 9051, section 6.2.1."""
    greeting = await plain.line()
    if not greeting.upper().startswith(b"* OK"):  # PREAUTH leaves no room for STARTTLS
        raise _refused("* OK was expected", greeting)
    await plain.say(b"a STARTTLS\r\n")
    answer = await plain.line()
    while answer.startswith(b"* "):
        answer = await plain.line()
    if not answer.upper().startswith(b"A OK"):
        raise _refused("STARTTLS was refused", answer)


async def _pop3(plain: Plain, host: str) -> None:  # noqa: ARG001 - ditto
    """RFC 2595, section 4."""
    greeting = await plain.line()
    if not greeting.startswith(b"+OK"):
        raise _refused("+OK was expected", greeting)
    await plain.say(b"STLS\r\n")
    answer = await plain.line()
    if not answer.startswith(b"+OK"):
        raise _refused("STLS was refused", answer)


async def _postgres(plain: Plain, host: str) -> None:  # noqa: ARG001 - ditto
    """SSLRequest (PostgreSQL's protocol 3.0, "SSL Session Encryption")."""
    await plain.say((8).to_bytes(4, "big") + (80877103).to_bytes(4, "big"))
    answer = await plain.exactly(1)
    if answer != b"S":
        raise _refused("TLS was refused (S was expected)", answer)


#: ExtendedRequest with the object identifier of StartTLS (RFC 4511, section 4.14.1), message 1.
_LDAP_REQUEST: Final = bytes.fromhex("301d0201017718 8016") + b"1.3.6.1.4.1.1466.20037"
#: The beginning of its answer's contents: message 1, an ExtendedResponse ([APPLICATION 24]).
_LDAP_ANSWER: Final = bytes.fromhex("02010178")


async def _ldap(plain: Plain, host: str) -> None:  # noqa: ARG001 - ditto
    """RFC 4511, section 4.14."""
    await plain.say(_LDAP_REQUEST)
    header = await plain.exactly(2)
    if header[0] != 0x30:
        raise _refused("an LDAP message was expected", header)
    message = await plain.exactly(await _ber_length(plain, header[1]))
    contents = message[len(_LDAP_ANSWER) :]
    if not message.startswith(_LDAP_ANSWER) or not contents:
        raise _refused("an answer to StartTLS was expected", header + message)
    # The response's own length, then resultCode: an ENUMERATED of one byte.
    long_form = contents[0] & 0x7F if contents[0] & 0x80 else 0
    result = contents[1 + long_form :]
    if result[:3] != bytes.fromhex("0a0100"):  # success
        raise _refused("StartTLS was refused", result[3:])


async def _ber_length(plain: Plain, first: int) -> int:
    if not first & 0x80:
        return first
    size = first & 0x7F
    if not 1 <= size <= 4:
        raise _refused("an LDAP message was expected", bytes([first]))
    length = int.from_bytes(await plain.exactly(size), "big")
    if length > _MOST:
        raise NoTLS(f"an answer of {length} bytes before TLS is not read; check the port")
    return length


_XMPP_TLS: Final = "urn:ietf:params:xml:ns:xmpp-tls"


async def _xmpp(plain: Plain, host: str) -> None:
    """RFC 6120, section 5.4."""
    await plain.say(
        f"<?xml version='1.0'?><stream:stream to='{host}' version='1.0' xmlns='jabber:client' "
        f"xmlns:stream='http://etherx.jabber.org/streams'>".encode("ascii")
    )
    features = await plain.until(b"</stream:features>")
    if b"<starttls" not in features or _XMPP_TLS.encode("ascii") not in features:
        raise _refused("STARTTLS is not offered", features)
    await plain.say(f"<starttls xmlns='{_XMPP_TLS}'/>".encode("ascii"))
    answer = await plain.until(b">")
    if answer.startswith(b"<proceed") and not answer.endswith(b"/>"):
        answer += await plain.until(b"</proceed>")
    if not answer.startswith(b"<proceed"):
        raise _refused("STARTTLS was refused", answer)


_DIALOGUES: Final[dict[str, Callable[[Plain, str], Awaitable[None]]]] = {
    "smtp": _smtp,
    "imap": _imap,
    "pop3": _pop3,
    "ftp": _ftp,
    "postgres": _postgres,
    "ldap": _ldap,
    "xmpp": _xmpp,
}
#: Where each protocol is spoken in the clear at first; ``None``: TLS from the first byte on.
DEFAULT_PORTS: Final[dict[str | None, int]] = {
    None: 443,
    "smtp": 25,
    "imap": 143,
    "pop3": 110,
    "ftp": 21,
    "postgres": 5432,
    "ldap": 389,
    "xmpp": 5222,
}


async def ask_for_tls(plain: Plain, protocol: str, host: str) -> None:
    """Go as far as the server's go-ahead.  Raises NoTLS and OSError."""
    await _DIALOGUES[protocol](plain, host)
    plain.end()
