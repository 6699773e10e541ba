"""Policies: which pins hold for which host.

A pattern is a host name, ``*.example.com`` (one label more, whatever it is) or ``**.example.com``
(any number more, or none).  One pattern wins: the exact name, then ``*.``, then the longest
``**.``.  A look-up asks a few dictionaries, so its cost does not grow with the number of hosts.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, NoReturn, TypeAlias

from pinsock._pins import (
    Pin,
    PinSet,
    make_plain_set,
    make_set,
    plain_digest,
    show,
    warn_of_loneliness,
)
from pinsock._text import safe_text
from pinsock.exceptions import InvalidPinError, InvalidPolicyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pinsock._pins import Pins

__all__ = ["PinPolicy", "PolicyFile", "canonical_host"]

Unlisted: TypeAlias = Literal["refuse", "allow"]

_LABEL: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")


# --- host names -----------------------------------------------------------------------------------


def canonical_host(text: str) -> str:
    """A host as it is compared: lower-case A-labels without a trailing dot, or an IP address.

    IPv4 addresses are read in every spelling that ``inet_aton`` knows, IPv6 addresses with or
    without brackets and without their zone.  A name in other letters is encoded with IDNA 2003, as
    CPython does for its connections; where IDNA 2008 encodes it differently it is refused, since
    nobody could tell which name is meant.  Raises InvalidPolicyError.
    """
    if not isinstance(text, str):
        raise InvalidPolicyError(f"a host is a str, not {type(text).__name__}")
    host = (text if text.isascii() else _encoded(text)).lower()
    host = host.removesuffix(".")
    if ":" in host or host.startswith("["):
        return _ipv6(host, text)
    labels = host.split(".")
    if _is_number(labels[-1]):
        return _ipv4(labels, text)
    if len(host) > 253:
        raise InvalidPolicyError(f"{_shown(text)}: longer than the 253 characters of a host name")
    # Quickly first: a policy can have very many.
    if not host.replace("-", "").replace("_", "").replace(".", "").isalnum() or (
        "" in labels or (len(host) > 63 and max(map(len, labels)) > 63)
    ):
        wrong = [
            label for label in labels if not 0 < len(label) < 64 or not _LABEL.issuperset(label)
        ]
        if wrong:
            raise InvalidPolicyError(
                f"{_shown(text)}: not a host name: {_shown(wrong[0])} is no label of 1 to 63 "
                f"letters, digits, - and _; give the name alone, without scheme, port or path"
            )
    return host


def _shown(text: str) -> str:
    return f"'{safe_text(text)}'"


def _encoded(text: str) -> str:
    import idna

    try:
        by_2003 = text.encode("idna").decode("ascii").lower()
        by_2008 = idna.encode(text.lower(), uts46=True).decode("ascii")
    except UnicodeError as error:  # idna.IDNAError is one
        raise InvalidPolicyError(
            f"{_shown(text)}: not an internationalised host name ({safe_text(str(error))}); write "
            f"its A-label (xn--...)"
        ) from None
    if by_2003.rstrip(".") != by_2008.rstrip("."):
        raise InvalidPolicyError(
            f"{_shown(text)}: IDNA 2003, which Python's connections use, makes {by_2003} of it, "
            f"IDNA 2008 makes {by_2008}; write the A-label (xn--...) that you mean"
        )
    return by_2003


def _ipv6(host: str, text: str) -> str:
    import ipaddress

    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    try:
        return str(ipaddress.IPv6Address(host.partition("%")[0]))
    except ValueError:
        raise InvalidPolicyError(
            f"{_shown(text)}: neither a host name nor an IPv6 address; give the host alone, "
            f"without a port"
        ) from None


def _is_number(label: str) -> bool:
    # No top-level domain is a number, so such a host is an IPv4 address or nothing.
    if label.startswith("0x"):
        return all(c in "0123456789abcdef" for c in label[2:])
    return label.isdigit()


def _ipv4(parts: list[str], text: str) -> str:
    """As inet_aton: one to four numbers, in base 10, 8 (0...) or 16 (0x...), the last one filling
    what is left of the four bytes."""
    try:
        if not all(map(_is_number, parts)):
            raise ValueError
        numbers = [
            int(part, 0) if part.startswith("0x") else int(part, 8 if part[0] == "0" else 10)
            for part in parts
        ]
        last = numbers.pop()
        if len(numbers) > 3 or any(n > 255 for n in numbers) or last >= 256 ** (4 - len(numbers)):
            raise ValueError
    except (ValueError, IndexError):
        raise InvalidPolicyError(
            f"{_shown(text)}: ends in a number, so it should be an IPv4 address, and is none"
        ) from None
    return ".".join(map(str, bytes(numbers) + last.to_bytes(4 - len(numbers), "big")))


def _canonical_pattern(text: str) -> str:
    stars, dot, rest = text.partition(".") if isinstance(text, str) else (text, "", "")
    if stars not in ("*", "**"):
        if isinstance(text, str) and "*" in text:
            raise InvalidPolicyError(
                f"{_shown(text)}: a star stands for whole labels and only at the left: "
                f"*.example.com or **.example.com"
            )
        return canonical_host(text)
    host = canonical_host(rest) if dot else ""
    if "." not in host or host.rpartition(".")[2].isdigit() or ":" in host:
        raise InvalidPolicyError(
            f"{_shown(text)}: after the star at least two labels of a name must stand, as in "
            f"{stars}.example.com"
        )
    return f"{stars}.{host}"


# --- policies -------------------------------------------------------------------------------------


class Fault(NamedTuple):
    """What is wrong in a policy file."""

    path: str
    """Where, for example ``pin[12].backup[1]``: counted from 0."""
    host: str
    """The host of that entry, if it has one."""
    message: str

    def __str__(self) -> str:
        return f"{self.path}{f' ({safe_text(self.host)})' if self.host else ''}: {self.message}"


class PinPolicy:
    """Pin sets by host pattern.  Immutable.

    :param sets: pattern to :class:`PinSet`.  Patterns are compared as :func:`canonical_host` says,
        and no two may be the same.
    :param unlisted: what a host does that no pattern covers: ``"refuse"``, or ``"allow"``, with
        normal verification alone.
    :param interception: pins of the authority of an approved interceptor (a company's proxy).  A
        connection whose key is not pinned is let through if a certificate above the leaf in its
        verified chain has one of these; it is always logged.  The ``interception`` of another
        policy does as well.
    :param interception_with_client_certificate: whether that holds for a context that has a client
        certificate too, which the interceptor then gets.

    Raises InvalidPolicyError.
    """

    __slots__ = (
        "_deep",
        "_exact",
        "_one",
        "interception",
        "interception_with_client_certificate",
        "unlisted",
    )

    unlisted: Unlisted
    interception: PinSet | None
    interception_with_client_certificate: bool
    _exact: dict[str, PinSet]
    _one: dict[str, PinSet]
    _deep: dict[str, PinSet]

    def __init__(
        self,
        sets: Mapping[str, PinSet],
        *,
        unlisted: Unlisted = "refuse",
        interception: Pins | PinSet | None = (),
        interception_with_client_certificate: bool = False,
    ) -> None:
        if hasattr(self, "unlisted"):
            raise AttributeError("a PinPolicy is immutable; it cannot be made a second time")
        if not isinstance(sets, Mapping):
            raise InvalidPolicyError(
                f"a policy maps host patterns to PinSets, and {type(sets).__name__} does not"
            )
        if unlisted not in ("refuse", "allow"):
            raise InvalidPolicyError(
                f'unlisted is "refuse" or "allow", not {_shown(str(unlisted))}'
            )
        if not sets and unlisted == "refuse":
            raise InvalidPolicyError("an empty policy would refuse every host; list one")
        if not sets:
            raise InvalidPolicyError("an empty policy would check nothing; list a host")
        canonical: dict[str, PinSet] = {}
        for pattern, pins in sets.items():
            if not isinstance(pins, PinSet):
                raise InvalidPolicyError(
                    f"{_shown(str(pattern))}: a PinSet is expected, not {type(pins).__name__}"
                )
            name = _canonical_pattern(pattern)
            if name in canonical:
                raise InvalidPolicyError(
                    f"{_shown(pattern)}: this host is listed twice; hosts are compared without "
                    f"regard to case, a trailing dot or spelling"
                )
            canonical[name] = pins
        if not isinstance(interception_with_client_certificate, bool):
            raise InvalidPolicyError(
                f"interception_with_client_certificate is True or False, not "
                f"{show(interception_with_client_certificate)}"
            )
        approved = _interception(interception)
        if interception_with_client_certificate and approved is None:
            raise InvalidPolicyError(
                "interception_with_client_certificate says nothing without interception; give the "
                "pins of the interceptor"
            )
        self._fill(canonical, unlisted, approved, interception_with_client_certificate)

    def _fill(
        self,
        sets: Mapping[str, PinSet],
        unlisted: Unlisted,
        interception: PinSet | None,
        with_certificate: bool,
    ) -> None:
        """With patterns that are canonical."""
        for name, value in (
            ("unlisted", unlisted),
            ("interception", interception),
            ("interception_with_client_certificate", with_certificate),
            ("_exact", {host: pins for host, pins in sets.items() if host[0] != "*"}),
            ("_one", {host[2:]: pins for host, pins in sets.items() if host[:2] == "*."}),
            ("_deep", {host[3:]: pins for host, pins in sets.items() if host[:3] == "**."}),
        ):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a PinPolicy is immutable; make another for a different {name}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a PinPolicy is immutable; {name!r} cannot be deleted")

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_policy, (
            dict(self.items()),
            self.unlisted,
            self.interception,
            self.interception_with_client_certificate,
        )

    def match(self, host: str) -> PinSet | None:
        """The set of the pattern that wins for ``host``, or ``None``.  Raises InvalidPolicyError
        for what is no host."""
        pins = self._exact.get(host)
        if pins is not None:
            return pins  # a host that stands there is canonical
        name = canonical_host(host)
        pins = self._exact.get(name)
        if pins is not None or ":" in name:
            return pins
        _, _, parent = name.partition(".")
        pins = self._one.get(parent)
        if pins is not None or not self._deep:
            return pins
        while name:
            pins = self._deep.get(name)
            if pins is not None:
                return pins
            _, _, name = name.partition(".")
        return None

    def items(self) -> Iterable[tuple[str, PinSet]]:
        """All patterns, canonical, with their sets."""
        for stars, table in (("", self._exact), ("*.", self._one), ("**.", self._deep)):
            for host, pins in table.items():
                yield stars + host, pins

    def __len__(self) -> int:
        return len(self._exact) + len(self._one) + len(self._deep)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PinPolicy):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    def __hash__(self) -> int:
        return hash((self.unlisted, len(self)))  # cheap, and equal for equal policies

    def __repr__(self) -> str:
        return f"<PinPolicy of {len(self)} hosts, unlisted={self.unlisted!r}>"

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> PinPolicy:
        """Read a policy from a TOML file, once.  Raises InvalidPolicyError and OSError."""
        return _load(path, warn=True)[0]

    @classmethod
    def from_toml(cls, text: str) -> PinPolicy:
        """Read a policy from TOML, whose last line is ``[end]``, so that no part of one is taken
        for all of it.

        Raises InvalidPolicyError: for a syntax error with its line, otherwise with all that is
        wrong, each fault with its place.
        """
        if not isinstance(text, str):
            raise TypeError(
                f"from_toml takes the text of a policy, a str, not {type(text).__name__}; "
                f"PinPolicy.from_file reads a file"
            )
        return cls._from_toml(text, warn=True)

    @classmethod
    def _from_toml(cls, text: str, *, warn: bool) -> PinPolicy:
        import tomllib

        try:
            document = tomllib.loads(text.removeprefix("\ufeff"))  # some editors begin so
        except (ValueError, RecursionError) as error:  # a TOMLDecodeError says its line
            raise InvalidPolicyError(f"not TOML: {error}") from None
        return _from_document(document, text, warn=warn)

    def to_toml(self) -> str:
        """The policy as TOML, which :meth:`from_toml` reads back to an equal one."""
        return _to_toml(self)


def _rebuild_policy(
    sets: dict[str, PinSet], unlisted: Unlisted, interception: PinSet | None, certificate: bool
) -> PinPolicy:
    policy = PinPolicy.__new__(PinPolicy)
    policy._fill(sets, unlisted, interception, certificate)
    return policy


def _interception(
    pins: Pins | PinSet | None, labels: Mapping[Pin, str] | None = None
) -> PinSet | None:
    if pins is None:
        return None
    if isinstance(pins, PinSet):
        if pins != _interception(pins.pins, pins.labels):
            raise InvalidPolicyError(
                "interception: this set says more than its pins; give its pins alone"
            )
        return pins
    try:
        return PinSet(pins, backup=None, scope="chain", labels=labels)
    except InvalidPinError as error:
        if isinstance(pins, (tuple, list)) and not pins:
            return None
        raise InvalidPolicyError(f"interception: {error}") from None


# --- TOML -----------------------------------------------------------------------------------------

_TOP_KEYS: Final = ("unlisted", "interception", "pin", "end")
_INTERCEPTION_KEYS: Final = ("pins", "with_client_certificate")
_OPTIONS: Final = ("scope", "expires", "on_expiry", "report_only", "note")
_ENTRY_KEYS: Final = ("host", "pins", "backup", *_OPTIONS)
_SET_OF_ENTRY_KEYS: Final = frozenset(_ENTRY_KEYS)
_PIN_KEYS: Final = ("pin", "label")
_NO_BACKUP: Final = "none"
#: The last line of a file.  A file that was cut has it no more; and since a table can stand in a
#: file only once, nothing that comes before the last line can be it.
_END: Final = "[end]"

#: Stands in for the pins of an entry while each of its other keys is tried by itself.
_SOME_PIN: Final = Pin("spki", bytes(32))


class _Reader:
    """Reads a parsed document, and gathers all that is wrong with it."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.sets: dict[str, PinSet] = {}
        #: Whether all pins of the entry are digests.
        self.plain = True
        #: By pattern: the number of the first entry that has it.
        self.places: dict[str, int] = {}

    def fault(self, path: str, message: str, host: str = "") -> None:
        self.faults.append(Fault(path, host, message))

    def check_keys(
        self, table: Mapping[str, Any], known: tuple[str, ...], path: str, host: str = ""
    ) -> None:
        for key in table:
            if key not in known:
                import difflib

                near = difflib.get_close_matches(key, known, 1)
                hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(known)}"
                self.fault(f"{path}{safe_text(key)}", f"this key is not known{hint}", host)

    def pattern(self, host: Any, number: int, shown: str) -> str:
        try:
            pattern = _canonical_pattern(host)
        except InvalidPolicyError as error:
            why = "is missing" if host is None else str(error)
            self.fault(f"pin[{number}].host", why, shown)
            return ""
        first = self.places.setdefault(pattern, number)
        if first != number:
            why = f"this host is listed already, in pin[{first}]"
            self.fault(f"pin[{number}].host", why, shown)
        return pattern

    def pins(self, value: Any, path: str, host: str, labels: dict[Pin, str]) -> list[_Found]:
        """Those of a text or a list, each in its place."""
        if isinstance(value, str):
            value = (value,)
        elif not isinstance(value, list):
            self.fault(path, "a list of pins is expected", host)
            return [None]
        found: list[_Found] = []
        for number, item in enumerate(value):
            if isinstance(item, str):
                digest = plain_digest(item)
                if digest is not None:
                    found.append(digest)
                    continue
            self.plain = False
            place = f"{path}[{number}]" if isinstance(value, list) else path
            if isinstance(item, dict):
                found.append(self.labelled(item, place, host, labels))
                continue
            try:
                found.append(Pin.parse(item))
            except InvalidPinError as error:
                self.fault(place, str(error), host)
                found.append(None)
        return found

    def labelled(
        self, item: dict[str, Any], path: str, host: str, labels: dict[Pin, str]
    ) -> Pin | None:
        self.check_keys(item, _PIN_KEYS, f"{path}.", host)
        pin = None
        if "pin" not in item:
            self.fault(f"{path}.pin", "is missing", host)
        else:
            try:
                pin = Pin.parse(item["pin"])
            except InvalidPinError as error:
                self.fault(f"{path}.pin", str(error), host)
        label = item.get("label")
        if label is None:
            return pin
        if not isinstance(label, str):
            self.fault(f"{path}.label", "a text is expected", host)
        elif pin is not None and labels.setdefault(pin, label) != label:
            self.fault(f"{path}.label", "this pin has another label already", host)
        return pin

    def entry(self, entry: object, number: int) -> None:
        path = f"pin[{number}]"
        if not isinstance(entry, dict):
            self.fault(path, "a table is expected: [[pin]]")
            return
        before = len(self.faults)
        self.plain = True
        host = entry.get("host")
        shown = host if isinstance(host, str) else ""
        pattern = self.pattern(host, number, shown)
        if not entry.keys() <= _SET_OF_ENTRY_KEYS:
            self.check_keys(entry, _ENTRY_KEYS, f"{path}.", shown)
        labels: dict[Pin, str] = {}
        pins: list[_Found] = []
        if "pins" not in entry:
            self.fault(f"{path}.pins", "is missing", shown)
        else:
            pins = self.pins(entry["pins"], f"{path}.pins", shown, labels)
            if not pins:
                self.fault(f"{path}.pins", "is empty, and would refuse everything", shown)
        backup: list[_Found] | None = []
        spare = entry.get("backup")
        if spare is not None:
            backup = (
                None if spare == _NO_BACKUP else self.pins(spare, f"{path}.backup", shown, labels)
            )
        options: dict[str, Any] = {}
        if len(entry) > 2 + (spare is not None):
            options = {key: entry[key] for key in _OPTIONS if key in entry}
        why = ""
        if len(self.faults) == before:
            try:
                if self.plain:
                    self.sets[pattern] = make_plain_set(
                        _each_once(pins), None if backup is None else _each_once(backup), **options
                    )
                else:
                    self.sets[pattern] = make_set(
                        _as_pins(pins),
                        None if backup is None else _as_pins(backup),
                        labels,
                        **options,
                    )
            except InvalidPinError as error:
                why = str(error)
            else:
                return
        for key, value in options.items():
            try:
                make_set((_SOME_PIN,), None, None, **{key: value})
            except InvalidPinError as error:
                self.fault(f"{path}.{key}", str(error), shown)
        in_use = {pin.digest for pin in _as_pins(pins)}
        for place, found in enumerate(backup or ()):
            for pin in _as_pins([found]):
                if pin.digest not in in_use:
                    continue
                self.fault(
                    f"{path}.backup[{place}]" if isinstance(spare, list) else f"{path}.backup",
                    f"{pin} is one of the pins in use; a backup is the pin of another key, kept "
                    f'aside. Make one, or write backup = "{_NO_BACKUP}"',
                    shown,
                )
        if len(self.faults) == before:
            self.fault(path, why, shown)


