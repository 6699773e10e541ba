"""The plan: what to do on which day."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pinsock import PinSet
from pinsock.rotation import Change, KeptKey

from .test_findings import DAY, HOST, LONG_AGO, TODAY, look

if TYPE_CHECKING:
    import datetime

    from pinsock import Pin
    from pinsock._throwaway import Authority, Credential
    from pinsock.rotation import Report


@pytest.fixture(scope="module")
def ca() -> Authority:
    from pinsock._throwaway import Authority

    return Authority("an authority")


@pytest.fixture(scope="module")
def www(ca: Authority) -> Credential:
    return ca.issue(HOST, days=47)


@pytest.fixture(scope="module")
def spare(ca: Authority) -> Credential:
    return ca.issue(HOST, days=47)


def steps(report: Report) -> list[tuple[str, datetime.date, Pin | None]]:
    """Without renewals, and without what comes in a year."""
    return [
        (step.kind, step.date, step.pin)
        for step in report.steps
        if step.kind != "renew-certificate" and step.date < TODAY + 300 * DAY
    ]


def test_a_change_to_the_backup_key(www: Credential, spare: Credential) -> None:
    """The next backup is there before the present one is used up."""
    change = [Change(HOST, TODAY + 100 * DAY)]
    report = look(PinSet(www.pin, spare.pin), www, spare, changes=change)
    begin, on = TODAY + 69 * DAY, TODAY + 100 * DAY
    assert steps(report) == [
        ("make-backup", begin, None),
        ("publish-pin", begin, None),
        ("wait", begin, None),
        ("switch-key", on, spare.pin),
        ("retire-pin", on, www.pin),
    ]
    (wait,) = (step for step in report.steps if step.kind == "wait")
    assert wait.until == on


def test_a_change_that_comes_too_soon_is_put_off(
    www: Credential, spare: Credential, ca: Authority
) -> None:
    """To the first day on which everybody has the pin; it is published today."""
    new = ca.issue(HOST).pin
    change = [Change(HOST, TODAY + 3 * DAY, new)]
    report = look(PinSet(www.pin, spare.pin), www, spare, changes=change)
    on = TODAY + 31 * DAY
    assert steps(report) == [
        ("publish-pin", TODAY, new),
        ("wait", TODAY, None),
        ("switch-key", on, new),
        ("retire-pin", on, www.pin),
    ]


def test_a_change_to_a_key_that_everybody_knows_goes_ahead(
    www: Credential, spare: Credential, ca: Authority
) -> None:
    """And once the host has the key, only the old pin is left to retire."""
    new = ca.issue(HOST)
    pins = PinSet([www.pin, new.pin], spare.pin)
    change = [Change(HOST, TODAY, new.pin)]
    assert steps(look(pins, www, spare, changes=change)) == [
        ("switch-key", TODAY, new.pin),
        ("retire-pin", TODAY, www.pin),
    ]
    assert steps(look(pins, new, spare, changes=change)) == [("retire-pin", TODAY, www.pin)]


def test_a_lost_key_is_replaced_at_once(www: Credential, spare: Credential) -> None:
    """By the backup key, and the next backup is made on the same day."""
    change = [Change(HOST, urgent=True)]
    report = look(PinSet(www.pin, spare.pin), www, spare, changes=change)
    assert steps(report) == [
        ("make-backup", TODAY, None),
        ("publish-pin", TODAY, None),
        ("switch-key", TODAY, spare.pin),
        ("retire-pin", TODAY, www.pin),
        ("wait", TODAY, None),
    ]
    (switch,) = (step for step in report.steps if step.kind == "switch-key")
    assert "locked out" not in switch.action


def test_a_lost_key_without_a_backup_says_who_is_locked_out(www: Credential) -> None:
    """There is no good way out, and the plan does not pretend."""
    change = [Change(HOST, urgent=True)]
    report = look(PinSet(www.pin, None), www, changes=change)
    (switch,) = (step for step in report.steps if step.kind == "switch-key")
    assert (switch.date, switch.pin) == (TODAY, None)
    assert f"up to {TODAY + 31 * DAY}, are locked out" in switch.action


def test_a_lost_key_is_replaced_by_the_spare_key_that_is_everywhere(
    www: Credential, spare: Credential, ca: Authority
) -> None:
    """Not by the newest."""
    new = ca.issue(HOST)
    dates = {www.pin: LONG_AGO, new.pin: TODAY - 2 * DAY, spare.pin: TODAY - 60 * DAY}
    report = look(
        PinSet(www.pin, [new.pin, spare.pin]),
        www,
        spare,
        new,
        changes=[Change(HOST, urgent=True)],
        published=dates,
    )
    (switch,) = (step for step in report.steps if step.kind == "switch-key")
    assert switch.pin == spare.pin


def test_a_backup_that_is_missing_is_made_today_even_if_a_change_is_far_off(
    www: Credential, spare: Credential, ca: Authority
) -> None:
    """Until then a lost key would lock everybody out."""
    change = [Change(HOST, TODAY + 100 * DAY, ca.issue(HOST).pin)]
    report = look(PinSet(www.pin, spare.pin), www, changes=change)
    assert steps(report)[:3] == [
        ("make-backup", TODAY, None),
        ("publish-pin", TODAY, None),
        ("retire-pin", TODAY, spare.pin),
    ]


def test_as_many_backups_are_made_as_are_asked_for(www: Credential, spare: Credential) -> None:
    """Each lost key uses one up."""
    report = look(PinSet(www.pin, spare.pin), www, spare, days={"backups": 3})
    assert [kind for kind, _, _ in steps(report)].count("make-backup") == 2


def test_a_set_is_extended_before_it_ends(www: Credential, spare: Credential) -> None:
    """By as many days as clients take, and one."""
    report = look(PinSet(www.pin, spare.pin, expires=TODAY + 200 * DAY), www, spare)
    assert steps(report) == [("extend-set", TODAY + 170 * DAY, None)]


def test_a_backup_key_is_replaced_on_the_day_that_it_is_too_old(
    www: Credential, spare: Credential
) -> None:
    """The plan says so long before it is a finding."""
    keys = [KeptKey(spare.pin, TODAY - 300 * DAY)]
    report = look(PinSet(www.pin, spare.pin), www, keys=keys)
    day = TODAY + 66 * DAY
    assert report.findings == ()
    assert steps(report) == [
        ("make-backup", day, None),
        ("publish-pin", day, None),
        ("wait", day, None),
        ("retire-pin", day + 31 * DAY, spare.pin),
    ]


def test_one_change_at_a_time_and_the_urgent_one_first(
    www: Credential, spare: Credential, ca: Authority
) -> None:
    """The other is planned when this one is done."""
    new = ca.issue(HOST)
    later = Change(HOST, TODAY + 40 * DAY, new.pin)
    report = look(
        PinSet(www.pin, spare.pin), www, spare, changes=[later, Change(HOST, urgent=True)]
    )
    switches = [step.pin for step in report.steps if step.kind == "switch-key"]
    assert switches == [spare.pin]


def test_only_the_changed_hosts_pin_is_retired(
    www: Credential, spare: Credential, ca: Authority
) -> None:
    """Where one pattern covers several hosts with a key each."""
    from pinsock import PinPolicy
    from pinsock.rotation import Served, review

    from .test_findings import NOW

    other = ca.issue("b.a.example")
    policy = PinPolicy({"*.a.example": PinSet([www.pin, other.pin], spare.pin)})
    report = review(
        policy,
        NOW,
        served=[Served("a.a.example", [www.der]), Served("b.a.example", [other.der])],
        keys=[KeptKey(spare.pin)],
        changes=[Change("b.a.example", urgent=True)],
        published=LONG_AGO,
    )
    assert [step.pin for step in report.steps if step.kind == "retire-pin"] == [other.pin]


@pytest.mark.parametrize("urgent", [True, False])
def test_a_key_that_two_patterns_share_is_changed_for_both(
    www: Credential, spare: Credential, ca: Authority, urgent: bool
) -> None:
    """One server may answer for both; and who has stolen the key has stolen it for both."""
    from pinsock import PinPolicy
    from pinsock.rotation import Served, review

    from .test_findings import NOW

    second, own = ca.issue("b.example"), ca.issue("c.example")
    policy = PinPolicy(
        {
            HOST: PinSet(www.pin, spare.pin),
            "b.example": PinSet(www.pin, second.pin),
            "c.example": PinSet(own.pin, spare.pin),
        }
    )
    report = review(
        policy,
        NOW,
        served=[
            Served(HOST, [www.der]),
            Served("b.example", [www.der]),
            Served("c.example", [own.der]),
        ],
        keys=[KeptKey(spare.pin), KeptKey(second.pin)],
        changes=[Change(HOST, TODAY + 100 * DAY, None if urgent else spare.pin, urgent)],
        published=LONG_AGO,
    )
    found = {(step.kind, step.host, step.pin) for step in report.steps}
    assert {("retire-pin", HOST, www.pin), ("retire-pin", "b.example", www.pin)} <= found
    # The other host's clients know its own backup key; who has time tells them of the new one.
    assert ("switch-key", "b.example", second.pin if urgent else spare.pin) in found
    assert (("publish-pin", "b.example", spare.pin) in found) is not urgent
    assert not any(host == "c.example" for _, host, pin in found if pin == www.pin)
    assert not any(kind == "switch-key" for kind, host, _ in found if host == "c.example")


def test_what_is_wanted_for_a_pattern_itself_stands(www: Credential, spare: Credential) -> None:
    """Two servers with one key: each may change on a day of its own."""
    from pinsock import PinPolicy
    from pinsock.rotation import Served, review

    from .test_findings import NOW

    pins = PinSet(www.pin, spare.pin)
    days = {HOST: TODAY + 100 * DAY, "b.example": TODAY + 200 * DAY}
    report = review(
        PinPolicy(dict.fromkeys(days, pins)),
        NOW,
        served=[Served(host, [www.der]) for host in days],
        keys=[KeptKey(spare.pin)],
        changes=[Change(host, day) for host, day in days.items()],
        published=LONG_AGO,
    )
    assert {s.host: s.date for s in report.steps if s.kind == "switch-key"} == days


def test_what_was_seen_once_is_no_order(www: Credential, spare: Credential, ca: Authority) -> None:
    """A server that was not looked at may have the old key, and who answered may be somebody else:
    what follows from that is conditional."""
    from pinsock.rotation import Served

    other = ca.issue(HOST)
    report = look(PinSet(www.pin, spare.pin), None, served=[Served(HOST, [other.der])], keys=[])
    actions = {(step.kind, step.pin): step.action for step in report.steps}
    for unseen in (www, spare):
        assert "if its key is on no server at all" in actions["retire-pin", unseen.pin]
    assert "once its owner has confirmed it" in actions["publish-pin", other.pin]


def test_no_pin_is_retired_that_a_host_may_have_that_was_not_reached(
    www: Credential, spare: Credential, ca: Authority
) -> None:
    """Its clients would be locked out; that the pin is of no key that was seen is said all the
    same, and of whom nothing was seen."""
    from pinsock.rotation import Served

    other = ca.issue("b.www.example")
    a, b = Served("a.www.example", [www.der]), Served("b.www.example", [])
    pins = PinSet([www.pin, other.pin], spare.pin)
    for served, retired in (([a], [other.pin, spare.pin]), ([a, b], [])):
        report = look(pins, None, pattern="*.www.example", served=served, keys=[])
        assert [step.pin for step in report.steps if step.kind == "retire-pin"] == retired
        assert [finding.code for finding in report.lock_outs] == ["unknown-pin", "backup-not-kept"]
        (unknown, _) = report.lock_outs
        assert ("b.www.example was not reached" in unknown.message) is (b in served)


def test_a_change_waits_for_the_next_backup(www: Credential, spare: Credential) -> None:
    """Although everybody has the pin of the key that it changes to."""
    change = [Change(HOST, TODAY + 10 * DAY)]
    report = look(PinSet(www.pin, spare.pin), www, spare, changes=change)
    assert report.findings == ()
    on = TODAY + 31 * DAY
    assert steps(report) == [
        ("make-backup", TODAY, None),
        ("publish-pin", TODAY, None),
        ("wait", TODAY, None),
        ("switch-key", on, spare.pin),
        ("retire-pin", on, www.pin),
    ]


def test_no_backup_is_made_where_there_is_none_on_purpose(www: Credential, ca: Authority) -> None:
    """The file says so; the change itself still waits for its pin."""
    pins = PinSet(www.pin, None)
    assert steps(look(pins, www)) == []
    new = ca.issue(HOST).pin
    on = TODAY + 31 * DAY
    change = [Change(HOST, TODAY + 5 * DAY, new)]
    assert steps(look(pins, www, changes=change)) == [
        ("publish-pin", TODAY, new),
        ("wait", TODAY, None),
        ("switch-key", on, new),
        ("retire-pin", on, www.pin),
    ]
    unnamed = [Change(HOST, TODAY + 5 * DAY)]
    assert [kind for kind, _, _ in steps(look(pins, www, changes=unnamed))] == [
        "make-backup",
        "publish-pin",
        "wait",
        "switch-key",
        "retire-pin",
    ]


def test_hosts_are_compared_however_they_are_written(www: Credential, spare: Credential) -> None:
    """The change is of the host that is served under another spelling."""
    change = [Change("WWW.example.", urgent=True)]
    report = look(PinSet(www.pin, spare.pin), www, spare, changes=change)
    assert [step.pin for step in report.steps if step.kind == "retire-pin"] == [www.pin]
