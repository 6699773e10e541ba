"""Every error and warning that pinsock raises."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from pinsock._pins import PinSet
    from pinsock._policy import Fault
    from pinsock._verify import PeerCertificate, Verdict

__all__ = [
    "InvalidCertificateError",
    "InvalidPinError",
    "InvalidPolicyError",
    "PinMismatchError",
    "PinVerificationError",
    "PinWarning",
    "PinsockError",
]

#: The numbers of ``enum pinsock_status`` (csrc/spki.h), in words.
_REASONS = (
    "",
    "the bytes end where a tag or a length should stand",
    "another type stands here than RFC 5280, section 4.1, says",
    "its tag takes more than one byte, which no type used here does (X.690, 8.1.2.4)",
    "its length is of the indefinite form, which DER forbids (X.690, 10.1)",
    "its length is not in the shortest form, which DER demands (X.690, 10.1)",
    "its length takes more than four bytes",
    "its length runs past the end of what holds it (X.690, 8.1.1.4)",
    "bytes follow where it should end",
    "it is longer than 2 GiB",
)

#: The numbers of ``enum pinsock_field`` (csrc/spki.h): RFC 5280's names.
_FIELDS = (
    "Certificate",
    "tbsCertificate",
    "version",
    "serialNumber",
    "signature",
    "issuer",
    "validity",
    "subject",
    "subjectPublicKeyInfo",
    "signatureAlgorithm",
    "signatureValue",
)


class PinsockError(Exception):
    """The base of all errors that pinsock raises."""


class InvalidPinError(PinsockError, ValueError):
    """A text, a digest or a list is no pin, or no set of pins that could protect anything."""


class InvalidPolicyError(PinsockError, ValueError):
    """A policy, or a combination of pins and context, that could not hold what it promises.

    ``faults``: what is wrong in a policy file, each with its ``path``, ``host`` and ``message``.
    """

    faults: tuple[Fault, ...] = ()


class InvalidCertificateError(PinsockError, ValueError):
    """Bytes are not what they should be: a certificate, a CSR or a key.

    ``reason``, ``field`` (a name from RFC 5280, section 4.1, or ``None``) and ``offset`` (of the
    byte that was wrong, from 0, or ``None``) are those of the message.
    """

    def __init__(self, reason: str, field: str | None = None, offset: int | None = None) -> None:
        super().__init__(reason, field, offset)
        self.reason = reason
        self.field = field
        self.offset = offset

    def __str__(self) -> str:
        if self.field is None:
            return self.reason
        return (
            f"{self.reason}: read as {self.field}, at byte {self.offset}; get the certificate "
            f"anew, or if it is in another form, `openssl x509 -outform DER` writes this one"
        )


def certificate_fault(status: int, field: int, offset: int, size: int) -> InvalidCertificateError:
    """The error for what the DER walk answered; the numbers are those of csrc/spki.h."""
    if size == 0:
        return InvalidCertificateError(
            "no bytes where a certificate in DER was expected", _FIELDS[field], offset
        )
    return InvalidCertificateError(
        f"not a certificate in DER ({size} bytes): {_REASONS[status]}", _FIELDS[field], offset
    )


_Error = TypeVar("_Error", bound="PinVerificationError")


class PinVerificationError(PinsockError, ssl.SSLCertVerificationError):
    """The peer was refused by pinsock; no application byte has passed.

    It is an :class:`ssl.SSLCertVerificationError` (so an ``OSError`` and a ``ValueError`` too):
    that is what programs catch, and what CPython closes the socket on.  ``errno`` is 1
    (``SSL_ERROR_SSL``), never 8, which CPython takes for an ordinary end of file.
    """

    _reason = "PIN_VERIFICATION_FAILED"

    def __init__(
        self, message: str, *, host: str | None = None, headline: str | None = None
    ) -> None:
        ssl.SSLCertVerificationError.__init__(self, 1, message)
        #: The name that the connection was made for, or ``None``.
        self.host = host
        self.library = "PINSOCK"
        self.reason = self._reason
        #: X509_V_ERR_APPLICATION_VERIFICATION of OpenSSL's x509_vfy.h.
        self.verify_code = 50
        #: The message in one line.
        self.verify_message = headline or message

    def __reduce__(self) -> tuple[Any, ...]:
        # OSError would pickle its own two arguments, which are not this class's.
        return _rebuild, (type(self), self.strerror, self.__dict__)

    def again(self) -> Self:
        """An equal error, without this one's traceback: each call on a refused peer gets one."""
        return _rebuild(type(self), self.strerror or "", self.__dict__)


def _rebuild(cls: type[_Error], message: str, attributes: dict[str, Any]) -> _Error:
    error = cls.__new__(cls)
    ssl.SSLCertVerificationError.__init__(error, 1, message)
    error.__dict__.update(attributes)
    error.__dict__.pop("__notes__", None)
    return error


class PinMismatchError(PinVerificationError):
    """The peer's key is none of the pinned ones.

    ``host``; ``chain``, the peer's certificates, leaf first, each with ``subject``, ``not_after``
    and ``pin`` (to be pinned only after confirming them by another way); ``pins``, the
    :class:`~pinsock.PinSet` that was asked for; ``verdict``, the :class:`~pinsock.Verdict`.
    """

    _reason = "PIN_MISMATCH"

    def __init__(
        self,
        message: str,
        *,
        host: str | None = None,
        headline: str | None = None,
        chain: tuple[PeerCertificate, ...] = (),
        pins: PinSet | None = None,
        verdict: Verdict | None = None,
    ) -> None:
        super().__init__(message, host=host, headline=headline)
        self.chain = chain
        self.pins = pins
        self.verdict = verdict


class PinWarning(UserWarning):
    """Pins that work today but invite a lock-out.  Given where pins are made, never later."""
