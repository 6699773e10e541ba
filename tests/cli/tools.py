"""The command line as a user starts it: a process of its own, with pipes or on a terminal."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING, Any

from support.daemons.process import leave_out
from support.impostor import WAIT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = [
    "PINSOCK",
    "Terminal",
    "background",
    "document",
    "environment",
    "on_terminal",
    "run",
    "tiny_disk",
]

PINSOCK = (sys.executable, "-m", "pinsock")


#: Where the tests run in the background of a shell, Ctrl-C is ignored, and so it would be here.
_HEEDING_CTRL_C = ("/usr/bin/env", "--default-signal=INT")
#: Root may read and write everything, but for one that has given this away.
_AS_OTHERS = (
    "/usr/bin/setpriv",
    "--bounding-set=-dac_override,-dac_read_search",
    "--inh-caps=-dac_override,-dac_read_search",
)


def environment(**more: str) -> dict[str, str]:
    """This process's, without what would change how text comes out or whom OpenSSL trusts."""
    left_out = {"NO_COLOR", "FORCE_COLOR", "COLUMNS", "SSL_CERT_FILE", "SSL_CERT_DIR"}
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    return kept | {"TERM": "xterm-256color"} | more


def run(
    *arguments: str | Path,
    stdin: str | bytes = "",
    cwd: Path | None = None,
    pass_fds: Sequence[int] = (),
    obeying_modes: bool = False,
    **variables: str,
) -> subprocess.CompletedProcess[str]:
    """``pinsock`` with pipes and without a terminal, to its end; never a traceback.

    :param obeying_modes: as everybody must, and root need not.
    """
    as_others = _AS_OTHERS if obeying_modes and os.geteuid() == 0 else ()
    done = subprocess.run(
        [*as_others, *PINSOCK, *map(str, arguments)],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        cwd=cwd,
        env=environment(**variables),
        pass_fds=pass_fds,
        start_new_session=True,  # and so without the terminal that runs the tests
        timeout=60,
        check=False,
    )
    out, errors = done.stdout.decode(), done.stderr.decode()
    assert "Traceback" not in errors, errors
    return subprocess.CompletedProcess(done.args, done.returncode, out, errors)


def document(*arguments: str | Path, status: int = 0, **settings: Any) -> Any:
    """What ``--json`` prints."""
    done = run(*arguments, "--json", **settings)
    assert done.returncode == status, (done.stdout, done.stderr)
    return json.loads(done.stdout)


@contextlib.contextmanager
def background(*arguments: str | Path, cwd: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """``pinsock`` with pipes, still running."""
    with subprocess.Popen(
        [*_HEEDING_CTRL_C, *PINSOCK, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env=environment(),
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


@contextlib.contextmanager
def tiny_disk(folder: Path, size: int) -> Iterator[Path]:
    """A file system of so many bytes."""
    if os.geteuid() != 0:
        leave_out("only root mounts a file system")
    folder.mkdir()
    mounted = subprocess.run(
        ["/usr/bin/mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder],
        check=False,
        capture_output=True,
        text=True,
    )
    if mounted.returncode != 0:
        leave_out(f"no file system can be mounted here: {mounted.stderr}")
    try:
        yield folder
    finally:
        subprocess.run(["/usr/bin/umount", folder], check=True)


class Terminal:
    """A program on a terminal of its own, and what it has shown there."""

    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self._master = master
        self._process = process
        self.raw = b""
        self.status: int | None = None

    @property
    def text(self) -> str:
        """Without colours and cursor movements, and with plain line ends."""
        shown = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", self.raw)
        return shown.decode("utf-8", "replace").replace("\r\n", "\n")

    def expect(self, text: str) -> None:
        """Wait until this has been shown, at most WAIT seconds."""
        until = time.monotonic() + WAIT
        while text not in self.text:
            assert time.monotonic() < until, f"not shown: {text!r}, but {self.text!r}"
            assert self._more(1.0), f"ended without {text!r}: {self.text!r}"

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def finish(self) -> None:
        """Wait for the end of the program."""
        until = time.monotonic() + WAIT
        while self._more(1.0):
            assert time.monotonic() < until, f"still running: {self.text!r}"
        self.status = self._process.wait(WAIT)
        assert "Traceback" not in self.text

    def _more(self, seconds: float) -> bool:
        """Read on; whether the program is still there."""
        if select.select([self._master], [], [], seconds)[0]:
            try:
                self.raw += os.read(self._master, 65536)
            except OSError:  # EIO: the other end is closed
                return False
        return True


@contextlib.contextmanager
def on_terminal(
    *arguments: str | Path,
    columns: int = 100,
    stdout: int | None = None,
    cwd: Path | None = None,
    **variables: str,
) -> Iterator[Terminal]:
    """``pinsock`` on a terminal.

    :param stdout: a descriptor, if its results go somewhere else.
    """
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (40, columns))
    process = subprocess.Popen(
        ["/usr/bin/setsid", "--ctty", *_HEEDING_CTRL_C, *PINSOCK, *map(str, arguments)],
        stdin=slave,
        stdout=slave if stdout is None else stdout,
        stderr=slave,
        cwd=cwd,
        env=environment(**variables),
    )
    os.close(slave)
    terminal = Terminal(master, process)
    try:
        yield terminal
        if terminal.status is None:
            terminal.finish()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(WAIT)
        os.close(master)