#: The digest of an spki pin, another pin, or nothing, since it was wrong.
_Found: TypeAlias = "bytes | Pin | None"


def _each_once(found: list[Any]) -> list[Any]:
    return found if len(found) == 1 else list(dict.fromkeys(found))


def _as_pins(found: Iterable[_Found]) -> tuple[Pin, ...]:
    """Those that are right, each once."""
    pins = [Pin("spki", one) if isinstance(one, bytes) else one for one in found if one is not None]
    return tuple(dict.fromkeys(pins))


def _from_document(document: dict[str, Any], text: str, *, warn: bool) -> PinPolicy:
    reader = _Reader()
    reader.check_keys(document, _TOP_KEYS, "")
    entries = document.pop("pin", [])
    if not isinstance(entries, list):
        reader.fault("pin", "a list of tables is expected: [[pin]]")
    elif not entries:
        reader.fault("pin", "no host is listed; add a [[pin]] with host and pins")
    else:
        entries.reverse()
        for number in range(len(entries)):
            reader.entry(entries.pop(), number)  # what has been read takes no memory any more
    unlisted = document.get("unlisted", "refuse")
    if unlisted not in ("refuse", "allow"):
        reader.fault("unlisted", 'is "refuse" or "allow"')
    approved, with_certificate = _read_interception(document, reader)
    if "end" not in document:
        reader.fault(
            "end",
            f"is missing: the last line is {_END}, so that a file that was cut short is noticed; "
            f"if nothing else is missing, append it",
        )
    elif document["end"] != {} or text.rstrip().rpartition("\n")[2].strip() != _END:
        reader.fault("end", f"must be the last line, and nothing else in it: {_END}")
    if reader.faults:
        number = len(reader.faults)
        lines = "\n".join(f"  {fault}" for fault in reader.faults)
        error = InvalidPolicyError(f"{number} fault{'s' * (number > 1)} in the policy:\n{lines}")
        error.faults = tuple(reader.faults)
        raise error
    if warn:
        lonely = [host for host, pins in reader.sets.items() if pins._is_lonely]
        if lonely:
            more = f" and {len(lonely) - 3} more" if len(lonely) > 3 else ""
            warn_of_loneliness(f"{', '.join(lonely[:3])}{more}: ")
    return _rebuild_policy(reader.sets, unlisted, approved, with_certificate)


