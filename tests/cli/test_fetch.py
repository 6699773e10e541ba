"""``pinsock fetch``: what it shows of a server, what it proves, and that it says nothing itself."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from support.contexts import TLS_1_2, TLS_1_3, VERSIONS, server
from support.impostor import HOST, over_tls, resets, sends, serving

from pinsock import Pin
from pinsock._throwaway import Authority, rsa_key

from .tools import document, on_terminal, run

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from pathlib import Path

    from support.impostor import Impostor, Report

    from pinsock._throwaway import Credential

    At = Callable[[Impostor], str]

NOT_PROVEN = "Not proven: this is who answered, and that may be somebody else."


def said_nothing(report: Report) -> bool:
    """Whether the client shook hands, ended the connection in TLS's own words, and no more."""
    # In TLS 1.3 the end is an alert within a record that looks like data.
    return report.shaken and report.got_nothing() and report.ended == "eof" and not report.error


# --- what it shows --------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS, ids=["TLSv1.2", "TLSv1.3"])
def test_the_chain_is_shown_as_sent(
    authority: Authority, ca: Path, at: At, version: ssl.TLSVersion
) -> None:
    """Leaf first: subject, issuer, dates, key and pins; and the server hears nothing of it."""
    middle = Authority("the middle", authority)
    credential = middle.issue(HOST, key=rsa_key(), days=17.5)
    with serving(server(credential, version)) as peer:
        shown = document("fetch", at(peer), "--cafile", ca)
        assert said_nothing(peer.report())

    assert shown["host"] == HOST
    assert shown["tls"] == {TLS_1_2: "TLSv1.2", TLS_1_3: "TLSv1.3"}[version]
    assert (shown["verified"], shown["verify_error"], shown["sent"]) == (True, None, 2)
    leaf, above = shown["certificates"]
    assert leaf == {
        "subject": f"CN={HOST}",
        "issuer": "CN=the middle",
        "names": [HOST],
        "not_before": leaf["not_before"],
        "not_after": credential.certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "days": 17,
        "state": "valid",
        "self_signed": False,
        "key": "RSA 2048",
        "pin": str(credential.pin),
        "certificate_pin": str(Pin.from_certificate(credential.der, "certificate")),
    }
    assert (above["subject"], above["pin"]) == ("CN=the middle", str(middle.pin))
    assert (above["key"], above["issuer"]) == ("EC P-256", "CN=everybody's authority")


def test_people_are_shown_the_same_and_told_that_it_is_not_proven(
    good: Credential, ca: Path, at: At
) -> None:
    """The warning goes where it is seen even if the rest is piped away."""
    with serving(server(good)) as peer:
        done = run("fetch", at(peer), "--cafile", ca)
    assert done.returncode == 0
    assert done.stdout.startswith(f"{at(peer)}  TLSv1.3, 1 certificate, as sent\n\n0  CN={HOST}\n")
    assert f"   pin      {good.pin}\n" in done.stdout
    assert ", 29 days left\n" in done.stdout
    assert "\nverified for this name by the authorities that are trusted here\n" in done.stdout
    assert done.stderr.startswith(NOT_PROVEN)


def test_a_self_signed_certificate_is_shown_and_said_to_be_one(at: At) -> None:
    """That is what many come for: there is no other way to know its pin."""
    itself = Authority(HOST).credential
    with serving(server(itself)) as peer:
        done = run("fetch", at(peer))
        peer.report()  # of the connection that verification refused
        assert said_nothing(peer.report())
        shown = document("fetch", at(peer))
    assert done.returncode == 0
    assert f"   issuer   CN={HOST}  (self-signed)\n" in done.stdout
    assert "\nnot verified: self-signed certificate\n" in done.stdout
    assert f"   pin      {itself.pin}\n" in done.stdout
    assert (shown["verified"], shown["verify_error"]) == (False, "self-signed certificate")
    assert shown["certificates"][0]["self_signed"]


