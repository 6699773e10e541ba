"""mitmproxy, an interceptor that we did not write, between clients and a pinned server.

It is run from an environment of its own: ``PINSOCK_MITMPROXY`` names the folder in which its
programs are, if they are not on PATH.  It signs with the authority that the clients trust, and what
it could read it writes down itself.
"""

from __future__ import annotations

import json
import os
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from support.daemons.process import LOOPBACK, eventually, find, reserved_port, running, talk_to

import pinsock
from pinsock.testing import Authority, PinnedServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.servers

ADDON = Path(__file__).with_name("mitmproxy_addon.py")

Contexts = dict[str, ssl.SSLContext]


class Mitmproxy(NamedTuple):
    """A running mitmproxy, and its notes."""

    port: int
    notes: Path

    def read(self, kind: str) -> list[str]:
        """All that it could read of this kind."""
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        return [data for its_kind, data in map(json.loads, lines) if its_kind == kind]

    def connections_over(self) -> bool:
        return len(self.read("connection")) == len(self.read("end"))


@pytest.fixture(scope="module")
def signer() -> Authority:
    """Signs for the server; mitmproxy has its key."""
    return Authority("an authority that mitmproxy has got hold of")


@pytest.fixture
def server(signer: Authority) -> Iterator[PinnedServer]:
    """The right one."""
    with PinnedServer(signer.issue(LOOPBACK)) as server:
        yield server


@pytest.fixture
def contexts(signer: Authority, server: PinnedServer) -> Contexts:
    """The same client's, with pins and without."""
    return {
        "pinned": pinsock.create_default_context(server.pins, cadata=signer.pem),
        "unpinned": ssl.create_default_context(cadata=signer.pem),
    }


@pytest.fixture
def mitmproxy(
    request: pytest.FixtureRequest, tmp_path: Path, signer: Authority, server: PinnedServer
) -> Iterator[Mitmproxy]:
    """In the mode that the test asks for."""
    program = find("mitmdump", Path(os.environ.get("PINSOCK_MITMPROXY", "")))
    signer.credential.write(tmp_path / "mitmproxy-ca.pem")
    mode = request.param.format(host=server.host, port=server.port)
    with reserved_port() as port:
        command = [
            *(program, "--mode", mode, "--listen-host", LOOPBACK, "--listen-port", str(port)),
            *("--set", f"confdir={tmp_path}", "--ssl-insecure", "-s", str(ADDON)),
        ]
        notes = tmp_path / "notes"
        environment = {"WHAT_MITMPROXY_READ": str(notes)}
        with running(command, port, tmp_path / "output", environment=environment):
            mitmproxy = Mitmproxy(port, notes)
            # Somebody has knocked to see whether it serves.
            eventually(mitmproxy.connections_over, "the end of who knocked")
            yield mitmproxy


def over_https(mitmproxy: Mitmproxy, server: PinnedServer, context: ssl.SSLContext) -> None:
    """A request through a CONNECT proxy."""
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({"https": f"http://{LOOPBACK}:{mitmproxy.port}"}),
        urllib.request.HTTPSHandler(context=context),
    )
    secret = f"the secret of the {type(context).__name__}".encode("ascii")
    with opener.open(server.url, data=secret, timeout=20) as answer:
        assert answer.read() == b"hello\n"


def over_raw_tls(mitmproxy: Mitmproxy, server: PinnedServer, context: ssl.SSLContext) -> None:
    """A protocol of our own."""
    secret = f"the secret of the {type(context).__name__}\n".encode("ascii")
    with (
        talk_to(mitmproxy.port) as sock,
        context.wrap_socket(sock, server_hostname=server.host) as tls,
    ):
        tls.sendall(secret)
        assert tls.recv(len(secret)) == secret


@pytest.mark.parametrize(
    ("mitmproxy", "client", "kind"),
    [
        ("regular", over_https, "request"),
        ("reverse:tls://{host}:{port}", over_raw_tls, "message"),
    ],
    ids=["HTTPS", "raw TLS"],
    indirect=["mitmproxy"],
)
def test_mitmproxy_reads_an_unpinned_client_and_nothing_of_a_pinned_one(
    mitmproxy: Mitmproxy,
    server: PinnedServer,
    contexts: Contexts,
    client: Callable[[Mitmproxy, PinnedServer, ssl.SSLContext], None],
    kind: str,
) -> None:
    """The pinned one goes first, so that what mitmproxy had of it would be in its notes."""
    with pytest.raises(OSError, match="none of the pinned ones") as caught:
        client(mitmproxy, server, contexts["pinned"])
    error = caught.value
    refusal = error.reason if isinstance(error, urllib.error.URLError) else error
    assert isinstance(refusal, pinsock.PinMismatchError)
    assert server.settle().application_bytes == 0
    eventually(lambda: bool(mitmproxy.read("handshake")), "the pinned client's half of TLS")

    client(mitmproxy, server, contexts["unpinned"])
    eventually(lambda: bool(mitmproxy.read(kind)), "what the unpinned client said")
    assert mitmproxy.read(kind)[0].strip() == "the secret of the SSLContext"
    assert len(mitmproxy.read("handshake")) == 2
    assert "PinnedContext" not in mitmproxy.notes.read_text()
    assert b"the secret of the SSLContext" in server.connections[-1].application


@pytest.mark.parametrize("mitmproxy", ["regular"], indirect=True)
def test_a_pinned_client_gets_through_a_mitmproxy_that_lets_it(
    mitmproxy: Mitmproxy, server: PinnedServer, signer: Authority
) -> None:
    """What refuses is the key and not the proxy: a client that pins mitmproxy's own is read."""
    pins = pinsock.PinSet(signer.pin, backup=None, scope="chain")
    context = pinsock.create_default_context(pins, cadata=signer.pem)
    over_https(mitmproxy, server, context)
    eventually(lambda: bool(mitmproxy.read("request")), "the request")
    assert mitmproxy.read("request") == ["the secret of the PinnedContext"]
