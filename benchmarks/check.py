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

import aiohttp
import asn1crypto.x509
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from urllib3.exceptions import SSLError
from urllib3.util.ssl_ import assert_fingerprint

import pinsock
from pinsock import _native, _pins, _pure

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["KEYS", "WAYS", "WHOLE", "Subject", "load", "subject"]

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
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "RSA-2048": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "RSA-4096": lambda: rsa.generate_private_key(public_exponent=65537, key_size=4096),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
}
try:
    from cryptography.hazmat.primitives.asymmetric import mldsa

    mldsa.MLDSA65PrivateKey.generate()
except (ImportError, UnsupportedAlgorithm):
    pass  # an older cryptography, or one over an OpenSSL before 3.5
else:
    _MAKERS["ML-DSA-65"] = mldsa.MLDSA65PrivateKey.generate
KEYS: Final = tuple(_MAKERS)

#: Keys that a certificate is signed with as they are, without a hash of its own.
_UNHASHED: Final = ("Ed25519", "ML-DSA-65")


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
        .sign(private, None if key in _UNHASHED else hashes.SHA256())
    )


def _spki(certificate: x509.Certificate) -> bytes:
    """These kinds of key encode to what the certificate holds, and the check below shows it."""
    public = certificate.public_key()
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


# --- ways -----------------------------------------------------------------------------------------


def load(name: str, file: str | Path | None) -> ModuleType:
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
    pins = load(name, _pins.__file__)
    for function in ("find_spki", "locate", "find_digest"):
        setattr(pins, function, getattr(backend, function))
    return pins


def _native_that_releases_the_gil() -> ModuleType:
    """A second ``pinsock._native``, over the extension as cffi would build it by itself."""
    build_ffi = load("build_ffi", CSRC / "build_ffi.py")
    name = "_ffi_releasing"
    with tempfile.TemporaryDirectory() as folder:
        ffi = build_ffi.make(name, str(CSRC), keep_gil=False)
        extension = load(name, ffi.compile(tmpdir=folder))  # once loaded, its file may go
    native = load("_native_releasing", _native.__file__)
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


def _asn1crypto(pinned: set[bytes]) -> Matches:
    def matches(der: bytes) -> bool:
        public = asn1crypto.x509.Certificate.load(der)["tbs_certificate"]["subject_public_key_info"]
        return hashlib.sha256(public.dump()).digest() in pinned

    return matches


def _urllib3(der: bytes) -> Matches:
    """One fingerprint of the whole certificate; it hashes no less than that."""
    fingerprint = hashlib.sha256(der).hexdigest()

    def matches(der: bytes) -> bool:
        try:
            assert_fingerprint(der, fingerprint)
        except SSLError:
            return False
        return True

    return matches


class _Transport:
    """As much of an asyncio transport as aiohttp's Fingerprint asks."""

    def __init__(self) -> None:
        self.der = b""

    def get_extra_info(self, name: str) -> object:
        return {"sslcontext": self, "ssl_object": self, "peername": ("127.0.0.1", 443)}.get(name)

    def getpeercert(self, *, binary_form: bool) -> bytes:
        assert binary_form
        return self.der


def _aiohttp(der: bytes) -> Matches:
    """The same of aiohttp."""
    fingerprint, transport = aiohttp.Fingerprint(hashlib.sha256(der).digest()), _Transport()

    def matches(der: bytes) -> bool:
        transport.der = der
        try:
            fingerprint.check(cast("Any", transport))
        except aiohttp.ServerFingerprintMismatch:
            return False
        return True

    return matches


#: Ways to look for a key among any number of pins.
WAYS: Final = ("C", "Python", "cryptography", "asn1crypto", "C, GIL released")
#: Ways to compare the whole certificate with one fingerprint.
WHOLE: Final = ("urllib3", "aiohttp")


class _Two(NamedTuple):
    der: bytes
    spki: bytes
    stranger: bytes


@cache
def _certificates(key: str) -> _Two:
    certificate, stranger = _certificate(key), _certificate(key)
    der, spki = certificate.public_bytes(Encoding.DER), _spki(certificate)
    if spki not in der:
        raise RuntimeError("the key, encoded anew, is not what the certificate holds")
    return _Two(der, spki, stranger.public_bytes(Encoding.DER))


@cache
def _back_ends() -> dict[str, ModuleType]:
    return {
        "C": _pins,
        "Python": _pins_over("_pins_pure", _pure),
        "C, GIL released": _pins_over("_pins_releasing", _native_that_releases_the_gil()),
    }


@cache
def subject(key: str, pins: int = 2) -> Subject:
    """The certificate and the ways for this kind of key, which is the last of so many pins.

    Raises RuntimeError if a way gives a wrong answer, or if there is no C to compare.
    """
    if pinsock.BACKEND != "c":
        raise RuntimeError("the extension is not there; install pinsock where a C compiler is")
    der, spki, stranger = _certificates(key)
    digests = [hashlib.sha256(b"key %d in the safe" % number).digest() for number in range(pins)]
    digests[-1] = hashlib.sha256(spki).digest()

    def over(module: ModuleType) -> Matches:
        # A single pin has to say that there is no other.
        pinned = module.PinSet([module.Pin("spki", digest) for digest in digests], None)
        return cast("Matches", pinned.match_certificate)

    ways = {name: over(module) for name, module in _back_ends().items()}
    ways["cryptography"] = _idiom(set(digests))
    ways["asn1crypto"] = _asn1crypto(set(digests))
    ways |= {"urllib3": _urllib3(der), "aiohttp": _aiohttp(der)}
    for name, matches in ways.items():
        if not matches(der) or matches(stranger):
            raise RuntimeError(f"{name} gives a wrong answer for {key}")
    return Subject(der, spki, ways)
