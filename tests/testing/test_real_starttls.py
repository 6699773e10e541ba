"""Interceptors before real servers, in the seven protocols that come to TLS by a command."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from support.daemons import (
    LOOPBACK,
    dovecot,
    ftp_server,
    mariadb,
    postfix,
    postgresql,
    slapd,
)

import pinsock
from pinsock.testing import Authority, Interceptor
from pinsock.testing._starttls import PROTOCOLS, StartTls

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.kit, pytest.mark.servers]

WAIT = 20

#: Who serves it, and what a client says before TLS; the answers are the server's own.
SERVERS: dict[StartTls, tuple[Callable[..., Any], str, list[bytes]]] = {
    "smtp": (postfix, "smtp", [b"", b"EHLO me\r\n", b"STARTTLS\r\n"]),
    "imap": (dovecot, "imap", [b"", b"a1 CAPABILITY\r\n", b"a2 STARTTLS\r\n"]),
    "pop3": (dovecot, "pop3", [b"", b"CAPA\r\n", b"STLS\r\n"]),
    "ftp": (ftp_server, "ftp", [b"", b"FEAT\r\n", b"AUTH TLS\r\n"]),
    "postgres": (postgresql, "postgresql", [bytes.fromhex("00000008 04d2162f")]),
    "mysql": (mariadb, "mysql", [b"", bytes.fromhex("20000001 00aa0000 00000001 2d") + bytes(23)]),
    "ldap": (
        slapd,
        "ldap",
        [bytes.fromhex("301d 020101 7718 8016") + b"1.3.6.1.4.1.1466.20037"],
    ),
}

#: What the server answers to in TLS, and how its answer begins.
FIRST_WORDS: dict[StartTls, tuple[bytes, bytes]] = {
    "smtp": (b"NOOP\r\n", b"250 "),
    "imap": (b"a3 NOOP\r\n", b"a3 OK"),
    "pop3": (b"CAPA\r\n", b"+OK"),
    "ftp": (b"PBSZ 0\r\n", b"200 "),
    "postgres": (bytes.fromhex("00000013 00030000 75736572 00 78787878 00 00"), b""),
    "mysql": (b"\x01\0\0\x02\x0e", b""),
    "ldap": (bytes.fromhex("300c 020102 6007 020103 0400 8000"), b"\x30"),
}


def talk(name: StartTls, address: tuple[str, int], context: ssl.SSLContext) -> bytes:
    """As far as TLS, and one request in it."""
    *_, requests = SERVERS[name]
    with socket.create_connection(address, WAIT) as sock:
        for request in requests:
            sock.sendall(request)
            if request and name == "mysql":
                continue  # it has no answer
            answer = sock.recv(4096)
            while name in {"smtp", "ftp", "pop3", "imap"} and not _whole(name, request, answer):
                answer += sock.recv(4096)
        with context.wrap_socket(sock, server_hostname=LOOPBACK) as tls:
            words, beginning = FIRST_WORDS[name]
            tls.sendall(words)
            answer = tls.recv(4096)
            assert answer.startswith(beginning), answer
            return answer


def _whole(name: StartTls, request: bytes, answer: bytes) -> bool:
    last = answer.splitlines()[-1]
    if name == "pop3":
        return answer.endswith(b"\r\n.\r\n") or request != b"CAPA\r\n"
    if name == "imap":
        return not request or last.startswith(request[:2])
    return answer.endswith(b"\r\n") and last[3:4] == b" "


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_real_server_is_intercepted_unless_its_key_is_pinned(name: StartTls) -> None:
    """Unpinned, the interceptor has read what the server has answered to; pinned, nothing."""
    signer = Authority("an authority")
    right, rogue = signer.issue(LOOPBACK), signer.issue(LOOPBACK)
    serve, scheme, requests = SERVERS[name]
    pinned = pinsock.create_default_context(
        pinsock.PinSet(right.pin, backup=None), cadata=signer.pem
    )
    unpinned = ssl.create_default_context(cadata=signer.pem)
    with (
        serve(right) as daemon,
        Interceptor(rogue, (LOOPBACK, daemon.ports[scheme]), starttls=name) as interceptor,
    ):
        assert talk(name, (LOOPBACK, daemon.ports[scheme]), pinned)
        assert talk(name, interceptor.address, unpinned)
        with pytest.raises(pinsock.PinMismatchError):
            talk(name, interceptor.address, pinned)
        interceptor.settle()
        read, refused = interceptor.connections
        assert read.application == FIRST_WORDS[name][0]
        assert read.preamble == refused.preamble == b"".join(requests)
        assert refused.application == refused.not_tls == b""
