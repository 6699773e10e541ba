"""Pins and sets of pins: what they are, how they are written, how they are looked up.

Everything is checked in the constructors, so that whoever holds a :class:`Pin` or a
:class:`PinSet` need not check again.
"""

from __future__ import annotations

import binascii
import hashlib
import warnings
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, TypeAlias, cast

from pinsock import _pure
from pinsock._backend import find_digest, find_spki, locate
from pinsock.exceptions import InvalidCertificateError, InvalidPinError, PinWarning

if TYPE_CHECKING:
    import datetime

__all__ = [
    "Pin",
    "PinSet",
    "Pins",
    "make_plain_set",
    "make_set",
    "plain_digest",
    "sha256",
    "show",
    "warn_of_loneliness",
]

Kind: TypeAlias = Literal["spki", "certificate"]
Scope: TypeAlias = Literal["leaf", "chain"]
OnExpiry: TypeAlias = Literal["refuse", "unpinned"]
TextForm: TypeAlias = Literal["sha256", "curl", "hpkp", "hex", "tlsa"]

_KINDS: Final = ("spki", "certificate")
_DIGEST_OF_NOTHING: Final = hashlib.sha256(b"").digest()
_HEX_DIGITS: Final = frozenset("0123456789abcdefABCDEF")

#: From this size on, hashlib releases the GIL (``HASHLIB_GIL_MINSIZE``), and with a busy thread
#: beside it taking the GIL back costs far more than hashing; longer input goes in pieces.
_PIECE: Final = 2047

#: A hash object is copied rather than made: half the time.  It is never updated itself.
_new_hash: Final = hashlib.sha256().copy


def sha256(data: bytes) -> bytes:
    """The SHA-256 digest (FIPS 180-4) of ``data``, without giving the GIL away."""
    state = _new_hash()
    if len(data) <= _PIECE:
        state.update(data)
    else:
        view = memoryview(data)
        for start in range(0, len(data), _PIECE):
            state.update(view[start : start + _PIECE])
    return state.digest()


