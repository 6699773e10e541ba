"""``pinsock pin``: the pins of what is in files, with nothing but the files."""

from __future__ import annotations

import contextlib
import datetime
import functools
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, cast

import click
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7, pkcs12

from pinsock import InvalidCertificateError, Pin, _pure
from pinsock._pins import _der, _pem_blocks
from pinsock._text import safe_text
from pinsock.cli._certificates import describe
from pinsock.cli._files import read
from pinsock.cli._frame import GOOD, USAGE, Cell, Failure, json_option, path_text
from pinsock.cli._passwords import Passwords, password_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cryptography import x509

    from pinsock.cli._frame import Output

__all__ = ["command"]

_FORMS: Final = ("sha256", "curl", "hpkp", "hex", "tlsa")


class _Found(NamedTuple):
    """One thing in a file that has a pin; of a certificate, more than its pin."""

    what: str
    pin: Pin
    certificate: dict[str, Any] | None = None


@click.command(
    help="Print the pins of certificates, keys, CSRs, PKCS #12 files and bundles, in PEM or DER. "
    "- is standard input."
)
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(readable=False), metavar="FILE..."
)
@click.option(
    "--format", "form", type=click.Choice(_FORMS), default="sha256", help="How to write the pins."
)
@password_options("of a PKCS #12 file")
@json_option
def command(*, files: tuple[str, ...], form: str, passwords: Passwords, out: Output) -> int:
    found: list[tuple[str, _Found]] = []
    status = GOOD
    for path in files:
        for one in _pins(path, passwords):
            if isinstance(one, _Found):
                found.append((path, one))
            else:  # the rest is good for all that
                out.note(f"pinsock pin: {one}", "")
                status = USAGE
    if out.as_json:
        out.json([_as_json(path, one) for path, one in found])
    elif found:
        out.table(["pin", "of", "subject", "file"], [_row(path, one, form) for path, one in found])
    return status


def _row(path: str, found: _Found, form: str) -> list[str | Cell]:
    subject = "" if found.certificate is None else found.certificate["subject"]
    pin = found.pin.to_text(cast("Any", form))
    return [Cell(pin, "cyan"), found.what, subject, path_text(path)]


def _as_json(path: str, found: _Found) -> dict[str, Any]:
    return {
        "file": path,
        "of": found.what,
        "pin": str(found.pin),
        "certificate": found.certificate,
    }


def _pins(path: str, passwords: Passwords) -> Iterator[_Found | str]:
    """All that is in a file; a text for each thing in it that has no pin, and why."""
    shown = path_text(path)
    try:
        data = read(path, "certificate, key, CSR or PKCS #12 file")
        readings = list(
            _in_pem(data) if b"-----BEGIN " in data else _in_der(data, shown, passwords)
        )
        for reading in readings:
            try:
                yield from reading()
            except InvalidCertificateError as error:
                yield f"{shown}: {error}"
    except Failure as failure:
        yield str(failure)
        return
    if not readings:
        begins = f" (it begins with '{safe_text(data[:24].decode('latin-1'))}')" if data else ""
        yield f"{shown}: no certificate, key, CSR or PKCS #12 file{begins}; give another file"


def _certificate(der: bytes) -> Iterator[_Found]:
    pin = Pin.from_certificate(der)
    in_words = describe(der).as_json(datetime.datetime.now(datetime.UTC))
    yield _Found("certificate", pin, in_words)


def _of_others(certificates: Iterable[x509.Certificate]) -> Iterator[_Found]:
    for certificate in certificates:
        yield from _certificate(certificate.public_bytes(Encoding.DER))


