"""Seven protocols that begin in the clear: a client's half by hand, the rest as it is for users."""

from __future__ import annotations

import contextlib
import imaplib
import poplib
import smtplib
import socket
import ssl
import threading
from ftplib import FTP_TLS
from typing import TYPE_CHECKING, Any

import pytest
from support.impostor import at_once

import pinsock
from pinsock.testing import (
    ATTACKS,
    LOOPBACK,
    Authority,
    Counters,
    Credential,
    Interceptor,
    PinnedServer,
    Target,
    run_attacks,
)
from pinsock.testing._starttls import PROTOCOLS, StartTls, protocol
from pinsock.testing._wire import Seen

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = b"the secret that only the pinned server may have"
WAIT = 10

#: What a client says and hears before TLS: requests, each with how its answer begins.
MYSQL_REQUEST = bytes.fromhex("20000001 00080000 00000001 2d") + bytes(23)
LDAP_REQUEST = bytes.fromhex("301d 020101 7718 8016") + b"1.3.6.1.4.1.1466.20037"
DIALOGUES: dict[StartTls, tuple[bytes, list[tuple[bytes, bytes]]]] = {
    "smtp": (
        b"220 ",
        [(b"EHLO me\r\n", b"250-server\r\n250 STARTTLS\r\n"), (b"starttls\r\n", b"220 ")],
    ),
    "imap": (
        b"* OK ",
        [
            (b"a1 CAPABILITY\r\n", b"* CAPABILITY IMAP4rev1 STARTTLS\r\na1 OK "),
            (b"a2 STARTTLS\r\n", b"a2 OK "),
        ],
    ),
    "pop3": (b"+OK ", [(b"CAPA\r\n", b"+OK\r\nSTLS\r\n.\r\n"), (b"STLS\r\n", b"+OK ")]),
    "ftp": (
        b"220 ",
        [(b"FEAT\r\n", b"211-Features\r\n AUTH TLS\r\n211 "), (b"AUTH TLS\r\n", b"234 ")],
    ),
    "postgres": (
        b"",
        [(bytes.fromhex("00000008 04d21630"), b"N"), (bytes.fromhex("00000008 04d2162f"), b"S")],
    ),
    "mysql": (b"\x49\0\0\0\x0a8.0", [(MYSQL_REQUEST, b"")]),
    "ldap": (b"", [(LDAP_REQUEST, bytes.fromhex("3024 020101 781f 0a0100"))]),
}


@pytest.fixture(scope="module")
def signer() -> Authority:
    return Authority("an authority")


@pytest.fixture(scope="module")
def right(signer: Authority) -> Credential:
    return signer.issue(LOOPBACK)


@pytest.fixture(scope="module")
def rogue(signer: Authority) -> Credential:
    return signer.issue(LOOPBACK)


def unpinned(signer: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=signer.pem)


def pinned(signer: Authority, right: Credential) -> pinsock.PinnedContext:
    return pinsock.create_default_context(pinsock.PinSet(right.pin, backup=None), cadata=signer.pem)


def hear(sock: socket.socket, beginning: bytes) -> bytes:
    """An answer that begins so, which is all of it that is looked at."""
    heard = b""
    while len(heard) < len(beginning):
        more = sock.recv(4096)
        assert more, heard
        heard += more
    assert heard.startswith(beginning), heard
    return heard


def say(name: StartTls, address: tuple[str, int], context: ssl.SSLContext) -> None:
    """The dialogue in the clear, then the secret in TLS."""
    greeting, dialogue = DIALOGUES[name]
    with socket.create_connection(address, WAIT) as sock:
        hear(sock, greeting)
        for request, beginning in dialogue:
            sock.sendall(request)
            hear(sock, beginning)
        with context.wrap_socket(sock, server_hostname=LOOPBACK) as tls:
            tls.sendall(SECRET)
            assert tls.recv(len(SECRET)) == SECRET


