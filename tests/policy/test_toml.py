"""Policies as TOML: what is written can be read, and what is wrong is told, all of it at once."""

from __future__ import annotations

import datetime
import tomllib
from typing import TYPE_CHECKING

import pytest
from check.patience import patient
from hypothesis import given, settings
from hypothesis import strategies as st

from pinsock import InvalidPolicyError, Pin, PinPolicy, PinSet, PolicyFile

from .tools import a_pin, a_set

if TYPE_CHECKING:
    from pathlib import Path

# --- there and back -------------------------------------------------------------------------------

MINUTES = st.integers(-1439, 1439)
ZONES = st.builds(lambda minutes: datetime.timezone(datetime.timedelta(minutes=minutes)), MINUTES)
DATES = st.none() | st.dates() | st.datetimes(timezones=ZONES)
PINS = st.builds(Pin, st.sampled_from(["spki", "certificate"]), st.binary(min_size=32, max_size=32))


@st.composite
def pin_sets(draw: st.DrawFn) -> PinSet:
    pins = draw(st.lists(PINS, min_size=1, max_size=4, unique_by=lambda pin: pin.digest))
    backup = draw(
        st.none() | st.integers(0, len(pins) - 1).map(lambda kept: pins[len(pins) - kept :])
    )
    return PinSet(
        pins[: len(pins) - len(backup or ())],
        backup,
        scope=draw(st.sampled_from(["leaf", "chain"])),
        expires=draw(DATES),
        on_expiry=draw(st.sampled_from(["refuse", "unpinned"])),
        report_only=draw(st.booleans()),
        note=draw(st.text()),
        labels=draw(st.dictionaries(st.sampled_from(pins), st.text())),
    )


LABELS = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=5)
NAMES = st.lists(LABELS, min_size=2, max_size=4).map(lambda labels: ".".join([*labels, "example"]))
PATTERNS = NAMES | NAMES.map("*.{}".format) | NAMES.map("**.{}".format) | st.ip_addresses().map(str)


@st.composite
def policies(draw: st.DrawFn) -> PinPolicy:
    interception = draw(st.just([]) | st.lists(PINS, min_size=1, max_size=2))
    return PinPolicy(
        draw(st.dictionaries(PATTERNS, pin_sets(), min_size=1, max_size=4)),
        unlisted=draw(st.sampled_from(["refuse", "allow"])),
        interception=interception,
        interception_with_client_certificate=bool(interception) and draw(st.booleans()),
    )


@pytest.mark.filterwarnings("ignore::pinsock.PinWarning")
@patient
@given(policies())
def test_what_to_toml_writes_from_toml_reads(policy: PinPolicy) -> None:
    """Every policy comes back equal, whatever its labels and notes are made of."""
    text = policy.to_toml()
    assert PinPolicy.from_toml(text) == policy
    assert PinPolicy.from_toml(text.replace("\n", "\r\n")) == policy


EVERY_CHARACTER = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x11000), 0x1F600, 0x10FFFF]))


def test_a_note_and_a_label_may_hold_every_character() -> None:
    """Control characters, quotes, backslashes, DEL and all letters of the first plane."""
    pins = PinSet(a_pin(1), None, note=EVERY_CHARACTER, labels={a_pin(1): EVERY_CHARACTER})
    read = PinPolicy.from_toml(PinPolicy({"a.example": pins}).to_toml()).match("a.example")
    assert read is not None
    assert read.note == EVERY_CHARACTER
    assert read.labels == {a_pin(1): EVERY_CHARACTER}


