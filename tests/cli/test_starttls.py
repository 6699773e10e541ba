"""What is said before TLS: the dialogues, and everything that must not be believed in them.

The servers here are scripts that write down what they heard.  Those that answer right go on with
TLS; an attacker on the way puts in what a client could take for something said under TLS.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, NamedTuple

import pytest
from support.contexts import server
from support.impostor import HOST, Report, over_tls, sends, serving

from .tools import document, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.impostor import Conversation, Impostor

    from pinsock._throwaway import Credential

    At = Callable[[Impostor], str]


class Script(NamedTuple):
    """A server's part, and what the client says in it."""

    first: bytes
    answers: tuple[bytes, ...]
    heard: tuple[bytes, ...]
    refusal: bytes
    """In the place of the last answer: no."""

    @property
    def go_ahead(self) -> bytes:
        return self.answers[-1]


LDAP_REQUEST = bytes.fromhex("301d02010177188016") + b"1.3.6.1.4.1.1466.20037"
XMPP_HELLO = (
    f"<?xml version='1.0'?><stream:stream to='{HOST}' version='1.0' xmlns='jabber:client' "
    f"xmlns:stream='http://etherx.jabber.org/streams'>"
).encode()
XMPP_FEATURES = (
    b"<?xml version='1.0'?><stream:stream from='server.example' id='1' version='1.0'>"
    b"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>"
)
SCRIPTS = {
    "smtp": Script(
        b"220-welcome\r\n220 mail.example ESMTP\r\n",
        (b"250-mail.example\r\n250-STARTTLS\r\n250 HELP\r\n", b"220 go ahead\r\n"),
        (b"EHLO [127.0.0.1]\r\n", b"STARTTLS\r\n"),
        b"454 not now\r\n",
    ),
    "imap": Script(
        b"* OK ready\r\n",
        (b"* CAPABILITY IMAP4rev1\r\na OK begin\r\n",),
        (b"a STARTTLS\r\n",),
        b"a BAD no\r\n",
    ),
    "pop3": Script(b"+OK ready\r\n", (b"+OK begin\r\n",), (b"STLS\r\n",), b"-ERR no\r\n"),
    "ftp": Script(b"220 ready\r\n", (b"234 begin\r\n",), (b"AUTH TLS\r\n",), b"500 no\r\n"),
    "postgres": Script(b"", (b"S",), (bytes.fromhex("0000000804d2162f"),), b"N"),
    "ldap": Script(
        b"",
        (bytes.fromhex("300c02010178070a010004000400"),),
        (LDAP_REQUEST,),
        bytes.fromhex("300c02010178070a010204000400"),  # protocolError
    ),
    "xmpp": Script(
        b"",
        (XMPP_FEATURES, b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
        (XMPP_HELLO, b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
        b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
    ),
}
each_protocol = pytest.mark.parametrize("protocol", SCRIPTS)


def plays(
    script: Script, then: Conversation | None = None, heard: list[bytes] | None = None
) -> Conversation:
    """Say the server's part, each answer as soon as something came, and go on with ``then``."""

    def converse(sock: socket.socket, report: Report) -> None:
        sock.sendall(script.first)
        for answer in script.answers:
            said = sock.recv(65536)
            if not said:
                return
            if heard is not None:
                heard.append(said)
            sock.sendall(answer)
        if then is not None:
            then(sock, report)

    return converse


def refused(*arguments: str, status: int = 3) -> str:
    """The one line that says what and what next."""
    done = run("fetch", *arguments)
    assert (done.returncode, done.stdout) == (status, ""), done
    assert done.stderr.startswith("pinsock fetch: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


@each_protocol
def test_after_the_dialogue_comes_tls_and_then_nothing(
    good: Credential, ca: Path, at: At, protocol: str
) -> None:
    """The server hears these lines, a handshake, and its end."""
    heard: list[bytes] = []
    script = SCRIPTS[protocol]
    with serving(plays(script, over_tls(server(good)), heard)) as peer:
        shown = document("fetch", at(peer), "--starttls", protocol, "--cafile", ca)
        report = peer.report()
    assert [one["pin"] for one in shown["certificates"]] == [str(good.pin)]
    assert shown["starttls"] == protocol
    assert shown["verified"]
    assert tuple(heard) == script.heard
    assert report.shaken
    assert report.got_nothing()
    assert report.ended == "eof"


@each_protocol
def test_bytes_in_the_same_segment_as_the_go_ahead_are_refused(at: At, protocol: str) -> None:
    """Nothing is said to whoever put them there: no handshake begins."""
    script = SCRIPTS[protocol]
    injected = script._replace(answers=(*script.answers[:-1], script.go_ahead + b"* OK [injected]"))

    def listen(sock: socket.socket, report: Report) -> None:
        while data := sock.recv(65536):
            report.take(data)
        report.ended = "eof"

    with serving(plays(injected, listen)) as peer:
        said = refused(at(peer), "--starttls", protocol)
        report = peer.report()
    assert "bytes came before TLS, and are not read: '* OK [injected]'" in said
    assert report.raw == b""


@each_protocol
def test_bytes_in_a_segment_of_their_own_are_refused(at: At, protocol: str) -> None:
    """Whether they are there before the handshake begins, or come instead of the server's part."""

    def inject(sock: socket.socket, report: Report) -> None:
        sock.sendall(b"* OK [injected]")
        while data := sock.recv(65536):
            report.take(data)

    with serving(plays(SCRIPTS[protocol], inject)) as peer:
        said = refused(at(peer), "--starttls", protocol)
    assert "bytes came before TLS, and are not read: '* OK [injected]'" in said


@each_protocol
def test_bytes_that_look_like_tls_are_not_believed_either(
    good: Credential, ca: Path, at: At, protocol: str
) -> None:
    """Another server's first record, put in before the client has said a word of TLS."""
    record = b"\x16\x03\x03\x00\x04\x0e\x00\x00\x00"
    script = SCRIPTS[protocol]
    injected = script._replace(answers=(*script.answers[:-1], script.go_ahead + record))
    with serving(plays(injected, over_tls(server(good)))) as peer:
        said = refused(at(peer), "--starttls", protocol, "--cafile", str(ca))
    assert "bytes came before TLS, and are not read" in said


@pytest.mark.parametrize("protocol", ["smtp", "imap", "pop3", "ftp", "xmpp"])
def test_an_answer_before_its_question_is_refused(at: At, protocol: str) -> None:
    """All answers at once: whoever answers before he is asked did not hear the question."""
    script = SCRIPTS[protocol]
    together = b"".join(script.answers)
    hasty = sends(first=script.first + together) if script.first else sends(together)
    with serving(hasty) as peer:
        said = refused(at(peer), "--starttls", protocol, "--timeout", "5")
    assert "bytes came before TLS" in said


@each_protocol
def test_a_server_that_says_no(at: At, protocol: str) -> None:
    """It is not asked again, and TLS does not begin."""
    script = SCRIPTS[protocol]
    refusing = script._replace(answers=(*script.answers[:-1], script.refusal))
    with serving(plays(refusing)) as peer:
        said = refused(at(peer), "--starttls", protocol)
    assert "check the port and the protocol" in said


@pytest.mark.parametrize("protocol", ["smtp", "xmpp"])
def test_a_server_that_does_not_offer_it_is_not_asked(at: At, protocol: str) -> None:
    """Somebody on the way may have taken the offer out; either way there is no TLS."""
    script = SCRIPTS[protocol]
    silent = script.answers[0].replace(b"STARTTLS", b"XXXXXXXX").replace(b"<starttls", b"<other")
    heard: list[bytes] = []
    with serving(plays(script._replace(answers=(silent,)), None, heard)) as peer:
        assert "STARTTLS is not offered" in refused(at(peer), "--starttls", protocol)
        peer.report()
    assert tuple(heard) == script.heard[:1]


def test_imap_that_has_let_everybody_in_is_refused(at: At) -> None:
    """After PREAUTH there is no STARTTLS (CVE-2021-38370 and its kin)."""
    with serving(sends(first=b"* PREAUTH welcome\r\n")) as peer:
        said = refused(at(peer), "--starttls", "imap")
    assert "* OK was expected: the server says '* PREAUTH welcome'" in said


@each_protocol
def test_an_answer_without_end_is_cut_off(at: At, protocol: str) -> None:
    """In length, and long before ten megabytes."""
    taken = []

    def flood(sock: socket.socket, _: Report) -> None:
        try:
            for _ in range(1000):
                sock.sendall(b"220-x" * 2000)
                taken.append(10_000)
        except OSError:
            return

    with serving(flood) as peer:
        said = refused(at(peer), "--starttls", protocol)
    assert "before TLS" in said or "was expected" in said
    assert sum(taken) < 9_000_000


@pytest.mark.parametrize("protocol", ["smtp", "ftp"])
def test_lines_without_end_are_cut_off(at: At, protocol: str) -> None:
    """Each is fine, and there is always one more."""

    def chatter(sock: socket.socket, _: Report) -> None:
        try:
            while True:
                sock.sendall(b"220-and one more\r\n" * 100)
        except OSError:
            return

    with serving(chatter) as peer:
        assert "more than 16384 bytes before TLS" in refused(at(peer), "--starttls", protocol)


@each_protocol
def test_a_server_that_says_nothing_is_waited_for_in_vain(at: At, protocol: str) -> None:
    """The limit in time holds before TLS too."""
    with serving(sends()) as peer:
        said = refused(at(peer), "--starttls", protocol, "--timeout", "0.5")
    assert "no handshake within 0.5 s" in said


@each_protocol
def test_a_server_that_hangs_up(at: At, protocol: str) -> None:
    """With what it said until then."""

    def goodbye(sock: socket.socket, _: Report) -> None:
        sock.sendall(b"4")
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(65536):
            pass

    with serving(goodbye) as peer:
        said = refused(at(peer), "--starttls", protocol)
    assert "ended the connection before TLS after '4'" in said or "was expected" in said


def test_an_ldap_answer_of_four_gigabytes_is_not_waited_for(at: At) -> None:
    """A length is read before it is believed."""
    with serving(sends(bytes.fromhex("3084ffffffff020101"))) as peer:
        said = refused(at(peer), "--starttls", "ldap")
    assert "an answer of 4294967295 bytes before TLS is not read" in said


@pytest.mark.parametrize(
    "answer",
    [
        "30840000000c02010178070a010004000400",
        "3084000000100201017884000000070a010004000400",
    ],
)
def test_ldap_lengths_in_the_long_form(good: Credential, ca: Path, at: At, answer: str) -> None:
    """BER lets a server choose (X.690, 8.1.3), and one well-known server writes four bytes."""
    script = SCRIPTS["ldap"]._replace(answers=(bytes.fromhex(answer),))
    with serving(plays(script, over_tls(server(good)))) as peer:
        shown = document("fetch", at(peer), "--starttls", "ldap", "--cafile", ca)
    assert shown["verified"]


def test_what_the_server_says_is_escaped(at: At) -> None:
    """A refusal that would clear the screen."""
    with serving(sends(first=b"500 \x1b[2Jno\r\n")) as peer:
        said = refused(at(peer), "--starttls", "smtp")
    assert "'500 \\x1b[2Jno'" in said


def test_a_protocol_that_is_not_known() -> None:
    """A usage error that names those that are."""
    said = refused("nowhere.invalid", "--starttls", "telnet", status=2)
    assert "'smtp', 'imap', 'pop3', 'ftp', 'postgres', 'ldap', 'xmpp'" in said