def serve(client: Any) -> None:
    """Say what one is told, whatever the protocol."""
    while data := client.recv():
        client.sendall(data)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_what_is_said_in_the_clear_is_relayed_and_tls_intercepted(
    name: StartTls, signer: Authority, right: Credential, rogue: Credential
) -> None:
    """The words before TLS are kept apart from what must be TLS."""
    clear = b"".join(request for request, _ in DIALOGUES[name][1])
    with (
        PinnedServer(right, starttls=name, serve=serve) as server,
        Interceptor(rogue, server.address, starttls=name) as interceptor,
    ):
        for context in (unpinned(signer), pinned(signer, right)):
            say(name, server.address, context)
        assert server.settle() == Counters(2, 2, 2 * len(SECRET), 0, 0)
        assert [seen.preamble for seen in server.connections] == [clear, clear]

        say(name, interceptor.address, unpinned(signer))
        assert interceptor.settle() == Counters(1, 1, len(SECRET), 0, 0)
        with pytest.raises(pinsock.PinMismatchError):
            say(name, interceptor.address, pinned(signer, right))
        counters = interceptor.settle()
        assert (counters.connections, counters.application_bytes) == (2, len(SECRET))
        assert [seen.preamble for seen in interceptor.connections] == [clear, clear]
        assert server.settle().application_bytes == 3 * len(SECRET)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_an_interceptor_without_a_server_behind_speaks_first_itself(
    name: StartTls, signer: Authority, right: Credential, rogue: Credential
) -> None:
    """As the server would."""
    greeting, dialogue = DIALOGUES[name]
    with Interceptor(rogue, starttls=name) as interceptor:
        with socket.create_connection(interceptor.address, WAIT) as sock:
            hear(sock, greeting)
            for request, beginning in dialogue:
                sock.sendall(request)
                hear(sock, beginning)
            with (
                pytest.raises(pinsock.PinMismatchError),
                pinned(signer, right).wrap_socket(sock, server_hostname=LOOPBACK),
            ):
                pass
        assert interceptor.settle().application_bytes == 0


@pytest.mark.parametrize("name", PROTOCOLS)
def test_bytes_where_tls_is_due_are_no_tls(name: StartTls, right: Credential) -> None:
    """After the server has agreed, what goes on in the clear is counted as that."""
    greeting, dialogue = DIALOGUES[name]
    with PinnedServer(right, starttls=name, serve=serve) as server:
        with socket.create_connection(server.address, WAIT) as sock:
            hear(sock, greeting)
            for request, beginning in dialogue:
                sock.sendall(request)
                hear(sock, beginning)
            sock.sendall(SECRET)
        assert server.settle() == Counters(1, 0, 0, 0, len(SECRET))


#: What nobody may say before TLS: log-ins, questions, and words that look like those that one may.
CLEAR_TEXT: list[tuple[StartTls, bytes]] = [
    ("smtp", b"AUTH PLAIN AGEAYg==\r\n"),
    ("smtp", b"MAIL FROM:<a@client.example>\r\n"),
    ("smtp", b"STARTTLS secret\r\n"),
    ("smtp", b"EHLOsecret\r\n"),
    ("imap", b"a1 LOGIN somebody secret\r\n"),
    ("imap", b"secret\r\n"),
    ("imap", b"a-secret-for-which-there-is-no-command NOOP\r\n"),
    ("pop3", b"USER somebody\r\n"),
    ("ftp", b"USER somebody\r\n"),
    ("ftp", b"AUTH GSSAPI\r\n"),
    ("postgres", bytes.fromhex("0000000d 00030000 75736572 00")),
    ("mysql", b"\x04\0\0\x01abcd"),
    ("mysql", b"\x20\0\0\x01\0\x08\0\0\0\0\0\x01\x2dsecret" + bytes(17)),
    ("ldap", bytes.fromhex("3010 020101 600b 020103 0400 800473 656372")),
    (
        "ldap",
        LDAP_REQUEST[:1]
        + b"\x24"
        + LDAP_REQUEST[2:6]
        + b"\x1f"
        + LDAP_REQUEST[7:]
        + b"\x81\5abcde",
    ),
]


