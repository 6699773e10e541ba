"""``pinsock fetch``: what a server shows, and its pins in the forms that other programs take.

What is fetched says only who answered.  ``--expect`` asks whether the one who answered has the
pinned key, and that is proven by a handshake of a pinned context.
"""

from __future__ import annotations

import asyncio
import datetime
import ssl
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from pinsock import Pin, PinMismatchError, PinnedContext, PinSet
from pinsock._text import safe_text
from pinsock.cli._certificates import days_until, describe, in_days
from pinsock.cli._formats import FORMATS, Pinned, write
from pinsock.cli._frame import FINDING, GOOD, USAGE, Cell, Failure, json_option, timeout_option
from pinsock.cli._peer import Shaken, Target, Unreachable, parse_target, shake_hands, trusted
from pinsock.cli._starttls import DEFAULT_PORTS
from pinsock.exceptions import InvalidPinError

if TYPE_CHECKING:
    from pinsock.cli._certificates import Certificate
    from pinsock.cli._frame import Output

__all__ = ["command"]

_UNPROVEN: Final = (
    "Not proven: this is who answered, and that may be somebody else. Have the pin confirmed by "
    "who has the key (pinsock pin, on the server), or prove one that you have with --expect."
)
_MOST_SHOWN: Final = 10


class _Seen(NamedTuple):
    """What was seen of a server."""

    chain: list[bytes]
    """As sent, leaf first, in DER."""
    version: str | None
    """Of TLS; ``None`` if the handshake did not end."""
    trust: str | None
    """Why normal verification refuses it; ``""`` if it does not; ``None`` if nobody knows."""
    broken: str
    """Why the handshake did not end, though certificates had come."""
    proven: Pin | None
    """The expected pin that the server has the key of."""


@click.command(
    help="Show the certificates of HOST, as sent, and the pin of each.\n\n"
    "HOST is HOST[:PORT][@ADDRESS]: with an address, that is connected to and HOST asked for. "
    "No application data is sent."
)
@click.argument("host")
@click.option(
    "--starttls",
    type=click.Choice([p for p in DEFAULT_PORTS if p]),
    help="First ask for TLS in this protocol.",
)
@timeout_option("connection")
@click.option(
    "--expect",
    "expected",
    multiple=True,
    metavar="PIN",
    help="Prove that the server has the key of this pin (or of one of several); status 1 if not.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice([*FORMATS, "all"]),
    help="Print this text alone, ready to paste.",
)
@click.option(
    "--backup", multiple=True, metavar="PIN", help="The pin of a backup key, for --format."
)
@click.option(
    "--certificate",
    "depth",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="Whose pin --format writes: 0, the server's own; 1, that of its issuer; ...",
)
@click.option(
    "--cafile",
    type=click.Path(readable=False),
    help="Trust these authorities instead of the system's.",
)
@json_option
def command(
    *,
    host: str,
    starttls: str | None,
    timeout: float,
    expected: tuple[str, ...],
    form: str | None,
    backup: tuple[str, ...],
    depth: int,
    cafile: str | None,
    out: Output,
) -> int:
    try:
        target = parse_target(host, starttls)
    except ValueError as error:
        raise click.UsageError(f"{error}.") from None
    pins = PinSet(_pins(expected, "--expect"), None) if expected else None
    spare = _pins(backup, "--backup")
    if any(pin.kind != "spki" for pin in spare):
        raise click.UsageError("--backup: the pin of a key is expected, sha256/...")
    contexts = _Contexts(
        ssl.create_default_context(cadata=trusted(cafile)),
        _accept_all(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)),
    )

    with out.ticker(f"waiting for {target}, at most", timeout):
        try:
            fetch = _Fetch(target, timeout, starttls)
            seen = asyncio.run(
                fetch.fetch(contexts) if pins is None else fetch.prove(contexts, pins)
            )
        except Unreachable as reason:
            raise Failure(f"{target}: {reason}") from None
    chain = [describe(der) for der in seen.chain[:_MOST_SHOWN]]
    refused = pins is not None and seen.proven is None
    if depth >= len(chain):
        raise Failure(f"--certificate {depth}: {target} sent {len(chain)}, from 0 on", USAGE)
    # Nobody should paste the pin of somebody who is not the one that was expected.
    texts = {} if refused else _texts(target, chain[depth].pin, spare, depth)
    if out.as_json:
        out.json(_as_json(target, starttls, seen, chain, texts))
    elif form is None or refused:
        _print(out, target, seen, chain)
        if texts:
            out.line(f"ready to paste with --format {', '.join(texts)} or all")
    elif form == "all":
        for number, (name, text) in enumerate(texts.items()):
            out.line(*["\n"] * bool(number), Cell(f"# {name}", "bold"))
            out.line(text.rstrip("\n"))
    elif form not in texts:
        raise Failure(
            f"--format {form} has no way to say this pin; for it there are: "
            f"{', '.join(texts) or 'none'}",
            USAGE,
        )
    else:
        out.line(texts[form].rstrip("\n"))
    if refused:
        out.note(f"NOT PROVEN: {target} has not the expected key; send it nothing.", "bold red")
    elif seen.proven is not None:
        out.note(f"Proven: {target} has the key of {seen.proven}.")
    else:
        out.note(_UNPROVEN)
    return FINDING if refused else GOOD


