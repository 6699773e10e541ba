"""The targets: each takes any bytes, and raises AssertionError where a promise is broken.

Promises: nothing is raised but the documented error, its message is short and printable, what is
read can be written and read again, and nothing takes long.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import warnings
from collections.abc import Callable
from typing import TypeAlias

from pinsock import InvalidPinError, InvalidPolicyError, Pin, PinPolicy, PinSet
from pinsock.cli._starttls import DEFAULT_PORTS, NoTLS, Plain, ask_for_tls

__all__ = ["PROTOCOLS", "SEEDS", "TARGETS", "Target"]

Target: TypeAlias = Callable[[bytes], None]

PROTOCOLS = tuple(protocol for protocol in DEFAULT_PORTS if protocol is not None)
_DIGEST = b"d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM="
_HEX = "77aab346ef7338409bf7451ecf6ef15a5b4db23d1ed4c77b1a4618915a195a63"
#: Bytes of an error's message for one thing that is wrong.
_MOST = 600


def _is_for_people(message: str) -> None:
    assert message
    assert len(message) <= _MOST, len(message)
    assert message.isprintable(), message


def pin_text(data: bytes) -> None:
    """``Pin.parse`` and ``PinSet``."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        pin = Pin.parse(text)
    except InvalidPinError as error:
        _is_for_people(str(error))
    else:
        assert Pin.parse(str(pin)) == pin
        assert len(pin.digest) == 32
    try:
        pins = PinSet(text, None)
    except InvalidPinError as error:
        _is_for_people(str(error))
    else:
        assert PinSet([str(pin) for pin in pins.pins], None) == pins


def policy(data: bytes) -> None:
    """``PinPolicy.from_toml``."""
    text = data.decode("utf-8", "surrogateescape")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sets without a backup
        try:
            read = PinPolicy.from_toml(text)
        except InvalidPolicyError as error:
            for message in error.faults or [error]:
                _is_for_people(str(message))
        else:
            assert PinPolicy.from_toml(read.to_toml()) == read


class _Answered(Plain):
    """A server's answers, each given once it was asked, or is waited for."""

    def __init__(self, near: socket.socket, far: socket.socket, answers: list[bytes]) -> None:
        super().__init__(near)
        self._far = far
        self._answers = answers[:1] + list(filter(None, answers[1:]))
        self._answer()

    @property
    def own_address(self) -> str:
        return "127.0.0.1"

    def _answer(self) -> None:
        if self._answers:
            self._far.send(self._answers.pop(0))
        if not self._answers:
            self._far.shutdown(socket.SHUT_WR)

    async def say(self, data: bytes) -> None:
        await super().say(data)
        self._answer()

    async def _hear(self) -> None:
        try:
            self._sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            self._answer()  # it waits for a server that waits to be asked
        await super()._hear()


#: Stands between a server's answers.
_NEXT = b"\x1e"


def starttls(data: bytes) -> None:
    """``ask_for_tls``: the first byte says of which protocol, the rest is what the server says."""
    protocol = PROTOCOLS[(data[0] if data else 0) % len(PROTOCOLS)]
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        far.setblocking(False)
        try:
            asyncio.run(_ask(near, far, protocol, data[1:].split(_NEXT)))
        except NoTLS as error:
            _is_for_people(str(error))
            return
        # What was said before TLS was read as an answer, and TLS would begin with nothing.
        with contextlib.suppress(BlockingIOError):
            assert near.recv(1) == b""


async def _ask(
    near: socket.socket, far: socket.socket, protocol: str, answers: list[bytes]
) -> None:
    plain = _Answered(near, far, answers)
    await asyncio.wait_for(ask_for_tls(plain, protocol, "server.example"), 10)


TARGETS: dict[str, Target] = {"pin-text": pin_text, "policy": policy, "starttls": starttls}

_TABLE = b'[[pin]]\nhost = "a.example"\npins = ["sha256/' + _DIGEST + b'"]\nbackup = "none"\n'
#: What to begin with, by target.
SEEDS: dict[str, list[bytes]] = {
    "pin-text": [
        b"sha256/" + _DIGEST,
        b"sha256//" + _DIGEST,
        b'pin-sha256="' + _DIGEST + b'"',
        b"cert-sha256/" + _DIGEST,
        b"spki:" + ":".join(_HEX[i : i + 2] for i in range(0, 64, 2)).encode(),
        b"3 1 1 " + _HEX.encode(),
        b"3 0 1 " + _HEX.encode(),
        b"sha256//" + _DIGEST + b";sha256//" + _DIGEST[::-1],
        b"sha1/2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
    ],
    "policy": [
        _TABLE,
        b'unlisted = "allow"\nentries = 1\n' + _TABLE,
        _TABLE + b'expires = 2027-06-30\non_expiry = "unpinned"\nnote = "x"\nreport_only = true\n',
        _TABLE.replace(b"a.example", b"**.a.example") + b'scope = "chain"\n',
        _TABLE.replace(b'"sha', b'{ label = "x", pin = "sha').replace(b'="]', b'=" }]'),
        b'[interception]\npins = ["sha256/' + _DIGEST + b'"]\n' + _TABLE,
    ],
    "starttls": [
        bytes([PROTOCOLS.index(protocol)]) + said
        for protocol, said in {
            "smtp": b"220 hello\r\n\x1e250-hello\r\n250 STARTTLS\r\n\x1e220 go\r\n",
            "imap": b"* OK hello\r\n\x1e* CAPABILITY IMAP4\r\na OK go\r\n",
            "pop3": b"+OK hello\r\n\x1e+OK go\r\n",
            "ftp": b"220-hello\r\n220 hello\r\n\x1e234 go\r\n",
            "postgres": b"\x1eS",
            "ldap": b"\x1e" + bytes.fromhex("300c02010178070a010004000400"),
            "xmpp": (
                b"\x1e<?xml version='1.0'?><stream:stream><stream:features>"
                b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>"
                b"\x1e<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
            ),
        }.items()
    ],
}
