"""Whatever it is given, a review ends, and its plan keeps to its own rules."""

from __future__ import annotations

import datetime
import json
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings

from pinsock.rotation import LOCK_OUTS, Report, review

from .situations import DAY, NOW, TODAY, situations

if TYPE_CHECKING:
    from pinsock import PinPolicy


@settings(max_examples=300, deadline=None)
@given(situations())
def test_a_review_ends_and_says_things_that_can_be_done(
    situation: tuple[PinPolicy, dict[str, Any]],
) -> None:
    """No step in the past, no lock-out without its day, the same answer to the same question."""
    policy, known = situation
    report = review(policy, NOW, **known)
    assert report == review(policy, NOW, **known)
    assert json.loads(json.dumps(report.as_json()))["now"] == NOW.isoformat()
    assert all(step.date >= TODAY for step in report.steps)
    assert all(step.until is None or step.until >= step.date for step in report.steps)
    assert [step.date for step in report.steps] == sorted(step.date for step in report.steps)
    for finding in report.findings:
        assert (finding.severity == "lock-out") == (finding.code in LOCK_OUTS)
        assert finding.by is not None or finding.severity != "lock-out"
    check_rules(policy, known, report)


def check_rules(policy: PinPolicy, known: dict[str, Any], report: Report) -> None:
    """A key goes on a server when its pin is everywhere, if it can be waited for."""
    ((_, pin_set),) = policy.items()
    if any(change.urgent for change in known["changes"]):
        return
    published = known["published"]
    wait = (known["thresholds"].client_update_days + 1) * DAY
    for step in report.steps:
        if step.kind != "switch-key":
            continue
        if step.pin in pin_set.pins + pin_set.backup:
            day = published.get(step.pin) if isinstance(published, dict) else published
            if day != datetime.date.max:  # not within this calendar
                assert step.date - wait >= (day or TODAY)
        else:
            publications = [
                other.date
                for other in report.steps
                if other.kind == "publish-pin" and other.pin == step.pin
            ]
            if step.date != datetime.date.max:
                assert step.date - wait >= min(publications)