class Pin:
    """One pin: a kind and the 32 bytes of a SHA-256 digest.  Immutable and hashable.

    ``kind`` is ``"spki"`` (the digest of the raw DER SubjectPublicKeyInfo, exactly the bytes in
    the certificate, as in RFC 7469, section 2.4) or ``"certificate"`` (of the whole certificate
    in DER).  ``str(pin)`` is the canonical text.
    """

    __slots__ = ("digest", "kind")

    kind: Kind
    digest: bytes

    def __init__(self, kind: Kind, digest: bytes) -> None:
        if hasattr(self, "digest"):
            raise AttributeError("a Pin is immutable; it cannot be made a second time")
        if kind not in _KINDS:
            raise InvalidPinError(f'a pin\'s kind is "spki" or "certificate", not {show(kind)}')
        if not isinstance(digest, (bytes, bytearray, memoryview)):
            raise InvalidPinError(
                f"a pin's digest is 32 bytes, not {type(digest).__name__}; a text goes through "
                f"Pin.parse"
            )
        digest = bytes(digest)
        _check_length(len(digest), "the digest")
        if digest == _DIGEST_OF_NOTHING:
            raise InvalidPinError(
                "this is the SHA-256 digest of no bytes at all (47DEQpj8... in base64, e3b0c442... "
                "in hex), so the tool that made it was given "
                "an empty input and failed without saying so; make the pin again, for example with "
                "Pin.from_certificate"
            )
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "digest", digest)

    @classmethod
    def parse(cls, text: str) -> Pin:
        """Read a pin from one of these texts, and no other (B: base64 of 32 bytes, H: hex).

        ========================  =============  ==============================
        text                      kind           from
        ========================  =============  ==============================
        ``sha256/B``              spki           okhttp, Chromium; canonical
        ``sha256//B``             spki           curl
        ``pin-sha256="B"``        spki           RFC 7469, section 2.1
        ``spki:H:H:...``          spki           32 hex pairs between colons
        ``3 1 1 HH...``           spki           TLSA, RFC 6698, section 2.1
        ``cert-sha256/B``         certificate    canonical
        ``certificate:H:H:...``   certificate    32 hex pairs between colons
        ``3 0 1 HH...``           certificate    TLSA
        ========================  =============  ==============================

        Raises InvalidPinError, which says what was wrong and what to write instead.
        """
        if not isinstance(text, str):
            raise InvalidPinError(
                f"a pin's text is a str, not {type(text).__name__}; 32 bytes of a digest go "
                f"through Pin(kind, digest)"
            )
        return _parse(text)

    @classmethod
    def from_certificate(cls, der_or_pem: bytes | str, kind: Kind = "spki") -> Pin:
        """The pin of a certificate: DER bytes, or PEM (``bytes`` or ``str``) with one in it.

        Raises InvalidCertificateError.
        """
        der = _der(der_or_pem, ("CERTIFICATE", "X509 CERTIFICATE"), "certificate")
        spki = find_spki(der)  # also for a certificate pin: a file that is none is refused
        return cls(kind, sha256(der if kind == "certificate" else spki))

    @classmethod
    def from_public_key(cls, der_or_pem: bytes | str) -> Pin:
        """The pin of a public key: a SubjectPublicKeyInfo in DER, or PEM ``PUBLIC KEY``.

        The bytes are hashed as they are given: encoding a key anew can give other bytes than its
        certificate holds.  Raises InvalidCertificateError.
        """
        der = _der(der_or_pem, ("PUBLIC KEY",), "public key")
        try:
            _check_spki(der)
        except _pure.DerError as fault:
            raise InvalidCertificateError(
                f"not a SubjectPublicKeyInfo in DER ({len(der)} bytes, wrong at byte "
                f"{fault.offset}); the form is that of `openssl pkey -pubout -outform DER`"
            ) from None
        return cls("spki", sha256(der))

    @classmethod
    def from_csr(cls, der_or_pem: bytes | str) -> Pin:
        """The pin of the key in a certificate signing request (PKCS #10, RFC 2986).

        The SubjectPublicKeyInfo is hashed as it stands in the request.  Where ``cryptography``
        knows the key's type, the request's own signature must be good, so that a file damaged on
        its way does not become a pin that nobody has the key for.  Raises InvalidCertificateError.
        """
        der = _der(der_or_pem, ("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"), "CSR")
        try:
            spki = _csr_spki(der)
        except _pure.DerError as fault:
            raise InvalidCertificateError(
                f"not a certificate signing request in DER ({len(der)} bytes, wrong at byte "
                f"{fault.offset}); the form is that of `openssl req -new`"
            ) from None
        if not _signature_may_be_good(der, spki):
            raise InvalidCertificateError(
                "the request's signature is not that of its own key: the file is damaged or was "
                "tampered with; make the request again"
            )
        return cls("spki", sha256(spki))

    @classmethod
    def from_private_key(cls, der_or_pem: bytes | str) -> Pin:
        """The pin that a certificate for this private key will have.

        Only where its public key has one usual encoding: RSA, EC on a named curve (uncompressed),
        Ed25519, Ed448 and ML-DSA.  For others, and for encrypted files, whose encoding cannot be
        seen from outside, the error names the CSR instead.  Raises InvalidCertificateError.
        """
        der = _der(der_or_pem, _PRIVATE_KEY_LABELS, "private key")
        return cls("spki", sha256(_public_half(der)))

    def to_text(self, form: TextForm = "sha256") -> str:
        """This pin as text: ``sha256`` (canonical), ``curl``, ``hpkp``, ``hex`` or ``tlsa``.

        Raises InvalidPinError where the form has no way to say a certificate pin.
        """
        spki = self.kind == "spki"
        if form == "hex":
            return f"{self.kind}:{self.digest.hex(':').upper()}"
        if form == "tlsa":
            return f"3 {1 if spki else 0} 1 {self.digest.hex()}"
        base64 = binascii.b2a_base64(self.digest, newline=False).decode("ascii")
        if form == "sha256":
            return f"sha256/{base64}" if spki else f"cert-sha256/{base64}"
        if form not in ("curl", "hpkp"):
            raise InvalidPinError(
                f"{show(form)} is no form of a pin's text; there are sha256, curl, hpkp, hex, tlsa"
            )
        if not spki:
            raise InvalidPinError(
                f"the form {form} has no certificate pins; write cert-sha256/..., hex or tlsa, or "
                f"pin the key (kind spki)"
            )
        return f"sha256//{base64}" if form == "curl" else f'pin-sha256="{base64}"'

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return f"Pin.parse({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Pin):
            return NotImplemented
        return self.kind == other.kind and self.digest == other.digest

    def __hash__(self) -> int:
        return hash((self.kind, self.digest))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a Pin is immutable; {name!r} cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a Pin is immutable; {name!r} cannot be deleted")

    def __reduce__(self) -> tuple[Any, ...]:
        return Pin, (self.kind, self.digest)


#: What can stand before the = of the canonical base64 of 32 bytes: the other characters have bits
#: that mean nothing (RFC 4648, section 3.5).
_LAST_OF_32: Final = "AEIMQUYcgkosw048"


Pins: TypeAlias = "str | Pin | Iterable[str | Pin]"


