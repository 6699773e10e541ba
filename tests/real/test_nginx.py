"""nginx serves whoever has the right pin, and never hears a request from the others."""

from __future__ import annotations

import asyncio
import http.client
import ssl
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from support.impostor import WAIT

import pinsock
from pinsock._throwaway import ec_key, rsa_key

from .servers import LOOPBACK, find, reserved_port, running, talk_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pinsock._throwaway import Authority, Credential

pytestmark = pytest.mark.servers

KEYS: dict[str, Callable[[], Any]] = {"RSA": rsa_key, "ECDSA": ec_key}
VERSIONS = ("TLSv1.2", "TLSv1.3")

CONFIGURATION = """\
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    log_format request "$ssl_protocol $request";
    access_log {folder}/access.log request;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {sites}
}}
"""

SITE = """
    server {{
        listen {host}:{port} ssl;
        ssl_certificate {credential};
        ssl_certificate_key {credential};
        ssl_protocols {version};
        return 200 "$ssl_protocol $request_uri";
    }}
"""


@dataclass
class Nginx:
    """A running server, with a site for each kind of key and each version of TLS."""

    folder: Path
    credentials: dict[str, Credential]
    ports: dict[tuple[str, str], int]

    def requests(self) -> list[str]:
        """Version of TLS, method and path of every request so far."""
        lines = (self.folder / "access.log").read_text().splitlines()
        return [line.rpartition(" HTTP/")[0] for line in lines]


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Nginx]:
    """One nginx for all tests."""
    program = find("nginx")
    folder = tmp_path_factory.mktemp("nginx")
    server = Nginx(folder, {}, {})
    sites = []
    with ExitStack() as stack:
        for kind, make_key in KEYS.items():
            credential = server.credentials[kind] = authority.issue(LOOPBACK, key=make_key())
            path = credential.write(folder / f"{kind}.pem")
            for version in VERSIONS:
                port = server.ports[kind, version] = stack.enter_context(reserved_port())
                sites.append(
                    SITE.format(host=LOOPBACK, port=port, credential=path, version=version)
                )
        configuration = folder / "nginx.conf"
        configuration.write_text(CONFIGURATION.format(folder=folder, sites="".join(sites)))
        command: list[str | Path] = [program, "-p", folder, "-c", configuration]
        command += ["-e", folder / "error.log"]
        stack.enter_context(running(command, port, folder / "output"))
        yield server


def request(path: str) -> bytes:
    return f"GET {path} HTTP/1.0\r\nHost: {LOOPBACK}\r\n\r\n".encode("ascii")


def by_socket(port: int, context: ssl.SSLContext, path: str) -> bytes:
    """A request by hand, over a wrapped socket."""
    with talk_to(port) as sock, context.wrap_socket(sock, server_hostname=LOOPBACK) as tls:
        tls.sendall(request(path))
        with tls.makefile("rb") as answer:
            return answer.read()


def by_deferred_handshake(port: int, context: ssl.SSLContext, path: str) -> bytes:
    """A request whose first write is what begins the handshake."""
    with (
        talk_to(port) as sock,
        context.wrap_socket(sock, server_hostname=LOOPBACK, do_handshake_on_connect=False) as tls,
    ):
        tls.sendall(request(path))
        with tls.makefile("rb") as answer:
            return answer.read()


def by_http_client(port: int, context: ssl.SSLContext, path: str) -> bytes:
    """A request by the standard library's client."""
    connection = http.client.HTTPSConnection(LOOPBACK, port, timeout=WAIT, context=context)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


def by_asyncio(port: int, context: ssl.SSLContext, path: str) -> bytes:
    """A request over asyncio's streams."""

    async def fetch() -> bytes:
        reader, writer = await asyncio.open_connection(LOOPBACK, port, ssl=context)
        try:
            writer.write(request(path))
            return await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()

    return asyncio.run(asyncio.wait_for(fetch(), WAIT))


def by_memory_bio(port: int, context: ssl.SSLContext, path: str) -> bytes:
    """A request by a loop that carries TLS's bytes itself."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=LOOPBACK)
    with talk_to(port) as sock:

        def carry(step: Callable[[], bytes | int]) -> bytes | int:
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    sock.sendall(outgoing.read())
                    data = sock.recv(65536)
                    incoming.write(data) if data else incoming.write_eof()
                finally:
                    sock.sendall(outgoing.read())

        carry(lambda: tls.write(request(path)))
        answer = b""
        while data := carry(lambda: tls.read(65536)):
            assert isinstance(data, bytes)
            answer += data
        return answer


CLIENTS = {
    "a socket": by_socket,
    "a socket that shakes hands late": by_deferred_handshake,
    "http.client": by_http_client,
    "asyncio": by_asyncio,
    "a MemoryBIO": by_memory_bio,
}

SITES = [(kind, version) for kind in KEYS for version in VERSIONS]

each_site = pytest.mark.parametrize("site", SITES, ids="-".join)
each_client = pytest.mark.parametrize("client", CLIENTS)


@each_site
@each_client
def test_nginx_serves_the_right_pin_and_hears_nothing_from_the_wrong_one(
    nginx: Nginx,
    authority: Authority,
    pinned_to: Callable[[pinsock.Pin], pinsock.PinnedContext],
    site: tuple[str, str],
    client: str,
) -> None:
    """Its log has the request of the client with its pin, and nothing of the other one."""
    kind, version = site
    port = nginx.ports[site]
    pin = nginx.credentials[kind].pin
    before = len(nginx.requests())

    with pytest.raises(pinsock.PinMismatchError) as refused:
        CLIENTS[client](port, pinned_to(authority.pin), "/secret")
    answer = CLIENTS[client](port, pinned_to(pin), "/welcome")

    assert refused.value.chain[0].pin == pin
    assert answer.endswith(f"{version} /welcome".encode("ascii"))
    # nginx writes its log before it closes, and a socket is read to that end.
    by_socket(port, pinned_to(pin), "/goodbye")
    assert nginx.requests()[before:] == [f"{version} GET /welcome", f"{version} GET /goodbye"]


@each_site
@each_client
def test_nginx_would_have_heard_the_request_without_a_pin(
    nginx: Nginx, authority: Authority, site: tuple[str, str], client: str
) -> None:
    """The same client, unpinned, is heard, so the log does show what gets through."""
    port = nginx.ports[site]
    before = len(nginx.requests())
    context = ssl.create_default_context(cadata=authority.pem)

    CLIENTS[client](port, context, "/secret")
    by_socket(port, context, "/goodbye")

    assert nginx.requests()[before] == f"{site[1]} GET /secret"
