"""No application byte passes a peer that is refused, whichever way the connection is used.

Each row is one way to connect, one call, one peer and one version of TLS.  Four things hold in all
of them: the peer got no application byte and none in the clear; nothing came back to the caller;
the connection is dead on the wire while the caller still holds it; the next call raises again.

The same table with a plain context leaks the secret.  If it did not, the rest would show nothing.
"""

from __future__ import annotations

import contextlib
import io
import selectors
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.contexts import TLS_1_3, VERSIONS
from support.impostor import BANNER, HOST, SECRET, WAIT, Impostor, Report, at_once, calling, serving

from pinsock import (
    PinMismatchError,
    PinSet,
    PinVerificationError,
    create_connection,
)

from .meetings import PEERS, SERVED, Meeting, People, meet

# --- calls ----------------------------------------------------------------------------------------

Call = Callable[[Any, bytearray], object]


def sendfile(sock: Any, _: bytearray) -> None:
    sock.sendfile(io.BytesIO(SECRET))


def write_to_file(sock: Any, _: bytearray) -> None:
    with sock.makefile("wb", buffering=0) as file:
        file.write(SECRET)


def read_from_file(sock: Any, buffer: bytearray) -> None:
    with sock.makefile("rb") as file:
        buffer[:] = file.read(len(BANNER))


def unwrap_then_send(sock: Any, _: bytearray) -> None:
    with contextlib.suppress(OSError, ValueError):
        sock.unwrap()
    sock.send(SECRET)


def shutdown_then_send(sock: Any, _: bytearray) -> None:
    with contextlib.suppress(OSError, ValueError):
        sock.shutdown(socket.SHUT_RD)
    sock.send(SECRET)


def inner_shutdown_then_write(sock: Any, _: bytearray) -> None:
    with contextlib.suppress(OSError, ValueError):
        sock._sslobj.shutdown()
    sock._sslobj.write(SECRET)


def keep(buffer: bytearray, came: bytes) -> None:
    buffer[:] = came


SENDING: dict[str, Call] = {
    "send": lambda sock, _: sock.send(SECRET),
    "sendall": lambda sock, _: sock.sendall(SECRET),
    "write": lambda sock, _: sock.write(SECRET),
    "sendfile": sendfile,
    "makefile, write": write_to_file,
    "unwrap, then send": unwrap_then_send,
    "shutdown, then send": shutdown_then_send,
    "unbound send": lambda sock, _: ssl.SSLSocket.send(sock, SECRET),
    "unbound sendall": lambda sock, _: ssl.SSLSocket.sendall(sock, SECRET),
    "unbound write": lambda sock, _: ssl.SSLSocket.write(sock, SECRET),
    "unbound sendfile": lambda sock, _: ssl.SSLSocket.sendfile(sock, io.BytesIO(SECRET)),
    "_sslobj.write": lambda sock, _: sock._sslobj.write(SECRET),
}
RECEIVING: dict[str, Call] = {
    "recv": lambda sock, buffer: keep(buffer, sock.recv(64)),
    "recv_into": lambda sock, buffer: sock.recv_into(buffer),
    "read": lambda sock, buffer: keep(buffer, sock.read(64)),
    "read into": lambda sock, buffer: sock.read(64, buffer),
    "makefile, read": read_from_file,
    "unbound recv": lambda sock, buffer: keep(buffer, ssl.SSLSocket.recv(sock, 64)),
    "unbound recv_into": ssl.SSLSocket.recv_into,
    "unbound read": lambda sock, buffer: keep(buffer, ssl.SSLSocket.read(sock, 64)),
    "_sslobj.read": lambda sock, buffer: keep(buffer, sock._sslobj.read(64)),
}
#: What ssl has no TLS for, and refuses.
NOT_TLS: dict[str, Call] = {
    "sendto": lambda sock, _: sock.sendto(SECRET, sock.getpeername()),
    "sendmsg": lambda sock, _: sock.sendmsg([SECRET]),
    "recvfrom": lambda sock, buffer: keep(buffer, sock.recvfrom(64)[0]),
}
#: What moves no data by itself.
NEITHER: dict[str, Call] = {
    "do_handshake": lambda sock, _: sock.do_handshake(),
    "unbound do_handshake": lambda sock, _: ssl.SSLSocket.do_handshake(sock),
    "recv of nothing": lambda sock, _: sock.recv(0),
    "unwrap": lambda sock, _: sock.unwrap(),
    "unbound unwrap": lambda sock, _: ssl.SSLSocket.unwrap(sock),
    "_sslobj.shutdown, then _sslobj.write": inner_shutdown_then_write,
}
CALLS = SENDING | RECEIVING | NOT_TLS | NEITHER


