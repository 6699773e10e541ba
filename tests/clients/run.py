"""Runs the rows of the matrix, and says of each what came of it.

Each run is in a process of its own: with the right pin, straight to the server; without pinsock,
through an interceptor whose certificate the client trusts, which must read it, or else what follows
shows nothing; with the right pin, through the interceptor; and for a client that tries again by
itself, the same with what keeps it from that.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from support.daemons.process import LOOPBACK, Daemon, needs_module

from pinsock._throwaway import Authority
from pinsock.testing import Interceptor

from .harness import Job, Told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pinsock._throwaway import Credential

    from .results import Result
    from .row import Row, Server, Wrong

__all__ = ["World", "world"]

#: Seconds that a client may take.  It is waited for as long only if it hangs.
PATIENCE = 40.0

TESTS = Path(__file__).parents[1]
#: Without what libraries take from it: proxies, trust stores.
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.lower().endswith("_proxy") and name not in {"SSL_CERT_FILE", "SSL_CERT_DIR"}
}


class Met(NamedTuple):
    """One run of a script, and what the wrong key's owner saw of it."""

    told: Told
    connections: int
    application_bytes: int
    in_the_clear: bytes = b""
    """What was said before TLS was due: STARTTLS, CONNECT."""


class World:
    """An authority, the servers that have been asked for so far, and who sits before them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        authority = Authority("everybody's authority")
        self._credential = authority.issue(LOOPBACK, "localhost")
        #: Nothing is wrong with it but its key.
        self._rogue = authority.issue(LOOPBACK, "localhost")
        self._cafile = folder / "authority.pem"
        self._cafile.write_text(authority.pem, "ascii")
        self._stack = stack
        self._daemons: dict[Server, Daemon] = {}

    def run(self, row: Row) -> Result:
        """Run it, check what must hold of every client, and tell the rest."""
        for module in (row.modules or row.distribution).split():
            needs_module(module)
        daemon = self._daemon(row)
        self._check_served(row, daemon)
        self._check_read_without_pins(row, daemon)
        result: Result = {
            "version": _version(row),
            "server": daemon.kind,
            "wrong": self._refused(row, daemon, {}),
        }
        if row.quiet:
            result["quiet"] = self._refused(row, daemon, row.quiet)
            assert result["quiet"]["connections"] == 1, result
        return result

    def _daemon(self, row: Row) -> Daemon:
        if row.server not in self._daemons:
            self._daemons[row.server] = self._stack.enter_context(row.server(self._credential))
        return self._daemons[row.server]

    # --- what must hold ---------------------------------------------------------------------------

    def _check_served(self, row: Row, daemon: Daemon) -> None:
        with self._honest_proxy(row) as extra:
            for _ in range(row.attempts):
                told = self._script(row, _port(row, daemon), True, row.extra | extra)
                if told.answer:
                    break
        assert told.error is None, told
        assert told.answer, told
        assert set(told.verdicts) == {"matched"}, told
        assert told.log == [], told

    def _check_read_without_pins(self, row: Row, daemon: Daemon) -> None:
        for _ in range(row.attempts):
            met = self._meet_rogue(row, daemon, False, {})
            if met.told.answer:
                break
        assert met.told.error is None, met
        assert met.told.answer, met
        assert met.application_bytes > 0, met

    def _refused(self, row: Row, daemon: Daemon, more: dict[str, Any]) -> Result:
        met = self._meet_rogue(row, daemon, True, more)
        told = met.told
        assert met.application_bytes == 0, met
        assert told.answer is None, met
        if "password" in row.extra:
            assert row.extra["password"].encode("ascii") not in met.in_the_clear, met
        # Whatever the library makes of the exception, the callback and the log tell.
        outcomes = set(told.verdicts)
        if row.proxy == "https" or row.wrong_server is not None:
            outcomes.remove("matched")  # that of the proxy, or of the first channel
        assert outcomes == {"mismatch"}, met
        assert len(told.log) == 1, met
        assert "matched no pin; refused" in told.log[0], met
        if row.endless:
            assert met.connections > 1, met
        else:
            assert met.connections == told.verdicts.count("mismatch"), met
        if row.swallows:
            assert told.mismatch is None, met
        else:
            assert row.endless or told.error is not None, met
        return {
            "application_bytes": met.application_bytes,
            "connections": "endless" if row.endless else met.connections,
            "error": told.error,
            "mismatch": told.mismatch,
        }

    # --- how it is run ----------------------------------------------------------------------------

    @contextmanager
    def _honest_proxy(self, row: Row) -> Iterator[dict[str, Any]]:
        """A proxy that passes TLS on unread, where the row has one."""
        if not row.proxy:
            yield {}
            return
        with Interceptor(None, proxy=True, proxy_credential=self._at_the_proxy(row)) as proxy:
            yield {"proxy": proxy.proxy_url}
            assert proxy.settle().connections, "the client went around its proxy"

    def _at_the_proxy(self, row: Row) -> Credential | None:
        return self._credential if row.proxy == "https" else None

    def _meet_rogue(self, row: Row, daemon: Daemon, pinned: bool, more: dict[str, Any]) -> Met:
        if row.wrong_server is not None:
            with row.wrong_server(self._credential, self._rogue) as rogue:
                extra = row.extra | more
                told = self._script(row, _port(row, rogue), pinned, extra)
                heard = len(rogue.heard())
            return Met(told, told.verdicts.count("mismatch"), heard)
        extra = row.extra | more
        port = _port(row, daemon)
        with Interceptor(
            self._rogue,
            None if row.proxy else (LOOPBACK, port),
            proxy=bool(row.proxy),
            proxy_credential=self._at_the_proxy(row),
            starttls=row.starttls or None,
            alpn=("h2", "http/1.1"),
        ) as interceptor:
            if row.proxy:
                extra["proxy"] = interceptor.proxy_url
            else:
                port = interceptor.port
            told = self._script(row, port, pinned, extra)
            counted = interceptor.settle()
        return Met(
            told,
            counted.connections,
            counted.application_bytes + counted.not_tls_bytes,
            b"".join(seen.preamble for seen in interceptor.connections),
        )

    def _script(self, row: Row, port: int, pinned: bool, extra: dict[str, Any]) -> Told:
        pin = str(self._credential.pin) if pinned else None
        job = Job(LOOPBACK, port, str(self._cafile), pin, extra)
        script = f"clients.scripts.{row.script or row.name}"
        done = subprocess.run(
            [sys.executable, "-m", script, json.dumps(asdict(job))],
            cwd=TESTS,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return Told(**json.loads(done.stdout.splitlines()[-1]))


def _version(row: Row) -> str:
    if not row.distribution:
        return f"CPython {platform.python_version()}"
    return f"{row.distribution} {metadata.version(row.distribution)}"


def _port(row: Row, server: Daemon | Wrong) -> int:
    if row.scheme:
        return server.ports[row.scheme]
    (port,) = server.ports.values()
    return port


@contextmanager
def world() -> Iterator[World]:
    """Everything is stopped at the end."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        yield World(Path(folder), stack)
