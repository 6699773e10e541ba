"""The plan as an iCalendar file (RFC 5545): one all-day event a step."""

from __future__ import annotations

import datetime
import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Final

from icalendar import Alarm, Calendar, Event

import pinsock

if TYPE_CHECKING:
    from pinsock.rotation import Report

__all__ = ["to_ics"]

_TITLES: Final = {
    "make-backup": "make a backup key",
    "publish-pin": "publish a pin",
    "extend-set": "publish the pins with a later date",
    "switch-key": "switch the key",
    "retire-pin": "retire a pin",
    "renew-certificate": "renew the certificate",
}


def to_ics(report: Report) -> bytes:
    """Each event keeps its identifier when the plan is made anew and only its day has changed."""
    calendar = Calendar()
    calendar.add("prodid", f"-//pinsock//pinsock {pinsock.__version__}//EN")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", "pinsock plan")
    seen: Counter[str] = Counter()
    for step in report.steps:
        if step.kind == "wait":
            continue
        what = f"{step.host} {step.kind} {step.pin}"
        seen[what] += 1
        event = Event()
        event.add("uid", f"{hashlib.sha256(f'{what} {seen[what]}'.encode()).hexdigest()}@pinsock")
        event.add("dtstamp", report.now)
        event.add("dtstart", step.date)  # without an end: that day (RFC 5545, section 3.6.1)
        event.add("summary", f"{step.host}: {_TITLES[step.kind]}")
        event.add("description", step.action + (f"\n{step.pin}" if step.pin else ""))
        event.add("transp", "TRANSPARENT")
        alarm = Alarm()
        alarm.add("action", "DISPLAY")
        alarm.add("description", f"{step.host}: {_TITLES[step.kind]}")
        alarm.add("trigger", datetime.timedelta(days=-1))
        event.add_component(alarm)
        calendar.add_component(event)
    text: bytes = calendar.to_ical()
    return text
