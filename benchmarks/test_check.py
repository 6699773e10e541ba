"""The check, timed way by way (pytest-benchmark).

With a busy second thread what counts is the mean, which is the total time by the number of calls:
a call that has to wait for the GIL now and then is rare and long, and no minimum shows it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, cast

import pytest

from benchmarks.check import KEYS, WAYS, subject
from benchmarks.interleaved import Alternative, busy_threads, mean

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_benchmark.fixture import BenchmarkFixture

    #: pytest-benchmark has types, but not for this.
    Pedantic = Callable[..., object]

pytestmark = pytest.mark.parametrize("key", KEYS)


def bare_hash(spki: bytes) -> bytes:
    """The floor: no check that hashes with hashlib costs less."""
    return hashlib.sha256(spki).digest()


def test_bare_hash(benchmark: BenchmarkFixture, key: str) -> None:
    """SHA-256 of the key's bytes alone."""
    benchmark.group = f"{key}, idle"
    spki = subject(key).spki
    assert benchmark(bare_hash, spki) == hashlib.sha256(spki).digest()


@pytest.mark.parametrize("way", WAYS)
def test_idle(benchmark: BenchmarkFixture, key: str, way: str) -> None:
    """Nothing else runs."""
    benchmark.group = f"{key}, idle"
    der, _, ways = subject(key)
    assert benchmark(ways[way], der)


@pytest.mark.parametrize("way", WAYS)
def test_beside_a_busy_thread(benchmark: BenchmarkFixture, key: str, way: str) -> None:
    """A second thread runs Python without a rest; compare the means."""
    benchmark.group = f"{key}, one busy thread"
    der, _, ways = subject(key)
    calls = 1
    if benchmark.enabled:
        expected = mean(Alternative("f(der)", {"f": ways[way], "der": der}, busy=1))
        # Where the GIL is given away a later round may be a hundred times as slow.
        calls = min(10_000, max(1, round(0.05 / expected)))
    pedantic = cast("Pedantic", benchmark.pedantic)
    with busy_threads():
        assert pedantic(ways[way], args=(der,), iterations=calls, rounds=20)