class PinSet:
    """The pins of one peer, and how they are to be applied.  Immutable and hashable.

    :param pins: the pins in use: a :class:`Pin`, a text that :meth:`Pin.parse` reads, several of
        them separated by ``;`` as curl writes them, or an iterable of those.  At least one.
    :param backup: in the same forms, pins of keys that are kept aside for the day when the present
        one is lost.  With a single pin and no backup a :class:`PinWarning` is given; ``None`` says
        that there is none on purpose.
    :param scope: ``"leaf"``: only the peer's own certificate can match; ``"chain"``: any
        certificate of the verified chain.
    :param expires: from when on the set no longer holds: a ``datetime.date`` (to the end of that
        day, UTC), a ``datetime.datetime`` with its zone, or either in ISO 8601; ``None``: never.
    :param on_expiry: what an expired set does: ``"refuse"`` all, or leave the peer ``"unpinned"``.
    :param report_only: report a mismatch, but do not refuse for it.
    :param note: for people; no meaning.
    :param labels: what to call single pins of the set, in verdicts and records: by the pin or its
        text.

    Raises InvalidPinError, which names the pin of the list that was wrong.
    """

    __slots__ = (
        "_certificate_count",
        "_certificate_pins",
        "_certificate_table",
        "_in_use",
        "_spki_count",
        "_spki_pins",
        "_spki_table",
        "backup",
        "expires",
        "expires_at",
        "labels",
        "lenient",
        "no_backup",
        "note",
        "on_expiry",
        "pins",
        "report_only",
        "scope",
    )

    pins: tuple[Pin, ...]
    backup: tuple[Pin, ...]
    scope: Scope
    expires: datetime.date | datetime.datetime | None
    expires_at: float | None
    """``expires`` in seconds since 1970-01-01 UTC."""
    on_expiry: OnExpiry
    report_only: bool
    note: str
    # Pins by kind, backups last, and their digests packed: 32 bytes each, nothing between.
    _in_use: int
    _spki_pins: tuple[Pin, ...]
    _spki_table: bytes
    _spki_count: int
    _certificate_pins: tuple[Pin, ...]
    _certificate_table: bytes
    _certificate_count: int
    labels: Mapping[Pin, str]
    no_backup: bool
    """Whether the set was said to have no backup on purpose (``backup=None``)."""
    lenient: bool
    """Whether it can let a connection through without a match."""

    def __init__(
        self,
        pins: Pins,
        backup: Pins | None = (),
        *,
        scope: Scope = "leaf",
        expires: datetime.date | datetime.datetime | str | None = None,
        on_expiry: OnExpiry = "refuse",
        report_only: bool = False,
        note: str = "",
        labels: Mapping[Pin, str] | Mapping[str, str] | None = None,
        _warn: bool = True,
    ) -> None:
        if hasattr(self, "_spki_table"):
            raise AttributeError("a PinSet is immutable; it cannot be made a second time")
        made = make_set(
            _as_pins(pins, "pin"),
            None if backup is None else _as_pins(backup, "backup pin"),
            labels,
            scope=scope,
            expires=expires,
            on_expiry=on_expiry,
            report_only=report_only,
            note=note,
        )
        for name in PinSet.__slots__:
            object.__setattr__(self, name, getattr(made, name))
        if _warn and self._is_lonely:
            warn_of_loneliness()

    def __getattr__(self, name: str) -> Any:
        """What make_plain_set() has left out, when somebody asks for it."""
        if name not in ("pins", "backup", "_spki_pins"):
            raise AttributeError(f"a PinSet has no {name!r}")
        table = self._spki_table
        everything = tuple(
            Pin("spki", table[start : start + 32]) for start in range(0, len(table), 32)
        )
        object.__setattr__(self, "_spki_pins", everything)
        object.__setattr__(self, "pins", everything[: self._in_use])
        object.__setattr__(self, "backup", everything[self._in_use :])
        return object.__getattribute__(self, name)

    @property
    def _is_lonely(self) -> bool:
        """Whether all depends on one key, and that was not said to be on purpose."""
        return self._spki_count + self._certificate_count == 1 and not self.no_backup

    def match_certificate(self, der: bytes) -> Pin | None:
        """The pin, of any kind, that this certificate in DER matches, or ``None``.

        The C looks the digest up in a time that depends on the number of pins alone; in Python
        (``pinsock.BACKEND``) it compares in constant time, and a match takes a little longer.
        Dates, names and signatures are not looked at.  Raises InvalidCertificateError.
        """
        if type(der) is not bytes:
            der = _as_bytes(der)
        if self._spki_count:
            # find_spki() and sha256(), without their frames: this runs in each handshake.
            packed = locate(der, len(der))
            if packed < 0:
                find_spki(der)  # raises, and says why
                return None
            start = packed >> 31
            length = packed & 0x7FFFFFFF
            if length <= _PIECE:
                state = _new_hash()
                state.update(der[start : start + length])
                digest = state.digest()
            else:
                digest = sha256(der[start : start + length])
            row = find_digest(self._spki_table, self._spki_count, digest)
            if row >= 0:
                return self._spki_pins[row]
        if self._certificate_count:
            row = find_digest(self._certificate_table, self._certificate_count, sha256(der))
            if row >= 0:
                return self._certificate_pins[row]
        return None

    def __repr__(self) -> str:
        words = [repr([str(pin) for pin in self.pins])]
        if self.no_backup:
            words.append("None")
        elif self.backup:
            words.append(repr([str(pin) for pin in self.backup]))
        if self.scope != "leaf":
            words.append(f"scope={self.scope!r}")
        if self.expires is not None:
            words.append(f"expires={self.expires.isoformat()!r}")
        if self.on_expiry != "refuse":
            words.append(f"on_expiry={self.on_expiry!r}")
        if self.report_only:
            words.append("report_only=True")
        if self.note:
            words.append(f"note={self.note!r}")
        if self.labels:
            words.append(f"labels={ {str(pin): label for pin, label in self.labels.items()}!r}")
        return f"PinSet({', '.join(words)})"

    def _key(self) -> tuple[object, ...]:
        return (
            self.pins,
            self.backup,
            self.scope,
            self.expires,
            self.on_expiry,
            self.report_only,
            self.note,
            self.no_backup,
            frozenset(self.labels.items()),
        )

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, PinSet) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a PinSet is immutable; make another for a different {name}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a PinSet is immutable; {name!r} cannot be deleted")

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_set, (
            {
                "pins": self.pins,
                "backup": None if self.no_backup else self.backup,
                "scope": self.scope,
                "expires": self.expires,
                "on_expiry": self.on_expiry,
                "report_only": self.report_only,
                "note": self.note,
                "labels": dict(self.labels),
            },
        )


