"""The pin is that of the raw SubjectPublicKeyInfo, whatever the key and whoever is asked."""

from __future__ import annotations

import hashlib
import warnings
from typing import TYPE_CHECKING

import pytest
from asn1crypto import x509 as asn1crypto_x509
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pinsock import Pin

from .backends import agreed, each_backend
from .certificates import DATA
from .corpus import objects
from .oracle import key_used, slice_by_asn1parse

if TYPE_CHECKING:
    from types import ModuleType

#: What shows in the key, in hex, that each file is what it is called: the algorithm, then for EC
#: the curve by name or the first bytes of its parameters, and the bits with the point's form.
SHOWS = {
    "rsa": ["06092a864886f70d0101010500"],
    "rsa16384": ["06092a864886f70d0101010500", "0382080f00"],
    "rsa_pss": ["300b06092a864886f70d01010a0382"],
    "rsa_pss_restricted": ["06092a864886f70d01010a3034"],
    "dsa": ["06072a8648ce380401"],
    "p256": ["06072a8648ce3d020106082a8648ce3d03010703420004"],
    "p256_compressed": ["06072a8648ce3d020106082a8648ce3d0301070322000"],
    "p256_explicit": ["06072a8648ce3d02013081", "03420004"],
    "p256_compressed_explicit": ["06072a8648ce3d02013081", "0322000"],
    "ed25519": ["300506032b6570032100"],
    "ed448": ["300506032b6571033a00"],
    "mldsa65": ["300b0609608648016503040312"],
    "v1": ["300506032b6570032100"],
}


def slice_by_asn1crypto(der: bytes) -> bytes | None:
    """What an independent ASN.1 library slices; None if it reads no certificate."""
    try:
        certificate = asn1crypto_x509.Certificate.load(der, strict=True)
        certificate["signature_value"]
        tbs = certificate["tbs_certificate"]
        tbs["validity"]  # it reads what is asked for, and a revocation list has none
        spki: bytes = tbs["subject_public_key_info"].dump()
    except ValueError:
        return None
    return spki


def encoded_anew(der: bytes) -> bytes | None:
    """The key as ``cryptography`` writes it, or None if it does not read the certificate."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # for each certificate that is odd
        try:
            key = x509.load_der_x509_certificate(der).public_key()
        except (ValueError, x509.InvalidVersion, UnsupportedAlgorithm):
            return None
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def has_one_usual_encoding(spki: bytes) -> bool:
    """Whether any library that encodes the key anew must write these bytes."""
    shown = spki.hex()
    kinds = ("rsa", "p256", "ed25519", "ed448", "mldsa65")
    return any(SHOWS[kind][0] in shown for kind in kinds)


def test_every_file_of_test_data_is_described() -> None:
    """No certificate lies in the folder unused."""
    assert DATA.keys() == SHOWS.keys()


@pytest.mark.parametrize("key", SHOWS)
@each_backend
def test_the_slice_is_the_one_that_openssl_asn1parse_gives(key: str, backend: ModuleType) -> None:
    """For each kind of key, the bytes at the offsets that the command prints."""
    der = DATA[key]
    spki = slice_by_asn1parse(der)
    assert all(shown in spki.hex() for shown in SHOWS[key])
    assert backend.find_spki(der) == spki


@pytest.mark.parametrize("key", SHOWS)
def test_the_pin_is_the_digest_of_that_slice(key: str) -> None:
    """Pin.from_certificate hashes exactly those bytes, and as a certificate pin all of them."""
    der = DATA[key]
    spki = slice_by_asn1parse(der)
    assert Pin.from_certificate(der) == Pin("spki", hashlib.sha256(spki).digest())
    whole = Pin("certificate", hashlib.sha256(der).digest())
    assert Pin.from_certificate(der, kind="certificate") == whole


@pytest.mark.parametrize("key", SHOWS)
def test_other_libraries_see_the_same_key(key: str) -> None:
    """asn1crypto and OpenSSL agree, and cryptography where encoding anew gives the same."""
    spki = agreed(DATA[key])
    assert isinstance(spki, bytes)
    assert slice_by_asn1crypto(DATA[key]) == spki
    assert key_used(DATA[key]) == spki
    if has_one_usual_encoding(spki):
        assert encoded_anew(DATA[key]) == spki


@pytest.mark.parametrize("key", ["rsa_pss_restricted", "p256_compressed", "p256_explicit"])
def test_encoding_the_key_anew_would_give_another_pin(key: str) -> None:
    """Why the certificate is sliced: the pin of these would not be that of their bytes."""
    assert encoded_anew(DATA[key]) != agreed(DATA[key])


def test_every_certificate_of_two_packages_gives_the_slice_of_an_independent_library() -> None:
    """Both back ends slice what asn1crypto does, and refuse just what it takes for no certificate.

    All DER in certifi and cryptography_vectors is tried: also keys, requests, revocation lists and
    OCSP, which are no certificates.  PKCS #12 files are encrypted and not looked into.
    """
    certificates = 0
    for der, source in objects().items():
        found = agreed(der)
        spki = found if isinstance(found, bytes) else None
        assert spki == slice_by_asn1crypto(der), source
        certificates += spki is not None
    assert certificates > 600


def test_no_certificate_of_the_two_packages_is_refused() -> None:
    """However odd, none that is called a certificate is: the odd parts are not before the key."""
    refused = [
        source
        for der, source in objects().items()
        if (source.kind.endswith("CERTIFICATE") or source.kind in (".crt", "within"))
        and not isinstance(agreed(der), bytes)
    ]
    assert refused == []


def test_openssl_used_the_slice_of_every_certificate_of_the_two_packages() -> None:
    """Whatever OpenSSL accepts there is accepted here too, with OpenSSL's key."""
    accepted = 0
    for der, source in objects().items():
        used = key_used(der)
        if used is not None:
            assert used == agreed(der), source
            accepted += 1
    assert accepted > 600


def test_cryptography_encodes_the_usual_keys_of_the_two_packages_to_the_slice() -> None:
    """The third opinion, for keys that have one usual encoding."""
    compared = 0
    for der, source in objects().items():
        spki = agreed(der)
        if isinstance(spki, bytes) and has_one_usual_encoding(spki):
            anew = encoded_anew(der)
            if anew is not None:
                assert anew == spki, source
                compared += 1
    assert compared > 500
