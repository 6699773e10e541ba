"""What holds for every command: exit statuses, errors in one line, colours, progress, the extra."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.contexts import server
from support.impostor import WAIT, sends, serving

from .tools import background, document, on_terminal, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.impostor import Impostor

    from pinsock._throwaway import Credential

    At = Callable[[Impostor], str]

COMMANDS = ("fetch", "pin", "backup", "check", "plan", "lint")
#: What a terminal takes for an instruction.
ESCAPE = "\x1b"


@pytest.fixture
def certificate(good: Credential, tmp_path: Path) -> Path:
    """A file that ``pinsock pin`` reads."""
    path = tmp_path / "server.pem"
    path.write_bytes(good.chain_pem)
    return path


# --- the extra ------------------------------------------------------------------------------------

_WITHOUT = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == sys.argv[1]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
from pinsock.cli import main
sys.exit(main(sys.argv[2:]))
"""


def without(package: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``pinsock`` where a package is not installed."""
    return subprocess.run(
        [sys.executable, "-c", _WITHOUT, package, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("package", ["click", "rich"])
@pytest.mark.parametrize("command", COMMANDS)
def test_without_the_extra_a_command_says_what_to_install(package: str, command: str) -> None:
    """Status 2 and one line, which can be pasted."""
    done = without(package, command, "x")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"pinsock {command}: needs {package}, which is not installed; pip install 'pinsock[cli]'\n"
    )


@pytest.mark.parametrize("package", ["click", "rich"])
def test_without_the_extra_the_demo_and_the_help_work(package: str) -> None:
    """They are what somebody sees first."""
    assert without(package, "demo").returncode == 0
    done = without(package, "--help")
    assert done.returncode == 0
    assert all(f"    {command} " in done.stdout for command in ("demo", *COMMANDS))


def test_the_demo_loads_nothing_of_the_extra() -> None:
    """A package that is installed and broken would stop it too."""
    script = "import sys, pinsock.cli as c; c.main(['demo']); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert not {"click", "rich"} & set(done.stdout.split())


@pytest.mark.parametrize("command", COMMANDS[:4])
def test_each_command_has_help(command: str) -> None:
    """On standard output, with status 0."""
    done = run(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: pinsock {command} ")


@pytest.mark.parametrize("command", COMMANDS[:4])
def test_what_is_not_understood_is_one_line_and_status_2(command: str) -> None:
    """It names the option, and where the right ones are told."""
    done = run(command, "--nonsense")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"pinsock {command}: No such option")
    assert "--nonsense" in done.stderr
    assert done.stderr.endswith(f" See pinsock {command} --help.\n")
    assert done.stderr.count("\n") == 1


# --- what goes wrong around a command -------------------------------------------------------------


@pytest.mark.parametrize("as_json", [False, True])
def test_a_full_disk_under_the_output_is_told(certificate: Path, as_json: bool) -> None:
    """``> results`` on a disk without room: status 3, one line."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pinsock", "pin", certificate, *["--json"] * as_json],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert done.returncode == 3
    assert done.stderr == (
        b"pinsock pin: standard output: No space left on device; make room, or write to another "
        b"disk\n"
    )


def test_a_reader_that_stops_reading_is_no_error_to_shout_about(certificate: Path) -> None:
    """``pinsock pin ... | head -1``: nothing on standard error."""
    with background("pin", *[certificate] * 2000) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert process.wait(WAIT) == 1


