"""TLS connections that pass no application byte until the peer's public key matched a pin."""

from __future__ import annotations

from pinsock._backend import BACKEND
from pinsock._context import (
    PinnedContext,
    PinnedSocket,
    PinnedSSLObject,
    create_connection,
    create_default_context,
    pin_context,
    wrap_socket,
)
from pinsock._pins import Pin, PinSet
from pinsock._verify import Outcome, PeerCertificate, Verdict
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
    "Outcome",
    "PeerCertificate",
    "Pin",
    "PinMismatchError",
    "PinSet",
    "PinVerificationError",
    "PinWarning",
    "PinnedContext",
    "PinnedSSLObject",
    "PinnedSocket",
    "PinsockError",
    "Verdict",
    "__version__",
    "create_connection",
    "create_default_context",
    "pin_context",
    "wrap_socket",
]
