"""What mutation testing found to be held by no other quick test (``python -m tests.mutation``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pinsock import Outcome, PinSet
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
