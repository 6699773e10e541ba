"""With the right pin a client that has a certificate works as before.

The ways to connect are in test_impostors; here is what else a context can do, and what is left on
it afterwards.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import pytest
from support.contexts import TLS_1_2, VERSIONS, server
from support.impostor import BANNER, HOST, SECRET, WAIT, resets, sends, serving
from support.wire import Wire

from pinsock import PinMismatchError, PinnedContext, PinSet, PinVerificationError, _early
from pinsock._throwaway import Authority, Credential

from .ways import SOCKETS, WAYS, Recorder, callback_of
from .witness import Witness, message_name, talk, words

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography import x509

Over = Literal["bio", "socket"]

each_over = pytest.mark.parametrize("over", ["bio", "socket"])
each_version = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
each_end = pytest.mark.parametrize("right", [True, False], ids=["right key", "wrong key"])

#: SSL_OP_ENABLE_KTLS, which Python names since 3.12.
KTLS = getattr(ssl, "OP_ENABLE_KTLS", 1 << 3)


def ours_is_clean(context: PinnedContext) -> bool:
    """Whether nothing of a handshake is left on the context, or anywhere."""
    return callback_of(context) is None and not _early._in_flight


# --- what a context can do ------------------------------------------------------------------------


@each_over
@each_version
def test_alpn_and_sni_go_on_working(
    ours: PinnedContext, authority: Authority, good: Credential, over: Over, version: ssl.TLSVersion
) -> None:
    """The server hears the name, and both agree on a protocol."""
    peer = Witness(good, authority, version)
    names: list[str | None] = []
    peer.context.sni_callback = lambda _, name, __: names.append(name)
    peer.context.set_alpn_protocols(["h2", "http/1.1"])
    ours.set_alpn_protocols(["http/1.1"])
    with Wire(ours, peer.context, over=over) as wire:
        wire.do(wire.near.do_handshake)
        assert wire.near.selected_alpn_protocol() == "http/1.1"
    assert names == [HOST]


@each_over
@each_version
def test_the_key_log_goes_on_working(
    *,
    ours: PinnedContext,
    authority: Authority,
    good: Credential,
    tmp_path: Path,
    over: Over,
    version: ssl.TLSVersion,
) -> None:
    """It has the secrets of the connection."""
    ours.keylog_filename = str(tmp_path / "keys")
    talk(ours, Witness(good, authority, version), over)
    label = "CLIENT_RANDOM" if version is TLS_1_2 else "CLIENT_TRAFFIC_SECRET_0"
    assert label in (tmp_path / "keys").read_text()


@pytest.mark.parametrize("way", SOCKETS)
@each_version
def test_tls_in_the_kernel_may_be_asked_for(
    *,
    ours: PinnedContext,
    authority: Authority,
    good: Credential,
    me: Credential,
    way: str,
    version: ssl.TLSVersion,
) -> None:
    """Whether there is any or not."""
    ours.options |= KTLS
    with serving(Witness(good, authority, version)) as peer:
        assert SOCKETS[way](ours, peer.address) == BANNER
        report = peer.report()
    assert (report.application, report.certificate) == (SECRET, me.der)


@pytest.mark.parametrize("way", WAYS)
@each_version
def test_a_client_flight_of_60_kb_arrives(
    *,
    ours: PinnedContext,
    authority: Authority,
    good: Credential,
    me: Credential,
    ballast: tuple[x509.Certificate, ...],
    way: str,
    version: ssl.TLSVersion,
) -> None:
    """More than a socket may take at once."""
    Credential(me.certificate, me.key, ballast).load_into(ours)
    with serving(Witness(good, authority, version, "64 kB chain", ballast)) as peer:
        assert WAYS[way](ours, peer.address) == BANNER
        report = peer.report()
    assert len(report.raw) > 65_536
    assert (report.application, report.certificate) == (SECRET, me.der)


@pytest.mark.parametrize("way", WAYS)
@each_version
def test_a_client_flight_of_60_kb_stays_here(
    *,
    ours: PinnedContext,
    authority: Authority,
    bad: Credential,
    me: Credential,
    ballast: tuple[x509.Certificate, ...],
    way: str,
    version: ssl.TLSVersion,
) -> None:
    """More than OpenSSL keeps before it writes."""
    Credential(me.certificate, me.key, ballast).load_into(ours)
    with serving(Witness(bad, authority, version, "64 kB chain", ballast)) as peer:
        with pytest.raises(PinMismatchError):
            WAYS[way](ours, peer.address)
        assert words(peer.report().raw) == ["ClientHello"]


# --- the message callback -------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before the wrap", "before the handshake", "after it"])
@each_version
def test_a_callback_of_somebody_else_is_left_alone(
    ours: Any, authority: Authority, good: Credential, when: str, version: ssl.TLSVersion
) -> None:
    """It stays where it was put, and hears what it would have heard."""
    heard: list[str] = []

    def listen(*arguments: Any) -> None:
        heard.append(message_name(arguments[4]))

    peer = Witness(good, authority, version)
    if when == "before the wrap":
        ours._msg_callback = listen
    with Wire(ours, peer.context, over="socket") as wire:
        if when == "before the handshake":
            ours._msg_callback = listen
        wire.do(wire.near.do_handshake)
        if when == "after it":
            ours._msg_callback = listen
        wire.near.write(SECRET)
        wire.do(lambda: wire.near.read(100))
        assert wire.finish().application == SECRET
    assert ours._msg_callback is listen
    assert ("CERTIFICATE" in heard) == (when != "after it")
    assert heard


@pytest.mark.parametrize("way", WAYS)
@each_end
def test_no_callback_is_left_after_a_handshake(
    *,
    ours: PinnedContext,
    authority: Authority,
    good: Credential,
    bad: Credential,
    way: str,
    right: bool,
) -> None:
    """Whether it was accepted or refused: it would cost something on each record."""
    with serving(Witness(good if right else bad, authority)) as peer:
        try:
            WAYS[way](ours, peer.address)
        except PinMismatchError:
            assert not right
        peer.report()
    assert ours_is_clean(ours)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """What is set as the message callback, of any context."""
    recorder = Recorder()
    monkeypatch.setattr(_early, "_callback", recorder)
    return recorder


@pytest.mark.parametrize("way", WAYS)
def test_a_callback_is_set_over_sockets_alone(
    ours: PinnedContext, authority: Authority, good: Credential, recorder: Recorder, way: str
) -> None:
    """Over BIOs the flight is held back by itself."""
    with serving(Witness(good, authority)) as peer:
        assert WAYS[way](ours, peer.address) == BANNER
        peer.report()
    assert (_early._on_message in recorder.was_set) == (way in SOCKETS)


@pytest.mark.parametrize("way", WAYS)
def test_without_a_client_certificate_there_is_none(
    authority: Authority, good: Credential, pins: PinSet, recorder: Recorder, way: str
) -> None:
    """There is nothing to hold back, so nothing is paid for."""
    context = PinnedContext(pins=pins)
    context.load_verify_locations(cadata=authority.pem)
    with serving(server(good)) as peer:
        assert WAYS[way](context, peer.address) == BANNER
        peer.report()
    assert recorder.was_set == []


Failure = Callable[[PinnedContext, tuple[str, int]], None]


def fails(context: PinnedContext, address: tuple[str, int]) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        SOCKETS["with a timeout"](context, address)


def times_out(context: PinnedContext, address: tuple[str, int]) -> None:
    with socket.create_connection(address, WAIT) as sock:
        tls = context.wrap_socket(sock, do_handshake_on_connect=False, server_hostname=HOST)
        with tls:
            tls.settimeout(0.01)
            with pytest.raises(TimeoutError):
                tls.do_handshake()
            assert ours_is_clean(context)
            with pytest.raises(TimeoutError):
                tls.recv(1)


def is_abandoned(context: PinnedContext, address: tuple[str, int]) -> None:
    with socket.create_connection(address, WAIT) as sock:
        tls = context.wrap_socket(sock, do_handshake_on_connect=False, server_hostname=HOST)
        tls.setblocking(False)
        with tls, pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()


@pytest.mark.parametrize(
    ("converse", "happens"),
    [(resets, fails), (sends(b"no TLS"), fails), (sends(), times_out), (sends(), is_abandoned)],
    ids=["reset", "no TLS", "time out", "abandoned"],
)
def test_no_callback_is_left_after_a_handshake_that_failed(
    ours: PinnedContext, converse: Any, happens: Failure
) -> None:
    """However it came to its end, or to none; and the next one is watched again."""
    with serving(converse) as peer:
        happens(ours, peer.address)
        peer.report()
    assert ours_is_clean(ours)


# --- many at once ---------------------------------------------------------------------------------


@each_version
def test_eight_threads_shake_hands_in_one_context_while_others_write(
    *,
    ours: PinnedContext,
    authority: Authority,
    good: Credential,
    bad: Credential,
    me: Credential,
    version: ssl.TLSVersion,
) -> None:
    """Half of them meet an impostor: each is told about its own peer and about no other's."""
    times, writers = 6, 2
    begin = threading.Barrier(8 + writers)
    done = threading.Event()
    wrong: list[object] = []

    def meet(right: bool) -> None:
        with serving(Witness(good if right else bad, authority, version)) as peer:
            begin.wait(WAIT)
            for number in range(times):
                way = list(SOCKETS.values())[number % len(SOCKETS)]
                try:
                    way(ours, peer.address)
                except PinMismatchError:
                    came = False
                else:
                    came = True
                report = peer.report()
                shown = report.certificate == me.der
                if not came == shown == (report.application == SECRET) == right:
                    wrong.append((right, came, shown))
                if not right and words(report.raw) != ["ClientHello"]:
                    wrong.append(words(report.raw))

    def write() -> None:
        with Wire(ours, Witness(good, authority, version).context, over="socket") as wire:
            wire.do(wire.near.do_handshake)
            begin.wait(WAIT)
            count = 0
            while not done.is_set():
                wire.near.write(bytes(64))
                count += 64
                wire.carry()
            if wire.report.application != bytes(count) or not count:
                wrong.append("written otherwise")

    def noting(work: Callable[..., None], *arguments: bool) -> None:
        try:
            work(*arguments)
        except BaseException as error:
            wrong.append(error)
            begin.abort()

    meetings = [
        threading.Thread(target=noting, args=(meet, number % 2 == 0)) for number in range(8)
    ]
    writing = [threading.Thread(target=noting, args=(write,)) for _ in range(writers)]
    for thread in meetings + writing:
        thread.start()
    for thread in meetings:
        thread.join(2 * WAIT)
    done.set()
    for thread in writing:
        thread.join(WAIT)
    assert not any(thread.is_alive() for thread in meetings + writing)
    assert wrong == []
    assert ours_is_clean(ours)


