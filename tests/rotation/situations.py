"""Policies, and whatever may be known of their hosts, for hypothesis."""

from __future__ import annotations

import datetime
from typing import Any

from hypothesis import strategies as st

from pinsock import PinPolicy, PinSet
from pinsock._throwaway import Authority
from pinsock.rotation import Change, KeptKey, Served, Thresholds

NOW = datetime.datetime.now(datetime.UTC)
TODAY = NOW.date()
DAY = datetime.timedelta(days=1)
HOSTS = ("a.www.example", "b.www.example")
CREDENTIALS = [Authority().issue("www.example", days=days) for days in (-3, 1, 20, 47, 90, 400)]
PINS = [credential.pin for credential in CREDENTIALS]

near = st.integers(-500, 500).map(lambda n: TODAY + n * DAY)
days = near | st.sampled_from([datetime.date.min, datetime.date.max])


@st.composite
def situations(draw: st.DrawFn) -> tuple[PinPolicy, dict[str, Any]]:
    """A policy with one pattern, and whatever may be known of its hosts."""
    listed = draw(st.lists(st.sampled_from(PINS), unique=True, min_size=1, max_size=6))
    cut = draw(st.integers(1, len(listed)))
    pin_set = PinSet(
        listed[:cut],
        listed[cut:] or draw(st.sampled_from([(), None])),
        scope=draw(st.sampled_from(["leaf", "chain"])),
        expires=draw(st.none() | days),
        on_expiry=draw(st.sampled_from(["refuse", "unpinned"])),
        report_only=draw(st.booleans()),
        _warn=False,
    )
    chains = st.sampled_from([*(credential.der for credential in CREDENTIALS), b"", b"0"])
    served = st.builds(Served, st.sampled_from(HOSTS), st.lists(chains, max_size=2))
    change = st.builds(
        Change,
        st.sampled_from([*HOSTS, "*.www.example"]),
        st.none() | days,
        st.none() | st.sampled_from(PINS),
        st.booleans(),
    )
    kept = st.builds(KeptKey, st.sampled_from(PINS), st.none() | days)
    thresholds = st.builds(
        Thresholds,
        client_update_days=st.integers(0, 100),
        notice_days=st.integers(0, 100),
        backups=st.integers(1, 3),
        renewal_keeps_key=st.booleans(),
    )
    return PinPolicy({"*.www.example": pin_set}), {
        "served": draw(st.none() | st.lists(served, max_size=3)),
        "keys": draw(st.none() | st.lists(kept, max_size=4)),
        "changes": draw(st.lists(change, max_size=2)),
        "published": draw(st.none() | days | st.dictionaries(st.sampled_from(PINS), days)),
        "thresholds": draw(thresholds),
    }