def test_a_policy_written_by_hand_is_read() -> None:
    """One pin as a text or in a list, with or without a label, in every form that Pin.parse has."""
    policy = PinPolicy.from_toml(
        f"""
        unlisted = "allow"
        entries = 2
        interception = {{ pins = "{a_pin(9)}", with_client_certificate = true }}

        [[pin]]
        host = "API.Example.com"
        pins = ["{a_pin(1)}", {{ pin = "{a_pin(2)}", label = "2026 key, in the HSM" }}]
        backup = '{a_pin(3).to_text("hpkp")}'
        scope = "chain"
        expires = 2027-03-31
        on_expiry = "unpinned"
        report_only = true
        note = "renewed every spring"

        [[pin]]
        host = "**.example.com"
        pins = "{a_pin(4).to_text("tlsa")}"
        backup = "none"
        """
    )
    assert policy == PinPolicy(
        {
            "api.example.com": PinSet(
                [a_pin(1), a_pin(2)],
                [a_pin(3)],
                scope="chain",
                expires=datetime.date(2027, 3, 31),
                on_expiry="unpinned",
                report_only=True,
                note="renewed every spring",
                labels={a_pin(2): "2026 key, in the HSM"},
            ),
            "**.example.com": PinSet(a_pin(4), None),
        },
        unlisted="allow",
        interception=a_pin(9),
        interception_with_client_certificate=True,
    )


# --- what is wrong --------------------------------------------------------------------------------

GOOD = f'pins = "{a_pin(1)}"\nbackup = "none"'


def entry(body: str = GOOD, host: str = "a.example") -> str:
    return f'[[pin]]\nhost = "{host}"\n{body}\n'


def faults(text: str) -> tuple[InvalidPolicyError, list[tuple[str, str]]]:
    """The error that from_toml raises, and where it says the faults are."""
    with pytest.raises(InvalidPolicyError) as caught:
        PinPolicy.from_toml(text)
    return caught.value, [(fault.path, fault.host) for fault in caught.value.faults]


@pytest.mark.parametrize(
    "text",
    [
        f"{entry()}host = \n",
        f"{entry()}\n\nnote = 'open",
        f"{entry()}note = 'one'\nnote = 'two'",
        f"{entry()}expires = 2027-02-30",
        f"unlisted = 'allow'\n{entry()}[[pin]\n",
        f"{entry()}\N{ZERO WIDTH NO-BREAK SPACE}",
    ],
)
def test_a_syntax_error_is_told_in_tomllibs_words(text: str) -> None:
    """With its line and column, and as the only thing that is wrong."""
    with pytest.raises(tomllib.TOMLDecodeError) as expected:
        tomllib.loads(text)
    error, where = faults(text)
    assert str(expected.value) in str(error)
    assert " line " in str(error) or "end of document" in str(error)
    assert where == []