# --- afterwards -----------------------------------------------------------------------------------

NEXT: dict[str, Callable[[Any], object]] = {
    "do_handshake": lambda near: near.do_handshake(),
    "write": lambda near: near.write(SECRET),
    "read": lambda near: near.read(100),
    "unwrap": lambda near: near.unwrap(),
}


@each_over
@each_version
@pytest.mark.parametrize("first", NEXT)
def test_every_call_after_an_early_refusal_raises_again(
    *,
    ours: PinnedContext,
    authority: Authority,
    bad: Credential,
    over: Over,
    version: ssl.TLSVersion,
    first: str,
) -> None:
    """The same refusal in a new error, and never the broken connection that it left behind."""
    with Wire(ours, Witness(bad, authority, version).context, over=over) as wire:
        errors = []
        for call in (NEXT[first], *NEXT.values()):
            with pytest.raises(PinMismatchError) as caught:
                wire.do(lambda call=call: call(wire.near))  # type: ignore[misc]
            errors.append(caught.value)
        assert wire.is_dead()
        assert words(wire.finish().raw) == ["ClientHello"]
        assert wire.near.pin_verdict is errors[0].verdict
    assert len({id(error) for error in errors}) == len(errors)
    assert len({repr(error) for error in errors}) == 1
    assert errors[0].__context__ is None or errors[0].__suppress_context__
    assert isinstance(errors[0], PinVerificationError)
