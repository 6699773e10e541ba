"""Files that are read within bounds, and files that are made and never overwritten."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TYPE_CHECKING, Final

from pinsock.cli._frame import USAGE, Failure, in_words, path_text

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["apart", "new_file", "read", "write_all"]

#: Bytes.  The largest bundles of authorities have less than a tenth of it.
_MOST: Final = 10_000_000


def read(path: str, what: str) -> bytes:
    """All of a file, or of standard input for ``-``.  Raises Failure.

    :param what: what is expected in it, for the error.
    """
    try:
        if path == "-":
            data = sys.stdin.buffer.read(_MOST + 1)
        else:
            with open(path, "rb") as file:
                data = file.read(_MOST + 1)
    except OSError as error:
        raise Failure(in_words(error), USAGE) from None
    if len(data) > _MOST:
        raise Failure(
            f"{path_text(path)}: longer than {_MOST} bytes, so it is no {what}; give another file",
            USAGE,
        )
    return data


def apart(**paths: str | None) -> None:
    """Raises Failure where two options name one file: what is written would destroy what is read.

    :param paths: by the option; ``None`` and ``-``, which is no file, are left out.
    """
    seen: dict[str, str] = {}
    for option, path in paths.items():
        if path is None or path == "-":
            continue
        first = seen.setdefault(os.path.realpath(path), option)
        if first != option:
            raise Failure(
                f"{path_text(path)}: is given as --{first} and as --{option}; give another file",
                USAGE,
            )


@contextlib.contextmanager
def new_file(path: str, mode: int) -> Iterator[io.FileIO]:
    """A file that was not there before, to write and read; removed again if the block fails.

    Raises FileExistsError where there is anything of that name, a link that leads nowhere included.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
    with io.FileIO(os.open(path, flags, mode), "r+") as file:
        try:
            yield file
            os.fsync(file.fileno())
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.unlink(path)
            if isinstance(error, OSError) and error.filename is None:
                error.filename = path
            raise


def write_all(file: io.FileIO, data: bytes) -> None:
    """On a disk that fills up, a write takes less than it was given before one fails."""
    while data:
        data = data[file.write(data) :]
