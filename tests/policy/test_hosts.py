"""Host names: which spellings mean the same host, and which pattern wins for it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from check.patience import patient
from hypothesis import given, settings
from hypothesis import strategies as st

from pinsock import InvalidPolicyError, PinPolicy, PinSet
from pinsock._policy import canonical_host

from .tools import a_set

if TYPE_CHECKING:
    import random
    from ipaddress import IPv6Address

# --- spellings of one host ------------------------------------------------------------------------

NAMES = {
    "Example.COM": "example.com",
    "example.com.": "example.com",
    "EXAMPLE.com.": "example.com",
    "localhost": "localhost",
    "_service.Example.com": "_service.example.com",
    "a--b.example": "a--b.example",
    "1.2.3.4.example": "1.2.3.4.example",
    "0x7f.example": "0x7f.example",
    "bücher.example": "xn--bcher-kva.example",
    "BÜCHER.Example.": "xn--bcher-kva.example",
    "XN--BCHER-KVA.example": "xn--bcher-kva.example",
    "bu\N{COMBINING DIAERESIS}cher.example": "xn--bcher-kva.example",
    "bücher\N{IDEOGRAPHIC FULL STOP}example": "xn--bcher-kva.example",
    "\N{FULLWIDTH LATIN SMALL LETTER E}xample.com": "example.com",
    "日本語.jp": "xn--wgv71a119e.jp",
    "пример.испытание": "xn--e1afmkfd.xn--80akhbyknj4f",
}
ADDRESSES = {
    "127.0.0.1": "127.0.0.1",
    "127.0.0.1.": "127.0.0.1",
    "127.1": "127.0.0.1",
    "127.0.1": "127.0.0.1",
    "2130706433": "127.0.0.1",
    "0x7f000001": "127.0.0.1",
    "0X7F.1": "127.0.0.1",
    "0177.0.0.1": "127.0.0.1",
    "017700000001": "127.0.0.1",
    "127.0x000001": "127.0.0.1",
    "1.2.65535": "1.2.255.255",
    "1": "0.0.0.1",
    "4294967295": "255.255.255.255",
    "\N{FULLWIDTH DIGIT ONE}27.0.0.1": "127.0.0.1",
    "::1": "::1",
    "[::1]": "::1",
    "0:0:0:0:0:0:0:1": "::1",
    "2001:DB8:0:0::A": "2001:db8::a",
    "[2001:0db8::000a]": "2001:db8::a",
    "fe80::1%eth0": "fe80::1",
}


@pytest.mark.parametrize(("spelling", "canonical"), (NAMES | ADDRESSES).items())
def test_all_spellings_of_a_host_are_one_host(spelling: str, canonical: str) -> None:
    """Case, one trailing dot, IDNA and the forms of addresses make no difference."""
    pins = a_set()
    assert canonical_host(spelling) == canonical
    assert PinPolicy({canonical: pins}).match(spelling) is pins
    assert PinPolicy({spelling: pins}).match(canonical) is pins


def test_an_ipv4_address_within_ipv6_is_compared_as_ipv6() -> None:
    """Mapped addresses are the same in dotted and in hexadecimal form."""
    assert canonical_host("::ffff:1.2.3.4") == canonical_host("[::FFFF:102:304]")
    assert canonical_host("::ffff:1.2.3.4") != canonical_host("1.2.3.4")


NO_HOSTS = [
    "",
    ".",
    "..",
    "example.com..",
    ".example.com",
    "a..example.com",
    "exa mple.com",
    " example.com",
    "example.com\n",
    "example.com\0",
    "https://example.com",
    "example.com/",
    "example.com:443",
    "user@example.com",
    "user:secret@example.com",
    "*.example.com",
    "**",
    f"{'a' * 64}.example",
    f"{'a.' * 126}ab",
    "ü..example",
    "\N{SNOWMAN}.example",
    f"{'ü' * 60}.example",
    "[::1",
    "::1]",
    "[::1]:443",
    "[127.0.0.1]",
    "[example.com]",
    "::g",
    "1:2:3:4:5:6:7",
    "1.2.3.256",
    "1.2.3.4.5",
    "256.1",
    "1.16777216",
    "4294967296",
    "08.1.1.1",
    "0xg.1",
    "1..2",
    "example.1",
    "-1.2.3.4",
    "+1.2.3.4",
    "1_0.2.3.4",
    "0o17.2.3.4",
    "0x0x1.2.3.4",
    " 1.2.3.4",
    "0x",
    "1.2.3.0x",
]


@pytest.mark.parametrize("text", NO_HOSTS)
def test_what_is_no_host_is_refused(text: str) -> None:
    """Nothing is guessed: neither a policy nor a look-up takes it."""
    with pytest.raises(InvalidPolicyError):
        canonical_host(text)
    with pytest.raises(InvalidPolicyError):
        PinPolicy({"example.com": a_set()}).match(text)


@pytest.mark.parametrize("no_text", [None, b"example.com", 5])
def test_a_host_is_a_text(no_text: object) -> None:
    """Bytes and numbers are refused by their type's name."""
    with pytest.raises(InvalidPolicyError, match=type(no_text).__name__):
        canonical_host(no_text)  # type: ignore[arg-type]  # that is the point


