"""Servers and interceptors: what they do, what they count, and that they end."""

from __future__ import annotations

import asyncio
import http.client
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from support.impostor import at_once

import pinsock
from pinsock.testing import (
    LOOPBACK,
    Authority,
    Counters,
    Credential,
    Interceptor,
    PinnedServer,
    Stream,
    rsa_key,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
VERSIONS = pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3], ids=["TLS 1.2", "TLS 1.3"])
SECRET = b"the secret that only the pinned server may have"
#: Seconds, for each wait.
WAIT = 10


@pytest.fixture(scope="module")
def signer() -> Authority:
    """Whom all clients trust."""
    return Authority("an authority")


@pytest.fixture(scope="module")
def right(signer: Authority) -> Credential:
    return signer.issue(LOOPBACK)


@pytest.fixture(scope="module")
def rogue(signer: Authority) -> Credential:
    return signer.issue(LOOPBACK)


@pytest.fixture(scope="module")
def customer(signer: Authority) -> Credential:
    return signer.issue("customer.example")


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """Every thread has ended when a test has."""
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


def unpinned(signer: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=signer.pem)


def pinned(signer: Authority, pins: pinsock.PinSet) -> pinsock.PinnedContext:
    return pinsock.create_default_context(pins, cadata=signer.pem)


class Said(NamedTuple):
    """What a client knows of its connection afterwards."""

    heard: bytes
    version: str | None
    session: ssl.SSLSession | None
    resumed: bool | None


