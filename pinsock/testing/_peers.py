"""Servers and interceptors on loopback, in threads, that count what they were given.

They do not care who signs: what they show is a :class:`Credential`.  Nothing here needs more than
the standard library and ``cryptography``.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, NamedTuple, Self

from pinsock._pins import PinSet
from pinsock.testing._answers import answer, smtp
from pinsock.testing._starttls import offer, protocol, relay
from pinsock.testing._wire import Kept, Plain, Seen, Stream, Tls, drain, line, pump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pinsock._throwaway import Credential
    from pinsock.testing._starttls import StartTls

__all__ = ["LOOPBACK", "Counters", "Interceptor", "Peer", "PinnedServer", "count"]

LOOPBACK = "127.0.0.1"

Address = tuple[str, int]

#: Seconds that a server has for its last words once its client has gone.
_GRACE = 1.0


class Counters(NamedTuple):
    """What clients gave away, over all connections so far."""

    connections: int
    """TCP connections, whatever became of them."""
    handshakes: int
    """TLS handshakes that ended well on this side.  A client may refuse in its last message."""
    application_bytes: int
    """Decrypted bytes of application data."""
    client_certificates: int
    """Connections on which a client's certificate was seen."""
    not_tls_bytes: int
    """Bytes that came in the clear: where TLS was due, or before it more than it takes to ask for
    it (``STARTTLS`` and what belongs to it, ``CONNECT``)."""


def count(connections: Iterable[Seen]) -> Counters:
    seen = list(connections)
    return Counters(
        len(seen),
        sum(one.shaken for one in seen),
        sum(len(one.application) for one in seen),
        sum(one.client_certificate is not None for one in seen),
        sum(len(one.not_tls) for one in seen),
    )


class Peer:
    """A port on loopback and a thread for each connection to it.

    :param timeout: seconds, the bound of each wait.
    """

    def __init__(self, credential: Credential | None, timeout: float) -> None:
        self.timeout = timeout
        self.connections: list[Seen] = []
        self._live: dict[Plain, threading.Thread] = {}
        self._closed = False
        self.show(credential)
        self._listener = socket.create_server((LOOPBACK, 0))
        self._listener.setblocking(False)
        self.host, self.port = LOOPBACK, self._listener.getsockname()[1]
        self._awake, self._wake = socket.socketpair()
        self._caught_up = threading.Event()
        self._acceptor = threading.Thread(target=self._accept, name=repr(self), daemon=True)
        self._acceptor.start()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.host}:{self.port})"

    @property
    def address(self) -> Address:
        return self.host, self.port

    @property
    def url(self) -> str:
        """As that of an HTTPS server."""
        return f"https://{self.host}:{self.port}/"

    def show(self, credential: Credential | None) -> None:
        """Use this key and this certificate, for connections from now on."""
        self.credential = credential
        self._context = None if credential is None else self._context_for(credential)

    @property
    def counters(self) -> Counters:
        """What has been seen by now; see :meth:`settle`."""
        return count(self.connections)

    def settle(self) -> Counters:
        """End all connections, after everything that was sent on them until now has been read.

        The way to ask for the counters once a client has returned or raised.  New connections are
        served afterwards as before.
        """
        if not self._closed:
            self._caught_up.clear()
            self._wake.send(b"x")
            if not self._caught_up.wait(self.timeout):
                raise TimeoutError(f"{self!r} did not get to accept its connections")
            self._finish()
        return self.counters

    def close(self) -> None:
        """Free the port and stop all threads."""
        if self._closed:
            return
        self._closed = True
        self._wake.send(b"x")
        self._acceptor.join(self.timeout)
        for sock in (self._listener, self._awake, self._wake):
            sock.close()
        self._finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- to be said by each kind ------------------------------------------------------------------

    def _context_for(self, credential: Credential) -> ssl.SSLContext:
        raise NotImplementedError

    def _attend(self, client: Plain, seen: Seen) -> None:
        """See one connection through."""
        raise NotImplementedError

    # --- threads ----------------------------------------------------------------------------------

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._awake, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                woken = self._awake in ready and bool(self._awake.recv(1))
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    while True:
                        self._begin(self._listener.accept()[0])
                if self._closed:
                    return
                if woken:
                    self._caught_up.set()

    def _begin(self, sock: socket.socket) -> None:
        client, seen = Plain(sock, self.timeout), Seen()
        thread = threading.Thread(
            target=self._serve, args=(client, seen), name=f"{self!r}, a client", daemon=True
        )
        self.connections.append(seen)
        thread.start()
        live = {other: its for other, its in self._live.items() if its.is_alive()}
        self._live = {**live, client: thread}  # a new one: others may be going through the old

    def _serve(self, client: Plain, seen: Seen) -> None:
        try:
            try:
                self._attend(client, seen)
            except (OSError, EOFError, ValueError) as error:
                seen.error = error
            client.end()
            # However TLS ended, the client may go on in the clear.
            with contextlib.suppress(OSError):
                while data := client.recv():
                    seen.take(data)
        finally:
            client.close()

    def _finish(self) -> None:
        live = self._live
        until = time.monotonic() + self.timeout
        for client in live:
            client.finish()
        for thread in live.values():
            thread.join(max(0, until - time.monotonic()))
            if thread.is_alive():
                raise TimeoutError(f"{thread.name} did not stop in {self.timeout} seconds")

    def _tls(self, client: Stream, seen: Seen) -> Tls:
        if self._context is None:
            raise ValueError("there is no certificate to be shown")
        tls = Tls(client, self._context, seen=seen)
        tls.shake()
        return tls


