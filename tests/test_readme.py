"""What README.md says: each of its Python blocks runs, as it stands but for the pins.

Its host names lead to servers on loopback, its authorities to one of this test, and its two pins
are replaced by those of these servers.  Each block that connects is run against the server with the
pinned key, and against an impostor whose certificate is good and whose key is not pinned.
"""

from __future__ import annotations

import datetime
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import pinsock
from pinsock._throwaway import Authority, Credential

README = re.sub(
    r"<!-- clients: .*<!-- clients: end -->",  # run by tests/clients
    "",
    Path(__file__).parents[1].joinpath("README.md").read_text("utf-8"),
    flags=re.DOTALL,
)
SECONDS = 30

#: The README's pins, in use and backup: those of the example in RFC 7469, section 2.1.
IN_USE = "sha256/d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM="
BACKUP = "sha256/E9CZ9INDbd+2eRQozYqqbQ2yXLVKB9+xcprMF+44U1g="


class Block(NamedTuple):
    heading: str
    language: str
    text: str


def read_blocks() -> Iterator[Block]:
    """Every fenced block with the heading above it."""
    heading, language, lines = "", None, []
    for line in README.splitlines():
        if language is None and line.startswith("#"):
            heading = line.lstrip("# ")
        elif language is None and line.startswith("```"):
            language, lines = line.removeprefix("```"), []
        elif line == "```":
            yield Block(heading, str(language), "\n".join(lines) + "\n")
            language = None
        else:
            lines.append(line)
    assert language is None, "the last block has no end"


BLOCKS = list(read_blocks())
PYTHON = [block for block in BLOCKS if block.language == "python"]

#: The headings whose Python a test below runs.
RUN: set[str] = set()


def runs(heading: str) -> pytest.MarkDecorator:
    """Gives a test the Python blocks under a heading."""
    RUN.add(heading)
    blocks = [block for block in PYTHON if block.heading == heading]
    return pytest.mark.parametrize("blocks", [blocks], ids=[heading])


def text(heading: str) -> str:
    """The one block of plain text under a heading."""
    (found,) = (b.text for b in BLOCKS if (b.heading, b.language) == (heading, "text"))
    return found


# --- the world that the README speaks of ----------------------------------------------------------

Replies = Callable[[bytes], bytes]


def echo(line: bytes) -> bytes:
    return line


