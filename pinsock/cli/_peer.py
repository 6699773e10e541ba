"""Connections as far as the end of the handshake: no command sends application data.

TLS runs over MemoryBIOs here, so that what goes over the wire is known byte for byte, STARTTLS
dialogues can be bounded, and the certificates are there as soon as the server has sent them: a
server that then wants one of the client as well has already shown its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pinsock._gate import certificates_as_sent
from pinsock._policy import canonical_host
from pinsock._text import safe_text
from pinsock.cli._files import read
from pinsock.cli._frame import USAGE, Failure, path_text
from pinsock.cli._starttls import DEFAULT_PORTS, NoTLS, Plain, ask_for_tls, unasked
from pinsock.exceptions import InvalidPolicyError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pinsock import Verdict

__all__ = ["Shaken", "Target", "Unreachable", "parse_target", "shake_hands", "trusted"]

#: Bytes that a server may send until the handshake ends.  OpenSSL takes 100 kB of certificates.
_MOST: Final = 400_000
#: Seconds that a server has for its own end of the connection, when all is done.
_FAREWELL: Final = 0.25
_MOST_READS: Final = 16
#: The first byte of what a server sends in a TLS handshake: a record of that kind, or of an alert
#: (RFC 8446, section 5.1).
_TLS_STARTS: Final = b"\x16\x15"


class Shaken(NamedTuple):
    """What is known after a handshake."""

    version: str
    """``"TLSv1.2"`` or ``"TLSv1.3"``."""
    verdict: Verdict | None
    """Of a pinned context."""


class Unreachable(Exception):  # noqa: N818 - a host that is down is not this program's error
    """Why a handshake did not take place, in one line."""


def trusted(cafile: str | None) -> str | None:
    """The authorities in a file, as ``cadata`` of ``ssl``; ``None``: those of the system."""
    if cafile is None:
        return None
    text = read(cafile, "file of certificates").decode("ascii", "replace")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError):
        raise Failure(
            f"{path_text(cafile)}: no certificates in PEM; give the file of the authorities", USAGE
        ) from None
    return text


class Target(NamedTuple):
    """Whom to connect to."""

    host: str
    """The name, canonical, that the certificate must have and the policy is asked for."""
    port: int
    address: str
    """Where to connect, if not to what ``host`` resolves to; or ``""``."""

    def __str__(self) -> str:
        name = f"[{self.host}]" if ":" in self.host else self.host
        where = f"[{self.address}]" if ":" in self.address else self.address
        return f"{name}:{self.port}{f'@{where}' if where else ''}"


def parse_target(text: str, starttls: str | None = None) -> Target:
    """Read ``HOST[:PORT][@ADDRESS]``; an IPv6 address stands in brackets.

    Raises ValueError, which says what was wrong.
    """
    if "/" in text:
        raise ValueError(f"{_shown(text)}: give the host alone, without scheme and path")
    name, at, address = text.partition("@")
    host, port = _host_and_port(name)
    if at:  # with nothing behind it, as of an empty variable, another machine would be looked at
        with contextlib.suppress(InvalidPolicyError):
            address = canonical_host(address)
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise ValueError(f"{_shown(text)}: after the @ an IP address is expected") from None
    try:
        host = canonical_host(host)
    except InvalidPolicyError as error:
        raise ValueError(str(error)) from None
    return Target(host, DEFAULT_PORTS[starttls] if port is None else port, address)


def _host_and_port(name: str) -> tuple[str, int | None]:
    if name.startswith("[") or name.count(":") == 1:
        host, _, digits = name.rpartition(":")
        if name.startswith("[") and name.endswith("]"):
            return name, None
        if not (digits.isascii() and digits.isdigit() and 0 < int(digits[:6]) < 65536):
            raise ValueError(f"{_shown(name)}: a port is a number from 1 to 65535")
        return host, int(digits)
    return name, None


def _shown(text: str) -> str:
    return f"'{safe_text(text)}'"


async def shake_hands(
    target: Target,
    context: ssl.SSLContext,
    *,
    timeout: float,
    starttls: str | None = None,
    on_certificates: Callable[[Sequence[bytes]], object] | None = None,
) -> Shaken:
    """Connect, shake hands, and end the connection in the words of TLS.

    :param timeout: seconds, for everything together.
    :param on_certificates: called with the certificates that the server has sent, in DER, leaf
        first, as soon as they are there, and even if the handshake then fails.

    Raises Unreachable, ssl.SSLCertVerificationError and with it PinVerificationError.
    """
    try:
        # One limit for all of it: a server that sends a byte a second is stopped as well.
        async with asyncio.timeout(timeout):
            sock = await _connect(target, timeout)
            try:
                return await _speak(sock, target, context, starttls, on_certificates)
            finally:
                sock.close()
    except TimeoutError:
        raise Unreachable(
            f"no handshake within {timeout:g} s; check the address and the port, or give it longer "
            f"with --timeout"
        ) from None


async def _connect(target: Target, timeout: float) -> socket.socket:
    loop = asyncio.get_running_loop()
    found = await _resolve(target.address or target.host, target.port)
    failed: OSError | None = None
    for left, (family, kind, protocol, _, address) in zip(
        range(len(found), 0, -1), found, strict=True
    ):
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:  # no IPv6 here, or too many files
            failed = error
            continue
        sock.setblocking(False)
        try:
            # Where one address leads nowhere, the next one still has its turn.
            async with asyncio.timeout(timeout / left / 2 if left > 1 else None):
                await loop.sock_connect(sock, address)
        except OSError as error:  # a TimeoutError is one
            sock.close()
            failed = error
        except BaseException:
            sock.close()
            raise
        else:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
    raise Unreachable(_why_not_connected(failed))


def _why_not_connected(error: OSError | None) -> str:
    if error is not None and error.errno == errno.ECONNREFUSED:
        return "nothing listens there (connection refused); check the port"
    words = "no answer" if isinstance(error, TimeoutError) else getattr(error, "strerror", None)
    return f"cannot connect ({words or error}); check the address and the network"


async def _resolve(host: str, port: int) -> list[tuple[Any, ...]]:
    flags = socket.AI_NUMERICHOST
    with contextlib.suppress(socket.gaierror):
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags))
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[tuple[Any, ...]]] = loop.create_future()

    def settle(found: list[tuple[Any, ...]] | None) -> None:
        if not answer.done():
            if found:
                answer.set_result(found)
            else:
                answer.set_exception(
                    Unreachable("no address is known for this name; check its spelling and the DNS")
                )

    def ask() -> None:
        found = None
        with contextlib.suppress(OSError, UnicodeError):
            found = list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        with contextlib.suppress(RuntimeError):  # nobody waits any more: the loop is closed
            loop.call_soon_threadsafe(settle, found)

    # Not in the loop's executor: nothing stops getaddrinfo(), and the program's end waits for that.
    threading.Thread(target=ask, daemon=True).start()
    return await answer


async def _speak(
    sock: socket.socket,
    target: Target,
    context: ssl.SSLContext,
    starttls: str | None,
    on_certificates: Callable[[Sequence[bytes]], object] | None,
) -> Shaken:
    try:
        if starttls is not None:
            await ask_for_tls(Plain(sock), starttls, target.host)
        return await _handshake(sock, target, context, starttls, on_certificates)
    except NoTLS as refusal:
        raise Unreachable(str(refusal)) from None
    except ssl.SSLCertVerificationError:
        raise
    except ssl.SSLError as error:
        raise Unreachable(_why_no_tls(error)) from None
    except TimeoutError:
        raise
    except OSError as error:
        raise Unreachable(
            f"the connection broke off ({error.strerror or type(error).__name__}); try again, or "
            f"look at the server's log"
        ) from None


async def _handshake(
    sock: socket.socket,
    target: Target,
    context: ssl.SSLContext,
    starttls: str | None,
    on_certificates: Callable[[Sequence[bytes]], object] | None,
) -> Shaken:
    loop = asyncio.get_running_loop()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=target.host)
    seen = 0
    while True:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            with contextlib.suppress(OSError):  # the alert that says why
                await loop.sock_sendall(sock, outgoing.read())
            raise
        else:
            break
        finally:
            if on_certificates is not None and (sent := certificates_as_sent(tls)):
                on_certificates(sent)
                on_certificates = None
        if data := outgoing.read():
            await loop.sock_sendall(sock, data)
        data = await loop.sock_recv(sock, 65536)
        if not data:
            raise Unreachable(_why_ended(seen, starttls))
        if not seen and data[0] not in _TLS_STARTS:
            raise Unreachable(_not_tls(data, starttls))
        seen += len(data)
        if seen > _MOST:
            raise Unreachable(
                f"more than {_MOST} bytes and still no end of the handshake: no server needs that"
            )
        incoming.write(data)
    # Now: after the end of the connection ssl does not know it any more.
    shaken = Shaken(tls.version() or "", getattr(tls, "pin_verdict", None))
    with contextlib.suppress(OSError):
        # The last flight, and the end of the connection in the words of TLS.
        with contextlib.suppress(ssl.SSLError):
            tls.unwrap()
        await loop.sock_sendall(sock, outgoing.read())
        sock.shutdown(socket.SHUT_WR)
        # Closed with something unread, the connection would end in a reset, which servers log.
        async with asyncio.timeout(_FAREWELL):
            for _ in range(_MOST_READS):  # while there is more no timeout has its turn
                if not await loop.sock_recv(sock, 65536):
                    break
    return shaken


def _not_tls(data: bytes, starttls: str | None) -> str:
    if starttls is not None:
        return unasked(data)
    words = safe_text(data[:60].decode("latin-1"))
    return f"does not speak TLS: it says '{words}'; check the port, or give --starttls"


def _why_ended(seen: int, starttls: str | None) -> str:
    if seen or starttls is not None:
        return "the server ended the connection in the middle of the handshake; look at its log"
    return (
        "the server ended the connection instead of speaking TLS; check the port, or give "
        "--starttls"
    )


def _why_no_tls(error: ssl.SSLError) -> str:
    reason = safe_text((error.reason or str(error)).lower().replace("_", " "))
    if "alert" in reason:
        return f"the server refused the handshake ({reason}); it may want a client certificate"
    return f"no TLS handshake ({reason}); check the port, or look at the server's log"
