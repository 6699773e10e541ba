"""What OpenSSL makes of a certificate: the library that ``ssl`` uses, and the command."""

from __future__ import annotations

import _ssl
import ctypes
import re
import shutil
import subprocess
from typing import Any

# Looked up through the extension module, so that it is the library of the handshakes and not
# another one of the same machine.
_lib = ctypes.CDLL(_ssl.__file__)
_lib.d2i_X509.restype = ctypes.c_void_p
_lib.d2i_X509.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p), ctypes.c_long]
_lib.d2i_X509_PUBKEY.restype = ctypes.c_void_p
_lib.d2i_X509_PUBKEY.argtypes = _lib.d2i_X509.argtypes
_lib.X509_get_X509_PUBKEY.restype = ctypes.c_void_p
_lib.X509_get_X509_PUBKEY.argtypes = [ctypes.c_void_p]
_lib.i2d_X509_PUBKEY.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)]
_lib.X509_free.argtypes = [ctypes.c_void_p]
_lib.X509_free.restype = None
_lib.X509_PUBKEY_free.argtypes = [ctypes.c_void_p]
_lib.X509_PUBKEY_free.restype = None

_COMMAND = shutil.which("openssl") or "openssl"


def key_used(der: bytes) -> bytes | None:
    """``i2d_X509_PUBKEY`` of the certificate that OpenSSL reads here, or None if it refuses."""
    certificate = _decode(_lib.d2i_X509, der)
    if certificate is None:
        return None
    try:
        return _encode(_lib.X509_get_X509_PUBKEY(certificate))
    finally:
        _lib.X509_free(certificate)


def key_encoded(spki: bytes) -> bytes | None:
    """``i2d_X509_PUBKEY`` of the SubjectPublicKeyInfo that OpenSSL reads here, or None."""
    key = _decode(_lib.d2i_X509_PUBKEY, spki)
    if key is None:
        return None
    try:
        return _encode(key)
    finally:
        _lib.X509_PUBKEY_free(key)


def _decode(d2i: Any, data: bytes) -> int | None:
    buffer = ctypes.create_string_buffer(data, len(data) or 1)
    start = ctypes.addressof(buffer)
    position = ctypes.c_void_p(start)
    found: int | None = d2i(None, ctypes.byref(position), len(data))
    # What ssl would otherwise find in OpenSSL's queue, and take for an error of its own.
    _lib.ERR_clear_error()
    if found is not None and position.value != start + len(data):
        # libssl refuses what is longer than its certificate.
        (_lib.X509_free if d2i is _lib.d2i_X509 else _lib.X509_PUBKEY_free)(found)
        return None
    return found


def _encode(key: int) -> bytes:
    size = _lib.i2d_X509_PUBKEY(key, None)
    assert size > 0
    buffer = ctypes.create_string_buffer(size)
    position = ctypes.c_void_p(ctypes.addressof(buffer))
    assert _lib.i2d_X509_PUBKEY(key, ctypes.byref(position)) == size
    return buffer.raw


def openssl(*arguments: str, data: bytes = b"") -> bytes:
    """What the command ``openssl`` prints."""
    done = subprocess.run(
        [_COMMAND, *arguments],
        input=data,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


_ELEMENT = re.compile(r" *(\d+):d=(\d+) +hl=(\d+) +l= *(\d+) (?:cons|prim): (\w+(?: \S+)*)")


def slice_by_asn1parse(der: bytes) -> bytes:
    """The SubjectPublicKeyInfo by the offsets that ``openssl asn1parse`` prints."""
    lines = openssl("asn1parse", "-inform", "DER", data=der).decode().splitlines()
    elements = [match.groups() for line in lines if (match := _ELEMENT.match(line))]
    assert len(elements) == len(lines)
    # The first at depth 2 are those of tbsCertificate: a v1 certificate has no version there.
    fields = [element for element in elements if element[1] == "2"]
    offset, _, header, length, name = fields[6 if fields[0][4] == "cont [ 0 ]" else 5]
    assert name == "SEQUENCE"
    return der[int(offset) : int(offset) + int(header) + int(length)]
