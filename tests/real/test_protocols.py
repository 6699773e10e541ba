"""Any protocol: three servers spoken to by lines written by hand, over a ``PinnedSocket``.

Each server's own log or counters say what it heard.  Before each of them is asked, somebody with
the right pin has spoken: what is not there would have been.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from support import daemons
from support.daemons import LOOPBACK, Daemon, eventually, talk_to

import pinsock

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Iterator

    from pinsock._throwaway import Authority, Credential

    Pinned = Callable[[pinsock.Pin], pinsock.PinnedContext]

pytestmark = pytest.mark.servers

#: Whether the wrong pin shows when the socket is wrapped, or when it is first written to.
each_handshake = pytest.mark.parametrize("at_once", [True, False], ids=["at once", "on write"])


@pytest.fixture(scope="module")
def credential(authority: Authority) -> Credential:
    """That of all three servers."""
    return authority.issue(LOOPBACK)


def say_over_tls(
    sock: socket.socket, context: pinsock.PinnedContext, at_once: bool, words: bytes
) -> None:
    """Wrap the socket and say these words."""
    with (
        sock,
        context.wrap_socket(sock, do_handshake_on_connect=at_once, server_hostname=LOOPBACK) as tls,
    ):
        tls.sendall(words)


def read_exactly(sock: socket.socket, size: int) -> bytes:
    """The next so many bytes."""
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        assert more, f"the server hung up after {data!r}"
        data += more
    return data


def read_line(sock: socket.socket) -> bytes:
    """One line, byte by byte: nothing of what follows may be taken out of the socket."""
    line = b""
    while not line.endswith(b"\r\n"):
        line += read_exactly(sock, 1)
    return line


# --- Redis ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def redis(credential: Credential) -> Iterator[Daemon]:
    """A Redis that speaks TLS alone and keeps nothing."""
    with daemons.redis(credential) as daemon:
        yield daemon


def command(tls: ssl.SSLSocket, *words: str) -> bytes:
    """One command in Redis's protocol, and its answer."""
    sent = f"*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
    tls.sendall(sent.encode("ascii"))
    answer = read_line(tls)
    if answer.startswith(b"$") and answer != b"$-1\r\n":
        answer = read_exactly(tls, int(answer[1:]) + 2)
    return answer


@each_handshake
def test_redis_obeys_the_right_pin_and_hears_no_command_from_the_wrong_one(
    redis: Daemon, authority: Authority, pinned_to: Pinned, at_once: bool
) -> None:
    """Its own count of commands has those of the client with its pin alone."""
    with pinned_to(redis.credential.pin).wrap_socket(
        talk_to(redis.port), server_hostname=LOOPBACK
    ) as tls:
        assert command(tls, "CONFIG", "RESETSTAT") == b"+OK\r\n"
        assert command(tls, "SET", "greeting", "hello") == b"+OK\r\n"

        words = b"DEL greeting\r\nPING\r\n"
        with pytest.raises(pinsock.PinMismatchError):
            say_over_tls(talk_to(redis.port), pinned_to(authority.pin), at_once, words)

        assert command(tls, "GET", "greeting") == b"hello\r\n"
        lines = command(tls, "INFO", "commandstats").decode("ascii").splitlines()
        counts = dict(line.split(",")[0].split(":") for line in lines if ":" in line)
    assert counts == {
        "cmdstat_config|resetstat": "calls=1",
        "cmdstat_set": "calls=1",
        "cmdstat_get": "calls=1",
    }


# --- mosquitto ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mosquitto(credential: Credential) -> Iterator[Daemon]:
    """A broker that lets everybody in, as long as it is over TLS."""
    with daemons.mosquitto(credential) as daemon:
        yield daemon


def packet(kind: int, body: bytes) -> bytes:
    """A packet of MQTT 3.1.1, sections 2.2 and 2.3; less than 128 bytes long."""
    return bytes([kind, len(body)]) + body


def text(value: str) -> bytes:
    return struct.pack("!H", len(value)) + value.encode("ascii")


def connect_as(client: str) -> bytes:
    """CONNECT with a clean session, kept alive for a minute."""
    return packet(0x10, text("MQTT") + bytes([4, 2]) + struct.pack("!H", 60) + text(client))


def publish(topic: str, message: str) -> bytes:
    """PUBLISH, retained, so that who comes later hears it too."""
    return packet(0x31, text(topic) + message.encode("ascii"))


