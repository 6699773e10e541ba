"""Real servers on loopback: found, started and stopped here.

Each runs from a folder of its own, with its own configuration and log, and is left out, with the
reason, where it is not installed.  In CI that is an error.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING, NoReturn

import pytest
from support.impostor import WAIT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = [
    "LOOPBACK",
    "eventually",
    "find",
    "leave_out",
    "reserved_port",
    "running",
    "talk_to",
]

#: The name in every certificate here, which is also the address.
LOOPBACK = "127.0.0.1"


def leave_out(why: str) -> NoReturn:
    """Skip what cannot run here; in CI everything can, so there it is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


def find(program: str) -> str:
    """The path of a server, which Debian keeps where users do not look."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    return found or leave_out(f"{program} is not installed")


def eventually(holds: Callable[[], bool], what: str) -> None:
    """Ask until it holds, at most WAIT seconds."""
    until = time.monotonic() + WAIT
    while not holds():
        assert time.monotonic() < until, f"in {WAIT} seconds not: {what}"
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
def running(
    command: list[str | Path], port: int, output: Path, stop: list[str | Path] | None = None
) -> Iterator[None]:
    """Run a server in the foreground until the port answers, and stop it at the end.

    :param stop: what ends it, if a signal to the process does not.
    """
    with output.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    try:
        eventually(
            lambda: process.poll() is not None or _answers(port), f"{command[0]} on port {port}"
        )
        assert process.poll() is None, output.read_text()
        yield
    finally:
        if stop is None:
            process.terminate()
        else:
            subprocess.run(stop, timeout=WAIT, check=False, capture_output=True)
        try:
            process.wait(WAIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(WAIT)
            raise


def _answers(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), WAIT).close()
    except ConnectionRefusedError:
        return False
    return True


def talk_to(port: int) -> socket.socket:
    """A plain connection; every call on it is bounded."""
    return socket.create_connection((LOOPBACK, port), WAIT)
