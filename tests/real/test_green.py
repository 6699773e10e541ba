"""gevent and eventlet have sockets and contexts of their own, and pass the gate like anybody.

Each is met twice: patched into the standard library before pinsock is imported; and as itself, one
of our contexts in its own socket class.  The program is another process, so that it shares no event
loop with the peer that counts.
"""

from __future__ import annotations

import itertools
import json
import os
import selectors
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.contexts import VERSIONS, client, server
from support.impostor import BANNER, HOST, SECRET, WAIT, calling, sends, serving

from .servers import LOOPBACK

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from pinsock._throwaway import Authority, Credential

#: What is run before anything else is imported.
LIBRARIES = {
    "gevent": "",
    "gevent, patched": "from gevent import monkey; monkey.patch_all()",
    "eventlet": "",
    "eventlet, patched": "import eventlet; eventlet.monkey_patch()",
}
RUN = "import runpy, sys; runpy.run_path(sys.argv[1])"
PROGRAM = Path(__file__).with_name("green_client.py")

SHUT_THEN_SEND = "shutdown, then send"
#: The calls of green_client.py.
RECEIVING = ("do_handshake", "recv", "recv_into", "read", "makefile", "unwrap")
SENDING = ("send", "sendall", "sendfile", "write", "unbound send", "_sslobj", SHUT_THEN_SEND)
#: Seconds, for what never comes.
A_MOMENT = 0.02

each_version = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)


class Program:
    """green_client.py, running with one library."""

    def __init__(self, process: subprocess.Popen[str], library: str) -> None:
        self._process = process
        self.is_patched = library.endswith("patched")

    def tell(self, **order: object) -> None:
        """Say something, and wait for no answer."""
        assert self._process.stdin is not None
        print(json.dumps(order), file=self._process.stdin, flush=True)

    def ask(self, do: str, **order: object) -> Any:
        """Have something done; what came of it."""
        self.tell(do=do, **order)
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            assert selector.select(WAIT), "the program does not answer"
        line = self._process.stdout.readline()
        assert line, "the program has ended"
        return json.loads(line)


@pytest.fixture(scope="module", params=LIBRARIES)
def program(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    authority: Authority,
    good: Credential,
) -> Iterator[Program]:
    """One process for each library."""
    process = subprocess.Popen(
        # eventlet warns of its age.
        [
            *(sys.executable, "-P", "-W", "ignore"),
            *("-c", f"{LIBRARIES[request.param]}\n{RUN}", PROGRAM, request.param),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "SECRET": SECRET.decode("ascii")},
    )
    with process:
        try:
            program = Program(process, request.param)
            program.tell(
                host=HOST,
                cadata=authority.pem,
                pin=str(good.pin),
                credential=str(good.write(tmp_path_factory.mktemp("green") / "credential.pem")),
            )
            yield program
        finally:
            process.kill()


# --- the right pin --------------------------------------------------------------------------------


def echo(listener: socket.socket, context: ssl.SSLContext, times: int) -> None:
    """Send back what comes, on one connection after the other, once so many are there."""
    listener.settimeout(WAIT)
    for sock, _ in [listener.accept() for _ in range(times)]:
        sock.settimeout(WAIT)
        with context.wrap_socket(sock, server_side=True) as tls:
            while data := tls.recv(65536):
                tls.sendall(data)


@each_version
def test_several_at_once_talk_to_the_pinned_server(
    program: Program, good: Credential, version: ssl.TLSVersion
) -> None:
    """None is answered before all have connected, so one that blocked the loop would hang it."""
    with socket.create_server((LOOPBACK, 0)) as listener, ThreadPoolExecutor() as threads:
        echoed = threads.submit(echo, listener, server(good, version), 5)
        address = listener.getsockname()
        answer = program.ask("talk", times=5, size=200_000, address=address)
        echoed.result(WAIT)
    assert answer == {"came": [200_000] * 5, "on_verdict": ["MATCHED"] * 5}


@pytest.mark.parametrize(
    "way", ["wrap", "wrap, late", "connect", "connect_ex", "connect_ex, not waiting"]
)
def test_each_way_to_connect_reaches_the_pinned_server(
    program: Program, good: Credential, way: str
) -> None:
    """What the right pin has to say arrives, and what the server says comes back."""
    with serving(server(good)) as impostor:
        program.ask("connect", way=way, address=impostor.address)
        program.ask("call", name="send")
        came = program.ask("call", name="recv")
        found = program.ask("found")
        program.ask("close")
        report = impostor.report()
    assert report.application == SECRET
    assert came == f"returned {BANNER!r}"
    assert found["on_verdict"] == ["MATCHED"]
    assert found["pin_verdict"] == "MATCHED" or not program.is_patched