def attempt(sock: Any, call: Call) -> tuple[bytes, Exception | None]:
    """What came back, and what was raised.  A call that would block is made again."""
    buffer = bytearray(len(BANNER))
    with selectors.DefaultSelector() as selector:
        key = selector.register(sock, selectors.EVENT_READ)
        while True:
            try:
                call(sock, buffer)
                error = None
            except ssl.SSLWantReadError:
                selector.modify(sock, selectors.EVENT_READ)
            except ssl.SSLWantWriteError:
                selector.modify(sock, selectors.EVENT_WRITE)
            except (OSError, ValueError, NotImplementedError) as raised:
                error = raised
                break
            else:
                break
            assert selector.select(WAIT), f"{key.fd} did not become ready"
    return bytes(buffer).rstrip(b"\0"), error


# --- ways to connect ------------------------------------------------------------------------------

Way = Callable[[Meeting], contextlib.AbstractContextManager[tuple[ssl.SSLSocket, Impostor]]]


@contextlib.contextmanager
def deferred(meeting: Meeting) -> Iterator[tuple[ssl.SSLSocket, Impostor]]:
    with serving(meeting.theirs) as impostor:
        sock = socket.create_connection(impostor.address, WAIT)
        at_once(sock)
        with meeting.ours.wrap_socket(
            sock, do_handshake_on_connect=False, server_hostname=HOST
        ) as wrapped:
            yield wrapped, impostor


@contextlib.contextmanager
def non_blocking(meeting: Meeting) -> Iterator[tuple[ssl.SSLSocket, Impostor]]:
    with deferred(meeting) as (wrapped, impostor):
        wrapped.setblocking(False)
        yield wrapped, impostor


@contextlib.contextmanager
def _unconnected(meeting: Meeting, **settings: Any) -> Iterator[tuple[ssl.SSLSocket, Impostor]]:
    with (
        serving(meeting.theirs) as impostor,
        meeting.ours.wrap_socket(socket.socket(), server_hostname=HOST, **settings) as wrapped,
    ):
        wrapped.settimeout(WAIT)
        at_once(wrapped)
        yield wrapped, impostor


@contextlib.contextmanager
def connect(meeting: Meeting) -> Iterator[tuple[ssl.SSLSocket, Impostor]]:
    """connect() shakes hands and raises, and whoever does not mind goes on with the socket."""
    with _unconnected(meeting) as (wrapped, impostor):
        with contextlib.suppress(OSError):
            wrapped.connect(impostor.address)
        yield wrapped, impostor


@contextlib.contextmanager
def connect_deferred(meeting: Meeting) -> Iterator[tuple[ssl.SSLSocket, Impostor]]:
    with _unconnected(meeting, do_handshake_on_connect=False) as (wrapped, impostor):
        wrapped.connect(impostor.address)
        yield wrapped, impostor


@contextlib.contextmanager
def connect_ex(meeting: Meeting) -> Iterator[tuple[ssl.SSLSocket, Impostor]]:
    with _unconnected(meeting) as (wrapped, impostor):
        with contextlib.suppress(OSError):
            wrapped.connect_ex(impostor.address)
        yield wrapped, impostor


