"""``pinsock backup``: a key that is kept aside, its CSR, and its pin to ship today."""

from __future__ import annotations

import ipaddress
import os
from typing import TYPE_CHECKING, Any, Final

import click
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from pinsock import InvalidPolicyError, Pin
from pinsock._policy import canonical_host
from pinsock.cli._files import new_file, write_all
from pinsock.cli._frame import GOOD, USAGE, Cell, Failure, json_option, path_text
from pinsock.cli._passwords import Passwords, password_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from pinsock.cli._frame import Output

__all__ = ["command"]

_KEYS: Final[dict[str, Callable[[], Any]]] = {
    "ec-p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ec-p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "rsa-2048": lambda: rsa.generate_private_key(65537, 2048),
    "rsa-3072": lambda: rsa.generate_private_key(65537, 3072),
    "rsa-4096": lambda: rsa.generate_private_key(65537, 4096),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}
#: The encryption of PKCS #8 that cryptography writes tries passwords quickly (PBKDF2 with 2,048
#: rounds), and the file may lie around for years.
_SHORTEST: Final = 12


@click.command(
    help="Make a backup key in an encrypted file, its CSR, and print its pin. Pin it now, keep the "
    "files where the key in use is not, and have a certificate made from the CSR on the day that "
    "the key in use is lost."
)
@click.option(
    "--out", "key_path", required=True, type=click.Path(readable=False), help="The key's new file."
)
@click.option(
    "--csr",
    "csr_path",
    type=click.Path(readable=False),
    help="The CSR's; else that of the key, .csr.",
)
@click.option("--host", "hosts", multiple=True, help="A name for the CSR; once for each.")
@click.option(
    "--key", "kind", type=click.Choice(tuple(_KEYS)), default="ec-p256", show_default=True
)
@password_options("of the key")
@json_option
def command(
    *,
    key_path: str,
    csr_path: str | None,
    hosts: tuple[str, ...],
    kind: str,
    passwords: Passwords,
    out: Output,
) -> int:
    csr_path = csr_path or f"{os.path.splitext(key_path)[0]}.csr"
    if os.path.realpath(csr_path) == os.path.realpath(key_path):
        raise click.UsageError("The key and its CSR need two files; give another --csr.")
    names = _names(hosts)
    # The files first: nobody should think of a password for one that cannot be made.
    with new_file(key_path, 0o600) as key_file, new_file(csr_path, 0o644) as csr_file:
        password = passwords.get("of the new key", twice=True)
        if len(password) < _SHORTEST:
            raise Failure(
                f"a password of {len(password)} bytes is too short for a file that may lie around "
                f"for years; take {_SHORTEST} or more, some words for example",
                USAGE,
            )
        with out.ticker(f"making a key, {kind}"):
            key = _KEYS[kind]()
        csr = _csr(key, names)
        pin = Pin.from_csr(csr)
        write_all(key_file, _encrypted(key, password))
        write_all(csr_file, csr)
        key_file.seek(0)
        csr_file.seek(0)
        if _pin_of(key_file.read(), password) != pin or Pin.from_csr(csr_file.read()) != pin:
            raise Failure(f"{path_text(key_path)}: what was written does not read back; try again")
    if out.as_json:
        out.json({"key": key_path, "csr": csr_path, "pin": str(pin), "kind": kind})
    else:
        out.line("key  ", path_text(key_path), "  (encrypted)")
        out.line("csr  ", path_text(csr_path))
        out.line("pin  ", Cell(str(pin), "cyan"))
    out.note(
        f'Add backup = ["{pin}"] to the host in pins.toml, and keep both files apart from the '
        f"server."
    )
    return GOOD


def _names(hosts: tuple[str, ...]) -> list[x509.GeneralName]:
    """For subjectAltName: as they are compared, a star at the left allowed."""
    names: list[x509.GeneralName] = []
    for host in hosts:
        star = "*." * host.startswith("*.")
        try:
            name = canonical_host(host.removeprefix("*."))
        except InvalidPolicyError as error:
            raise click.UsageError(f"--host: {error}.") from None
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            names.append(x509.DNSName(star + name))
    return names


def _csr(key: Any, names: list[x509.GeneralName]) -> bytes:
    # Many authorities read the first name here; it has room for 64 characters (RFC 5280, A.1).
    common = [str(name.value) for name in names[:1] if len(str(name.value)) <= 64]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in common])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM)


def _encrypted(key: Any, password: bytes) -> bytes:
    pem: bytes = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password),
    )
    return pem


def _pin_of(encrypted: bytes, password: bytes) -> Pin:
    key = serialization.load_pem_private_key(encrypted, password)
    return Pin.from_public_key(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
