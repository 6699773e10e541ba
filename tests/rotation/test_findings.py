"""Each finding: what it takes, what it says, and where it ends."""

from __future__ import annotations

import datetime
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pinsock import InvalidPolicyError, Pin, PinPolicy, PinSet
from pinsock import rotation as rotation_module
from pinsock._throwaway import Authority, Credential
from pinsock.rotation import (
    LOCK_OUTS,
    Change,
    Finding,
    KeptKey,
    Report,
    Served,
    Thresholds,
    review,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW = datetime.datetime.now(datetime.UTC)
TODAY = NOW.date()
DAY = datetime.timedelta(days=1)
LONG_AGO = TODAY - 400 * DAY
HOST = "www.example"


@pytest.fixture(scope="module")
def ca() -> Authority:
    return Authority("an authority")


@pytest.fixture(scope="module")
def www(ca: Authority) -> Credential:
    """What the host shows."""
    return ca.issue(HOST, days=47)


@pytest.fixture(scope="module")
def spare(ca: Authority) -> Credential:
    """What it keeps aside."""
    return ca.issue(HOST, days=47)


@pytest.fixture(scope="module")
def nobodys() -> Pin:
    """A pin that was mistyped, or whose key is gone."""
    return Pin("spki", bytes(range(32)))


def look(
    pins: PinSet,
    shown: Credential | None,
    *kept: Credential,
    pattern: str = HOST,
    days: dict[str, Any] | None = None,
    **settings: Any,
) -> Report:
    """A review of one host, whose pins everybody has."""
    served = [] if shown is None else [Served(HOST, [shown.der])]
    return review(
        PinPolicy({pattern: pins}),
        settings.pop("now", NOW),
        served=settings.pop("served", served),
        keys=settings.pop("keys", [KeptKey(key.pin, TODAY) for key in kept]),
        published=settings.pop("published", LONG_AGO),
        thresholds=Thresholds(**(days or {})),
        **settings,
    )


def codes(report: Report) -> list[str]:
    return [finding.code for finding in report.findings]


def the(report: Report, code: str) -> Finding:
    """The one finding with this code."""
    (found,) = (finding for finding in report.findings if finding.code == code)
    assert found.severity == ("lock-out" if code in LOCK_OUTS else found.severity)
    assert found.message
    assert found.action
    return found


# --- lock-outs ------------------------------------------------------------------------------------


def test_a_pinned_key_and_a_backup_that_is_kept_are_no_finding(
    www: Credential, spare: Credential
) -> None:
    """And nothing is to be done but to renew the certificate, and in a year the backup key."""
    report = look(PinSet(www.pin, spare.pin), www, spare)
    assert codes(report) == []
    assert [step.kind for step in report.steps if step.date < TODAY + 300 * DAY] == [
        "renew-certificate"
    ]


def test_no_backup_pin(www: Credential) -> None:
    """With one key, or with two pins of one."""
    one = PinSet(www.pin, _warn=False)
    found = the(look(one, www), "no-backup")
    assert (found.severity, found.by) == ("lock-out", TODAY)
    twice = PinSet([www.pin, Pin.from_certificate(www.der, "certificate")])
    assert codes(look(twice, www)) == ["no-backup"]


def test_no_backup_on_purpose_is_advice(www: Credential) -> None:
    """The file says so, and cron is not to say it again each day."""
    found = the(look(PinSet(www.pin, None), www), "no-backup-on-purpose")
    assert (found.severity, found.by) == ("advice", None)


def test_a_backup_key_that_is_not_found(www: Credential, spare: Credential) -> None:
    """Nobody has looked is one thing, and that it was not there another."""
    pins = PinSet(www.pin, spare.pin)
    found = the(look(pins, www), "backup-not-kept")
    assert (found.severity, found.pin, found.by) == ("lock-out", spare.pin, TODAY)
    assert codes(look(pins, www, keys=None)) == ["backup-not-looked-for"]
    assert codes(look(pins, www, spare)) == []


def test_a_pin_that_no_known_key_has(www: Credential, spare: Credential, nobodys: Pin) -> None:
    """A mistyped second pin looks like a backup, and is none."""
    found = the(look(PinSet([www.pin, nobodys]), www), "unknown-pin")
    assert (found.severity, found.pin, found.by) == ("lock-out", nobodys, TODAY)
    assert codes(look(PinSet([www.pin, spare.pin]), www, spare)) == []
    # It does not count as a key that is kept aside either.
    steps = [(s.kind, s.pin) for s in look(PinSet([www.pin, nobodys]), www).steps]
    assert {("make-backup", None), ("retire-pin", nobodys)} <= set(steps)


def test_the_pin_of_an_authority_under_leaf_scope_is_unknown(ca: Authority) -> None:
    """Only the leaf can match there, so it protects nobody and saves nobody."""
    leaf = ca.issue(HOST)
    pins = PinSet([leaf.pin, ca.pin])
    served = [Served(HOST, [leaf.der, ca.credential.der])]
    assert codes(look(pins, leaf, served=served)) == ["unknown-pin"]
    chain = PinSet([leaf.pin, ca.pin], scope="chain")
    assert codes(look(chain, leaf, served=served)) == []


def test_a_host_whose_key_no_pin_is_of(www: Credential, spare: Credential, ca: Authority) -> None:
    """Its clients are locked out now; both ways out are in the plan."""
    other = ca.issue(HOST)
    report = look(PinSet(other.pin, spare.pin), www, other, spare)
    found = the(report, "not-pinned")
    assert (found.severity, found.pin, found.by) == ("lock-out", www.pin, TODAY)
    (switch,) = (step for step in report.steps if step.kind == "switch-key")
    assert (switch.date, switch.pin) == (TODAY, other.pin)

    fresh = look(PinSet(other.pin, spare.pin), www, other, spare, published=TODAY)
    (publish,) = (step for step in fresh.steps if (step.kind, step.date) == ("publish-pin", TODAY))
    assert (publish.date, publish.pin) == (TODAY, www.pin)


@pytest.mark.parametrize(
    ("in_days", "found"), [(10, True), (30, True), (44, True), (45, True), (46, False)]
)
def test_a_key_that_is_changed_before_its_pin_is_everywhere(
    www: Credential, spare: Credential, ca: Authority, in_days: int, found: bool
) -> None:
    """30 days for the clients, a day for the time of day, and 14 days before that a reminder."""
    new = ca.issue(HOST).pin
    change = Change(HOST, TODAY + in_days * DAY, new)
    report = look(PinSet(www.pin, spare.pin), www, spare, changes=[change])
    assert ("changes-too-soon" in codes(report)) == found
    if found:
        by = TODAY + (in_days - 31 if in_days >= 31 else in_days) * DAY
        assert the(report, "changes-too-soon").by == by
        assert the(report, "changes-too-soon").pin == new


def test_a_pin_that_was_published_too_late_for_the_change(
    www: Credential, spare: Credential, ca: Authority
) -> None:
    """The same when it is in the set already: what counts is when it was published."""
    new = ca.issue(HOST).pin
    pins = PinSet([www.pin, new], spare.pin)
    dates = {www.pin: LONG_AGO, spare.pin: LONG_AGO}
    change = [Change(HOST, TODAY + 10 * DAY, new)]
    late = look(pins, www, spare, changes=change, published=dates | {new: TODAY - 20 * DAY})
    assert codes(late) == ["changes-too-soon"]
    in_time = look(pins, www, spare, changes=change, published=dates | {new: TODAY - 21 * DAY})
    assert codes(in_time) == []
    assert codes(look(pins, www, spare, changes=change, published=None)) == ["changes-too-soon"]


def test_renewals_that_change_the_key(www: Credential, spare: Credential) -> None:
    """As most ACME clients do, unless they are told not to."""
    report = look(PinSet(www.pin, spare.pin), www, spare, days={"renewal_keeps_key": False})
    found = the(report, "changes-too-soon")
    assert found.by == TODAY + 31 * DAY
    assert "--reuse-key" in found.message


def test_the_pin_of_a_whole_certificate_ends_with_it(www: Credential, spare: Credential) -> None:
    """The next one's pin must be published before it is served."""
    pins = PinSet(Pin.from_certificate(www.der, "certificate"), spare.pin)
    ends = www.certificate.not_valid_after_utc.date()
    quiet = look(pins, www, spare, days={"client_update_days": 20})
    assert codes(quiet) == []
    (publish,) = (
        step
        for step in quiet.steps
        if step.kind == "publish-pin" and step.pin is None and step.date < TODAY + 300 * DAY
    )
    assert publish.date == ends - 21 * DAY
    assert codes(look(pins, www, spare, days={"client_update_days": 40})) == ["changes-too-soon"]


def test_the_pin_of_a_whole_certificate_that_ends_before_the_key_is_changed(
    www: Credential, spare: Credential
) -> None:
    """A change that is planned for later does not help the clients until then."""
    pins = PinSet(Pin.from_certificate(www.der, "certificate"), spare.pin)
    settings = {"days": {"client_update_days": 40}}
    later = [Change(HOST, TODAY + 100 * DAY)]
    assert codes(look(pins, www, spare, changes=later, **settings)) == ["changes-too-soon"]
    before = [Change(HOST, TODAY + 45 * DAY)]
    assert codes(look(pins, www, spare, changes=before, **settings)) == []


def test_dates_at_the_ends_of_the_calendar(www: Credential, spare: Credential) -> None:
    """Who writes 9999 means for ever."""
    ever = PinSet(www.pin, spare.pin, expires="9999-12-31")
    assert codes(look(ever, www, spare)) == []
    never = PinSet(www.pin, spare.pin, expires="0001-01-01")
    assert codes(look(never, www, spare)) == ["expired"]
    dates = {www.pin: datetime.date.max, spare.pin: datetime.date.min}
    assert look(ever, www, spare, published=dates).findings == ()
    assert [str(span.expires) for span in look(ever, www, spare).pins] == ["9999-12-31"] * 2
    far = {"client_update_days": 5_000_000}
    assert codes(look(ever, www, spare, days=far)) == ["expires-before-certificate"]


def test_a_set_that_ends_before_its_certificate(www: Credential, spare: Credential) -> None:
    """It refuses while the host is as it ever was; the date to act is the clients' time before."""
    ends = TODAY + 40 * DAY
    found = the(
        look(PinSet(www.pin, spare.pin, expires=ends), www, spare), "expires-before-certificate"
    )
    assert (found.severity, found.by) == ("lock-out", TODAY + 10 * DAY)
    lax = PinSet(www.pin, spare.pin, expires=ends, on_expiry="unpinned")
    assert codes(look(lax, www, spare)) == ["expires-unpinned"]


@pytest.mark.parametrize(("in_days", "found"), [(43, True), (44, True), (45, False), (60, False)])
def test_a_set_that_ends_sooner_than_a_new_one_arrives(
    ca: Authority, spare: Credential, in_days: int, found: bool
) -> None:
    """With a certificate that ends even sooner: renewals do not push this out of sight."""
    short = ca.issue(HOST, days=10)
    pins = PinSet(short.pin, spare.pin, expires=TODAY + in_days * DAY)
    assert (codes(look(pins, short, spare)) == ["expires-before-certificate"]) == found


def test_a_set_that_has_ended(www: Credential, spare: Credential) -> None:
    """On the minute, as the decision itself has it."""
    ended = TODAY - 5 * DAY
    pins = PinSet(www.pin, spare.pin, expires=ended)
    assert (the(look(pins, www, spare), "expired").severity) == "lock-out"
    assert codes(look(pins, www, spare)) == ["expired"]
    end = datetime.datetime.combine(ended + DAY, datetime.time(), datetime.UTC)
    assert codes(look(pins, www, spare, now=end)) == ["expired"]
    before = end - datetime.timedelta(seconds=1)
    assert codes(look(pins, www, spare, now=before)) == ["expires-before-certificate"]
    lax = PinSet(www.pin, spare.pin, expires=ended, on_expiry="unpinned")
    assert codes(look(lax, www, spare)) == ["expired-unpinned"]


# --- advice ---------------------------------------------------------------------------------------


def test_more_than_four_pins(www: Credential, spare: Credential, ca: Authority) -> None:
    """Four are not too many."""
    more = [ca.issue(HOST) for _ in range(3)]
    four = PinSet(www.pin, [spare.pin, *(key.pin for key in more[:2])])
    assert codes(look(four, www, spare, *more)) == []
    five = PinSet(www.pin, [spare.pin, *(key.pin for key in more)])
    assert the(look(five, www, spare, *more), "many-pins").severity == "advice"


def test_a_set_that_only_reports_for_long(www: Credential, spare: Credential) -> None:
    """From 30 days on, counted from the last change."""
    pins = PinSet(www.pin, spare.pin, report_only=True)
    assert codes(look(pins, www, spare, published=TODAY - 30 * DAY)) == []
    found = the(look(pins, www, spare, published=TODAY - 31 * DAY), "report-only")
    assert (found.severity, found.by) == ("advice", TODAY - DAY)
    recent = {www.pin: LONG_AGO, spare.pin: TODAY}
    assert codes(look(pins, www, spare, published=recent)) == []
    assert codes(look(pins, www, spare, published=None)) == ["report-only-not-dated"]


def test_a_backup_key_over_a_year_old(www: Credential, spare: Credential) -> None:
    """It is replaced first and retired when everybody has the new one's pin."""
    pins = PinSet(www.pin, spare.pin)
    young = look(pins, www, keys=[KeptKey(spare.pin, TODAY - 365 * DAY)])
    assert codes(young) == []
    report = look(pins, www, keys=[KeptKey(spare.pin, TODAY - 366 * DAY)])
    assert the(report, "old-backup").severity == "advice"
    steps = [(step.kind, step.date, step.pin) for step in report.steps]
    assert ("make-backup", TODAY, None) in steps
    assert ("publish-pin", TODAY, None) in steps
    assert ("retire-pin", TODAY + 31 * DAY, spare.pin) in steps


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.co.uk", True),
        ("**.co.uk", True),
        ("**.foo.ck", True),  # a rule with a star
        ("*.xn--55qx5d.cn", True),  # an A-label
        ("**.github.io", False),  # of the list's other section
        ("**.example.com", False),
        ("*.corp.internal", False),
    ],
)
def test_a_pattern_on_a_public_suffix(
    www: Credential, spare: Credential, pattern: str, found: bool
) -> None:
    """Of the ICANN section, without asking anybody."""
    report = look(PinSet(www.pin, spare.pin), None, spare, pattern=pattern, served=None)
    assert codes(report) == ["public-suffix"] * found