def say(
    address: tuple[str, int], context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> Said:
    """Say the secret and hear as much."""
    with (
        socket.create_connection(address, WAIT) as sock,
        context.wrap_socket(sock, server_hostname=address[0], session=session) as tls,
    ):
        tls.sendall(SECRET)
        heard = b""
        while len(heard) < len(SECRET) and (more := tls.recv(65536)):
            heard += more
        return Said(heard, tls.version(), tls.session, tls.session_reused)


# --- the server -----------------------------------------------------------------------------------


@VERSIONS
@pytest.mark.parametrize("key", [None, rsa_key()], ids=["ECDSA", "RSA"])
def test_the_server_speaks_the_version_and_has_the_key_that_it_was_given(
    signer: Authority, version: ssl.TLSVersion, key: Any
) -> None:
    """And what it is told comes back."""
    credential = signer.issue(LOOPBACK, key=key)
    with PinnedServer(credential, version=version) as server:
        said = say(server.address, pinned(signer, server.pins))
        counters = server.settle()
    assert said.heard == SECRET
    assert said.version == version.name.replace("_", ".")
    assert counters == Counters(1, 1, len(SECRET), 0, 0)
    kind = ec.EllipticCurvePrivateKey if key is None else rsa.RSAPrivateKey
    assert isinstance(credential.key, kind)


def test_a_renewal_keeps_the_pin_and_a_change_of_keys_goes_to_the_backup(
    signer: Authority, right: Credential
) -> None:
    """One pinned client, four certificates."""
    backup = signer.issue(LOOPBACK)
    with PinnedServer(right, backup=backup) as server:
        context = pinned(signer, server.pins)
        outcomes = []
        context.on_verdict = lambda verdict: outcomes.append(verdict.outcome)
        for credential in (right, signer.renew(right), backup, signer.renew(backup)):
            if credential is backup:
                server.use_backup()
            else:
                server.show(credential)
            assert server.credential is credential
            say(server.address, context)
        server.show(signer.issue(LOOPBACK))
        with pytest.raises(pinsock.PinMismatchError):
            say(server.address, context)
        assert server.settle().application_bytes == 4 * len(SECRET)
    assert [outcome.value for outcome in outcomes] == [
        *("matched", "matched", "matched-backup", "matched-backup"),
        "mismatch",
    ]
    with PinnedServer(right) as alone, pytest.raises(ValueError, match="without backup="):
        alone.use_backup()


def test_a_renewal_is_another_certificate_with_the_same_names(
    signer: Authority, right: Credential
) -> None:
    """Else it would be none."""
    renewed = signer.renew(right)
    assert renewed.der != right.der
    assert renewed.pin == right.pin
    with PinnedServer(renewed) as server:
        assert say(server.address, unpinned(signer)).heard == SECRET


@VERSIONS
@pytest.mark.parametrize("tickets", [True, False])
def test_sessions_are_resumed_where_there_are_tickets(
    signer: Authority, right: Credential, version: ssl.TLSVersion, tickets: bool
) -> None:
    """A resumed session is told apart."""
    context = unpinned(signer)
    with PinnedServer(right, version=version, tickets=tickets) as server:
        first = say(server.address, context)
        second = say(server.address, context, first.session)
        server.settle()
        assert [seen.resumed for seen in server.connections] == [False, second.resumed]
    # TLS 1.2 has session identifiers as well, which no setting of Python's takes away.
    assert second.resumed == (tickets or version is TLS_1_2)


@VERSIONS
def test_a_client_is_asked_for_its_certificate(
    signer: Authority, right: Credential, customer: Credential, version: ssl.TLSVersion
) -> None:
    """It is counted and kept; who has none is turned away, unless that is as well."""
    with_one, without = unpinned(signer), unpinned(signer)
    customer.load_into(with_one)
    with PinnedServer(right, clients=signer.pem, version=version) as server:
        say(server.address, with_one)
        with pytest.raises(OSError, match=r"."):
            say(server.address, without)
        assert server.settle() == Counters(2, 1, len(SECRET), 1, 0)
        assert [seen.client_certificate for seen in server.connections] == [customer.der, None]
    with PinnedServer(right, clients=signer.pem, clients_required=False) as server:
        say(server.address, with_one)
        say(server.address, without)
        assert server.settle() == Counters(2, 2, 2 * len(SECRET), 1, 0)
    with PinnedServer(right) as server:
        say(server.address, with_one)
        assert server.settle().client_certificates == 0


@VERSIONS
def test_a_clients_certificate_of_another_authority_is_counted_too(
    signer: Authority, right: Credential, version: ssl.TLSVersion
) -> None:
    """It was seen, though it did not hold."""
    stranger = unpinned(signer)
    Authority("another").issue("stranger.example").load_into(stranger)
    with PinnedServer(right, clients=signer.pem, version=version) as server:
        with pytest.raises(OSError, match=r"."):
            say(server.address, stranger)
        counters = server.settle()
        assert server.connections[0].client_certificate == b""
    assert counters == Counters(1, 0, 0, 1, 0)


def test_bytes_that_are_no_tls_are_counted_apart(right: Credential) -> None:
    """All of them, those after the server's alert too, and a client that says nothing has none."""
    with PinnedServer(right) as server:
        with socket.create_connection(server.address, WAIT) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\n")
            sock.recv(100)
            sock.sendall(SECRET)
        socket.create_connection(server.address, WAIT).close()
        assert server.settle() == Counters(2, 0, 0, 0, 16 + len(SECRET))
        assert server.connections[0].not_tls == b"GET / HTTP/1.1\r\n" + SECRET


def test_bytes_in_the_clear_after_a_handshake_are_counted_apart(
    signer: Authority, right: Credential
) -> None:
    """What ``SSLSocket`` does after an ``unwrap``, or by ``detach``."""
    with PinnedServer(right, version=TLS_1_3) as server:
        with socket.create_connection(server.address, WAIT) as sock:
            at_once(sock)
            tls = unpinned(signer).wrap_socket(sock, server_hostname=LOOPBACK)
            tls.sendall(b"well")
            plain = socket.socket(fileno=tls.detach())
            plain.sendall(SECRET)
            plain.close()
        assert server.settle() == Counters(1, 1, 4, 0, len(SECRET))


def test_http_is_answered(signer: Authority, right: Credential) -> None:
    """Several requests on a connection, with a body of either kind and without."""
    with PinnedServer(right) as server:
        connection = http.client.HTTPSConnection(
            *server.address, timeout=WAIT, context=unpinned(signer)
        )
        for method, body in (
            ("GET", None),
            ("POST", SECRET),
            ("HEAD", None),
            ("PUT", iter([SECRET, b"more"])),
            ("GET", None),
        ):
            connection.request(method, "/", body=body)
            response = connection.getresponse()
            assert (response.status, response.read()) == (
                200,
                b"" if method == "HEAD" else b"hello\n",
            )
        connection.close()
        assert server.settle().connections == 1
        assert server.connections[0].application.count(SECRET) == 2


@pytest.mark.parametrize(
    "words", [b"hello\n", b"PING\r\n", b"\x10\x0c\x00\x04MQTT", b"G", b"A" * 9]
)
def test_what_is_no_http_comes_back(signer: Authority, right: Credential, words: bytes) -> None:
    """For protocols of one's own; a word that could become a request waits for the rest."""
    with PinnedServer(right) as server:
        with (
            socket.create_connection(server.address, WAIT) as sock,
            unpinned(signer).wrap_socket(sock, server_hostname=LOOPBACK) as tls,
        ):
            tls.sendall(words)
            if words.isalpha():
                server.settle()  # no more is to come
            assert tls.recv(64) == words
        server.settle()
        assert server.connections[0].application == words


def test_a_server_says_what_it_is_told_to_say(signer: Authority, right: Credential) -> None:
    """Even before the client does, and 1 MB of it."""

    def serve(client: Stream) -> None:
        client.sendall(b"x" * 2**20)

    with PinnedServer(right, serve=serve) as server:
        with (
            socket.create_connection(server.address, WAIT) as sock,
            unpinned(signer).wrap_socket(sock, server_hostname=LOOPBACK) as tls,
        ):
            assert sum(map(len, iter(lambda: tls.recv(65536), b""))) == 2**20
        assert server.settle().application_bytes == 0


def test_alpn_is_agreed_on(signer: Authority, right: Credential, rogue: Credential) -> None:
    """By the server, and by an interceptor with it."""
    context = unpinned(signer)
    context.set_alpn_protocols(["a", "b"])
    chosen = []
    with (
        PinnedServer(right, alpn=("b",)) as server,
        Interceptor(rogue, server.address, alpn=("b", "a")) as interceptor,
    ):
        for peer in (server, interceptor):
            with (
                socket.create_connection(peer.address, WAIT) as sock,
                context.wrap_socket(sock, server_hostname=LOOPBACK) as tls,
            ):
                chosen.append(tls.selected_alpn_protocol())
                tls.sendall(SECRET)
                assert tls.recv(100) == SECRET
    assert chosen == ["b", "b"]


# --- the interceptor ------------------------------------------------------------------------------


@VERSIONS
def test_an_unpinned_client_notices_nothing_and_a_pinned_one_gives_nothing(
    signer: Authority, right: Credential, rogue: Credential, version: ssl.TLSVersion
) -> None:
    """The same interceptor before the same server."""
    with (
        PinnedServer(right) as server,
        Interceptor(rogue, server.address, version=version) as interceptor,
    ):
        assert say(interceptor.address, unpinned(signer)).heard == SECRET
        assert interceptor.settle() == Counters(1, 1, len(SECRET), 0, 0)
        assert server.settle().application_bytes == len(SECRET)

        with pytest.raises(pinsock.PinMismatchError):
            say(interceptor.address, pinned(signer, server.pins))
        counters = interceptor.settle()
        assert counters.connections == 2
        assert counters.application_bytes == len(SECRET)
        assert interceptor.connections[1].application == b""
        assert server.settle().application_bytes == len(SECRET)


@VERSIONS
def test_an_interceptor_sees_a_clients_certificate_unless_it_is_refused_early(
    signer: Authority,
    right: Credential,
    rogue: Credential,
    customer: Credential,
    version: ssl.TLSVersion,
) -> None:
    """It asks, and goes on without."""
    with (
        PinnedServer(right) as server,
        Interceptor(rogue, server.address, version=version, clients=signer.pem) as interceptor,
    ):
        for context in (unpinned(signer), pinned(signer, server.pins)):
            customer.load_into(context)
            try:
                say(interceptor.address, context)
            except pinsock.PinMismatchError:
                assert isinstance(context, pinsock.PinnedContext)
            say(interceptor.address, unpinned(signer))
        interceptor.settle()
        seen = [one.client_certificate for one in interceptor.connections]
        assert seen == [customer.der, None, None, None]
        assert interceptor.counters == Counters(4, 3, 3 * len(SECRET), 1, 0)


def test_an_interceptor_without_a_server_behind_answers_itself(
    signer: Authority, rogue: Credential
) -> None:
    """It records then, and does not forward."""
    with Interceptor(rogue) as interceptor:
        assert say(interceptor.address, unpinned(signer)).heard == SECRET
        assert interceptor.settle() == Counters(1, 1, len(SECRET), 0, 0)
        assert interceptor.connections[0].application == SECRET


def test_an_interceptor_with_nothing_to_show_and_nowhere_to_go_is_an_error() -> None:
    """At once, and not when somebody connects."""
    with pytest.raises(ValueError, match="there must be an upstream, or proxy=True"):
        Interceptor(None)


def test_an_interceptor_before_a_server_that_is_not_there_lets_go(
    signer: Authority, rogue: Credential
) -> None:
    """The client sees the end of the connection, and the reason is kept."""
    with socket.create_server((LOOPBACK, 0)) as gone:
        address = gone.getsockname()
    with Interceptor(rogue, address) as interceptor:
        with pytest.raises(OSError, match=r"."):
            say(interceptor.address, unpinned(signer))
        interceptor.settle()
        assert isinstance(interceptor.connections[0].error, ConnectionRefusedError)


def through(
    proxy: Interceptor, target: str, context: ssl.SSLContext, outer: ssl.SSLContext | None = None
) -> bytes:
    """Say the secret through a CONNECT proxy, which may be spoken to over TLS itself."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with socket.create_connection(proxy.address, WAIT) as plain:
        sock = plain if outer is None else outer.wrap_socket(plain, server_hostname=LOOPBACK)
        with sock:
            sock.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode("ascii"))
            assert sock.recv(4096).startswith(b"HTTP/1.1 200 ")
            tls = context.wrap_bio(incoming, outgoing, server_hostname=LOOPBACK)
            said = False
            while True:
                try:
                    if not said:
                        tls.write(SECRET)
                        said = True
                    return tls.read(len(SECRET))
                except ssl.SSLWantReadError:
                    sock.sendall(outgoing.read())
                    incoming.write(sock.recv(65536))


@pytest.mark.parametrize("over_tls", [False, True], ids=["HTTP proxy", "HTTPS proxy"])
def test_a_proxy_goes_where_it_is_asked_to_and_reads_on_the_way(
    signer: Authority, right: Credential, rogue: Credential, over_tls: bool
) -> None:
    """With TLS in TLS too; a pinned client gives nothing, and the proxy was told where to."""
    own = signer.issue(LOOPBACK) if over_tls else None
    outer = unpinned(signer) if over_tls else None
    with (
        PinnedServer(right) as server,
        Interceptor(rogue, proxy=True, proxy_credential=own) as proxy,
    ):
        assert proxy.proxy_url == f"http{'s' * over_tls}://{LOOPBACK}:{proxy.port}"
        target = f"{LOOPBACK}:{server.port}"
        assert through(proxy, target, unpinned(signer), outer) == SECRET
        assert proxy.settle().application_bytes == len(SECRET)
        with pytest.raises(pinsock.PinMismatchError):
            through(proxy, target, pinned(signer, server.pins), outer)
        assert proxy.settle().application_bytes == len(SECRET)
        assert proxy.proxied == [target, target]
        assert proxy.connections[0].preamble.startswith(f"CONNECT {target} ".encode("ascii"))


def test_an_honest_proxy_reads_nothing(signer: Authority, right: Credential) -> None:
    """A pinned client goes through it as ever."""
    with PinnedServer(right) as server, Interceptor(None, proxy=True) as proxy:
        target = f"{LOOPBACK}:{server.port}"
        assert through(proxy, target, pinned(signer, server.pins)) == SECRET
        assert proxy.settle() == Counters(1, 0, 0, 0, 0)
        assert server.settle().application_bytes == len(SECRET)
    with PinnedServer(right) as server, Interceptor(None, server.address) as between:
        assert say(between.address, pinned(signer, server.pins)).heard == SECRET
        assert between.settle() == Counters(1, 0, 0, 0, 0)


def test_what_is_no_tls_is_counted_on_an_honest_way_too(right: Credential) -> None:
    """It is not decrypted, and still no TLS."""
    with PinnedServer(right) as server, Interceptor(None, server.address) as between:
        with socket.create_connection(between.address, WAIT) as sock:
            sock.sendall(SECRET)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(100):
                pass
        assert between.settle().not_tls_bytes == len(SECRET)


def test_a_proxy_takes_connect_alone(rogue: Credential) -> None:
    """Whatever else is asked of it is an answer of HTTP, and no connection goes out."""
    with Interceptor(rogue, proxy=True) as proxy:
        for request in (b"GET http://x/ HTTP/1.1", b"CONNECT nowhere HTTP/1.1", b"nonsense"):
            with socket.create_connection(proxy.address, WAIT) as sock:
                sock.sendall(request + b"\r\n\r\n")
                answer = b"".join(iter(lambda: sock.recv(4096), b""))
            assert answer.startswith(b"HTTP/1.1 405 ") or request == b"nonsense"
        proxy.settle()
        assert proxy.proxied == []
        assert all(isinstance(seen.error, ValueError) for seen in proxy.connections)


# --- ends -----------------------------------------------------------------------------------------


def both(right: Credential, rogue: Credential) -> list[Callable[[], Any]]:
    return [lambda: PinnedServer(right), lambda: Interceptor(rogue)]


@pytest.mark.parametrize("kind", [0, 1], ids=["server", "interceptor"])
def test_a_port_is_free_when_its_peer_has_closed(
    right: Credential, rogue: Credential, kind: int
) -> None:
    """With clients that have said nothing still on it, in well less than its timeout."""
    began = time.monotonic()
    with both(right, rogue)[kind]() as peer:
        idle = [socket.create_connection(peer.address, WAIT) for _ in range(3)]
        address = peer.address
        assert repr(peer) == f"{type(peer).__name__}({LOOPBACK}:{peer.port})"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, WAIT)
    for sock in idle:
        while sock.recv(100):
            pass  # TLS's farewell
        sock.close()
    with socket.create_server(address):
        pass
    peer.close()  # once more is nothing
    assert peer.settle() == Counters(3, 0, 0, 0, 0)  # and the counters stay
    assert time.monotonic() - began < peer.timeout / 2


def test_what_was_sent_before_settle_is_counted_and_the_server_goes_on(
    signer: Authority, right: Credential
) -> None:
    """A client that stays connected, as those of pools do, does not hold it up."""
    context = unpinned(signer)
    with PinnedServer(right) as server:
        for round_ in range(1, 11):
            with (
                socket.create_connection(server.address, WAIT) as sock,
                context.wrap_socket(sock, server_hostname=LOOPBACK) as tls,
            ):
                tls.sendall(SECRET)
                counters = server.settle()
                assert counters == Counters(round_, round_, round_ * len(SECRET), 0, 0)


def test_a_client_that_stalls_is_let_go(right: Credential) -> None:
    """Within the bound that the server was given."""
    with (
        PinnedServer(right, timeout=0.1) as server,
        socket.create_connection(server.address, WAIT) as sock,
    ):
        assert sock.recv(1) == b""
        server.settle()
        assert isinstance(server.connections[0].error, TimeoutError)


def test_what_a_client_said_before_it_went_is_counted_though_it_cannot_be_answered(
    signer: Authority, right: Credential
) -> None:
    """It leaked, whether the server got to read it before its answer failed or not."""
    gone = threading.Event()

    def serve(client: Stream) -> None:
        client.recv(1)
        gone.wait(WAIT)
        while True:
            client.sendall(bytes(100_000))

    with PinnedServer(right, serve=serve, version=TLS_1_2) as server:
        with (
            socket.create_connection(server.address, WAIT) as sock,
            unpinned(signer).wrap_socket(sock, server_hostname=LOOPBACK) as tls,
        ):
            at_once(tls)
            tls.sendall(b"x")
            tls.sendall(SECRET)
        gone.set()
        assert server.settle().application_bytes == 1 + len(SECRET)
        assert isinstance(server.connections[0].error, ConnectionError)


def test_many_clients_at_once_are_counted_each(signer: Authority, right: Credential) -> None:
    """On as many threads."""
    context = unpinned(signer)
    with PinnedServer(right) as server:
        threads = [threading.Thread(target=say, args=(server.address, context)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT)
        assert server.settle() == Counters(20, 20, 20 * len(SECRET), 0, 0)


def test_an_asynchronous_test_can_use_them(
    signer: Authority, right: Credential, rogue: Credential
) -> None:
    """They have threads of their own, so the loop is free for the client."""

    async def test() -> None:
        with PinnedServer(right) as server, Interceptor(rogue, server.address) as interceptor:
            context = pinned(signer, server.pins)
            reader, writer = await asyncio.open_connection(*server.address, ssl=context)
            writer.write(SECRET)
            assert await asyncio.wait_for(reader.readexactly(len(SECRET)), WAIT) == SECRET
            writer.close()
            await writer.wait_closed()
            with pytest.raises(pinsock.PinMismatchError):
                await asyncio.open_connection(*interceptor.address, ssl=context)
            assert interceptor.settle().application_bytes == 0

    asyncio.run(test())


def test_nobody_cares_who_signs(signer: Authority) -> None:
    """A certificate that trustme itself has issued serves too, and so does its trust."""
    leaf = signer.ca.issue_cert(LOOPBACK)
    assert isinstance(signer.ca, trustme.CA)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    signer.configure_trust(context)
    with PinnedServer(Credential.from_pem(leaf.private_key_and_cert_chain_pem.bytes())) as server:
        assert say(server.address, context).heard == SECRET


def test_an_intermediate_authority_comes_along(signer: Authority) -> None:
    """A client that trusts the root alone verifies what the one below has signed."""
    below = Authority("one below", parent=signer)
    with PinnedServer(below.issue(LOOPBACK)) as server:
        pins = pinsock.PinSet(below.pin, backup=None, scope="chain")
        assert say(server.address, pinned(signer, pins)).heard == SECRET


# --- in the clear ---------------------------------------------------------------------------------


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("said", [b"GET http://x/ HTTP/1.1\r\n\r\nsecret", b"secret"])
def test_what_a_proxy_is_asked_for_itself_was_said_to_an_interceptor(
    signer: Authority, right: Credential, rogue: Credential, said: bytes, secure: bool
) -> None:
    """It takes CONNECT alone, and what else it is told has no other TLS around it."""
    with Interceptor(rogue, proxy=True, proxy_credential=right if secure else None) as proxy:
        with socket.create_connection(proxy.address, WAIT) as sock:
            if secure:
                with unpinned(signer).wrap_socket(sock, server_hostname=LOOPBACK) as tls:
                    tls.sendall(said)
            else:
                sock.sendall(said)
        assert proxy.settle() == Counters(1, 0, 0, 0, len(said))
        assert proxy.connections[0].not_tls == said
        assert proxy.connections[0].preamble == b""


@VERSIONS
def test_what_comes_in_the_clear_after_tls_has_ended_is_counted(
    signer: Authority, right: Credential, rogue: Credential, version: ssl.TLSVersion
) -> None:
    """By whoever is at the other end: a server, and an interceptor with or without one behind."""
    with (
        PinnedServer(right, version=version) as server,
        Interceptor(rogue, server.address, version=version) as forwarding,
        Interceptor(rogue, version=version) as alone,
    ):
        for peer in (server, forwarding, alone):
            with (
                socket.create_connection(peer.address, WAIT) as sock,
                unpinned(signer).wrap_socket(sock, server_hostname=LOOPBACK) as tls,
            ):
                tls.unwrap().sendall(SECRET)
            counters = peer.settle()
            assert (counters.application_bytes, counters.not_tls_bytes) == (0, len(SECRET))
