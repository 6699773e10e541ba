"""The pytest plugin, the example that is documented with it, and life without the extra."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pytest_pinsock

if TYPE_CHECKING:
    from collections.abc import Callable

pytest_plugins = ["pytester"]

EXAMPLE = Path(__file__).parents[2] / "examples" / "refuses_interception"
SECONDS = 120


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    """Run pytest in a process of its own, with this plugin and no other.

    It is found as it is by users, by its entry point, in one test; here by its name, so that what
    other plugins load is not taken for ours.
    """
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))

    def run(*arguments: str) -> pytest.RunResult:
        options = ("-p", "pytest_pinsock", "-p", "no:cacheprovider", "-W", "error", "-v")
        return pytester.runpytest_subprocess(*options, *arguments, timeout=SECONDS)

    return run


def test_pytest_finds_the_plugin_by_its_entry_point() -> None:
    """Under the name of its module, so that ``-p pytest_pinsock`` is the same."""
    (entry,) = entry_points(group="pytest11", name="pytest_pinsock")
    assert entry.load() is pytest_pinsock


# --- the example ----------------------------------------------------------------------------------


@pytest.fixture
def example(pytester: pytest.Pytester) -> Path:
    """A copy of it."""
    shutil.copytree(EXAMPLE, pytester.path, dirs_exist_ok=True)
    return pytester.path


@pytest.mark.usefixtures("example")
def test_the_examples_tests_pass_with_the_client_that_pins(
    run: Callable[..., pytest.RunResult],
) -> None:
    """All three of them."""
    run().assert_outcomes(passed=3)


def test_the_examples_tests_fail_with_the_client_that_forgot_and_say_what_leaked(
    run: Callable[..., pytest.RunResult], example: Path
) -> None:
    """The report itself, in the words of its README."""
    shutil.copy(example / "forgot_to_pin.py", example / "report.py")
    result = run()
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(
        [
            "*::test_the_server_gets_the_report PASSED*",
            "*::test_an_interceptor_gets_nothing FAILED*",
            "*::test_the_client_refuses_every_attack FAILED*",
            "E *AssertionError: this client can be intercepted:",
            "E * rogue key under a trusted authority, TLS 1.3: not refused; leaked * b'POST /rep*",
        ]
    )
    # The test of the user is what pytest shows, and none of our functions.
    result.stdout.no_fnmatch_line("*_attacks.py*")


def test_the_readme_of_the_example_names_what_there_is() -> None:
    """Its fixtures, its files and the sentence that a failure begins with."""
    text = (EXAMPLE / "README.md").read_text()
    for name in pytest_pinsock.__all__:
        assert f"`{name}`" in text
    for path in EXAMPLE.glob("*.py"):
        assert path.name in text
    assert "this client can be intercepted:" in text


# --- light, and without the extra -----------------------------------------------------------------


def test_a_project_that_does_not_use_it_pays_nothing(
    run: Callable[..., pytest.RunResult], pytester: pytest.Pytester
) -> None:
    """Loaded, the plugin brings neither ssl nor cryptography nor anything of pinsock."""
    pytester.makepyfile(
        """
        import sys

        def test_nothing_else_was_loaded():
            assert "pytest_pinsock" in sys.modules
            assert not {"ssl", "_ssl", "cryptography", "trustme", "pinsock"}.intersection(
                sys.modules
            )
        """
    )
    run().assert_outcomes(passed=1)


@pytest.mark.parametrize(
    "fixture", ["pin_authority", "pinned_server", "interceptor", "pin_attacks"]
)
def test_a_fixture_without_the_extra_says_what_to_install(
    run: Callable[..., pytest.RunResult], pytester: pytest.Pytester, fixture: str
) -> None:
    """In a line, without a traceback."""
    pytester.makeconftest("import sys; sys.modules['trustme'] = None")
    pytester.makepyfile(f"def test_it({fixture}): pass")
    result = run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["the fixtures of pinsock need its extra: pip install 'pinsock[[]testing]'"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*pytest_pinsock.py:*")


WITHOUT_TRUSTME = """
import sys
sys.modules["trustme"] = sys.modules["OpenSSL"] = None
"""


def python(program: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def test_import_pinsock_brings_nothing_of_it() -> None:
    """Only who tests loads what is for tests."""
    done = python("import sys, pinsock; print([m for m in sys.modules if 'pinsock.testing' in m])")
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_without_the_extra_all_but_the_authority_is_there() -> None:
    """Servers and interceptors need none; the authority says what to install."""
    done = python(
        f"""{WITHOUT_TRUSTME}
from pinsock._throwaway import Authority as Signer
from pinsock.testing import Authority, Interceptor, PinnedServer
signer = Signer()
with PinnedServer(signer.issue("127.0.0.1")) as server:
    with Interceptor(signer.issue("127.0.0.1"), server.address) as interceptor:
        print(interceptor.settle().connections)
try:
    Authority()
except ModuleNotFoundError as error:
    print(error)
"""
    )
    assert (done.stdout, done.stderr) == (
        "0\npinsock.testing.Authority stands on trustme: pip install 'pinsock[testing]'\n",
        "",
    )


def test_the_demonstration_needs_no_extra() -> None:
    """It runs on the same servers, and signs by itself."""
    done = python(f"{WITHOUT_TRUSTME}\nfrom pinsock.cli import main; sys.exit(main(['demo']))")
    assert (done.returncode, done.stderr) == (0, "")
    assert "All five came out as they must" in done.stdout


def test_without_pyopenssl_the_renegotiation_is_said_to_be_left_out() -> None:
    """And never called refused."""
    done = python(
        """
import sys
sys.modules["OpenSSL"] = None
import pinsock
from pinsock.testing import ATTACKS, run_attacks
def client(target):
    context = target.context()
    with pinsock.create_connection(target.address, context.pins, context=context) as tls:
        tls.sendall(b"hello")
        assert tls.recv(5)
name = "renegotiation into another key"
report = run_attacks(client, skip=[other for other in ATTACKS if other != name])
row = report[name + ", TLS 1.2"]
print(row.outcome, row.note)
"""
    )
    assert done.stdout == "not applicable it takes pyOpenSSL: pip install 'pinsock[testing]'\n"