def test_a_bad_host_cannot_forge_lines_of_a_log() -> None:
    """The error shows a host escaped and cut."""
    with pytest.raises(InvalidPolicyError) as caught:
        canonical_host("evil\n\x1b[31m" + "x" * 1000)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "name", ["faß.example", "βόλος.example", "نامه\N{ZERO WIDTH NON-JOINER}ای.example"]
)
def test_a_name_that_idna_2003_and_2008_encode_differently_is_refused(name: str) -> None:
    """Nobody could tell which host is meant, so the error shows both A-labels and asks for one."""
    by_2003 = name.encode("idna").decode("ascii")
    for refusing in (canonical_host, lambda host: PinPolicy({host: a_set()})):
        with pytest.raises(InvalidPolicyError, match="A-label") as caught:
            refusing(name)
        assert by_2003 in str(caught.value)
        assert str(caught.value).count("xn--") > by_2003.count("xn--")
    assert canonical_host(by_2003) == by_2003


NUMBERS = st.integers(0, 256) | st.sampled_from([65535, 65536, 2**24 - 1, 2**24, 2**32 - 1, 2**32])
FORMS = st.sampled_from(["{:d}", "0x{:x}", "0X{:X}", "0{:o}", "0o{:o}", "+{:d}", "-{:d}", "1_{:d}"])
PARTS = st.builds(str.format, FORMS, NUMBERS) | st.sampled_from(["", "0x", "09", "0x0x1", "a", "f"])


@settings(patient, max_examples=400)
@given(st.lists(PARTS, min_size=1, max_size=5).map(".".join))
def test_ipv4_addresses_are_those_that_inet_aton_reads(text: str) -> None:
    """What the resolver takes for an address is that address here; nothing else is one."""
    try:
        address = socket.inet_ntoa(socket.inet_aton(text.removesuffix(".")))
    except OSError:
        address = None
    try:
        canonical = canonical_host(text)
    except InvalidPolicyError:
        canonical = None
    if address is not None:
        assert canonical == address
    elif canonical is not None:
        assert not canonical.rpartition(".")[2].isdigit()


@patient
@given(st.ip_addresses(v=6), st.booleans())
def test_ipv6_addresses_are_one_in_every_spelling(address: IPv6Address, brackets: bool) -> None:
    """Short or long, upper or lower case, in brackets or without."""
    for text in (str(address), address.exploded, address.compressed.upper()):
        assert canonical_host(f"[{text}]" if brackets else text) == str(address)


# --- patterns -------------------------------------------------------------------------------------

#: okhttp's published tables, and what follows from them: pattern, host, whether it matches.
TABLE = [
    ("example.com", "example.com", True),
    ("example.com", "a.example.com", False),
    ("example.com", "example.com.notexample.com", False),
    ("*.example.com", "a.example.com", True),
    ("*.example.com", "example.com", False),
    ("*.example.com", "a.b.example.com", False),
    ("*.example.com", "a.example.com.notexample.com", False),
    ("*.example.com", "aexample.com", False),
    ("**.example.com", "example.com", True),
    ("**.example.com", "a.example.com", True),
    ("**.example.com", "a.b.example.com", True),
    ("**.example.com", "a.b.c.example.com", True),
    ("**.example.com", "dexample.com", False),
    ("**.example.com", "example.com.notexample.com", False),
    ("**.example.com", "com", False),
    ("*.co.uk", "example.co.uk", True),
    ("*.BÜCHER.example.", "a.xn--bcher-kva.example", True),
    ("**.Bücher.Example", "BÜCHER.example.", True),
]


