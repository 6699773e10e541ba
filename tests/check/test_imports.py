"""What ``import pinsock`` brings with it, and that the check needs no more."""

from __future__ import annotations

import ast
import subprocess
import sys

import pinsock
from pinsock import Pin

from .backends import EXPECTED
from .certificates import DATA


def run(program: str, *arguments: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_back_end_is_the_one_that_this_run_expects() -> None:
    """BACKEND says what serves; a run without the C library has to say that it means to."""
    assert pinsock.BACKEND == EXPECTED


def test_import_pinsock_loads_neither_cryptography_nor_rich_nor_cffi() -> None:
    """They load when an error message, a record or a command needs them."""
    loaded = ast.literal_eval(run("import sys, pinsock; print(sorted(sys.modules))"))
    assert "pinsock" in loaded
    assert not {"cryptography", "rich", "cffi"}.intersection(loaded)


_WITHOUT_CRYPTOGRAPHY = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("cryptography", "rich", "cffi"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
from pinsock import Pin, PinSet, InvalidCertificateError, InvalidPinError

der = bytes.fromhex(sys.argv[1])
pin = Pin.from_certificate(der)
whole = Pin.from_certificate(der, kind="certificate")
assert Pin.from_public_key(bytes.fromhex(sys.argv[2])) == pin
assert PinSet([pin, whole]).match_certificate(der) == pin
assert PinSet(str(whole), backup=None, expires="2030-01-01").match_certificate(der) == whole
for use, error in (
    (lambda: PinSet([]), InvalidPinError),
    (lambda: Pin.parse("sha1/x"), InvalidPinError),
    (lambda: Pin.from_certificate(der[:-1]), InvalidCertificateError),
    (lambda: Pin.from_private_key(der), InvalidCertificateError),
):
    try:
        use()
    except error:
        continue
    raise AssertionError(error)
print(pin)
"""


def test_pins_are_made_and_matched_where_cryptography_cannot_be_imported() -> None:
    """The check itself stands on the standard library and on nothing else."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    der = DATA["p256"]
    key = x509.load_der_x509_certificate(der).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    printed = run(_WITHOUT_CRYPTOGRAPHY, der.hex(), spki.hex())
    assert printed == f"{Pin.from_certificate(der)}\n"