def http(line: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello" if line == b"\r\n" else b""


def smtp(line: bytes) -> bytes:
    return {
        b"ehlo": b"250-mail.example\r\n250 STARTTLS\r\n",
        b"starttls": b"220 go on\r\n",
        b"mail": b"250 ok\r\n",
        b"rcpt": b"250 ok\r\n",
        b"data": b"354 go on\r\n",
        b".": b"250 ok\r\n",
        b"quit": b"221 bye\r\n",
    }.get(line.lower().split(b" ")[0].strip(), b"")


def starttls(connection: socket.socket) -> None:
    """The part of SMTP that is in the clear."""
    connection.sendall(b"220 mail.example\r\n")
    line = b""
    while line != b"STARTTLS\r\n":
        line = b""
        while not line.endswith(b"\n"):
            line += connection.recv(1)
        connection.sendall(smtp(line))


class World:
    """One server at a time, for every name that ends in ``.example``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.authority = Authority("an authority")
        self.server = self.authority.issue("server.example", "mail.example", "device.example")
        self.impostor = self.authority.issue("server.example", "mail.example", "device.example")
        self.backup = self.authority.issue("server.example")
        self.client = self.authority.issue("client.example")
        self.pins = pinsock.PinSet(self.server.pin, backup=self.backup.pin)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(SECONDS)
        self._serving: list[Future[bytes]] = []

        authorities = folder / "authorities.pem"
        authorities.write_text(self.authority.pem, "ascii")
        monkeypatch.setenv("SSL_CERT_FILE", str(authorities))
        monkeypatch.delenv("SSL_CERT_DIR", raising=False)
        monkeypatch.chdir(folder)
        (folder / "clients.pem").write_text(self.authority.pem, "ascii")
        (folder / "server.crt").write_bytes(self.server.chain_pem)
        self.server.write(folder / "server.pem")
        self.client.write(folder / "client.pem")

        look_up = socket.getaddrinfo

        def here(host: Any, _: object, *arguments: Any, **named: Any) -> Any:
            assert host.endswith(".example")
            return look_up(*self._listener.getsockname(), *arguments, **named)

        monkeypatch.setattr(socket, "getaddrinfo", here)
        monkeypatch.setattr(socket, "getfqdn", lambda *_: "client.example")  # smtplib asks the DNS

    def close(self) -> None:
        self._listener.close()

    def _with_pins(self, text: str) -> str:
        return text.replace(IN_USE, str(self.server.pin)).replace(BACKUP, str(self.backup.pin))

    def run(self, block: Block, **names: Any) -> dict[str, Any]:
        """Run a block, and give the names that it has made."""
        code = self._with_pins(block.text)
        (toml,) = (block.text for block in BLOCKS if block.language == "toml")
        Path("pins.toml").write_text(self._with_pins(toml), "ascii")
        names = {"pins": self.pins, "other_pins": self.pins, "pinsock": pinsock} | names
        exec(compile(code, f"README.md, {block.heading}", "exec"), names)  # noqa: S102 - our README
        return names

    def serve(
        self,
        shown: Credential,
        replies: Replies = echo,
        before: Callable[[socket.socket], None] = lambda _: None,
    ) -> Future[bytes]:
        """Serve one connection; the result is every application byte that the server was given."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        shown.load_into(context)

        def talk(connection: socket.socket) -> bytes:
            received = b""
            before(connection)
            try:
                with (
                    context.wrap_socket(connection, server_side=True) as tls,
                    tls.makefile("rb") as lines,
                ):
                    for line in lines:
                        received += line
                        tls.sendall(replies(line))
            except OSError:
                pass  # the client has gone
            return received

        return self.accept(talk)

    def accept(self, talk: Callable[[socket.socket], bytes]) -> Future[bytes]:
        """Have a thread accept one connection."""
        result: Future[bytes] = Future()

        def work() -> None:
            try:
                connection, _ = self._listener.accept()
                connection.settimeout(SECONDS)
                with connection:
                    result.set_result(talk(connection))
            except BaseException as error:  # for whoever asks for the result
                result.set_exception(error)

        threading.Thread(target=work, daemon=True).start()
        return result


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[World]:
    """Where server.example is a server of this test."""
    made = World(monkeypatch, tmp_path)
    yield made
    made.close()


# --- its blocks -----------------------------------------------------------------------------------


class Recipe(NamedTuple):
    """A block that talks to a server, and what the server is to see of it."""

    heading: str
    sends: bytes
    prints: str
    replies: Replies = echo
    before: Callable[[socket.socket], None] = lambda _: None

    @property
    def block(self) -> Block:
        (block,) = (block for block in PYTHON if block.heading == self.heading)
        return block


RECIPES = [
    Recipe("Many hosts", b"hello\n", "b'hello\\n'\n"),
    Recipe("Changes while the program runs", b"hello\n", "b'hello\\n' 2026 key\n"),
    Recipe("Records and the log", b"hello\n", ""),
    Recipe("The shortest example", b"hello\n", "b'hello\\n' Outcome.MATCHED\n"),
    Recipe("A socket that is connected already", b"hello\n", "b'hello\\n'\n"),
    Recipe("asyncio", b"hello\n", "b'hello\\n'\n"),
    Recipe("http.client", b"GET / HTTP/1.1\r\n", "b'hello'\n", http),
    Recipe("SMTP with STARTTLS", b"Subject: hello\r\n\r\nhello\r\n.\r\n", "", smtp, starttls),
]
RUN |= {recipe.heading for recipe in RECIPES}
each_recipe = pytest.mark.parametrize("recipe", RECIPES, ids=[recipe.heading for recipe in RECIPES])


@each_recipe
def test_recipe_reaches_the_server(
    world: World, recipe: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server with the pinned key gets what the recipe sends, and the recipe its answer."""
    received = world.serve(world.server, recipe.replies, recipe.before)
    world.run(recipe.block)
    assert recipe.sends in received.result(SECONDS)
    assert capsys.readouterr().out == recipe.prints


@each_recipe
def test_recipe_gives_an_impostor_nothing(
    world: World, recipe: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its certificate is good for the name, its key is not pinned: 0 bytes, and an error."""
    received = world.serve(world.impostor, recipe.replies, recipe.before)
    with pytest.raises(pinsock.PinMismatchError):
        world.run(recipe.block)
    assert received.result(SECONDS) == b""
    assert capsys.readouterr().out == ""


@runs("A self-signed server")
def test_self_signed_recipe_knows_the_device_by_its_key_alone(
    world: World, blocks: list[Block], capsys: pytest.CaptureFixture[str]
) -> None:
    """No authority stands behind either: the pinned one is served, the other gets 0 bytes."""
    (block,) = blocks
    device, impostor = Authority("device").credential, Authority("device").credential
    pins = pinsock.PinSet(device.pin, backup=None)

    received = world.serve(device)
    world.run(block, pins=pins)
    assert received.result(SECONDS) == b"hello\n"
    assert capsys.readouterr().out == "b'hello\\n'\n"

    received = world.serve(impostor)
    with pytest.raises(pinsock.PinMismatchError):
        world.run(block, pins=pins)
    assert received.result(SECONDS) == b""


@runs("Mutual pinning")
@pytest.mark.parametrize(
    ("server_is_pinned", "client_is_pinned"), [(True, True), (True, False), (False, True)]
)
def test_mutual_recipe(
    world: World,
    blocks: list[Block],
    capsys: pytest.CaptureFixture[str],
    server_is_pinned: bool,
    client_is_pinned: bool,
) -> None:
    """Both keys must be pinned, or neither side is given a byte by the other."""
    server, client = blocks
    client_pin = (world.client if client_is_pinned else world.impostor).pin
    serve = world.run(server, client_pins=pinsock.PinSet(client_pin, backup=None))["serve"]
    pins = world.pins if server_is_pinned else pinsock.PinSet(world.backup.pin, backup=None)
    served = world.accept(serve)
    if server_is_pinned and client_is_pinned:
        world.run(client, pins=pins)
        served.result(SECONDS)
        assert capsys.readouterr().out == "b'hello, client\\n'\n"
        return
    if server_is_pinned:
        # The server refuses: in TLS 1.3 the client learns of it with its first read.
        try:
            world.run(client, pins=pins)
        except OSError as error:
            assert not isinstance(error, pinsock.PinsockError)  # noqa: PT017 - or none at all
        with pytest.raises(pinsock.PinMismatchError, match="the client's public key"):
            served.result(SECONDS)
    else:
        with pytest.raises(pinsock.PinMismatchError, match="the server's public key"):
            world.run(client, pins=pins)
        assert isinstance(served.exception(SECONDS), OSError | None)
    assert "hello" not in capsys.readouterr().out


@runs("Where to get a pin")
def test_pin_of_a_certificate(
    world: World, blocks: list[Block], capsys: pytest.CaptureFixture[str]
) -> None:
    """Python and openssl read the same pin from a file."""
    (block,) = blocks
    world.run(block)
    assert capsys.readouterr().out == f"{world.server.pin}\n"

    (command,) = (b.text for b in BLOCKS if (b.heading, b.language) == (block.heading, "sh"))
    done = subprocess.run(
        [str(shutil.which("bash")), "-o", "pipefail", "-c", command],
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
    )
    assert f"sha256/{done.stdout}" == f"{world.server.pin}\n"


@runs("Backups and changes of keys")
def test_report_only_reports_and_lets_through(
    world: World, blocks: list[Block], capsys: pytest.CaptureFixture[str]
) -> None:
    """Another key is told to on_verdict, and the connection goes on."""
    (block,) = blocks
    received = world.serve(world.impostor)
    world.run(block)
    assert received.result(SECONDS) == b"hello\n"
    assert "Outcome.MISMATCH: 'mismatch'>, allowed=True" in capsys.readouterr().out


@runs("When a peer is refused")
def test_refusal_reads_as_the_readme_says(
    world: World, blocks: list[Block], capsys: pytest.CaptureFixture[str]
) -> None:
    """Word for word, but for the keys of the day and the dates."""
    (block,) = blocks
    received = world.serve(world.impostor)
    world.run(block, pins=pinsock.PinSet(IN_USE, backup=BACKUP))
    assert received.result(SECONDS) == b""
    assert masked(capsys.readouterr().out) == masked(text("When a peer is refused"))


def test_demo_reads_as_the_readme_says() -> None:
    """Word for word, but for the keys and the secret of the day."""
    done = subprocess.run(
        [sys.executable, "-m", "pinsock", "demo"],
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
    )
    assert masked(done.stdout) == masked(text("Set-up"))


def masked(printed: str) -> str:
    """Without what is of the day: keys other than the README's, dates, the demo's secret."""
    pin = re.compile(r"sha256/[A-Za-z0-9+/]{43}=")
    printed = pin.sub(lambda m: m[0] if m[0] in {IN_USE, BACKUP} else "sha256/...", printed)
    return re.sub(r"[0-9-]{10}T[0-9:]{8}Z|password [0-9a-f]{16}", "...", printed)


def test_who_closes_a_stream_waits_for_it() -> None:
    """Else asyncio leaves the socket open, unless the peer is quicker than the end of the loop."""
    text = Path(__file__).parents[1].joinpath("README.md").read_text("utf-8")
    closed = text.count("    writer.close()\n")
    assert closed == text.count("    writer.close()\n    await writer.wait_closed()\n") > 0


def test_every_python_block_is_run() -> None:
    """A block that is added to the README needs a test above."""
    assert {block.heading for block in PYTHON} == RUN


# --- its other claims -----------------------------------------------------------------------------


def test_every_form_of_a_pin_is_read_as_the_same_pin() -> None:
    """The table of pins holds one pin in five forms."""
    section = README.partition("\n## Pins\n")[2].partition("\nAll of these are the same pin.")[0]
    forms = re.findall(r"^\| `(.+?)` \|", section, re.MULTILINE)
    assert len(forms) == 5
    assert {str(pinsock.Pin.parse(form)) for form in forms} == {IN_USE}


def test_set_up_takes_two_commands() -> None:
    """One that shows what it does, one that runs the tests."""
    demo, tests = (b.text for b in BLOCKS if (b.heading, b.language) == ("Set-up", "sh"))
    assert demo.splitlines() == [demo.rstrip("\n")]
    assert demo.endswith(".venv/bin/pip install . && .venv/bin/pinsock demo\n")
    assert tests == ".venv/bin/pip install -e '.[test]' && .venv/bin/pytest\n"


def test_every_error_and_warning_is_named() -> None:
    """Who meets one finds it in the README."""
    for name in pinsock.__all__:
        if isinstance(getattr(pinsock, name), type) and name.endswith(("Error", "Warning")):
            assert f"`{name}`" in README


def test_links_lead_somewhere() -> None:
    """Relative links name files of this project."""
    root = Path(__file__).parents[1]
    targets = re.findall(r"\]\(([^)]+)\)", README)
    assert targets
    assert [t for t in targets if "://" not in t and not (root / t).exists()] == []


@runs("Proving that your program refuses interception")
def test_the_client_of_the_readme_refuses_interception(blocks: list[Block]) -> None:
    """As it stands; and the table lists no other attacks than there are."""
    from pinsock.testing import ATTACKS

    (block,) = blocks
    exec(compile(block.text, "README.md", "exec"), {"__name__": "readme"})  # noqa: S102 - its code
    section = README.partition(f"## {block.heading}\n")[2].partition("\n## ")[0]
    rows = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| ")]
    named = [name.strip("| ") for row in rows[1:] for name in row.split(",")]
    named = [f"handshake {name}" if name.startswith("reset") else name for name in named]
    assert named == list(ATTACKS)


@runs("The plan")
def test_the_plan_reads_as_the_readme_says(
    world: World, blocks: list[Block], capsys: pytest.CaptureFixture[str]
) -> None:
    """Word for word: its dates are all given."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    (block,) = blocks
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = csr.sign(world.backup.key, hashes.SHA256())
    Path("backup.csr").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    shown = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(world.server.key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC))
        .not_valid_after(datetime.datetime(2026, 12, 31, tzinfo=datetime.UTC))
        .sign(world.authority.credential.key, hashes.SHA256())
        .public_bytes(serialization.Encoding.DER)
    )
    world.run(block, chain=[shown])
    assert capsys.readouterr().out == text("The plan")