def test_an_expired_certificate_is_shown_and_said_to_be_expired(
    authority: Authority, ca: Path, at: At
) -> None:
    """With its age."""
    with serving(server(authority.issue(HOST, days=-2.5))) as peer:
        done = run("fetch", at(peer), "--cafile", ca)
        shown = document("fetch", at(peer), "--cafile", ca)
    assert done.returncode == 0
    assert ", EXPIRED, 3 days ago\n" in done.stdout
    assert "\nnot verified: certificate has expired\n" in done.stdout
    (leaf,) = shown["certificates"]
    assert (leaf["state"], leaf["days"]) == ("expired", -3)


def test_a_certificate_for_another_name_is_said_to_be_so(
    authority: Authority, ca: Path, at: At
) -> None:
    """With the names that it is for."""
    with serving(server(authority.issue("other.example"))) as peer:
        done = run("fetch", at(peer), "--cafile", ca)
    assert "   names    other.example\n" in done.stdout
    assert f"not verified: Hostname mismatch, certificate is not valid for '{HOST}'" in done.stdout


@pytest.mark.parametrize("version", VERSIONS, ids=["TLSv1.2", "TLSv1.3"])
def test_a_server_that_wants_a_client_certificate_has_shown_its_own(
    good: Credential, authority: Authority, ca: Path, at: At, version: ssl.TLSVersion
) -> None:
    """In TLS 1.2 the handshake then fails, but the certificates had come."""
    with serving(server(good, version, clients=authority)) as peer:
        shown = document("fetch", at(peer), "--cafile", ca)
    assert shown["certificates"][0]["pin"] == str(good.pin)
    if version is TLS_1_2:
        assert shown["tls"] is None
        assert "it may want a client certificate" in shown["handshake_error"]


def test_what_the_peer_sent_is_escaped(authority: Authority, at: At) -> None:
    """A subject and names that would forge lines and colours."""
    evil = "\x1b[31m\ngood  [bold]CN\u202e"
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, evil)])
    names = x509.SubjectAlternativeName([x509.DNSName("a\x1b[0m.example")])
    credential = authority.issue(subject=name, extensions=(names,))
    with serving(server(credential)) as peer:
        done = run("fetch", at(peer))
        with on_terminal("fetch", at(peer), NO_COLOR="1", TERM="dumb") as terminal:
            pass
    for text in (done.stdout, terminal.text):
        assert "\x1b" not in text
        assert "\ngood" not in text
        assert "[bold]CN" in text  # not taken for markup
        assert "a\\x1b[0m.example" in text


def test_a_long_chain_is_cut(authority: Authority, ca: Path, at: At) -> None:
    """Whoever sends a hundred certificates shall not fill the screen."""
    credential = authority.issue(HOST)
    stuffed = type(credential)(
        credential.certificate, credential.key, tuple([authority.credential.certificate] * 40)
    )
    with serving(server(stuffed)) as peer:
        shown = document("fetch", at(peer), "--cafile", ca)
        done = run("fetch", at(peer), "--cafile", ca)
    assert (shown["sent"], len(shown["certificates"])) == (41, 10)
    assert "\n... and 31 more\n" in done.stdout


# --- what it proves -------------------------------------------------------------------------------


def test_the_expected_pin_is_proven(good: Credential, backup: Credential, ca: Path, at: At) -> None:
    """By a handshake that the pins decide on; the server hears no data in either connection."""
    with serving(server(good)) as peer:
        done = run(
            *("fetch", at(peer), "--cafile", ca),
            *("--expect", str(backup.pin), "--expect", str(good.pin)),
        )
        assert said_nothing(peer.report())
        assert said_nothing(peer.report())
    assert done.returncode == 0
    assert done.stderr == f"Proven: {at(peer)} has the key of {good.pin}.\n"


def test_the_pin_of_a_self_signed_certificate_is_proven(at: At) -> None:
    """No authority is needed for that: the key is what the handshake proves."""
    itself = Authority(HOST).credential
    with serving(server(itself)) as peer:
        shown = document("fetch", at(peer), "--expect", str(itself.pin))
    assert (shown["proven"], shown["verified"]) == (str(itself.pin), False)