_KINDS: Final[dict[str, Callable[[bytes], Iterable[_Found]]]] = {
    "certificate": _certificate,
    "CSR": lambda der: [_Found("CSR", Pin.from_csr(der))],
    "public key": lambda der: [_Found("public key", Pin.from_public_key(der))],
    "private key": lambda der: [_Found("private key", Pin.from_private_key(der))],
    "PKCS #7": lambda der: _of_others(_pkcs7(der)),
}
_LABELS: Final = {
    "CERTIFICATE": "certificate",
    "X509 CERTIFICATE": "certificate",
    "CERTIFICATE REQUEST": "CSR",
    "NEW CERTIFICATE REQUEST": "CSR",
    "PUBLIC KEY": "public key",
    "PRIVATE KEY": "private key",
    "RSA PRIVATE KEY": "private key",
    "EC PRIVATE KEY": "private key",
    "DSA PRIVATE KEY": "private key",
    "ENCRYPTED PRIVATE KEY": "private key",
    "PKCS7": "PKCS #7",
    "CMS": "PKCS #7",
}

_Reading: TypeAlias = "Callable[[], Iterable[_Found]]"


def _in_pem(data: bytes) -> Iterator[_Reading]:
    for label, body in _pem_blocks(data.decode("ascii", "replace")):
        if (kind := _LABELS.get(label)) is not None:
            block = f"-----BEGIN {label}-----\n{body}\n-----END {label}-----\n"
            yield functools.partial(_block, kind, label, block)


def _block(kind: str, label: str, block: str) -> Iterable[_Found]:
    return _KINDS[kind](_der(block, (label,), kind))


#: How the contents begin: of a PFX (RFC 7292, section 4) with its version, of a ContentInfo
#: (RFC 5652, section 3) with signedData.
_PFX: Final = bytes.fromhex("020103")
_SIGNED_DATA: Final = bytes.fromhex("06092a864886f70d010702")


def _in_der(data: bytes, shown: str, passwords: Passwords) -> Iterator[_Reading]:
    try:
        start, _ = _pure.read_header(data, 0, len(data), _pure.SEQUENCE)
    except _pure.DerError:
        return
    if data.startswith(_PFX, start):
        yield lambda: _of_others(_pkcs12(data, shown, passwords))
    elif data.startswith(_SIGNED_DATA, start):
        yield lambda: _KINDS["PKCS #7"](data)
    else:
        yield lambda: _of_any_kind(data)


def _of_any_kind(der: bytes) -> Iterable[_Found]:
    """DER does not say what it is: what it can be read as, it is."""
    why: InvalidCertificateError | None = None
    for kind in ("CSR", "public key", "private key", "certificate"):
        try:
            return list(_KINDS[kind](der))
        except InvalidCertificateError as error:
            # A key that was recognised, and whose pin nobody can tell, is not another thing.
            if kind == "private key" and not error.reason.startswith("not a private key"):
                raise
            why = error
    assert why is not None
    raise why


def _pkcs7(der: bytes) -> list[x509.Certificate]:
    try:
        return pkcs7.load_der_pkcs7_certificates(der)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidCertificateError(
            f"a PKCS #7 file whose certificates cannot be read ({safe_text(str(error))}); "
            f"`openssl pkcs7 -print_certs` writes them as PEM"
        ) from None


def _pkcs12(data: bytes, shown: str, passwords: Passwords) -> list[x509.Certificate]:
    for password in (None, b""):
        with contextlib.suppress(ValueError):
            return _certificates_of(pkcs12.load_pkcs12(data, password))
    given = passwords.get(f"of {shown}")
    try:
        return _certificates_of(pkcs12.load_pkcs12(data, given))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidCertificateError(
            f"the password is wrong or the file is damaged ({safe_text(str(error))}); try again"
        ) from None


def _certificates_of(archive: pkcs12.PKCS12KeyAndCertificates) -> list[x509.Certificate]:
    own = [] if archive.cert is None else [archive.cert.certificate]
    found = [*own, *(more.certificate for more in archive.additional_certs)]
    if not found:
        # How the key's public half is encoded in its certificate cannot be seen here.
        raise InvalidCertificateError(
            "a PKCS #12 file without a certificate; make a CSR with its key, and give that"
        )
    return found
