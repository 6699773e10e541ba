"""Certificates in words: what people want to know of one, and what programs are given as JSON."""

from __future__ import annotations

import contextlib
import datetime
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

from pinsock._pins import Pin
from pinsock._text import safe_text
from pinsock.exceptions import InvalidCertificateError

__all__ = ["Certificate", "days_until", "describe", "in_days", "key_in_words"]


class Certificate(NamedTuple):
    """A certificate, with everything in it that is somebody else's word made safe to print."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    """Those of subjectAltName: host names and addresses."""
    not_before: datetime.datetime | None
    not_after: datetime.datetime | None
    key: str
    self_signed: bool
    pin: Pin | None
    """``None``: not DER, so it has none."""
    whole_pin: Pin | None
    """The pin of kind certificate."""

    def state(self, now: datetime.datetime) -> str:
        """``"valid"``, as far as its dates say, ``"expired"`` or ``"not yet valid"``."""
        if self.not_after is None or self.not_before is None:
            return "not readable"
        if now > self.not_after:
            return "expired"
        return "not yet valid" if now < self.not_before else "valid"

    def as_json(self, now: datetime.datetime) -> dict[str, Any]:
        return {
            "subject": self.subject,
            "issuer": self.issuer,
            "names": list(self.names),
            "not_before": _iso(self.not_before),
            "not_after": _iso(self.not_after),
            "days": None if self.not_after is None else days_until(self.not_after, now),
            "state": self.state(now),
            "self_signed": self.self_signed,
            "key": self.key,
            "pin": None if self.pin is None else str(self.pin),
            "certificate_pin": None if self.whole_pin is None else str(self.whole_pin),
        }


def _iso(moment: datetime.datetime | None) -> str | None:
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def days_until(moment: datetime.datetime, now: datetime.datetime) -> int:
    """Whole days, rounded down: 0 on the last day, negative from then on."""
    return (moment - now) // datetime.timedelta(days=1)


def in_days(days: int) -> tuple[str, str]:
    """How long a certificate has left, in words, and the colour of it."""
    if days < 0:
        return f"EXPIRED, {-days} day{'s' * (days < -1)} ago", "bold red"
    words = f"{days} day{'s' * (days != 1)} left"
    return words, "red" if days < 7 else "yellow" if days < 14 else "green"


def describe(der: bytes) -> Certificate:
    """Of any bytes at all: what cannot be read is said to be so."""
    pin = whole = None
    with contextlib.suppress(InvalidCertificateError):
        pin, whole = Pin.from_certificate(der), Pin.from_certificate(der, "certificate")
    try:
        return _described(x509.load_der_x509_certificate(der), pin, whole)
    except Exception:  # the peer's bytes, through a library: whatever it may raise
        unread = "(cannot be read)"
        return Certificate(unread, unread, (), None, None, unread, False, pin, whole)


def _described(certificate: x509.Certificate, pin: Pin | None, whole: Pin | None) -> Certificate:
    return Certificate(
        subject=_name(certificate.subject),
        issuer=_name(certificate.issuer),
        names=_names(certificate),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        key=_key(certificate),
        self_signed=_is_self_signed(certificate),
        pin=pin,
        whole_pin=whole,
    )


def _name(name: x509.Name) -> str:
    return safe_text(name.rfc4514_string()) or "(empty)"


_MOST_NAMES = 20


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except Exception:  # none, or a damaged one
        return ()
    names = [safe_text(str(name.value)) for name in extension.value][: _MOST_NAMES + 1]
    return (*names[:_MOST_NAMES], *["..."] * (len(names) > _MOST_NAMES))


def _key(certificate: x509.Certificate) -> str:
    try:
        return key_in_words(certificate.public_key())
    except Exception:
        oid = certificate.public_key_algorithm_oid.dotted_string
        return f"of the kind {safe_text(oid)}"


#: What people call the curves that certificates have.
_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}


def key_in_words(key: object) -> str:
    """A public key's kind and size."""
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {_CURVES.get(key.curve.name, key.curve.name)}"
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "Ed25519"
    if isinstance(key, ed448.Ed448PublicKey):
        return "Ed448"
    if isinstance(key, dsa.DSAPublicKey):
        return f"DSA {key.key_size}"
    return type(key).__name__.removesuffix("PublicKey")


def _is_self_signed(certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(certificate)
    except Exception:  # another's signature, another's name, or an algorithm that is not known
        return False
    return True
