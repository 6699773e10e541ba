"""``pinsock plan``: what may lock clients out, and what to do by when."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import ssl
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pinsock._policy import canonical_host
from pinsock._text import safe_text
from pinsock.cli._files import apart, read
from pinsock.cli._frame import (
    FINDING,
    GOOD,
    INTERRUPTED,
    NOT_REACHED,
    USAGE,
    Cell,
    Failure,
    json_option,
    timeout_option,
)
from pinsock.cli._peer import Unreachable, parse_target, shake_hands, trusted
from pinsock.cli._rotation import (
    changes,
    kept_keys,
    pin_in_words,
    published,
    read_policy,
    rotation_options,
    show_findings,
    today_option,
)
from pinsock.cli._starttls import DEFAULT_PORTS
from pinsock.cli._timeline import Timeline, draw
from pinsock.exceptions import InvalidPolicyError
from pinsock.rotation import Served, review

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pinsock import PinPolicy
    from pinsock.cli._frame import Output
    from pinsock.cli._peer import Target
    from pinsock.rotation import Report, Step, Thresholds

__all__ = ["command"]

#: Connections at once.
_JOBS: Final = 50
_STYLES: Final = {
    "make-backup": "magenta",
    "publish-pin": "green",
    "extend-set": "green",
    "wait": "dim",
    "switch-key": "bold",
    "retire-pin": "yellow",
    "renew-certificate": "blue",
}
#: Steps that are nothing to do for whoever has pins: ACME clients renew by themselves.
_NO_TASK: Final = frozenset({"wait", "renew-certificate"})


class Look(NamedTuple):
    """What became of looking at one host."""

    host: str
    chain: tuple[bytes, ...]
    problem: str
    """Why there is no chain, or why it is not verified; or ``""``."""


@click.command(
    help="Look at the certificates of each HOST, and say what may lock its clients out and what to "
    "do by when. Without hosts, those of the policy that are no patterns. What a host shows is not "
    "proven by that. No application data is sent.\n\n"
    "HOST is HOST[:PORT][@ADDRESS], as with `pinsock check`. Status 1 if there are findings (with "
    "--within: findings or steps that are due), 3 if a host was not reached."
)
@click.argument("hosts", nargs=-1, metavar="[HOST]...")
@click.option(
    "-p",
    "--pins",
    "policy_path",
    type=click.Path(),
    default="pins.toml",
    show_default=True,
    help="The policy.",
)
@click.option(
    "--certificate",
    "certificate_texts",
    multiple=True,
    metavar="HOST=FILE",
    help="Do not connect to this host: its certificates, leaf first, are in this file.",
)
@click.option("--offline", is_flag=True, help="Connect to no host at all.")
@rotation_options
@click.option(
    "--switch",
    "switches",
    multiple=True,
    metavar="HOST[=FILE][@DATE]",
    help="Plan a change of keys on that day, or with the next renewal: to the key of this "
    "certificate or CSR, or to the backup key.",
)
@click.option(
    "--lost",
    multiple=True,
    metavar="HOST[=FILE]",
    help="The key of this host is lost or stolen: plan what to do now.",
)
@click.option(
    "--within",
    type=click.IntRange(0, 100_000),
    metavar="DAYS",
    help="Only what is due within so many days; status 0 if that is nothing. For cron.",
)
@click.option("--ics", "ics_path", type=click.Path(), help="Write the steps as a calendar.")
@click.option("--html", "html_path", type=click.Path(), help="Write all as a page.")
@click.option("--starttls", type=click.Choice([p for p in DEFAULT_PORTS if p]))
@timeout_option("host")
@click.option(
    "--cafile", type=click.Path(), help="Trust these authorities instead of the system's."
)
@today_option
@json_option
def command(
    *,
    hosts: tuple[str, ...],
    policy_path: str,
    certificate_texts: tuple[str, ...],
    offline: bool,
    key_paths: tuple[str, ...],
    published_texts: tuple[str, ...],
    thresholds: Thresholds,
    switches: tuple[str, ...],
    lost: tuple[str, ...],
    within: int | None,
    ics_path: str | None,
    html_path: str | None,
    starttls: str | None,
    timeout: float,
    cafile: str | None,
    now: datetime.datetime,
    out: Output,
) -> int:
    apart(pins=policy_path, cafile=cafile, ics=ics_path, html=html_path)
    policy = read_policy(policy_path)
    given = _given(certificate_texts)
    wanted = list(changes(switches, lost))
    dates = published(published_texts, policy, policy_path)
    keys = kept_keys(key_paths, out)
    targets = [] if offline else _targets(hosts, policy, {look.host for look in given}, starttls)
    cadata = trusted(cafile)
    looks, interrupted = given, False
    with out.ticker("looking", len(targets), "hosts") as ticker:

        def report_one(look: Look) -> None:
            looks.append(look)
            ticker.advance()

        try:
            asyncio.run(_look_at_all(targets, cadata, timeout, starttls, report_one))
        except KeyboardInterrupt:
            interrupted = True
            out.note("interrupted: this is without the hosts that were not looked at", "yellow")
    served = [Served(look.host, look.chain) for look in looks]
    looked = {look.host for look in looks}
    served += [Served(target.host, ()) for target in targets if target.host not in looked]
    everything = review(
        policy,
        now,
        served=served,
        keys=keys,
        changes=wanted,
        published=dates,
        thresholds=thresholds,
    )
    report = everything if within is None else _due(everything, within)
    if out.as_json:
        out.json(_document(report, looks, policy_path, thresholds, within))
    else:
        _show(report, looks, out)
    _write(report, ics_path, html_path)
    return INTERRUPTED if interrupted else _status(report, looks, within)


def _due(report: Report, within: int) -> Report:
    last = report.now.date() + datetime.timedelta(days=within)
    return dataclasses.replace(
        report,
        findings=tuple(f for f in report.findings if f.by is not None and f.by <= last),
        steps=tuple(step for step in report.steps if step.date <= last),
    )


def _status(report: Report, looks: Sequence[Look], within: int | None) -> int:
    due = within is not None and any(step.kind not in _NO_TASK for step in report.steps)
    if due or any(finding.severity != "unchecked" for finding in report.findings):
        return FINDING
    if any(not look.chain for look in looks):
        return NOT_REACHED
    return FINDING if report.findings else GOOD


def _document(
    report: Report,
    looks: Sequence[Look],
    policy_path: str,
    thresholds: Thresholds,
    within: int | None,
) -> dict[str, Any]:
    seen = [
        {"host": look.host, "certificates": len(look.chain), "problem": look.problem or None}
        for look in sorted(looks)
    ]
    return {
        "policy": policy_path,
        "thresholds": dataclasses.asdict(thresholds),
        "within": within,
        "hosts": seen,
        **report.as_json(),
    }


# --- looking --------------------------------------------------------------------------------------


def _given(texts: Sequence[str]) -> list[Look]:
    looks = []
    for text in texts:
        host, _, path = text.partition("=")
        if not path:
            raise click.UsageError(f"--certificate {safe_text(text)}: give HOST=FILE.")
        try:
            host = canonical_host(host)
        except InvalidPolicyError as error:
            raise click.UsageError(f"--certificate {error}.") from None
        looks.append(Look(host, _chain_in(path), ""))
    return looks


def _chain_in(path: str) -> tuple[bytes, ...]:
    data = read(path, "certificate")
    try:
        if b"-----BEGIN " not in data:
            return (x509.load_der_x509_certificate(data).public_bytes(Encoding.DER),)
        found = x509.load_pem_x509_certificates(data)
        return tuple(certificate.public_bytes(Encoding.DER) for certificate in found)
    except ValueError:
        raise Failure(
            f"{safe_text(path)}: no certificate in PEM or DER; give the host's, leaf first", USAGE
        ) from None


def _targets(
    hosts: Sequence[str], policy: PinPolicy, given: set[str], starttls: str | None
) -> list[Target]:
    listed = [host for host, _ in policy.items() if "*" not in host and host not in given]
    if not hosts:
        hosts = [f"[{host}]" if ":" in host else host for host in listed]
    try:
        targets = [parse_target(host, starttls) for host in hosts]
    except ValueError as error:
        raise click.UsageError(f"{error}.") from None
    for target in targets:
        if policy.match(target.host) is None:
            raise Failure(f"{target.host}: the policy has no pins for this host; add it", USAGE)
    return targets


async def _look_at_all(
    targets: Sequence[Target],
    cadata: str | None,
    timeout: float,
    starttls: str | None,
    report: Callable[[Look], None],
) -> None:
    if not targets:
        return  # a trust store takes tens of milliseconds
    context = ssl.create_default_context(cadata=cadata)
    context.sslobject_class = _Seeing
    free = asyncio.Semaphore(_JOBS)

    async def look(target: Target) -> None:
        async with free:
            report(await _look_at(target, context, timeout, starttls))

    async with asyncio.TaskGroup() as group:
        for target in targets:
            group.create_task(look(target))


class _Seeing(ssl.SSLObject):
    """Keeps the verified chain, which is there after the handshake and not for long."""

    chains: Final[dict[asyncio.Task[Any] | None, tuple[bytes, ...]]] = {}

    def do_handshake(self) -> None:
        super().do_handshake()
        if hasattr(self, "get_verified_chain"):  # CPython 3.13
            chain = self.get_verified_chain()
        else:  # before, only the object underneath has it
            found = vars(self)["_sslobj"].get_verified_chain() or ()
            chain = [ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in found]
        self.chains[asyncio.current_task()] = tuple(chain)


async def _look_at(
    target: Target, context: ssl.SSLContext, timeout: float, starttls: str | None
) -> Look:
    sent: list[bytes] = []
    task = asyncio.current_task()
    try:
        await shake_hands(
            target, context, timeout=timeout, starttls=starttls, on_certificates=sent.extend
        )
    except ssl.SSLCertVerificationError as error:
        # A device that signs for itself is pinned by its leaf, and nothing else is proven here.
        why = safe_text(error.verify_message.rstrip("."))
        return Look(target.host, tuple(sent[:1]), f"not verified: {why}")
    except Unreachable as reason:
        return Look(target.host, (), str(reason))
    finally:
        chain = _Seeing.chains.pop(task, ())
    return Look(target.host, chain, "")


# --- output ---------------------------------------------------------------------------------------


def _show(report: Report, looks: Sequence[Look], out: Output) -> None:
    for look in sorted(looks):
        if look.problem:
            out.note(f"{look.host}: {look.problem}", "yellow")
    show_findings(report.findings, out)
    if report.steps:
        out.table(
            ["date", "until", "host", "step", "what to do", "pin"],
            [_row(step, out) for step in report.steps],
        )
    if out.for_people:
        console = out.console
        for line in draw(Timeline.of(report), console.width, console.encoding):
            console.print(line, no_wrap=True, overflow="crop", soft_wrap=False)
    locks, tasks = len(report.lock_outs), sum(s.kind not in _NO_TASK for s in report.steps)
    found = len(report.findings)
    out.line(
        f"{found or 'no'} finding{'s' * (found != 1)}, ",
        Cell(f"{locks or 'none'} of a lock-out", "bold red" if locks else "green"),
        f"; {tasks or 'no'} step{'s' * (tasks != 1)} to take",
    )


def _row(step: Step, out: Output) -> list[str | Cell]:
    return [
        str(step.date),
        "" if step.until is None else str(step.until),
        safe_text(step.host),
        Cell(step.kind, _STYLES[step.kind]),
        step.action,
        "" if step.pin is None else pin_in_words(step.pin, out),
    ]


def _write(report: Report, ics_path: str | None, html_path: str | None) -> None:
    if ics_path is not None:
        from pinsock.cli._ics import to_ics

        _write_to(ics_path, to_ics(report))
    if html_path is not None:
        from pinsock.cli._html import to_html

        _write_to(html_path, to_html(report).encode("utf-8"))


def _write_to(path: str, content: bytes) -> None:
    try:
        with open(path, "wb") as file:
            file.write(content)
    except OSError as error:
        error.filename = path  # a disk that is full does not say it
        raise
