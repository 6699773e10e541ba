"""Makes the keys of the example: ``python make_keys.py FOLDER``.

One authority for both sides, whose own key is forgotten at the end, and for each side a key in use
and a backup key.  Prints each side's pins.
"""

from __future__ import annotations

import datetime
import sys
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pinsock import Pin

Signed: TypeAlias = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def sign(name: str, issuer: Signed | None = None) -> Signed:
    """A new key and its certificate, from the issuer; without one, an authority of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    is_authority = issuer is None
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    issuer_name, issuer_key = (subject, key) if issuer is None else (issuer[0].subject, issuer[1])
    now = datetime.datetime.now(datetime.UTC)
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=is_authority, path_length=None), True),
        (usage_of(is_authority), True),
        (x509.SubjectAlternativeName([x509.DNSName(name)]), False),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False),
    ]
    builder = x509.CertificateBuilder(
        issuer_name,
        subject,
        key.public_key(),
        x509.random_serial_number(),
        now,
        now + datetime.timedelta(days=365),
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, hashes.SHA256()), key


def usage_of(is_authority: bool) -> x509.KeyUsage:
    """An authority signs certificates; the others sign handshakes."""
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def main(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    authority = sign("authority")
    (folder / "authority.pem").write_bytes(authority[0].public_bytes(Encoding.PEM))
    for side in ("collector", "sensor"):
        pins = []
        for file in (f"{side}.pem", f"{side}-backup.pem"):
            certificate, key = sign(side, authority)
            pem = certificate.public_bytes(Encoding.PEM)
            private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            (folder / file).write_bytes(private + pem)
            pins.append(str(Pin.from_certificate(pem)))
        print(f"{side}: {';'.join(pins)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
