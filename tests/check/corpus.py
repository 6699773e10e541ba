"""Every certificate in the packages certifi and cryptography_vectors, read once."""

from __future__ import annotations

import base64
import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import certifi
import cryptography_vectors

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Test vectors of ciphers and hashes, 100 MB without a certificate.
_NO_CERTIFICATES = {".rsp", ".pyc"}

#: Certificates within other things (PKCS #7, OCSP, pairs): two SEQUENCEs and version 3.
_WITHIN = re.compile(rb"(?=0\x82(..)0\x82..\xa0\x03\x02\x01\x02\x02)", re.DOTALL)


class Source(NamedTuple):
    """Where an object was found: the file's name, and its PEM label or the file's suffix."""

    file: str
    kind: str


@functools.cache
def objects() -> dict[bytes, Source]:
    """DER of any kind: each whole file, each PEM block, and each certificate within those."""
    found: dict[bytes, Source] = {}
    for path in _files():
        data = path.read_bytes()
        blocks = pem(data)
        if not blocks and data.startswith(b"0"):
            blocks = [(path.suffix, data)]
        for kind, der in blocks:
            found.setdefault(der, Source(path.name, kind))
            for match in _WITHIN.finditer(der):
                end = match.start() + 4 + int.from_bytes(match[1], "big")
                found.setdefault(der[match.start() : end], Source(path.name, "within"))
    return found


def pem(data: bytes) -> list[tuple[str, bytes]]:
    """The label and the DER of each PEM block of a file, those with headers left out."""
    pattern = rb"-----BEGIN ([A-Z0-9 .]+)-----([^:]*?)-----END \1-----"
    return [(label.decode(), base64.b64decode(body)) for label, body in re.findall(pattern, data)]


def _files() -> Iterator[Path]:
    yield Path(certifi.where())
    for path in sorted(Path(cryptography_vectors.__file__).parent.rglob("*")):
        if path.is_file() and path.suffix not in _NO_CERTIFICATES:
            yield path
