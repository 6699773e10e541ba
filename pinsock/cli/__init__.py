"""The command line: arguments in, text and an exit status out.

Exit statuses: 0, all is well; 1, something was found; 2, the command or a file that it was given
was not understood; 3, something could not be reached, read or written; 130, Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Final

import pinsock

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["discard_output", "main"]

#: Each is ``command`` in the module of its name, and needs the packages of the extra ``cli``.
_COMMANDS: Final = {
    "fetch": "the certificates and pins that a server shows",
    "pin": "the pins of certificates, keys, CSRs and PKCS #12 files",
    "backup": "make a backup key, with its CSR and its pin",
    "check": "connect to many hosts, each with its pins",
    "plan": "what to do by when, so that no client is locked out",
    "lint": "what is wrong with a policy, without a network",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status.  Whatever goes wrong, nobody sees a traceback."""
    try:
        status = _run(sys.argv[1:] if arguments is None else arguments)
        if sys.stdout is not None:
            sys.stdout.flush()  # here, where an error can still be told
    except KeyboardInterrupt:
        print("\npinsock: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        discard_output()  # the reader (`| head`) has what it wanted
        return 1
    except Exception as error:
        print(f"pinsock: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return status


def discard_output() -> None:
    """Let what could not be written go: Python would try, and fail, once more at its exit."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(arguments: Sequence[str]) -> int:
    if arguments and arguments[0] in _COMMANDS:
        return _run_with_extra(arguments[0], arguments[1:])
    parser = argparse.ArgumentParser(
        prog="pinsock",
        description="TLS connections that pass no byte until the peer's public key matched a pin.",
    )
    parser.add_argument("--version", action="version", version=f"pinsock {pinsock.__version__}")
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    demo = "what pinning does, shown on loopback with throw-away keys"
    commands.add_parser("demo", help=demo, description=demo.capitalize() + ".")
    for name, what in _COMMANDS.items():
        commands.add_parser(name, help=what)
    try:
        command = parser.parse_args(arguments).command
    except SystemExit as end:  # argparse has printed what there was to say
        return int(end.code or 0)
    if command is None:
        parser.print_help(sys.stderr)
        return 2
    # Only now: it loads cryptography, and --help need not wait for that.
    from pinsock.cli.demo import run

    return run()


def _run_with_extra(name: str, arguments: Sequence[str]) -> int:
    try:
        from pinsock.cli._frame import run

        return run(name, arguments)
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] == "pinsock":
            raise
        print(
            f"pinsock {name}: needs {missing.name}, which is not installed; "
            f"pip install 'pinsock[cli]'",
            file=sys.stderr,
        )
        return 2
