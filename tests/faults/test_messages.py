"""At each message of the handshake the peer resets, stalls, sends rubbish, half-closes or drips.

Whatever the key: where the handshake was not finished nothing passes, the wire is dead, and every
wait has its end.  Where the peer is only slow, the right key is let in and the wrong one is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from support.contexts import VERSIONS
from support.impostor import BANNER, HOST, SECRET, WAIT, Report, calling, serving

from pinsock import PinMismatchError

from .peers import ENDS, FAULTS, Faulty, Meeting, messages

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from pinsock._throwaway import Authority, Credential

LOOPBACK = ("127.0.0.1", 0)
#: Seconds that our end gives a handshake whose peer falls silent.
SHORT = 0.06


@dataclass
class Ours:
    """What our end has seen of one connection."""

    error: BaseException | None = None
    said: bytes = b""
    """What it was told by the peer."""
    seconds: float = 0.0
    """What the handshake took, well or not."""


Way: TypeAlias = "Callable[[Faulty, float], tuple[Ours, Report]]"


def _talk(sock: socket.socket, meeting: Meeting, timeout: float) -> Ours:
    """Over a connected socket; after a failure, whoever caught it goes on."""
    ours = Ours()
    sock.settimeout(timeout)
    began = monotonic()
    name = None if meeting.server_side else HOST
    try:
        wrapped = meeting.ours.wrap_socket(
            sock, meeting.server_side, do_handshake_on_connect=False, server_hostname=name
        )
    except OSError as error:  # the peer was gone before it could be wrapped
        return Ours(error)
    with wrapped:
        try:
            wrapped.do_handshake()
        except OSError as error:
            ours.error = error
            with pytest.raises(OSError):  # noqa: PT011 - which one is the fault's affair
                wrapped.send(SECRET)
            assert wrapped.gettimeout() == timeout
        else:
            wrapped.sendall(SECRET)
            ours.said = wrapped.recv(len(BANNER))
        finally:
            ours.seconds = monotonic() - began
    return ours


def over_a_socket(peer: Faulty, timeout: float) -> tuple[Ours, Report]:
    if not peer.meeting.server_side:
        with serving(peer) as impostor:
            ours = _talk(socket.create_connection(impostor.address), peer.meeting, timeout)
            return ours, impostor.report()
    with (
        socket.create_server(LOOPBACK) as listener,
        calling(listener.getsockname(), peer) as impostor,
    ):
        ours = _talk(listener.accept()[0], peer.meeting, timeout)
        return ours, impostor.report()


def over_asyncio(peer: Faulty, timeout: float) -> tuple[Ours, Report]:
    return asyncio.run(asyncio.wait_for(_over_asyncio(peer, timeout), WAIT + 5))


async def _over_asyncio(peer: Faulty, timeout: float) -> tuple[Ours, Report]:
    loop = asyncio.get_running_loop()
    complaints: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    talk = _server_over_asyncio if peer.meeting.server_side else _client_over_asyncio
    result = await talk(peer, timeout)
    assert complaints == []
    return result


async def _converse(ours: Ours, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(SECRET)
    ours.said = await reader.readexactly(len(BANNER))
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _client_over_asyncio(peer: Faulty, timeout: float) -> tuple[Ours, Report]:
    ours = Ours()
    with serving(peer) as impostor:
        began = monotonic()
        try:
            streams = await asyncio.open_connection(
                *impostor.address,
                ssl=peer.meeting.ours,
                server_hostname=HOST,
                ssl_handshake_timeout=timeout,
            )
        except OSError as error:
            ours.error = error
        else:
            await _converse(ours, *streams)
        ours.seconds = monotonic() - began
        return ours, await asyncio.to_thread(impostor.report)


async def _server_over_asyncio(peer: Faulty, timeout: float) -> tuple[Ours, Report]:
    loop = asyncio.get_running_loop()
    ours = Ours()
    with (
        socket.create_server(LOOPBACK) as listener,
        calling(listener.getsockname(), peer) as impostor,
    ):
        listener.setblocking(False)
        accepted, _ = await loop.sock_accept(listener)
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        began = monotonic()
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol, accepted, ssl=peer.meeting.ours, ssl_handshake_timeout=timeout
            )
        except OSError as error:
            ours.error = error
        else:
            await _converse(ours, reader, asyncio.StreamWriter(transport, protocol, reader, loop))
        ours.seconds = monotonic() - began
        return ours, await asyncio.to_thread(impostor.report)


WAYS: dict[str, Way] = {"socket": over_a_socket, "asyncio": over_asyncio}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("right", [True, False], ids=["right key", "wrong key"])
@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
@pytest.mark.parametrize("way", WAYS)
def test_a_fault_at_any_message_lets_nothing_pass_and_ends(
    *,
    way: str,
    side: str,
    version: ssl.TLSVersion,
    right: bool,
    fault: str,
    authority: Authority,
    good: Credential,
    bad: Credential,
) -> None:
    """Only a peer that is merely slow, and has the right key, gets the secret."""
    through = messages(Meeting.between(side, authority, good, good, version))
    assert through > 3
    meeting = Meeting.between(side, authority, good, good if right else bad, version)
    timeout = SHORT if fault == "stalls" else WAIT
    stood = 0
    for at in range(through):
        peer = Faulty(meeting, fault, at)
        ours, report = WAYS[way](peer, timeout)
        assert report.plaintext == b"", at
        if right and fault not in ENDS:
            assert ours.error is None, at
            assert (report.application, ours.said) == (SECRET, BANNER), at
            continue
        assert ours.error is not None, at
        assert ours.said == b"", at
        assert report.got_nothing(), at
        assert report.ended in {"eof", "reset"}, at
        if right:
            assert peer.reached, at
            assert not isinstance(ours.error, PinMismatchError), at
        elif side == "client":
            assert report.certificate is None, at  # ours: an impostor is not shown it
        if fault == "stalls" and not isinstance(ours.error, PinMismatchError):
            stood += 1
            # The right key's peer can be slow only where it is asked to be.
            assert ours.seconds >= SHORT * 0.9 or way == "asyncio", at
        assert ours.seconds < WAIT / 2, at
    assert stood > 0 or fault != "stalls"

    peer = Faulty(Meeting.between(side, authority, good, good, version), "drips", -1)
    peer.meeting = Meeting(meeting.ours, peer.meeting.theirs, meeting.server_side)
    ours, report = WAYS[way](peer, WAIT)
    assert report.application == SECRET, "the context serves on"
