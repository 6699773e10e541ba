"""Key rotation: a policy, certificates and a date in, findings and a plan out.

Nothing here connects, reads a clock or a file of the user's, so that ten years are tested in
seconds.

A client that is told of new pins takes them up late: within ``client_update_days``, or nobody can
promise it anything.  So at any moment a client may hold each of the sets of pins that were
published within that time, and the one before them, and it is locked out if the server's key is in
none of those that it may hold.  Four rules keep that from happening:

1. A key goes on a server when its pin was published ``client_update_days`` before.
2. A pin is withdrawn when its key has left the server.
3. There are always keys kept aside whose pins have reached everybody, as many as ``backups`` says.
   A change of keys uses one up, so one that can wait waits for the next backup's pin.
4. A set of pins that ends is followed by one that has reached everybody before.

Dates are days in UTC.  What was published on some day may have been published in its last minute,
so everybody has it from the beginning of the day ``client_update_days`` + 1 later.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from pinsock._pins import Pin, PinSet
from pinsock._policy import PinPolicy, canonical_host
from pinsock._text import safe_text
from pinsock._verify import Outcome, _no_warnings, describe, judge
from pinsock.exceptions import InvalidCertificateError, InvalidPolicyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cryptography import x509
    from publicsuffixlist import PublicSuffixList

__all__ = [
    "LOCK_OUTS",
    "CertificateSpan",
    "Change",
    "Finding",
    "KeptKey",
    "PinSpan",
    "Report",
    "Served",
    "Step",
    "Thresholds",
    "review",
]

Severity: TypeAlias = Literal["lock-out", "advice", "unchecked"]
StepKind: TypeAlias = Literal[
    "make-backup",
    "publish-pin",
    "extend-set",
    "wait",
    "switch-key",
    "retire-pin",
    "renew-certificate",
]
Role: TypeAlias = Literal["in use", "next", "backup", "unknown", "listed"]

#: Each finding: its severity, and what to do.
_FINDINGS: Final[dict[str, tuple[Severity, str]]] = {
    "no-backup": ("lock-out", "make a backup key and publish its pin"),
    "backup-not-kept": ("lock-out", "find its key or its CSR, or make another backup key"),
    "unknown-pin": (
        "lock-out",
        "find its key, and if there is none on any server or aside, retire the pin",
    ),
    "not-pinned": (
        "lock-out",
        "put a key on it that is pinned, or publish this pin if the key is the right one",
    ),
    "changes-too-soon": (
        "lock-out",
        "publish the pin in time, put the change off, or take a backup key that everybody has",
    ),
    "expires-before-certificate": ("lock-out", "publish it with a later date"),
    "expired": ("lock-out", "publish it with a later date"),
    "no-backup-on-purpose": (
        "advice",
        "make a backup key, unless the clients can be given new pins another way",
    ),
    "expires-unpinned": ("advice", "publish it with a later date"),
    "expired-unpinned": ("advice", "publish it with a later date"),
    "many-pins": ("advice", "retire those that nobody needs"),
    "report-only": ("advice", "let it refuse: as it is, it protects nobody"),
    "old-backup": ("advice", "make another, and retire this one when everybody has the new pin"),
    "public-authority": ("advice", 'pin the key of the host itself, with scope = "leaf"'),
    "public-suffix": ("advice", "write the domain that is yours"),
    "no-certificate": ("unchecked", "connect to a host that this covers, or give its certificate"),
    "unreadable-certificate": ("unchecked", "look at it with `openssl x509 -text`"),
    "backup-not-looked-for": (
        "unchecked",
        "give the files or folders of their keys, CSRs or certificates",
    ),
    "report-only-not-dated": ("unchecked", "say when the pins were published"),
    "public-authority-not-checked": ("unchecked", "pip install 'pinsock[cli]'"),
    "public-suffix-not-checked": ("unchecked", "pip install 'pinsock[cli]'"),
}

#: The findings that foretell a lock-out.
LOCK_OUTS: Final = tuple(
    code for code, (severity, _) in _FINDINGS.items() if severity == "lock-out"
)

_SEVERITIES: Final = ("lock-out", "advice", "unchecked")
#: In the order in which the steps of one day are done.
_KINDS: Final[tuple[StepKind, ...]] = (
    "make-backup",
    "publish-pin",
    "extend-set",
    "switch-key",
    "retire-pin",
    "renew-certificate",
    "wait",
)
_DAY: Final = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What the findings are measured by.  Raises InvalidPolicyError."""

    client_update_days: int = 30
    """Within how many days a client has taken up what was published."""
    notice_days: int = 14
    """How many days before its deadline something is first a finding."""
    report_only_days: int = 30
    """How long a set may only report."""
    backup_key_days: int = 365
    """How old a backup key may become."""
    max_pins: int = 4
    """How many pins, backups included, a set may have."""
    backups: int = 1
    """How many keys are kept aside: one lets as many lost keys pass without a lock-out within
    ``client_update_days``."""
    renewal_keeps_key: bool = True
    """Whether renewed certificates are for the same key (certbot: ``--reuse-key``)."""

    def __post_init__(self) -> None:
        for name, least in (
            ("client_update_days", 0),
            ("notice_days", 0),
            ("report_only_days", 0),
            ("backup_key_days", 1),
            ("max_pins", 2),
            ("backups", 1),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise InvalidPolicyError(f"{name} is a whole number from {least} on, not {value!r}")


_DEFAULTS: Final = Thresholds()


class Served(NamedTuple):
    """What a host shows: seen on a connection, or given."""

    host: str
    chain: Sequence[bytes]
    """Certificates in DER, leaf first; for chain scope those of the verified chain.  None: the host
    was not reached, and may have any key."""


class KeptKey(NamedTuple):
    """A key that is kept aside: its file, its CSR or its certificate was found."""

    pin: Pin
    made: datetime.date | None = None
    source: str = ""
    """Where it was found, for people."""


class Change(NamedTuple):
    """A change of a host's key that somebody wants."""

    host: str
    """A host, or a pattern of the policy."""
    on: datetime.date | None = None
    """``None``: with the next renewal of the certificate."""
    pin: Pin | None = None
    """Of the next key; ``None``: of the backup key."""
    urgent: bool = False
    """Whether the key in use is lost or stolen, so that nothing can be waited for."""


class Finding(NamedTuple):
    """Something that is wrong or risky, or could not be checked."""

    code: str
    severity: Severity
    host: str
    """The pattern of the policy."""
    message: str
    action: str
    by: datetime.date | None = None
    """The last day for that; ``None``: no date hangs on it."""
    pin: Pin | None = None


class Step(NamedTuple):
    """What to do on a day."""

    kind: StepKind
    host: str
    """The pattern of the policy."""
    date: datetime.date
    action: str
    pin: Pin | None = None
    """``None`` also for that of a key that is not made yet."""
    until: datetime.date | None = None
    """Where ``kind`` is ``wait``: the first day on which everybody has it."""


class CertificateSpan(NamedTuple):
    """A certificate that is served, for a timeline."""

    host: str
    """Which shows it."""
    pattern: str
    subject: str
    pin: Pin
    not_before: datetime.datetime
    not_after: datetime.datetime


class PinSpan(NamedTuple):
    """A pin of the policy, for a timeline."""

    pattern: str
    pin: Pin
    role: Role
    label: str
    published: datetime.date | None
    reached: datetime.date | None
    """From when on everybody has it."""
    expires: datetime.date | None
    """The last day of its set, or part of it."""


@dataclass(frozen=True, slots=True)
class Report:
    """What :func:`review` found."""

    now: datetime.datetime
    findings: tuple[Finding, ...]
    """Lock-outs first, then by date."""
    steps: tuple[Step, ...]
    """By date."""
    certificates: tuple[CertificateSpan, ...]
    pins: tuple[PinSpan, ...]

    @property
    def lock_outs(self) -> tuple[Finding, ...]:
        """The findings that foretell a lock-out."""
        return tuple(finding for finding in self.findings if finding.severity == "lock-out")

    def as_json(self) -> dict[str, Any]:
        """For ``json.dumps``, with the names that the fields have here; pins as texts, dates in ISO
        8601."""
        return {
            "now": _json(self.now),
            "findings": _json(self.findings),
            "steps": _json(self.steps),
            "certificates": _json(self.certificates),
            "pins": _json(self.pins),
        }


def _json(value: object) -> Any:
    if isinstance(value, Finding | Step | CertificateSpan | PinSpan):
        return {name: _json(field) for name, field in value._asdict().items()}
    if isinstance(value, tuple):
        return [_json(item) for item in value]
    if isinstance(value, datetime.date):
        return value.isoformat()
    return str(value) if isinstance(value, Pin) else value


def review(
    policy: PinPolicy,
    now: datetime.datetime,
    *,
    served: Iterable[Served] | None = None,
    keys: Iterable[KeptKey] | None = None,
    changes: Iterable[Change] = (),
    published: datetime.date | Mapping[Pin, datetime.date] | None = None,
    thresholds: Thresholds = _DEFAULTS,
) -> Report:
    """What may lock clients out, and what to do by when.

    :param now: with its time zone.
    :param served: what the policy's hosts show; ``None``: nobody has looked, and the pins are not
        compared with anything (a host that is missing from what was looked at is a finding).
    :param keys: those that are kept aside; ``None``: nobody has looked.
    :param changes: of keys, as they are wanted.  One at a time is planned for each pattern.
    :param published: when the policy's pins were published: all of them, or each.  Those of which
        it is not known count as published on the day of ``now``.

    Raises InvalidPolicyError, where a host is given that no pattern of the policy covers.
    """
    if not isinstance(now, datetime.datetime) or now.tzinfo is None:
        raise InvalidPolicyError("now is a datetime.datetime with its time zone")
    now = now.astimezone(datetime.UTC)
    looked = served is not None
    pattern_of = _Patterns(policy)
    served_by: dict[str, list[Served]] = {}
    for shown in served or ():
        pattern, host = pattern_of(shown.host)
        served_by.setdefault(pattern, []).append(shown._replace(host=host))
    changes_by: dict[str, list[Change]] = {}
    for change in changes:
        pattern, host = pattern_of(change.host)
        changes_by.setdefault(pattern, []).append(change._replace(host=host))
    _plan_wherever_it_is(policy, served_by, changes_by)
    world = _World(now, thresholds, _by_pin(keys), published)
    entries = [
        _Entry(
            pattern,
            pins,
            served_by.get(pattern, []) if looked else None,
            changes_by.get(pattern, []),
            world,
        )
        for pattern, pins in policy.items()
    ]
    for entry in entries:
        entry.review()
    findings = sorted(
        (finding for entry in entries for finding in entry.findings),
        key=lambda f: (_SEVERITIES.index(f.severity), f.by or datetime.date.max, f.host),
    )
    steps = sorted(
        (step for entry in entries for step in entry.steps),
        key=lambda s: (s.date, s.host, _KINDS.index(s.kind)),
    )
    return Report(
        now,
        tuple(findings),
        tuple(steps),
        tuple(span for entry in entries for span in entry.certificates()),
        tuple(span for entry in entries for span in entry.pin_spans()),
    )


def _plan_wherever_it_is(
    policy: PinPolicy,
    served_by: Mapping[str, Sequence[Served]],
    changes_by: dict[str, list[Change]],
) -> None:
    """Add each change of a key for the other patterns that show and pin this key: hosts may share a
    server, and a key that is lost is lost to all."""
    sets = dict(policy.items())
    shown = {
        pattern: [
            leaf
            for host, chain in served_by.get(pattern, ())
            if chain
            and (leaf := _certificate(host, chain[0])) is not None
            and not leaf.pins.isdisjoint(pins.pins + pins.backup)
        ]
        for pattern, pins in sets.items()
    }
    for pattern, change in [(p, c) for p, changes in changes_by.items() for c in changes]:
        of_host = [leaf for leaf in shown[pattern] if leaf.host == change.host]
        keys = {leaf.spki for leaf in of_host or shown[pattern]}
        for other, leaves in shown.items():
            own = changes_by.get(other, [])
            host = next((leaf.host for leaf in leaves if leaf.spki in keys), None)
            # What was asked for this pattern itself stands, unless there is no time for it.
            if host is None or any(c.urgent or not change.urgent for c in own):
                continue
            known = change.pin in sets[other].pins + sets[other].backup
            # Who cannot wait takes the backup key that the clients know already.
            pin = change.pin if known or not change.urgent else None
            changes_by[other] = [*own, change._replace(host=host, pin=pin)]


def _by_pin(keys: Iterable[KeptKey] | None) -> Mapping[Pin, KeptKey] | None:
    return None if keys is None else {key.pin: key for key in keys}


class _Patterns:
    """Which pattern of a policy wins for a host: asked of the policy's own look-up, by sets that
    are named after their patterns."""

    def __init__(self, policy: PinPolicy) -> None:
        self._names = {pattern for pattern, _ in policy.items()}
        self._policy = PinPolicy(
            {pattern: PinSet(pins.pins, None, note=pattern) for pattern, pins in policy.items()}
        )

    def __call__(self, host: str) -> tuple[str, str]:
        """The pattern, and the host as it is compared; a pattern may be given for itself."""
        if host in self._names:
            return host, host
        host = canonical_host(host)
        pins = self._policy.match(host)
        if pins is None:
            raise InvalidPolicyError(f"{host}: the policy has no pins for this host")
        return pins.note, host


class _World(NamedTuple):
    """What all entries of a policy share."""

    now: datetime.datetime
    thresholds: Thresholds
    keys: Mapping[Pin, KeptKey] | None
    published: datetime.date | Mapping[Pin, datetime.date] | None

    @property
    def today(self) -> datetime.date:
        return self.now.date()

    def published_on(self, pin: Pin) -> datetime.date | None:
        if isinstance(self.published, Mapping):
            return self.published.get(pin)
        return self.published

    def reached_if(self, published: datetime.date) -> datetime.date:
        """The first day on which everybody has what was published on that one."""
        return _shift(published, self.thresholds.client_update_days + 1)

    def publish_by(self, needed: datetime.date) -> datetime.date:
        """The last day to publish what everybody must have on that one."""
        return _shift(needed, -self.thresholds.client_update_days - 1)

    def reached(self, pin: Pin) -> datetime.date:
        return self.reached_if(self.published_on(pin) or self.today)

    def is_near(self, deadline: datetime.date) -> bool:
        return deadline <= _shift(self.today, self.thresholds.notice_days)


def _shift(day: datetime.date, days: int) -> datetime.date:
    """So many days later, as far as the calendar goes: sets that end in 9999 are meant for ever."""
    try:
        return day + days * _DAY
    except OverflowError:
        return datetime.date.max if days > 0 else datetime.date.min


def _day_of(seconds: float) -> datetime.date:
    """The day of a moment in seconds since 1970-01-01 UTC, as far as the calendar goes."""
    try:
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC).date()
    except (ValueError, OverflowError):
        return datetime.date.max if seconds > 0 else datetime.date.min


