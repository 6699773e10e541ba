"""Finding a digest in the packed table: only whole rows match."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .backends import BACKENDS, each_backend
from .patience import patient

if TYPE_CHECKING:
    from types import ModuleType

#: 64 rows; all their bytes differ from those of the rows around them.
ROWS = [bytes((7 * row + 13 * place) % 256 for place in range(32)) for row in range(64)]


@pytest.mark.parametrize("rows", range(1, 65))
@each_backend
def test_a_digest_is_found_at_every_row_of_every_table(backend: ModuleType, rows: int) -> None:
    """The index is that of the row, in tables of 1 to 64 rows."""
    table = b"".join(ROWS[:rows])
    found = [backend.find_digest(table, rows, digest) for digest in ROWS]
    assert found == [*range(rows), *[-1] * (64 - rows)]


@each_backend
def test_a_digest_that_lies_across_two_rows_is_not_found(backend: ModuleType) -> None:
    """The 32 bytes are there, but they are no row."""
    table = b"".join(ROWS)
    for start in range(len(table) - 31):
        row, across = divmod(start, 32)
        expected = -1 if across else row
        assert backend.find_digest(table, 64, table[start : start + 32]) == expected


@each_backend
def test_a_digest_that_shares_all_but_one_bit_with_a_row_is_not_found(backend: ModuleType) -> None:
    """Neither a prefix nor a suffix is enough, up to the last bit."""
    table = b"".join(ROWS[:3])
    for bit in range(256):
        near = int.from_bytes(ROWS[1], "big") ^ 1 << bit
        assert backend.find_digest(table, 3, near.to_bytes(32, "big")) == -1


@pytest.mark.parametrize("shared", range(32))
@each_backend
def test_a_prefix_or_a_suffix_of_a_row_is_not_found(backend: ModuleType, shared: int) -> None:
    """However many bytes are equal at either end, the rest has to be too."""
    table = b"".join(ROWS)
    for row in ROWS:
        rest = bytes(byte ^ 0xFF for byte in row)
        assert backend.find_digest(table, 64, row[:shared] + rest[shared:]) == -1
        assert backend.find_digest(table, 64, rest[: 32 - shared] + row[32 - shared :]) == -1


@each_backend
def test_rows_past_the_number_given_are_not_looked_at(backend: ModuleType) -> None:
    """The number of rows is the end of the table, whatever follows."""
    table = b"".join(ROWS)
    assert backend.find_digest(table, 5, ROWS[4]) == 4
    assert backend.find_digest(table, 5, ROWS[5]) == -1


@each_backend
def test_nothing_is_found_in_an_empty_table(backend: ModuleType) -> None:
    """No row, no match."""
    assert backend.find_digest(b"", 0, bytes(32)) == -1


@pytest.mark.parametrize("digest", [bytes(32), b"\xff" * 32, b"\0" * 31 + b"\1", b"\x80" * 32])
@each_backend
def test_digests_of_zeros_and_ones_are_no_special_case(backend: ModuleType, digest: bytes) -> None:
    """Arithmetic at the edges of a word finds what is there, and only that."""
    assert backend.find_digest(ROWS[0] + digest + ROWS[1], 3, digest) == 1
    assert backend.find_digest(ROWS[0] + ROWS[1], 2, digest) == -1


@each_backend
def test_of_equal_rows_the_last_is_found(backend: ModuleType) -> None:
    """PinSet never packs a digest twice, but the two back ends answer alike even so."""
    assert backend.find_digest(ROWS[0] * 3 + ROWS[1], 4, ROWS[0]) == 2


# Few different bytes, so that rows are often equal, or nearly.
_digests = st.binary(min_size=32, max_size=32) | st.lists(
    st.sampled_from([0, 1, 0x80, 0xFF]), min_size=32, max_size=32
).map(bytes)


@patient
@given(st.lists(_digests, max_size=64), _digests, st.data())
def test_all_back_ends_find_the_same_row(
    rows: list[bytes], other: bytes, data: st.DataObject
) -> None:
    """The differential contract, against the plainest definition there is."""
    digest = data.draw(st.sampled_from([*rows, other]))
    expected = max((i for i, row in enumerate(rows) if row == digest), default=-1)
    for backend in BACKENDS:
        assert backend.find_digest(b"".join(rows), len(rows), digest) == expected
