"""The ways to ask whether a certificate's key is pinned, each proved right before it is timed."""

from __future__ import annotations

import datetime
import hashlib
import importlib.util
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import pinsock
from pinsock import _native, _pins, _pure

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["KEYS", "WAYS", "Subject", "subject"]

CSRC: Final = Path(__file__).parents[1] / "csrc"

#: What is asked, of a certificate in DER; true for "pinned".
Matches = Callable[[bytes], object]


class Subject(NamedTuple):
    """A certificate whose key is one of two pinned ones, and each way to find that out."""

    der: bytes
    spki: bytes
    ways: dict[str, Matches]


# --- certificates ---------------------------------------------------------------------------------

_MAKERS: Final[dict[str, Callable[[], Any]]] = {
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "RSA-2048": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
}
KEYS: Final = tuple(_MAKERS)


def _certificate(key: str) -> x509.Certificate:
    """Such as servers have: a name, two host names, and the usual extensions."""
    private = _MAKERS[key]()
    hosts = [x509.DNSName("example.com"), x509.DNSName("www.example.com")]
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "example.com")])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    public = private.public_key()
    return (
        x509.CertificateBuilder(name, name, public, x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=200))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(private, hashes.SHA256())
    )


def _spki(certificate: x509.Certificate) -> bytes:
    """These kinds of key encode to what the certificate holds, and the check below shows it."""
    public = certificate.public_key()
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


# --- ways -----------------------------------------------------------------------------------------


def _load(name: str, file: str | Path | None) -> ModuleType:
    """A module of its own from this file, whoever has imported it already."""
    if file is None:
        raise ImportError(f"{name} has no file")
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _pins_over(name: str, backend: ModuleType) -> ModuleType:
    """A second ``pinsock._pins``, whose PinSet asks this back end instead."""
    pins = _load(name, _pins.__file__)
    for function in ("find_spki", "locate", "find_digest"):
        setattr(pins, function, getattr(backend, function))
    return pins


def _native_that_releases_the_gil() -> ModuleType:
    """A second ``pinsock._native``, over the extension as cffi would build it by itself."""
    build_ffi = _load("build_ffi", CSRC / "build_ffi.py")
    name = "_ffi_releasing"
    with tempfile.TemporaryDirectory() as folder:
        ffi = build_ffi.make(name, str(CSRC), keep_gil=False)
        extension = _load(name, ffi.compile(tmpdir=folder))  # once loaded, its file may go
    native = _load("_native_releasing", _native.__file__)
    find_digest = extension.lib.pinsock_find_digest
    vars(native).update(locate=extension.lib.pinsock_find_spki_packed, find_digest=find_digest)
    return native


def _idiom(pinned: set[bytes]) -> Matches:
    """What programs do with ``cryptography``: parse, encode the key anew, hash, compare."""

    def matches(der: bytes) -> bool:
        public = x509.load_der_x509_certificate(der).public_key()
        encoded = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(encoded).digest() in pinned

    return matches


WAYS: Final = ("C", "Python", "cryptography", "C, GIL released")


@cache
def subject(key: str) -> Subject:
    """The certificate and the ways for this kind of key.

    Raises RuntimeError if a way gives a wrong answer, or if there is no C to compare.
    """
    if pinsock.BACKEND != "c":
        raise RuntimeError("the extension is not there; install pinsock where a C compiler is")
    certificate, stranger = _certificate(key), _certificate(key)
    der, spki = certificate.public_bytes(Encoding.DER), _spki(certificate)
    if spki not in der:
        raise RuntimeError("the key, encoded anew, is not what the certificate holds")
    digests = [hashlib.sha256(b"the key in the safe").digest(), hashlib.sha256(spki).digest()]

    def over(pins: ModuleType) -> Matches:
        pinned = pins.PinSet([pins.Pin("spki", digest) for digest in digests])
        return cast("Matches", pinned.match_certificate)

    releasing = _native_that_releases_the_gil()
    ways = {
        "C": over(_pins),
        "Python": over(_pins_over("_pins_pure", _pure)),
        "cryptography": _idiom(set(digests)),
        "C, GIL released": over(_pins_over("_pins_releasing", releasing)),
    }
    for name, matches in ways.items():
        if not matches(der) or matches(stranger.public_bytes(Encoding.DER)):
            raise RuntimeError(f"{name} gives a wrong answer for {key}")
    return Subject(der, spki, ways)