@pytest.mark.parametrize(("name", "said"), CLEAR_TEXT)
def test_what_is_said_in_the_clear_and_is_not_needed_for_tls_is_no_tls(
    name: StartTls, said: bytes, right: Credential
) -> None:
    """Whole, or cut short by a client that says no more."""
    greeting, dialogue = DIALOGUES[name]
    for some in (said, said[:-1]):
        with PinnedServer(right, starttls=name) as server:
            with socket.create_connection(server.address, WAIT) as sock:
                hear(sock, greeting)
                for request, beginning in dialogue[:-1]:
                    sock.sendall(request)
                    hear(sock, beginning)
                sock.sendall(some)
            server.settle()
            assert server.connections[0].not_tls == some
            assert server.connections[0].preamble == b"".join(one for one, _ in dialogue[:-1])


#: More than a client needs, and nothing that anybody could use.
HARMLESS: list[tuple[StartTls, bytes]] = [
    *(("smtp", word) for word in (b"helo me\r\n", b"NOOP\r\n", b"RSET\r\n", b"quit\r\n", b"\r\n")),
    *(("imap", b"A01 " + word) for word in (b'ID ("name" "x")\r\n', b"NOOP\r\n", b"logout\r\n")),
    ("imap", b"\r\n"),
    ("pop3", b"QUIT\r\n"),
    ("ftp", b"AUTH SSL\r\n"),
    ("ftp", b"QUIT\r\n"),
    ("mysql", MYSQL_REQUEST[:-4] + b"\x1d\0\0\0"),
    ("ldap", bytes.fromhex("3005 020102 4200")),
    ("ldap", bytes.fromhex("308400000022 02020101 778400000018 8016") + LDAP_REQUEST[9:]),
]


@pytest.mark.parametrize(("name", "said"), HARMLESS)
def test_small_talk_in_the_clear_gives_nothing_away(
    name: StartTls, said: bytes, right: Credential
) -> None:
    """A client may say good-bye, and MariaDB's and Microsoft's may say it in their way."""
    with PinnedServer(right, starttls=name) as server:
        with socket.create_connection(server.address, WAIT) as sock:
            hear(sock, DIALOGUES[name][0])
            sock.sendall(said)
        server.settle()
        assert (server.connections[0].preamble, server.connections[0].not_tls) == (said, b"")


def test_an_empty_line_is_relayed_to_an_imap_server(right: Credential, rogue: Credential) -> None:
    """It has no tag, and the next request is relayed as ever."""
    with (
        PinnedServer(right, starttls="imap") as server,
        Interceptor(rogue, server.address, starttls="imap") as interceptor,
    ):
        with socket.create_connection(interceptor.address, WAIT) as sock:
            hear(sock, b"* OK ")
            sock.sendall(b"\r\n")
            hear(sock, b"* OK done\r\n")
            sock.sendall(b"a1 NOOP\r\n")
            hear(sock, b"a1 OK ")
        assert interceptor.settle().not_tls_bytes == 0
        assert isinstance(interceptor.connections[0].error, EOFError)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_who_goes_in_the_middle_of_it_is_no_error(name: StartTls, right: Credential) -> None:
    """At every byte of what a client says."""
    greeting, dialogue = DIALOGUES[name]
    request, _ = dialogue[-1]
    with PinnedServer(right, starttls=name) as server:
        for size in range(len(request)):
            with socket.create_connection(server.address, WAIT) as sock:
                hear(sock, greeting)
                sock.sendall(request[:size])
        counters = server.settle()
        assert counters == Counters(len(request), 0, 0, 0, 0)
        assert all(isinstance(seen.error, EOFError) for seen in server.connections)


class _Script:
    """A server that gives these answers, and takes whatever is said."""

    def __init__(self, *answers: bytes) -> None:
        self._left = b"".join(answers)
        self.heard = b""

    def recv(self, size: int = 65536, /) -> bytes:
        data, self._left = self._left[:size], self._left[size:]
        return data

    def sendall(self, data: bytes, /) -> None:
        self.heard += data

    def end(self) -> None:
        raise NotImplementedError