def test_an_unforeseen_error_is_one_line_and_no_finding(certificate: Path) -> None:
    """Status 3: who runs it from cron must not take our fault for a finding."""
    script = f"""
import sys, pinsock.cli.pin as p
def broken(*_): raise RuntimeError("unforeseen")
p._pins = broken
from pinsock.cli import main
sys.exit(main(["pin", {str(certificate)!r}]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (3, "pinsock pin: RuntimeError: unforeseen\n")


def test_ctrl_c_ends_a_command_without_a_traceback(at: At) -> None:
    """While it waits for a server that says nothing."""
    heard = socket.socketpair()
    with heard[0], heard[1]:

        def silent(sock: socket.socket, _: object) -> None:
            heard[1].sendall(sock.recv(1))
            while sock.recv(65536):
                pass

        with serving(silent) as stalled, background("fetch", at(stalled)) as process:
            heard[0].settimeout(WAIT)
            assert heard[0].recv(1) == b"\x16"  # it is in the midst of its handshake
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=WAIT)
    assert (process.returncode, out, errors) == (130, "", "\npinsock: interrupted\n")


# --- how it looks ---------------------------------------------------------------------------------


def test_on_a_terminal_there_are_colours_and_a_table(certificate: Path) -> None:
    """A box around it, and the pin in colour."""
    with on_terminal("pin", certificate, columns=160) as terminal:
        pass
    assert terminal.status == 0
    assert "┃" in terminal.text
    assert ESCAPE + "[36msha256/" in terminal.raw.decode()


def test_no_color_is_kept(certificate: Path) -> None:
    """Bold type is no colour, and may stay (no-color.org)."""
    with on_terminal("pin", certificate, columns=160, NO_COLOR="1") as terminal:
        pass
    assert "sha256/" in terminal.text
    assert not any(f"{ESCAPE}[{code}" in terminal.raw.decode() for code in ("3", "4", "9"))


def test_a_dumb_terminal_gets_no_escapes(certificate: Path) -> None:
    """Emacs' shell, for example."""
    with on_terminal("pin", certificate, columns=160, TERM="dumb") as terminal:
        pass
    assert "sha256/" in terminal.text
    assert ESCAPE not in terminal.raw.decode()


def test_piped_it_is_plain(certificate: Path, good: Credential) -> None:
    """Columns that are aligned, without boxes, colours or wrapped lines, however narrow."""
    done = run("pin", certificate, COLUMNS="20")
    first, second = done.stdout.splitlines()
    assert first.split() == ["pin", "of", "subject", "file"]
    assert second.split() == [str(good.pin), "certificate", "CN=server.example", str(certificate)]
    assert second.index("certificate") == first.index("of")


def test_json_on_a_terminal_is_json(certificate: Path) -> None:
    """No colour and no line end within it, so that it can be copied."""
    with on_terminal("pin", certificate, "--json", columns=30) as terminal:
        pass
    assert json.loads(terminal.text) == document("pin", certificate)
    assert ESCAPE not in terminal.raw.decode()


# --- progress -------------------------------------------------------------------------------------


def test_what_takes_longer_than_a_second_shows_the_time_that_is_left(at: At) -> None:
    """A server that says nothing is waited for four and a half seconds."""
    with (
        serving(sends()) as stalled,
        on_terminal("fetch", at(stalled), "--timeout", "4.5") as terminal,
    ):
        terminal.expect("0:00:0")
    assert terminal.status == 3
    assert f"waiting for {at(stalled)}, at most" in terminal.text
    assert "pinsock fetch: " in terminal.text.splitlines()[-1]


def test_what_is_quick_shows_no_progress(at: At, good: Credential, ca: Path) -> None:
    """A bar that flashes up tells nobody anything."""
    with (
        serving(server(good)) as peer,
        on_terminal("fetch", at(peer), "--cafile", ca) as terminal,
    ):
        pass
    assert terminal.status == 0
    assert "waiting for" not in terminal.text


def test_no_progress_goes_into_a_pipe(at: At) -> None:
    """However long it takes."""
    with serving(sends()) as stalled:
        done = run("fetch", at(stalled), "--timeout", "1.5")
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1


# --- the frame is light ---------------------------------------------------------------------------


def test_the_frame_itself_loads_neither_click_nor_rich() -> None:
    """``pinsock --version`` and the demo pay for nothing that they do not use."""
    script = "import sys, pinsock.cli; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert not {"click", "rich", "cryptography", "asyncio"} & set(done.stdout.split())
