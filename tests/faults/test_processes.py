"""A process that forks, and one that ends, with pinned connections open."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from support.contexts import server
from support.impostor import BANNER, HOST, SECRET, WAIT, over_tls, sends, serving

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from support.impostor import Conversation, Report

    from pinsock._throwaway import Authority, Credential

#: Seconds for a whole program.
LIMIT = 60.0
CHILDS_LIMIT = 20
CHILDREN = 6

BEGIN = f"""
import faulthandler, gc, logging, os, signal, socket, ssl, sys, threading, time
import pinsock

logging.disable()  # a refusal is logged, and here nothing else may be said
HOST, SECRET = {HOST!r}, {SECRET!r}
authority, credential, pin, *ports = sys.argv[1:]
context = pinsock.create_default_context(pinsock.PinSet(pin, None), cafile=authority)
context.load_cert_chain(credential)  # so that the early look is taken
children_are_there = threading.Event()


def connect(port, **settings):
    sock = socket.create_connection(("127.0.0.1", int(port)), 20)
    return context.wrap_socket(sock, server_hostname=HOST, **settings)
"""


class Program:
    """Runs programs that begin with BEGIN."""

    def __init__(self, folder: Path, authority: Authority, credential: Credential) -> None:
        self._authority = folder / "authority.pem"
        self._authority.write_text(authority.pem, encoding="ascii")
        self._credential = credential.write(folder / "credential.pem")
        self._pin = str(credential.pin)

    def run(self, program: str, *ports: int) -> None:
        """It ends by itself, well and in silence."""
        files = str(self._authority), str(self._credential)
        ended = subprocess.run(
            [sys.executable, "-c", BEGIN + program, *files, self._pin, *map(str, ports)],
            env=dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path))),
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        assert (ended.stdout, ended.stderr, ended.returncode) == ("", "", 0)


@pytest.fixture
def program(tmp_path: Path, authority: Authority, good: Credential) -> Program:
    return Program(tmp_path, authority, good)


FORKS = f"""
right, wrong = ports


def meet():
    with connect(right) as tls:
        tls.sendall(SECRET)
    try:
        connect(wrong)
    except pinsock.PinMismatchError:
        return
    raise SystemExit("the wrong key was let in")


children = []
for _ in range({CHILDREN}):
    child = os.fork()
    if not child:
        signal.alarm({CHILDS_LIMIT})  # nobody else would end it
        try:
            meet()
        except BaseException as error:
            os.write(2, repr(error).encode())
        finally:
            os._exit(0)
    children.append(child)
children_are_there.set()
meet()
for child in children:
    assert os.waitpid(child, 0)[1] == 0
"""

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")


@forks
def test_a_context_serves_every_process_after_a_fork(
    program: Program, good: Credential, bad: Credential
) -> None:
    """Parent and children connect with it; the right key gets the secret, the wrong one nothing."""
    with serving(server(good)) as pinned, serving(server(bad)) as impostor:
        program.run(FORKS, pinned.address[1], impostor.address[1])
        for _ in range(CHILDREN + 1):
            assert pinned.report().application == SECRET
            assert impostor.report().got_nothing()


#: Before FORKS: another thread has each lock of the library, and lets go once there are children.
HOLDS = """
import warnings
from pinsock import _early, _verify

warnings.simplefilter("ignore", DeprecationWarning)  # Python's own, of forks in such programs
has_them = threading.Event()


def hold():
    with _early._lock, _verify._warnings_lock:
        has_them.set()
        children_are_there.wait(20)


threading.Thread(target=hold, daemon=True).start()
has_them.wait(20)
"""


@forks
def test_a_fork_leaves_the_child_no_lock_that_another_thread_has(
    program: Program, good: Credential, bad: Credential
) -> None:
    """In the child nobody would let it go.  (OpenSSL has locks of its own: fork before threads.)"""
    with serving(server(good)) as pinned, serving(server(bad)) as impostor:
        program.run(HOLDS + FORKS, pinned.address[1], impostor.address[1])
        for _ in range(CHILDREN + 1):
            assert pinned.report().application == SECRET
            assert impostor.report().got_nothing()


#: Before FORKS: another thread is in the middle of its handshake, and is watched.
UNDER_WAY = """
import warnings

warnings.simplefilter("ignore", DeprecationWarning)  # Python's own, of forks in such programs
listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
threading.Thread(target=connect, args=[port], daemon=True).start()
there = listener.accept()[0]
assert there.recv(1) == b"\\x16"  # the first byte of its ClientHello
"""


@forks
def test_a_handshake_of_another_thread_is_no_matter_of_the_childs(
    program: Program, good: Credential, bad: Credential
) -> None:
    """In the child nobody uses that connection; others are made and judged as ever."""
    with serving(server(good)) as pinned, serving(server(bad)) as impostor:
        program.run(UNDER_WAY + FORKS, pinned.address[1], impostor.address[1])
        for _ in range(CHILDREN + 1):
            assert pinned.report().application == SECRET
            assert impostor.report().got_nothing()


#: One process goes on with a connection, and the other lets go of its half.
HANDED_OVER = f"""
right, wrong, start = ports


