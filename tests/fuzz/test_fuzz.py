"""Pin texts, policies and STARTTLS answers that are nearly right, or nothing like it."""

from __future__ import annotations

import time
import tracemalloc
from random import Random

import pytest
from check.patience import patient
from hypothesis import given
from hypothesis import strategies as st

from pinsock.cli._starttls import Plain

from .mutation import mutated
from .targets import PROTOCOLS, SEEDS, TARGETS

INPUTS = {"pin-text": 3_000, "policy": 1_000, "starttls": 400}


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_nearly_right_ends_well_or_in_the_documented_error(target: str) -> None:
    """The same inputs each time; ``python -m tests.fuzz`` has as many as there is time for."""
    random = Random(9)  # noqa: S311 - to be repeated
    for seed in SEEDS[target]:
        TARGETS[target](seed)
    for _ in range(INPUTS[target]):
        data = mutated(random, SEEDS[target])
        try:
            TARGETS[target](data)
        except BaseException as error:
            error.add_note(f"{data!r}")
            raise


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_seeds_of_starttls_come_to_the_go_ahead(
    protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the mutations of them would reach nothing."""
    ended: list[str] = []
    monkeypatch.setattr(Plain, "end", lambda _: ended.append(protocol))
    TARGETS["starttls"](SEEDS["starttls"][PROTOCOLS.index(protocol)])
    assert ended == [protocol]


@pytest.mark.parametrize("target", TARGETS)
@patient
@given(data=st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_anything_ends_well_or_in_the_documented_error(target: str, data: bytes) -> None:
    """Bytes that nobody has thought of."""
    TARGETS[target](data)


#: Bytes that are long and go on alike.
LONG = [b"sha256/", b"3 1 1 ", b";", b"A", b"[", b"[[", b'"', b"a=", b"a.", b'"a".', b"{a=", b"\n"]
LONG += [b"[[pin]]\n", b"[a]\n", b"* ", b"220-\r\n", b"+", b"\x80", b"<", b"\xc3\xa4", b"= [", b"#"]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("piece", LONG, ids=repr)
def test_long_input_takes_a_bounded_time_and_memory(target: str, piece: bytes) -> None:
    """50,000 bytes: five seconds at most on a machine that is busy, and 50 MB."""
    data = (piece * 50_000)[:50_000]
    tracemalloc.start()
    try:
        began = time.process_time()
        if target == "starttls":
            for number in range(len(PROTOCOLS)):
                TARGETS[target](bytes([number]) + data)
        else:
            TARGETS[target](data)
        assert time.process_time() - began < 5.0
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()