#: By name: the TOML, where the fault is, and a word of what is told.
OUTSIDE = {
    "an unknown key": (f"unlist = 'allow'\n{entry()}", "unlist", "unlisted"),
    "an unknown table": (f"{entry()}[intercept]\n", "intercept", "interception"),
    "a key like nothing": (f"zzz = 1\n{entry()}", "zzz", "entries"),
    "no such word": (f"unlisted = 'ask'\n{entry()}", "unlisted", "allow"),
    "a yes": (f"unlisted = true\n{entry()}", "unlisted", "allow"),
    "no hosts": ("unlisted = 'refuse'", "pin", "host"),
    "one table only": ("[pin]\nhost = 'a.example'", "pin", "[[pin]]"),
    "no table": ("pin = [1]", "pin[0]", "[[pin]]"),
    "another number": (f"entries = 2\n{entry()}", "entries", "1 [[pin]]"),
    "a number that is none": (f"entries = true\n{entry()}", "entries", "True"),
    "a number in words": (f"entries = '1'\n{entry()}", "entries", "1"),
    "no number, all open": (f"unlisted = 'allow'\n{entry()}", "entries", "entries = 1"),
    "interception": (f"interception = 1\n{entry()}", "interception", "[interception]"),
    "no interceptor": (f"{entry()}[interception]\n", "interception.pins", "missing"),
    "interceptors": (f"{entry()}[interception]\npins = []", "interception.pins", "empty"),
    "a bad interceptor": (f"{entry()}[interception]\npins = ['x']", "interception.pins[0]", "pin"),
    "a bad word": (
        f"{entry()}[interception]\npins = '{a_pin(2)}'\nwith_certificate = true",
        "interception.with_certificate",
        "with_client_certificate",
    ),
    "a one": (
        f"{entry()}[interception]\npins = '{a_pin(2)}'\nwith_client_certificate = 1",
        "interception.with_client_certificate",
        "true",
    ),
}
#: By name: what stands under ``host`` in a ``[[pin]]``, where in it the fault is, and a word.
WITHIN = {
    "an unknown key": (f"{GOOD}\nreport-only = true", ".report-only", "report_only"),
    "a misspelt key": (f"{GOOD}\nexpire = 2027-01-01", ".expire", "expires"),
    "a second host": (f"{GOOD}\nhosts = []", ".hosts", "host"),
    "no pins": ("backup = 'none'", ".pins", "missing"),
    "a number of pins": ("pins = 1", ".pins", "list"),
    "a table of pins": (f"pins = {{ pin = '{a_pin(1)}' }}", ".pins", "list"),
    "an empty list": ("pins = []", "", "empty"),
    "a bad pin": (f"pins = ['{a_pin(1)}', 'sha256/AAAA']", ".pins[1]", "bytes"),
    "a SHA-1 pin": ("pins = 'sha1/AAAA'", ".pins[0]", "SHA-256"),
    "a pin that is a number": ("pins = [1]", ".pins[0]", "int"),
    "a curl list": (f"pins = '{a_pin(1)};{a_pin(2)}'", ".pins[0]", "one pin"),
    "a bad backup": (f"pins = '{a_pin(1)}'\nbackup = ['{a_pin(2)}', '']", ".backup[1]", "pin"),
    "another none": (f"pins = '{a_pin(1)}'\nbackup = 'None'", ".backup[0]", "'None'"),
    "a pin kept twice": (f"pins = '{a_pin(1)}'\nbackup = '{a_pin(1)}'", "", "another key"),
    "a table without a pin": ("pins = [{ label = 'x' }]", ".pins[0]", "NoneType"),
    "a misspelt label": (
        f"pins = [{{ pin = '{a_pin(1)}', lable = 'x' }}]\nbackup = 'none'",
        ".pins[0].lable",
        "label",
    ),
    "a label of a number": (
        f"pins = '{a_pin(2)}'\nbackup = [{{ pin = '{a_pin(1)}', label = 1 }}]",
        ".backup[0].label",
        "text",
    ),
    "no such scope": (f"{GOOD}\nscope = 'root'", "", "scope"),
    "no such expiry": (f"{GOOD}\non_expiry = 'open'", "", "on_expiry"),
    "a date that is a number": (f"{GOOD}\nexpires = 2027", "", "expires"),
    "a time without its zone": (f"{GOOD}\nexpires = 2027-01-01T00:00:00", "", "zone"),
    "a time of day": (f"{GOOD}\nexpires = 12:00:00", "", "expires"),
    "a yes": (f"{GOOD}\nreport_only = 'yes'", "", "report_only"),
    "a note of a number": (f"{GOOD}\nnote = 1", "", "note"),
}


@pytest.mark.parametrize(("text", "path", "told"), OUTSIDE.values(), ids=OUTSIDE)
def test_a_fault_is_told_with_its_place(text: str, path: str, told: str) -> None:
    """The path, what is expected there, and for an unknown key the nearest known one."""
    error, where = faults(text)
    assert (path, "") in where
    assert told in next(f.message for f in error.faults if f.path == path)
    assert f"{path}: " in str(error)


