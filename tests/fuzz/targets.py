"""The targets: each takes any bytes, and raises AssertionError where a promise is broken.

Promises: nothing is raised but the documented error, its message is short and printable, what is
read can be written and read again, and nothing takes long.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from pinsock import InvalidPinError, InvalidPolicyError, Pin, PinPolicy, PinSet
from pinsock.cli._starttls import DEFAULT_PORTS, NoTLS, Plain, ask_for_tls

__all__ = ["CONTROLS", "NEXT", "PROTOCOLS", "SEEDS", "TARGETS", "Target", "comes_to_tls"]

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


#: Parts of a key: in tomllib time and memory grow as their square, but for the newest releases,
#: which have a limit (CPython's issue 149231).
_KNOWN_TO_BE_SLOW = 500


def _policy(read: Callable[[], PinPolicy], text: str) -> PinPolicy | None:
    if any(line.count(".") > _KNOWN_TO_BE_SLOW for line in text.splitlines()):
        return None
    try:
        found = read()
    except InvalidPolicyError as error:
        for message in error.faults or [error]:
            _is_for_people(str(message))
        return None
    assert PinPolicy.from_toml(found.to_toml()) == found
    return found


def policy(data: bytes) -> None:
    """``PinPolicy.from_toml``."""
    text = data.decode("utf-8", "surrogateescape")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sets without a backup
        _policy(lambda: PinPolicy.from_toml(text), text)


def policy_file(data: bytes) -> None:
    """``PinPolicy.from_file``, whose bytes need not even be text; it is read as its text is."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        path = Path(folder, "p")
        path.write_bytes(data)
        found = _policy(lambda: PinPolicy.from_file(path), data.decode("latin-1"))
        if found is not None:
            assert found == PinPolicy.from_toml(data.decode("utf-8"))


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
NEXT = b"\x1e"


def comes_to_tls(protocol: str, answers: list[bytes]) -> bool:
    """Whether ``ask_for_tls`` takes these answers of a server for a go-ahead."""
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        far.setblocking(False)
        try:
            asyncio.run(_ask(near, far, protocol, answers))
        except NoTLS as error:
            _is_for_people(str(error))
            return False
        # What was said before TLS was read as an answer, and TLS would begin with nothing.
        with contextlib.suppress(BlockingIOError):
            assert near.recv(1) == b""
        return True


async def _ask(
    near: socket.socket, far: socket.socket, protocol: str, answers: list[bytes]
) -> None:
    plain = _Answered(near, far, answers)
    await asyncio.wait_for(ask_for_tls(plain, protocol, "server.example"), 10)


def starttls(data: bytes) -> None:
    """``ask_for_tls``: the first byte says of which protocol, the rest is what the server says."""
    comes_to_tls(PROTOCOLS[(data[0] if data else 0) % len(PROTOCOLS)], data[1:].split(NEXT))


TARGETS: dict[str, Target] = {
    "pin-text": pin_text,
    "policy": policy,
    "policy-file": policy_file,
    "starttls": starttls,
}


# --- what must be found ---------------------------------------------------------------------------

#: Some inputs have it.
_AT_FAULT = b"\xff"


def _work_for(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def _at_fault(fault: Callable[[], object]) -> Target:
    def target(data: bytes) -> None:
        if _AT_FAULT in data:
            fault()

    return target


#: Targets that have a fault each.
CONTROLS: dict[str, Target] = {
    "error": _at_fault(lambda: {}["no such key"]),
    "hang": _at_fault(lambda: _work_for(1e9)),
    "memory": _at_fault(lambda: bytes(60_500_000)),
    "slow": _at_fault(lambda: _work_for(0.6)),
    "crash": _at_fault(lambda: os._exit(3)),
}

_TABLE = b'[[pin]]\nhost = "a.example"\npins = ["sha256/' + _DIGEST + b'"]\nbackup = "none"\n'
_END = b"\n[end]\n"
_POLICIES = [
    _TABLE + _END,
    b'unlisted = "allow"\n' + _TABLE + _TABLE.replace(b"a.", b"b\xc3\xbccher.") + _END,
    _TABLE.replace(b"a.example", b"192.0.2.1")
    + _TABLE.replace(b"a.example", b"2001:db8::1")
    + _END,
    _TABLE + b"expires = 2027-06-30\nreport_only = true\n" + _END,
    _TABLE + b'expires = 2027-06-30T12:00:00Z\non_expiry = "unpinned"\nnote = "x"\n' + _END,
    _TABLE.replace(b"a.example", b"**.a.example") + b'scope = "chain"\n' + _END,
    _TABLE.replace(b'"sha', b'{ label = "x", pin = "sha').replace(b'="]', b'=" }]') + _END,
    b'[interception]\npins = ["sha256/' + _DIGEST + b'"]\n' + _TABLE + _END,
]
#: What to begin with, by target; all of it is right.
SEEDS: dict[str, list[bytes]] = {
    "pin-text": [
        b"sha256/" + _DIGEST,
        b"sha256//" + _DIGEST,
        b'pin-sha256="' + _DIGEST + b'"',
        b"cert-sha256/" + _DIGEST,
        b"spki:" + ":".join(_HEX[i : i + 2] for i in range(0, 64, 2)).encode(),
        b"3 1 1 " + _HEX.encode(),
        b"3 0 1 " + _HEX.encode(),
        b"sha256//" + _DIGEST + b"; cert-sha256/" + _DIGEST.replace(b"d", b"e"),
    ],
    "policy": _POLICIES,
    "policy-file": [*_POLICIES, b"\xef\xbb\xbf" + _POLICIES[0].replace(b"\n", b"\r\n")],
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
