"""The decision: pins, certificates and a date in, a verdict out.

Nothing here opens a connection, reads a clock or knows TLS, so that all of it is tested with bytes
and dates.  *What was found* (``Outcome``) is kept apart from *whether it is allowed*.

One rule stands above the rest: nothing but a match is allowed unless normal verification stands
underneath.
"""

from __future__ import annotations

import contextlib
import enum
import os
import warnings
from _thread import RLock
from typing import TYPE_CHECKING, NamedTuple

from pinsock._backend import find_spki
from pinsock._pins import Pin, PinSet, sha256
from pinsock._text import safe_text
from pinsock.exceptions import InvalidCertificateError, PinMismatchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Outcome", "PeerCertificate", "Verdict", "describe", "judge", "refusal"]


class Outcome(enum.Enum):
    """What was found."""

    MATCHED = "matched"
    """A pin in use."""
    MATCHED_BACKUP = "matched-backup"
    """A backup pin: the peer has changed to the key that was kept aside."""
    APPROVED_INTERCEPTION = "approved-interception"
    """No pin, but the verified chain goes through the authority of an approved interceptor."""
    MISMATCH = "mismatch"
    """No pin, or no certificate at all."""
    EXPIRED = "expired"
    """The set of pins is past its date, whatever the peer showed."""
    UNLISTED = "unlisted"
    """The policy has no pins for the host."""


class Verdict(NamedTuple):
    """What was found of one connection, and whether it is allowed."""

    host: str | None
    """The name that the connection was made for, as A-labels; ``None`` for a server's client."""
    outcome: Outcome
    allowed: bool
    """Whether application data may pass."""
    pin: Pin | None
    """The pin that matched."""
    position: int | None
    """Where in the chain it matched: 0 is the peer's own certificate."""
    time: float
    """When, in seconds since 1970-01-01 UTC."""
    chain_pins: tuple[Pin | None, ...] = ()
    """Unless a pin matched: the spki pins of the certificates that were looked at, leaf first;
    ``None`` for one that is not DER."""
    label: str | None = None
    """What the policy calls the pin that matched."""
    certificate: bytes | None = None
    """The peer's own certificate in DER."""


class PeerCertificate(NamedTuple):
    """A certificate of the peer, as an error lists it."""

    subject: str
    """RFC 4514, escaped and cut: it is the peer's word, and the peer may be hostile."""
    not_after: str | None
    """``notAfter`` in ISO 8601, UTC; ``None`` if it cannot be read."""
    pin: Pin | None
    """The spki pin; ``None`` if the certificate is not DER."""


_MATCHED = Outcome.MATCHED
_MATCHED_BACKUP = Outcome.MATCHED_BACKUP
_verdict = Verdict._make  # from a tuple: the quicker way for what is made in each handshake


def judge(  # noqa: PLR0917 - in each handshake, where keywords cost
    pins: PinSet | None,
    host: str | None,
    chain: Sequence[bytes],
    now: float,
    underneath: bool,
    unlisted_allowed: bool = False,
    interception: PinSet | None = None,
) -> Verdict:
    """The verdict on certificates in DER, leaf first.

    :param pins: ``None``: the policy has none for this host.
    :param chain: under leaf scope the pins are those of the peer's own certificate alone; under
        chain scope, and for an interceptor, of all, which must be those of the *verified* chain.
    :param now: seconds since 1970-01-01 UTC.
    :param underneath: whether this connection went through normal verification: of the chain, and
        on a client of the host name.
    :param interception: the pins of approved interceptors' authorities.
    """
    leaf = chain[0] if chain else None
    allowed = leaf is not None and underneath
    if pins is None:
        return Verdict(
            host,
            Outcome.UNLISTED,
            allowed and unlisted_allowed,
            None,
            None,
            now,
            _chain_pins(chain),
            None,
            leaf,
        )
    matched, position = _match(pins, chain if pins.scope == "chain" else chain[:1])
    expires_at = pins.expires_at
    expired = expires_at is not None and now >= expires_at
    if matched is not None:
        label = pins.labels.get(matched) if pins.labels else None
        if expired:
            return Verdict(
                host,
                Outcome.EXPIRED,
                allowed and pins.on_expiry == "unpinned",
                matched,
                position,
                now,
                (),
                label,
                leaf,
            )
        outcome = _MATCHED_BACKUP if matched in pins.backup else _MATCHED
        return _verdict((host, outcome, True, matched, position, now, (), label, leaf))
    if expired:
        return Verdict(
            host,
            Outcome.EXPIRED,
            allowed and pins.on_expiry == "unpinned",
            None,
            None,
            now,
            _chain_pins(chain),
            None,
            leaf,
        )
    if interception is not None and allowed:
        matched, position = _match(interception, chain[1:])
        if matched is not None:
            return Verdict(
                host,
                Outcome.APPROVED_INTERCEPTION,
                True,
                matched,
                position + 1,
                now,
                _chain_pins(chain),
                interception.labels.get(matched),
                leaf,
            )
    return Verdict(
        host,
        Outcome.MISMATCH,
        allowed and pins.report_only,
        None,
        None,
        now,
        _chain_pins(chain),
        None,
        leaf,
    )


def _match(pins: PinSet, chain: Sequence[bytes]) -> tuple[Pin | None, int]:
    """The first certificate that one of the pins is of, and its place."""
    for position, der in enumerate(chain):
        try:
            matched = pins.match_certificate(der)
        except InvalidCertificateError:
            continue  # not DER, so no pin is of it
        if matched is not None:
            return matched, position
    return None, -1


def _chain_pins(chain: Sequence[bytes]) -> tuple[Pin | None, ...]:
    return tuple(map(_spki_pin, chain))


