"""What pin texts, policies and servers' answers are made of: right, with what has to be read from
them, and nearly right.
"""

from __future__ import annotations

import datetime
import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

from pinsock import Pin, PinPolicy, PinSet

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DIALOGUES", "documents", "nearly", "pins", "policies", "sets"]


@st.composite
def nearly(draw: st.DrawFn, right: st.SearchStrategy[bytes], pieces: list[bytes]) -> bytes:
    """What is right, but for one to three changes."""
    data = draw(right)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        to = at + draw(st.integers(0, 4))
        data = data[:at] + draw(st.sampled_from(pieces) | st.binary(max_size=3)) + data[to:]
    return data


# --- pins -----------------------------------------------------------------------------------------


def _base64(digest: bytes) -> str:
    return b64encode(digest).decode("ascii")


#: The kind of a pin, and a text of it.
_FORMS: Final[list[tuple[Any, Callable[[bytes], str]]]] = [
    ("spki", lambda digest: f"sha256/{_base64(digest)}"),
    ("spki", lambda digest: f"sha256//{_base64(digest)}"),
    ("spki", lambda digest: f'pin-sha256="{_base64(digest)}"'),
    ("spki", lambda digest: f"spki:{digest.hex(':')}"),
    ("spki", lambda digest: f"3 1 1 {digest.hex()}"),
    ("certificate", lambda digest: f"cert-sha256/{_base64(digest)}"),
    ("certificate", lambda digest: f"certificate:{digest.hex(':').upper()}"),
    ("certificate", lambda digest: f"3 0 1 {digest.hex().upper()}"),
]


@st.composite
def pins(draw: st.DrawFn) -> tuple[str, Pin]:
    """The text of a pin, and the pin."""
    kind, written = draw(st.sampled_from(_FORMS))
    digest = draw(st.binary(min_size=32, max_size=32))
    return written(digest), Pin(kind, digest)


@st.composite
def sets(draw: st.DrawFn) -> tuple[str, tuple[Pin, ...]]:
    """A list of pins with ``;``, and those that it has, each once."""
    several = draw(st.lists(pins(), min_size=1, max_size=4))
    between = draw(st.sampled_from([";", "; ", " ; "]))
    return between.join(text for text, _ in several), tuple(
        dict.fromkeys(pin for _, pin in several)
    )


# --- policies -------------------------------------------------------------------------------------

_LABEL: Final = st.text("abcdefgh-_019", min_size=1, max_size=12)
_TEXT: Final = st.text(max_size=12)
_DATES: Final = st.dates() | st.datetimes(
    min_value=datetime.datetime(2, 1, 1),
    max_value=datetime.datetime(9998, 1, 1),
    timezones=st.sampled_from([datetime.UTC, datetime.timezone(datetime.timedelta(hours=5.5))]),
)


def _toml(value: object) -> str:
    """A value as TOML 1.0 writes it."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_toml(key)} = {_toml(one)}' for key, one in value.items())}}}"
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return str(value)


def _table(draw: st.DrawFn, header: str, items: dict[str, object]) -> list[str]:
    in_some_order = draw(st.permutations(list(items.items())))
    return [header, *(f"{key} = {_toml(value)}" for key, value in in_some_order)]


_HOST: Final = st.sampled_from(["192.0.2.1", "2001:db8::1", "b\u00fccher.example"]) | st.builds(
    lambda stars, labels: f"{stars}{'.'.join(labels)}.example",
    st.sampled_from(["", "*.", "**."]),
    st.lists(_LABEL, min_size=1, max_size=3),
)


def _listed(draw: st.DrawFn, several: list[tuple[str, Pin]], labels: dict[Pin, str]) -> object:
    """One pin as it is, or all in a list; some with a label, and each the first time it comes."""
    items: list[object] = []
    for text, pin in several:
        if pin not in labels and draw(st.booleans()):
            labels[pin] = draw(_TEXT)
            items.append({"pin": text, "label": labels[pin]})
        else:
            items.append(text)
    return items[0] if len(items) == 1 and isinstance(items[0], str) else items


@st.composite
def policies(draw: st.DrawFn) -> tuple[bytes, PinPolicy]:
    """A policy as TOML, and the policy."""
    found: dict[str, PinSet] = {}
    lines: list[str] = []
    settings: dict[str, Any] = {}
    if draw(st.booleans()):
        settings["unlisted"] = draw(st.sampled_from(["refuse", "allow"]))
        lines += _table(draw, "", settings)
    if draw(st.booleans()):
        several, labels = draw(st.lists(pins(), min_size=1, max_size=2)), {}
        written: dict[str, object] = {"pins": _listed(draw, several, labels)}
        # What has labels cannot be said by the constructor's texts, but by another policy's set.
        settings["interception"] = PinSet(
            [pin for _, pin in several], None, scope="chain", labels=labels
        )
        if draw(st.booleans()):
            settings["interception_with_client_certificate"] = draw(st.booleans())
            written["with_client_certificate"] = settings["interception_with_client_certificate"]
        lines += _table(draw, "[interception]", written)
    for host in draw(st.lists(_HOST, min_size=1, max_size=3, unique=True)):
        several = draw(
            st.lists(pins(), min_size=2, max_size=4, unique_by=lambda one: one[1].digest)
        )
        in_use = draw(st.integers(1, len(several)))
        labels = {}
        options: dict[str, Any] = draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "scope": st.sampled_from(["leaf", "chain"]),
                    "expires": _DATES,
                    "on_expiry": st.sampled_from(["refuse", "unpinned"]),
                    "report_only": st.booleans(),
                    "note": _TEXT,
                },
            )
        )
        written = {"host": host, "pins": _listed(draw, several[:in_use], labels), **options}
        backup: list[Pin] | None = [pin for _, pin in several[in_use:]]
        if backup:
            written["backup"] = _listed(draw, several[in_use:], labels)
        else:
            backup = None
            written["backup"] = "none"
        found[host] = PinSet([pin for _, pin in several[:in_use]], backup, labels=labels, **options)
        lines += _table(draw, "[[pin]]", written)
    end = draw(st.sampled_from(["\n", "\r\n"]))
    return end.join([*lines, "[end]", ""]).encode(), PinPolicy(found, **settings)


_KEYS: Final = st.sampled_from(
    [
        "host",
        "pins",
        "backup",
        "scope",
        "expires",
        "on_expiry",
        "report_only",
        "note",
        "label",
        "end",
        "pin",
    ]
)
_VALUES: Final[st.SearchStrategy[object]] = st.recursive(
    st.integers()
    | st.floats()
    | st.booleans()
    | _TEXT
    | _DATES
    | st.datetimes()
    | st.times()
    | _HOST
    | pins().map(lambda one: one[0])
    | st.sampled_from(["none", "refuse", "unpinned", "leaf", "chain", "2027-06-30"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """TOML that has a policy's keys and anything in them."""
    headers = st.sampled_from(["[[pin]]", "[[pin]]", "[pin]", "[interception]", "[end]", "[note]"])
    lines = _table(draw, "", draw(st.dictionaries(_KEYS, _VALUES, max_size=1)))
    for _ in range(draw(st.integers(0, 3))):
        lines += _table(draw, draw(headers), draw(st.dictionaries(_KEYS, _VALUES, max_size=4)))
    return "\n".join([*lines, "[end]", ""]).encode("utf-8", "replace")


