"""Pins and sets of pins as values: checked once, never changed."""

from __future__ import annotations

import copy
import datetime
import hashlib
import itertools
import pickle
import sys
import warnings
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinsock import InvalidCertificateError, InvalidPinError, Pin, PinSet, PinWarning, _pins
from pinsock._pins import sha256

from .backends import agreed, each_backend
from .certificates import DATA, build
from .patience import patient

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

DIGESTS = [bytes([number]) * 32 for number in range(1, 65)]
A, B, C = (Pin("spki", digest) for digest in DIGESTS[:3])
P256 = DATA["p256"]
P256_SPKI = Pin.from_certificate(P256)
P256_WHOLE = Pin.from_certificate(P256, kind="certificate")


@pytest.fixture
def serving(backend: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pins and sets stand on this back end."""
    monkeypatch.setattr(_pins, "find_spki", backend.find_spki)
    monkeypatch.setattr(_pins, "locate", backend.locate)
    monkeypatch.setattr(_pins, "find_digest", backend.find_digest)


# --- Pin ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["SPKI", "cert", "", None, 1, []])
def test_a_kind_that_there_is_not_is_refused(kind: object) -> None:
    """The error shows what was given and the two kinds that there are."""
    with pytest.raises(InvalidPinError, match='kind is "spki" or "certificate"') as caught:
        Pin(kind, DIGESTS[0])  # type: ignore[arg-type]  # the case
    assert ascii(kind) in str(caught.value)


@pytest.mark.parametrize("size", [0, 16, 20, 28, 31, 33, 48, 64])
def test_a_digest_of_another_length_is_refused(size: int) -> None:
    """32 bytes, and the error says how many there were."""
    with pytest.raises(InvalidPinError, match=rf"has {size} bytes, .* of 32 .*from_certificate"):
        Pin("spki", bytes(size))


@pytest.mark.parametrize("digest", ["x" * 32, None, 32, list(DIGESTS[0]), DIGESTS[0].hex()])
def test_a_digest_that_is_no_bytes_is_refused(digest: object) -> None:
    """The error names the type given and what reads a text."""
    with pytest.raises(InvalidPinError, match=r"is 32 bytes, not .*Pin\.parse") as caught:
        Pin("spki", digest)  # type: ignore[arg-type]  # the case
    assert type(digest).__name__ in str(caught.value)


def test_the_digest_of_nothing_is_refused_as_bytes_too() -> None:
    """Whichever way it comes, it is the work of a tool that was given nothing."""
    with pytest.raises(InvalidPinError, match="of no bytes at all"):
        Pin("spki", sha256(b""))


def test_a_pin_equals_its_like_and_nothing_else() -> None:
    """Kind and digest are all that a pin is."""
    assert Pin("spki", DIGESTS[0]) == A
    assert hash(Pin("spki", DIGESTS[0])) == hash(A)
    assert len({A, Pin("spki", DIGESTS[0]), Pin.parse(str(A))}) == 1
    different = [A, B, Pin("certificate", DIGESTS[0]), DIGESTS[0], str(A), None]
    assert all(left != right for left, right in itertools.combinations(different, 2))


@pytest.mark.parametrize("name", ["kind", "digest", "new"])
def test_a_pin_cannot_be_changed(name: str) -> None:
    """Neither set nor deleted, and there is no place for more."""
    with pytest.raises(AttributeError, match=f"immutable; '{name}'"):
        setattr(A, name, "spki")
    with pytest.raises(AttributeError, match=f"immutable; '{name}'"):
        delattr(A, name)
    assert not hasattr(A, "__dict__")
    assert Pin("spki", DIGESTS[0]) == A


@pytest.mark.parametrize("make", [bytearray, memoryview, lambda data: memoryview(bytearray(data))])
def test_a_buffer_changed_after_construction_does_not_change_the_pin(
    make: Callable[[bytes], bytearray | memoryview],
) -> None:
    """The digest is a copy, of bytes."""
    buffer = make(DIGESTS[0])
    pin = Pin("spki", buffer)  # type: ignore[arg-type]  # what a caller may hold
    if not isinstance(buffer, memoryview) or not buffer.readonly:
        buffer[0] = 0xFF
    assert type(pin.digest) is bytes
    assert pin == A


_PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


@pytest.mark.parametrize("protocol", _PROTOCOLS)
def test_pins_and_sets_survive_pickling(protocol: int) -> None:
    """Equal before and after, in every protocol, and without a second warning."""
    for value in (A, P256_WHOLE, *SETS):
        again = pickle.loads(pickle.dumps(value, protocol))  # noqa: S301 - our own pickle
        assert again == value
        assert hash(again) == hash(value)
        assert repr(again) == repr(value)


def test_pins_and_sets_are_copied_as_equals() -> None:
    """copy and deepcopy, as dataclasses.replace and multiprocessing use them."""
    for value in (A, P256_WHOLE, *SETS):
        assert copy.copy(value) == value
        assert copy.deepcopy(value) == value


# --- PinSet ---------------------------------------------------------------------------------------

DAY = datetime.date(2027, 3, 31)
NOON = datetime.datetime(2027, 3, 31, 12, tzinfo=datetime.UTC)

#: No two of them are equal.
SETS = [
    PinSet([A, B]),
    PinSet([B, A]),
    PinSet(A, backup=B),
    PinSet(A, backup=None),
    PinSet([A, Pin("certificate", DIGESTS[1])]),
    PinSet([A, B], scope="chain"),
    PinSet([A, B], expires=DAY),
    PinSet([A, B], expires=NOON),
    PinSet([A, B], expires=NOON, on_expiry="unpinned"),
    PinSet([A, B], report_only=True),
    PinSet([A, B], note="of the staging server"),
]


def test_sets_are_equal_just_if_everything_in_them_is() -> None:
    """As values: equal sets have one hash, and each argument makes a difference."""
    assert PinSet([A, B]) == PinSet([str(A), str(B)]) == PinSet(f"{A};{B}")
    assert hash(PinSet([A, B])) == hash(PinSet(f"{A}; {B}"))
    assert len(set(SETS)) == len(SETS)
    assert all(left != right for left, right in itertools.combinations([*SETS, A, None], 2))


@pytest.mark.parametrize("pins", SETS, ids=repr)
def test_repr_makes_the_set_again(pins: PinSet) -> None:
    """What is shown in a log can be pasted."""
    assert eval(repr(pins), {"PinSet": PinSet}) == pins  # noqa: S307 - our own repr


@pytest.mark.parametrize(
    "pins",
    [
        [A, B],
        (A, B),
        [str(A), B],
        [A.to_text("tlsa"), B.to_text("hex")],
        f"{A.to_text('curl')};{B.to_text('curl')}",
        f"{A} ; {B}",
        {A: "a", B: "b"},
        iter([A, B]),
        (pin for pin in (A, B, A)),
        [A, A, B, str(A)],
    ],
    ids=lambda pins: type(pins).__name__,
)
def test_pins_are_given_in_any_usual_form(pins: object) -> None:
    """Pins or texts or both, one text with ;, any iterable; each pin once, in the order given."""
    assert PinSet(pins).pins == (A, B)  # type: ignore[arg-type]  # the forms are the case
    assert PinSet(C, backup=[A, B]).backup == (A, B)


@pytest.mark.parametrize("pins", [[], (), {}, iter([])], ids=lambda pins: type(pins).__name__)
def test_an_empty_set_is_refused(pins: object) -> None:
    """It never means "allow": the error says what to use where nothing is to be pinned."""
    with pytest.raises(InvalidPinError, match=r"empty set .*at least one pin, or .*ssl.SSLContext"):
        PinSet(pins)  # type: ignore[arg-type]  # the case


@pytest.mark.parametrize("pins", ["", ";", f"{A};", f";{A}", f"{A};;{B}"])
def test_an_empty_text_or_part_of_a_list_is_refused(pins: str) -> None:
    """A stray ; is as likely a lost pin as a slip."""
    with pytest.raises(InvalidPinError, match="'': not the text of a pin"):
        PinSet(pins, backup=None)


@pytest.mark.parametrize("pins", [None, 5, b"x" * 32, bytearray(32), memoryview(bytes(32))])
def test_what_is_no_pins_is_refused_by_its_type(pins: object) -> None:
    """The error names the type, and the constructor for a digest."""
    with pytest.raises(InvalidPinError, match=r"not \w+; .*Pin\(kind, digest\)") as caught:
        PinSet(pins)  # type: ignore[arg-type]  # the case
    assert f"not {type(pins).__name__}" in str(caught.value)


@pytest.mark.parametrize(
    ("make", "where"),
    [
        (lambda: PinSet("sha1/x"), "pin: 'sha1/x'"),
        (lambda: PinSet([A, "sha1/x", B]), "pin 2 of 3: 'sha1/x'"),
        (lambda: PinSet(f"{A};{B};sha1/x"), "pin 3 of 3: 'sha1/x'"),
        (lambda: PinSet([A, B], backup="sha1/x"), "backup pin: 'sha1/x'"),
        (lambda: PinSet([A, B], backup=["sha1/x", C]), "backup pin 1 of 2: 'sha1/x'"),
        (lambda: PinSet([A, DIGESTS[0]]), "pin 2 of 2: a pin's text is a str, not bytes"),  # type: ignore[list-item]  # the case
        (lambda: PinSet([A, None]), "pin 2 of 2: a pin's text is a str, not NoneType"),  # type: ignore[list-item]  # the case
        (lambda: PinSet([A, [B]]), "pin 2 of 2: a pin's text is a str, not list"),  # type: ignore[list-item]  # the case
    ],
)
def test_the_error_says_which_pin_of_the_list_was_wrong(
    make: Callable[[], PinSet], where: str
) -> None:
    """By its number, and whether it is of the pins or of the backups."""
    with pytest.raises(InvalidPinError) as caught:
        make()
    assert str(caught.value).startswith(where)


@pytest.mark.parametrize(
    "arguments",
    [(A, A), ([A, B], [B]), (str(A), A), ([A, B], f"{C};{A}")],
)
def test_the_same_digest_as_pin_and_as_backup_is_refused(
    arguments: tuple[list[str | Pin], list[str | Pin]],
) -> None:
    """A backup is of another key; the error shows the pin and what to do."""
    with pytest.raises(InvalidPinError, match=r"as a pin and as a backup.*backup=None") as caught:
        PinSet(*arguments)
    assert str(caught.value).startswith("sha256/")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("scope", "Leaf", '"leaf" or "chain"'),
        ("scope", None, '"leaf" or "chain"'),
        ("scope", [], '"leaf" or "chain"'),
        ("on_expiry", "allow", '"refuse" or "unpinned"'),
        ("on_expiry", True, '"refuse" or "unpinned"'),
        ("report_only", 1, "True or False"),
        ("report_only", None, "True or False"),
    ],
)
def test_any_other_argument_is_refused_with_those_that_there_are(
    name: str, value: object, expected: str
) -> None:
    """Nothing is guessed from what merely looks true or right."""
    with pytest.raises(InvalidPinError) as caught:
        PinSet([A, B], **{name: value})  # type: ignore[arg-type]  # the case
    assert str(caught.value) == f"{name} is {expected}, not {value!a}"


def test_a_note_is_a_text() -> None:
    """It goes into records as it is."""
    with pytest.raises(InvalidPinError, match="note is a str, not int"):
        PinSet([A, B], note=1)  # type: ignore[arg-type]  # the case


@pytest.mark.parametrize(
    ("expires", "instant"),
    [
        (None, None),
        (DAY, "2027-04-01T00:00:00+00:00"),
        ("2027-03-31", "2027-04-01T00:00:00+00:00"),
        (NOON, "2027-03-31T12:00:00+00:00"),
        ("2027-03-31T12:00:00+00:00", "2027-03-31T12:00:00+00:00"),
        ("2027-03-31T12:00:00Z", "2027-03-31T12:00:00+00:00"),
        ("2027-03-31T12:00:00+02:00", "2027-03-31T10:00:00+00:00"),
    ],
)
def test_a_set_expires_at_an_instant_or_at_the_end_of_a_day(
    expires: datetime.date | str | None, instant: str | None
) -> None:
    """A day counts to its end in UTC."""
    expected = None if instant is None else datetime.datetime.fromisoformat(instant).timestamp()
    assert PinSet([A, B], expires=expires).expires_at == expected


def test_the_last_day_that_there_is_can_be_given() -> None:
    """Its end lies in a year that datetime does not know."""
    assert PinSet([A, B], expires=datetime.date.max).expires_at == 253_402_300_800


@pytest.mark.parametrize(
    ("expires", "wrong", "remedy"),
    [
        ("2027-02-30", "'2027-02-30' is no date", "as 2027-03-31"),
        ("31.03.2027", "'31.03.2027' is no date", "as 2027-03-31"),
        ("", "'' is no date", "as 2027-03-31"),
        ("tomorrow", "'tomorrow' is no date", "as 2027-03-31"),
        ("2027-03-31T12:00:00", "does not say its time zone", "append +00:00"),
        (NOON.replace(tzinfo=None), "does not say its time zone", "append +00:00"),
        (1806494400, "not int", "a date, a datetime with its zone or a text"),
        (datetime.timedelta(90), "not timedelta", "a date, a datetime with its zone or a text"),
    ],
)
def test_a_date_that_could_be_read_in_two_ways_or_in_none_is_refused(
    expires: str, wrong: str, remedy: str
) -> None:
    """The error shows what was given and how it is written."""
    with pytest.raises(InvalidPinError) as caught:
        PinSet([A, B], expires=expires)
    assert wrong in str(caught.value)
    assert remedy in str(caught.value)


@pytest.mark.parametrize("name", ["pins", "backup", "scope", "_spki_table", "_spki_count", "new"])
def test_a_set_cannot_be_changed(name: str) -> None:
    """Whoever wants other pins makes another set."""
    pins = PinSet([A, B])
    with pytest.raises(AttributeError, match="immutable"):
        setattr(pins, name, ())
    with pytest.raises(AttributeError, match="immutable"):
        delattr(pins, name)
    assert not hasattr(pins, "__dict__")
    assert pins == SETS[0]


def test_lists_and_buffers_changed_after_construction_change_nothing() -> None:
    """The table is built once, from copies."""
    digest = bytearray(P256_SPKI.digest)
    pins: list[str | Pin] = [Pin("spki", digest), A]  # type: ignore[arg-type]  # what a caller may hold
    backup: list[str | Pin] = [B]
    made = PinSet(pins, backup)
    before = (repr(made), hash(made))
    digest[:] = bytes(32)
    pins.clear()
    backup[0] = P256_SPKI
    assert made.match_certificate(P256) == P256_SPKI
    assert (made.pins, made.backup) == ((P256_SPKI, A), (B,))
    assert (repr(made), hash(made)) == before


# --- warnings -------------------------------------------------------------------------------------


@pytest.mark.parametrize("pins", [A, [A], str(A), [A, A], [A, str(A)], f"{A};{A}"])
def test_a_single_pin_without_a_backup_is_warned_of_where_it_is_made(pins: object) -> None:
    """One distinct pin is one key to lose; the warning says the two ways out."""
    line = sys._getframe().f_lineno + 2
    with pytest.warns(PinWarning, match=r"one pin and no backup.*backup=None") as caught:
        PinSet(pins)  # type: ignore[arg-type]  # the forms are the case
    assert [(warning.filename, warning.lineno) for warning in caught] == [(__file__, line)]


@pytest.mark.parametrize("backup", [[], (), iter([])])
def test_an_empty_list_of_backups_is_warned_of_too(backup: object) -> None:
    """It says nothing on purpose: that is what None is for."""
    with pytest.warns(PinWarning):
        PinSet(A, backup=backup)  # type: ignore[arg-type]  # the case


@pytest.mark.parametrize(
    "make",
    [
        lambda: PinSet([A, B]),
        lambda: PinSet(A, backup=B),
        lambda: PinSet(A, backup=None),
        lambda: PinSet([A, Pin("certificate", DIGESTS[1])]),
    ],
)
def test_two_pins_a_backup_or_none_on_purpose_are_not_warned_of(
    make: Callable[[], PinSet],
) -> None:
    """And a set, once made, warns no more: neither when it matches nor when it is copied."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pins = make()
        pins.match_certificate(P256)
        copy.deepcopy(pins)


def test_a_set_that_was_warned_of_is_not_warned_of_again() -> None:
    """Not on a connection, not in a copy, not in another process."""
    with pytest.warns(PinWarning):
        pins = PinSet(P256_SPKI)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pins.match_certificate(P256) == P256_SPKI
        assert pickle.loads(pickle.dumps(pins)) == pins  # noqa: S301 - our own pickle


def test_a_warning_from_within_the_package_names_the_callers_line() -> None:
    """When a context makes the set for its caller, it is the caller that is shown."""
    namespace = {"__name__": "pinsock._inner", "PinSet": PinSet}
    exec("def make(pins):\n    return PinSet(pins)", namespace)  # noqa: S102 - stands for a module
    make = namespace["make"]
    assert callable(make)
    with pytest.warns(PinWarning) as caught:
        make(A)
    assert [warning.filename for warning in caught] == [__file__]


def test_a_refused_set_is_not_warned_of() -> None:
    """The error is enough."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InvalidPinError):
            PinSet(A, scope="Leaf")  # type: ignore[arg-type]  # the case


# --- matching -------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", DATA)
@pytest.mark.usefixtures("serving")
@each_backend
def test_a_certificate_matches_its_key_pin_and_its_own(key: str) -> None:
    """Among other pins, as a pin and as a backup; the pin that matched is returned."""
    der = DATA[key]
    spki, whole = Pin.from_certificate(der), Pin.from_certificate(der, kind="certificate")
    assert PinSet([A, spki, B]).match_certificate(der) == spki
    assert PinSet([A, whole, B]).match_certificate(der) == whole
    assert PinSet(A, backup=[B, spki]).match_certificate(der) == spki
    assert PinSet([A, whole], backup=spki).match_certificate(der) == spki
    assert PinSet([A, B]).match_certificate(der) is None


@pytest.mark.parametrize("rows", [1, 2, 3, 31, 64])
@pytest.mark.usefixtures("serving")
@each_backend
def test_a_pin_matches_at_whatever_place_it_is_in_the_set(rows: int) -> None:
    """First, last and between, whether among the pins or the backups."""
    others = [Pin("spki", digest) for digest in DIGESTS[: rows - 1]]
    for place in range(rows):
        pins = [*others[:place], P256_SPKI, *others[place:]]
        assert PinSet(pins, backup=None).match_certificate(P256) == P256_SPKI
        assert (
            PinSet(C if rows == 1 else pins[:1], pins[1:] or [P256_SPKI]).match_certificate(P256)
            == P256_SPKI
        )


@pytest.mark.usefixtures("serving")
@each_backend
def test_a_digest_across_two_pins_of_a_set_matches_nothing() -> None:
    """The packed table holds the 32 bytes, but no pin is they."""
    digest = P256_SPKI.digest
    for cut in range(1, 32):
        pins = [
            Pin("spki", bytes(cut) + digest[: 32 - cut]),
            Pin("spki", digest[32 - cut :] + bytes(32 - cut)),
        ]
        made = PinSet(pins)
        assert digest in made._spki_table
        assert made.match_certificate(P256) is None


@pytest.mark.usefixtures("serving")
@each_backend
def test_a_key_pin_and_a_certificate_pin_of_one_digest_are_told_apart() -> None:
    """A certificate's digest given as a key's matches nothing, and the other way round."""
    swapped = [Pin("certificate", P256_SPKI.digest), Pin("spki", P256_WHOLE.digest)]
    assert PinSet(swapped).match_certificate(P256) is None


@pytest.mark.usefixtures("serving")
@each_backend
def test_a_renewed_certificate_for_the_same_key_matches_the_key_pin_alone() -> None:
    """Why the key is what is usually pinned."""
    first, renewed = build().der, build({"serialNumber": b"\2"}).der
    key, whole = Pin.from_certificate(first), Pin.from_certificate(first, kind="certificate")
    assert PinSet(key, backup=None).match_certificate(renewed) == key
    assert PinSet(whole, backup=None).match_certificate(renewed) is None


@pytest.mark.parametrize("der", [b"", b"\x30\x00", P256[:-1], P256 + b"\0"], ids=len)
@pytest.mark.usefixtures("serving")
@each_backend
def test_what_is_no_certificate_is_an_error_of_its_own_and_never_a_match(der: bytes) -> None:
    """The error says which field was being read, and at which byte."""
    with pytest.raises(InvalidCertificateError) as caught:
        PinSet([A, P256_SPKI]).match_certificate(der)
    error = caught.value
    assert (error.reason, error.field, error.offset) == agreed(der)
    where = f"{error.reason}: read as {error.field}, at byte {error.offset}; get the certificate"
    assert str(error).startswith(where)
    assert "expected" in error.reason or f"({len(der)} bytes)" in error.reason


@pytest.mark.parametrize("make", [bytearray, memoryview])
def test_a_certificate_in_another_buffer_is_matched_as_well(
    make: Callable[[bytes], bytearray | memoryview],
) -> None:
    """As sockets and files fill them."""
    assert PinSet([A, P256_SPKI]).match_certificate(make(P256)) == P256_SPKI  # type: ignore[arg-type]  # the case


@pytest.mark.parametrize("given", ["-----BEGIN CERTIFICATE-----", None, 5, [P256]])
def test_what_is_no_bytes_is_refused_by_its_type(given: object) -> None:
    """PEM is not read on a connection; the error says where it is."""
    with pytest.raises(InvalidCertificateError, match=f"not {type(given).__name__}") as caught:
        PinSet([A, B]).match_certificate(given)  # type: ignore[arg-type]  # the case
    assert ("Pin.from_certificate" in str(caught.value)) == isinstance(given, str)


@pytest.mark.parametrize("protocol", _PROTOCOLS)
def test_errors_survive_pickling(protocol: int) -> None:
    """With reason, field and byte, as a process pool needs it."""
    for error in (
        InvalidCertificateError("why", "subject", 7),
        InvalidCertificateError("why"),
        InvalidPinError("why"),
    ):
        again = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301 - our own pickle
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)
        assert isinstance(again, ValueError)


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 2046, 2047, 2048, 2049, 4094, 4095, 100_000])
def test_a_digest_in_pieces_is_that_of_the_whole(size: int) -> None:
    """Longer input goes to hashlib in pieces, so that it keeps the GIL."""
    data = bytes(range(256)) * (size // 256 + 1)
    assert sha256(data[:size]) == hashlib.sha256(data[:size]).digest()


@patient
@given(st.lists(st.integers(0, 63), min_size=1, max_size=20), st.integers(0, 19))
def test_a_set_of_any_pins_matches_just_those_in_it(numbers: list[int], place: int) -> None:
    """However often a pin is repeated, and wherever the certificate's own pin stands."""
    pins = [Pin("spki", DIGESTS[number]) for number in numbers]
    assert PinSet(pins, backup=None).match_certificate(P256) is None
    pins.insert(place, P256_SPKI)
    assert PinSet(pins, backup=None).match_certificate(P256) == P256_SPKI
