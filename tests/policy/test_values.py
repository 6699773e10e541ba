"""What a set holds, a file can hold: values are brought into such a form, or refused."""

from __future__ import annotations

import copy
import datetime
import pickle
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from check.patience import patient
from hypothesis import given
from hypothesis import strategies as st

from pinsock import InvalidPinError, Pin, PinPolicy, PinSet
from pinsock._throwaway import Authority

from .tools import a_pin, a_set

if TYPE_CHECKING:
    from collections.abc import Callable

PARIS = ZoneInfo("Europe/Paris")


class Moment(datetime.datetime):
    """Of a class of its own, which writes itself in its own way."""

    def isoformat(self, sep: str = "T", timespec: str = "auto") -> str:
        return f"{super().isoformat(sep, timespec)} o'clock"


class Day(datetime.date):
    def isoformat(self) -> str:
        return "today"


class Nowhere(datetime.tzinfo):
    """A zone that does not say where it is."""

    def utcoffset(self, _: datetime.datetime | None) -> None:
        return None

    def dst(self, _: datetime.datetime | None) -> None:
        return None

    def tzname(self, _: datetime.datetime | None) -> None:
        return None


def read_back(pins: PinSet) -> PinSet | None:
    return PinPolicy.from_toml(PinPolicy({"a.example": pins}).to_toml()).match("a.example")


MOMENTS = {
    "seconds from UTC": datetime.datetime(
        2027, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(seconds=-3601, microseconds=1))
    ),
    "local mean time": datetime.datetime(1890, 1, 1, tzinfo=PARIS),
    "a zone with a name": datetime.datetime(2027, 7, 1, 12, tzinfo=PARIS),
    "an hour that comes twice": datetime.datetime(2027, 10, 31, 2, 30, tzinfo=PARIS),
    "its second time": datetime.datetime(2027, 10, 31, 2, 30, tzinfo=PARIS, fold=1),
    "a class of its own": Moment(2027, 1, 1, tzinfo=datetime.UTC),
}


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
def test_every_moment_can_be_written_and_is_the_same_afterwards(moment: datetime.datetime) -> None:
    """Python's dates say more than TOML's; the moment is what counts."""
    pins = a_set(expires=moment)
    assert pins.expires_at == moment.timestamp()
    read = read_back(pins)
    assert read == pins
    assert read is not None
    assert read.expires_at == pins.expires_at
    assert pickle.loads(pickle.dumps(pins)) == pins  # noqa: S301 - our own bytes
    assert eval(repr(pins)) == pins  # noqa: S307 - our own text


def test_a_day_of_another_class_is_a_day() -> None:
    """The same day as any other."""
    assert a_set(expires=Day(2027, 1, 1)) == a_set(expires=datetime.date(2027, 1, 1))
    assert read_back(a_set(expires=Day(2027, 1, 1))) == a_set(expires="2027-01-01")


def test_a_moment_that_no_file_can_say_is_refused() -> None:
    """Seconds from UTC, and so near the end of all years that it has no UTC."""
    zone = datetime.timezone(datetime.timedelta(seconds=-1))
    with pytest.raises(InvalidPinError, match="9999"):
        a_set(expires=datetime.datetime.max.replace(tzinfo=zone))
    with pytest.raises(InvalidPinError, match="zone"):
        a_set(expires=datetime.datetime(2027, 1, 1, tzinfo=Nowhere()))


@patient
@given(st.text(st.characters()))
def test_a_text_comes_back_as_it_was_or_is_refused_at_once(text: str) -> None:
    """No file can hold half of a surrogate pair, so no note and no label has one."""
    for settings in ({"note": text}, {"labels": {a_pin(1): text}}):
        if any("\ud800" <= character <= "\udfff" for character in text):
            with pytest.raises(InvalidPinError, match="surrogate"):
                a_set(**settings)
        else:
            assert read_back(a_set(**settings)) == a_set(**settings)


def test_pins_and_sets_cannot_be_made_a_second_time() -> None:
    """What was checked, compared and hashed stays as it was."""
    pin, pins = a_pin(1), a_set(1)
    with pytest.raises(AttributeError, match="second time"):
        pin.__init__("certificate", bytes(32))  # type: ignore[misc]  # the case
    with pytest.raises(AttributeError, match="second time"):
        pins.__init__(a_pin(2), None, report_only=True)  # type: ignore[misc]  # the case
    assert pin == Pin("spki", (1).to_bytes(32, "big"))
    assert pins == a_set(1)
    assert not pins.report_only


CERTIFICATE = Authority().issue("a.example").der
KEY = Pin.from_certificate(CERTIFICATE)

#: What is asked of a set, each as the first thing that is.
QUESTIONS: dict[str, Callable[[PinSet], object]] = {
    "pins": lambda pins: pins.pins,
    "backup": lambda pins: pins.backup,
    "match": lambda pins: pins.match_certificate(CERTIFICATE),
    "equality": lambda pins: pins == PinSet([a_pin(1), KEY], [a_pin(2)]),
    "hash": hash,
    "repr": repr,
    "pickle": lambda pins: pickle.loads(pickle.dumps(pins)),  # noqa: S301 - our own bytes
    "copy": copy.copy,
    "what there is not": lambda pins: getattr(pins, "nothing", "nothing"),
}


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
@pytest.mark.parametrize("spare", [None, (), (a_pin(2),), (a_pin(2), KEY)], ids=str)
@pytest.mark.filterwarnings("ignore::pinsock.PinWarning")
def test_a_set_from_a_file_is_like_one_made_by_hand(
    question: Callable[[PinSet], object], spare: tuple[Pin, ...] | None
) -> None:
    """Its pins are made when they are first asked for, and it does not show."""
    in_use = [a_pin(1), a_pin(3)] if spare and KEY in spare else [a_pin(1), KEY]
    made = PinSet(in_use, spare)
    read = read_back(made)
    assert read is not None
    assert question(read) == question(made)
    assert read == made
    assert (read.pins, read.backup, read.no_backup) == (made.pins, made.backup, made.no_backup)
    assert read.match_certificate(CERTIFICATE) == KEY
    with pytest.raises(AttributeError, match="immutable"):
        read.pins = ()
