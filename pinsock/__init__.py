"""TLS connections that pass no application byte until the peer's public key matched a pin."""

from __future__ import annotations

from pinsock._backend import BACKEND
from pinsock._pins import Pin, PinSet
from pinsock.exceptions import (
    InvalidCertificateError,
    InvalidPinError,
    InvalidPolicyError,
    PinMismatchError,
    PinsockError,
    PinVerificationError,
    PinWarning,
)

__version__ = "0.1.0"

__all__ = [
    "BACKEND",
    "InvalidCertificateError",
    "InvalidPinError",
    "InvalidPolicyError",
    "Pin",
    "PinMismatchError",
    "PinSet",
    "PinVerificationError",
    "PinWarning",
    "PinsockError",
    "__version__",
]
