"""Clients that pin, each with one mistake, and one that does not pin at all.

They are what shows that an attack is one: each falls to the attack on its mistake.
"""

from __future__ import annotations

import contextlib
import hashlib
import smtplib
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pinsock import Pin
from pinsock.testing._wire import line

if TYPE_CHECKING:
    from collections.abc import Callable

    from pinsock.testing import Target

__all__ = ["SECRET", "WAIT", "CarelessError", "checked", "fetch", "plain_context", "talk"]

SECRET = "the secret that only the pinned server may have"  # noqa: S105 - made up
#: Seconds, for each wait of a client.
WAIT = 5


class CarelessError(OSError):
    """What a client that pins by hand raises at a wrong key."""


def plain_context(target: Target) -> ssl.SSLContext:
    """Unpinned; it verifies as ever."""
    return ssl.create_default_context(cafile=target.cafile)


def unverified_context(_: object = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def talk(tls: ssl.SSLSocket, path: str = "/") -> str:
    """One request with the secret in it, and the answer's head."""
    request = (
        f"GET {path} HTTP/1.1\r\nHost: server\r\nCookie: {SECRET}\r\nConnection: close\r\n\r\n"
    )
    tls.sendall(request.encode("ascii"))
    answer = b"".join(iter(lambda: tls.recv(65536), b"")).decode("ascii")
    if not answer.startswith("HTTP/1.1 "):
        raise ConnectionError("no answer")
    return answer


def connect(target: Target, address: tuple[str, int] | None = None) -> socket.socket:
    """To the target, through its proxy if it has one."""
    address = address or target.address
    if target.proxy is None:
        return socket.create_connection(address, WAIT)
    proxy = urlsplit(target.proxy)
    sock = socket.create_connection((proxy.hostname or "", proxy.port or 0), WAIT)
    sock.sendall("CONNECT {}:{} HTTP/1.1\r\n\r\n".format(*address).encode("ascii"))
    while not sock.recv(4096).endswith(b"\r\n\r\n"):
        pass
    return sock


def fetch(
    target: Target,
    context: ssl.SSLContext,
    *,
    check: Callable[[ssl.SSLSocket], None] = lambda _: None,
    follow: ssl.SSLContext | None = None,
) -> None:
    """Connect, check by hand, ask, and go where the answer says.

    :param follow: the context for other hosts; ``None``: the same.
    """
    with (
        connect(target) as sock,
        context.wrap_socket(sock, server_hostname=target.host) as tls,
    ):
        check(tls)
        answer = talk(tls)
    if " 302 " in answer:
        location = answer.partition("Location: ")[2].partition("\r\n")[0]
        url = urlsplit(location)
        host, port = url.hostname or target.host, url.port or target.port
        there = context if host == target.host else follow or context
        with (
            connect(target, (host, port)) as sock,
            there.wrap_socket(sock, server_hostname=host) as tls,
        ):
            check(tls)
            talk(tls, url.path)


def is_pinned(der: bytes, target: Target) -> bool:
    return Pin.from_certificate(der) in (*target.pins.pins, *target.pins.backup)


def chain_as_sent(tls: ssl.SSLSocket) -> list[bytes]:
    """What no client should look at for its pins."""
    if hasattr(tls, "get_unverified_chain"):  # Python 3.13
        chain: list[bytes] = tls.get_unverified_chain()
        return chain
    sslobj: Any = tls._sslobj  # type: ignore[attr-defined]
    return [ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in sslobj.get_unverified_chain()]


def checked(target: Target, *, anywhere: bool = False) -> Callable[[ssl.SSLSocket], None]:
    """A check after the handshake, as one writes it by hand.

    :param anywhere: whether the pin may be that of any certificate that was sent.
    """

    def check(tls: ssl.SSLSocket) -> None:
        chain = chain_as_sent(tls) if anywhere else [tls.getpeercert(True) or b""]
        if not any(is_pinned(der, target) for der in chain):
            raise CarelessError(hashlib.sha256(chain[0]).hexdigest())

    return check


# --- one mistake each -----------------------------------------------------------------------------


def never_pins(target: Target) -> None:
    fetch(target, plain_context(target))


def pins_whatever_was_sent(target: Target) -> None:
    fetch(target, plain_context(target), check=checked(target, anywhere=True))


def pins_whatever_was_sent_unverified(target: Target) -> None:
    fetch(target, unverified_context(), check=checked(target, anywhere=True))


def pins_instead_of_verifying(target: Target) -> None:
    fetch(target, unverified_context(), check=checked(target))


def session_of(tls: ssl.SSLSocket) -> ssl.SSLSession | None:
    """In TLS 1.3 it comes after the handshake, with what is read first: here, nothing."""
    until = time.monotonic() + WAIT
    tls.settimeout(0.02)
    while tls.version() == "TLSv1.3" and time.monotonic() < until:
        if tls.session is not None and tls.session.has_ticket:
            break
        with contextlib.suppress(TimeoutError):
            tls.recv(1)
    tls.settimeout(WAIT)
    return tls.session


class TrustsSessions:
    """It keeps the session of whatever connection, and does not look at one that was resumed."""

    def __init__(self) -> None:
        self._context: ssl.SSLContext | None = None
        self._session: ssl.SSLSession | None = None

    def __call__(self, target: Target) -> None:
        self._context = self._context or plain_context(target)
        with (
            connect(target) as sock,
            self._context.wrap_socket(
                sock, server_hostname=target.host, session=self._session
            ) as tls,
        ):
            self._session = session_of(tls)
            if not tls.session_reused:
                checked(target)(tls)
            talk(tls)


def pins_once(target: Target) -> None:
    """It checks after the first handshake, and TLS 1.2 could have another one."""
    fetch(target, plain_context(target), check=checked(target))


class CheckingSocket(ssl.SSLSocket):
    """Checks in ``do_handshake``, which is not always called."""

    def do_handshake(self, block: bool = False) -> None:
        super().do_handshake(block)
        checked(self.context.target)(self)  # type: ignore[attr-defined]


def checks_in_do_handshake(target: Target) -> ssl.SSLContext:
    context: Any = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(target.cafile)
    context.sslsocket_class, context.target = CheckingSocket, target
    return context  # type: ignore[no-any-return]


def forgets_its_pins_at_a_proxy(target: Target) -> None:
    if target.proxy is not None:
        never_pins(target)
    else:
        fetch(target, target.context())


def forgets_its_pins_at_a_redirect(target: Target) -> None:
    fetch(target, target.context(), follow=plain_context(target))


def tries_again_with_less_care(target: Target) -> None:
    """It takes whatever goes wrong, but for a wrong key, for a server that is too old."""
    try:
        fetch(target, target.context())
    except ssl.SSLCertVerificationError:
        raise
    except OSError:
        never_pins(target)


def goes_on_in_the_clear(target: Target) -> None:
    """Where TLS does not work it does without."""
    try:
        fetch(target, target.context())
    except ssl.SSLCertVerificationError:
        raise
    except OSError:
        with connect(target) as sock:
            sock.sendall(SECRET.encode("ascii"))
        raise


def asks_the_proxy_itself(target: Target) -> None:
    """Where the way through a proxy does not work, it lets the proxy ask."""
    try:
        fetch(target, target.context())
    except OSError:
        if target.proxy is not None:
            proxy = urlsplit(target.proxy)
            address = proxy.hostname or "", proxy.port or 0
            with socket.create_connection(address, WAIT) as sock:
                request = f"GET http://{target.host}/ HTTP/1.1\r\nCookie: {SECRET}\r\n\r\n"
                sock.sendall(request.encode("ascii"))
                sock.recv(100)
        raise


def ends_tls_at_a_wrong_key(target: Target) -> None:
    """It ends TLS, not the connection, and goes on with what is left of it."""
    with (
        connect(target) as sock,
        plain_context(target).wrap_socket(sock, server_hostname=target.host) as tls,
    ):
        try:
            checked(target)(tls)
        except CarelessError:
            tls.unwrap().sendall(SECRET.encode("ascii"))
            raise
        talk(tls)


def looks_at_the_version_last(target: Target) -> None:
    """It wants TLS 1.3, pins there, and finds out about TLS 1.2 when it has asked."""
    with (
        connect(target) as sock,
        plain_context(target).wrap_socket(sock, server_hostname=target.host) as tls,
    ):
        if tls.version() == "TLSv1.3":
            checked(target)(tls)
        talk(tls)
        if tls.version() != "TLSv1.3":
            raise CarelessError("an old server")


def mails_in_the_clear(target: Target) -> None:
    """It takes any error of TLS for a server that has none, and logs in without."""
    try:
        with smtplib.SMTP(*target.address, timeout=WAIT) as smtp:
            smtp.starttls(context=target.context())
            smtp.sendmail("a@client.example", "b@server.example", SECRET)
    except OSError:
        with smtplib.SMTP(*target.address, timeout=WAIT) as smtp:
            smtp.docmd("AUTH", f"PLAIN {SECRET}")
        raise


def logs_in_before_tls(target: Target) -> None:
    with smtplib.SMTP(*target.address, timeout=WAIT) as smtp:
        smtp.ehlo()
        smtp.docmd("AUTH", f"PLAIN {SECRET}")
        smtp.starttls(context=target.context())
        smtp.sendmail("a@client.example", "b@server.example", SECRET)


def send_mail(target: Target, *, keep_buffer: bool = False) -> None:
    """SMTP over STARTTLS, by hand.

    :param keep_buffer: whether what came before TLS is still read after it.
    """

    class Reader:
        def __init__(self) -> None:
            self.stream: Any = sock
            self.buffer = b""

        def recv(self, size: int = 65536, /) -> bytes:
            self.buffer = self.buffer or self.stream.recv(65536)
            data, self.buffer = self.buffer[:size], self.buffer[size:]
            return data

        def sendall(self, data: bytes, /) -> None:
            self.stream.sendall(data)

        def end(self) -> None:
            raise NotImplementedError

    with connect(target) as sock:
        reader = Reader()

        def hear(code: str) -> None:
            while (answer := line(reader))[3:4] == b"-":
                pass
            if not answer.startswith(code.encode("ascii")):
                raise ConnectionError(repr(answer))

        def say(words: str, code: str) -> None:
            reader.sendall(words.encode("ascii") + b"\r\n")
            hear(code)

        hear("220")
        say("EHLO client.example", "250")
        say("STARTTLS", "220")
        if not keep_buffer:
            reader.buffer = b""
        with target.context().wrap_socket(sock, server_hostname=target.host) as tls:
            reader.stream = tls
            say("EHLO client.example", "250")
            say("MAIL FROM:<a@client.example>", "250")
            say("RCPT TO:<b@server.example>", "250")
            say("DATA", "354")
            say(f"{SECRET}\r\n.", "250")
            say("QUIT", "221")


def keeps_what_came_before_tls(target: Target) -> None:
    send_mail(target, keep_buffer=True)
