"""Policies as TOML: what is written can be read, and what is wrong is told, all of it at once."""

from __future__ import annotations

import datetime
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from check.patience import patient
from hypothesis import given, settings
from hypothesis import strategies as st

from pinsock import InvalidPolicyError, Pin, PinPolicy, PinSet, PinWarning, PolicyFile

from .tools import a_pin, a_set

if TYPE_CHECKING:
    from pathlib import Path

GOOD = f'pins = "{a_pin(1)}"\nbackup = "none"'


def entry(body: str = GOOD, host: str = "a.example") -> str:
    return f'[[pin]]\nhost = "{host}"\n{body}\n'


# --- there and back -------------------------------------------------------------------------------

#: In whole minutes, as files have them, and of any size that Python has.
OFFSETS = st.integers(-1439, 1439).map(lambda minutes: datetime.timedelta(minutes=minutes)) | (
    st.timedeltas(datetime.timedelta(seconds=-86399), datetime.timedelta(seconds=86399))
)
ZONES = OFFSETS.map(datetime.timezone) | st.timezones()
MOMENTS = st.datetimes(datetime.datetime(1, 1, 3), datetime.datetime(9999, 12, 29), timezones=ZONES)
DATES = st.none() | st.dates() | MOMENTS
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

        [end]
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


def test_a_policy_warns_once_of_hosts_that_depend_on_one_key() -> None:
    """With their names, in the caller's line; and not at all where something is wrong as well."""
    lonely = f"pins = '{a_pin(1)}'"
    text = "".join(entry(lonely, f"h{number}.example") for number in range(5)) + entry()
    with pytest.warns(PinWarning) as caught:
        PinPolicy.from_toml(f"{text}[end]")
    [warning] = caught
    assert str(warning.message).startswith("h0.example, h1.example, h2.example and 2 more: one pin")
    assert warning.filename == __file__
    faults(text, end="")


# --- what is wrong --------------------------------------------------------------------------------


def faults(text: str, end: str = "[end]\n") -> tuple[InvalidPolicyError, list[tuple[str, str]]]:
    """The error that from_toml raises, and where it says the faults are."""
    with pytest.raises(InvalidPolicyError) as caught:
        PinPolicy.from_toml(f"{text}\n{end}")
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
        tomllib.loads(f"{text}\n")
    error, where = faults(text, end="")
    assert str(expected.value) in str(error)
    assert " line " in str(error) or "end of document" in str(error)
    assert where == []


