"""TLS connections that pass no application byte until the peer's public key matched a pin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
from pinsock._policy import PinPolicy, PolicyFile
from pinsock._verify import Outcome, PeerCertificate, Verdict
from pinsock._version import __version__
from pinsock.exceptions import (
    InvalidCertificateError,
    InvalidPinError,
    InvalidPolicyError,
    PinMismatchError,
    PinsockError,
    PinVerificationError,
    PinWarning,
)

__all__ = [
    "BACKEND",
    "InvalidCertificateError",
    "InvalidPinError",
    "InvalidPolicyError",
    "Outcome",
    "PeerCertificate",
    "Pin",
    "PinMismatchError",
    "PinPolicy",
    "PinSet",
    "PinVerificationError",
    "PinWarning",
    "PinnedContext",
    "PinnedSSLObject",
    "PinnedSocket",
    "PinsockError",
    "PolicyFile",
    "RecordLog",
    "Verdict",
    "__version__",
    "create_connection",
    "create_default_context",
    "pin_context",
    "wrap_socket",
]

if TYPE_CHECKING:
    from pinsock._records import RecordLog


def __getattr__(name: str) -> Any:
    if name == "RecordLog":  # only programs that keep records need json and logging
        from pinsock._records import RecordLog

        return RecordLog
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
