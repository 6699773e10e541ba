"""The tests of CPython's that cannot pass with pins, and why that is as it should be."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["LISTED", "Listed"]


class Listed(NamedTuple):
    """One test."""

    why: str
    says: str
    """A regular expression for what its failure says."""
    clients_pass: bool = False
    """Whether it passes where the clients alone are pinned, and the servers are plain."""


_OPTIONS = Listed(
    "compares `options` bit for bit, and a pinned context has OP_NO_RENEGOTIATION as well, without "
    "which a peer could change its certificate after the check (TLS 1.2)",
    "AssertionError: <Opti.* != <Opti.*OP_NO_RENEGOTIATION",
)
_NO_SSLOBJ = Listed(
    "wants the private `_sslobj` of a socket that is not connected yet to be None; a guard stands "
    "there, since otherwise whoever connects the socket behind ssl's back sends in the clear",
    "AssertionError: <pinsock._gate.NotConnected object .*> is not None",
)
_POST_HANDSHAKE = Listed(
    "its server asks for the client's certificate after the handshake (post_handshake_auth), so "
    "that data could pass before there is a key to check, and is refused when it wraps",
    "InvalidPolicyError: post_handshake_auth lets application data pass before the client has",
    clients_pass=True,
)
_CERTIFICATE_AGAIN = Listed(
    "its server calls verify_client_post_handshake(), after which the client could show another "
    "certificate than the one that was checked, and the call is refused",
    "InvalidPolicyError: post-handshake authentication shows a certificate after the pins were",
    clients_pass=True,
)
_PRE_SHARED_KEY = Listed(
    "under a pre-shared key a server shows no certificate, so there is none that a pin could match",
    "PinMismatchError: the server showed no certificate",
)

#: By test, without the first word of the module's name.
LISTED: dict[str, Listed] = {
    "test_ssl.ContextTests.test_options": _OPTIONS,
    "test_ssl.ThreadedTests.test_psk": _PRE_SHARED_KEY,
    "test_ssl.ThreadedTests.test_psk_tls1_3": _PRE_SHARED_KEY,
    "test_ssl.ThreadedTests.test_version_basic": _NO_SSLOBJ,
    "test_ssl.TestPostHandshakeAuth.test_pha_no_pha_server": _CERTIFICATE_AGAIN,
    "test_ssl.TestPostHandshakeAuth.test_pha_not_tls13": _CERTIFICATE_AGAIN,
    **{
        f"test_ssl.TestPostHandshakeAuth.{name}": _POST_HANDSHAKE
        for name in (
            "test_bpo37428_pha_cert_none",
            "test_pha_no_pha_client",
            "test_pha_required",
            "test_pha_required_nocert",
        )
    },
}