@pytest.mark.parametrize(("body", "place", "told"), WITHIN.values(), ids=WITHIN)
def test_a_fault_of_a_host_is_told_with_it(body: str, place: str, told: str) -> None:
    """The path counts entries and pins from 0, and the host stands beside it."""
    error, where = faults(entry(host="first.example") + entry(body, "Second.example"))
    [(path, host)] = where
    assert path.startswith(f"pin[1]{place}")
    assert host == "Second.example"
    assert told in error.faults[0].message
    assert f"{path} (Second.example): " in str(error)


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ('"*.com"', "two labels"),
        ('"a.*.example"', "star"),
        ('"faß.example"', "A-label"),
        ('"https://a.example"', "alone"),
        ('""', "label"),
        ("1", "int"),
        ("['a.example']", "list"),
    ],
)
def test_a_bad_host_is_told(host: str, told: str) -> None:
    """As the host names' own rules say, or by its type."""
    error, where = faults(f"[[pin]]\nhost = {host}\n{GOOD}")
    assert [path for path, _ in where] == ["pin[0].host"]
    assert told in str(error)
    assert faults(f"[[pin]]\n{GOOD}")[1] == [("pin[0].host", "")]


def test_a_host_that_is_listed_twice_is_told_with_the_first_place() -> None:
    """Example.com and example.com are one host, and so are two spellings of one address."""
    hosts = ["Example.com", "127.1", "b.example", "example.com", "0x7f000001", "EXAMPLE.COM."]
    error, where = faults("".join(entry(host=host) for host in hosts))
    assert where == [
        ("pin[3].host", "example.com"),
        ("pin[4].host", "0x7f000001"),
        ("pin[5].host", "EXAMPLE.COM."),
    ]
    assert ["pin[0]" in fault.message for fault in error.faults] == [True, False, True]
    assert "pin[1]" in error.faults[1].message


@settings(patient, max_examples=50)
@given(st.lists(st.none() | st.sampled_from(sorted(WITHIN)), min_size=1, max_size=8))
def test_all_faults_are_told_at_once(bodies: list[str | None]) -> None:
    """Whatever is wrong in one entry hides nothing in another."""
    text, expected = "entries = 99\nunlist = 1\n[interception]\nextra = 1\n", []
    for number, name in enumerate(bodies):
        host = f"h{number}.example"
        text += entry(GOOD if name is None else WITHIN[name][0], host)
        if name is not None:
            expected.append((f"pin[{number}]{WITHIN[name][1]}", host))
    error, where = faults(text)
    found = [(path, host) for path, host in where if host]
    assert len(found) == len(expected)
    for (path, host), (start, expected_host) in zip(found, expected, strict=True):
        assert path.startswith(start)
        assert host == expected_host
    assert {path for path, host in where if not host} == {
        "unlist",
        "entries",
        "interception.extra",
        "interception.pins",
    }
    assert len(str(error).splitlines()) == len(where) + 1


def test_all_faults_of_one_entry_are_told_at_once() -> None:
    """Whoever has mended one is not shown the next."""
    error, _ = faults(
        entry(
            "pins = 'sha1/AAAA'\nbackup = ['x']\nscope = 'root'\nexpires = 2027\n"
            "on_expiry = 'open'\nreport_only = 'yes'\nnote = 1",
            "*.com",
        )
    )
    for word in ("two labels", "SHA-256", "backup[0]"):
        assert word in str(error)
    for key in ("scope", "expires", "on_expiry", "report_only", "note"):
        assert key in str(error)


def test_what_a_file_says_cannot_forge_lines_of_a_log() -> None:
    """Hosts and keys are escaped and cut."""
    error, _ = faults(entry(host="evil\\n\\u001b[31m" + "x" * 500) + '"a\\nb" = 1')
    assert all(line.isprintable() for line in str(error).splitlines())
    assert len(str(error).splitlines()) == len(error.faults) + 1
    assert len(str(error)) < 2000


NO_POLICY = {
    "a number of 5,000 digits": f"entries = {'1' * 5000}\n{entry()}",
    "a number of 5,000 hex digits": f"entries = 0x{'f' * 5000}\n{entry()}",
    "such a number for a word": entry(f"{GOOD}\nscope = 0x{'f' * 5000}"),
    "arrays within arrays": f"note = {'[' * 20_000}{']' * 20_000}",
    "an address below zero": entry(host="-1.2.3.4"),
}


@pytest.mark.parametrize("text", NO_POLICY.values(), ids=NO_POLICY)
def test_no_text_is_too_odd_to_be_refused_in_order(text: str) -> None:
    """What makes tomllib or int() stumble is a bad policy too, and nothing else is raised."""
    with pytest.raises(InvalidPolicyError):
        PinPolicy.from_toml(text)


