"""``run_attacks``: a careful client passes, and each careless one falls to its own mistake."""

from __future__ import annotations

import asyncio
import gc
import http.client
import os
import smtplib
import ssl
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from pinsock import PinMismatchError, PinnedSocket, PinSet, create_default_context
from pinsock.testing import (
    ATTACKS,
    AttackReport,
    Result,
    Stream,
    Target,
    assert_refuses_interception,
    run_attacks,
)

from . import careless
from .careless import SECRET, WAIT

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [
    pytest.mark.kit,
    # Careless clients leave sockets for the garbage collector, which comes in any later test; what
    # the kit itself leaves is looked at below.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

VERSIONS = ("TLS 1.3", "TLS 1.2")
RIGHT = [
    *(f"the right server, {version}" for version in VERSIONS),
    "the right server after a renewal",
    "the right server with its backup key",
    "the right server, at the end",
]


def in_both(*names: str) -> set[str]:
    return {f"{name}, {version}" for name in names for version in VERSIONS}


def fallen_to(report: AttackReport) -> set[str]:
    """The attacks that succeeded; the right server was reached in all ways before and after."""
    accepted = [result.attack for result in report.results if result.outcome == "accepted"]
    assert accepted == RIGHT
    return {result.attack for result in report.failures}


def outcomes(report: AttackReport) -> dict[str, str]:
    return {result.attack: result.outcome for result in report.results}


ROGUE_KEY = "rogue key under a trusted authority"
INJECTED = "pinned leaf injected into a rogue chain"
FORGED = "forged issuer with the real authority appended"
EXPIRED = "expired but pinned"
WRONG_HOST = "wrong host but pinned"
RESUMED = "resumption into another key"
RENEGOTIATED = "renegotiation into another key, TLS 1.2"
IMPLICIT = "implicit handshake"
PROXY = "CONNECT proxy"
REDIRECT = "redirect to an unpinned host"
STARTTLS = "STARTTLS with injected bytes"
CUT = "handshake cut within each message"
RESET = "handshake reset after each message"


def careful(target: Target) -> None:
    careless.fetch(target, target.context())


def all_but(*names: str) -> list[str]:
    """Of the attacks, for ``skip=``."""
    return [name for name in ATTACKS if not any(one.startswith(name) for one in names)]


def careful_context(target: Target) -> ssl.SSLContext:
    return target.context()


# --- careful clients ------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["leaf", "chain"])
def test_a_pinned_client_refuses_all_that_it_can_be_put_through(scope: Any) -> None:
    """Every attack but the one on STARTTLS was tried, and nothing was given away."""
    report = assert_refuses_interception(careful, context=careful_context, scope=scope)
    assert fallen_to(report) == set()
    assert {name for name, outcome in outcomes(report).items() if outcome != "refused"} == {
        *RIGHT,
        STARTTLS,
    }
    assert report[STARTTLS] == Result(STARTTLS, "not applicable", note="TLS from the first byte on")
    assert all(result.connections for result in report.results if result.outcome == "refused")
    assert sum(result.application_bytes for result in report.results) == 0


def test_a_pinned_client_over_starttls_refuses_all_that_it_can_be_put_through() -> None:
    """smtplib: proxies, redirects and its context are not there to be tried, and it is said."""

    def mail(target: Target) -> None:
        with smtplib.SMTP(*target.address, timeout=WAIT) as smtp:
            smtp.starttls(context=target.context())
            smtp.sendmail("a@client.example", "b@server.example", SECRET)

    report = assert_refuses_interception(mail, starttls="smtp")
    assert fallen_to(report) == set()
    assert {
        result.attack: result.note
        for result in report.results
        if result.outcome == "not applicable"
    } == {
        IMPLICIT: "no context= was given",
        PROXY: "the client does not go through target.proxy",
        REDIRECT: "no HTTP over TLS with the server of the kit",
    }
    assert report[STARTTLS].outcome == "refused"


def test_a_clients_certificate_is_not_shown_to_an_interceptor() -> None:
    """With the early verdict nobody learns who the client is, and without it somebody does."""

    def fetch(target: Target, early: Any) -> None:
        context = target.context(client_certificate=True)
        context.early_verdict = early
        careless.fetch(target, context)

    assert fallen_to(run_attacks(lambda target: fetch(target, "require"))) == set()
    late = run_attacks(lambda target: fetch(target, "off"))
    # OpenSSL itself refuses the others before the last flight.
    assert {f"{name}, {version}" for name in (ROGUE_KEY, INJECTED) for version in VERSIONS} <= (
        fallen_to(late)
    )
    row = late[f"{ROGUE_KEY}, TLS 1.2"]
    assert (row.outcome, row.application_bytes, row.client_certificate) == ("refused", 0, True)
    assert "showed the client's certificate" in row.failure


def test_a_coroutine_function_is_a_client_too() -> None:
    """From a test with a running loop as well."""

    async def fetch(target: Target) -> None:
        reader, writer = await asyncio.open_connection(*target.address, ssl=target.context())
        writer.write(SECRET.encode("ascii"))
        assert await asyncio.wait_for(reader.readexactly(len(SECRET)), WAIT)
        writer.close()
        await writer.wait_closed()

    async def test() -> AttackReport:
        assert asyncio.get_running_loop()
        return assert_refuses_interception(fetch, skip=(CUT, RESET))

    assert fallen_to(asyncio.run(test())) == set()


PROGRAM = """
import sys
import pinsock
host, port, cafile, *pins = sys.argv[1:]
context = pinsock.create_default_context(pins, cafile=cafile)
with pinsock.create_connection((host, int(port)), pins, context=context, timeout=5) as tls:
    tls.sendall(b"hello")
    print(tls.recv(5))
"""


def test_a_program_is_a_client_too() -> None:
    """What the target has fits on a command line."""

    def run(target: Target) -> None:
        subprocess.run(
            [
                *(sys.executable, "-c", PROGRAM, target.host, str(target.port), target.cafile),
                *target.pin_texts,
            ],
            check=True,
            capture_output=True,
            timeout=30,
        )

    report = assert_refuses_interception(run, skip=(CUT, RESET, RESUMED))
    assert report[f"{ROGUE_KEY}, TLS 1.3"].note.startswith("CalledProcessError")


def test_a_url_is_enough_for_a_client() -> None:
    """For HTTP clients, with the proxy beside it."""

    def get(target: Target) -> None:
        connection = http.client.HTTPSConnection(
            *target.address, timeout=WAIT, context=target.context()
        )
        assert target.url == "https://{}:{}/".format(*target.address)
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"hello\n"
        connection.close()

    assert assert_refuses_interception(get).ok


def test_any_protocol_can_be_served() -> None:
    """A server that speaks first, and a client that has nothing to say to it."""

    def serve(stream: Stream) -> None:
        stream.sendall(b"220 who is there?\n")
        while stream.recv():
            stream.sendall(b"250 well\n")

    def listen(target: Target, context: ssl.SSLContext) -> None:
        with (
            careless.connect(target) as sock,
            context.wrap_socket(sock, server_hostname=target.host) as tls,
        ):
            assert tls.recv(64) == b"220 who is there?\n"

    report = run_attacks(lambda target: listen(target, target.context()), serve=serve)
    assert fallen_to(report) == set()
    careless_one = run_attacks(
        lambda target: listen(target, careless.plain_context(target)), serve=serve
    )
    row = careless_one[f"{ROGUE_KEY}, TLS 1.3"]
    assert (row.outcome, row.application_bytes, row.ok) == ("not refused", 0, False)


# --- careless clients: each attack is one ---------------------------------------------------------

MISTAKES: list[tuple[str, Callable[[Target], None], set[str], dict[str, Any]]] = [
    (
        "never pins",
        careless.never_pins,
        {*in_both(ROGUE_KEY, INJECTED, RESUMED, CUT, RESET), RENEGOTIATED, PROXY, REDIRECT},
        {},
    ),
    (
        "pins whatever was sent",
        careless.pins_whatever_was_sent,
        {*in_both(INJECTED), RENEGOTIATED},
        {},
    ),
    (
        "pins an authority, whatever was sent, unverified",
        careless.pins_whatever_was_sent_unverified,
        {*in_both(INJECTED, FORGED, EXPIRED, WRONG_HOST), RENEGOTIATED},
        {"scope": "chain"},
    ),
    (
        "pins instead of verifying",
        careless.pins_instead_of_verifying,
        {*in_both(EXPIRED, WRONG_HOST), RENEGOTIATED},
        {},
    ),
    ("trusts sessions", careless.TrustsSessions(), {*in_both(RESUMED), RENEGOTIATED}, {}),
    ("pins once", careless.pins_once, {RENEGOTIATED}, {}),
    ("forgets its pins at a proxy", careless.forgets_its_pins_at_a_proxy, {PROXY}, {}),
    ("forgets its pins at a redirect", careless.forgets_its_pins_at_a_redirect, {REDIRECT}, {}),
    (
        "tries again with less care",
        careless.tries_again_with_less_care,
        {*in_both(CUT, RESET), RENEGOTIATED},
        {},
    ),
    (
        "goes on in the clear",
        careless.goes_on_in_the_clear,
        {*in_both(CUT, RESET), RENEGOTIATED},
        {},
    ),
    ("asks the proxy itself", careless.asks_the_proxy_itself, {PROXY}, {}),
    (
        "ends TLS at a wrong key",
        careless.ends_tls_at_a_wrong_key,
        {*in_both(ROGUE_KEY, INJECTED, RESUMED), RENEGOTIATED, PROXY},
        {},
    ),
    (
        "mails in the clear",
        careless.mails_in_the_clear,
        {
            *in_both(ROGUE_KEY, INJECTED, FORGED, EXPIRED, WRONG_HOST, RESUMED, CUT, RESET),
            RENEGOTIATED,
            STARTTLS,
        },
        {"starttls": "smtp"},
    ),
    ("sends mail", careless.send_mail, set(), {"starttls": "smtp"}),
    (
        "keeps what came before TLS",
        careless.keeps_what_came_before_tls,
        {STARTTLS},
        {"starttls": "smtp"},
    ),
]


@pytest.mark.parametrize(
    ("client", "falls_to", "settings"),
    [mistake[1:] for mistake in MISTAKES],
    ids=[mistake[0] for mistake in MISTAKES],
)
def test_each_mistake_falls_to_its_own_attack_and_to_no_other(
    client: Callable[[Target], None], falls_to: set[str], settings: dict[str, Any]
) -> None:
    """So no attack is refused for another reason than the one that it is there for."""
    report = run_attacks(client, **settings)
    print(report)
    assert fallen_to(report) == falls_to


def test_what_is_said_in_the_clear_before_tls_is_judged() -> None:
    """To the proxy, and before STARTTLS: neither is TLS due there, nor may a secret be said."""
    secret = SECRET.encode("ascii")
    row = run_attacks(careless.asks_the_proxy_itself, skip=all_but(PROXY))[PROXY]
    assert (row.outcome, row.leaked, row.connections) == ("not refused", b"", 2)
    assert row.in_the_clear.startswith(b"GET http://")
    assert secret in row.in_the_clear
    report = run_attacks(careless.mails_in_the_clear, starttls="smtp", skip=all_but(ROGUE_KEY))
    for version in VERSIONS:
        row = report[f"{ROGUE_KEY}, {version}"]
        assert (row.outcome, row.leaked) == ("not refused", b"")
        assert row.in_the_clear == b"AUTH PLAIN %b\r\n" % secret


def test_a_client_that_logs_in_before_tls_is_found_out_at_the_right_server() -> None:
    """Whoever is in between has read it, and the attacks are tried all the same."""
    report = run_attacks(
        careless.logs_in_before_tls, starttls="smtp", skip=all_but(ROGUE_KEY, STARTTLS)
    )
    secret = SECRET.encode("ascii")
    for name in RIGHT:
        assert report[name].outcome == "not accepted"
        assert report[name].in_the_clear == b"AUTH PLAIN %b\r\n" % secret
    for name in (*in_both(ROGUE_KEY), STARTTLS):
        assert report[name].outcome == "not refused"
    with pytest.raises(AssertionError, match="this client can be intercepted:") as caught:
        assert_refuses_interception(
            careless.logs_in_before_tls, starttls="smtp", skip=all_but(ROGUE_KEY)
        )
    assert "TLS 1.3: not accepted; sent 60 bytes in the clear: b'AUTH PLAIN the s" in str(
        caught.value
    )


def test_what_is_said_in_the_clear_after_tls_has_ended_is_judged() -> None:
    """Once close_notify has come, too."""
    report = run_attacks(careless.ends_tls_at_a_wrong_key, skip=all_but(ROGUE_KEY))
    for version in VERSIONS:
        row = report[f"{ROGUE_KEY}, {version}"]
        assert (row.outcome, row.leaked) == ("not refused", b"")
        assert row.in_the_clear == SECRET.encode("ascii")


def knock(target: Target) -> None:
    """Whether the port is open."""
    careless.connect(target).close()


@pytest.mark.parametrize(
    ("client", "falls_to"),
    [
        (careful, set()),
        (careless.tries_again_with_less_care, {*in_both(CUT, RESET), RENEGOTIATED}),
        (careless.forgets_its_pins_at_a_redirect, {REDIRECT}),
    ],
)
def test_a_client_may_knock_first(client: Callable[[Target], None], falls_to: set[str]) -> None:
    """A connection on which nothing is said does not stand for the one that counts."""

    def knocks(target: Target) -> None:
        if target.proxy is None:
            knock(target)
        client(target)

    report = run_attacks(knocks)
    assert fallen_to(report) == falls_to
    assert report[REDIRECT].outcome != "not applicable"
    assert report[f"{CUT}, TLS 1.3"].connections >= 10


def test_a_client_that_only_knocks_is_no_refusal() -> None:
    """Where it breaks before TLS, the connections are counted and nothing is proved."""
    calls: list[Target] = []

    def breaks(target: Target) -> None:
        calls.append(target)
        if len(calls) > 4:
            knock(target)
            raise RuntimeError("too many failures")
        careful(target)

    report = run_attacks(breaks, skip=all_but(CUT))
    row = report[f"{CUT}, TLS 1.3"]
    assert (row.outcome, row.connections) == ("no connection", 1)


def test_a_client_that_breaks_meanwhile_is_found_out() -> None:
    """To fail for another reason looks like a refusal, but not at the right server."""
    calls: list[Target] = []

    def breaks(target: Target) -> None:
        calls.append(target)
        if len(calls) > 4:
            knock(target)
            raise ZeroDivisionError
        careless.never_pins(target)

    report = run_attacks(breaks, skip=all_but(ROGUE_KEY))
    assert [result.attack for result in report.failures] == [RIGHT[-1]]
    assert report[RIGHT[-1]].note == "ZeroDivisionError"
    calls.clear()
    with pytest.raises(AssertionError, match="this client did not come out as it must:"):
        assert_refuses_interception(breaks, skip=all_but(ROGUE_KEY))


def test_who_has_ended_before_a_renegotiation_has_not_refused_it() -> None:
    """Two ways: a server with nothing to say has no occasion, and a client can be gone too soon."""

    def say(target: Target) -> None:
        with (
            careless.connect(target) as sock,
            careless.plain_context(target).wrap_socket(sock, server_hostname=target.host) as tls,
        ):
            careless.checked(target)(tls)
            tls.sendall(SECRET.encode("ascii"))

    def listen(stream: Stream) -> None:
        while stream.recv():
            pass

    for settings in ({"serve": listen}, {}):
        row = run_attacks(say, skip=all_but(RENEGOTIATED), **settings)[RENEGOTIATED]  # type: ignore[arg-type]
        assert row.outcome == "not applicable"
        assert row.note == "the client had ended before it could be asked to"


def test_a_slow_client_that_believes_injected_bytes_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is heard out, however long it takes."""
    sendall = PinnedSocket.sendall

    def slowly(self: PinnedSocket, data: Any, flags: int = 0) -> None:
        if bytes(data).startswith(b"MAIL") and len(calls) == len(RIGHT):
            time.sleep(2.5)  # longer than anybody took to be silence
        sendall(self, data, flags)

    def client(target: Target) -> None:
        calls.append(target)
        careless.keeps_what_came_before_tls(target)

    calls: list[Target] = []
    monkeypatch.setattr(PinnedSocket, "sendall", slowly)
    row = run_attacks(client, starttls="smtp", skip=all_but(STARTTLS))[STARTTLS]
    assert row.outcome == "not refused"
    assert row.leaked.startswith(b"MAIL FROM:")


def test_a_check_in_do_handshake_falls_to_the_implicit_handshake() -> None:
    """The same context refuses where somebody calls do_handshake."""

    def client(target: Target) -> None:
        careless.fetch(target, careless.checks_in_do_handshake(target))

    report = run_attacks(client, context=careless.checks_in_do_handshake)
    assert fallen_to(report) == {IMPLICIT, RENEGOTIATED}
    assert b"/secret" in report[IMPLICIT].leaked


def test_every_attack_succeeds_with_somebody() -> None:
    """None of them is in the list for show."""
    seen = {IMPLICIT}.union(*(falls_to for _, _, falls_to, _ in MISTAKES))
    assert {attack.partition(", TLS")[0] for attack in seen} == set(ATTACKS)


def test_what_leaked_is_what_the_client_sent() -> None:
    """The bytes themselves, and bytes in the clear apart from them."""
    report = run_attacks(careless.never_pins, skip=(CUT, RESET))
    for attack in (ROGUE_KEY, INJECTED, RESUMED):
        for version in VERSIONS:
            row = report[f"{attack}, {version}"]
            assert SECRET.encode("ascii") in row.leaked
            assert row.application_bytes == len(row.leaked)
            assert row.in_the_clear == b""
            assert row.connections == (2 if attack is RESUMED else 1)
    for row in (report[PROXY], report[REDIRECT]):
        assert SECRET.encode("ascii") in row.leaked

    report = run_attacks(
        careless.goes_on_in_the_clear, skip=[name for name in ATTACKS if name != CUT]
    )
    row = report[f"{CUT}, TLS 1.3"]
    assert (row.leaked, row.outcome) == (b"", "not refused")
    assert row.in_the_clear.startswith(SECRET.encode("ascii"))


def test_every_message_of_a_handshake_is_cut_and_reset() -> None:
    """One connection for each: five of TLS 1.3 and as many of TLS 1.2 at the least."""
    report = run_attacks(careful)
    for attack in (CUT, RESET):
        for version in VERSIONS:
            assert report[f"{attack}, {version}"].connections >= 5


# --- clients that prove nothing -------------------------------------------------------------------


def test_a_client_that_refuses_everybody_is_found_out() -> None:
    """Nothing is tried with it, and nothing is called refused."""

    def broken(_: Target) -> None:
        raise ZeroDivisionError

    report = run_attacks(broken)
    assert outcomes(report) == dict.fromkeys(RIGHT[:2], "not accepted")
    assert not report.ok
    with pytest.raises(AssertionError, match="did not reach the right server") as caught:
        assert_refuses_interception(broken)
    assert "ZeroDivisionError" in str(caught.value)


def test_a_client_that_does_nothing_is_found_out() -> None:
    """To return is not to have connected."""
    report = run_attacks(lambda _: None)
    assert outcomes(report) == dict.fromkeys(RIGHT[:2], "not accepted")
    assert "had not connected" in report.results[0].note
    assert not report.ok


def test_a_client_that_stops_connecting_is_found_out() -> None:
    """To raise without a connection is no refusal."""
    tried: list[Target] = []

    def gives_up(target: Target) -> None:
        tried.append(target)
        if len(tried) > 5:
            raise RuntimeError("too many failures")
        careful(target)

    report = run_attacks(gives_up)
    assert report[f"{ROGUE_KEY}, TLS 1.3"].outcome == "refused"
    assert report[f"{ROGUE_KEY}, TLS 1.2"].outcome == "no connection"
    assert not report.ok


def test_a_client_that_refuses_every_proxy_is_found_out() -> None:
    """A good one comes before the bad one; so it is with redirects, sessions and contexts."""

    def refuses_proxies(target: Target) -> None:
        if target.proxy is not None:
            careless.connect(target).close()
            raise RuntimeError("no proxies")
        careful(target)

    others = [name for name in ATTACKS if name not in {PROXY, IMPLICIT}]
    report = run_attacks(
        refuses_proxies, skip=others, context=lambda _: ssl.create_default_context()
    )
    assert [(result.attack, result.outcome) for result in report.failures] == [
        (IMPLICIT, "not accepted"),
        (PROXY, "not accepted"),
    ]
    assert report[PROXY].note == "the right server was not reached: RuntimeError: no proxies"
    assert "verify failed" in report[IMPLICIT].note


def test_a_client_without_the_backup_pin_is_found_out() -> None:
    """A renewal and a change to the backup key must not lock it out."""

    def forgets_the_backup(target: Target) -> None:
        pins = PinSet(target.pins.pins, backup=None)
        careless.fetch(target, create_default_context(pins, cafile=target.cafile))

    report = run_attacks(forgets_the_backup)
    assert [result.attack for result in report.failures] == [RIGHT[3]]
    with pytest.raises(AssertionError, match="this client did not come out as it must:"):
        assert_refuses_interception(forgets_the_backup, skip=ATTACKS)


def test_a_client_of_one_version_is_put_through_that_one() -> None:
    """The other is not applicable, and never refused."""

    def modern(target: Target) -> None:
        context = target.context()
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        careless.fetch(target, context)

    report = assert_refuses_interception(modern)
    for attack in (ROGUE_KEY, EXPIRED, CUT):
        assert report[f"{attack}, TLS 1.3"].outcome == "refused"
        assert report[f"{attack}, TLS 1.2"].outcome == "not applicable"
    assert report[RENEGOTIATED].outcome == "not applicable"
    assert report["the right server, TLS 1.2"].outcome == "not applicable"


@pytest.mark.parametrize("error", [TimeoutError, careless.CarelessError])
def test_to_fail_in_one_version_is_not_to_lack_it(error: type[Exception]) -> None:
    """Else half of the attacks would be left out, and the rest be well."""

    def fails(target: Target) -> None:
        if error is careless.CarelessError:
            careless.looks_at_the_version_last(target)
        calls.append(target)
        if len(calls) == 2:
            raise error
        careful(target)

    calls: list[Target] = []
    report = run_attacks(fails, skip=all_but(ROGUE_KEY))
    assert report["the right server, TLS 1.2"].outcome == "not accepted"
    assert not report.ok


def test_a_client_that_hangs_is_an_error_in_bounded_time() -> None:
    """Threads that are left behind do not hold the interpreter."""
    stop = threading.Event()
    with pytest.raises(TimeoutError, match=r"neither returned nor raised in 0\.3 seconds"):
        run_attacks(lambda _: stop.wait(WAIT), timeout=0.1)
    stop.set()


def test_an_exit_status_is_a_refusal() -> None:
    """A program's main() ends so."""

    def main(target: Target) -> None:
        try:
            careful(target)
        except OSError as error:
            sys.exit(str(error))
        sys.exit(0)

    assert assert_refuses_interception(main, skip=(CUT, RESET)).ok


@pytest.mark.parametrize("client", [careful, careless.never_pins, careless.goes_on_in_the_clear])
def test_nothing_is_left_behind(client: Callable[[Target], None]) -> None:
    """No thread, no socket and no file, whatever became of the client."""

    def held() -> tuple[set[threading.Thread], int]:
        gc.collect()
        return set(threading.enumerate()), len(os.listdir("/dev/fd"))

    before = held()
    run_attacks(client)
    assert held() == before


# --- the table ------------------------------------------------------------------------------------


def test_the_failure_says_what_leaked() -> None:
    """In a sentence for each attack, with the table under it."""
    with pytest.raises(AssertionError) as caught:
        assert_refuses_interception(careless.never_pins, skip=(CUT, RESET))
    text = str(caught.value)
    first, _, table = text.partition("\n\n")
    assert first.startswith("this client can be intercepted:\n")
    assert f"  {ROGUE_KEY}, TLS 1.3: not refused; leaked " in first
    assert "application bytes: b'GET / HTTP/1.1" in first
    assert table.splitlines()[0].split()[:2] == ["attack", "outcome"]
    assert len(table.splitlines()) == 1 + len(run_attacks(careful).results)


def test_the_table_has_a_row_for_each_result() -> None:
    """With its figures, in columns; what is not applicable has none."""
    report = AttackReport(
        (
            Result("one", "refused", connections=2, note="OSError: no\nmore"),
            Result("the second", "not refused", 1, leaked=b"abc", client_certificate=True),
            Result("third", "not applicable", note="no"),
        )
    )
    assert str(report).splitlines() == [
        "attack      outcome         leaked  in the clear  certificate  connections",
        "one         refused              0             0           no            2  OSError: no",
        "the second  not refused          3             0        shown            1",
        "third       not applicable       -             -            -            -  no",
    ]
    with pytest.raises(KeyError):
        report["fourth"]
    assert [result.attack for result in report.failures] == ["the second"]
    assert not report.ok  # nobody was accepted
    assert not AttackReport(()).ok


def test_what_is_left_out_is_said_and_what_does_not_exist_is_an_error() -> None:
    """A name that is misspelt leaves nothing out."""
    report = run_attacks(careful, skip=[name for name in ATTACKS if name != PROXY])
    assert report[REDIRECT] == Result(REDIRECT, "not applicable", note="left out by skip=")
    assert report[PROXY].outcome == "refused"
    with pytest.raises(ValueError, match=r"'rogue'.*no such attacks"):
        run_attacks(careful, skip=["rogue"])
    with pytest.raises(ValueError, match=r"starttls='gopher'.*smtp"):
        run_attacks(careful, starttls="gopher")  # type: ignore[arg-type]


def test_the_error_that_the_client_raised_is_pinsocks() -> None:
    """What is refused for its key is refused by the pins, and the rest by verification."""
    raised: list[type[BaseException]] = []

    def note(target: Target) -> None:
        try:
            careful(target)
        except BaseException as error:
            raised.append(type(error))
            raise

    names = (ROGUE_KEY, INJECTED, FORGED, EXPIRED, WRONG_HOST)
    run_attacks(note, skip=[name for name in ATTACKS if name not in names])
    assert raised == [PinMismatchError] * 4 + [ssl.SSLCertVerificationError] * 6
