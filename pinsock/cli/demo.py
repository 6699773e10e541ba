"""``pinsock demo``: what pinning does, on loopback, with keys that are thrown away.

Nothing is staged.  Client, server and interceptor speak TLS over TCP, and what is printed, the
exit status included, comes from what the two ends of each connection really saw.
"""

from __future__ import annotations

import secrets
import socket
import ssl
from typing import TYPE_CHECKING, Literal, NamedTuple

from pinsock import Outcome, Pin, PinMismatchError, PinnedSocket, PinSet, create_default_context
from pinsock._throwaway import Authority
from pinsock.testing import Interceptor, PinnedServer

if TYPE_CHECKING:
    from pinsock._throwaway import Credential
    from pinsock.testing import Stream

__all__ = ["run"]

_HOST = "login.example"
_WELCOME = b"welcome\n"

#: Seconds, for each wait: nothing here takes more than a few milliseconds.
_PATIENCE = 3


def _welcome(client: Stream) -> None:
    """What the server says to a log-in."""
    received = b""
    while piece := client.recv():
        received += piece
        if received.endswith(b"\n"):
            client.sendall(_WELCOME)


class _Seen(NamedTuple):
    """What the two ends of one connection saw."""

    outcome: Outcome | None
    """The verdict of a pinned client."""
    peer: Pin | None
    """The pin of the key that the client was shown."""
    certificate: Pin | None
    """That of the certificate, where the client has accepted it."""
    received: bytes
    """All the application bytes that the client's peer was given."""
    answer: bytes
    """All that the client was given back."""
    error: str
    """What failed, other than by the pins."""


def _log_in(context: ssl.SSLContext, peer: PinnedServer | Interceptor, request: bytes) -> _Seen:
    """One connection of the client, which is the same client with pins and without."""
    outcome = shown = certificate = None
    answer, error = b"", ""
    with socket.create_connection(peer.address, _PATIENCE) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=_HOST) as tls:
                der = tls.getpeercert(True) or b""
                shown = Pin.from_certificate(der)
                certificate = Pin.from_certificate(der, "certificate")
                if isinstance(tls, PinnedSocket) and tls.pin_verdict is not None:
                    outcome = tls.pin_verdict.outcome
                tls.sendall(request)
                answer = tls.recv(4096)
        except PinMismatchError as refusal:
            shown = refusal.chain[0].pin
            outcome = None if refusal.verdict is None else refusal.verdict.outcome
        except OSError as failure:
            error = f"{type(failure).__name__}: {failure}"
    peer.settle()
    return _Seen(outcome, shown, certificate, peer.connections[-1].application, answer, error)


class _Step(NamedTuple):
    title: str
    context: ssl.SSLContext
    peer: Literal["server", "interceptor"]
    shows: Credential
    outcome: Outcome | None
    """What must come out: of the pinned client's check, or ``None`` without pins."""


def run() -> int:
    """Five connections; 0 if all came out as they must, else 1."""
    authority, another = Authority("an authority"), Authority("another authority")
    in_use, backup, forged = authority.issue(_HOST), authority.issue(_HOST), another.issue(_HOST)
    renewed = authority.issue(_HOST, key=in_use.key)

    trusted = authority.pem + another.pem
    unpinned = ssl.create_default_context(cadata=trusted)
    pinned = create_default_context(PinSet(in_use.pin, backup=backup.pin), cadata=trusted)

    steps = (
        _Step("The server, with the key in use.", pinned, "server", in_use, Outcome.MATCHED),
        _Step(
            "The server after a renewal: a new certificate, the same key.",
            pinned,
            "server",
            renewed,
            Outcome.MATCHED,
        ),
        _Step(
            "The server after a change to its backup key.",
            pinned,
            "server",
            backup,
            Outcome.MATCHED_BACKUP,
        ),
        _Step(
            "An interceptor, whose certificate is from an authority that the client trusts.",
            pinned,
            "interceptor",
            forged,
            Outcome.MISMATCH,
        ),
        _Step(
            "The same interceptor; the same client, unpinned.",
            unpinned,
            "interceptor",
            forged,
            None,
        ),
    )

    print(
        f"A client sends a secret to {_HOST}: on 127.0.0.1, with keys made for this run.\n"
        f"It trusts two certificate authorities, and it has pinned two keys:\n"
        f"   in use   {in_use.pin}\n"
        f"   backup   {backup.pin}"
    )
    secret = f"password {secrets.token_hex(8)}\n".encode("ascii")
    with (
        PinnedServer(in_use, serve=_welcome, timeout=_PATIENCE) as server,
        # It passes on what it has read, so that its victim gets an answer and notices nothing.
        Interceptor(forged, server.address, timeout=_PATIENCE) as interceptor,
    ):
        peers: dict[str, PinnedServer | Interceptor] = {
            "server": server,
            "interceptor": interceptor,
        }
        wrong = sum(
            not _play(number, step, peers[step.peer], secret)
            for number, step in enumerate(steps, 1)
        )
    if wrong:
        print(f"\n{wrong} of {len(steps)} came out wrong: here pinsock does not do what it says.")
        return 1
    print("\nAll five came out as they must: under pins, the secret went to pinned keys alone.")
    return 0


def _play(number: int, step: _Step, peer: PinnedServer | Interceptor, secret: bytes) -> bool:
    """Make the connection, print what happened, and give whether that is what must happen."""
    peer.show(step.shows)
    seen = _log_in(step.context, peer, secret)

    print(f"\n{number}. {step.title}")
    if seen.error:
        print(f"   failed   {seen.error}")
    else:
        print(f"   {'refused ' if seen.certificate is None else 'accepted'} {seen.peer}", end="  ")
        print("(no pins)" if seen.outcome is None else f"({seen.outcome.value})")
    shown = f": {seen.received!r}" if seen.received else ""
    print(f"   The {step.peer} was given {len(seen.received)} application bytes{shown}")
    if seen.outcome is Outcome.MATCHED_BACKUP:
        print("   This key is no longer kept aside: time to make a new backup.")

    refused = step.outcome is Outcome.MISMATCH
    expected = _Seen(
        outcome=step.outcome,
        peer=step.shows.pin,
        certificate=None if refused else Pin.from_certificate(step.shows.der, "certificate"),
        received=b"" if refused else secret,
        answer=b"" if refused else _WELCOME,
        error="",
    )
    for what, found, due in zip(_Seen._fields, seen, expected, strict=True):
        if found != due:
            print(f"   WRONG: {what} is {found!r}, and must be {due!r}")
    return seen == expected