class _Open(PinSet):
    """A set while it is made.  A policy can have very many, and no other way is as quick."""

    __slots__ = ()
    __setattr__ = object.__setattr__  # type: ignore[assignment]  # that is what it is for
    __delattr__ = object.__delattr__  # type: ignore[assignment]  # or neither is quick


def make_set(
    pins: tuple[Pin, ...],
    backup: tuple[Pin, ...] | None,
    labels: Mapping[Pin, str] | Mapping[str, str] | None,
    **options: Any,
) -> PinSet:
    """As ``PinSet(...)``, of pins of which each is given once; warns of nothing."""
    spare = backup or ()
    digests = {pin.digest for pin in pins}
    for pin in spare:
        if pin.digest in digests:
            raise _kept_twice(pin)
    everything = pins + spare
    spki = tuple(pin for pin in everything if pin.kind == "spki")
    certificate = tuple(pin for pin in everything if pin.kind == "certificate")
    made = _open_set(len(pins), [pin.digest for pin in spki], backup is None, **options)
    made.pins = pins
    made.backup = spare
    made._spki_pins = spki
    made._certificate_pins = certificate
    made._certificate_table = b"".join(pin.digest for pin in certificate)
    made._certificate_count = len(certificate)
    if labels:
        made.labels = _as_labels(labels, everything)
    made.__class__ = PinSet  # type: ignore[assignment]  # closed from here on
    return made


def make_plain_set(pins: list[bytes], backup: list[bytes] | None, **options: Any) -> PinSet:
    """As :func:`make_set`, by the digests of spki pins, for very many: their objects are made when
    they are first used."""
    spare = backup or []
    if not set(pins).isdisjoint(spare):
        raise _kept_twice(Pin("spki", next(digest for digest in spare if digest in pins)))
    made = _open_set(len(pins), pins + spare, backup is None, **options)
    made.__class__ = PinSet  # type: ignore[assignment]  # closed from here on
    return made


def _kept_twice(pin: Pin) -> InvalidPinError:
    return InvalidPinError(
        f"{pin} is given as a pin and as a backup; a backup is the pin of another key, kept aside. "
        f"Make one, or say backup=None"
    )


def _open_set(  # noqa: PLR0917 - for each host of a policy, where keywords cost
    in_use: int,
    digests: list[bytes],
    no_backup: bool,
    scope: Scope = "leaf",
    expires: datetime.date | datetime.datetime | str | None = None,
    on_expiry: OnExpiry = "refuse",
    report_only: bool = False,
    note: str = "",
) -> _Open:
    """With everything but the pins themselves, of which these are the spki ones' digests."""
    if not in_use:
        raise InvalidPinError(
            "an empty set of pins would refuse everything or check nothing; give at least one "
            "pin, or use an ssl.SSLContext where you do not want to pin"
        )
    if scope not in ("leaf", "chain"):
        raise InvalidPinError(f'scope is "leaf" or "chain", not {show(scope)}')
    if on_expiry not in ("refuse", "unpinned"):
        raise InvalidPinError(f'on_expiry is "refuse" or "unpinned", not {show(on_expiry)}')
    if not isinstance(report_only, bool):
        raise InvalidPinError(f"report_only is True or False, not {show(report_only)}")
    if note != "":
        _check_text("note", note)
    made: _Open = _new_set(_Open)
    made._in_use = in_use
    made.no_backup = no_backup
    made.scope = scope
    made.expires, made.expires_at = (None, None) if expires is None else _as_expiry(expires)
    made.on_expiry = on_expiry
    made.report_only = report_only
    made.lenient = report_only or on_expiry == "unpinned"
    made.note = note
    made.labels = _NO_LABELS
    made._spki_table = b"".join(digests)
    made._spki_count = len(digests)
    made._certificate_pins = ()
    made._certificate_table = b""
    made._certificate_count = 0
    return made


_new_set: Final = PinSet.__new__


def _rebuild_set(arguments: dict[str, Any]) -> PinSet:
    return PinSet(**arguments, _warn=False)  # who made the set first was warned


# --- texts ----------------------------------------------------------------------------------------


class _Shown:
    """A text that is shown only if something is wrong with it."""

    __slots__ = ("_value",)

    def __init__(self, value: object) -> None:
        self._value = value

    def __str__(self) -> str:
        return show(self._value)


def show(value: object) -> str:
    """What was given, safe to print: escaped, and cut after 80 characters."""
    try:
        text = ascii(value)
    except ValueError:  # an integer of more digits than Python writes
        return type(value).__name__
    return text if len(text) <= 80 else f"{text[:77]}..."


def _check_length(length: int, what: str, shown: _Shown | None = None) -> None:
    if length == 32:
        return
    if shown is not None:
        what = f"{shown}: {what}"
    known = {
        16: "an MD5 digest has 16: that hash is broken",
        20: "a SHA-1 digest has 20: that hash is broken",
        28: "a SHA-224 digest has 28",
        48: "a SHA-384 digest has 48",
        64: "a SHA-512 digest has 64",
        0: "nothing was given",
    }.get(length, "it was cut or is not a digest")
    raise InvalidPinError(
        f"{what} has {length} bytes, but a pin is a SHA-256 digest of 32 ({known}); make the pin "
        f"anew from the certificate, for example with Pin.from_certificate"
    )