def _read_interception(document: Mapping[str, Any], reader: _Reader) -> tuple[PinSet | None, bool]:
    if "interception" not in document:
        return None, False
    table = document["interception"]
    if not isinstance(table, dict):
        reader.fault("interception", "a table is expected: [interception]")
        return None, False
    before = len(reader.faults)
    reader.check_keys(table, _INTERCEPTION_KEYS, "interception.")
    labels: dict[Pin, str] = {}
    pins = reader.pins(table.get("pins", []), "interception.pins", "", labels)
    if not pins:
        reader.fault("interception.pins", "is missing or empty")
    with_certificate = table.get("with_client_certificate", False)
    if not isinstance(with_certificate, bool):
        reader.fault("interception.with_client_certificate", "is true or false")
    if len(reader.faults) > before:
        return None, False
    return _interception(_as_pins(pins), labels), with_certificate


def _to_toml(policy: PinPolicy) -> str:
    lines = [f'unlisted = "{policy.unlisted}"']
    if policy.interception is not None:
        lines += [
            "",
            "[interception]",
            _toml_line("pins", policy.interception.pins, policy.interception.labels),
        ]
        if policy.interception_with_client_certificate:
            lines.append("with_client_certificate = true")
    for host, pins in policy.items():
        lines += ["", "[[pin]]", f'host = "{host}"', _toml_line("pins", pins.pins, pins.labels)]
        if pins.backup:
            lines.append(_toml_line("backup", pins.backup, pins.labels))
        elif pins.no_backup:
            lines.append(f'backup = "{_NO_BACKUP}"')
        if pins.scope != "leaf":
            lines.append(f'scope = "{pins.scope}"')
        if pins.expires is not None:
            lines.append(f"expires = {pins.expires.isoformat()}")
        if pins.on_expiry != "refuse":
            lines.append(f'on_expiry = "{pins.on_expiry}"')
        if pins.report_only:
            lines.append("report_only = true")
        if pins.note:
            lines.append(f"note = {_toml_string(pins.note)}")
    return "\n".join([*lines, "", _END]) + "\n"


