"""gevent and eventlet: what an impostor learns of a client on their sockets.

Each is met twice: patched into the standard library before pinsock is imported; and as itself, one
of our contexts in its own socket class.
"""

from __future__ import annotations

import json
import selectors
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.contexts import VERSIONS
from support.impostor import BANNER, HOST, SECRET, WAIT, serving

from .witness import SCENES, Trouble, Witness, hellos, words

if TYPE_CHECKING:
    import ssl

    from cryptography import x509

    from pinsock._throwaway import Authority, Credential

Talk = Callable[..., str]
#: What is run before anything else is imported.
LIBRARIES = {
    "gevent": "",
    "gevent, patched": "from gevent import monkey; monkey.patch_all()",
    "eventlet": "",
    "eventlet, patched": "import eventlet; eventlet.monkey_patch()",
}
RUN = "import runpy, sys; runpy.run_path(sys.argv[1])"
PROGRAM = Path(__file__).with_name("green_client.py")

WAYS = ("wrap", "wrap, deferred", "connected later")

each_way = pytest.mark.parametrize("way", WAYS)
each_version = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)


@pytest.fixture(scope="module", params=LIBRARIES)
def talk(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    authority: Authority,
    good: Credential,
    me: Credential,
) -> Iterator[Talk]:
    """Have green_client.py connect: what came back, or the name of what was raised."""
    path = me.write(tmp_path_factory.mktemp("green") / "me.pem")
    process = subprocess.Popen(
        # eventlet warns of its age.
        [
            *(sys.executable, "-P", "-W", "ignore"),
            *("-c", f"{LIBRARIES[request.param]}\n{RUN}", PROGRAM, request.param),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def tell(**order: object) -> None:
        print(json.dumps(order), file=process.stdin, flush=True)

    def ask(**order: object) -> str:
        tell(**order)
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            assert selector.select(WAIT), "the program does not answer"
        answer: str = json.loads(process.stdout.readline())
        return answer

    with process:
        try:
            tell(
                host=HOST,
                cadata=authority.pem,
                pin=str(good.pin),
                credential=str(path),
                secret=SECRET.decode("ascii"),
            )
            yield ask
        finally:
            process.kill()


@each_way
@pytest.mark.parametrize(
    ("trouble", "version"), SCENES, ids=lambda value: getattr(value, "name", value)
)
def test_an_impostor_hears_the_hello_and_nothing_else(
    *,
    talk: Talk,
    authority: Authority,
    bad: Credential,
    ballast: tuple[x509.Certificate, ...],
    way: str,
    trouble: Trouble,
    version: ssl.TLSVersion,
) -> None:
    """The refusal is the verdict, and the certificate stays here."""
    impostor = Witness(bad, authority, version, trouble, ballast)
    with serving(impostor) as peer:
        answer = talk(way=way, early="require", address=peer.address)
        report = peer.report()
    assert answer == "PinMismatchError"
    assert words(report.raw) == hellos(trouble, version)
    assert set(impostor.messages) == {"CLIENT_HELLO"}
    assert report.certificate is None


@each_way
@each_version
def test_without_the_early_verdict_the_impostor_has_the_certificate(
    *,
    talk: Talk,
    authority: Authority,
    bad: Credential,
    me: Credential,
    way: str,
    version: ssl.TLSVersion,
) -> None:
    """The same programs would have shown it."""
    with serving(Witness(bad, authority, version)) as peer:
        answer = talk(way=way, early="off", address=peer.address)
        report = peer.report()
    assert answer == "PinMismatchError"
    assert report.certificate == me.der
    assert not report.application


@each_way
@each_version
def test_the_pinned_server_gets_the_certificate_and_the_secret(
    *,
    talk: Talk,
    authority: Authority,
    good: Credential,
    me: Credential,
    way: str,
    version: ssl.TLSVersion,
) -> None:
    """With the right key all is as before."""
    with serving(Witness(good, authority, version)) as peer:
        answer = talk(way=way, early="require", address=peer.address)
        report = peer.report()
    assert answer == BANNER.decode("ascii")
    assert report.certificate == me.der
    assert report.application == SECRET