def plain_digest(text: str) -> bytes | None:
    """That of the usual text, ``sha256/`` and base64, quickly: a policy can have very many.

    What is wrong with a text, or whether it is of another form, is for :meth:`Pin.parse`.
    """
    if len(text) != 51 or text[49] not in _LAST_OF_32 or not text.startswith("sha256/"):
        return None
    try:
        digest = binascii.a2b_base64(text[7:], strict_mode=True)
    except ValueError:
        return None
    return digest if len(digest) == 32 and digest != _DIGEST_OF_NOTHING else None


def _parse(text: str) -> Pin:
    digest = plain_digest(text)
    if digest is not None:
        return Pin("spki", digest)
    shown = _Shown(text)
    if not (text.isascii() and text.isprintable()):
        raise InvalidPinError(f"{shown}: a pin's text is printable ASCII, without line ends")
    if text != text.strip():
        raise InvalidPinError(f"{shown}: remove the white space around the pin")
    if ";" in text:
        raise InvalidPinError(
            f"{shown}: one pin was expected, and ';' separates several; PinSet reads such a list"
        )
    lower = text.lower()
    for weak in ("sha1", "sha-1", "md5"):
        if lower.startswith((weak, f"pin-{weak}", f"cert-{weak}")):
            raise InvalidPinError(
                f"{shown}: {weak.upper()} is broken; make a SHA-256 pin from the certificate, for "
                f"example with Pin.from_certificate"
            )
    if text.startswith("pin-sha256="):
        quoted = text[len("pin-sha256=") :]
        if len(quoted) < 2 or not (quoted[0] == quoted[-1] == '"'):
            raise InvalidPinError(f'{shown}: RFC 7469 has quotes here: pin-sha256="BASE64"')
        return Pin("spki", _base64(quoted[1:-1], shown))
    for prefix, kind in _BASE64_PREFIXES:
        if text.startswith(prefix):
            base64 = text[len(prefix) :]
            # curl writes one slash more; but a digest's own base64 can begin with a slash too.
            if prefix == "sha256/" and base64.startswith("/") and len(base64) != 44:
                base64 = base64[1:]
            return Pin(kind, _base64(base64, shown))
    for kind in _KINDS:
        if text.startswith(f"{kind}:"):
            return Pin(kind, _colon_hex(text[len(kind) + 1 :], shown))
    if len(text.split(" ")) == 4 and text[0].isdigit():
        return _tlsa(text, shown)
    if _HEX_DIGITS.issuperset(text.replace(":", "")) and len(text.replace(":", "")) >= 32:
        plain = text.replace(":", "").upper()
        _check_length(len(plain) // 2, "this hex", shown)
        pairs = ":".join(plain[i : i + 2] for i in range(0, 64, 2))
        raise InvalidPinError(
            f"{shown}: hex does not say what it is the digest of; write spki:{pairs} if it is of "
            f"the public key, certificate:{pairs} if it is of the whole certificate (what openssl "
            f"and browsers show as SHA-256 fingerprint)"
        )
    if len(text) == 44 and text.endswith("="):
        raise InvalidPinError(
            f"{shown}: base64 alone does not say what it is of; write sha256/{text} if it is the "
            f"digest of the public key, cert-sha256/{text} if it is of the whole certificate"
        )
    raise InvalidPinError(
        f"{shown}: not the text of a pin; the usual one is sha256/ and 44 characters of base64, as "
        f"in sha256/C5+lpZ7tcVwmwQIMcRtPbsQtWLABXhQzejna0wHFr8M="
    )


_BASE64_PREFIXES: Final[tuple[tuple[str, Kind], ...]] = (
    ("sha256/", "spki"),
    ("cert-sha256/", "certificate"),
)


def _base64(text: str, shown: _Shown) -> bytes:
    if " " in text:  # of white space, _parse has let no other through
        raise InvalidPinError(f"{shown}: remove the white space from the base64")
    if "-" in text or "_" in text:
        raise InvalidPinError(
            f"{shown}: this is the base64 for URLs; write + for - and / for _ (RFC 4648, section 4)"
        )
    if len(text) == 64 and _HEX_DIGITS.issuperset(text):
        raise InvalidPinError(
            f"{shown}: this is hex, and base64 was expected; with colons and its kind, spki:AA:BB:"
            f"... or certificate:AA:BB:..., it can be read"
        )
    try:
        digest = binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error as error:
        raise InvalidPinError(
            f"{shown}: not base64 ({error}); 32 bytes are 44 characters, the last one ="
        ) from None
    _check_length(len(digest), "this base64", shown)
    if binascii.b2a_base64(digest, newline=False).decode("ascii") != text:
        # RFC 4648, section 3.5: the bits that the last character has over must be zero.
        raise InvalidPinError(
            f"{shown}: not the canonical base64 of any digest (its last character before = has "
            f"bits that mean nothing), so a character was changed; copy the pin again"
        )
    return digest


def _colon_hex(text: str, shown: _Shown) -> bytes:
    pairs = text.split(":")
    if any(len(pair) != 2 or not _HEX_DIGITS.issuperset(pair) for pair in pairs):
        raise InvalidPinError(f"{shown}: after the kind come 32 pairs of hex digits, AA:BB:...")
    _check_length(len(pairs), "this hex", shown)
    return bytes.fromhex("".join(pairs))


def _tlsa(text: str, shown: _Shown) -> Pin:
    usage, selector, matching, data = text.split(" ")
    if usage != "3":
        raise InvalidPinError(
            f"{shown}: certificate usage {show(usage)} is not read, only 3 (DANE-EE: the peer's "
            f"own key or certificate; RFC 6698, section 2.1.1); for a CA's key give its pin as "
            f'sha256/... with scope="chain"'
        )
    if selector not in ("0", "1"):
        raise InvalidPinError(
            f"{shown}: the selector is 0 (certificate) or 1 (SubjectPublicKeyInfo), RFC 6698, "
            f"section 2.1.2"
        )
    if matching != "1":
        raise InvalidPinError(
            f"{shown}: the matching type must be 1, SHA-256 (RFC 6698, section 2.1.3); make a "
            f"record with 3 1 1"
        )
    if not data or len(data) % 2 or not _HEX_DIGITS.issuperset(data):
        raise InvalidPinError(f"{shown}: after 3 {selector} 1 come 64 hex digits")
    _check_length(len(data) // 2, "this hex", shown)
    return Pin("spki" if selector == "1" else "certificate", bytes.fromhex(data))


# --- arguments ------------------------------------------------------------------------------------


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise InvalidPinError(f"{name} is a str, not {type(value).__name__}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InvalidPinError(
                f"{name}: its character {error.start} is a lone surrogate, which no file can hold"
            ) from None


def _as_pins(value: Pins, what: str) -> tuple[Pin, ...]:
    """All of them, parsed, each once, in the order given."""
    items: list[object]
    if isinstance(value, Pin):
        items = [value]
    elif isinstance(value, str):
        # Around the ; of a list (not within a pin) white space means nothing: RFC 7469 has it.
        items = [part.strip() for part in value.split(";")] if ";" in value else [value]
    elif isinstance(value, (bytes, bytearray, memoryview)) or not isinstance(value, Iterable):
        raise InvalidPinError(
            f"pins are texts or Pin objects, not {type(value).__name__}; 32 bytes of a digest go "
            f"through Pin(kind, digest)"
        )
    else:
        items = list(value)
    found: dict[Pin, None] = {}
    for number, item in enumerate(items, 1):
        if isinstance(item, Pin):
            found[item] = None
            continue
        try:
            found[Pin.parse(cast("str", item))] = None
        except InvalidPinError as error:
            where = f"{what} {number} of {len(items)}: " if len(items) > 1 else f"{what}: "
            raise InvalidPinError(f"{where}{error}") from None
    return tuple(found)


_NO_LABELS: Final[Mapping[Pin, str]] = MappingProxyType({})


def _as_labels(
    labels: Mapping[Pin, str] | Mapping[str, str], pins: tuple[Pin, ...]
) -> Mapping[Pin, str]:
    if not isinstance(labels, Mapping):
        raise InvalidPinError(f"labels map pins to texts, and {type(labels).__name__} does not")
    found = {}
    for key, label in labels.items():
        pin = key if isinstance(key, Pin) else Pin.parse(key)
        if pin not in pins:
            raise InvalidPinError(f"labels name {pin}, which is no pin of this set")
        _check_text(f"the label of {pin}", label)
        found[pin] = label
    return MappingProxyType(found)


def _as_expiry(
    value: datetime.date | datetime.datetime | str,
) -> tuple[datetime.date, float]:
    """The date or moment, as a file can say it, and when it is in seconds since 1970."""
    import datetime  # only sets that expire need it

    if isinstance(value, str):
        try:
            value = (
                datetime.date.fromisoformat(value)
                if len(value) == 10
                else datetime.datetime.fromisoformat(value)
            )
        except ValueError:
            raise InvalidPinError(
                f"expires: {show(value)} is no date of ISO 8601, as 2027-03-31 or "
                f"2027-03-31T12:00:00+00:00 is"
            ) from None
    if isinstance(value, datetime.datetime):
        offset = value.utcoffset()
        if offset is None:
            raise InvalidPinError(
                f"expires: {value.isoformat()} does not say its time zone; append +00:00 for UTC"
            )
        # Of one type, and with a fixed distance from UTC in whole minutes: TOML (as RFC 3339) has
        # no other, and moments that a zone has twice are equal to none in another zone.
        moment = datetime.datetime.combine(
            value.date(), value.time().replace(fold=0), datetime.timezone(offset)
        )
        if offset % datetime.timedelta(minutes=1):
            try:
                moment = moment.astimezone(datetime.UTC)
            except OverflowError:
                raise InvalidPinError(
                    f"expires: {value.isoformat()} is not in the years 1 to 9999 of UTC"
                ) from None
        return moment, moment.timestamp()
    if isinstance(value, datetime.date):
        day = datetime.date(value.year, value.month, value.day)
        midnight = datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC)
        return day, midnight.timestamp() + 86400
    raise InvalidPinError(
        f"expires is a date, a datetime with its zone or a text, not {type(value).__name__}"
    )


def warn_of_loneliness(where: str = "") -> None:
    warnings.warn(
        f"{where}one pin and no backup: if that key is lost, every program that pins it is locked "
        f"out. Give backup=... the pin of a second key, kept aside, or backup=None if this is on "
        f"purpose",
        PinWarning,
        stacklevel=_stack_level(),
    )


def _stack_level() -> int:
    """How far up ``warnings.warn`` finds the first line that is not pinsock's own."""
    import sys

    level = 2
    frame = sys._getframe(level)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("pinsock."):
        frame = frame.f_back
        level += 1
    return level


def _as_bytes(der: object) -> bytes:
    if isinstance(der, (bytearray, memoryview)):
        return bytes(der)
    raise InvalidCertificateError(
        f"a certificate in DER is bytes, not {type(der).__name__}"
        + ("; PEM goes through Pin.from_certificate" if isinstance(der, str) else "")
    )


# --- files: PEM, keys, CSRs -----------------------------------------------------------------------

_PRIVATE_KEY_LABELS: Final = (
    "PRIVATE KEY",
    "RSA PRIVATE KEY",
    "EC PRIVATE KEY",
    "DSA PRIVATE KEY",
    "ENCRYPTED PRIVATE KEY",
)


def _der(data: bytes | str, labels: tuple[str, ...], what: str) -> bytes:
    """DER as it is, or the one PEM block (RFC 7468) with one of these labels."""
    if isinstance(data, str):
        text = data
    elif isinstance(data, (bytes, bytearray, memoryview)):
        data = bytes(data)
        if b"-----BEGIN " not in data:
            if not data:
                raise InvalidCertificateError(f"no bytes where a {what} was expected")
            return data
        text = data.decode("ascii", "replace")
    else:
        raise InvalidCertificateError(
            f"a {what} is DER (bytes) or PEM (bytes or str), not {type(data).__name__}; give the "
            f"bytes of its file"
        )
    blocks = list(_pem_blocks(text))
    wanted = [body for label, body in blocks if label in labels]
    if len(wanted) == 1:
        if wanted[0].startswith("Proc-Type: 4,ENCRYPTED"):  # RFC 1421, section 4.6.1.1
            raise InvalidCertificateError(f"{_ENCRYPTED}; {_INSTEAD}")
        try:
            return binascii.a2b_base64("".join(wanted[0].split()), strict_mode=True)
        except ValueError as error:
            raise InvalidCertificateError(
                f"the PEM block of the {what} is not base64 ({error}); the file is damaged"
            ) from None
    if wanted:
        raise InvalidCertificateError(
            f"{len(wanted)} blocks of a {what} in one PEM text, and a pin is of one; give the one "
            f"that you mean (in a server's chain file the first is its own)"
        )
    if not blocks:
        raise InvalidCertificateError(
            f"no {what} in this text: it has no whole block from -----BEGIN {labels[0]}----- to "
            f"-----END; give all that is in the file, and not the file's name"
        )
    present = ", ".join(sorted({show(label)[1:-1] for label, _ in blocks}))
    raise InvalidCertificateError(f"no {what} in this PEM text, which has {present}")


def _pem_blocks(text: str) -> Iterable[tuple[str, str]]:
    label = ""
    body: list[str] = []
    for untrimmed in text.splitlines():
        line = untrimmed.strip()
        if line.startswith("-----BEGIN ") and line.endswith("-----"):
            label, body = line[11:-5], []
        elif label and line == f"-----END {label}-----":
            # RFC 1421 headers (an encrypted key of the old form) end at an empty line.
            yield label, "\n".join(body)
            label = ""
        elif label:
            body.append(line)


def _check_spki(der: bytes) -> None:
    position, end = _pure.read_header(der, 0, len(der), _pure.SEQUENCE)
    if end != len(der):
        raise _pure.DerError(0, end)
    _, position = _pure.read_header(der, position, end, _pure.SEQUENCE)
    _, position = _pure.read_header(der, position, end, _pure.BIT_STRING)
    if position != end:
        raise _pure.DerError(0, position)


def _csr_spki(der: bytes) -> bytes:
    """CertificationRequestInfo: version, subject, subjectPKInfo (RFC 2986, section 4.1)."""
    read, sequence = _pure.read_header, _pure.SEQUENCE
    position, end = read(der, 0, len(der), sequence)
    if end != len(der):
        raise _pure.DerError(0, end)
    position, info_end = read(der, position, end, sequence)
    if der[position : position + 3] != b"\x02\x01\x00":  # version v1(0), and there is no other
        raise _pure.DerError(0, position)
    position += 3
    _, start = read(der, position, info_end, sequence)
    _, stop = read(der, start, info_end, sequence)
    _, position = read(der, info_end, end, sequence)
    _, position = read(der, position, end, _pure.BIT_STRING)
    if position != end:
        raise _pure.DerError(0, position)
    _check_spki(der[start:stop])
    return der[start:stop]


def _signature_may_be_good(der: bytes, spki: bytes) -> bool:
    from cryptography import exceptions, x509

    try:
        return x509.load_der_x509_csr(der).is_signature_valid
    except exceptions.UnsupportedAlgorithm:
        return True
    except (ValueError, TypeError):
        # A damaged key, unless it is of a kind that cryptography does not read.
        try:
            algorithm, end = _pure.read_header(spki, _contents(spki), len(spki), _pure.SEQUENCE)
            return not _has_one_encoding(spki[algorithm:end])
        except _pure.DerError:
            return False


#: Algorithms whose public keys have one usual encoding, by the DER of their object identifiers.
_RSA: Final = bytes.fromhex("06092a864886f70d010101")
_EC: Final = bytes.fromhex("06072a8648ce3d0201")
_WITHOUT_PARAMETERS: Final = (
    bytes.fromhex("06032b6570"),  # Ed25519 (RFC 8410)
    bytes.fromhex("06032b6571"),  # Ed448
    bytes.fromhex("0609608648016503040311"),  # ML-DSA-44 (RFC 9881)
    bytes.fromhex("0609608648016503040312"),  # ML-DSA-65
    bytes.fromhex("0609608648016503040313"),  # ML-DSA-87
)
_OBJECT_IDENTIFIER: Final = 0x06
_OCTET_STRING: Final = 0x04


def _contents(der: bytes) -> int:
    return _pure.read_header(der, 0, len(der), _pure.SEQUENCE)[0]


def _has_one_encoding(algorithm: bytes) -> bool:
    """Whether keys with this AlgorithmIdentifier (its contents) have one usual encoding."""
    _, parameters = _pure.read_header(algorithm, 0, len(algorithm), _OBJECT_IDENTIFIER)
    identifier, rest = algorithm[:parameters], algorithm[parameters:]
    if identifier == _RSA:
        return rest == b"\x05\x00"
    if identifier == _EC:
        return rest[:1] == bytes([_OBJECT_IDENTIFIER])  # a named curve
    return identifier in _WITHOUT_PARAMETERS and not rest


_ENCRYPTED: Final = (
    "the private key is encrypted, and how its public key is encoded cannot be seen from outside"
)
_INSTEAD: Final = (
    "take the pin from the key's certificate (Pin.from_certificate) or CSR (Pin.from_csr: "
    "`openssl req -new -key KEY`)"
)


def _public_half(der: bytes) -> bytes:
    """The SubjectPublicKeyInfo of an unencrypted private key, if there is no doubt what it is."""
    try:
        doubt = _doubt(der)
    except (_pure.DerError, IndexError):
        raise InvalidCertificateError(
            f"not a private key in DER ({len(der)} bytes): neither PKCS #8 (RFC 5958) nor an RSA "
            f"(RFC 8017) or EC key (RFC 5915)"
        ) from None
    if doubt:
        raise InvalidCertificateError(f"{doubt}; {_INSTEAD}")
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        key = serialization.load_der_private_key(der, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidCertificateError(f"the private key cannot be read: {error}") from None
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _doubt(der: bytes) -> str:
    """Why the encoding of the public key cannot be told, or ``""``."""
    read = _pure.read_header
    start, end = read(der, 0, len(der), _pure.SEQUENCE)
    if der[start] == _pure.SEQUENCE:  # EncryptedPrivateKeyInfo
        _, position = read(der, start, end, _pure.SEQUENCE)
        read(der, position, end, _OCTET_STRING)
        return _ENCRYPTED
    _, position = read(der, start, end, _pure.INTEGER)
    if der[position] == _pure.INTEGER:
        # Version and eight numbers are an RSAPrivateKey (RFC 8017, A.1.2); DSA keys have five.
        numbers = 0
        while position < end:
            _, position = read(der, position, end, _pure.INTEGER)
            numbers += 1
        return "" if numbers == 8 else _AMBIGUOUS
    if der[position] == _OCTET_STRING:  # ECPrivateKey
        return _doubt_of_ec(der, None)
    algorithm, algorithm_end = read(der, position, end, _pure.SEQUENCE)
    inner, inner_end = read(der, algorithm_end, end, _OCTET_STRING)
    _, parameters = read(der, algorithm, algorithm_end, _OBJECT_IDENTIFIER)
    if der[algorithm:parameters] == _EC:
        return _doubt_of_ec(der[inner:inner_end], der[parameters:algorithm_end])
    return "" if _has_one_encoding(der[algorithm:algorithm_end]) else _AMBIGUOUS


_AMBIGUOUS: Final = "the public key of this kind of private key can be encoded in more than one way"


def _doubt_of_ec(der: bytes, parameters: bytes | None) -> str:
    """ECPrivateKey (RFC 5915, section 3): version, privateKey, [0] parameters, [1] publicKey."""
    read = _pure.read_header
    position, end = read(der, 0, len(der), _pure.SEQUENCE)
    _, position = read(der, position, end, _pure.INTEGER)
    _, position = read(der, position, end, _OCTET_STRING)
    if position < end and der[position] == 0xA0:
        start, position = read(der, position, end, 0xA0)
        parameters = parameters or der[start:position]
    if not parameters or parameters[0] != _OBJECT_IDENTIFIER:
        return "the key's curve is not named but spelt out"
    if position < end:
        start, _ = read(der, position, end, 0xA1)
        bits, _ = read(der, start, end, _pure.BIT_STRING)
        if der[bits + 1] != 0x04:
            return "the key's point is compressed"
    return ""
