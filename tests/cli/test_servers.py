"""``pinsock fetch`` against servers from Debian, and against programs that read what it writes.

Each server's own log says what it heard: the lines of STARTTLS, a handshake, and no more.
"""

from __future__ import annotations

import plistlib
import re
import subprocess
import tomllib
from contextlib import contextmanager
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest
from support import daemons
from support.daemons.process import (
    LOOPBACK,
    Daemon,
    find,
    folder_for_all,
    reserved_port,
    running,
    unless_root,
)
from support.impostor import HOST, WAIT

from pinsock import PinPolicy, PinWarning

from .tools import document, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pinsock._throwaway import Authority, Credential

pytestmark = pytest.mark.servers

PROSODY = """\
daemonize = false
pidfile = "{folder}/pid"
data_path = "{folder}/data"
interfaces = {{ "{host}" }}
c2s_ports = {{ {port} }}
modules_enabled = {{ "tls", "saslauth" }}
modules_disabled = {{ "s2s", "offline" }}
log = {{ debug = "*console" }}
ssl = {{ certificate = "{credential}", key = "{credential}" }}
VirtualHost "{name}"
"""


@contextmanager
def prosody(credential: Credential) -> Iterator[Daemon]:
    """Port ``xmpp``: a server for one domain, which knows nobody."""
    program = find("prosody")
    user = unless_root("prosody")
    with folder_for_all(user) as folder, reserved_port() as port:
        path = credential.write(folder / "credential.pem")
        path.chmod(0o644)
        configuration = folder / "prosody.cfg.lua"
        configuration.write_text(
            PROSODY.format(folder=folder, host=LOOPBACK, port=port, credential=path, name=HOST)
        )
        command = [program, "--config", configuration]
        with running(command, port, folder / "log", user=user):
            yield Daemon("prosody", credential, {"xmpp": port}, folder / "log")


#: The schemes that begin in the clear, and what ``--starttls`` calls them.
STARTTLS = {
    "smtp": "smtp",
    "imap": "imap",
    "pop3": "pop3",
    "ftp": "ftp",
    "postgresql": "postgres",
    "ldap": "ldap",
    "xmpp": "xmpp",
}


@pytest.fixture(scope="module")
def credential(authority: Authority) -> Credential:
    """That of all servers."""
    return authority.issue(HOST, LOOPBACK)


def fetch(daemon: Daemon, scheme: str, ca: Path, *arguments: str) -> list[str]:
    """The command line for one of a server's ports."""
    starttls = ["--starttls", STARTTLS[scheme]] if scheme in STARTTLS else []
    target = f"{HOST}:{daemon.ports[scheme]}@{daemon.host}"
    return ["fetch", target, "--cafile", str(ca), *starttls, *arguments]


def lines(daemon: Daemon, pattern: str) -> list[str]:
    return re.findall(pattern, daemon.log.read_text(errors="replace"), re.MULTILINE)


def heard_by_nginx(daemon: Daemon) -> bool:
    """Its access log has a line for each request."""
    return daemon.log.read_text() == ""


def heard_by_postfix(daemon: Daemon) -> bool:
    """It counts commands; who only looked whether it was there gave none."""
    ends = lines(daemon, r"disconnect from \S+ (.*)$")
    assert ends.count("ehlo=1 starttls=1 commands=2") == 1
    return set(ends) == {"commands=0/0", "ehlo=1 starttls=1 commands=2"}


def heard_by_dovecot(daemon: Daemon) -> bool:
    """For each port one that was under TLS and tried nothing."""
    return len(lines(daemon, r"(?:no auth attempts|before auth was ready).*, TLS, session")) == 4


def heard_by_pyftpdlib(daemon: Daemon) -> bool:
    """It logs every command."""
    return lines(daemon, r"<- (.*)$") == ["AUTH TLS"]


def heard_by_postgresql(daemon: Daemon) -> bool:
    """A start-up packet would be a connection that is authorized, or fails to be."""
    return lines(daemon, r"(authorized|FATAL|ERROR|invalid)") == []


def heard_by_slapd(daemon: Daemon) -> bool:
    """Two connections under TLS; StartTLS is the only operation."""
    assert len(lines(daemon, r"TLS established")) == 2
    return lines(daemon, r" op=\d+ (\S+)") == ["EXT", "STARTTLS", "RESULT"]