def test_chain_scope_on_a_public_authority(www: Credential, spare: Credential) -> None:
    """Seen by the pin itself; a private authority is none."""
    isrg_root_x1 = "sha256/C5+lpZ7tcVwmwQIMcRtPbsQtWLABXhQzejna0wHFr8M="
    pins = PinSet([www.pin, isrg_root_x1], spare.pin, scope="chain")
    assert codes(look(pins, None, spare, served=None)) == ["public-authority"]
    assert codes(look(PinSet(www.pin, spare.pin, scope="chain"), www, spare)) == []


def test_chain_scope_on_a_chain_that_ends_below_a_public_root(
    www: Credential, spare: Credential, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As servers send it: without the root."""
    import certifi

    public = Authority("a public root")
    below = Authority("an intermediate", public)
    leaf = below.issue(HOST)
    monkeypatch.setattr(certifi, "contents", lambda: public.pem)
    rotation_module._public_roots.cache_clear()
    try:
        pins = PinSet(below.pin, spare.pin, scope="chain")
        served = [Served(HOST, [leaf.der, below.credential.der])]
        assert codes(look(pins, leaf, spare, served=served)) == ["public-authority"]
        private = [Served(HOST, [www.der])]
        assert "public-authority" not in codes(
            look(PinSet(www.pin, spare.pin, scope="chain"), www, spare, served=private)
        )
    finally:
        monkeypatch.undo()
        rotation_module._public_roots.cache_clear()


# --- what could not be checked --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("library", "code"),
    [
        ("publicsuffixlist", "public-suffix-not-checked"),
        ("certifi", "public-authority-not-checked"),
    ],
)
def test_a_list_that_is_missing_is_said_and_is_no_pass(
    www: Credential,
    spare: Credential,
    monkeypatch: pytest.MonkeyPatch,
    library: str,
    code: str,
) -> None:
    """Without the extra a check that needs it does not seem to have been made."""
    lists = (rotation_module._public_suffixes, rotation_module._public_roots)
    for cached in lists:
        cached.cache_clear()
    monkeypatch.setitem(sys.modules, library, None)
    try:
        pattern = HOST if library == "certifi" else "**.co.uk"
        pins = PinSet(www.pin, spare.pin, scope="chain" if library == "certifi" else "leaf")
        report = look(pins, None, spare, pattern=pattern, served=None)
        assert codes(report) == [code]
        assert the(report, code).severity == "unchecked"
        assert library in the(report, code).message
    finally:
        for cached in lists:
            cached.cache_clear()


def test_a_host_that_nobody_has_seen_is_said(www: Credential, spare: Credential) -> None:
    """Its pins were compared with nothing, and that is no pass."""
    report = look(PinSet(www.pin, spare.pin), None, spare)
    assert codes(report) == ["no-certificate"]
    assert codes(look(PinSet(www.pin, spare.pin), None, spare, served=None)) == []


@pytest.mark.parametrize("garbage", [b"", b"no certificate", b"\x30\x03\x02\x01\x00"])
def test_a_host_that_shows_no_certificate_at_all(
    www: Credential, spare: Credential, garbage: bytes
) -> None:
    """Whatever a server sends, the review goes on."""
    chain = [garbage] if garbage else []
    report = look(PinSet(www.pin, spare.pin), None, spare, served=[Served(HOST, chain)])
    assert codes(report) == ["no-certificate"]


# --- which host, which pattern --------------------------------------------------------------------


def test_a_host_counts_for_the_pattern_that_wins(www: Credential, spare: Credential) -> None:
    """As on a connection: the exact name before a star."""
    policy = PinPolicy(
        {"www.a.example": PinSet(www.pin, None), "*.a.example": PinSet(spare.pin, None)}
    )
    served = [Served("WWW.a.example.", [www.der]), Served("b.a.example", [spare.der])]
    report = review(policy, NOW, served=served, keys=[])
    assert codes(report) == ["no-backup-on-purpose"] * 2
    assert {(span.host, span.pattern) for span in report.certificates} == {
        ("www.a.example", "www.a.example"),
        ("b.a.example", "*.a.example"),
    }


def test_two_hosts_below_one_pattern_are_each_compared(www: Credential, spare: Credential) -> None:
    """One that is not pinned is named."""
    policy = PinPolicy({"*.a.example": PinSet(www.pin, spare.pin)})
    served = [Served("x.a.example", [www.der]), Served("y.a.example", [Authority().credential.der])]
    report = review(policy, NOW, served=served, keys=[KeptKey(spare.pin)])
    assert codes(report) == ["not-pinned"]
    assert the(report, "not-pinned").message.startswith("y.a.example:")


def test_a_host_that_the_policy_does_not_have_is_an_error(www: Credential) -> None:
    """It would be reviewed without being pinned."""
    policy = PinPolicy({HOST: PinSet(www.pin, None)})
    with pytest.raises(InvalidPolicyError, match=r"other\.example"):
        review(policy, NOW, served=[Served("other.example", [www.der])])
    with pytest.raises(InvalidPolicyError, match=r"other\.example"):
        review(policy, NOW, changes=[Change("other.example")])


@pytest.mark.parametrize(
    "settings",
    [{"client_update_days": -1}, {"backups": 0}, {"max_pins": 1}, {"notice_days": 1.5}],
)
def test_thresholds_without_a_meaning_are_refused(settings: dict[str, Any]) -> None:
    """With the name of the one that was wrong."""
    with pytest.raises(InvalidPolicyError, match=next(iter(settings))):
        Thresholds(**settings)


def test_a_date_without_its_zone_is_refused(www: Credential) -> None:
    """It would be another day somewhere else."""
    policy = PinPolicy({HOST: PinSet(www.pin, None)})
    with pytest.raises(InvalidPolicyError, match="time zone"):
        review(policy, datetime.datetime(2026, 1, 1))


# --- as data --------------------------------------------------------------------------------------


def test_the_keys_of_the_json_are_those_that_are_documented(
    www: Credential, spare: Credential, nobodys: Pin
) -> None:
    """Programs stand on them."""
    pins = PinSet([www.pin, nobodys], spare.pin, labels={www.pin: "the 2026 key"})
    document = json.loads(json.dumps(look(pins, www, spare).as_json()))
    assert list(document) == ["now", "findings", "steps", "certificates", "pins"]
    assert keys_of(document["findings"]) == [
        "code",
        "severity",
        "host",
        "message",
        "action",
        "by",
        "pin",
    ]
    assert keys_of(document["steps"]) == ["kind", "host", "date", "action", "pin", "until"]
    assert keys_of(document["certificates"]) == [
        "host",
        "pattern",
        "subject",
        "pin",
        "not_before",
        "not_after",
    ]
    assert keys_of(document["pins"]) == [
        "pattern",
        "pin",
        "role",
        "label",
        "published",
        "reached",
        "expires",
    ]
    assert document["findings"][0]["by"] == str(TODAY)
    assert document["pins"][0]["label"] == "the 2026 key"
    assert [pin["role"] for pin in document["pins"]] == ["in use", "unknown", "backup"]


def keys_of(rows: Sequence[dict[str, Any]]) -> list[str]:
    assert rows
    return list(rows[0])
