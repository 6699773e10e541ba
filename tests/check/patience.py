"""How hypothesis is to treat a machine that has other work to do."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

#: Time says nothing here: the first example of a run also reads the packages' certificates.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