@contextlib.contextmanager
def connect_ex_non_blocking(meeting: Meeting) -> Iterator[tuple[ssl.SSLSocket, Impostor]]:
    with _unconnected(meeting, do_handshake_on_connect=False) as (wrapped, impostor):
        wrapped.setblocking(False)
        wrapped.connect_ex(impostor.address)
        with selectors.DefaultSelector() as selector:
            selector.register(wrapped, selectors.EVENT_WRITE)
            assert selector.select(WAIT)
        yield wrapped, impostor


@contextlib.contextmanager
def _listening(meeting: Meeting) -> Iterator[ssl.SSLSocket]:
    with meeting.ours.wrap_socket(
        socket.create_server(("127.0.0.1", 0)), server_side=True, do_handshake_on_connect=False
    ) as listener:
        listener.settimeout(WAIT)
        yield listener


@contextlib.contextmanager
def accept(meeting: Meeting) -> Iterator[tuple[ssl.SSLSocket, Impostor]]:
    with (
        _listening(meeting) as listener,
        calling(listener.getsockname(), meeting.theirs) as impostor,
        listener.accept()[0] as wrapped,
    ):
        wrapped.settimeout(WAIT)
        at_once(wrapped)
        yield wrapped, impostor


@contextlib.contextmanager
def accept_non_blocking(meeting: Meeting) -> Iterator[tuple[ssl.SSLSocket, Impostor]]:
    with accept(meeting) as (wrapped, impostor):
        wrapped.setblocking(False)
        yield wrapped, impostor


WAYS: dict[str, dict[str, Way]] = {
    "client": {
        "deferred": deferred,
        "non-blocking": non_blocking,
        "connect": connect,
        "connect, deferred": connect_deferred,
        "connect_ex": connect_ex,
        "connect_ex, non-blocking": connect_ex_non_blocking,
    },
    "server": {"accept": accept, "accept, non-blocking": accept_non_blocking},
}


def rows(
    ways: dict[str, dict[str, Any]],
    calls: dict[str, Call],
    peers: list[tuple[str, str, ssl.TLSVersion]],
) -> list[Any]:
    """Every way with every call and every peer of that side.

    Rows that do not exist are left out: sendfile wants a blocking socket, and after a handshake
    that went well there is no sending once unwrap() or shutdown() was called.
    """
    return [
        pytest.param(side, way, call, peer, version, id="-".join((way, call, peer, version.name)))
        for side, peer, version in peers
        for way in ways[side]
        for call in calls
        if not ("non-blocking" in way and "sendfile" in call)
        and not (peers is SERVED and way.startswith("connect") and call == "unwrap, then send")
        and not (peer == "right key" and ("unwrap" in call or "shutdown" in call))
    ]


# --- the table ------------------------------------------------------------------------------------


def expected_error(side: str, peer: str, call: str) -> type[Exception]:
    """What is raised: the verdict, wherever the call is one that exists and reaches TLS."""
    if call in NOT_TLS or call == "shutdown, then send":
        return Exception  # ssl's own refusal, or what a socket says that was shut down
    if side == "server" and peer == "no certificate":
        return OSError  # from OpenSSL, which asked for a certificate, or from the dead socket
    return PinVerificationError if peer == "callback that raises" else PinMismatchError


def leaked(call: str, came: bytes, report: Report) -> bool:
    """Whether data passed, in the direction that the call is for."""
    return came == BANNER if call in RECEIVING | BIO_RECEIVING else not report.got_nothing()


@pytest.mark.parametrize(("side", "way", "call", "peer", "version"), rows(WAYS, CALLS, PEERS))
def test_no_byte_passes(
    *, people: People, side: str, way: str, call: str, peer: str, version: ssl.TLSVersion
) -> None:
    """Nothing goes out, nothing comes in, the wire is dead, and the next call raises too."""
    meeting = meet(people, side, peer, version, pinned=True)
    with WAYS[side][way](meeting) as (wrapped, impostor):
        came, error = attempt(wrapped, CALLS[call])
        came_again, error_again = attempt(wrapped, CALLS[call])
        _, at_last = attempt(wrapped, CALLS["send"])
        report = impostor.report()  # ends when the connection does, and we still hold it
    assert came == came_again == b""
    expected = expected_error(side, peer, call)
    assert isinstance(error, expected)
    # ssl's do_handshake() asks first whether there is a connection at all.
    assert isinstance(error_again, OSError if "do_handshake" in call else expected)
    assert isinstance(at_last, OSError)
    assert error is not error_again
    assert report.got_nothing(), report
    assert report.ended