class _Certificate(NamedTuple):
    """One that is served."""

    host: str
    pins: frozenset[Pin]
    spki: Pin
    subject: str
    not_before: datetime.datetime | None
    not_after: datetime.datetime | None

    @property
    def renewal(self) -> datetime.date | None:
        """When a third of its time is left, as is usual with ACME."""
        if self.not_before is None or self.not_after is None:
            return None
        return (self.not_after - (self.not_after - self.not_before) / 3).date()


@functools.lru_cache(maxsize=4096)
def _certificate(host: str, der: bytes) -> _Certificate | None:
    """``None`` for what is no certificate in DER, so that no pin is of it."""
    try:
        spki = Pin.from_certificate(der)
    except InvalidCertificateError:
        return None
    pins = frozenset({spki, Pin.from_certificate(der, "certificate")})
    not_before = not_after = None
    parsed = _parsed(der)
    if parsed is not None:
        not_before, not_after = parsed.not_valid_before_utc, parsed.not_valid_after_utc
    return _Certificate(host, pins, spki, describe(der).subject, not_before, not_after)


def _parsed(der: bytes) -> x509.Certificate | None:
    from cryptography import x509

    try:
        with _no_warnings():
            return x509.load_der_x509_certificate(der)
    except ValueError:
        return None


class _Entry:
    """One pattern of the policy with its pins."""

    def __init__(
        self,
        pattern: str,
        pins: PinSet,
        served: Sequence[Served] | None,
        changes: Sequence[Change],
        world: _World,
    ) -> None:
        self.pattern = pattern
        self.pins = pins
        self.served = served
        self.changes = changes
        self.world = world
        self.findings: list[Finding] = []
        self.steps: list[Step] = []

        self.leaves: list[_Certificate] = []
        shown: list[_Certificate] = []
        for host, chain in served or ():
            certificates = [_certificate(host, der) for der in chain]
            if certificates and certificates[0] is not None:
                self.leaves.append(certificates[0])
            within = certificates if pins.scope == "chain" else certificates[:1]
            shown += [certificate for certificate in within if certificate is not None]
        #: Hosts that may have the key of any pin.
        self.unseen = [host for host, chain in served or () if not chain]
        #: Whether the pins can be compared with something.
        self.compared = bool(self.leaves)
        self.everything = pins.pins + pins.backup
        shown_pins = frozenset[Pin]().union(*(certificate.pins for certificate in shown))
        self.in_use = (
            [pin for pin in self.everything if pin in shown_pins]
            if self.compared
            else list(pins.pins)
        )
        self.keys_in_use = {
            certificate.spki for certificate in shown if certificate.pins & set(self.everything)
        }
        spare = [pin for pin in self.everything if pin not in self.in_use]
        wanted = {change.pin for change in changes}
        known = set(world.keys or ()) | wanted
        #: Pins of keys that nobody is known to have.
        self.lost_backups = (
            []
            if world.keys is None
            else [pin for pin in spare if pin in pins.backup and pin not in known]
        )
        self.unknown = [pin for pin in spare if pin not in pins.backup and pin not in known]
        self.not_pinned = list(self._refused())
        spares = [pin for pin in spare if pin not in self.lost_backups + self.unknown]
        #: Spare keys that can be put on the server, those that have reached everybody first.
        self.kept = sorted(spares, key=world.reached)
        #: How many there are to be.
        self.backups = 0 if pins.no_backup and not spares else world.thresholds.backups

    # --- for a timeline ---------------------------------------------------------------------------

    def certificates(self) -> Iterator[CertificateSpan]:
        for leaf in self.leaves:
            if leaf.not_before is not None and leaf.not_after is not None:
                yield CertificateSpan(
                    leaf.host,
                    self.pattern,
                    leaf.subject,
                    leaf.spki,
                    leaf.not_before,
                    leaf.not_after,
                )

    def pin_spans(self) -> Iterator[PinSpan]:
        wanted = {change.pin for change in self.changes}
        ends = self.pins.expires_at
        for pin in self.everything:
            role: Role
            if not self.compared:
                role = "backup" if pin in self.pins.backup else "listed"
            elif pin in self.in_use:
                role = "in use"
            elif pin in self.unknown or pin in self.lost_backups:
                role = "unknown"
            else:
                role = "next" if pin in wanted else "backup"
            published = self.world.published_on(pin)
            yield PinSpan(
                self.pattern,
                pin,
                role,
                safe_text(self.pins.labels.get(pin, "")),
                published,
                self.world.reached_if(published) if published else None,
                None if ends is None else _day_of(ends - 1),
            )

    # --- findings ---------------------------------------------------------------------------------

    def review(self) -> None:
        """Fill ``findings`` and ``steps``."""
        self._check_certificates()
        self._check_backups()
        self._check_expiry()
        self._check_advice()
        change = self._change()
        if change is not None and change.urgent:
            self._plan_urgent(change)
        elif change is not None:
            self._plan_change(change)
        else:
            self._plan_backups()
        self._plan_the_rest(change)

    def _find(
        self,
        code: str,
        message: str,
        by: datetime.date | None = None,
        pin: Pin | None = None,
    ) -> None:
        severity, action = _FINDINGS[code]
        self.findings.append(Finding(code, severity, self.pattern, message, action, by, pin))

    def _check_certificates(self) -> None:
        today = self.world.today
        if self.served is not None and not self.compared:
            self._find(
                "no-certificate",
                "no certificate was seen or given, so the pins were compared with none",
            )
        for leaf in self.leaves:
            if leaf.not_after is None:
                self._find(
                    "unreadable-certificate",
                    f"{leaf.host}: the dates of its certificate cannot be read",
                )
        for host, pin in self.not_pinned:
            self._find(
                "not-pinned",
                f"{host}: no pin is of the key that it shows, so clients with these pins refuse it",
                today,
                pin,
            )
        for pin in self.unknown:
            self._find(
                "unknown-pin",
                "no certificate that was seen or given has this pin, and no key that is kept"
                + "".join(f"; {host} was not reached" for host in self.unseen[:1]),
                today,
                pin,
            )

    def _refused(self) -> Iterator[tuple[str, Pin]]:
        """The hosts whose certificates no pin is of, with the pins that they would need."""
        # The date of the set is another finding.
        pins = PinSet(self.pins.pins, self.pins.backup or None, scope=self.pins.scope)
        for host, chain in self.served or ():
            leaf = _certificate(host, chain[0]) if chain else None
            if leaf is None:
                continue
            verdict = judge(pins, host, tuple(chain), self.world.now.timestamp(), True)
            if verdict.outcome is Outcome.MISMATCH:
                yield host, leaf.spki

    def _check_backups(self) -> None:
        today = self.world.today
        single = len(self.everything) == 1
        # Two pins of one key, or two servers with a key each: what counts is the keys.
        if self.compared and len(self.in_use) == len(self.everything):
            single = len(self.keys_in_use) <= 1
        if single and self.pins.no_backup:
            self._find(
                "no-backup-on-purpose",
                "no backup pin, on purpose: if the key is lost, the clients are locked out",
            )
        elif single:
            self._find("no-backup", "no backup pin: if the key is lost, all are locked out", today)
        for pin in self.lost_backups:
            self._find(
                "backup-not-kept",
                "of the keys that are kept aside none has this backup pin",
                today,
                pin,
            )
        if self.world.keys is None and self.served is not None and self.kept:
            self._find(
                "backup-not-looked-for",
                "where the backup keys are kept was not said, so nobody looked for them",
            )

    def _check_expiry(self) -> None:
        end = self._end()
        if end is None:
            return
        world, today = self.world, self.world.today
        refuses = self.pins.on_expiry == "refuse"
        if world.now.timestamp() >= (self.pins.expires_at or 0):
            self._find(
                "expired" if refuses else "expired-unpinned",
                f"the set ended on {self.pins.expires}"
                + (" and refuses every connection" if refuses else ", and nothing is pinned"),
                today,
            )
            return
        deadline = world.publish_by(end)
        ends = [leaf.not_after.date() for leaf in self.leaves if leaf.not_after is not None]
        before = bool(ends) and end < max(ends)
        if before or world.is_near(deadline):
            self._find(
                "expires-before-certificate" if refuses else "expires-unpinned",
                f"the set ends on {self.pins.expires}"
                + (", before its certificate," if before else "")
                + (" and refuses then" if refuses else " and nothing is pinned then")
                + ("" if deadline >= today else "; a new date no longer reaches all in time"),
                max(deadline, today),
            )

    def _end(self) -> datetime.date | None:
        """The day on which the set no longer holds, or not all of it."""
        return None if self.pins.expires_at is None else _day_of(self.pins.expires_at)

    def _check_advice(self) -> None:
        limits = self.world.thresholds
        if len(self.everything) > limits.max_pins:
            self._find(
                "many-pins",
                f"{len(self.everything)} pins, more than {limits.max_pins}: each is of a key that "
                f"can be stolen",
            )
        if self.pins.report_only:
            self._check_report_only()
        for pin in self.kept:
            made = self._made(pin)
            if made is not None and self._turns_old(pin) <= self.world.today:
                self._find(
                    "old-backup",
                    f"this backup key was made on {made}, over {limits.backup_key_days} days ago",
                    _shift(made, limits.backup_key_days),
                    pin,
                )
        if self.pins.scope == "chain":
            self._check_public_authority()
        if self.pattern.startswith("*"):
            self._check_public_suffix()

    def _check_report_only(self) -> None:
        world, days = self.world, self.world.thresholds.report_only_days
        known = [world.published_on(pin) for pin in self.everything]
        dates = [day for day in known if day is not None]
        if len(dates) < len(known):
            self._find("report-only-not-dated", "it only reports, and since when is not known")
        elif world.today > _shift(max(dates), days):
            self._find(
                "report-only",
                f"it has only reported since {max(dates)}, for over {days} days",
                _shift(max(dates), days),
            )

    def _check_public_authority(self) -> None:
        roots = _public_roots()
        if roots is None:
            self._find(
                "public-authority-not-checked",
                "whether chain scope stands on a public authority was not checked: certifi, which "
                "has the list, is missing",
            )
        elif any(pin in roots.pins for pin in self.everything) or any(
            roots.has(chain) for _, chain in self.served or ()
        ):
            self._find(
                "public-authority",
                "chain scope on a public authority: all that it signs can match, and it changes "
                "its intermediates when it likes",
            )

    def _check_public_suffix(self) -> None:
        base = self.pattern.lstrip("*").lstrip(".")
        suffixes = _public_suffixes()
        if suffixes is None:
            self._find(
                "public-suffix-not-checked",
                "whether this is a pattern on a public suffix was not checked: publicsuffixlist, "
                "which has the list, is missing",
            )
        elif suffixes.is_public(base):
            self._find(
                "public-suffix",
                f"{base} is a public suffix, below which everybody can have a name",
            )

    def _made(self, pin: Pin) -> datetime.date | None:
        key = (self.world.keys or {}).get(pin)
        return None if key is None else key.made

    def _turns_old(self, pin: Pin) -> datetime.date:
        made = self._made(pin)
        days = self.world.thresholds.backup_key_days + 1
        return datetime.date.max if made is None else _shift(made, days)

    # --- the plan ---------------------------------------------------------------------------------

    def _step(
        self,
        kind: StepKind,
        on: datetime.date,
        action: str,
        pin: Pin | None = None,
        until: datetime.date | None = None,
    ) -> None:
        self.steps.append(Step(kind, self.pattern, on, action, pin, until))

    def _change(self) -> Change | None:
        """The one to plan now: others follow when it is done."""
        wanted = [change for change in self.changes if change.pin not in self.in_use]
        if wanted:
            return min(wanted, key=lambda c: (not c.urgent, c.on or datetime.date.max))
        if self.world.thresholds.renewal_keeps_key or not self.compared:
            return None
        leaf = self.leaves[0]
        if leaf.renewal is not None:
            self._find(
                "changes-too-soon",
                f"{leaf.host}: the certificate is renewed on about {leaf.renewal} with a key that "
                f"no client knows; have the renewal keep the key (certbot: --reuse-key)",
                max(leaf.renewal, self.world.today),
            )
        return Change(self.pattern)

    def _leaving(self, change: Change) -> list[Pin]:
        """The pins in use that this change makes an end of."""
        if not self.compared:
            return []
        of_host = [pin for leaf in self.leaves if leaf.host == change.host for pin in leaf.pins]
        return [pin for pin in self.in_use if not of_host or pin in of_host]

    def _plan_urgent(self, change: Change) -> None:
        world, today = self.world, self.world.today
        kept = [pin for pin in self.kept if pin != change.pin]
        target = change.pin or (kept.pop(0) if kept else None)
        arrives = world.reached_if(today)
        if target is None:
            self._step("make-backup", today, "make a new key: none is kept aside")
        if target is None or target not in self.everything:
            self._step("publish-pin", today, "publish the pin of the next key at once", target)
        else:
            arrives = world.reached(target)
        late = (
            ""
            if arrives <= today
            else f"; clients without its pin, up to {arrives}, are locked out"
        )
        self._step("switch-key", today, f"put the next key on every server{late}", target)
        for pin in self._leaving(change):
            self._step("retire-pin", today, "publish the set without the lost key's pin", pin)
        self._wait(today, self._make_backups(map(world.reached, kept), today))

    def _plan_change(self, change: Change) -> None:
        world, today = self.world, self.world.today
        asked = max(change.on or self._renewal() or today, today)
        deadline = world.publish_by(asked)
        publish_on = max(deadline, today)
        coming = {pin: world.reached(pin) for pin in self.kept}
        # Those that are missing now are not left missing until the change begins.
        arrivals = self._make_backups(coming.values(), today)
        target = change.pin or next(iter(coming), None)
        if target in coming:
            arrives = coming[target]
            arrivals.remove(arrives)
            too_soon = arrives > asked
        elif target is None:
            if not arrivals:
                self._step("make-backup", today, "make the next key")
                self._step("publish-pin", today, "publish the pin of the next key")
                arrivals = [world.reached_if(today)]
            arrives = arrivals.pop(0)  # that of the first of those that are made now
            too_soon = arrives > asked
        else:
            self._step("publish-pin", publish_on, "publish the pin of the next key", target)
            arrives = world.reached_if(publish_on)
            too_soon = world.is_near(deadline)
        if too_soon:
            self._find(
                "changes-too-soon",
                f"the key is to change on {asked}, and everybody has its pin from {arrives} on",
                asked if arrives > asked else deadline,
                target,
            )
        arrivals = self._make_backups(arrivals, publish_on)
        on = self._enough(arrivals, max(asked, arrives))
        if on > publish_on:
            self._step(
                "wait",
                publish_on,
                "change nothing: the pins are on their way to the clients",
                until=on,
            )
        self._step("switch-key", on, "put the next key on every server", target)
        for pin in self._leaving(change):
            self._step(
                "retire-pin", on, "when no server has the old key: publish the set without it", pin
            )

    def _make_backups(
        self, arrivals: Iterable[datetime.date], on: datetime.date
    ) -> list[datetime.date]:
        """Steps for the backups that are missing.

        :param arrivals: of those that there are: when everybody has their pins.

        Gives that of all of them, in order.
        """
        found = sorted(arrivals)
        for _ in range(self.backups - len(found)):
            self._step("make-backup", on, "make a backup key (pinsock backup) and keep it aside")
            self._step("publish-pin", on, "publish the set with the new backup key's pin")
            found.append(self.world.reached_if(on))
        return sorted(found)

    def _wait(self, on: datetime.date, arrivals: Sequence[datetime.date]) -> datetime.date:
        """For enough backups; gives the day on which everybody has their pins."""
        arrives = self._enough(arrivals, on)
        if arrives > on:
            self._step(
                "wait", on, "until then a backup key does not help every client", until=arrives
            )
        return arrives

    def _enough(self, arrivals: Sequence[datetime.date], on: datetime.date) -> datetime.date:
        """The first day from that one on, on which enough backups have reached everybody."""
        return max(arrivals[self.backups - 1], on) if self.backups else on

    def _plan_backups(self) -> None:
        """Where no key is to change: enough backups, and none that is too old."""
        fresh = self._keep_backups(self.kept, self.world.today)
        if self.backups and len(fresh) >= self.backups:
            turns = sorted(map(self._turns_old, fresh), reverse=True)[self.backups - 1]
            if turns < datetime.date.max:
                self._keep_backups(fresh, turns)

    def _keep_backups(self, kept: Sequence[Pin], on: datetime.date) -> list[Pin]:
        """Replace on that day those that are too old then; gives those that are not."""
        fresh = [pin for pin in kept if self._turns_old(pin) > on]
        arrives = self._wait(on, self._make_backups(map(self.world.reached, fresh), on))
        for pin in kept:
            if pin not in fresh:
                self._step(
                    "retire-pin",
                    arrives,
                    "publish the set without the old backup key's pin",
                    pin,
                )
        return fresh

    def _renewal(self) -> datetime.date | None:
        return min((leaf.renewal for leaf in self.leaves if leaf.renewal is not None), default=None)

    def _plan_the_rest(self, change: Change | None) -> None:
        world, today = self.world, self.world.today
        for _, pin in self.not_pinned:
            ready = [kept for kept in self.kept if world.reached(kept) <= today]
            if ready:
                self._step("switch-key", today, "put the key on it that every client has", ready[0])
            else:
                self._step(
                    "publish-pin",
                    today,
                    "publish the pin of the key that it shows, once its owner has confirmed it",
                    pin,
                )
        sure = self.compared and not self.unseen
        for pin in self.unknown + self.lost_backups if sure else ():
            # A server that was not looked at may have it, behind a balancer or under a pattern.
            self._step(
                "retire-pin",
                today,
                "if its key is on no server at all, and not kept: publish the set without it",
                pin,
            )
        end = self._end()
        if end is not None:
            self._step(
                "extend-set", max(world.publish_by(end), today), "publish the set with a later date"
            )
        for leaf in self.leaves:
            self._plan_renewal(leaf, change)

    def _plan_renewal(self, leaf: _Certificate, change: Change | None) -> None:
        world, today = self.world, self.world.today
        if leaf.renewal is None or leaf.not_after is None:
            return
        of_leaf = [pin for pin in self.in_use if pin in leaf.pins]
        if any(pin.kind == "spki" for pin in of_leaf) or not of_leaf:
            words = "" if change is None else ", until the key changes"
            self._step(
                "renew-certificate",
                max(leaf.renewal, today),
                f"{leaf.host}: renew the certificate with the same key{words}",
                leaf.spki,
            )
            return
        ends = leaf.not_after.date()
        if not any(step.kind == "switch-key" and step.date <= ends for step in self.steps):
            deadline = world.publish_by(ends)
            if world.is_near(deadline):
                self._find(
                    "changes-too-soon",
                    f"{leaf.host}: the pin is of the certificate that ends on {ends}, and the next "
                    f"one's must be published by {deadline}; pin the key instead (sha256/...)",
                    max(deadline, today),
                    of_leaf[0],
                )
            self._step(
                "publish-pin",
                max(deadline, today),
                f"{leaf.host}: get the next certificate and publish its pin, or the key's",
            )
            self._step(
                "renew-certificate",
                max(ends, world.reached_if(max(deadline, today))),
                f"{leaf.host}: put the next certificate on it",
            )