# --- nothing partial ------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::pinsock.PinWarning")
@pytest.mark.parametrize("unlisted", ["refuse", "allow"])
def test_no_part_of_a_written_policy_is_a_policy(unlisted: str) -> None:
    """Wherever the text is cut, it is refused, or all of it was there."""
    full = PinSet(
        a_pin(1),
        a_pin(2),
        scope="chain",
        expires="2027-01-01T00:00:00+00:00",
        on_expiry="unpinned",
        report_only=True,
        note="note",
    )
    sets = {"a.example": a_set(), "b.example": full, "c.example": full}
    policy = PinPolicy(sets, unlisted=unlisted, interception=a_pin(3))  # type: ignore[arg-type]
    text = policy.to_toml()
    partial = []
    for end in range(len(text)):
        try:
            read = PinPolicy.from_toml(text[:end])
        except InvalidPolicyError:
            continue
        if read != policy:
            partial.append(text[:end])
    assert [part[-60:] for part in partial] == []


@given(st.integers(1, 4), st.integers(0, 5))
def test_an_open_policy_says_how_many_hosts_it_has(listed: int, said: int) -> None:
    """With unlisted = "allow" a file that lost entries would unpin them; only the number tells."""
    entries = "".join(entry(host=f"h{number}.example") for number in range(listed))
    for unlisted in ("refuse", "allow"):
        text = f"unlisted = '{unlisted}'\nentries = {said}\n{entries}"
        if said == listed:
            assert len(PinPolicy.from_toml(text)) == listed
        else:
            assert faults(text)[1] == [("entries", "")]
    assert len(PinPolicy.from_toml(entries)) == listed


# --- files ----------------------------------------------------------------------------------------

FILES = {
    "empty": (b"", "empty"),
    "white space": (b" \n\t\n", "empty"),
    "a comment": (b"# nothing yet\n", "host"),
    "not UTF-8": (b"# caf\xe9\n" + entry().encode(), "byte 5"),
    "UTF-16": (entry().encode("utf-16"), "UTF-8"),
    "NUL bytes": (bytes(512), "TOML"),
    "not TOML": (b"{}", "line 1"),
    "faults": (entry("pins = []").encode(), "a.example"),
}


@pytest.mark.parametrize("read", [PinPolicy.from_file, PolicyFile])
@pytest.mark.parametrize(("data", "told"), FILES.values(), ids=FILES)
def test_a_bad_file_is_no_policy(tmp_path: Path, read: object, data: bytes, told: str) -> None:
    """At start it is an error that names the file and keeps the faults."""
    path = tmp_path / "policy.toml"
    path.write_bytes(data)
    with pytest.raises(InvalidPolicyError) as caught:
        read(path)  # type: ignore[operator]  # one of the two above
    assert str(path) in str(caught.value)
    assert told in str(caught.value)
    assert bool(caught.value.faults) is (told in ("host", "a.example"))


@pytest.mark.parametrize("read", [PinPolicy.from_file, PolicyFile])
def test_a_file_that_cannot_be_read_is_an_os_error(tmp_path: Path, read: object) -> None:
    """At start a file that is not there, or is a folder, is told as such."""
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "policy.toml")  # type: ignore[operator]  # one of the two above
    with pytest.raises(OSError, match=tmp_path.name):
        read(tmp_path)  # type: ignore[operator]


def test_a_file_is_read_from_any_kind_of_path(tmp_path: Path) -> None:
    """A Path, a text, or bytes."""
    policy = PinPolicy({"a.example": a_set()})
    path = tmp_path / "policy.toml"
    path.write_text(policy.to_toml(), encoding="utf-8")
    for kind in (path, str(path), str(path).encode()):
        assert PinPolicy.from_file(kind) == policy  # type: ignore[arg-type]  # bytes, as open() has
        assert PolicyFile(kind).policy == policy  # type: ignore[arg-type]