# --- STARTTLS -------------------------------------------------------------------------------------

_LINE_END: Final = st.sampled_from([b"\r\n", b"\n"])
_WORDS: Final = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20).map(
    str.encode
)


@st.composite
def _reply(draw: st.DrawFn, code: bytes, of: st.SearchStrategy[bytes] = _WORDS) -> bytes:
    """Lines of SMTP or FTP."""
    lines = [code + b"-" + draw(_WORDS) for _ in range(draw(st.integers(0, 2)))]
    lines.insert(draw(st.integers(0, len(lines))), code + b"-" + draw(of))
    lines[-1] = code + b" " + lines[-1][4:]
    return b"".join(line + draw(_LINE_END) for line in lines)


@st.composite
def _in_any_case(draw: st.DrawFn, word: bytes) -> bytes:
    return draw(st.sampled_from([word, word.lower(), word.title()]))


@st.composite
def _line(draw: st.DrawFn, word: bytes, before: bytes = b"") -> bytes:
    lines = [before + draw(_WORDS) for _ in range(draw(st.integers(0, 2)) if before else 0)]
    return b"".join(line + draw(_LINE_END) for line in [*lines, word + b" " + draw(_WORDS)])


@st.composite
def _ldap(draw: st.DrawFn) -> bytes:
    """An ExtendedResponse, its lengths in any of BER's forms."""

    def element(tag: int, contents: bytes) -> bytes:
        octets = draw(st.integers(0, 4))
        size = len(contents)
        length = bytes([0x80 | octets]) + size.to_bytes(octets, "big") if octets else bytes([size])
        return bytes([tag]) + length + contents

    text = b"\x04" + bytes([len(words := draw(_WORDS))]) + words
    response = element(0x78, bytes.fromhex("0a0100") + b"\x04\x00" + text)
    return element(0x30, bytes.fromhex("020101") + response)


_NOTHING: Final = st.just(b"")
_XMPP: Final = b"urn:ietf:params:xml:ns:xmpp-tls"
_FEATURES: Final = st.tuples(
    st.sampled_from([b"", b"<?xml version='1.0'?>"]),
    st.just(b"<stream:stream><stream:features>"),
    st.sampled_from([b"", b"<bind/>"]),
    st.sampled_from(
        [
            b"<starttls xmlns='" + _XMPP + b"'/>",
            b'<starttls xmlns="' + _XMPP + b'"><required/></starttls>',
        ]
    ),
    st.just(b"</stream:features>"),
).map(b"".join)
_PROCEED: Final = st.sampled_from(
    [b"<proceed xmlns='" + _XMPP + b"'/>", b'<proceed xmlns="' + _XMPP + b'"></proceed>']
)
#: What a server says that begins TLS, by protocol, before and after each question.
DIALOGUES: Final[dict[str, st.SearchStrategy[tuple[bytes, ...]]]] = {
    "smtp": st.tuples(_reply(b"220"), _reply(b"250", _in_any_case(b"STARTTLS")), _reply(b"220")),
    "imap": st.tuples(_line(b"* OK"), _line(b"a OK", before=b"* ")),
    "pop3": st.tuples(_line(b"+OK"), _line(b"+OK")),
    "ftp": st.tuples(_reply(b"220"), _reply(b"234")),
    "postgres": st.tuples(_NOTHING, st.just(b"S")),
    "ldap": st.tuples(_NOTHING, _ldap()),
    "xmpp": st.tuples(_NOTHING, _FEATURES, _PROCEED),
}