CONNACK = packet(0x20, bytes([0, 0]))
SUBSCRIBE = packet(0x82, struct.pack("!H", 1) + text("#") + b"\0")
SUBACK = packet(0x90, struct.pack("!H", 1) + b"\0")
PINGREQ = packet(0xC0, b"")
PINGRESP = packet(0xD0, b"")


@each_handshake
def test_mosquitto_serves_the_right_pin_and_hears_no_message_from_the_wrong_one(
    mosquitto: Daemon, authority: Authority, pinned_to: Pinned, at_once: bool
) -> None:
    """A retained message of the refused client is not there, and no client by its name ever was."""
    stolen = connect_as("refused") + publish("secret", "for another broker")
    with pytest.raises(pinsock.PinMismatchError):
        say_over_tls(talk_to(mosquitto.port), pinned_to(authority.pin), at_once, stolen)

    with pinned_to(mosquitto.credential.pin).wrap_socket(
        talk_to(mosquitto.port), server_hostname=LOOPBACK
    ) as tls:
        tls.sendall(connect_as("accepted"))
        assert read_exactly(tls, len(CONNACK)) == CONNACK
        tls.sendall(publish("greeting", "hello") + SUBSCRIBE)
        assert read_exactly(tls, len(SUBACK)) == SUBACK
        heard = publish("greeting", "hello")
        assert read_exactly(tls, len(heard)) == heard
        tls.sendall(PINGREQ)
        assert read_exactly(tls, len(PINGRESP)) == PINGRESP

    log = mosquitto.log
    eventually(lambda: "Received PINGREQ from accepted" in log.read_text(), "the client in the log")
    assert "refused" not in log.read_text()
    assert "secret" not in log.read_text()


# --- Postfix --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def postfix(credential: Credential) -> Iterator[Daemon]:
    """A Postfix of its own that takes mail for everybody at localhost and throws it away."""
    with daemons.postfix(credential) as daemon:
        yield daemon


def say(sock: socket.socket, line: str, code: int) -> list[bytes]:
    """One line of SMTP, and the lines of the answer."""
    sock.sendall(line.encode("ascii") + b"\r\n")
    return hear(sock, code)


def hear(sock: socket.socket, code: int) -> list[bytes]:
    """The lines of an answer, which must be of this kind."""
    lines = [read_line(sock)]
    while lines[-1][3:4] == b"-":
        lines.append(read_line(sock))
    assert lines[-1].startswith(b"%d " % code), lines
    return lines


def ask_for_tls(port: int) -> socket.socket:
    """What SMTP says in the clear (RFC 3207)."""
    sock = talk_to(port)
    hear(sock, 220)
    assert b"250-STARTTLS\r\n" in say(sock, "EHLO client.example", 250)
    say(sock, "STARTTLS", 220)
    return sock


@each_handshake
def test_postfix_takes_mail_from_the_right_pin_and_hears_no_command_from_the_wrong_one(
    postfix: Daemon, authority: Authority, pinned_to: Pinned, at_once: bool
) -> None:
    """After STARTTLS its count of the refused client's commands does not grow."""
    before = len(ends(postfix))
    mail = b"EHLO client.example\r\nMAIL FROM:<secret@localhost>\r\n"
    with pytest.raises(pinsock.PinMismatchError):
        say_over_tls(ask_for_tls(postfix.ports["smtp"]), pinned_to(authority.pin), at_once, mail)
    eventually(lambda: len(ends(postfix)) == before + 1, "the end of the refused client")

    with pinned_to(postfix.credential.pin).wrap_socket(
        ask_for_tls(postfix.ports["smtp"]), server_hostname=LOOPBACK
    ) as tls:
        say(tls, "EHLO client.example", 250)
        say(tls, "MAIL FROM:<>", 250)
        say(tls, "RCPT TO:<somebody@localhost>", 250)
        say(tls, "DATA", 354)
        say(tls, "Subject: hello\r\n\r\nhello\r\n.", 250)
        say(tls, "QUIT", 221)
    eventually(lambda: len(ends(postfix)) == before + 2, "the end of the accepted client")

    assert ends(postfix)[before:] == [
        "ehlo=1 starttls=1 commands=2",
        "ehlo=2 starttls=1 mail=1 rcpt=1 data=1 quit=1 commands=7",
    ]
    assert "secret" not in postfix.log.read_text()


def ends(postfix: Daemon) -> list[str]:
    """What Postfix counted of each client's commands, in the order in which they went."""
    lines = (line for line in postfix.log.read_text().splitlines() if ": disconnect from" in line)
    counts = [line.partition("] ")[2] for line in lines]
    # Who only looked whether it was there said nothing.
    return [count for count in counts if count != "commands=0/0"]