def _toml_line(key: str, pins: Iterable[Pin], labels: Mapping[Pin, str]) -> str:
    items = ", ".join(
        f'{{ pin = "{pin}", label = {_toml_string(labels[pin])} }}' if pin in labels else f'"{pin}"'
        for pin in pins
    )
    return f"{key} = [{items}]"


def _toml_string(text: str) -> str:
    """A basic string of TOML 1.0: what JSON writes is one, but for DEL."""
    import json

    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


# --- files ----------------------------------------------------------------------------------------


class _Signature(NamedTuple):
    """What tells one state of a file from another."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> _Signature:
        return cls(
            status.st_dev,
            status.st_ino,
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
        )


def _open_at_once(path: str, flags: int) -> int:
    """An opener that does not wait for the writer of a FIFO; to files it means nothing."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


#: Bytes of a file: 100,000 hosts are 24 MB.
_LARGEST: Final = 256_000_000


def _load(
    path: str | os.PathLike[str], *, warn: bool, followed: bool = False
) -> tuple[PinPolicy, _Signature]:
    """The policy in a file, and which state of the file that was.

    :param followed: whether it must be a regular file, which alone can be read again and again.
    """
    try:
        with open(path, "rb", opener=_open_at_once if followed else None) as file:
            status = os.fstat(file.fileno())
            regular = stat.S_ISREG(status.st_mode)
            if followed and not regular:
                raise InvalidPolicyError(
                    "not a regular file, which alone can be followed; PinPolicy.from_file reads "
                    "a pipe, once"
                )
            # read() takes memory for as much as it is asked for.
            data = file.read((min(status.st_size, _LARGEST) if regular else _LARGEST) + 1)
            if len(data) > _LARGEST:
                raise InvalidPolicyError(
                    f"larger than {_LARGEST // 1_000_000} MB, which no policy is; is it the file "
                    f"that was meant?"
                )
            signature = _Signature.of(os.fstat(file.fileno()))
        # Without ctime: to replace a file changes that of the old one.
        if regular and signature[:4] != _Signature.of(status)[:4]:
            raise InvalidPolicyError("it was written to while it was read; load it again")
        if not data.strip():
            raise InvalidPolicyError("the file is empty")
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InvalidPolicyError(f"TOML is UTF-8, and byte {error.start} is not") from None
        return PinPolicy._from_toml(text, warn=warn), signature
    except InvalidPolicyError as error:
        named = InvalidPolicyError(f"{os.fspath(path)}: {error}")
        named.faults = error.faults
        raise named from None


