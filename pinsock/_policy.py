"""Policies: which pins hold for which host.

A pattern is a host name, ``*.example.com`` (one label more, whatever it is) or ``**.example.com``
(any number more, or none).  One pattern wins: the exact name, then ``*.``, then the longest
``**.``.  A look-up asks a few dictionaries, so its cost does not grow with the number of hosts.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, NoReturn, TypeAlias, cast

from pinsock._pins import Pin, PinSet, show
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
    for label in labels:
        if not label or len(label) > 63 or not _LABEL.issuperset(label):
            raise InvalidPolicyError(
                f"{_shown(text)}: not a host name: {_shown(label)} is no label of 1 to 63 letters, "
                f"digits, - and _; give the name alone, without scheme, port or path"
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
        verified chain has one of these; it is always logged.
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
        interception: Pins = (),
        interception_with_client_certificate: bool = False,
    ) -> None:
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
        self._fill(
            canonical, unlisted, _interception(interception), interception_with_client_certificate
        )

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
        return cls._from_file(path, warn=True)

    @classmethod
    def _from_file(cls, path: str | os.PathLike[str], *, warn: bool) -> PinPolicy:
        try:
            return cls._from_toml(_read(path), warn=warn)
        except InvalidPolicyError as error:
            named = InvalidPolicyError(f"{os.fspath(path)}: {error}")
            named.faults = error.faults
            raise named from None

    @classmethod
    def from_toml(cls, text: str) -> PinPolicy:
        """Read a policy from TOML.

        Raises InvalidPolicyError: for a syntax error with its line, otherwise with all that is
        wrong, each fault with its place.
        """
        return cls._from_toml(text, warn=True)

    @classmethod
    def _from_toml(cls, text: str, *, warn: bool) -> PinPolicy:
        import tomllib

        try:
            document = tomllib.loads(text)
        except (ValueError, RecursionError) as error:  # a TOMLDecodeError says its line
            raise InvalidPolicyError(f"not TOML: {error}") from None
        return _from_document(document, warn=warn)

    def to_toml(self) -> str:
        """The policy as TOML, which :meth:`from_toml` reads back to an equal one."""
        return _to_toml(self)


def _interception(pins: Pins, labels: Mapping[Pin, str] | None = None) -> PinSet | None:
    try:
        return PinSet(pins, backup=None, scope="chain", labels=labels)
    except InvalidPinError as error:
        if isinstance(pins, (tuple, list)) and not pins:
            return None
        raise InvalidPolicyError(f"interception: {error}") from None


# --- TOML -----------------------------------------------------------------------------------------

_TOP_KEYS: Final = ("unlisted", "entries", "interception", "pin")
_INTERCEPTION_KEYS: Final = ("pins", "with_client_certificate")
_ENTRY_KEYS: Final = (
    "host",
    "pins",
    "backup",
    "scope",
    "expires",
    "on_expiry",
    "report_only",
    "note",
)
_PIN_KEYS: Final = ("pin", "label")
_NO_BACKUP: Final = "none"


#: Stands in for the pins of an entry while each of its other keys is tried by itself.
_SOME_PIN: Final = Pin("spki", bytes(32))


class _Reader:
    """Reads a parsed document, and gathers all that is wrong with it."""

    def __init__(self, warn: bool) -> None:
        self.warn = warn
        self.faults: list[Fault] = []
        #: By pattern: the first entry that has it.
        self.places: dict[str, str] = {}

    def fault(self, path: str, message: str, host: str = "") -> None:
        self.faults.append(Fault(path, host, message))

    def check_keys(
        self, table: Mapping[str, Any], known: tuple[str, ...], path: str, host: str = ""
    ) -> None:
        if table.keys() <= _SETS_OF_KEYS[known]:
            return
        for key in table:
            if key not in known:
                import difflib

                near = difflib.get_close_matches(key, known, 1)
                hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(known)}"
                self.fault(f"{path}{safe_text(key)}", f"this key is not known{hint}", host)

    def pins(self, value: object, path: str, host: str, labels: dict[Pin, str]) -> tuple[Pin, ...]:
        if isinstance(value, str):
            value = [value]
        if not isinstance(value, list):
            self.fault(path, "a list of pins is expected", host)
            return ()
        found = []
        for number, item in enumerate(value):
            text, label = item, None
            if isinstance(item, dict):
                self.check_keys(item, _PIN_KEYS, f"{path}[{number}].", host)
                text, label = item.get("pin"), item.get("label")
                if label is not None and not isinstance(label, str):
                    self.fault(f"{path}[{number}].label", "a text is expected", host)
                    label = None
            try:
                pin = Pin.parse(cast("str", text))
            except InvalidPinError as error:
                self.fault(f"{path}[{number}]", str(error), host)
                continue
            found.append(pin)
            if label is not None:
                labels[pin] = label
        return tuple(found)

    def entry(self, entry: object, path: str) -> tuple[str, PinSet] | None:
        if not isinstance(entry, dict):
            self.fault(path, "a table is expected: [[pin]]")
            return None
        before = len(self.faults)
        host, pattern = entry.get("host"), ""
        shown = host if isinstance(host, str) else ""
        if host is None:
            self.fault(f"{path}.host", "is missing")
        else:
            try:
                pattern = _canonical_pattern(cast("str", host))
            except InvalidPolicyError as error:
                self.fault(f"{path}.host", str(error), shown)
            else:
                first = self.places.setdefault(pattern, path)
                if first is not path:
                    self.fault(f"{path}.host", f"this host is listed already, in {first}", shown)
        self.check_keys(entry, _ENTRY_KEYS, f"{path}.", shown)
        labels: dict[Pin, str] = {}
        if "pins" in entry:
            pins = self.pins(entry["pins"], f"{path}.pins", shown, labels)
        else:
            pins = ()
            self.fault(f"{path}.pins", "is missing", shown)
        backup: tuple[Pin, ...] | None = ()
        if entry.get("backup") == _NO_BACKUP:
            backup = None
        elif "backup" in entry:
            backup = self.pins(entry["backup"], f"{path}.backup", shown, labels)
        options = {key: entry[key] for key in _ENTRY_KEYS[3:] if key in entry}
        for key, value in options.items() if len(options) > 1 or len(self.faults) > before else ():
            try:
                PinSet(_SOME_PIN, None, **{key: value})
            except InvalidPinError as error:
                self.fault(f"{path}.{key}", str(error), shown)
        if len(self.faults) > before:
            return None
        try:
            return pattern, PinSet(pins, backup, labels=labels, _warn=self.warn, **options)
        except InvalidPinError as error:
            self.fault(path, str(error), shown)
            return None


_SETS_OF_KEYS: Final[dict[tuple[str, ...], frozenset[str]]] = {
    keys: frozenset(keys) for keys in (_TOP_KEYS, _INTERCEPTION_KEYS, _ENTRY_KEYS, _PIN_KEYS)
}


def _from_document(document: Mapping[str, Any], *, warn: bool) -> PinPolicy:
    reader = _Reader(warn)
    reader.check_keys(document, _TOP_KEYS, "")
    entries = document.get("pin", [])
    if not isinstance(entries, list):
        reader.fault("pin", "a list of tables is expected: [[pin]]")
        entries = []
    sets: dict[str, PinSet] = {}
    for number, entry in enumerate(entries):
        read = reader.entry(entry, f"pin[{number}]")
        if read is not None:
            sets[read[0]] = read[1]
    unlisted = document.get("unlisted", "refuse")
    if unlisted not in ("refuse", "allow"):
        reader.fault("unlisted", 'is "refuse" or "allow"')
    _check_number(document, len(entries), reader)
    interception = document.get("interception", {})
    approved: tuple[Pin, ...] = ()
    labels: dict[Pin, str] = {}
    with_certificate = False
    if not isinstance(interception, dict):
        reader.fault("interception", "a table is expected: [interception]")
    elif "interception" in document:
        reader.check_keys(interception, _INTERCEPTION_KEYS, "interception.")
        before = len(reader.faults)
        approved = reader.pins(interception.get("pins", []), "interception.pins", "", labels)
        if not approved and len(reader.faults) == before:
            reader.fault("interception.pins", "is missing or empty")
        with_certificate = interception.get("with_client_certificate", False)
        if not isinstance(with_certificate, bool):
            reader.fault("interception.with_client_certificate", "is true or false")
    if not entries:
        reader.fault("pin", "no host is listed; add a [[pin]] with host and pins")
    if reader.faults:
        number = len(reader.faults)
        lines = "\n".join(f"  {fault}" for fault in reader.faults)
        error = InvalidPolicyError(f"{number} fault{'s' * (number > 1)} in the policy:\n{lines}")
        error.faults = tuple(reader.faults)
        raise error
    policy = PinPolicy.__new__(PinPolicy)
    policy._fill(sets, unlisted, _interception(approved, labels), with_certificate)
    return policy


def _check_number(document: Mapping[str, Any], found: int, reader: _Reader) -> None:
    """A file that was cut between two entries is still TOML; only their number tells."""
    entries = document.get("entries")
    if entries is None:
        if document.get("unlisted") == "allow":
            reader.fault(
                "entries",
                f'is missing: with unlisted = "allow" a file that was cut would leave hosts '
                f"unpinned, so it must say how many [[pin]] it has (now: entries = {found})",
            )
    elif not isinstance(entries, int) or isinstance(entries, bool) or entries != found:
        reader.fault(
            "entries",
            f"says {show(entries)}, but there are {found} [[pin]]; either the file was cut, or "
            f"this number was forgotten",
        )


def _to_toml(policy: PinPolicy) -> str:
    lines = [f'unlisted = "{policy.unlisted}"', f"entries = {len(policy)}"]
    if policy.interception is not None:
        lines += ["", "[interception]", _toml_line(policy.interception)]
        if policy.interception_with_client_certificate:
            lines.append("with_client_certificate = true")
    for host, pins in policy.items():
        lines += ["", "[[pin]]", f'host = "{host}"']
        if pins.backup:
            lines.append(f"backup = [{_toml_pins(pins.backup, pins.labels)}]")
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
        # Last, since this key must be there: an entry that was cut is then refused.
        lines.append(_toml_line(pins))
    return "\n".join(lines) + "\n"


def _toml_line(pins: PinSet) -> str:
    return f"pins = [{_toml_pins(pins.pins, pins.labels)}]"


def _toml_pins(pins: Iterable[Pin], labels: Mapping[Pin, str]) -> str:
    return ", ".join(
        f'{{ pin = "{pin}", label = {_toml_string(labels[pin])} }}' if pin in labels else f'"{pin}"'
        for pin in pins
    )


def _toml_string(text: str) -> str:
    """A basic string of TOML 1.0: what JSON writes is one, but for DEL and lone surrogates."""
    import json

    return json.dumps(text.encode("utf-8", "replace").decode(), ensure_ascii=False).replace(
        "\x7f", "\\u007f"
    )


def _read(path: str | os.PathLike[str]) -> str:
    with open(path, "rb") as file:
        data = file.read()
    if not data.strip():
        raise InvalidPolicyError("the file is empty")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidPolicyError(f"TOML is UTF-8, and byte {error.start} is not") from None


# --- a policy that follows its file ---------------------------------------------------------------

_Signature: TypeAlias = tuple[int, int, int, int]


class PolicyFile:
    """A policy that follows its TOML file, without a thread of its own.

    Each new connection has the file looked at, at most once a second.  A file that was put in the
    place of the old one (``os.replace``) is loaded at once; one that was written to is loaded after
    two looks, a second apart, saw the same, so that it is not read half-written.  A file that is
    gone or bad leaves the policy as it was, and is logged once.

    Raises InvalidPolicyError or OSError when it is made, if the file is gone or bad then.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, clock: Callable[[], float] = monotonic
    ) -> None:
        self.path = os.fspath(path)
        self._clock = clock
        signature = self._signature()
        self._policy = self._load()
        self._loaded: _Signature = signature
        #: What the last look saw, whatever came of it; ``None``: no file.
        self._last: _Signature | None = signature
        #: What the last look saw, if it was neither what is loaded nor old enough.
        self._pending: _Signature | None = None
        #: What could not be loaded, and was logged.
        self._rejected: _Signature | str | None = None
        self._next_look = clock() + 1.0

    @property
    def policy(self) -> PinPolicy:
        """The policy of now; looks at the file if a second has passed."""
        now = self._clock()
        if now >= self._next_look:
            self._next_look = now + 1.0  # first: other threads need not look too
            self._look()
        return self._policy

    def match(self, host: str) -> PinSet | None:
        """As :meth:`PinPolicy.match`."""
        return self.policy.match(host)

    def reload(self) -> PinPolicy:
        """Load the file now.  Raises InvalidPolicyError or OSError, and the policy stays as it was.

        For programs that would rather load a large file in a thread of their own.
        """
        signature = self._signature()
        self._policy = self._load()
        self._loaded, self._pending, self._rejected = signature, None, None
        return self._policy

    def _signature(self) -> _Signature:
        status = os.stat(self.path)
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns

    def _load(self) -> PinPolicy:
        return PinPolicy._from_file(self.path, warn=False)  # on a connection nobody reads them

    def _look(self) -> None:
        last, self._last = self._last, None
        signature: _Signature | None = None
        try:
            self._last = signature = self._signature()
            if signature in (self._loaded, self._rejected):
                self._pending = None
                if signature == self._loaded:
                    self._rejected = None
                return
            replaced = last is not None and signature[:2] != last[:2]
            if not replaced and signature != self._pending:
                self._pending = signature
                return
            policy = self._load()
            if self._signature() != signature:
                return  # written to while it was read: the next look sees it again
            self._policy = policy
        except (OSError, InvalidPolicyError) as error:
            self._reject(error, signature)
            return
        self._loaded, self._pending, self._rejected = signature, None, None

    def _reject(self, error: Exception, signature: _Signature | None) -> None:
        import logging

        what = signature or str(error)
        if what != self._rejected:
            self._rejected = what
            with contextlib.suppress(Exception):  # a handler that raises must not either
                logging.getLogger("pinsock").error(
                    "the policy stays as it was, because its file cannot be loaded: %s", error
                )
