"""Every record of the server is split at every byte, and the client looks after each of them."""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import TYPE_CHECKING, Any, Literal, Self

import pytest
from support.contexts import VERSIONS
from support.impostor import BANNER, HOST, SECRET, Report, advance

from pinsock import PinMismatchError, PinnedContext

from .witness import SCENES, Trouble, Witness, hellos, talk, words

if TYPE_CHECKING:
    from collections.abc import Callable

    from pinsock import Verdict
    from pinsock._throwaway import Authority, Credential

each_over = pytest.mark.parametrize("over", ["bio", "socket"])
each_scene = pytest.mark.parametrize(
    ("trouble", "version"),
    [scene for scene in SCENES if scene[0] in ("none", "HelloRetryRequest")],
    ids=lambda value: getattr(value, "name", value),
)
each_version = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)

#: Whether a session is offered, of the pinned server, which its peer then declines.
each_offer = pytest.mark.parametrize("offers", [False, True], ids=["no session", "a session"])


class Drip:
    """Our end, and a server whose bytes come singly.

    ``Wire`` of the tests' support carries all that is there at once.
    """

    near: Any

    def __init__(
        self,
        ours: PinnedContext,
        theirs: ssl.SSLContext,
        over: Literal["bio", "socket"],
        session: ssl.SSLSession | None,
    ) -> None:
        self.report = Report()
        self.drops = b""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._far = theirs.wrap_bio(self._incoming, self._outgoing, server_side=True)
        if over == "bio":
            to_us, from_us = ssl.MemoryBIO(), ssl.MemoryBIO()
            self.near = ours.wrap_bio(to_us, from_us, server_hostname=HOST, session=session)
            self._send: Callable[[bytes], object] = to_us.write
            self._receive: Callable[[], bytes] = from_us.read
            self._close = lambda: None
        else:
            near, far = socket.socketpair()
            near.setblocking(False)
            far.setblocking(False)
            self.near = ours.wrap_socket(
                near, do_handshake_on_connect=False, server_hostname=HOST, session=session
            )
            self._send = far.send
            self._receive = lambda: far.recv(65536)
            self._close = lambda: (self.near.close(), far.close())

    def do(self, step: Callable[[], object]) -> object:
        """Our end takes this step, and again after each byte that came."""
        while True:
            with contextlib.suppress(ssl.SSLWantReadError):
                return step()
            self.hear()
            assert self.drops, "neither end goes on"
            self._send(self.drops[:1])
            self.drops = self.drops[1:]

    def hear(self) -> None:
        """The server takes what was sent to it, and has its answer ready."""
        with contextlib.suppress(BlockingIOError):
            came = self._receive()
            self.report.take(came)
            self._incoming.write(came)
            advance(self._far, BANNER, self.report)
            self.drops += self._outgoing.read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()


@each_over
@each_offer
@each_scene
def test_the_look_needs_no_whole_record(
    *,
    ours: PinnedContext,
    authority: Authority,
    good: Credential,
    bad: Credential,
    offers: bool,
    over: Literal["bio", "socket"],
    trouble: Trouble,
    version: ssl.TLSVersion,
) -> None:
    """And misses none: the hello is all that goes out.  Over BIOs it waits for the flight."""
    ours.early_verdict = "require"
    session = talk(ours, Witness(good, authority, version), over) if offers else None
    impostor = Witness(bad, authority, version, trouble)
    with Drip(ours, impostor.context, over, session) as drip:
        with pytest.raises(PinMismatchError):
            drip.do(lambda: drip.near.write(SECRET))
        assert bool(drip.drops) is (over == "socket")
        drip.hear()
    assert words(drip.report.raw) == hellos(trouble, version)
    assert set(impostor.messages) == {"CLIENT_HELLO"}


@each_over
@each_offer
@each_scene
def test_the_pinned_server_may_be_as_slow(
    *,
    ours: PinnedContext,
    authority: Authority,
    good: Credential,
    me: Credential,
    offers: bool,
    over: Literal["bio", "socket"],
    trouble: Trouble,
    version: ssl.TLSVersion,
) -> None:
    """It gets the certificate and the secret in the end."""
    session = talk(ours, Witness(good, authority, version), over) if offers else None
    peer = Witness(good, authority, version, trouble)
    with Drip(ours, peer.context, over, session) as drip:
        drip.do(lambda: drip.near.write(SECRET))
        assert drip.do(lambda: drip.near.read(len(BANNER))) == BANNER
        drip.hear()
    assert drip.report.certificate == me.der
    assert drip.report.application == SECRET


@each_over
@each_version
def test_a_resumed_session_may_be_as_slow(
    *,
    ours: PinnedContext,
    authority: Authority,
    good: Credential,
    over: Literal["bio", "socket"],
    version: ssl.TLSVersion,
) -> None:
    """What ssl tells of it before its end is not what counts."""
    peer = Witness(good, authority, version)
    session = talk(ours, peer, over)
    said: list[Verdict] = []
    ours.on_verdict = said.append
    with Drip(ours, peer.context, over, session) as drip:
        drip.do(lambda: drip.near.write(SECRET))
        drip.hear()
    assert drip.report.resumed
    assert drip.report.application == SECRET
    assert [verdict.outcome.name for verdict in said] == ["MATCHED"]