@pytest.mark.parametrize(
    ("side", "way", "call", "peer", "version"),
    rows(WAYS, SENDING | RECEIVING, SERVED),
)
def test_a_plain_context_leaks_and_the_right_key_is_served(
    *, people: People, side: str, way: str, call: str, peer: str, version: ssl.TLSVersion
) -> None:
    """The same table without pins: the secret is with the impostor, or its banner with us.

    So it is with pins if the key is the pinned one.
    """
    meeting = meet(people, side, peer, version, pinned=peer == "right key")
    with WAYS[side][way](meeting) as (wrapped, impostor):
        came, _ = attempt(wrapped, CALLS[call])
        wrapped.close()
        report = impostor.report()
    assert leaked(call, came, report)


@pytest.mark.parametrize(("side", "peer", "version"), PEERS)
def test_the_handshake_of_wrap_socket_and_accept_raises_at_once(
    people: People, side: str, peer: str, version: ssl.TLSVersion
) -> None:
    """Where the handshake is not put off nobody is given a connection, and the socket is closed."""
    meeting = meet(people, side, peer, version, pinned=True)
    if side == "client":
        with serving(meeting.theirs) as impostor:
            before = socket.create_connection(impostor.address, WAIT)
            with pytest.raises(expected_error(side, peer, "wrap_socket")):
                meeting.ours.wrap_socket(before, server_hostname=HOST)
            report = impostor.report()
        assert before.fileno() == -1
    else:
        with (
            meeting.ours.wrap_socket(
                socket.create_server(("127.0.0.1", 0)), server_side=True
            ) as listener,
            calling(listener.getsockname(), meeting.theirs) as impostor,
        ):
            listener.settimeout(WAIT)
            with pytest.raises(expected_error(side, peer, "accept")):
                listener.accept()
            report = impostor.report()
    assert report.got_nothing(), report
    assert report.ended


@pytest.mark.parametrize("version", VERSIONS)
def test_create_connection_gives_no_connection_to_an_impostor(
    people: People, version: ssl.TLSVersion
) -> None:
    """create_connection() raises, and leaves no open socket behind."""
    meeting = meet(people, "client", "wrong leaf", version, pinned=True)
    with serving(meeting.theirs) as impostor:
        with pytest.raises(PinMismatchError):
            create_connection(
                impostor.address,
                PinSet(people.good.pin, None),
                timeout=WAIT,
                server_hostname=HOST,
                context=meeting.ours,
            )
        report = impostor.report()
    assert report.got_nothing(), report
    assert report.ended


# --- MemoryBIO ------------------------------------------------------------------------------------

BIO_SENDING: dict[str, Call] = {
    "write": lambda tls, _: tls.write(SECRET),
    "unwrap, then write": lambda tls, _: unwrap_then_write(tls),
    "unbound write": lambda tls, _: ssl.SSLObject.write(tls, SECRET),
    "_sslobj.write": lambda tls, _: tls._sslobj.write(SECRET),
}
BIO_RECEIVING: dict[str, Call] = {
    "read": lambda tls, buffer: keep(buffer, tls.read(64)),
    "read into": lambda tls, buffer: tls.read(64, buffer),
    "unbound read": lambda tls, buffer: keep(buffer, ssl.SSLObject.read(tls, 64)),
    "_sslobj.read": lambda tls, buffer: keep(buffer, tls._sslobj.read(64)),
}
BIO_NEITHER: dict[str, Call] = {
    "unwrap": lambda tls, _: tls.unwrap(),
    "_sslobj.shutdown": lambda tls, _: tls._sslobj.shutdown(),
    "do_handshake": lambda tls, _: tls.do_handshake(),
    "_sslobj.shutdown, then _sslobj.write": inner_shutdown_then_write,
}
BIO_CALLS = BIO_SENDING | BIO_RECEIVING | BIO_NEITHER
BIO_WAYS = {"client": {"MemoryBIO": None}, "server": {"MemoryBIO, server": None}}