def _server_context(
    credential: Credential,
    version: ssl.TLSVersion | None,
    alpn: Sequence[str],
    clients: str | None,
    mode: ssl.VerifyMode,
    *,
    tickets: bool,
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    credential.load_into(context)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if clients is not None:
        context.verify_mode = mode
        context.load_verify_locations(cadata=clients)
    if not tickets:
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    return context


class PinnedServer(Peer):
    """A real TLS server, the one whose key is pinned.

    :param credential: its certificate and key, in use.
    :param backup: those that it changes to in :meth:`use_backup`.
    :param serve: what it says over TLS; as it is, it answers HTTP/1.1 with ``hello`` and sends back
        whatever else comes (with ``starttls="smtp"`` it takes mail).
    :param version: the only version of TLS.
    :param clients: certificates in PEM; clients are asked for a certificate of this authority.
    :param clients_required: whether a client without one is turned away.
    :param tickets: whether it gives session tickets.
    :param starttls: the protocol in which TLS is asked for; ``None``: TLS from the first byte on.
    :param alpn: the protocols that it agrees to.
    :param timeout: seconds, the bound of each wait.
    """

    def __init__(
        self,
        credential: Credential,
        *,
        backup: Credential | None = None,
        serve: Callable[[Stream], None] | None = None,
        version: ssl.TLSVersion | None = None,
        clients: str | None = None,
        clients_required: bool = True,
        tickets: bool = True,
        starttls: StartTls | None = None,
        alpn: Sequence[str] = (),
        timeout: float = 10,
    ) -> None:
        if starttls is not None:
            protocol(starttls)
        self.backup = backup
        self.pins = PinSet(credential.pin, backup=None if backup is None else backup.pin)
        self._say = serve or (smtp if starttls == "smtp" else answer)
        mode = ssl.CERT_REQUIRED if clients_required else ssl.CERT_OPTIONAL
        self._settings = (version, alpn, clients, mode)
        self._tickets = tickets
        self._starttls = starttls
        super().__init__(credential, timeout)

    def use_backup(self) -> None:
        """Change to the backup key."""
        if self.backup is None:
            raise ValueError("this server was made without backup=")
        self.show(self.backup)

    def _context_for(self, credential: Credential) -> ssl.SSLContext:
        return _server_context(credential, *self._settings, tickets=self._tickets)

    def _attend(self, client: Plain, seen: Seen) -> None:
        if self._starttls is not None:
            offer(self._starttls, client, seen)
        tls = self._tls(client, seen)
        self._say(tls)
        tls.end()
        drain(tls)


class Interceptor(Peer):
    """A man in the middle, with a certificate that the client's trust store accepts.

    It reads what comes and forwards it over TLS of its own, so that an unpinned client notices
    nothing.

    :param credential: what it shows; ``None``: it touches nothing and passes TLS on unread, which
        is the honest proxy to compare with.
    :param upstream: the server to which it forwards; ``None``: it answers itself, as
        :class:`PinnedServer` does, or with ``proxy=True`` goes where the client asks it to.
    :param proxy: whether it is an HTTP CONNECT proxy.
    :param proxy_credential: what the proxy itself shows, if clients talk to it over TLS.
    :param starttls: the protocol in which TLS is asked for, which it relays until then.
    :param clients: certificates in PEM; it asks for a client's certificate of this authority, and
        goes on without.
    :param version: the only version of TLS, towards the client.
    :param alpn: the protocols that it agrees to, and asks its upstream for.
    :param timeout: seconds, the bound of each wait.
    """

    def __init__(
        self,
        credential: Credential | None,
        upstream: Address | None = None,
        *,
        proxy: bool = False,
        proxy_credential: Credential | None = None,
        starttls: StartTls | None = None,
        clients: str | None = None,
        version: ssl.TLSVersion | None = None,
        alpn: Sequence[str] = (),
        timeout: float = 10,
    ) -> None:
        if starttls is not None:
            protocol(starttls)
        if credential is None and upstream is None and not proxy:
            raise ValueError("without a credential there must be an upstream, or proxy=True")
        self.upstream = upstream
        self.proxied: list[str] = []
        """Where clients asked the proxy to connect to, as ``host:port``."""
        self._proxy = proxy or proxy_credential is not None
        self._starttls = starttls
        self._settings = (version, alpn, clients, ssl.CERT_OPTIONAL)
        self._proxy_context = proxy_credential and _server_context(
            proxy_credential, None, (), None, ssl.CERT_NONE, tickets=True
        )
        super().__init__(credential, timeout)

    @property
    def proxy_url(self) -> str:
        """As the settings of a client take it."""
        return f"{'https' if self._proxy_context else 'http'}://{self.host}:{self.port}"

    def _context_for(self, credential: Credential) -> ssl.SSLContext:
        return _server_context(credential, *self._settings, tickets=True)

    def _attend(self, client: Plain, seen: Seen) -> None:
        if not self._proxy_context:
            self._go_between(client, seen)
            return
        # What is said to the proxy itself is no leak: it is noted as the preamble.
        around = Seen()
        outer = Tls(client, self._proxy_context, seen=around)
        kept = Kept(outer)
        try:
            outer.shake()
            self._go_between(kept, seen)
        finally:
            client.end()
            drain(outer)
            seen.take(around.application[len(kept.data) :])
            seen.begin_again()
            seen.hear(around.not_tls, needed=False)

    def _go_between(self, inner: Stream, seen: Seen) -> None:
        upstream = self.upstream
        if self._proxy:
            asked = self._connected(inner, seen)
            upstream = upstream or asked
        if upstream is None:
            self._answer(inner, seen)
            return
        sock = socket.create_connection(upstream, self.timeout)
        server = Plain(sock, self.timeout)
        try:
            self._forward(inner, server, seen)
        finally:
            server.close()

    def _connected(self, client: Stream, seen: Seen) -> Address:
        """Read a CONNECT request (RFC 9110, section 9.3.6) and agree to it."""
        kept = Kept(client)
        try:
            request = line(kept)
            while line(kept).strip():
                pass
        finally:
            needed = b"CONNECT ".startswith(kept.data[: len(b"CONNECT ")])
            seen.hear(kept.data, needed=needed)
        method, target, _ = request.decode("latin-1").split(" ", 2)
        host, _, port = target.rpartition(":")
        if method != "CONNECT" or not port.isdigit():
            client.sendall(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
            raise ValueError(f"this proxy takes CONNECT alone, and was asked for {request!r}")
        self.proxied.append(target)
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        return host.strip("[]"), int(port)

    def _answer(self, client: Stream, seen: Seen) -> None:
        if self._starttls is not None:
            offer(self._starttls, client, seen)
        tls = self._tls(client, seen)
        (smtp if self._starttls == "smtp" else answer)(tls)
        tls.end()
        drain(tls)

    def _forward(self, client: Stream, server: Plain, seen: Seen) -> None:
        near: Stream
        far: Stream
        if self.credential is None:
            near, far = _Noting(client, seen), server
        else:
            if self._starttls is not None:
                relay(self._starttls, client, server, seen)
            tls = self._tls(client, seen)
            near, far = tls, self._tls_to(server, tls.protocol)
        back = threading.Thread(
            target=pump, args=(far, near), name=f"{self!r}, the way back", daemon=True
        )
        back.start()
        pump(near, far)
        # The server was told that this is the end: it may answer, and most just close.
        back.join(_GRACE)
        server.finish()
        back.join(self.timeout)

    def _tls_to(self, server: Plain, protocol: str | None) -> Tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if protocol is not None:
            context.set_alpn_protocols([protocol])
        tls = Tls(server, context, server_side=False)
        tls.shake()
        return tls


class _Noting:
    """A stream that is passed on unread, and what is no TLS in it noted."""

    def __init__(self, stream: Stream, seen: Seen) -> None:
        self._stream = stream
        self._seen = seen

    def recv(self, size: int = 65536, /) -> bytes:
        data = self._stream.recv(size)
        self._seen.take(data)
        return data

    def sendall(self, data: bytes, /) -> None:
        self._stream.sendall(data)

    def end(self) -> None:
        self._stream.end()
