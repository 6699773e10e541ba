"""A report as rows on one axis of time: what the terminal and the HTML page draw."""

from __future__ import annotations

import datetime
from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from rich.text import Text

from pinsock._text import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pinsock._pins import Pin
    from pinsock.rotation import CertificateSpan, PinSpan, Report, Step

__all__ = ["Bar", "Timeline", "draw", "short"]

_DAY: Final = datetime.timedelta(days=1)
#: Days before and after today that are always shown, and the most that are.
_BEFORE, _AFTER, _MOST = 30, 60, 730


class Bar(NamedTuple):
    """A row: something that lasts."""

    pattern: str
    label: str
    kind: str
    """``certificate``, or the role of a pin."""
    start: datetime.date
    end: datetime.date
    reached: datetime.date | None
    """From when on everybody has it, if that is later than ``start``."""
    steps: tuple[datetime.date, ...]
    """Days of the steps that are about it."""


class Timeline(NamedTuple):
    """All bars, and the axis that they share."""

    start: datetime.date
    end: datetime.date
    today: datetime.date
    bars: tuple[Bar, ...]

    @classmethod
    def of(cls, report: Report) -> Timeline:
        today = report.now.date()
        days = [step.until or step.date for step in report.steps]
        days += [span.not_after.date() for span in report.certificates]
        days += [span.reached for span in report.pins if span.reached is not None]
        last = min(max([*days, today + _AFTER * _DAY]), today + _MOST * _DAY)
        begins = [span.not_before.date() for span in report.certificates]
        first = max(min([*begins, today - _BEFORE * _DAY]), today - 2 * _BEFORE * _DAY)
        return cls(first, last + 3 * _DAY, today, tuple(_bars(report, first, last + 3 * _DAY)))

    def place(self, day: datetime.date) -> float:
        """Where a day is on the axis, from 0 to 1; days beyond an end are at that end."""
        return min(max((day - self.start) / (self.end - self.start), 0.0), 1.0)

    def ticks(self, most: int) -> Iterator[datetime.date]:
        """Beginnings of months, so many at most."""
        months = [
            datetime.date(year, month, 1)
            for year in range(self.start.year, self.end.year + 1)
            for month in range(1, 13)
        ]
        shown = [day for day in months if self.start <= day <= self.end]
        yield from shown[:: -(-len(shown) // most) or 1]


def short(pin: Pin) -> str:
    """The beginning of a pin, for people, who compare it with what they see elsewhere."""
    return f"{str(pin)[:17]}..."


def _bars(report: Report, first: datetime.date, last: datetime.date) -> Iterator[Bar]:
    certificates: defaultdict[str, list[CertificateSpan]] = defaultdict(list)
    pins_of: defaultdict[str, list[PinSpan]] = defaultdict(list)
    steps_of: defaultdict[str, list[Step]] = defaultdict(list)
    for span in report.certificates:
        certificates[span.pattern].append(span)
    for pin in report.pins:
        pins_of[pin.pattern].append(pin)
    for step in report.steps:
        steps_of[step.host].append(step)
    for pattern, pins in pins_of.items():
        for span in certificates[pattern]:
            yield Bar(
                pattern,
                f"certificate of {safe_text(span.host)}",
                "certificate",
                max(span.not_before.date(), first),
                min(span.not_after.date(), last),
                None,
                (),
            )
        steps = steps_of[pattern]
        for pin in pins:
            mine = [step for step in steps if step.pin == pin.pin]
            ends = [step.date for step in mine if step.kind == "retire-pin"]
            start = max(pin.published or first, first)
            yield Bar(
                pattern,
                f"{pin.role}: {pin.label or short(pin.pin)}",
                pin.role,
                start,
                max(min([*ends, pin.expires or last, last]), start),
                pin.reached if pin.reached is not None and pin.reached > start else None,
                tuple(step.date for step in mine if step.kind != "renew-certificate"),
            )
        yield from _new(pattern, steps, {pin.pin for pin in pins}, last)


def _new(pattern: str, steps: list[Step], known: set[Pin], last: datetime.date) -> Iterator[Bar]:
    """Pins that the policy does not have yet."""
    waits = [step.until for step in steps if step.kind == "wait"]
    for step in steps:
        if step.kind == "publish-pin" and step.pin not in known and step.date < last:
            mine = [step.date]
            if step.pin is not None:
                mine = [other.date for other in steps if other.pin == step.pin]
            name = "backup to be made" if step.pin is None else f"next: {short(step.pin)}"
            reached = min((day for day in waits if day and day > step.date), default=None)
            yield Bar(pattern, name, "new", step.date, last, reached, tuple(mine))


# --- the terminal ---------------------------------------------------------------------------------

_STYLES: Final = {
    "certificate": "blue",
    "in use": "green",
    "backup": "cyan",
    "next": "magenta",
    "new": "magenta",
    "unknown": "red",
    "listed": "green",
}
#: Of a bar, of one that has not reached everybody, of a step, of today; and in ASCII.
_GLYPHS: Final = ("━", "╌", "◆", "│")
_ASCII: Final = ("=", "-", "*", "|")


def draw(timeline: Timeline, width: int, encoding: str) -> Iterator[Text]:
    """Lines for a terminal that is so wide."""
    try:
        "".join(_GLYPHS).encode(encoding)
        bar, coming, mark, now = _GLYPHS
    except UnicodeError:
        bar, coming, mark, now = _ASCII
    labels = min(max((len(row.label) for row in timeline.bars), default=0), width // 3)
    room = max(width - labels - 3, 20)

    def column(day: datetime.date) -> int:
        return min(int(timeline.place(day) * room), room - 1)

    axis = [" "] * room
    for day in timeline.ticks(max(room // 12, 1)):
        text = f"{day:%Y-%m}"
        at = column(day)
        if at + len(text) <= room and axis[max(at - 1, 0) : at + len(text)].count(" ") >= len(text):
            axis[at : at + len(text)] = text
    yield Text(" " * (labels + 2) + "".join(axis), "dim")
    pattern = ""
    for row in timeline.bars:
        if row.pattern != pattern:
            pattern = row.pattern
            yield Text(safe_text(pattern), "bold")
        cells = [" "] * room
        for at in range(column(row.start), column(row.end) + 1):
            cells[at] = bar
        if row.reached is not None:
            for at in range(column(row.start), column(row.reached)):
                cells[at] = coming
        if cells[column(timeline.today)] in {" ", bar, coming}:
            cells[column(timeline.today)] = now
        for day in row.steps:
            cells[column(day)] = mark
        name = row.label if len(row.label) <= labels else f"{row.label[: labels - 3]}..."
        yield Text.assemble(f"{name:<{labels}}  ", ("".join(cells), _STYLES[row.kind]))
    yield Text(
        f"{now} today   {coming} on its way to the clients   {mark} a step of the plan", "dim"
    )