@each_version
def test_a_server_hears_the_pinned_client(
    program: Program, authority: Authority, good: Credential, version: ssl.TLSVersion
) -> None:
    """A pinned server reads what the client with the right key says, and answers it."""
    theirs = client(authority, version, credential=good)
    with calling(program.ask("listen", host=LOOPBACK), theirs) as impostor:
        program.ask("accept")
        came = program.ask("call", name="recv")
        program.ask("call", name="send")
        found = program.ask("found")
        program.ask("close")
        report = impostor.report()
    assert came == f"returned {BANNER!r}"
    assert report.application == SECRET
    assert found["on_verdict"] == ["MATCHED"]
    assert found["pin_verdict"] == "MATCHED" or not program.is_patched


# --- the wrong pin --------------------------------------------------------------------------------


def test_an_impostor_gets_the_secret_of_the_same_program_unpinned(
    program: Program, bad: Credential
) -> None:
    """It does hear whoever speaks, and is heard."""
    with serving(server(bad)) as impostor:
        program.ask("connect", way="wrap, unpinned", address=impostor.address)
        program.ask("call", name="send")
        came = program.ask("call", name="recv")
        program.ask("close")
        report = impostor.report()
    assert report.application == SECRET
    assert came == f"returned {BANNER!r}"


@each_version
@pytest.mark.parametrize(
    ("way", "call"),
    [
        ("wrap", "send"),
        ("connect", "send"),
        ("connect_ex", "send"),
        ("connect_ex, not waiting", "send"),
        *(("wrap, late", call) for call in RECEIVING + SENDING if call != SHUT_THEN_SEND),
    ],
)
def test_an_impostor_is_refused_for_good(
    program: Program, bad: Credential, version: ssl.TLSVersion, way: str, call: str
) -> None:
    """The connection is dead on the wire while the program still holds its socket."""
    with serving(server(bad, version)) as impostor:
        first = [
            program.ask("connect", way=way, address=impostor.address),
            program.ask("call", name=call),
        ]
        found = program.ask("found")
        later = [program.ask("call", name=name) for name in RECEIVING + SENDING]
        report = impostor.report()
        program.ask("close")
    assert report.got_nothing(), report
    assert report.ended
    assert "raised PinMismatchError" in first
    assert found["on_verdict"] == ["MISMATCH"]
    assert BANNER.decode("ascii") not in str(first + later)
    if program.is_patched:  # else the library makes its socket a plain one, which is dead
        assert all(outcome.startswith("raised") for outcome in later), later
        assert found["pin_verdict"] == "MISMATCH" or way == "wrap"


@each_version
@pytest.mark.parametrize("call", ["recv", "send"])
def test_a_client_that_is_an_impostor_is_refused_for_good(
    program: Program,
    authority: Authority,
    bad: Credential,
    version: ssl.TLSVersion,
    call: str,
) -> None:
    """What it says is not heard, and it hears nothing."""
    theirs = client(authority, version, credential=bad)
    with calling(program.ask("listen", host=LOOPBACK), theirs) as impostor:
        program.ask("accept")
        outcomes = [program.ask("call", name=name) for name in (call, *RECEIVING, *SENDING)]
        found = program.ask("found")
        report = impostor.report()
        program.ask("close")
    assert report.got_nothing(), report
    assert report.ended
    assert outcomes[0] == "raised PinMismatchError"
    assert found["on_verdict"] == ["MISMATCH"]
    assert BANNER.decode("ascii") not in str(outcomes)


#: eventlet's own class connects before it asks a context for TLS, and stays plain where that is
#: interrupted; and after shutdown(), which an error that it has not yet let go of can put off.
BEYOND_REACH = {
    *(("eventlet", "connect, not waiting", call) for call in SENDING),
    ("eventlet", "connect", SHUT_THEN_SEND),
}


@pytest.mark.parametrize(
    ("program", "way", "call"),
    [
        row
        for row in itertools.product(
            LIBRARIES,
            (
                "wrap, late",
                "connect",
                "connect_ex",
                "connect, not waiting",
                "connect_ex, not waiting",
            ),
            SENDING,
        )
        if row not in BEYOND_REACH
    ],
    indirect=["program"],
)
def test_a_peer_that_keeps_silent_hears_no_word_in_the_clear(
    program: Program, way: str, call: str
) -> None:
    """Where a library gives up in mid-handshake, what was to be TLS is no plain socket."""
    with serving(sends()) as impostor:
        program.ask("connect", way=way, address=impostor.address, timeout=A_MOMENT)
        program.ask("call", name=call)
        program.ask("close")
        report = impostor.report()
    assert report.got_nothing(), report