def unwrap_then_write(tls: ssl.SSLObject) -> None:
    # What blocks is left to write(): unwrap() waits for the peer's answer.
    with contextlib.suppress(OSError, ValueError):
        tls.unwrap()
    tls.write(SECRET)


class Bios:
    """TLS over MemoryBIOs, and a socket that carries their bytes and nothing else."""

    def __init__(self, context: ssl.SSLContext, sock: socket.socket, side: str) -> None:
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(
            self.incoming,
            self.outgoing,
            server_side=side == "server",
            server_hostname=HOST if side == "client" else None,
        )

    def attempt(self, call: Call) -> tuple[bytes, Exception | None]:
        buffer = bytearray(len(BANNER))
        error: Exception | None = None
        while True:
            try:
                call(self.tls, buffer)
            except ssl.SSLWantReadError:
                self.sock.sendall(self.outgoing.read())
                came = self.sock.recv(65536)
                self.incoming.write(came) if came else self.incoming.write_eof()
                continue
            except (OSError, ValueError) as raised:
                error = raised
            # As a careful program does: what TLS has to say at the end goes out too.
            with contextlib.suppress(ConnectionError):
                self.sock.sendall(self.outgoing.read())
            return bytes(buffer).rstrip(b"\0"), error


@contextlib.contextmanager
def over_bios(meeting: Meeting, side: str) -> Iterator[tuple[Bios, Impostor]]:
    with contextlib.ExitStack() as stack:
        if side == "client":
            impostor = stack.enter_context(serving(meeting.theirs))
            sock = socket.create_connection(impostor.address, WAIT)
        else:
            with socket.create_server(("127.0.0.1", 0)) as listener:
                impostor = stack.enter_context(calling(listener.getsockname(), meeting.theirs))
                sock = listener.accept()[0]
        with sock:
            sock.settimeout(WAIT)
            at_once(sock)
            yield Bios(meeting.ours, sock, side), impostor


@pytest.mark.parametrize(
    ("side", "way", "call", "peer", "version"), rows(BIO_WAYS, BIO_CALLS, PEERS)
)
def test_no_byte_passes_a_memory_bio(
    *, people: People, side: str, way: str, call: str, peer: str, version: ssl.TLSVersion
) -> None:
    """Nothing that the peer could use comes out of the BIO, not even the end of the handshake."""
    meeting = meet(people, side, peer, version, pinned=True)
    with over_bios(meeting, side) as (bios, impostor):
        came, error = bios.attempt(BIO_CALLS[call])
        came_again, error_again = bios.attempt(BIO_CALLS[call])
        _, at_last = bios.attempt(BIO_CALLS["write"])
        assert not bios.outgoing.pending
        bios.sock.close()
        report = impostor.report()
    assert came == came_again == b""
    for raised in (error, error_again, at_last):
        assert isinstance(raised, expected_error(side, peer, call)), way
    assert error is not error_again
    assert report.got_nothing(), report
    if side == "client" and version is TLS_1_3:
        assert not report.shaken  # our Finished, and with it our certificate, was still in the BIO


@pytest.mark.parametrize(
    ("side", "way", "call", "peer", "version"),
    rows(BIO_WAYS, BIO_SENDING | BIO_RECEIVING, SERVED),
)
def test_a_plain_memory_bio_leaks_and_the_right_key_is_served(
    *, people: People, side: str, way: str, call: str, peer: str, version: ssl.TLSVersion
) -> None:
    """The same table without pins, and with pins for the pinned key."""
    meeting = meet(people, side, peer, version, pinned=peer == "right key")
    with over_bios(meeting, side) as (bios, impostor):
        came, _ = bios.attempt(BIO_CALLS[call])
        bios.sock.close()
        report = impostor.report()
    assert leaked(call, came, report), way
