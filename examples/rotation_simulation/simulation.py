"""Ten years of one host, its operator and its clients.

The host's certificate is renewed every 47 days, and sometimes its key changes with it.  Keys are
stolen, backup keys get lost, and people make mistakes in the file with the pins.  The operator asks
``pinsock.rotation.review`` every day, and before anything is published, and does what it says: all
of it, or all but what one finding asks for.  Clients take up new pins after a lag, and whether one
gets through is pinsock's own decision, on real certificates.

    python simulation.py                      # who follows the plan
    python simulation.py --ignore no-backup   # who follows all of it but one finding
"""

from __future__ import annotations

import argparse
import datetime
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from pinsock import Pin, PinPolicy, PinSet
from pinsock._verify import judge
from pinsock.rotation import (
    LOCK_OUTS,
    Change,
    Finding,
    KeptKey,
    Report,
    Served,
    Step,
    Thresholds,
    review,
)

if TYPE_CHECKING:
    from collections.abc import Collection

HOST = "www.example"
START = datetime.datetime(2029, 3, 15, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
LIFETIME = 47 * DAY
SET_LASTS = 400 * DAY

#: What the operator leaves undone who does not heed a finding: kinds of steps, while it is open.
ANSWERS = {
    "no-backup": {"make-backup", "publish-pin"},
    "backup-not-kept": {"make-backup", "publish-pin", "retire-pin"},
    "unknown-pin": {"make-backup", "publish-pin", "retire-pin"},
    "not-pinned": {"publish-pin", "switch-key"},
    "expires-before-certificate": {"extend-set"},
    "expired": {"extend-set"},
}

#: What the next renewal is to bring, each so many times in a year.
WANTED = ("new key wanted", "backup key wanted")
CHANGES = 0.75
#: What is wrong with the files that somebody prepares by mistake.
MISTAKEN = ("no-backup", "unknown-pin", "not-pinned", "expired")
MISSED_IN_AN_EMERGENCY = ("no-backup", "unknown-pin")


def dice(seed: int, what: str) -> random.Random:
    """Chance of its own for each thing, so that one does not change another."""
    return random.Random(f"{seed}, {what}")  # noqa: S311 - the same story again, and no secret


class Authority:
    """Signs certificates of any date."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority")])

    def sign(self, key: Ed25519PrivateKey, now: datetime.datetime) -> bytes:
        """A certificate in DER, valid for 47 days."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now)
            .not_valid_after(now + LIFETIME)
            .sign(self._key, None)
            .public_bytes(Encoding.DER)
        )


@dataclass(frozen=True)
class Key:
    """One of the operator's keys."""

    private: Ed25519PrivateKey
    made: datetime.date

    @property
    def pin(self) -> Pin:
        public = self.private.public_key()
        return Pin.from_public_key(
            public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        )


@dataclass
class Client:
    """Takes up what is published after a lag, another one each time."""

    name: str
    lags: random.Random
    fixed: datetime.timedelta | None
    least: datetime.timedelta
    most: datetime.timedelta | None
    holds: PinSet
    coming: list[tuple[datetime.datetime, PinSet]] = field(default_factory=list)

    @property
    def within(self) -> bool:
        """Whether it keeps to what the operator counts on."""
        return self.most is not None

    def hear(self, published: datetime.datetime, pins: PinSet) -> None:
        """Begin to take up a new set."""
        lag = self.fixed
        if lag is None:
            lag = self.least + self.lags.lognormvariate(1.0, 1.2) * DAY
            lag = lag if self.most is None else min(lag, self.most)
        self.coming.append((published + lag, pins))

    def pins(self, now: datetime.datetime) -> PinSet:
        """The newest set that has arrived."""
        for place in range(len(self.coming) - 1, -1, -1):
            if self.coming[place][0] <= now:
                self.holds = self.coming[place][1]
                del self.coming[: place + 1]
                break
        return self.holds


@dataclass(frozen=True)
class LockOut:
    """A client that was refused by the right server."""

    time: datetime.datetime
    client: str
    within: bool
    outcome: str
    unheeded: tuple[str, ...]
    """The findings that foretell a lock-out and were not heeded until then, the oldest first."""


@dataclass
class Result:
    """What came of it."""

    happened: Counter[str] = field(default_factory=Counter)
    lock_outs: list[LockOut] = field(default_factory=list)
    connections: int = 0

    @property
    def broken(self) -> list[LockOut]:
        """Those of clients that keep to ``client_update_days``."""
        return [lock_out for lock_out in self.lock_outs if lock_out.within]