def heard_by_prosody(daemon: Daemon) -> bool:
    """Under TLS a client's first word would be another stream."""
    assert len(lines(daemon, r"Stream encrypted|TLS negotiation started|connection encrypted")) > 0
    return len(lines(daemon, r"Client sent opening <stream:stream>")) == 1


SERVERS: dict[str, tuple[Callable[[Credential], object], Callable[[Daemon], bool]]] = {
    "nginx": (daemons.nginx, heard_by_nginx),
    "postfix": (daemons.postfix, heard_by_postfix),
    "dovecot": (daemons.dovecot, heard_by_dovecot),
    "pyftpdlib": (daemons.ftp_server, heard_by_pyftpdlib),
    "postgresql": (daemons.postgresql, heard_by_postgresql),
    "slapd": (daemons.slapd, heard_by_slapd),
    "prosody": (prosody, heard_by_prosody),
}


@pytest.mark.parametrize("name", SERVERS)
def test_each_server_shows_its_certificate_and_hears_no_application_data(
    name: str, credential: Credential, ca: Path
) -> None:
    """On each of its ports, with STARTTLS and without."""
    start, heard_no_more = SERVERS[name]
    with start(credential) as daemon:  # type: ignore[attr-defined]  # they are context managers
        for scheme in daemon.ports:
            shown = document(*fetch(daemon, scheme, ca))
            assert shown["certificates"][0]["pin"] == str(credential.pin)
            assert shown["verified"], shown["verify_error"]
        daemons.eventually(lambda: heard_no_more(daemon), daemon.log.read_text())


@pytest.mark.parametrize("name", ["postfix", "prosody"])
def test_proofs_go_through_starttls_too(
    name: str, credential: Credential, bad: Credential, ca: Path
) -> None:
    """The right pin is proven, and another is a finding."""
    start, _ = SERVERS[name]
    with start(credential) as daemon:  # type: ignore[attr-defined]
        scheme = next(iter(daemon.ports))
        done = run(*fetch(daemon, scheme, ca, "--expect", str(credential.pin)))
        assert (done.returncode, done.stderr[:8]) == (0, "Proven: ")
        assert run(*fetch(daemon, scheme, ca, "--expect", str(bad.pin))).returncode == 1


# --- what others make of what it writes -----------------------------------------------------------


@pytest.fixture(scope="module")
def nginx(credential: Credential) -> Iterator[Daemon]:
    """A web server, for programs that read pins."""
    with daemons.nginx(credential) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def other(authority: Authority) -> Iterator[Daemon]:
    """One that has another key, and a certificate as good."""
    with daemons.nginx(authority.issue(HOST, LOOPBACK)) as daemon:
        yield daemon


def written(nginx: Daemon, ca: Path, form: str, *arguments: str) -> str:
    """What ``--format`` prints, as it would be pasted or put into a file."""
    done = run(*fetch(nginx, "https", ca, "--format", form, *arguments))
    assert done.returncode == 0
    assert done.stderr.startswith("Not proven: ")
    return done.stdout


def call(*command: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, input=stdin, text=True, timeout=WAIT, check=False
    )


def test_curl_takes_its_text(nginx: Daemon, other: Daemon, ca: Path, backup: Credential) -> None:
    """It lets the server through, and refuses the other one with its own status for that."""
    program = find("curl")

    def curl(text: str, daemon: Daemon) -> int:
        return call(
            *(program, "--silent", "--output", "/dev/null", "--max-time", "10", "--noproxy", "*"),
            *("--cacert", ca, "--resolve", f"{HOST}:{daemon.port}:{daemon.host}"),
            *("--pinnedpubkey", text.rstrip("\n"), f"https://{HOST}:{daemon.port}/"),
        ).returncode

    alone = written(nginx, ca, "curl")
    with_backup = written(nginx, ca, "curl", "--backup", str(backup.pin))
    assert with_backup.count(";") == 1
    assert [curl(text, nginx) for text in (alone, with_backup)] == [0, 0]
    assert [curl(text, other) for text in (alone, with_backup)] == [90, 90]


