"""Policies, and the contexts that are given one."""

from __future__ import annotations

import copy
import pickle
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from support.contexts import client, server
from support.impostor import BANNER, HOST, SECRET, WAIT, serving
from support.wire import Wire

from pinsock import (
    InvalidPinError,
    InvalidPolicyError,
    Outcome,
    PinMismatchError,
    PinnedContext,
    PinPolicy,
    PinSet,
    PolicyFile,
    create_connection,
    pin_context,
)

from .tools import a_pin, a_set, pinned, say_secret

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pinsock._throwaway import Authority, Credential

# --- what is refused when it is made --------------------------------------------------------------

BAD: dict[str, tuple[tuple[Any, ...], dict[str, Any], str]] = {
    "a list": (([("example.com", a_set())],), {}, "list"),
    "a text in the place of a set": (({"example.com": str(a_pin(1))},), {}, "PinSet"),
    "no set": (({"example.com": None},), {}, "NoneType"),
    "a pattern that is no text": (({b"example.com": a_set()},), {}, "bytes"),
    "nothing at all": (({},), {}, "every host"),
    "nothing but openness": (({},), {"unlisted": "allow"}, "check nothing"),
    "an unknown word": (({"a.example": a_set()},), {"unlisted": "ask"}, "'ask'"),
    "a yes": (({"a.example": a_set()},), {"unlisted": True}, "'True'"),
    "a bad pin of an interceptor": (
        ({"a.example": a_set()},),
        {"interception": ["sha256/AAAA"]},
        "interception",
    ),
    "an empty text for an interceptor": (
        ({"a.example": a_set()},),
        {"interception": ""},
        "interception",
    ),
    "a one": (
        ({"a.example": a_set()},),
        {"interception": a_pin(2), "interception_with_client_certificate": 1},
        "True or False, not 1",
    ),
    "a set for an interceptor that says more": (
        ({"a.example": a_set()},),
        {"interception": a_set(2, report_only=True)},
        "its pins alone",
    ),
    "a leave for no interceptor": (
        ({"a.example": a_set()},),
        {"interception_with_client_certificate": True},
        "without interception",
    ),
}


@pytest.mark.parametrize(("arguments", "settings", "told"), BAD.values(), ids=BAD)
def test_a_policy_that_would_not_hold_is_refused(
    arguments: tuple[Any, ...], settings: dict[str, Any], told: str
) -> None:
    """The constructor checks everything, and says what was wrong."""
    with pytest.raises(InvalidPolicyError, match=told):
        PinPolicy(*arguments, **settings)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("example.com", "Example.com"),
        ("example.com", "example.com."),
        ("*.example.com", "*.EXAMPLE.com."),
        ("**.example.com", "**.Example.COM"),
        ("127.0.0.1", "127.1"),
        ("::1", "[0:0::1]"),
        ("xn--bcher-kva.example", "BÜCHER.example"),
    ],
)
def test_one_host_in_two_spellings_is_listed_twice(one: str, other: str) -> None:
    """Which of two sets was meant cannot be known, not even if they are equal."""
    with pytest.raises(InvalidPolicyError, match="twice"):
        PinPolicy({one: a_set(), other: a_set()})


@pytest.mark.parametrize("interception", [(), [a_pin(8), a_pin(9)]], ids=["none", "two"])
def test_a_policy_can_be_made_again_from_its_attributes(interception: Any) -> None:
    """Whoever adds a host to one gives the rest as it stands there."""
    policy = PinPolicy(
        {"a.example": a_set()},
        unlisted="allow",
        interception=interception,
        interception_with_client_certificate=bool(interception),
    )
    again = PinPolicy(
        dict(policy.items()),
        unlisted=policy.unlisted,
        interception=policy.interception,
        interception_with_client_certificate=policy.interception_with_client_certificate,
    )
    assert again == policy