#: A question, and an answer in more pieces than one.
LONG_ANSWERS: list[tuple[StartTls, bytes, bytes]] = [
    ("smtp", b"EHLO me\r\n", b"250-a\r\n250-250 b\r\n250 STARTTLS\r\n"),
    ("smtp", b"HELP\r\n", b"214 \r\n"),
    ("ftp", b"FEAT\r\n", b"211-Features:\r\n AUTH TLS\r\n 211 no end\r\n211 End\r\n"),
    ("pop3", b"CAPA\r\n", b"+OK list\r\nSTLS\r\n.\r\n"),
    ("pop3", b"CAPA\r\n", b"-ERR no\r\n"),
    ("imap", b"x9 CAPABILITY\r\n", b"* CAPABILITY a\r\n* x9 is no tag\r\nx9 OK done\r\n"),
    ("mysql", b"", b"\x03\0\0\x00abc"),
    ("ldap", b"\x30\x03\x02\x01\x01", b"\x30\x81\x80" + bytes(128)),
    ("ldap", b"\x30\x03\x02\x01\x01", b"\x30\x82\x01\x00" + bytes(256)),
]


@pytest.mark.parametrize(("name", "request_", "answer"), LONG_ANSWERS)
def test_an_answer_is_relayed_whole_and_nothing_after_it(
    name: StartTls, request_: bytes, answer: bytes
) -> None:
    """The next byte may be TLS's."""
    server = _Script(answer, b"\x16\x03\x03")
    assert protocol(name).reply(server, request_) == answer
    assert server.recv() == b"\x16\x03\x03"


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("smtp", b"454 not now\r\n"),
        ("imap", b"a1 NO not now\r\n"),
        ("imap", b"a1 BAD OKAY\r\n"),
        ("pop3", b"-ERR\r\n"),
        ("ftp", b"534 no\r\n"),
        ("postgres", b"N"),
        ("postgres", b"E"),
        ("ldap", bytes.fromhex("300c 020101 7807 0a0102 0400 0400")),
        ("ldap", bytes.fromhex("300c 020101 7807 0a0134 0400 0400")),
    ],
)
def test_a_refusal_of_tls_is_not_taken_for_agreement(name: StartTls, answer: bytes) -> None:
    """The clear text goes on then."""
    assert not protocol(name).agrees(answer)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_request_for_tls_is_known_from_others(name: StartTls) -> None:
    """And every protocol's own server agrees to its own request."""
    speaks = protocol(name)
    *others, (asks, _) = DIALOGUES[name][1]
    assert speaks.asks(asks)
    assert speaks.agrees(speaks.answer(asks))
    for other, _ in others:
        assert not speaks.asks(other)
    assert not speaks.asks(b"QUIT\r\n")
    assert speaks.inject(asks)
    assert Seen().preamble == b""


# --- clients of Python's own ----------------------------------------------------------------------


@pytest.fixture
def mail_server(right: Credential) -> Iterator[PinnedServer]:
    with PinnedServer(right, starttls="smtp") as server:
        yield server


def test_smtplib_sends_mail_to_it_and_through_an_interceptor(
    mail_server: PinnedServer, signer: Authority, right: Credential, rogue: Credential
) -> None:
    """Unpinned all of it is read, and pinned none."""

    def send(address: tuple[str, int], context: ssl.SSLContext) -> None:
        with smtplib.SMTP(*address, timeout=WAIT) as smtp:
            smtp.starttls(context=context)
            smtp.sendmail("a@client.example", "b@server.example", SECRET)

    with Interceptor(rogue, mail_server.address, starttls="smtp") as interceptor:
        send(mail_server.address, pinned(signer, right))
        send(interceptor.address, unpinned(signer))
        interceptor.settle()
        assert SECRET in interceptor.connections[0].application
        with pytest.raises(pinsock.PinMismatchError):
            send(interceptor.address, pinned(signer, right))
        interceptor.settle()
        assert interceptor.connections[1].application == b""


