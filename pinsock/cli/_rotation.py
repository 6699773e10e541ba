"""What ``plan`` and ``lint`` share: thresholds, keys that are kept, findings in words."""

from __future__ import annotations

import datetime
import functools
import os
from typing import TYPE_CHECKING, Any, Final

import click

from pinsock import Pin, PinPolicy
from pinsock._text import safe_text
from pinsock.cli._frame import USAGE, Cell, Failure, in_words
from pinsock.cli._passwords import Passwords
from pinsock.cli._timeline import short
from pinsock.cli.pin import _Found, _pins
from pinsock.exceptions import InvalidPinError
from pinsock.rotation import Change, KeptKey, Thresholds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pinsock.cli._frame import Output
    from pinsock.rotation import Finding

__all__ = [
    "changes",
    "kept_keys",
    "pin_in_words",
    "published",
    "read_policy",
    "rotation_options",
    "show_findings",
    "today_option",
]

_STYLES: Final = {"lock-out": "bold red", "advice": "yellow", "unchecked": "cyan"}
_DEFAULTS: Final = Thresholds()

_NUMBERS: Final = (
    ("client_update_days", 0, "Within how many days the clients have taken up new pins."),
    ("notice_days", 0, "How many days before its deadline something is a finding."),
    ("report_only_days", 0, "How long a set may only report."),
    ("backup_key_days", 1, "How old a backup key may become."),
    ("max_pins", 2, "How many pins a set may have."),
    ("backups", 1, "How many keys are kept aside."),
)


def rotation_options(function: Callable[..., int]) -> Callable[..., int]:
    """Give a command the thresholds as ``thresholds``, and where to look for keys and dates."""

    @functools.wraps(function)
    def with_thresholds(*arguments: Any, new_key_on_renewal: bool, **named: Any) -> int:
        numbers = {name: named.pop(name) for name, _, _ in _NUMBERS}
        thresholds = Thresholds(**numbers, renewal_keeps_key=not new_key_on_renewal)
        return function(*arguments, thresholds=thresholds, **named)

    decorated: Callable[..., int] = with_thresholds
    for name, least, text in reversed(_NUMBERS):
        decorated = click.option(
            f"--{name.replace('_', '-')}",
            type=click.IntRange(least, 100_000),
            default=getattr(_DEFAULTS, name),
            show_default=True,
            metavar="N",
            help=text,
        )(decorated)
    decorated = click.option(
        "--new-key-on-renewal",
        is_flag=True,
        help="Renewed certificates come with a new key, as with ACME clients that were not told "
        "to keep it.",
    )(decorated)
    decorated = click.option(
        "--published",
        "published_texts",
        multiple=True,
        metavar="[PIN=]DATE",
        help="When the pins, or this one, were published; without it, when the file was changed.",
    )(decorated)
    return click.option(
        "--backup-keys",
        "key_paths",
        type=click.Path(),
        multiple=True,
        metavar="PATH",
        help="Where backup keys are kept: a key, CSR or certificate, or a folder of them.",
    )(decorated)


def today_option(function: Callable[..., int]) -> Callable[..., int]:
    """Give a command ``--today`` as ``now``."""

    @functools.wraps(function)
    def with_now(*arguments: Any, today: datetime.datetime | None, **named: Any) -> int:
        now = datetime.datetime.now(datetime.UTC)
        if today is not None:
            now = today.replace(tzinfo=datetime.UTC)
        return function(*arguments, now=now, **named)

    return click.option(
        "--today",
        type=click.DateTime(["%Y-%m-%d"]),
        metavar="DATE",
        help="Reckon as if it were this day.",
    )(with_now)


def read_policy(path: str) -> PinPolicy:
    """Raises Failure and InvalidPolicyError."""
    try:
        return PinPolicy.from_file(path)
    except OSError as error:
        raise Failure(in_words(error), USAGE) from None