def test_the_labels_of_an_interceptor_are_kept() -> None:
    """They stand in its set, and come along with it."""
    text = f"""
    [interception]
    pins = [{{ pin = "{a_pin(9)}", label = "the proxy" }}]
    [[pin]]
    host = "a.example"
    pins = "{a_pin(1)}"
    backup = "none"
    [end]
    """
    policy = PinPolicy.from_toml(text)
    again = PinPolicy(dict(policy.items()), interception=policy.interception)
    assert again == policy
    assert again.interception is not None
    assert again.interception.labels == {a_pin(9): "the proxy"}


def test_one_host_may_have_three_patterns() -> None:
    """The same name exactly, under one star and under two is not the same pattern."""
    sets = {"a.example": a_set(1), "*.a.example": a_set(2), "**.a.example": a_set(3)}
    assert dict(PinPolicy(sets).items()) == sets
    assert len(PinPolicy(sets)) == 3


def test_a_policy_cannot_be_changed_behind_a_contexts_back() -> None:
    """It keeps nothing of the mapping it was made from, and none of its attributes can be set."""
    sets = {"a.example": a_set()}
    policy = PinPolicy(sets)
    sets["b.example"] = a_set()
    assert policy.match("b.example") is None
    for name in ("unlisted", "interception", "interception_with_client_certificate"):
        with pytest.raises(AttributeError):
            setattr(policy, name, "allow")
    with pytest.raises(AttributeError, match="second time"):
        policy.__init__({"b.example": a_set()}, unlisted="allow")  # type: ignore[misc]  # the case
    assert policy.match("b.example") is None
    assert policy.unlisted == "refuse"


def pickled(policy: PinPolicy) -> PinPolicy:
    copied: PinPolicy = pickle.loads(pickle.dumps(policy))  # noqa: S301 - our own bytes
    return copied


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled])
def test_a_policy_can_be_copied_and_sent_to_another_process(
    copied: Callable[[PinPolicy], PinPolicy],
) -> None:
    """With all that it says."""
    policy = PinPolicy(
        {"a.example": a_set(1, labels={a_pin(1): "x"}), "*.b.example": a_set(2)},
        unlisted="allow",
        interception=a_pin(3),
        interception_with_client_certificate=True,
    )
    assert copied(policy) == policy
    assert copied(policy).match("x.b.example") == a_set(2)


def test_policies_are_compared_by_what_they_say() -> None:
    """Spelling and order are nothing; each setting counts, and equal ones hash alike."""
    proxy = [a_pin(8)]
    policy = PinPolicy({"a.example": a_set(1), "B.example.": a_set(2)}, interception=proxy)
    same = PinPolicy({"b.example": a_set(2), "A.example": a_set(1)}, interception=proxy)
    assert policy == same
    assert hash(policy) == hash(same)
    sets = dict(policy.items())
    others = [
        PinPolicy(sets | {"b.example": a_set(3)}, interception=proxy),
        PinPolicy({"a.example": a_set(1), "*.b.example": a_set(2)}, interception=proxy),
        PinPolicy(sets, interception=proxy, unlisted="allow"),
        PinPolicy(sets),
        PinPolicy(sets, interception=[a_pin(9)]),
        PinPolicy(sets, interception=proxy, interception_with_client_certificate=True),
    ]
    assert all(other != policy for other in others)
    assert policy != sets
    assert "2 hosts" in repr(policy)


# --- contexts -------------------------------------------------------------------------------------


