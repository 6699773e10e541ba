"""Contexts of ``ssl`` itself, for impostors and for what is pinned afterwards."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from pinsock._throwaway import Authority, Credential

__all__ = ["ANONYMOUS", "TLS_1_2", "TLS_1_3", "VERSIONS", "client", "ephemeral", "only", "server"]

TLS_1_2 = ssl.TLSVersion.TLSv1_2
TLS_1_3 = ssl.TLSVersion.TLSv1_3
VERSIONS = (TLS_1_2, TLS_1_3)

#: Ciphers of TLS 1.2 with which a server shows no certificate, and none is verified.
ANONYMOUS = "aNULL:@SECLEVEL=0"

Context = TypeVar("Context", bound=ssl.SSLContext)


def only(context: Context, version: ssl.TLSVersion | None) -> Context:
    """Let the context speak this version alone."""
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


def ephemeral(context: Context) -> Context:
    """Take out RSA key exchange, which Python offers where Debian has built it."""
    if any(cipher["kea"] == "kx-rsa" for cipher in context.get_ciphers()):
        context.set_ciphers("DEFAULT:!kRSA:!kRSAPSK")
    return context


def client(
    trusted: Authority | None = None,
    version: ssl.TLSVersion | None = None,
    *,
    credential: Credential | None = None,
) -> ssl.SSLContext:
    """A plain client that trusts this authority, or verifies nothing."""
    context = ephemeral(only(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), version))
    if trusted is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(cadata=trusted.pem)
    if credential is not None:
        credential.load_into(context)
    return context


def server(
    credential: Credential | None,
    version: ssl.TLSVersion | None = None,
    *,
    clients: Authority | None = None,
) -> ssl.SSLContext:
    """A plain server; with ``clients`` it asks for a certificate of that authority."""
    context = only(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), version)
    if credential is not None:
        credential.load_into(context)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=clients.pem)
    return context