def kept_keys(paths: Sequence[str], out: Output) -> list[KeptKey] | None:
    """The keys in files and folders; ``None`` if nobody said where they are.

    A path at which there is nothing is told and not an error: that a backup key is gone is what the
    findings are there to say.
    """
    if not paths:
        return None
    found: list[KeptKey] = []
    for path in paths:
        inside = _files_in(path)
        if inside is None and not os.path.exists(path):
            out.note(f"{safe_text(path)}: not found")
            continue
        for file in [path] if inside is None else inside:
            made = datetime.datetime.fromtimestamp(os.stat(file).st_mtime, datetime.UTC).date()
            for one in _pins(file, Passwords(None, None)):
                if isinstance(one, _Found):
                    found += (KeptKey(pin, made, safe_text(file)) for pin in _pins_of(one))
                elif inside is None:  # a folder may have other things in it
                    out.note(one)
    return found


def _files_in(path: str) -> list[str] | None:
    """Those of a folder; ``None`` for what is none."""
    try:
        names = sorted(os.listdir(path))
    except NotADirectoryError:
        return None
    except FileNotFoundError:
        return None
    files = [os.path.join(path, name) for name in names if not name.startswith(".")]
    return [file for file in files if os.path.isfile(file)]


def _pins_of(found: _Found) -> Iterator[Pin]:
    yield found.pin
    if found.certificate is not None:
        yield Pin.parse(found.certificate["certificate_pin"])


def _first_pin(path: str) -> Pin:
    """Of the first certificate, CSR or key in a file.  Raises Failure."""
    why = "nothing in it has a pin; give a certificate, a CSR or a key"
    for one in _pins(path, Passwords(None, None)):
        if isinstance(one, _Found):
            return one.pin
        why = one
    raise Failure(why if why.startswith(safe_text(path)) else f"{safe_text(path)}: {why}", USAGE)


def published(
    texts: Sequence[str], policy: PinPolicy, path: str
) -> datetime.date | Mapping[Pin, datetime.date]:
    """When the pins of the policy were published.  Raises click.UsageError."""
    everything = datetime.datetime.fromtimestamp(os.stat(path).st_mtime, datetime.UTC).date()
    single: dict[Pin, datetime.date] = {}
    for text in texts:
        pin, _, day = text.rpartition("=")
        try:
            date = datetime.date.fromisoformat(day)
            if pin:
                single[Pin.parse(pin)] = date
            else:
                everything = date
        except InvalidPinError as error:
            raise click.UsageError(f"--published {safe_text(text)}: {error}.") from None
        except ValueError:
            raise click.UsageError(
                f"--published {safe_text(text)}: a date is expected, as 2027-03-31."
            ) from None
    if not single:
        return everything
    known = {pin for _, pins in policy.items() for pin in pins.pins + pins.backup}
    if unknown := [pin for pin in single if pin not in known]:
        raise click.UsageError(f"--published {unknown[0]}: the policy does not have this pin.")
    return dict.fromkeys(known, everything) | single


def changes(switches: Sequence[str], lost: Sequence[str]) -> Iterator[Change]:
    """Read ``HOST[=FILE][@DATE]`` and ``HOST[=FILE]``.  Raises click.UsageError and Failure."""
    for text in switches:
        what, at, day = text.rpartition("@")
        if not at:
            what, day = text, ""
        try:
            on = datetime.date.fromisoformat(day) if day else None
        except ValueError:
            raise click.UsageError(
                f"--switch {safe_text(text)}: after the @ a date is expected, as 2027-03-31."
            ) from None
        host, _, path = what.partition("=")
        yield Change(host, on, _first_pin(path) if path else None)
    for text in lost:
        host, _, path = text.partition("=")
        yield Change(host, None, _first_pin(path) if path else None, urgent=True)


def show_findings(findings: Sequence[Finding], out: Output) -> None:
    """A table of them."""
    if not findings:
        return
    rows: list[list[str | Cell]] = []
    for finding in findings:
        pin = "" if finding.pin is None else f" ({pin_in_words(finding.pin, out)})"
        rows.append(
            [
                Cell(finding.severity, _STYLES[finding.severity]),
                "" if finding.by is None else str(finding.by),
                safe_text(finding.host),
                finding.code,
                f"{finding.message}{pin}",
                finding.action,
            ]
        )
    out.table(["severity", "by", "host", "finding", "what is wrong", "what to do"], rows)


def pin_in_words(pin: Pin, out: Output) -> str:
    """Whole, but for people with a terminal, where it would take half of the width."""
    return short(pin) if out.for_people else str(pin)