# --- lists that others maintain -------------------------------------------------------------------


class _Roots(NamedTuple):
    """The roots that programs trust by default."""

    pins: frozenset[Pin]
    by_name: Mapping[bytes, Sequence[x509.Certificate]]

    def has(self, chain: Sequence[bytes]) -> bool:
        """Whether a chain goes up to one of them."""
        for der in chain:
            certificate = _certificate("", der)
            if certificate is not None and certificate.spki in self.pins:
                return True
        last = _parsed(chain[-1]) if chain else None
        if last is None:
            return False
        return any(_issued(last, root) for root in self.by_name.get(last.issuer.public_bytes(), ()))


def _issued(certificate: x509.Certificate, root: x509.Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        certificate.verify_directly_issued_by(root)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


@functools.cache
def _public_roots() -> _Roots | None:
    """Those of certifi; ``None`` where it is not installed."""
    try:
        import certifi
    except ImportError:
        return None
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    by_name: dict[bytes, list[x509.Certificate]] = {}
    pins = set()
    with _no_warnings():
        roots = x509.load_pem_x509_certificates(certifi.contents().encode("ascii"))
    for root in roots:
        by_name.setdefault(root.subject.public_bytes(), []).append(root)
        pins.add(Pin.from_certificate(root.public_bytes(Encoding.DER)))
    return _Roots(frozenset(pins), by_name)


@functools.cache
def _public_suffixes() -> PublicSuffixList | None:
    """The ICANN section of the Public Suffix List, as publicsuffixlist brings it; ``None`` where it
    is not installed."""
    try:
        from publicsuffixlist import PublicSuffixList
    except ImportError:
        return None
    return PublicSuffixList(only_icann=True)