def _pins(texts: tuple[str, ...], option: str) -> tuple[Pin, ...]:
    try:
        return PinSet(texts, None).pins if texts else ()
    except InvalidPinError as error:
        raise click.UsageError(f"{option}: {error}.") from None


class _Contexts(NamedTuple):
    verifying: ssl.SSLContext
    accepting: ssl.SSLContext


def _accept_all(context: ssl.SSLContext) -> ssl.SSLContext:
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class _Fetch(NamedTuple):
    target: Target
    timeout: float
    starttls: str | None

    async def fetch(self, contexts: _Contexts) -> _Seen:
        """The certificates, and whether they are verified; a second connection if they are not."""
        try:
            return await self._look(contexts.verifying, "")
        except ssl.SSLCertVerificationError as error:
            return await self._look(contexts.accepting, error.verify_message)

    async def prove(self, contexts: _Contexts, pins: PinSet) -> _Seen:
        """The certificates of a connection that the pins decide on.

        The handshake proves the key of the server's own certificate, whatever that says.
        """
        chain: list[bytes] = []
        pinned = _accept_all(PinnedContext(pins=pins))
        proven = version = None
        try:
            version, verdict = await self._shake(pinned, chain)
        except PinMismatchError:
            pass
        else:
            proven = None if verdict is None else verdict.pin
        trust: str | None = ""
        try:
            await self._shake(contexts.verifying, [])
        except ssl.SSLCertVerificationError as error:
            trust = error.verify_message
        except Unreachable:
            trust = None
        return _Seen(chain, version, trust, "", proven)

    async def _look(self, context: ssl.SSLContext, trust: str) -> _Seen:
        chain: list[bytes] = []
        try:
            version, _ = await self._shake(context, chain)
        except Unreachable as reason:
            if not chain:
                raise
            return _Seen(chain, None, trust, str(reason), None)
        return _Seen(chain, version, trust, "", None)

    async def _shake(self, context: ssl.SSLContext, chain: list[bytes]) -> Shaken:
        return await shake_hands(
            self.target,
            context,
            timeout=self.timeout,
            starttls=self.starttls,
            on_certificates=chain.extend,
        )


def _texts(target: Target, pin: Pin | None, backup: tuple[Pin, ...], depth: int) -> dict[str, str]:
    if pin is None:
        return {}
    pinned = Pinned(target.host, target.port, pin, backup, depth)
    texts = {form: write(form, pinned) for form in FORMATS}
    return {form: text for form, text in texts.items() if text is not None}


def _as_json(
    target: Target,
    starttls: str | None,
    seen: _Seen,
    chain: list[Certificate],
    texts: dict[str, str],
) -> dict[str, Any]:
    now = datetime.datetime.now(datetime.UTC)
    return {
        "host": target.host,
        "port": target.port,
        "address": target.address or None,
        "starttls": starttls,
        "tls": seen.version,
        "sent": len(seen.chain),
        "certificates": [certificate.as_json(now) for certificate in chain],
        "verified": None if seen.trust is None else not seen.trust,
        "verify_error": seen.trust or None,
        "handshake_error": seen.broken or None,
        "proven": None if seen.proven is None else str(seen.proven),
        "formats": texts,
    }


def _dates(certificate: Certificate, now: datetime.datetime) -> list[str | Cell]:
    if certificate.not_before is None or certificate.not_after is None:
        return ["(cannot be read)"]
    words, colour = in_days(days_until(certificate.not_after, now))
    if certificate.state(now) == "not yet valid":
        words, colour = "NOT YET VALID", "bold red"
    return [
        f"{certificate.not_before:%Y-%m-%d} to {certificate.not_after:%Y-%m-%d}, ",
        Cell(words, colour),
    ]


def _print(out: Output, target: Target, seen: _Seen, chain: list[Certificate]) -> None:
    now = datetime.datetime.now(datetime.UTC)
    number = len(seen.chain)
    sent = f"{number} certificate{'s' * (number > 1)}, as sent"
    out.line(Cell(str(target), "bold"), f"  {seen.version or 'no TLS session'}, {sent}")
    for depth, certificate in enumerate(chain):
        out.line("")
        out.line(f"{depth}  ", Cell(certificate.subject, "bold"))
        if certificate.names:
            out.line("   names    ", ", ".join(certificate.names))
        own = [Cell("  (self-signed)", "yellow")] * certificate.self_signed
        out.line("   issuer   ", certificate.issuer, *own)
        out.line("   dates    ", *_dates(certificate, now))
        out.line("   key      ", certificate.key)
        out.line("   pin      ", Cell(str(certificate.pin or "none: not DER"), "cyan"))
    if number > len(chain):
        out.line("")
        out.line(f"... and {number - len(chain)} more")
    out.line("")
    if seen.trust:
        out.line(Cell(f"not verified: {safe_text(seen.trust)}", "bold red"))
    elif seen.trust is not None:
        out.line(Cell("verified for this name by the authorities that are trusted here", "green"))
    if seen.broken:
        out.line(Cell(f"no session: {seen.broken}", "yellow"))
