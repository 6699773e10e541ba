"""Real servers on loopback: found, started and stopped here.

Each runs from a folder of its own, with its own configuration and log, and is left out, with the
reason, where it is not installed.  In CI that is an error.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from support.impostor import WAIT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pinsock._throwaway import Credential

__all__ = [
    "LOOPBACK",
    "PASSWORD",
    "USER",
    "WAIT",
    "Daemon",
    "eventually",
    "find",
    "folder_for_all",
    "leave_out",
    "needs_module",
    "needs_root",
    "prepare",
    "reserved_port",
    "reserved_ports",
    "running",
    "talk_to",
    "unless_root",
]

#: The name in every certificate here, which is also the address.
LOOPBACK = "127.0.0.1"

#: Where every user may write: to pytest's folders, and to TMPDIR, there may be no way.
_FOR_ALL = "/var/tmp"  # noqa: S108 - folders in it have names of their own

#: Whom every server that knows users knows.
USER = "somebody"
PASSWORD = "secret"  # noqa: S105 - to servers that live for one test


@dataclass(frozen=True)
class Daemon:
    """A running server."""

    kind: str
    """What it is: ``"postfix"``."""
    credential: Credential
    """What it shows on every port."""
    ports: Mapping[str, int]
    """By scheme: ``"smtps"`` begins with TLS, ``"smtp"`` comes to it by a command of its own."""
    log: Path
    """Where it writes what it heard."""
    host: str = LOOPBACK

    @property
    def port(self) -> int:
        """That of a server which has no more than one."""
        (port,) = self.ports.values()
        return port


def leave_out(why: str) -> NoReturn:
    """Skip what cannot run here; in CI everything can, so there it is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


def find(program: str, *folders: Path) -> str:
    """The path of a server, which Debian keeps where users do not look.

    :param folders: to look in first.
    """
    path = [*map(str, folders), os.environ.get("PATH", os.defpath), "/usr/sbin"]
    found = shutil.which(program, path=os.pathsep.join(path))
    return found or leave_out(f"{program} is not installed")


def needs_module(name: str) -> None:
    """Leave out what needs a Python package that is not there."""
    if importlib.util.find_spec(name) is None:
        leave_out(f"{name} is not installed")


def needs_root(program: str) -> None:
    """Leave out what changes users by itself, and so has to begin as root."""
    if os.geteuid() != 0:
        leave_out(f"{program} is started by root alone")


def unless_root(user: str) -> str | None:
    """The user that a server has to run as where it would be root's, for ``running``."""
    return user if os.geteuid() == 0 else None


def eventually(holds: Callable[[], bool], what: str, wait: float = WAIT) -> None:
    """Ask until it holds, at most so many seconds."""
    until = time.monotonic() + wait
    while not holds():
        assert time.monotonic() < until, f"in {wait} seconds not: {what}"
        time.sleep(0.01)  # between two looks at another program's state, which tells nobody


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """A port from the kernel that no other program is given while a server listens on it.

    Two sockets may be bound to one address if both say SO_REUSEADDR, as servers do, and only one
    of them listens; but the kernel chooses no port that is bound already.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((LOOPBACK, 0))
        yield holder.getsockname()[1]


@contextlib.contextmanager
def reserved_ports(*schemes: str) -> Iterator[dict[str, int]]:
    """One for each."""
    with contextlib.ExitStack() as stack:
        yield {scheme: stack.enter_context(reserved_port()) for scheme in schemes}


@contextlib.contextmanager
def folder_for_all(owner: str | None = None) -> Iterator[Path]:
    """A folder that every user may walk through."""
    with tempfile.TemporaryDirectory(dir=_FOR_ALL) as name:
        folder = Path(name)
        folder.chmod(0o755)
        if owner is not None:
            shutil.chown(folder, owner, owner)
        yield folder


def _whose(user: str | None, environment: Mapping[str, str]) -> dict[str, Any]:
    """How a process of this user is started."""
    return {
        "user": user,
        "group": user,
        "extra_groups": None if user is None else [],
        "env": {**os.environ, "TMPDIR": _FOR_ALL, **environment},
    }


def prepare(command: Sequence[str | Path], user: str | None) -> None:
    """Run what a server needs done once, before it runs."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=3 * WAIT,
        check=False,
        cwd=_FOR_ALL,
        **_whose(user, {}),
    )
    assert done.returncode == 0, done.stdout


@contextlib.contextmanager
def running(
    command: Sequence[str | Path],
    ports: int | Iterable[int],
    output: Path,
    stop: Sequence[str | Path] | None = None,
    *,
    user: str | None = None,
    environment: Mapping[str, str] | None = None,
    ready: str = "",
    wait: float = WAIT,
) -> Iterator[None]:
    """Run a server in the foreground until its ports answer, and stop it at the end.

    :param stop: what ends it, if a signal to the process does not.
    :param user: and group, whose the process is; ``None``: our own.
    :param ready: what it says once it serves; some listen before, and cannot be stopped before.
    :param wait: seconds for the start, and for the end.
    """
    listens = [ports] if isinstance(ports, int) else list(ports)
    with output.open("wb") as file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=output.parent,
            **_whose(user, environment or {}),
        )

    def serves() -> bool:
        assert process.poll() is None, f"{command[0]} has ended"
        return all(map(_answers, listens)) and ready in output.read_text()

    try:
        try:
            eventually(serves, str(command[0]), wait)
        except AssertionError as error:
            error.add_note(output.read_text())
            raise
        yield
    finally:
        if stop is None:
            process.terminate()
        else:
            subprocess.run(stop, timeout=wait, check=False, capture_output=True)
        try:
            process.wait(wait)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(wait)
            raise
    # Postfix's children end a moment after it.
    eventually(lambda: not any(map(_answers, listens)), f"the end of all of {command[0]}")


def _answers(port: int) -> bool:
    try:
        talk_to(port).close()
    except ConnectionRefusedError:
        return False
    return True


def talk_to(port: int) -> socket.socket:
    """A plain connection; every call on it is bounded."""
    return socket.create_connection((LOOPBACK, port), WAIT)