def may_answer():
    socket.create_connection(("127.0.0.1", int(start)), 20).close()


def opened(port):
    may_answer()
    return connect(port)


def begun(port):
    sock = connect(port, do_handshake_on_connect=False)
    sock.setblocking(False)
    try:
        sock.do_handshake()
    except ssl.SSLWantReadError:
        sock.settimeout(20)
        return sock
    raise SystemExit("the server did answer")


def say(sock):
    sock.sendall(SECRET)
    assert sock.recv({len(BANNER)}) == {BANNER!r}
    sock.unwrap().close()


def be_refused(sock):
    for _ in range(2):
        try:
            sock.sendall(SECRET)
        except pinsock.PinMismatchError:
            continue
        raise SystemExit("the wrong key was let in")
    sock.close()


for begin, port, go_on in [(opened, right, say), (begun, right, say), (begun, wrong, be_refused)]:
    for parent_goes_on in (True, False):
        sock = begin(port)
        child = os.fork()
        if not child:
            signal.alarm({CHILDS_LIMIT})
        if bool(child) is parent_goes_on:
            if child:  # which has ended with all that it had open
                assert os.waitpid(child, 0)[1] == 0
            if begin is begun:
                may_answer()
            go_on(sock)
        else:
            sock.close()
        if not child:
            sys.exit()
        if not parent_goes_on:
            assert os.waitpid(child, 0)[1] == 0
"""


@forks
def test_a_forked_connection_is_of_use_to_one_process_and_the_others_end_does_it_no_harm(
    program: Program, good: Credential, bad: Credential
) -> None:
    """An open one, and one in mid-handshake: there the wrong key is refused all the same."""
    may_answer = threading.Semaphore(0)

    def answers(credential: Credential) -> Conversation:
        def converse(sock: socket.socket, report: Report) -> None:
            assert may_answer.acquire(timeout=WAIT)
            over_tls(server(credential))(sock, report)

        return converse

    with (
        serving(answers(good)) as pinned,
        serving(answers(bad)) as impostor,
        serving(lambda *_: may_answer.release()) as start,
    ):
        program.run(HANDED_OVER, *(peer.address[1] for peer in (pinned, impostor, start)))
        for _ in range(4):
            report = pinned.report()
            assert (report.application, report.plaintext) == (SECRET, b"")
        for _ in range(2):
            assert impostor.report().got_nothing()


#: What a program may have open when it ends; ``right``, ``wrong`` and ``silent`` are ports.
LEFT_OPEN = {
    "a connection": "left = connect(right); left.sendall(SECRET)",
    "a connection that was not shaken hands over": (
        "left = connect(right, do_handshake_on_connect=False)"
    ),
    "a handshake in the middle": (
        "left = connect(silent, do_handshake_on_connect=False); left.setblocking(False)\n"
        "try:\n    left.do_handshake()\nexcept ssl.SSLWantReadError:\n    pass"
    ),
    "a refused connection": (
        "left = connect(wrong, do_handshake_on_connect=False)\n"
        "try:\n    left.do_handshake()\nexcept pinsock.PinMismatchError as error:\n    kept = error"
    ),
    "a socket that waits for connect()": (
        "left = context.wrap_socket(socket.socket(), server_hostname=HOST)"
    ),
    "a reference cycle": (
        "left = connect(right, do_handshake_on_connect=False); left.self = left; gc.disable()"
    ),
    "a daemon thread in its handshake": (
        "at = socket.create_server(('127.0.0.1', 0))\n"
        "port = at.getsockname()[1]\n"
        "threading.Thread(target=connect, args=[port], daemon=True).start()\n"
        "there = at.accept()[0]; there.recv(1)"  # the first byte of its ClientHello
    ),
    "a daemon thread that reads": (
        "left = connect(right)\nthreading.Thread(target=left.recv, args=[100], daemon=True).start()"
    ),
    "an object over BIOs": (
        "left = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=HOST)\n"
        "try:\n    left.do_handshake()\nexcept ssl.SSLWantReadError:\n    pass"
    ),
    "a transport of asyncio's": (
        "import asyncio\n"
        "loop = asyncio.new_event_loop()\n"
        "left = loop.run_until_complete(asyncio.open_connection("
        "'127.0.0.1', int(right), ssl=context, server_hostname=HOST))"
    ),
}

ENDS = """
right, wrong, silent = ports
"""


@pytest.mark.parametrize("left", LEFT_OPEN)
def test_a_program_ends_in_silence_with_connections_open(
    program: Program, good: Credential, bad: Credential, left: str
) -> None:
    """Whatever is taken down first, nothing complains, nothing hangs, and nothing is sent."""
    secret = SECRET if left == "a connection" else b""
    with (
        serving(server(good)) as pinned,
        serving(server(bad)) as impostor,
        serving(sends()) as silent,
    ):
        ports = [peer.address[1] for peer in (pinned, impostor, silent)]
        program.run(ENDS + LEFT_OPEN[left], *ports)
        peers = {"right": pinned, "wrong": impostor, "silent": silent}
        met = [peer for name, peer in peers.items() if name in LEFT_OPEN[left]]
        for peer in met:
            report = peer.report()
            assert (report.application, report.plaintext) == (secret, b"")
