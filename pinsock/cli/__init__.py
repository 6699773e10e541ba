"""The command line: arguments in, text and an exit status out.

Exit statuses: 0, all is well; 1, a check failed; 2, the command was not understood; 130, Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

import pinsock

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status.  Whatever goes wrong, nobody sees a traceback."""
    try:
        status = _run(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()  # here, where an error can still be told
    except KeyboardInterrupt:
        print("\npinsock: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (`| head`) has what it wanted.  Python would flush once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        print(f"pinsock: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return status


def _run(arguments: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(
        prog="pinsock",
        description="TLS connections that pass no byte until the peer's public key matched a pin.",
    )
    parser.add_argument("--version", action="version", version=f"pinsock {pinsock.__version__}")
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    demo = "what pinning does, shown on loopback with throw-away keys"
    commands.add_parser("demo", help=demo, description=demo.capitalize() + ".")
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
