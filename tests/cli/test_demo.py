"""``pinsock demo`` and the command line around it, as a user meets them."""

from __future__ import annotations

import signal
import ssl
import subprocess
import sys
from typing import Any

import pytest

import pinsock
from pinsock.cli import demo, main


def run(*arguments: str, script: str | None = None) -> subprocess.CompletedProcess[str]:
    """``python -m pinsock`` with these arguments, or a script instead."""
    return subprocess.run(
        [sys.executable, *(("-m", "pinsock") if script is None else ("-c", script)), *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def steps(output: str) -> list[str]:
    """The five numbered paragraphs."""
    paragraphs = output.split("\n\n")
    assert [paragraph[:3] for paragraph in paragraphs[1:6]] == [f"{n}. " for n in range(1, 6)]
    return paragraphs[1:6]


def pins(text: str) -> list[str]:
    """Every pin in a text."""
    return [word for word in text.split() if word.startswith("sha256/")]


# --- what it shows --------------------------------------------------------------------------------


def test_the_demo_shows_all_five_steps_and_succeeds() -> None:
    """Two keys are accepted, the interceptor is refused with 0 bytes, and unpinned it is not."""
    done = run("demo")
    assert (done.returncode, done.stderr) == (0, "")
    in_use, backup = pins(done.stdout.partition("\n\n")[0])
    first, renewed, changed, refused, unpinned = steps(done.stdout)

    for step, pin, word in (
        (first, in_use, "matched"),
        (renewed, in_use, "matched"),
        (changed, backup, "matched-backup"),
    ):
        assert f"accepted {pin}  ({word})" in step
        assert "The server was given 26 application bytes: b'password " in step
    (forged,) = pins(refused)
    assert forged not in {in_use, backup}
    assert f"refused  {forged}  (mismatch)" in refused
    assert refused.endswith("The interceptor was given 0 application bytes")
    assert f"accepted {forged}  (no pins)" in unpinned
    assert "The interceptor was given 26 application bytes: b'password " in unpinned
    assert done.stdout.endswith(
        "\n\nAll five came out as they must: under pins, the secret went to pinned keys alone.\n"
    )


def test_no_secret_and_no_key_is_that_of_another_run() -> None:
    """What is shown was made for this run, so it cannot have been written down beforehand."""
    first, second = run("demo").stdout, run("demo").stdout
    assert not set(pins(first)) & set(pins(second))
    assert steps(first)[4].splitlines()[-1] != steps(second)[4].splitlines()[-1]


# --- what it would find ---------------------------------------------------------------------------


def test_a_pinsock_that_does_not_pin_is_found_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a context that only looks pinned the interceptor gets the secret, and the demo fails."""

    def not_pinned(_: object, *, cadata: str) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=cadata)

    monkeypatch.setattr(demo, "create_default_context", not_pinned)
    assert main(["demo"]) == 1
    output = capsys.readouterr().out
    assert "WRONG: received is b'password " in steps(output)[3]
    assert "WRONG: outcome is None, and must be <Outcome.MATCHED: " in steps(output)[0]
    assert "4 of 5 came out wrong" in output


def test_a_pinsock_that_refuses_everything_is_found_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server must be reached as well: refusing is not enough."""
    monkeypatch.setattr(pinsock.PinSet, "match_certificate", lambda *_: None)
    assert main(["demo"]) == 1
    assert "3 of 5 came out wrong" in capsys.readouterr().out


def test_a_renewal_that_renews_nothing_is_found_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second step is worth something only if the client saw another certificate."""
    show = demo.PinnedServer.show
    shown: list[Any] = []

    def show_the_first(server: demo.PinnedServer, credential: Any) -> None:
        shown.append(credential)
        show(server, shown[0])

    monkeypatch.setattr(demo.PinnedServer, "show", show_the_first)
    assert main(["demo"]) == 1
    assert "WRONG: certificate is" in steps(capsys.readouterr().out)[1]


def test_an_interceptor_that_the_client_does_not_trust_is_found_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If normal verification refuses the interceptor, pins have not been shown to do anything."""
    create = ssl.create_default_context

    def trust_one(*arguments: Any, cadata: str, **settings: Any) -> ssl.SSLContext:
        end = "-----END CERTIFICATE-----\n"
        return create(*arguments, cadata=cadata.partition(end)[0] + end, **settings)

    monkeypatch.setattr(ssl, "create_default_context", trust_one)
    assert main(["demo"]) == 1
    output = capsys.readouterr().out
    for step in steps(output)[3:]:
        assert "failed   SSLCertVerificationError: " in step
    assert "2 of 5 came out wrong" in output


# --- the command line -----------------------------------------------------------------------------


def test_without_a_command_there_is_help_and_status_2() -> None:
    """Nothing was asked for, and the help says what can be."""
    done = run()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: pinsock ")
    assert "demo  " in done.stderr


@pytest.mark.parametrize("arguments", [("nonsense",), ("demo", "more"), ("--nonsense",)])
def test_what_is_not_understood_is_a_usage_error(arguments: tuple[str, ...]) -> None:
    """Status 2, one line that says why, no traceback."""
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "pinsock: error: " in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_command_is_told_which_there_are() -> None:
    """So that nobody has to guess twice."""
    assert "choose from" in run("nonsense").stderr
    assert "demo" in run("nonsense").stderr.split("choose from")[1]


def test_version_and_help_succeed() -> None:
    """They go to standard output, and load nothing that takes time."""
    assert run("--version").stdout == f"pinsock {pinsock.__version__}\n"
    assert run("--help").stdout.startswith("usage: pinsock ")
    assert run("demo", "--help").stdout.startswith("usage: pinsock demo ")
    script = "import sys, pinsock.cli as c; c.main(['--help']); print(*sys.modules)"
    assert "cryptography" not in run(script=script).stdout.split()


def test_the_installed_command_is_this_one() -> None:
    """``pinsock`` and ``python -m pinsock`` are the same function."""
    from importlib.metadata import entry_points

    (script,) = entry_points(group="console_scripts", name="pinsock")
    assert script.load() is main


def test_ctrl_c_ends_it_without_a_traceback() -> None:
    """Interrupted while it waits for a connection, it says so and ends with status 130."""
    script = """
import sys
from pinsock.cli import demo, main
def never_answer(server, client, seen):
    print("waiting", flush=True)
    while client.recv():
        pass
demo.PinnedServer._attend, demo._PATIENCE = never_answer, 20
sys.exit(main(["demo"]))
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert "waiting\n" in iter(process.stdout.readline, "")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (130, "\npinsock: interrupted\n")


def test_an_unforeseen_error_is_one_line_and_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A machine without loopback, a full disk: said in a line, without a traceback."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(demo.socket, "create_connection", refuse)
    assert main(["demo"]) == 1
    assert capsys.readouterr().err == "pinsock: PermissionError: [Errno 13] Permission denied\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_stops_reading_is_no_error_to_shout_about(
    monkeypatch: pytest.MonkeyPatch, unbuffered: str
) -> None:
    """``pinsock demo | head -1``: nothing on standard error, whenever the pipe breaks."""
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    with subprocess.Popen(
        [sys.executable, "-m", "pinsock", "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(timeout=30) == 1