@pytest.mark.parametrize("version", VERSIONS, ids=["TLSv1.2", "TLSv1.3"])
def test_another_key_is_a_finding(
    good: Credential, bad: Credential, ca: Path, at: At, version: ssl.TLSVersion
) -> None:
    """Status 1; the impostor hears nothing, and its pin is not made ready to paste."""
    with serving(server(bad, version)) as impostor:
        done = run("fetch", at(impostor), "--cafile", ca, "--expect", str(good.pin))
        report = impostor.report()
        assert report.got_nothing()
        assert not report.shaken
        pasted = run(
            *("fetch", at(impostor), "--cafile", ca, "--expect", str(good.pin)),
            *("--format", "okhttp"),
        )
        shown = document(
            *("fetch", at(impostor), "--cafile", ca, "--expect", str(good.pin)), status=1
        )
    assert done.returncode == 1
    assert done.stderr == f"NOT PROVEN: {at(impostor)} has not the expected key; send it nothing.\n"
    assert f"   pin      {bad.pin}\n" in done.stdout
    assert pasted.returncode == 1
    assert "CertificatePinner" not in pasted.stdout
    assert (shown["proven"], shown["formats"]) == (None, {})


def test_the_key_of_the_authority_is_not_proven_by_a_leaf(
    good: Credential, authority: Authority, ca: Path, at: At
) -> None:
    """Anybody can send the authority's certificate along."""
    stuffed = type(good)(good.certificate, good.key, (authority.credential.certificate,))
    with serving(server(stuffed)) as peer:
        done = run("fetch", at(peer), "--cafile", ca, "--expect", str(authority.pin))
    assert done.returncode == 1


# --- bad input ------------------------------------------------------------------------------------


def refused(*arguments: str | Path, status: int = 3) -> str:
    """The one line that says what and what next."""
    done = run("fetch", *arguments)
    assert (done.returncode, done.stdout) == (status, ""), done
    assert done.stderr.startswith("pinsock fetch: ")
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix("pinsock fetch: ").rstrip("\n")


def test_an_unknown_host() -> None:
    """A name that never has an address (RFC 6761)."""
    assert refused("no-such-host.invalid") == (
        "no-such-host.invalid:443: no address is known for this name; check its spelling and the "
        "DNS"
    )