def test_openssl_takes_its_tlsa_record(nginx: Daemon, other: Daemon, ca: Path) -> None:
    """The record matches the server's key (DANE-EE, so no authority is asked), and no other."""
    line = written(nginx, ca, "tlsa")
    owner, _, kind, record = line.rstrip("\n").split(" ", 3)
    assert (owner, kind) == (f"_{nginx.port}._tcp.{HOST}.", "TLSA")
    assert record.startswith("3 1 1 ")

    def s_client(daemon: Daemon) -> str:
        return call(
            *("openssl", "s_client", "-connect", f"{daemon.host}:{daemon.port}"),
            *("-dane_tlsa_domain", HOST, "-dane_tlsa_rrdata", record, "-no_ign_eof", "-brief"),
        ).stderr

    said = s_client(nginx)
    assert "\nVerification: OK\n" in said
    assert re.search(r"\nDANE TLSA 3 1 1 \S+ matched EE certificate at depth 0\n", said)
    assert "Verification: OK" not in s_client(other)


def test_the_policy_is_read_back(
    nginx: Daemon, ca: Path, credential: Credential, backup: Credential
) -> None:
    """By the library itself; without a backup it warns, as it should."""
    with pytest.warns(PinWarning, match="one pin and no backup"):
        policy = PinPolicy.from_toml(written(nginx, ca, "toml"))
    pins = policy.match(HOST)
    assert pins is not None
    assert (pins.pins, pins.scope) == ((credential.pin,), "leaf")

    policy = PinPolicy.from_toml(written(nginx, ca, "toml", "--backup", str(backup.pin)))
    pins = policy.match(HOST)
    assert pins is not None
    assert (pins.pins, pins.backup) == ((credential.pin,), (backup.pin,))


def test_android_s_file_is_read_back(
    nginx: Daemon, ca: Path, credential: Credential, backup: Credential
) -> None:
    """As XML, in the places where Android looks."""
    text = written(nginx, ca, "android", "--backup", str(backup.pin))
    root = ElementTree.fromstring(text)  # noqa: S314 - our own
    assert root.tag == "network-security-config"
    (configuration,) = root
    domain, pin_set = configuration
    assert (configuration.tag, domain.tag, domain.text) == ("domain-config", "domain", HOST)
    assert domain.attrib == {"includeSubdomains": "false"}
    assert [(pin.tag, pin.attrib["digest"], f"sha256/{pin.text}") for pin in pin_set] == [
        ("pin", "SHA-256", str(credential.pin)),
        ("pin", "SHA-256", str(backup.pin)),
    ]


def test_trustkit_s_file_is_read_back(
    nginx: Daemon, ca: Path, credential: Credential, backup: Credential
) -> None:
    """As a property list, with TrustKit's keys."""
    text = written(nginx, ca, "trustkit", "--backup", str(backup.pin))
    domains = plistlib.loads(text.encode())["TSKConfiguration"]["TSKPinnedDomains"]
    assert [f"sha256/{pin}" for pin in domains[HOST]["TSKPublicKeyHashes"]] == [
        str(credential.pin),
        str(backup.pin),
    ]
    assert domains[HOST]["TSKEnforcePinning"] is True


def test_okhttp_s_code_has_each_pin(
    nginx: Daemon, ca: Path, credential: Credential, backup: Credential
) -> None:
    """In Kotlin, and nothing that would not compile."""
    text = written(nginx, ca, "okhttp", "--backup", str(backup.pin))
    assert text == (
        "val certificatePinner = CertificatePinner.Builder()\n"
        f'    .add("{HOST}", "{credential.pin}")\n'
        f'    .add("{HOST}", "{backup.pin}") // backup\n'
        "    .build()\n"
    )


def test_all_of_them_are_in_the_json_too(nginx: Daemon, ca: Path) -> None:
    """Character by character."""
    formats = document(*fetch(nginx, "https", ca))["formats"]
    assert sorted(formats) == [
        *("android", "curl", "okhttp", "sha256", "tlsa", "toml", "trustkit"),
    ]
    for form, text in formats.items():
        assert written(nginx, ca, form) == text
    assert tomllib.loads(formats["toml"])["pin"][0]["host"] == HOST