@pytest.mark.parametrize(("pattern", "host", "matches"), TABLE)
def test_patterns_match_whole_labels(pattern: str, host: str, matches: bool) -> None:
    """One star is exactly one label, two are any number, and nothing matches part of a label."""
    assert (PinPolicy({pattern: a_set()}).match(host) is not None) is matches


@pytest.mark.parametrize(
    "pattern",
    [
        "*",
        "**",
        "*.",
        "**.",
        "*.com",
        "**.com",
        "*.com.",
        "*.localhost",
        "***.example.com",
        "*.*.example.com",
        "**.*.example.com",
        "*.**.example.com",
        "a.*.example.com",
        "a.**.example.com",
        "www.*",
        "*example.com",
        "w*.example.com",
        "*w.example.com",
        "*..example.com",
        "*.1.2.3.4",
        "**.127.1",
        "*.0x7f.1",
        "*.[::1]",
        "*.::1",
        "*.::ffff:1.2.3.4",
        "*.faß.example",
    ],
)
def test_a_star_stands_alone_leftmost_and_before_two_labels(pattern: str) -> None:
    """Everything else with a star is refused, and so is a star before an address."""
    with pytest.raises(InvalidPolicyError):
        PinPolicy({pattern: a_set()})


def test_the_most_particular_pattern_wins() -> None:
    """The exact name, then one star, then the longest with two; the order of listing is nothing."""
    sets = {
        "**.example.com": a_set(1),
        "**.b.example.com": a_set(2),
        "*.b.example.com": a_set(3),
        "a.b.example.com": a_set(4),
    }
    for patterns in (list(sets), list(reversed(sets))):
        policy = PinPolicy({pattern: sets[pattern] for pattern in patterns})
        assert policy.match("a.b.example.com") == a_set(4)
        assert policy.match("x.b.example.com") == a_set(3)
        assert policy.match("b.example.com") == a_set(2)
        assert policy.match("x.a.b.example.com") == a_set(2)
        assert policy.match("x.example.com") == a_set(1)


LABELS = st.sampled_from(["a", "b", "example", "com", "xn--bcher-kva"])
HOSTS = st.lists(LABELS, min_size=1, max_size=5).map(".".join)
WILD = st.lists(LABELS, min_size=2, max_size=4).map(".".join)
PATTERNS = HOSTS | WILD.map("*.{}".format) | WILD.map("**.{}".format)
POLICIES = st.lists(PATTERNS, min_size=1, max_size=12, unique=True)


def winner(patterns: list[str], host: str) -> str | None:
    """The slow way: every pattern is held against the host, and the best of them is taken."""
    labels = host.split(".")
    ranked = []
    for pattern in patterns:
        stars, *rest = pattern.split(".")
        if pattern == host:
            ranked.append((2, 0, pattern))
        elif stars == "*" and labels[1:] == rest:
            ranked.append((1, 0, pattern))
        elif stars == "**" and labels[-len(rest) :] == rest:
            ranked.append((0, len(rest), pattern))
    return max(ranked)[2] if ranked else None


@patient
@given(POLICIES, HOSTS)
def test_the_winner_is_that_of_the_slow_way(patterns: list[str], host: str) -> None:
    """A few look-ups find what comparing with every pattern finds."""
    sets = {pattern: a_set(number) for number, pattern in enumerate(patterns, 1)}
    best = winner(patterns, host)
    assert PinPolicy(sets).match(host) is (None if best is None else sets[best])


@patient
@given(POLICIES, HOSTS, st.randoms(use_true_random=False), st.booleans())
def test_no_match_depends_on_case_or_on_a_trailing_dot(
    patterns: list[str], host: str, dice: random.Random, dot: bool
) -> None:
    """A host that is spelt another way never gets another set, or none."""

    def spelt(name: str) -> str:
        other = "".join(dice.choice((c.lower(), c.upper())) for c in name)
        return other + "." if dot else other

    policy = PinPolicy({p: a_set(number) for number, p in enumerate(patterns, 1)})
    other = PinPolicy({spelt(p): a_set(number) for number, p in enumerate(patterns, 1)})
    found: list[PinSet | None] = [policy.match(host), policy.match(spelt(host))]
    assert found[0] is found[1]
    assert other == policy
    assert other.match(host) == found[0]