def test_a_closed_port() -> None:
    """Nobody listens."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        assert refused(f"127.0.0.1:{port}") == (
            f"127.0.0.1:{port}: nothing listens there (connection refused); check the port"
        )


@pytest.mark.parametrize(
    ("first", "says"),
    [
        (b"220 mail.example ESMTP\r\n", "220 mail.example ESMTP\\r\\n"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0-OpenSSH_9.2\\r\\n"),
        (b"\x1b[2Jboo", "\\x1b[2Jboo"),
    ],
)
def test_a_server_that_speaks_something_else(at: At, first: bytes, says: str) -> None:
    """It is quoted, escaped, with the way to STARTTLS."""
    with serving(sends(first=first)) as peer:
        assert refused(at(peer)) == (
            f"{at(peer)}: does not speak TLS: it says '{says}'; check the port, or give --starttls"
        )


def test_a_web_server_without_tls(at: At) -> None:
    """It takes the handshake for a bad request."""
    with serving(sends(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as peer:
        assert "does not speak TLS: it says 'HTTP/1.1 400 Bad Request" in refused(at(peer))


def test_a_server_that_stalls(at: At) -> None:
    """It takes the connection, and that was all."""
    with serving(sends()) as peer:
        assert refused(at(peer), "--timeout", "0.5") == (
            f"{at(peer)}: no handshake within 0.5 s; check the address and the port, or give it "
            f"longer with --timeout"
        )


def test_a_server_that_sends_a_byte_now_and_then(at: At) -> None:
    """The limit is one of all of it, not of each byte."""

    def drip(sock: socket.socket, _: Report) -> None:
        sock.sendall(b"\x16\x03\x03\x40\x00")
        sock.settimeout(0.05)
        while True:
            try:
                if not sock.recv(65536):
                    return
            except TimeoutError:
                sock.sendall(b"\x02")

    with serving(drip) as peer:
        assert "no handshake within 0.7 s" in refused(at(peer), "--timeout", "0.7")


@pytest.mark.parametrize("beginning", [b"", b"\x16\x03\x03\x40\x00"], ids=["at once", "as TLS"])
def test_a_server_that_sends_ten_megabytes_of_rubbish(at: At, beginning: bytes) -> None:
    """It is given up long before."""
    taken = []

    def flood(sock: socket.socket, _: Report) -> None:
        rubbish = b"rubbish " * 1250
        sock.sendall(beginning)
        try:
            for _ in range(1000):
                sock.sendall(rubbish)
                taken.append(len(rubbish))
        except OSError:
            return

    with serving(flood) as peer:
        said = refused(at(peer))
    assert "does not speak TLS" in said if not beginning else "no TLS handshake" in said
    assert sum(taken) < 9_000_000


def test_a_server_that_talks_on_after_the_handshake(good: Credential, ca: Path, at: At) -> None:
    """Without end, and nobody listens: what was to be seen was seen."""

    def talk(sock: socket.socket, _: Report) -> None:
        with server(good).wrap_socket(sock, server_side=True) as tls:
            while True:
                tls.sendall(bytes(65536))

    with serving(talk) as peer:
        shown = document("fetch", at(peer), "--cafile", ca)
    assert shown["certificates"][0]["pin"] == str(good.pin)


def test_messages_without_end_are_cut_off(at: At) -> None:
    """HelloRequest, which a client ignores in a handshake (RFC 5246, 7.4.1.1), again and again."""

    def greet(sock: socket.socket, _: Report) -> None:
        while True:
            sock.sendall(b"\x16\x03\x03\x00\x04\x00\x00\x00\x00" * 1000)

    with serving(greet) as peer:
        assert "more than 400000 bytes and still no end of the handshake" in refused(at(peer))


@pytest.mark.parametrize("converse", [resets, lambda sock, _: sock.close()], ids=["reset", "end"])
def test_a_server_that_hangs_up(at: At, converse: Callable[[socket.socket, Report], None]) -> None:
    """In the middle of it, or at once."""
    with serving(converse) as peer:
        said = refused(at(peer))
    assert "broke off" in said or "ended the connection" in said


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("https://server.example/", "give the host alone, without scheme and path"),
        ("ser ver", "not a host name"),
        ("server.example:0", "a port is a number from 1 to 65535"),
        ("server.example:99999", "a port is a number from 1 to 65535"),
        ("server.example:https", "a port is a number from 1 to 65535"),
        ("", "not a host name"),
        ("server.example@elsewhere.example", "after the @ an IP address is expected"),
        ("server.example@", "after the @ an IP address is expected"),
        ("a\x1b[31m", "not a host name"),
        ("[::1", "an IPv6 address"),
    ],
)
def test_what_is_no_host(host: str, why: str) -> None:
    """A usage error that quotes it, escaped."""
    said = refused(host, status=2)
    assert why in said or "neither a host name nor" in said
    assert "\x1b" not in said


def test_what_is_no_pin() -> None:
    """Before anything is connected to."""
    assert "--expect: pin: 'sha256/short'" in refused(
        "nowhere.invalid", "--expect", "sha256/short", status=2
    )


def test_a_backup_is_a_key(good: Credential) -> None:
    """Its certificate does not exist yet, and most programs know no such pins."""
    whole = Pin.from_certificate(good.der, "certificate")
    said = refused("nowhere.invalid", "--backup", str(whole), status=2)
    assert "--backup: the pin of a key is expected" in said


def test_a_file_of_authorities_that_is_none(tmp_path: Path) -> None:
    """Or that is not there."""
    path = tmp_path / "authorities.pem"
    said = refused("nowhere.invalid", "--cafile", path, status=2)
    assert said == f"{path}: No such file or directory; check its name"
    path.write_text("hello")
    said = refused("nowhere.invalid", "--cafile", path, status=2)
    assert said == f"{path}: no certificates in PEM; give the file of the authorities"


def test_an_ipv6_address(authority: Authority, ca: Path) -> None:
    """In brackets, with a port; the certificate is one for the address."""
    context = server(authority.issue("::1"))
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with listener:
        port = listener.getsockname()[1]
        with serving(over_tls(context)) as peer:
            shown = document("fetch", f"[::1]:{peer.address[1]}@127.0.0.1", "--cafile", ca)
        assert (shown["host"], shown["verified"]) == ("::1", True)
        # Nobody accepts there, so it is the kernel that was reached.
        assert "no handshake within" in refused(f"[::1]:{port}", "--timeout", "0.3")
