"""What mutation testing found to be held by no other test of the gate (``tests.mutation``)."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest
from support.contexts import TLS_1_2, client, server
from support.wire import Wire

from pinsock import PinMismatchError, PinSet, pin_context

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