class Simulation:
    """One story: what happens depends on the seed alone, not on how long it is or what is done.

    :param ignore: the finding that the operator does not heed.
    :param too_many: whether more keys are lost at a time than the operator keeps aside.
    """

    def __init__(
        self,
        seed: int,
        thresholds: Thresholds,
        *,
        days: int = 3653,
        ignore: str | None = None,
        too_many: bool = False,
    ) -> None:
        self.thresholds = thresholds
        self.days = days
        self.ignore = ignore
        self.result = Result()
        self._authority = Authority()
        self._update = thresholds.client_update_days * DAY
        self._unheeded: dict[str, datetime.datetime] = {}
        self._changes: list[Change] = []

        self._keys = dice(seed, "keys")
        self._key = self._new_key(START)
        self._kept: dict[Pin, Key] = {}
        for _ in range(thresholds.backups):
            self._make_backup(START)
        self._set = PinSet(self._key.pin, tuple(self._kept), expires=(START + SET_LASTS).date())
        self._published = dict.fromkeys((self._key.pin, *self._kept), START.date() - 365 * DAY)
        self._issue(self._key, START)
        self._clients = list(self._make_clients(seed))
        self.events = sorted(self._draw(seed, too_many))

    def _make_clients(self, seed: int) -> list[Client]:
        made = []
        for number in range(12):
            fixed, least, most = None, 0 * DAY, self._update
            if number == 0:
                fixed = self._update
            elif number == 1:
                fixed = 0 * DAY
            elif number > 9:
                least, most = self._update, None
            made.append(
                Client(
                    f"client {number}",
                    dice(seed, f"client {number}"),
                    fixed,
                    least,
                    most,
                    self._set,
                )
            )
        return made

    # --- what happens -----------------------------------------------------------------------------

    def _moment(self, day: float) -> datetime.datetime:
        return START + day * DAY

    def _draw(self, seed: int, too_many: bool) -> list[tuple[datetime.datetime, int, str]]:
        """All that happens: the time, a number to sort by, and what."""
        events: list[tuple[datetime.datetime, int, str]] = []

        def add(day: float, what: str) -> None:
            if day < self.days:
                events.append((self._moment(day), len(events), what))

        hours = dice(seed, "hours")
        for number in range(self.days):
            add(number + hours.random(), "a day's work")
            for client in range(12):
                add(number + hours.random(), f"connect {client}")
        chance = dice(seed, "what happens")
        day, lost, deck = 30.0, False, list[str]()
        while day < self.days:
            # What was used up or lost has been replaced, and everybody has the new pin.
            day += self.thresholds.client_update_days + 3 + chance.expovariate(1 / 150)
            if lost:  # and who has not replaced it has nothing now
                add(day, "emergency")
                lost = False
            elif too_many or chance.random() < 0.2:
                # Who keeps n keys aside bears n lost keys at a time.
                for _ in range(self.thresholds.backups + too_many):
                    day += chance.random() / 2
                    add(day, "emergency")
            elif chance.random() < 0.7:
                deck = deck or chance.sample(MISTAKEN, len(MISTAKEN))
                mistake = deck.pop()
                add(day, mistake)
                day += 1 + chance.random()
                if mistake in MISSED_IN_AN_EMERGENCY:
                    add(day, "emergency")
            else:
                add(day, "backup lost")
                lost = True
        for what in WANTED:
            chance = dice(seed, what)
            day = chance.expovariate(CHANGES / 365)
            while day < self.days:
                add(day, what)
                day += chance.expovariate(CHANGES / 365)
        return events

    @property
    def unheeded(self) -> tuple[str, ...]:
        """The findings that were not heeded on the day that they named, the oldest first."""
        return tuple(self._unheeded)

    def run(self, *, until_broken: bool = False) -> Result:
        """Live through it.

        :param until_broken: only to the first lock-out of a client that keeps to the time.
        """
        for now, _, what in self.events:
            if what.startswith("connect "):
                self._connect(self._clients[int(what[8:])], now)
                if until_broken and self.result.broken:
                    break
            elif what == "a day's work":
                if self._ends - now < DAY:
                    self._issue(self._key, now)
                    self.result.happened["renewal"] += 1
                self._work(now)
            elif what == "emergency":
                self.result.happened["emergency"] += 1
                self._work(now, Change(HOST, now.date(), urgent=True))
            elif what == "backup lost":
                self._lose_a_backup()
            elif what.endswith("key wanted"):
                self._want_a_change(now, own=what.startswith("new"))
            else:
                self._mistake(what, now)
        return self.result

    def _connect(self, client: Client, now: datetime.datetime) -> None:
        self.result.connections += 1
        verdict = judge(client.pins(now), HOST, (self._certificate,), now.timestamp(), True)
        if not verdict.allowed:
            self.result.lock_outs.append(
                LockOut(now, client.name, client.within, verdict.outcome.value, self.unheeded)
            )

    def _lose_a_backup(self) -> None:
        aside = [pin for pin in self._set.backup if pin in self._kept]
        if aside:
            del self._kept[aside[0]]
            self.result.happened["backup lost"] += 1

    def _want_a_change(self, now: datetime.datetime, *, own: bool) -> None:
        """The next renewal is to bring a new key: the backup key, or one of the operator's own."""
        if self._changes:
            return
        self.result.happened["new key wanted" if own else "backup key wanted"] += 1
        pin = self._make_backup(now) if own else None
        self._changes.append(Change(HOST, self._ends.date(), pin))

    def _mistake(self, what: str, now: datetime.datetime) -> None:
        """Somebody prepares a bad file; it is published if nobody heeds what the review says."""
        pins = tuple(pin for pin in self._set.pins + self._set.backup if pin != self._key.pin)
        ends = self._set.expires
        if what == "no-backup":
            draft = PinSet(self._key.pin, _warn=False, expires=ends)
        elif what == "unknown-pin":
            draft = PinSet([self._key.pin, Pin("spki", self._keys.randbytes(32))], expires=ends)
        elif what == "not-pinned":
            draft = PinSet(self._make_backup(now), pins or None, expires=ends)
        else:
            draft = PinSet(
                self._set.pins, self._set.backup, expires=now.date() - 365 * DAY, _warn=False
            )
        self.result.happened[f"mistake: {what}"] += 1
        known = {finding.code for finding in self._review(now).lock_outs}
        found = {finding.code for finding in self._review(now, draft).lock_outs} - known
        if found <= {self.ignore}:
            self._publish(draft, now)
            self._note(self._review(now))
            self.result.happened["mistake published"] += 1

    # --- what the operator does -------------------------------------------------------------------

    def _new_key(self, now: datetime.datetime) -> Key:
        return Key(Ed25519PrivateKey.from_private_bytes(self._keys.randbytes(32)), now.date())

    def _make_backup(self, now: datetime.datetime) -> Pin:
        key = self._new_key(now)
        self._kept[key.pin] = key
        return key.pin

    def _issue(self, key: Key, now: datetime.datetime) -> None:
        self._key = key
        self._ends = now + LIFETIME
        self._certificate = self._authority.sign(key.private, now)

    def _publish(self, pins: PinSet, now: datetime.datetime) -> None:
        self._published = {
            pin: self._published.get(pin, now.date()) for pin in pins.pins + pins.backup
        }
        self._set = pins
        self.result.happened["publication"] += 1
        for client in self._clients:
            client.hear(now, pins)

    def _review(
        self, now: datetime.datetime, draft: PinSet | None = None, *urgent: Change
    ) -> Report:
        return review(
            PinPolicy({HOST: draft or self._set}),
            now,
            served=[Served(HOST, (self._certificate,))],
            keys=[KeptKey(pin, key.made) for pin, key in self._kept.items()],
            changes=[*urgent, *self._changes],
            published=self._published,
            thresholds=self.thresholds,
        )

    def _note(self, report: Report, among: Collection[Finding] | None = None) -> None:
        """Keep in mind what was to be done by today, and was not."""
        for finding in report.lock_outs if among is None else among:
            if finding.by is not None and finding.by <= report.now.date():
                self._unheeded.setdefault(finding.code, report.now)

    def _work(self, now: datetime.datetime, *urgent: Change) -> None:
        """Do the steps of the plan that are due."""
        wanted = self._changes
        report = self._review(now, None, *urgent)
        plan = [step for step in report.steps if step.kind not in {"wait", "renew-certificate"}]
        steps = plan
        if not urgent and self.ignore in {finding.code for finding in report.lock_outs}:
            steps = self._leave_undone(plan, report)
        if self._changes and not urgent and self.ignore != "changes-too-soon":
            self._put_off(plan)
        due = [step for step in steps if step.date <= now.date()]
        self._do(due, now)
        early = {step.pin for step in due if step not in plan}
        self._note(report, {finding for finding in report.lock_outs if finding.pin in early})
        if not urgent:
            unchanged = not due and self._changes == wanted
            self._note(report if unchanged else self._review(now))

    def _leave_undone(self, plan: list[Step], report: Report) -> list[Step]:
        """The plan of those who do not heed one finding: without what answers it."""
        if self.ignore == "changes-too-soon":
            on = next((change.on for change in self._changes), None) or report.now.date()
            late = {step.date for step in plan if step.kind == "switch-key"}
            return [
                step._replace(date=on)
                if step.kind == "switch-key" or (step.kind == "retire-pin" and step.date in late)
                else step
                for step in plan
            ]
        pins = {finding.pin for finding in report.lock_outs if finding.code == self.ignore}
        return [
            step
            for step in plan
            if step.kind not in ANSWERS[str(self.ignore)]
            or not (step.pin is None or step.pin in pins or step.kind == "switch-key")
        ]

    def _put_off(self, plan: list[Step]) -> None:
        """Want the change on the day that the plan says."""
        (change,) = self._changes
        planned = max((step.date for step in plan if step.kind == "switch-key"), default=change.on)
        if planned and change.on and planned > change.on:
            self.result.happened["change put off"] += 1
            self._changes = [change._replace(on=planned)]

    def _do(self, steps: list[Step], now: datetime.datetime) -> None:
        """One day's steps: first the keys, then the server, then one publication."""
        made = [self._make_backup(now) for step in steps if step.kind == "make-backup"]
        pins = dict.fromkeys(self._set.pins + self._set.backup)
        ends = self._set.expires
        for step in steps:
            if step.kind == "publish-pin":
                pins[step.pin or made.pop(0)] = None
            elif step.kind == "retire-pin" and step.pin is not None:
                pins.pop(step.pin, None)
                self._kept.pop(step.pin, None)
            elif step.kind == "extend-set":
                ends = (now + SET_LASTS).date()
        for step in steps:
            if step.kind == "switch-key":
                aside = [pin for pin in pins if pin in self._kept]
                target = step.pin or (aside[-1] if aside else None)
                if target is None:
                    continue
                self._issue(self._kept.pop(target), now)
                self.result.happened["key change"] += 1
                if any(change.pin in {target, None} for change in self._changes):
                    self._changes = []
        if self._changes and self._changes[0].pin not in {None, *self._kept}:
            self._changes = []  # its key was lost, or used in an emergency
        first = [pin for pin in pins if pin == self._key.pin or pin in self._set.pins]
        new = PinSet(first, [pin for pin in pins if pin not in first], expires=ends, _warn=False)
        if (set(new.pins + new.backup), ends) != (
            set(self._set.pins + self._set.backup),
            self._set.expires,
        ):
            self._publish(new, now)


def main() -> None:
    parser = argparse.ArgumentParser(description="Ten years of pinning, in a few seconds.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--years", type=float, default=10)
    parser.add_argument("--client-update-days", type=int, default=30)
    parser.add_argument("--backups", type=int, default=1)
    parser.add_argument("--ignore", choices=LOCK_OUTS)
    arguments = parser.parse_args()
    simulation = Simulation(
        arguments.seed,
        Thresholds(client_update_days=arguments.client_update_days, backups=arguments.backups),
        days=int(arguments.years * 365.25),
        ignore=arguments.ignore,
    )
    result = simulation.run(until_broken=arguments.ignore is not None)
    for what, times in sorted(result.happened.items()):
        print(f"{times:6}  {what}")
    late = len(result.lock_outs) - len(result.broken)
    print(f"{result.connections:6}  connections")
    print(f"{late:6}  refused, of clients that take longer than they may")
    print(f"{len(result.broken):6}  refused, of clients that keep to the time")
    for lock_out in result.broken[:1]:
        print(
            f"\n{lock_out.time:%Y-%m-%d}: {lock_out.client} was locked out ({lock_out.outcome}); "
            f"heeding this would have saved it: {', '.join(lock_out.unheeded)}"
        )


if __name__ == "__main__":
    main()