def _spki_pin(der: bytes) -> Pin | None:
    try:
        return Pin("spki", sha256(find_spki(der)))
    except InvalidCertificateError:
        return None


# --- the words of a refusal -----------------------------------------------------------------------

_MAX_LISTED = 10


def refusal(
    verdict: Verdict,
    pins: PinSet | None,
    chain: Sequence[bytes],
    *,
    peer: str,
    verified: bool,
    resumed: bool,
) -> PinMismatchError:
    """The error for a verdict that does not allow.

    :param chain: the peer's certificates in DER, leaf first, for people to read.
    :param peer: ``"server"`` or ``"client"``.
    :param verified: whether ``chain`` is the verified one, or only what the peer sent.
    :param resumed: whether the session was resumed, so that there is a leaf but no chain.
    """
    listed = tuple(describe(der) for der in chain[:_MAX_LISTED])
    where = f"{verdict.host}: " if verdict.host else ""
    if verdict.outcome is Outcome.UNLISTED:
        headline = f"{where}the policy has no pins for this host"
    elif not chain:
        headline = f"{where}the {peer} showed no certificate, so no pin can match"
    elif verdict.outcome is Outcome.EXPIRED and pins is not None and pins.expires is not None:
        headline = f"{where}the set of pins expired on {pins.expires.isoformat()}"
    else:
        headline = f"{where}the {peer}'s public key is none of the pinned ones"
    headline += "; refused before any application data passed"

    lines = [headline]
    if listed:
        what = "verified chain" if verified else "certificates as sent, which anybody could send"
        lines.append(f"  The {peer}'s {what} (pin none of them before confirming it another way):")
        lines += [
            f"    {entry.pin or '(not DER, so it has no pin)'}  "
            f"until {entry.not_after or '(date cannot be read)'}  {entry.subject}"
            for entry in listed
        ]
        if len(chain) > len(listed):
            lines.append(f"    ... and {len(chain) - len(listed)} more")
    if pins is not None:
        lines.append(f'  Pinned (scope "{pins.scope}"):')
        named = [(pin, "") for pin in pins.pins] + [(pin, "  (backup)") for pin in pins.backup]
        lines += [f"    {pin}{role}" for pin, role in named[:_MAX_LISTED]]
        if len(named) > _MAX_LISTED:
            lines.append(f"    ... and {len(named) - _MAX_LISTED} more")
    lines += [
        f"  {hint}"
        for hint in _hints(verdict, pins, chain, listed, verified=verified, resumed=resumed)
    ]
    return PinMismatchError(
        "\n".join(lines),
        host=verdict.host,
        headline=headline,
        chain=listed,
        pins=pins,
        verdict=verdict,
    )


def _hints(
    verdict: Verdict,
    pins: PinSet | None,
    chain: Sequence[bytes],
    listed: Sequence[PeerCertificate],
    *,
    verified: bool,
    resumed: bool,
) -> list[str]:
    hints = []
    if pins is None:
        hints.append(
            'Add the host to the policy; or let the policy say unlisted="allow", which lets a '
            "connection through that was verified the normal way, by a full handshake under "
            "CERT_REQUIRED, on a client with check_hostname."
        )
        return hints
    if verified and pins.scope == "leaf" and verdict.outcome is Outcome.MISMATCH:
        matched, position = _match(pins, chain[1 : len(listed)])
        if matched is not None:
            hints.append(
                f"One of the pins is that of {listed[position + 1].subject}, higher in the chain: "
                f'use scope="chain" if you mean to pin it.'
            )
    if resumed and pins.scope == "chain":
        hints.append(
            "This session was resumed, and a resumed session has a leaf but no chain; connect "
            "without `session` to match a pin higher in the chain."
        )
    expired = verdict.outcome is Outcome.EXPIRED
    if chain and (pins.on_expiry == "unpinned" if expired else pins.report_only):
        word = 'on_expiry="unpinned"' if expired else "report_only"
        hints.append(
            f"{word} did not apply: without a match a connection is let through only if it was "
            f"verified the normal way, by a full handshake under CERT_REQUIRED, on a client with "
            f"check_hostname."
        )
    if expired:
        hints.append('Update the program\'s pins, or have it say on_expiry="unpinned".')
    else:
        hints.append(
            "If the key was changed on purpose, have its owner tell you the new pin by another way "
            "and update the pins; if not, somebody may be reading this connection: do not send "
            "anything without the pin."
        )
    return hints


def describe(der: bytes) -> PeerCertificate:
    """A certificate in words that are safe to print, whatever the peer put into it."""
    subject, not_after = "(subject cannot be read)", None
    # Hostile bytes must never hide the mismatch itself.
    with contextlib.suppress(Exception), _no_warnings():
        from cryptography import x509

        certificate = x509.load_der_x509_certificate(der)
        not_after = certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
        subject = safe_text(certificate.subject.rfc4514_string()) or "(no subject)"
    return PeerCertificate(subject, not_after, _spki_pin(der))


_warnings_lock = RLock()


def _after_fork() -> None:
    global _warnings_lock  # noqa: PLW0603 - the thread that held it is in the other process
    _warnings_lock = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextlib.contextmanager
def _no_warnings() -> Iterator[None]:
    """Of what ``cryptography`` finds odd in a certificate: that is the peer's affair."""
    # catch_warnings() is not made for several threads.  One that does not get its turn at once goes
    # on without: at worst a warning is shown.
    lock = _warnings_lock  # the same to the end, whatever a fork does meanwhile
    if not lock.acquire(blocking=False):
        yield
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        lock.release()
