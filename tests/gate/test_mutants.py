"""What mutation testing found to be held by no other test of the gate (``tests.mutation``)."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

import pytest
from support.contexts import TLS_1_2, client, server
from support.impostor import HOST, SECRET
from support.wire import Wire

from pinsock import Outcome, PinMismatchError, PinPolicy, PinSet, pin_context

if TYPE_CHECKING:
    from .meetings import People


def test_the_early_look_refuses_in_the_very_call_that_saw_the_leaf(people: People) -> None:
    """Not in the next one, for which the peer would first have to say something."""
    ours = pin_context(client(people.authority, TLS_1_2), PinSet(people.good.pin, None))
    with Wire(ours, server(people.bad, TLS_1_2)) as wire:
        with pytest.raises(ssl.SSLWantReadError):
            wire.near.do_handshake()
        wire.carry()
        with pytest.raises(PinMismatchError):
            wire.near.do_handshake()
        assert wire.is_dead()
        assert wire.finish().got_nothing()


def test_a_policy_that_lets_other_hosts_pass_still_looks_up_the_chain(people: People) -> None:
    """The authority's pin matches under chain scope, and is of no use under leaf scope."""
    for scope, matches in (("chain", True), ("leaf", False)):
        policy = PinPolicy(
            {HOST: PinSet(people.authority.pin, None, scope=scope)}, unlisted="allow"
        )
        ours = pin_context(client(people.authority), policy)
        with Wire(ours, server(people.good)) as wire:
            if matches:
                wire.do(lambda wire=wire: wire.near.write(SECRET))  # type: ignore[misc]
                assert wire.finish().application == SECRET
                assert wire.near.pin_verdict.outcome is Outcome.MATCHED
                assert wire.near.pin_verdict.pin == people.authority.pin
            else:
                with pytest.raises(PinMismatchError):
                    wire.do(wire.near.do_handshake)
                assert wire.finish().got_nothing()


def test_a_set_of_pins_takes_a_name_that_no_policy_would(people: People) -> None:
    """What the certificate has to say about it is not pinsock's affair."""
    ours = client(people.authority)
    ours.check_hostname = False
    pinned = pin_context(ours, PinSet(people.good.pin, None))
    with Wire(pinned, server(people.good), host="Not a host") as wire:
        wire.do(lambda: wire.near.write(SECRET))
        assert wire.finish().application == SECRET
        assert wire.near.pin_verdict.host == "Not a host"


def test_of_a_host_that_is_not_listed_the_leaf_alone_was_looked_at(people: People) -> None:
    """The verdict says so: there was nothing to look for higher up."""
    policy = PinPolicy({"another.example": PinSet(people.good.pin, None)}, unlisted="allow")
    ours = pin_context(client(people.authority), policy)
    with Wire(ours, server(people.good)) as wire:
        wire.do(lambda: wire.near.write(SECRET))
        assert wire.finish().application == SECRET
        assert wire.near.pin_verdict.outcome is Outcome.UNLISTED
        assert wire.near.pin_verdict.chain_pins == (people.good.pin,)


def test_a_connection_is_in_flight_within_its_handshake_alone(people: People) -> None:
    """One whose end was interrupted must not be taken for one that a handler has interrupted."""
    within: list[bool] = []
    ours = pin_context(
        client(people.authority),
        PinSet(people.good.pin, None),
        on_verdict=lambda _: within.append(gate.is_in_flight()),
    )
    with Wire(ours, server(people.good)) as wire:
        gate = wire.near._sslobj
        assert not gate.is_in_flight()
        wire.do(wire.near.do_handshake)
        assert not gate.is_in_flight()
    assert within == [True]


def test_the_host_of_a_verdict_is_as_policies_and_records_compare_it(people: People) -> None:
    """In small letters, and without the dot of the root (RFC 1034, section 3.1)."""
    ours = client(people.authority)
    ours.check_hostname = False
    pinned = pin_context(ours, PinSet(people.good.pin, None))
    for host in (HOST + ".", HOST.upper(), HOST):
        with Wire(pinned, server(people.good), host=host) as wire:
            wire.do(wire.near.do_handshake)
            assert wire.near.pin_verdict.host == HOST


def test_unwrap_shakes_hands_first_and_gives_the_socket_back(people: People) -> None:
    """Where it is the first call of all."""
    ours = pin_context(client(people.authority), PinSet(people.good.pin, None))
    with Wire(ours, server(people.good), over="socket", banner=b"") as wire:
        plain = wire.do(wire.near.unwrap)
        assert wire.near.pin_verdict.outcome is Outcome.MATCHED
        assert plain is wire.near
        plain.sendall(b"in the clear")
        assert wire.finish().plaintext == b"in the clear"


def test_what_a_refused_peer_says_later_is_read_by_nobody(people: People) -> None:
    """Not even by somebody who takes the socket for a plain one."""
    ours = pin_context(client(people.authority), PinSet(people.good.pin, None))
    with Wire(ours, server(people.bad), over="socket") as wire:
        with pytest.raises(PinMismatchError):
            wire.do(wire.near.do_handshake)
        with pytest.raises(BrokenPipeError):
            wire.say(b"later")
        assert socket.socket.recv(wire.near, 100) == b""
