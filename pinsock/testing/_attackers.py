"""Peers that do what no honest one does."""

from __future__ import annotations

import contextlib
import functools
import socket
import ssl
from typing import TYPE_CHECKING, Any, Literal

from pinsock.testing._peers import Interceptor, Peer, PinnedServer
from pinsock.testing._stage import VERSIONS, NotApplicableError, Stage
from pinsock.testing._starttls import offer, protocol
from pinsock.testing._wire import Plain, Seen, Stream, Tls, reset

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Cutting", "Injecting", "Renegotiating"]


class Renegotiating(Peer):
    """The right server until the handshake is over, and then, in TLS 1.2, another."""

    def __init__(self, stage: Stage) -> None:
        try:
            from OpenSSL import SSL
        except ModuleNotFoundError:
            raise NotApplicableError("it takes pyOpenSSL: pip install 'pinsock[testing]'") from None
        self._ssl = SSL
        self._stage = stage
        self.asked = False
        """Whether the client was asked to, and stayed to answer."""
        self.renegotiated = False
        self.leaked: list[bytes] = []
        super().__init__(None, stage.timeout)

    def _attend(self, client: Plain, seen: Seen) -> None:
        if self._stage.starttls is not None:
            offer(self._stage.starttls, client, seen)
        context = self._ssl.Context(self._ssl.TLSv1_2_METHOD)
        # Resuming would show no certificate.
        context.set_session_cache_mode(self._ssl.SESS_CACHE_OFF)
        context.set_options(self._ssl.OP_NO_TICKET)
        context.use_certificate(self._stage.good.certificate)
        context.use_privatekey(self._stage.good.key)
        for certificate in self._stage.good.chain:
            context.add_extra_chain_cert(certificate)
        tls = self._ssl.Connection(context, None)
        tls.set_accept_state()
        stream = _PyOpenSsl(tls, self._ssl, client, seen)
        try:
            stream.do(tls.do_handshake)
            seen.shaken = True
            stream.before_next_answer = functools.partial(self._renegotiate, stream, tls)
            self._stage.serve(stream)
            stream.end()
        except self._ssl.Error as error:
            raise ssl.SSLError(str(error)) from error

    def _renegotiate(self, stream: _PyOpenSsl, tls: Any) -> None:
        rogue = self._stage.rogue
        tls.use_certificate(rogue.certificate)
        tls.use_privatekey(rogue.key)
        self.asked = bool(tls.renegotiate())
        try:
            stream.do(tls.do_handshake)
            while tls.renegotiate_pending():
                stream.carry()
                # What reads is what goes on with the handshake; nothing may be taken out.
                with contextlib.suppress(self._ssl.WantReadError):
                    tls.recv(1, socket.MSG_PEEK)
                stream.flush()
        except (EOFError, ConnectionError):
            self.asked = False
            raise
        self.renegotiated = True
        stream.application = self.leaked


class _PyOpenSsl:
    """A stream over pyOpenSSL."""

    def __init__(self, tls: Any, ssl_: Any, transport: Stream, seen: Seen) -> None:
        self._tls, self._ssl, self._transport, self._seen = tls, ssl_, transport, seen
        self.application: list[bytes] = []
        self.before_next_answer: Callable[[], None] | None = None

    def do(self, step: Callable[[], Any]) -> Any:
        while True:
            try:
                return step()
            except self._ssl.WantReadError:
                self.flush()
                self.carry()
            finally:
                self.flush()

    def flush(self) -> None:
        with contextlib.suppress(self._ssl.WantReadError, ConnectionError):
            while data := self._tls.bio_read(65536):
                self._transport.sendall(data)

    def carry(self) -> None:
        data = self._transport.recv(65536)
        self._seen.take(data)
        if not data:
            raise EOFError("the client has gone")
        self._tls.bio_write(data)

    def recv(self, size: int = 65536, /) -> bytes:
        try:
            data: bytes = self.do(lambda: self._tls.recv(size))
        except (self._ssl.Error, EOFError):
            return b""
        self.application.append(data)
        return data

    def sendall(self, data: bytes, /) -> None:
        if self.before_next_answer is not None:
            renegotiate, self.before_next_answer = self.before_next_answer, None
            renegotiate()
        self.do(lambda: self._tls.sendall(data))

    def end(self) -> None:
        with contextlib.suppress(self._ssl.Error):
            self._tls.shutdown()
        self.flush()
        self._transport.end()


class Injecting(PinnedServer):
    """The right server, and somebody before it who adds an answer to what it says in the clear.

    The server itself says nothing more, and ends.  Who has taken the answer for the server's goes
    on.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.leaked: list[bytes] = []
        super().__init__(
            stage.good,
            clients=stage.clients,
            clients_required=False,
            starttls=stage.starttls,
            timeout=stage.timeout,
        )

    def _attend(self, client: Plain, seen: Seen) -> None:
        assert self._stage.starttls is not None
        offer(self._stage.starttls, client, seen, inject=True)
        tls = self._tls(client, seen)
        protocol(self._stage.starttls).request(tls)
        # In TCP alone: to say it in TLS may take in what the client says meanwhile.
        client.end()
        while data := tls.recv():
            self.leaked.append(data)


class Cutting(Interceptor):
    """Cuts one connection: after so many of its messages, or within the next one.

    It is the first with so many, as a client may try first whether the port is open.
    """

    def __init__(
        self,
        stage: Stage,
        server: Peer,
        version: str,
        messages: int,
        how: Literal["end", "reset"],
    ) -> None:
        self._messages = messages
        self._how: Literal["end", "reset"] = how
        self.has_cut = False
        self.after_handshake = False
        super().__init__(
            stage.rogue,
            server.address,
            starttls=stage.starttls,
            clients=stage.clients,
            version=VERSIONS[version],
            timeout=stage.timeout,
        )

    def _tls(self, client: Stream, seen: Seen) -> Tls:
        if self.has_cut:
            return super()._tls(client, seen)
        cut = _Cut(client, self._messages, self._how, self._note, seen)
        return super()._tls(cut, seen)

    def _note(self, seen: Seen) -> None:
        self.has_cut = True
        self.after_handshake = seen.shaken


class _Cut:
    """A stream to a client that ends at a TLS record: OpenSSL has one for each message."""

    def __init__(
        self,
        client: Stream,
        messages: int,
        how: Literal["end", "reset"],
        note: Callable[[Seen], None],
        seen: Seen,
    ) -> None:
        self._client = client
        self._left = messages
        self._how = how
        self._note = note
        self._seen = seen
        self._is_cut = False

    def recv(self, size: int = 65536, /) -> bytes:
        if self._is_cut and self._how == "reset":
            return b""
        return self._client.recv(size)

    def sendall(self, data: bytes, /) -> None:
        if self._is_cut:
            return
        while data:
            end = 5 + int.from_bytes(data[3:5], "big")
            if not self._left:
                self._cut(data[:end])
                return
            self._left -= 1
            self._client.sendall(data[:end])
            data = data[end:]

    def _cut(self, message: bytes) -> None:
        self._is_cut = True
        self._note(self._seen)
        if self._how == "end":
            self._client.sendall(message[: len(message) // 2])
            self._client.end()
        else:
            assert isinstance(self._client, Plain)
            reset(self._client.sock)

    def end(self) -> None:
        self._client.end()
