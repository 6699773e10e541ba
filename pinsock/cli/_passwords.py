"""Passwords: from the terminal, a file or a descriptor; never from the command line, which others
can read, nor from the environment."""

from __future__ import annotations

import functools
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from pinsock.cli._frame import USAGE, Failure, in_words, path_text

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Passwords", "password_options"]

_MOST = 1023  # bytes: what OpenSSL takes for a key


class Passwords:
    """Where passwords come from in this run."""

    def __init__(self, file: str | None, descriptor: int | None) -> None:
        self._file = file
        self._descriptor = descriptor
        self._given: bytes | None = None

    def get(self, what: str, *, twice: bool = False) -> bytes:
        """The password: the first line of what was given, or what is typed.

        :param twice: whether somebody who types it does so twice, because it is a new one.

        Raises Failure.
        """
        if self._file is None and self._descriptor is None:
            return self._ask(what, twice=twice)
        if self._given is None:
            self._given = self._read()  # a descriptor can be read only once
        return self._given

    def _read(self) -> bytes:
        where: str | int = self._descriptor if self._file is None else self._file  # type: ignore[assignment]  # one of them is given
        shown = f"descriptor {where}" if isinstance(where, int) else path_text(where)
        try:
            with open(where, "rb") as file:
                line = file.readline(_MOST + 3).rstrip(b"\r\n")
        except OSError as error:
            error.filename = shown
            raise Failure(in_words(error), USAGE) from None
        if not line or len(line) > _MOST:
            raise Failure(
                f"{shown}: a password of 1 to {_MOST} bytes is expected in the first line", USAGE
            )
        return line

    def _ask(self, what: str, *, twice: bool) -> bytes:
        if not _somebody_is_there():
            raise Failure(
                f"a password is needed ({what}), and there is no terminal to ask for it; give "
                f"--password-file or --password-fd",
                USAGE,
            )
        typed: str = click.prompt(
            f"Password {what}", hide_input=True, confirmation_prompt=twice, err=True
        )
        return typed.encode("utf-8")


def _somebody_is_there() -> bool:
    if os.name != "posix":
        return sys.stdin is not None and sys.stdin.isatty()
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def password_options(of_what: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Give a command ``--password-file`` and ``--password-fd``, as ``passwords``."""

    def decorate(function: Callable[..., int]) -> Callable[..., int]:
        @click.option(
            "--password-file",
            type=click.Path(readable=False),
            help=f"Take the password {of_what} from the first line of this file.",
        )
        @click.option(
            "--password-fd",
            type=click.IntRange(0),
            metavar="N",
            help="The same, from this file descriptor.",
        )
        @functools.wraps(function)
        def with_passwords(
            *arguments: Any, password_file: str | None, password_fd: int | None, **named: Any
        ) -> int:
            if password_file is not None and password_fd is not None:
                raise click.UsageError("--password-file and --password-fd exclude each other.")
            return function(*arguments, passwords=Passwords(password_file, password_fd), **named)

        return with_passwords

    return decorate
