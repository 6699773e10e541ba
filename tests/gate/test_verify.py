"""The decision itself: pins, certificates and a date in, a verdict out."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Literal

import pytest
from support.impostor import HOST

from pinsock import Outcome, Pin, PinSet, Verdict
from pinsock._verify import judge

if TYPE_CHECKING:
    from pinsock._throwaway import Authority, Credential

NOW = 1_800_000_000.0  # January 2027
LONG_AGO, LONG_AFTER = "2026-12-31", "2099-12-31"

NOT_DER = b"\x30\x80 and nothing that X.690 knows"


class Chain:
    """Certificates by the part that they play."""

    def __init__(self, authority: Authority, good: Credential, backup: Credential) -> None:
        self.good, self.backup, self.authority = good.der, backup.der, authority.credential.der
        self.other = authority.issue(HOST).der
        self.pins = {"pins": [good.pin], "backup": [backup.pin]}

    def of(self, shown: str) -> list[bytes]:
        return {
            "the pinned leaf": [self.good, self.authority],
            "the backup leaf": [self.backup, self.authority],
            "another leaf": [self.other, self.authority],
            "the pinned one above another leaf": [self.other, self.good],
            "the backup at the top": [self.other, self.authority, self.backup],
            "a leaf that is not DER": [NOT_DER, self.good],
            "no certificate": [],
        }[shown]


@pytest.fixture(scope="session")
def chain(authority: Authority, good: Credential, backup: Credential) -> Chain:
    return Chain(authority, good, backup)


#: What was shown, the scope, and what is found: the role of the pin and its place.
FOUND: list[tuple[str, Literal["leaf", "chain"], str | None, int | None]] = [
    ("the pinned leaf", "leaf", "pin", 0),
    ("the pinned leaf", "chain", "pin", 0),
    ("the backup leaf", "leaf", "backup", 0),
    ("the backup leaf", "chain", "backup", 0),
    ("another leaf", "leaf", None, None),
    ("another leaf", "chain", None, None),
    ("the pinned one above another leaf", "leaf", None, None),
    ("the pinned one above another leaf", "chain", "pin", 1),
    ("the backup at the top", "leaf", None, None),
    ("the backup at the top", "chain", "backup", 2),
    ("a leaf that is not DER", "leaf", None, None),
    ("a leaf that is not DER", "chain", "pin", 1),
    ("no certificate", "leaf", None, None),
    ("no certificate", "chain", None, None),
]
SETTINGS = list(
    itertools.product(
        [None, LONG_AFTER, LONG_AGO], ["refuse", "unpinned"], [False, True], [False, True]
    )
)


@pytest.mark.parametrize(("expires", "on_expiry", "report_only", "underneath"), SETTINGS)
@pytest.mark.parametrize(("shown", "scope", "role", "position"), FOUND)
def test_every_case_has_its_verdict(
    *,
    chain: Chain,
    good: Credential,
    backup: Credential,
    shown: str,
    scope: Any,
    role: str | None,
    position: int | None,
    expires: str | None,
    on_expiry: Any,
    report_only: bool,
    underneath: bool,
) -> None:
    """What was found is one thing; whether it is allowed another, and never without a match
    unless a certificate was shown and verification stands underneath.
    """
    pins = PinSet(
        good.pin,
        backup.pin,
        scope=scope,
        expires=expires,
        on_expiry=on_expiry,
        report_only=report_only,
    )
    certificates = chain.of(shown)
    verdict = judge(pins, HOST, certificates, NOW, underneath)

    pin = {"pin": good.pin, "backup": backup.pin, None: None}[role]
    assert (verdict.pin, verdict.position) == (pin, position)
    assert (verdict.host, verdict.time) == (HOST, NOW)
    if expires == LONG_AGO:
        assert verdict.outcome is Outcome.EXPIRED
        lenient = on_expiry == "unpinned"
    elif role is not None:
        assert verdict.outcome is (Outcome.MATCHED if role == "pin" else Outcome.MATCHED_BACKUP)
        assert verdict.allowed
        assert verdict.chain_pins == ()
        return
    else:
        assert verdict.outcome is Outcome.MISMATCH
        lenient = report_only
    assert verdict.allowed == (lenient and underneath and shown != "no certificate")
    if role is None:
        assert verdict.chain_pins == tuple(
            None if der == NOT_DER else Pin.from_certificate(der) for der in certificates
        )


def test_expiry_is_the_end_of_the_last_day(chain: Chain) -> None:
    """A set that expires on a day holds for all of it, in UTC."""
    pins = PinSet(**chain.pins, expires="2026-12-31")  # type: ignore[arg-type]
    midnight = 1_798_761_600.0  # 2027-01-01T00:00:00Z
    before = judge(pins, HOST, chain.of("the pinned leaf"), midnight - 0.001, True)
    after = judge(pins, HOST, chain.of("the pinned leaf"), midnight, True)
    assert before.outcome is Outcome.MATCHED
    assert after.outcome is Outcome.EXPIRED
    assert not after.allowed


def test_a_certificate_pin_matches_the_whole_certificate(
    authority: Authority, good: Credential
) -> None:
    """Another certificate of the same key is another certificate."""
    pins = PinSet(Pin.from_certificate(good.der, "certificate"), None)
    renewed = authority.issue(HOST, key=good.key)
    assert renewed.pin == good.pin
    assert judge(pins, HOST, [good.der], NOW, True).outcome is Outcome.MATCHED
    assert judge(pins, HOST, [renewed.der], NOW, True).outcome is Outcome.MISMATCH


def test_the_first_match_of_a_chain_is_the_one_that_counts(
    authority: Authority, good: Credential
) -> None:
    """Leaf first, whatever the order of the pins."""
    pins = PinSet([authority.pin, good.pin], scope="chain")
    verdict = judge(pins, HOST, [good.der, authority.credential.der], NOW, True)
    assert (verdict.pin, verdict.position) == (good.pin, 0)


def test_a_verdict_is_a_value(good: Credential) -> None:
    """Two verdicts of the same are equal, and neither can be changed."""
    pins = PinSet(good.pin, None)
    first, second = (judge(pins, HOST, [good.der], NOW, True) for _ in range(2))
    assert isinstance(first, Verdict)
    assert first == second
    assert hash(first) == hash(second)
    with pytest.raises(AttributeError):
        first.allowed = False  # type: ignore[misc]  # what is tested