def test_a_connection_without_a_host_is_refused_by_a_policy(tmp_path: Path) -> None:
    """Which pins hold cannot be known, so not even the handshake begins; a set has no such need."""
    policy = PinPolicy({HOST: a_set()}, unlisted="allow")
    (tmp_path / "policy.toml").write_text(policy.to_toml(), encoding="utf-8")
    for pins in (policy, PolicyFile(tmp_path / "policy.toml")):
        context = pin_context(client(), pins)
        outgoing = ssl.MemoryBIO()
        with pytest.raises(InvalidPolicyError, match="server_hostname"):
            context.wrap_bio(ssl.MemoryBIO(), outgoing)
        near, far = socket.socketpair()
        with near, far:
            with pytest.raises(InvalidPolicyError, match="server_hostname"):
                context.wrap_socket(near)
            far.settimeout(WAIT)
            assert far.recv(1) == b""
        assert not outgoing.pending
    pin_context(client(), a_set()).wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO())


def test_a_policy_on_a_server_is_a_type_error(good: Credential, tmp_path: Path) -> None:
    """A server's clients have no host, so it takes a set."""
    policy = PinPolicy({HOST: a_set()})
    (tmp_path / "policy.toml").write_text(policy.to_toml(), encoding="utf-8")
    for pins in (policy, PolicyFile(tmp_path / "policy.toml")):
        context = server(good)
        context.verify_mode = ssl.CERT_REQUIRED
        with pytest.raises(TypeError, match="PinSet"):
            pin_context(context, pins).wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)


@pytest.mark.parametrize("nothing", [None, [], (), "", {}])
def test_pins_cannot_be_taken_away(nothing: Any) -> None:
    """Nothing in the place of pins is an error, and the old ones stay."""
    pins = a_set()
    context = PinnedContext(pins=pins)
    with pytest.raises(InvalidPinError):
        context.pins = nothing
    assert context.pins is pins


def test_new_pins_hold_from_the_next_connection_on(
    authority: Authority, good: Credential, bad: Credential
) -> None:
    """What was wrapped before is judged by the pins of then, and what lives goes on."""
    old = PinPolicy({HOST: PinSet(good.pin, None)})
    context = pinned(old, authority)
    living, waiting = Wire(context, server(good)), Wire(context, server(good))
    assert say_secret(living)[0] is None

    context.pins = new = PinPolicy({HOST: PinSet(bad.pin, None)})

    assert context.pins is new
    error, report = say_secret(waiting)
    assert error is None
    assert report.application == SECRET
    living.near.write(b" and more")
    assert living.finish().application == SECRET + b" and more"
    assert living.do(lambda: living.near.read(64)) == BANNER
    error, report = say_secret(Wire(context, server(good)))
    assert isinstance(error, PinMismatchError)
    assert report.got_nothing()
    assert say_secret(Wire(context, server(bad)))[0] is None


def test_create_connection_takes_a_policy(
    authority: Authority, good: Credential, bad: Credential
) -> None:
    """Each host of the policy is held to its own pins, over TCP."""
    policy = PinPolicy({HOST: PinSet(good.pin, None), "other.example": a_set()})
    context = pinned(policy, authority)
    with (
        serving(server(good)) as peer,
        create_connection(
            peer.address, policy, timeout=WAIT, server_hostname=HOST, context=context
        ) as sock,
    ):
        sock.sendall(SECRET)
        assert sock.recv(64) == BANNER
        assert sock.pin_verdict is not None
        assert sock.pin_verdict.outcome is Outcome.MATCHED
        sock.close()
        assert peer.report().application == SECRET
    with serving(server(bad)) as impostor:
        with pytest.raises(PinMismatchError):
            create_connection(
                impostor.address, policy, timeout=WAIT, server_hostname=HOST, context=context
            )
        assert impostor.report().got_nothing()


def test_a_refusal_under_a_policy_pickles(
    authority: Authority, good: Credential, bad: Credential
) -> None:
    """The error goes to another process whole, with the labels of its pins."""
    pins = PinSet(good.pin, None, labels={good.pin: "the key of 2026"})
    error, _ = say_secret(Wire(pinned(PinPolicy({HOST: pins}), authority), server(bad)))
    assert isinstance(error, PinMismatchError)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert copy.pins == pins
    assert copy.verdict == error.verdict
    assert str(copy) == str(error)