def test_imaplib_poplib_and_ftplib_come_to_tls_with_it(
    signer: Authority, right: Credential, rogue: Credential
) -> None:
    """As far as the pin, which is what an interceptor is there for."""

    def imap(context: ssl.SSLContext) -> None:
        client = imaplib.IMAP4(*interceptor.address, timeout=WAIT)
        try:
            client.starttls(context)
        finally:
            with contextlib.suppress(OSError):  # pinsock has closed the socket
                client.shutdown()

    def pop3(context: ssl.SSLContext) -> None:
        client = poplib.POP3(*interceptor.address, timeout=WAIT)
        try:
            client.stls(context)
        finally:
            with contextlib.suppress(OSError):
                client.close()

    def ftp(context: ssl.SSLContext) -> None:
        with FTP_TLS(timeout=WAIT, context=context) as client:  # noqa: S321 - it is what is tested
            client.connect(*interceptor.address)
            client.auth()
            client.close()

    for name, connect in (("imap", imap), ("pop3", pop3), ("ftp", ftp)):
        with Interceptor(rogue, starttls=name) as interceptor:  # type: ignore[arg-type]
            with pytest.raises(pinsock.PinMismatchError):
                connect(pinned(signer, right))
            assert interceptor.settle().application_bytes == 0
            assert interceptor.connections[0].preamble
            assert interceptor.connections[0].not_tls == b""


# --- injected bytes -------------------------------------------------------------------------------

#: What a client says first in TLS.
FIRST_REQUESTS: dict[StartTls, bytes] = {
    "smtp": b"EHLO me\r\n",
    "imap": b"a3 CAPABILITY\r\n",
    "pop3": b"CAPA\r\n",
    "ftp": b"PBSZ 0\r\n",
    "postgres": bytes.fromhex("0000000d 00030000 75736572 00"),
    "mysql": b"\x04\0\0\x02abcd",
    "ldap": bytes.fromhex("300c 020102 6007 020103 0400 8000"),
}


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("believes", [True, False])
def test_who_believes_injected_bytes_is_found_out_in_every_protocol(
    name: StartTls, believes: bool
) -> None:
    """They come in one piece with the agreement, and pass for the answer to the first request."""

    def talk(target: Target) -> None:
        greeting, dialogue = DIALOGUES[name]
        with socket.create_connection(target.address, WAIT) as sock:
            at_once(sock)
            heard = hear(sock, greeting)
            for request, beginning in dialogue:
                sock.sendall(request)
                heard = hear(sock, beginning) if beginning else b""
            if believes and not heard:  # MySQL's agreement is to say nothing
                sock.settimeout(0.5)
                with contextlib.suppress(TimeoutError):
                    heard = sock.recv(4096)
                sock.settimeout(WAIT)
            believed = believes and protocol(name).inject(dialogue[-1][0]) in heard
            with target.context().wrap_socket(sock, server_hostname=target.host) as tls:
                tls.sendall(FIRST_REQUESTS[name])
                if not (believed or tls.recv(4096)):
                    raise EOFError
                tls.sendall(SECRET)

    attack = "STARTTLS with injected bytes"
    others = [other for other in ATTACKS if other != attack]
    report = run_attacks(talk, starttls=name, serve=serve, skip=others)
    row = report[attack]
    if believes:
        assert (row.outcome, row.leaked) == ("not refused", SECRET)
    else:
        assert (row.outcome, row.leaked) == ("refused", b"")


def test_a_refusal_of_tls_is_relayed_and_the_clear_text_goes_on(
    signer: Authority, rogue: Credential
) -> None:
    """The interceptor waits for the next request, and takes nothing for TLS before that."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        answers = [b"220 ready\r\n", b"454 not now\r\n", b"250 well\r\n", b"220 go ahead\r\n"]
        requests = [b"STARTTLS\r\n", b"NOOP\r\n", b"STARTTLS\r\n"]

        def answer() -> None:
            server, _ = listener.accept()
            with server:
                server.settimeout(WAIT)
                server.sendall(answers[0])
                for reply in answers[1:]:
                    assert server.recv(100)
                    server.sendall(reply)

        thread = threading.Thread(target=answer)
        thread.start()
        with Interceptor(rogue, listener.getsockname(), starttls="smtp") as interceptor:
            with socket.create_connection(interceptor.address, WAIT) as sock:
                hear(sock, answers[0])
                for request, reply in zip(requests, answers[1:], strict=True):
                    sock.sendall(request)
                    hear(sock, reply)
                with unpinned(signer).wrap_socket(sock, server_hostname=LOOPBACK):
                    pass  # the interceptor shows its certificate now
            interceptor.settle()
            assert interceptor.connections[0].preamble == b"".join(requests)
        thread.join(WAIT)
