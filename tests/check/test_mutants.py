"""What mutation testing found to be held by no other quick test (``python -m tests.mutation``)."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import pytest

from pinsock import InvalidPinError, Outcome, Pin, PinSet
from pinsock._pins import show
from pinsock._verify import judge

if TYPE_CHECKING:
    from pinsock._throwaway import Credential


def test_an_unlisted_host_is_not_allowed_unless_that_is_said(good: Credential) -> None:
    """Whoever leaves the argument out has not allowed it."""
    verdict = judge(None, "server.example", [good.der], 0.0, True)
    assert (verdict.outcome, verdict.allowed) == (Outcome.UNLISTED, False)
    assert judge(None, "server.example", [good.der], 0.0, True, True).allowed


@pytest.mark.parametrize("certificates", [0, 1], ids=["no certificate", "a certificate"])
def test_report_only_lets_nobody_pass_without_a_certificate(
    good: Credential, bad: Credential, certificates: int
) -> None:
    """An empty chain is never a pass, whatever stands underneath."""
    pins = PinSet(good.pin, None, report_only=True)
    verdict = judge(pins, "server.example", [bad.der][:certificates], 0.0, True)
    assert (verdict.outcome, verdict.allowed) == (Outcome.MISMATCH, certificates == 1)


def test_a_pin_leaves_the_comparison_with_other_things_to_them() -> None:
    """As Python has it: whoever can compare himself with a pin is asked."""

    class LikeEverything:
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]  # none is needed

    pin = Pin("spki", bytes(range(32)))
    assert pin == LikeEverything()
    assert (pin == "sha256/") is False


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("x" * 78, "'" + "x" * 78 + "'"),
        ("x" * 79, "'" + "x" * 76 + "..."),
        ("\u2028", r"'\u2028'"),
        (10**5000, "int"),
    ],
    ids=["80 characters", "81 characters", "a line separator", "more digits than Python writes"],
)
def test_what_was_given_is_shown_in_at_most_80_characters(value: object, shown: str) -> None:
    """The quotes are among them."""
    assert show(value) == shown


@pytest.mark.parametrize(
    ("length", "what"),
    [
        (16, "an MD5 digest has 16: that hash is broken"),
        (20, "a SHA-1 digest has 20: that hash is broken"),
        (28, "a SHA-224 digest has 28"),
        (48, "a SHA-384 digest has 48"),
        (64, "a SHA-512 digest has 64"),
        (0, "nothing was given"),
        (31, "it was cut or is not a digest"),
        (33, "it was cut or is not a digest"),
    ],
)
def test_a_digest_of_another_length_is_told_what_it_may_be(length: int, what: str) -> None:
    """The usual ones by their names."""
    with pytest.raises(InvalidPinError, match=rf"has {length} bytes, .* of 32 \({what}\)"):
        Pin("spki", b"\1" * length)


@pytest.mark.parametrize(
    ("label", "why"), [("\ud800", "its character 0 is a lone surrogate"), (7, "is a str, not int")]
)
def test_a_label_that_no_file_could_hold_is_refused(label: object, why: str) -> None:
    """The error names the pin that it is of; any other text is taken."""
    pin = Pin("spki", bytes(range(32)))
    with pytest.raises(InvalidPinError, match=f"the label of {pin}.*{why}"):
        PinSet(pin, None, labels={pin: label})  # type: ignore[dict-item]  # the case
    assert PinSet(pin, None, labels={pin: "Schlüssel 1"}).labels == {pin: "Schlüssel 1"}


def test_an_expiry_keeps_its_zone_and_loses_the_fold() -> None:
    """Nepal's is 345 minutes from UTC; a file has no second half past two."""
    pin = Pin("spki", bytes(range(32)))
    nepal = PinSet(pin, None, expires="2027-03-31T12:00:00+05:45").expires
    assert isinstance(nepal, datetime.datetime)
    assert nepal.isoformat() == "2027-03-31T12:00:00+05:45"
    twice = datetime.datetime(2027, 3, 31, 2, 30, tzinfo=datetime.UTC, fold=1)
    once = PinSet(pin, None, expires=twice).expires
    assert isinstance(once, datetime.datetime)
    assert (once, once.fold) == (twice, 0)
