"""Throw-away certificates for loopback: what the demonstration and the tests stand on."""

from __future__ import annotations

import datetime
import ipaddress
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pinsock._pins import Pin

if TYPE_CHECKING:
    import ssl

    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

__all__ = ["Authority", "Credential", "ec_key", "rsa_key"]


def ec_key() -> ec.EllipticCurvePrivateKey:
    """A new key on P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """A new RSA key."""
    return rsa.generate_private_key(65537, bits)


@dataclass(frozen=True)
class Credential:
    """A certificate with its key, and the certificates that lead to its authority."""

    certificate: x509.Certificate
    key: Any
    chain: tuple[x509.Certificate, ...] = ()

    @classmethod
    def from_pem(cls, pem: bytes) -> Credential:
        """From a key and a certificate, with those that lead to its authority after it."""
        certificate, *chain = x509.load_pem_x509_certificates(pem)
        return cls(certificate, serialization.load_pem_private_key(pem, None), tuple(chain))

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pin(self) -> Pin:
        return Pin.from_certificate(self.der)

    @property
    def chain_pem(self) -> bytes:
        return b"".join(
            certificate.public_bytes(serialization.Encoding.PEM)
            for certificate in (self.certificate, *self.chain)
        )

    @property
    def key_pem(self) -> bytes:
        pem: bytes = self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return pem

    def write(self, path: Path) -> Path:
        """One PEM file with key and chain."""
        path.write_bytes(self.key_pem + self.chain_pem)
        return path

    def load_into(self, context: ssl.SSLContext) -> None:
        """``context.load_cert_chain`` takes files alone."""
        with tempfile.TemporaryDirectory() as folder:
            context.load_cert_chain(self.write(Path(folder, "credential.pem")))


class Authority:
    """A certificate authority that lives as long as this object.

    :param parent: the authority that signs this one; ``None``: a root.
    """

    def __init__(self, name: str = "throw-away authority", parent: Authority | None = None) -> None:
        self.parent = parent
        self.credential = (parent or self)._sign(name, ec_key(), parent, is_authority=True)

    @property
    def pem(self) -> str:
        """What a client trusts (``cadata``)."""
        certificate = self.credential.certificate
        return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")

    @property
    def pin(self) -> Pin:
        return self.credential.pin

    def issue(
        self,
        *names: str,
        key: Any = None,
        days: float = 30,
        subject: x509.Name | str | None = None,
        extensions: tuple[x509.ExtensionType, ...] = (),
        forged_with: Any = None,
    ) -> Credential:
        """A certificate for host names and IP addresses, for servers and clients alike.

        :param days: valid until then; negative: expired.
        :param forged_with: the key that signs, which is not the authority's, though all else in
            the certificate says so.
        """
        subject = subject if subject is not None else names[0]
        return self._sign(
            subject,
            key or ec_key(),
            self,
            names=names,
            days=days,
            extensions=extensions,
            forged_with=forged_with,
        )

    def _sign(
        self,
        subject: x509.Name | str,
        key: Any,
        issuer: Authority | None,
        *,
        is_authority: bool = False,
        names: tuple[str, ...] = (),
        days: float = 30,
        extensions: tuple[x509.ExtensionType, ...] = (),
        forged_with: Any = None,
    ) -> Credential:
        name = _name(subject) if isinstance(subject, str) else subject
        signer_key = key if issuer is None else issuer.credential.key
        signer_name = name if issuer is None else issuer.credential.certificate.subject
        now = datetime.datetime.now(datetime.UTC)
        until = now + datetime.timedelta(days=days)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(signer_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(now, until) - datetime.timedelta(days=1))
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer_key.public_key()),
                critical=False,
            )
            .add_extension(_usage(is_authority), critical=True)
        )
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName(list(map(_general_name, names))), critical=False
            ).add_extension(
                x509.ExtendedKeyUsage(
                    [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
                ),
                critical=False,
            )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        chain: list[x509.Certificate] = []
        while issuer is not None and issuer.parent is not None:
            chain.append(issuer.credential.certificate)
            issuer = issuer.parent
        signer_key = forged_with or signer_key
        return Credential(builder.sign(signer_key, _hash_for(signer_key)), key, tuple(chain))


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not is_authority,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def _hash_for(key: CertificateIssuerPrivateKeyTypes) -> hashes.SHA256 | None:
    if isinstance(key, (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)):
        return None
    return hashes.SHA256()
