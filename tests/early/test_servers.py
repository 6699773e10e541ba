"""Mutual TLS with servers that were not made for these tests.

Each asks for a client certificate and says whose it got.  What an impostor gets is counted in
``test_impostors``; here the wrong pin shows that the servers tell of nobody else.
"""

from __future__ import annotations

import contextlib
import ssl
import struct
from typing import TYPE_CHECKING, Literal

import pytest
from support import daemons
from support.contexts import VERSIONS, only
from support.daemons import LOOPBACK, Daemon, eventually, talk_to

from pinsock import PinMismatchError, PinnedContext, PinSet

from .ways import Pump

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from pinsock._throwaway import Authority, Credential

pytestmark = pytest.mark.servers

Over = Literal["bio", "socket"]
Tls = Pump | ssl.SSLSocket

each_over = pytest.mark.parametrize("over", ["bio", "socket"])
each_version = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)

#: Whom the certificate of the client names.
ME = "me.example"


@pytest.fixture(scope="module")
def credential(authority: Authority) -> Credential:
    """That of all three servers."""
    return authority.issue(LOOPBACK)


@pytest.fixture
def theirs(fresh: Callable[[], PinnedContext], credential: Credential) -> PinnedContext:
    """A client of theirs, who insists on the early verdict."""
    context = fresh()
    context.pins = PinSet(credential.pin, None)
    context.early_verdict = "require"
    return context


@contextlib.contextmanager
def tls_over(sock: socket.socket, context: PinnedContext, over: Over) -> Iterator[Tls]:
    with sock:
        if over == "bio":
            yield Pump(context, sock, LOOPBACK)
        else:
            with context.wrap_socket(sock, server_hostname=LOOPBACK) as tls:
                yield tls


def is_refused(sock: socket.socket, theirs: PinnedContext, over: Over, words: bytes) -> None:
    """Say these words to a server that has another key than the pinned one: they stay unsaid."""
    right = theirs.pins
    theirs.pins = PinSet("sha256/" + "A" * 43 + "=", None)
    with pytest.raises(PinMismatchError), tls_over(sock, theirs, over) as tls:
        tls.sendall(words)
    theirs.pins = right


def read_exactly(tls: Tls, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = tls.recv(size - len(data))
        assert more, f"the server hung up after {data!r}"
        data += more
    return data


# --- nginx ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nginx(authority: Authority, credential: Credential) -> Iterator[Daemon]:
    with daemons.nginx(credential, clients=authority) as daemon:
        yield daemon


@each_over
@each_version
def test_nginx_knows_the_client_with_the_right_pin_alone(
    nginx: Daemon, theirs: PinnedContext, over: Over, version: ssl.TLSVersion
) -> None:
    """It answers with the name in the certificate, and logs it."""
    before = len(nginx.log.read_text().splitlines())
    with tls_over(talk_to(nginx.port), only(theirs, version), over) as tls:
        tls.sendall(b"GET /welcome HTTP/1.0\r\n\r\n")
        answer = b""
        while data := tls.recv(65536):
            answer += data
    is_refused(talk_to(nginx.port), theirs, over, b"GET /secret HTTP/1.0\r\n\r\n")

    assert answer.endswith(f"\r\n\r\nhello CN={ME}".encode("ascii"))
    name = {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]
    # nginx writes its log before it closes, and the answer was read to its end.
    heard = nginx.log.read_text().splitlines()[before:]
    assert heard == [f"{name} CN={ME} GET /welcome HTTP/1.0"]


# --- mosquitto ------------------------------------------------------------------------------------

CONNACK = bytes([0x20, 2, 0, 0])


def connect_as(client: str) -> bytes:
    """CONNECT of MQTT 3.1.1 (section 3.1) with a clean session."""
    name = struct.pack("!H", len(client)) + client.encode("ascii")
    body = b"\0\4MQTT\4\2\0\x3c" + name
    return bytes([0x10, len(body)]) + body


@pytest.fixture(scope="module")
def mosquitto(authority: Authority, credential: Credential) -> Iterator[Daemon]:
    with daemons.mosquitto(credential, clients=authority) as daemon:
        yield daemon


@each_over
@each_version
def test_mosquitto_knows_the_client_with_the_right_pin_alone(
    mosquitto: Daemon, theirs: PinnedContext, over: Over, version: ssl.TLSVersion
) -> None:
    """Its user's name is that of the certificate."""
    right, wrong = f"right-{over}-{version.name}", f"wrong-{over}-{version.name}"
    sock, other = talk_to(mosquitto.port), talk_to(mosquitto.port)
    with other, tls_over(sock, only(theirs, version), over) as tls:
        tls.sendall(connect_as(right))
        assert read_exactly(tls, len(CONNACK)) == CONNACK
        is_refused(other, theirs, over, connect_as(wrong))
        tls.sendall(b"\xc0\0")  # PINGREQ: what came before it is in the log
        assert read_exactly(tls, 2) == b"\xd0\0"
    log = mosquitto.log
    eventually(lambda: f"Received PINGREQ from {right}" in log.read_text(), "the ping in the log")
    told = [line for line in log.read_text().splitlines() if f" as {right} " in line]
    assert len(told) == 1
    assert f"u'{ME}'" in told[0]
    assert wrong not in log.read_text()


# --- PostgreSQL -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def postgresql(authority: Authority, credential: Credential) -> Iterator[Daemon]:
    """A server to which a certificate is the only way in."""
    with daemons.postgresql(credential, clients=authority, user=ME) as daemon:
        yield daemon


def ask_for_tls(port: int) -> socket.socket:
    """SSLRequest, in the clear (PostgreSQL's manual, section 55.7)."""
    sock = talk_to(port)
    sock.sendall(struct.pack("!II", 8, 80877103))
    assert sock.recv(1) == b"S"
    return sock


def startup(application: str) -> bytes:
    """StartupMessage of protocol 3.0."""
    words = ("user", ME, "database", "postgres", "application_name", application, "")
    body = struct.pack("!I", 196608) + b"".join(word.encode("ascii") + b"\0" for word in words)
    return struct.pack("!I", len(body) + 4) + body


def answers(tls: Tls) -> Iterator[tuple[bytes, bytes]]:
    """Messages up to ReadyForQuery."""
    kind = b""
    while kind != b"Z":
        kind, size = struct.unpack("!cI", read_exactly(tls, 5))
        yield kind, read_exactly(tls, size - 4)


@each_over
@each_version
def test_postgresql_knows_the_client_with_the_right_pin_alone(
    postgresql: Daemon, theirs: PinnedContext, over: Over, version: ssl.TLSVersion
) -> None:
    """It says of whom the session's certificate is, and lets nobody else in."""
    right, wrong = f"right-{over}-{version.name}", f"wrong-{over}-{version.name}"
    is_refused(ask_for_tls(postgresql.port), only(theirs, version), over, startup(wrong))
    with tls_over(ask_for_tls(postgresql.port), theirs, over) as tls:
        tls.sendall(startup(right))
        assert (b"R", bytes(4)) in list(answers(tls))  # AuthenticationOk
        query = b"select client_dn from pg_stat_ssl where pid = pg_backend_pid()\0"
        tls.sendall(b"Q" + struct.pack("!I", len(query) + 4) + query)
        rows = [body for kind, body in answers(tls) if kind == b"D"]
        tls.sendall(b"X" + struct.pack("!I", 4))
    assert [row.endswith(f"/CN={ME}".encode("ascii")) for row in rows] == [True]
    log = postgresql.log.read_text()
    assert f'connection authenticated: identity="CN={ME}" method=cert' in log
    assert f"application_name={right}" in log
    assert wrong not in log