#: By name: the TOML, where the fault is, and a word of what is told.
OUTSIDE = {
    "an unknown key": (f"unlist = 'allow'\n{entry()}", "unlist", "unlisted"),
    "an unknown table": (f"{entry()}[intercept]\n", "intercept", "interception"),
    "a key like nothing": (f"zzz = 1\n{entry()}", "zzz", "interception"),
    "no such word": (f"unlisted = 'ask'\n{entry()}", "unlisted", "allow"),
    "a yes": (f"unlisted = true\n{entry()}", "unlisted", "allow"),
    "no hosts": ("unlisted = 'refuse'", "pin", "host"),
    "one table only": ("[pin]\nhost = 'a.example'", "pin", "[[pin]]"),
    "no table": ("pin = [1]", "pin[0]", "[[pin]]"),
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
TWO_LABELS = ("", "label = 'x'", "label = 'y'")
#: By name: what stands under ``host`` in a ``[[pin]]``, where in it the fault is, and a word.
WITHIN = {
    "an unknown key": (f"{GOOD}\nreport-only = true", ".report-only", "report_only"),
    "a misspelt key": (f"{GOOD}\nexpire = 2027-01-01", ".expire", "expires"),
    "a second host": (f"{GOOD}\nhosts = []", ".hosts", "host"),
    "no pins": ("backup = 'none'", ".pins", "missing"),
    "nothing": ("", ".pins", "missing"),
    "a number of pins": ("pins = 1", ".pins", "list"),
    "a table of pins": (f"pins = {{ pin = '{a_pin(1)}' }}", ".pins", "list"),
    "an empty list": ("pins = []", ".pins", "empty"),
    "a bad pin": (f"pins = ['{a_pin(1)}', 'sha256/AAAA']", ".pins[1]", "bytes"),
    "the digest of nothing": (
        "pins = 'sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",
        ".pins",
        "no bytes at all",
    ),
    "stray bits": (f"pins = '{str(a_pin(1))[:-2]}F='", ".pins", "canonical"),
    "a SHA-1 pin": ("pins = 'sha1/AAAA'", ".pins", "SHA-256"),
    "a pin that is a number": ("pins = [1]", ".pins[0]", "int"),
    "a curl list": (f"pins = '{a_pin(1)};{a_pin(2)}'", ".pins", "one pin"),
    "a bad backup": (f"pins = '{a_pin(1)}'\nbackup = ['{a_pin(2)}', '']", ".backup[1]", "pin"),
    "another none": (f"pins = '{a_pin(1)}'\nbackup = 'None'", ".backup", "'None'"),
    "a pin kept": (f"pins = '{a_pin(1)}'\nbackup = '{a_pin(1)}'", ".backup", "another key"),
    "a pin kept twice": (
        f"pins = ['{a_pin(3)}', '{a_pin(1)}']\nbackup = ['{a_pin(2)}', '{a_pin(1)}']",
        ".backup[1]",
        "another key",
    ),
    "a digest kept twice": (
        f"pins = '{a_pin(1)}'\nbackup = ['cert-{a_pin(1)}']",
        ".backup[0]",
        "another key",
    ),
    "a table without a pin": ("pins = [{ label = 'x' }]", ".pins[0].pin", "missing"),
    "a table with a bad pin": ("pins = [{ pin = 'sha256/A' }]", ".pins[0].pin", "base64"),
    "two labels": (
        "".join(f"[[pin.pins]]\npin = '{a_pin(1)}'\n{label}\n" for label in TWO_LABELS),
        ".pins[2].label",
        "another label",
    ),
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
    "no such scope": (f"{GOOD}\nscope = 'root'", ".scope", "scope"),
    "no such expiry": (f"{GOOD}\non_expiry = 'open'", ".on_expiry", "on_expiry"),
    "a date that is a number": (f"{GOOD}\nexpires = 2027", ".expires", "expires"),
    "a time without its zone": (f"{GOOD}\nexpires = 2027-01-01T00:00:00", ".expires", "zone"),
    "a time of day": (f"{GOOD}\nexpires = 12:00:00", ".expires", "expires"),
    "a yes": (f"{GOOD}\nreport_only = 'yes'", ".report_only", "report_only"),
    "a note of a number": (f"{GOOD}\nnote = 1", ".note", "note"),
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
    assert path == f"pin[1]{place}"
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
    text, expected = "unlist = 1\n[interception]\nextra = 1\n", []
    for number, name in enumerate(bodies):
        host = f"h{number}.example"
        text += entry(GOOD if name is None else WITHIN[name][0], host)
        if name is not None:
            expected.append((f"pin[{number}]{WITHIN[name][1]}", host))
    error, where = faults(text, end="")
    assert [(path, host) for path, host in where if host] == expected
    assert {path for path, host in where if not host} == {
        "unlist",
        "interception.extra",
        "interception.pins",
        "end",
    }
    assert len(str(error).splitlines()) == len(where) + 1


#: By key: values that are wrong, with the path within the entry; or the one that is right.
CHOICES: dict[str, list[tuple[str, str]]] = {
    "pins": [
        (f"['{a_pin(1)}']", ""),
        ("", ".pins"),
        ("[]", ".pins"),
        (f"['{a_pin(1)}', 'x']", ".pins[1]"),
    ],
    "backup": [("'none'", ""), (f"['{a_pin(1)}']", ".backup[0]"), ("1", ".backup")],
    "scope": [("'chain'", ""), ("'root'", ".scope")],
    "expires": [("2027-01-01", ""), ("2027", ".expires")],
    "on_expiry": [("'refuse'", ""), ("'open'", ".on_expiry")],
    "report_only": [("true", ""), ("'yes'", ".report_only")],
    "note": [("'x'", ""), ("1", ".note")],
    "other": [("", ""), ("1", ".other")],
}
HOSTS = [("'a.example'", ""), ("", ".host"), ("'*.com'", ".host"), ("1", ".host")]


@patient
@given(
    st.sampled_from(HOSTS),
    st.fixed_dictionaries({k: st.sampled_from(v) for k, v in CHOICES.items()}),
)
def test_all_faults_of_one_entry_are_told_at_once(
    host: tuple[str, str], chosen: dict[str, tuple[str, str]]
) -> None:
    """Whoever has mended one is not shown the next, whichever of them come together."""
    values = {"host": host, **chosen}
    expected = {place for _, place in values.values() if place}
    if str(a_pin(1)) not in chosen["pins"][0]:
        expected.discard(".backup[0]")  # there is nothing that it would be twice
    lines = [f"{key} = {value}\n" for key, (value, _) in values.items() if value]
    text = f"[[pin]]\n{''.join(lines)}"
    if expected:
        assert {path for path, _ in faults(text)[1]} == {f"pin[0]{place}" for place in expected}
    else:
        assert len(PinPolicy.from_toml(f"{text}[end]")) == 1


def test_what_a_file_says_cannot_forge_lines_of_a_log() -> None:
    """Hosts and keys are escaped and cut."""
    error, _ = faults(entry(host="evil\\n\\u001b[31m" + "x" * 500) + '"a\\nb" = 1')
    assert all(line.isprintable() for line in str(error).splitlines())
    assert len(str(error).splitlines()) == len(error.faults) + 1
    assert len(str(error)) < 2000


NO_POLICY = {
    "a number of 5,000 digits": f"unlisted = {'1' * 5000}\n{entry()}",
    "a number of 5,000 hex digits": f"unlisted = 0x{'f' * 5000}\n{entry()}",
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


#: As people write files: every key, in an order of their own, with comments and line ends anywhere,
#: each part of which could be lost without the rest being bad TOML.
BY_HAND = f'''
# Überarbeitet im März.
unlisted = "allow"   # normal verification alone

[[pin]]
host = "a.example"
pins = [
  {{ pin = "{a_pin(1)}", label = "2026 key, in the HSM" }},   # in use
  "{a_pin(2)}",
]
backup = ["{a_pin(3)}"]
scope = "chain"
expires = 2027-01-01T12:00:00.125+01:00
on_expiry = "unpinned"
report_only = true
note = """
[end]
of the note"""

[[pin]]
host = "**.example.org"
[[pin.pins]]
pin = "{a_pin(4)}"
[[pin.pins]]
pin = "{a_pin(5)}"
label = "another"

[interception]
pins = ["{a_pin(6)}", "{a_pin(7)}"]
with_client_certificate = true

[[pin]]
host = "b.example"
pins = "{a_pin(8)}"
backup = "none"
note = 'x' # [end]

[[pin]]
host = "10.0.0.1"
backup = "none"
pins = "{a_pin(9)}"
expires = 2031-12-31

[end]
'''

WRITTEN = PinPolicy.from_toml(BY_HAND).to_toml()


@pytest.mark.parametrize("text", [BY_HAND, BY_HAND.replace("\n", "\r\n"), WRITTEN])
def test_no_part_of_a_file_is_a_policy(text: str, tmp_path: Path) -> None:
    """Wherever a file is cut, at each of its bytes, it is refused, or nothing was lost."""
    policy = PinPolicy.from_toml(text)
    assert len(policy) == 4
    path = tmp_path / "policy.toml"
    data = text.encode()
    whole = []
    for end in range(len(data)):
        path.write_bytes(data[:end])
        try:
            read = PinPolicy.from_file(path)
        except InvalidPolicyError:
            continue
        assert read == policy, data[:end][-60:]
        whole.append(end)
    assert min(whole) == len(data.rstrip())


@pytest.mark.filterwarnings("ignore::pinsock.PinWarning")
@patient
@given(policies(), st.data())
def test_no_part_of_a_written_policy_is_a_policy(policy: PinPolicy, data: st.DataObject) -> None:
    """Whatever is in it."""
    text = policy.to_toml()
    assert text.endswith("\n[end]\n")
    with pytest.raises(InvalidPolicyError):
        PinPolicy.from_toml(text[: data.draw(st.integers(0, len(text) - 2))])


ENDS = {
    "none": ("", "missing"),
    "in a comment": ("# [end]\n", "missing"),
    "in a note": ('note = """\n[end]\n"""\n', "missing"),
    "before an entry": (f"[end]\n{entry(host='b.example')}", "last line"),
    "before an entry, and in a comment": (f"[end]\n{entry(host='b.example')}# [end]", "last line"),
    "before an entry, and in a note": (
        f"[end]\n{entry(host='b.example')}note = '''\n[end]\n# '''",
        "last line",
    ),
    "with a key": ("[end]\nof = 'file'\n", "last line"),
    "within": ("[end.file]\n[end]\n", "last line"),
    "as a value": ("end = true\n", "not known"),
    "twice as a list": ("[[end]]\n[[end]]\n", "last line"),
    "in another spelling": ("[ 'end' ]\n", "last line"),
    "with a comment behind it": ("[end]\n# that is all\n", "last line"),
}


@pytest.mark.parametrize(("end", "told"), ENDS.values(), ids=ENDS)
def test_the_last_line_is_the_end(end: str, told: str) -> None:
    """Nothing else can stand for it, and nothing comes after it but white space."""
    error, where = faults(entry(), end=end)
    assert ("end", "") in where
    assert told in str(error)


def test_white_space_may_follow_the_end() -> None:
    """As editors leave it there, or take it away."""
    for end in ("[end]", "\n\n  [end]  \n\n", "[end]\t\r\n"):
        assert len(PinPolicy.from_toml(entry() + end)) == 1


# --- files ----------------------------------------------------------------------------------------

FILES = {
    "empty": (b"", "empty"),
    "white space": (b" \n\t\n", "empty"),
    "a comment": (b"# nothing yet\n", "host"),
    "not UTF-8": (b"# caf\xe9\n" + entry().encode(), "byte 5"),
    "UTF-16": (entry().encode("utf-16"), "UTF-8"),
    "NUL bytes": (bytes(512), "TOML"),
    "not TOML": (b"{}", "line 1"),
    "cut": (entry().encode(), "[end]"),
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
    assert bool(caught.value.faults) is (told in ("host", "[end]", "a.example"))


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


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    """Some editors write one, and it says nothing."""
    policy = PinPolicy({"a.example": a_set()})
    assert PinPolicy.from_toml("\ufeff" + policy.to_toml()) == policy
    path = tmp_path / "policy.toml"
    path.write_text(policy.to_toml(), encoding="utf-8-sig")
    assert PinPolicy.from_file(path) == policy


@pytest.mark.parametrize("other", [b"unlisted = 1", None, 3], ids=repr)
def test_only_a_text_is_read_as_one(other: Any) -> None:
    """And who has a file is told what reads it."""
    with pytest.raises(TypeError, match=rf"a str, not {type(other).__name__}.*from_file"):
        PinPolicy.from_toml(other)