class _Loaded(NamedTuple):
    """What holds: kept in one piece, so that whoever reads it never has half of two loads."""

    number: int
    policy: PinPolicy
    signature: _Signature


#: How many of the faults of a file are logged.
_LOGGED_FAULTS: Final = 10

#: No look takes longer than so many seconds, or another thread looks as well.
_LONGEST_LOOK: Final = 60.0


class PolicyFile:
    """A policy that follows its TOML file, without a thread of its own.

    Each new connection has the file looked at, at most once a second.  A new file that was put in
    the place of the old one (``os.replace``), or where none was, is loaded by the first look that
    sees it: by the first connection that begins a second or more after the look before.  A file
    that was written to in place is loaded after two looks, a second or more apart, saw the same;
    and so is one that has got the inode of a file that was deleted just before.  No part of a file
    is taken for all of it, since its last line is ``[end]``; but what a writer in place has left
    when it pauses for longer can be a mixture of old and new, so use ``os.replace``.  A file that
    is gone or bad leaves the policy as it was, and is logged once; one that cannot be read is tried
    again at each look.  It has to be a regular file, and a relative path is that of the moment when
    this is made.

    Raises InvalidPolicyError or OSError when it is made, if the file is gone or bad then, and warns
    as :class:`PinSet` does.
    """

    # There is no lock here: a signal handler may ask for the policy, or load it, in the midst of
    # both.  What must not be torn is assigned in one piece, and what is compared first is compared
    # without a call before the assignment, so that with the GIL nothing comes between.  Without it
    # the worst is that two threads look at once; and if the older of two loads stays, the next look
    # sees that the file is another.

    def __init__(
        self, path: str | os.PathLike[str], *, clock: Callable[[], float] = monotonic
    ) -> None:
        self.path = str(Path(os.fsdecode(path)).absolute())
        self._clock = clock
        #: Each load has a number, given before it opens the file; the highest one holds.
        self._numbers = itertools.count()
        self._loaded = _Loaded(next(self._numbers), *self._read(warn=True))
        #: What the last look that saw anything saw, whatever came of it; ``None``: no file.
        self._last: _Signature | None = self._loaded.signature
        #: What the last look saw and did not load, and when.
        self._pending: tuple[_Signature, float] | None = None
        #: What was logged: a bad file, which is not read again, or why none could be read.
        self._rejected: _Signature | str | None = None
        self._next_look = clock() + 1.0
        _files.add(weakref.ref(self, _files.discard))

    def _read(self, *, warn: bool = False) -> tuple[PinPolicy, _Signature]:
        return _load(self.path, warn=warn, followed=True)

    @property
    def policy(self) -> PinPolicy:
        """The policy of now; looks at the file if a second has passed."""
        now = self._clock()
        if now >= self._next_look:
            self._next_look = now + _LONGEST_LOOK  # nobody else looks meanwhile
            try:
                self._look(now)
            finally:
                self._next_look = self._clock() + 1.0
        return self._loaded.policy

    def match(self, host: str) -> PinSet | None:
        """As :meth:`PinPolicy.match`."""
        return self.policy.match(host)

    def reload(self) -> PinPolicy:
        """Load the file now.  Raises InvalidPolicyError or OSError, and the policy stays as it was.

        For programs that would rather load a large file in a thread of their own.  What holds
        afterwards, and is returned, was not read before the call.
        """
        number = next(self._numbers)
        self._take(_Loaded(number, *self._read()))
        return self._loaded.policy

    def _take(self, loaded: _Loaded) -> None:
        number = loaded.number
        if number > self._loaded.number:
            self._loaded = loaded
        self._pending = self._rejected = None

    def _look(self, now: float) -> None:
        number = next(self._numbers)
        last = self._last
        try:
            self._last = signature = _Signature.of(os.stat(self.path))
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                self._last = None
            self._pending = None
            self._reject(error, str(error))
            return
        if signature == self._loaded.signature:
            self._pending = self._rejected = None
            return
        if signature == self._rejected:
            self._pending = None
            return
        pending, self._pending = self._pending, (signature, now)
        settled = False
        if pending is not None and pending[0] == signature:
            self._pending = pending
            settled = now - pending[1] >= 1.0
        replaced = last is None or signature[:2] != last[:2]
        if not settled and not replaced:
            return
        try:
            policy, read = self._read()
        except (OSError, InvalidPolicyError) as error:
            # A new file can be one that is still being written.
            if settled:
                bad = isinstance(error, InvalidPolicyError)
                self._reject(error, signature if bad else str(error))
            return
        if read == signature:  # or it is another already, which the next look sees
            self._take(_Loaded(number, policy, read))

    def _reject(self, error: Exception, what: _Signature | str) -> None:
        import logging

        if what != self._rejected:
            self._rejected = what
            with contextlib.suppress(Exception):  # a handler that raises must not either
                logging.getLogger("pinsock").error(
                    "the policy stays as it was, because its file cannot be loaded: %s",
                    _in_short(error),
                )


def _in_short(error: Exception) -> str:
    more = len(getattr(error, "faults", ())) - _LOGGED_FAULTS
    if more <= 0:
        return str(error)
    head, *lines = str(error).split("\n", 1 + _LOGGED_FAULTS)
    return "\n".join([head, *lines[:_LOGGED_FAULTS], f"  and {more} more"])


#: All that live, for forks.
_files: Final[set[weakref.ref[PolicyFile]]] = set()


def _after_fork() -> None:
    # The thread that is about to look, if there is one, is not in the child.
    for reference in list(_files):
        file = reference()
        if file is not None:
            file._next_look = float("-inf")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
