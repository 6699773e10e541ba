"""``run_attacks``: first the right server, then all attackers."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pinsock.testing._attacks import ATTACKS, LIST, Attack
from pinsock.testing._report import AttackReport, Result
from pinsock.testing._stage import (
    VERSIONS,
    Client,
    NotApplicableError,
    NotReachedError,
    Stage,
    Target,
    words,
)
from pinsock.testing._starttls import protocol

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Collection, Iterator

    from pinsock.testing._peers import PinnedServer
    from pinsock.testing._starttls import StartTls
    from pinsock.testing._wire import Stream

__all__ = ["assert_refuses_interception", "run_attacks"]


def run_attacks(
    client: Client,
    *,
    starttls: StartTls | None = None,
    serve: Callable[[Stream], None] | None = None,
    scope: Literal["leaf", "chain"] = "leaf",
    context: Callable[[Target], ssl.SSLContext] | None = None,
    skip: Collection[str] = (),
    timeout: float = 10,
) -> AttackReport:
    """Put a client through all attacks, and tell what became of each.

    :param client: called with a :class:`Target`, again and again: it connects there with the pins
        and the authorities that the target names, sends something, waits for an answer, and returns
        if all went well and raises if not.  It may be a coroutine function.  It runs in a thread of
        its own, and first it has to get to the right server, or nothing else is tried.
    :param starttls: the protocol in which the client asks for TLS.
    :param serve: what the right server says over TLS, if it is neither HTTP/1.1 nor an echo nor
        (with ``starttls="smtp"``) mail that the client wants.
    :param scope: that of ``target.pins``: the server's key, or that of its authority.
    :param context: makes the context that the client uses, for the attack on implicit handshakes.
    :param skip: names from ``ATTACKS`` that are left out.
    :param timeout: seconds, the bound of each wait.  The client should have one of its own.

    In an asynchronous test ``await asyncio.to_thread(run_attacks, client)`` leaves the loop free.
    """
    if unknown := set(skip).difference(ATTACKS):
        raise ValueError(f"skip={sorted(unknown)}: no such attacks; there are {', '.join(ATTACKS)}")
    if starttls is not None:
        protocol(starttls)
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(
            client,
            Path(folder),
            starttls=starttls,
            serve=serve,
            scope=scope,
            context=context,
            timeout=timeout,
        )
        results = list(_right_servers(stage))
        if stage.versions:
            results = [_forgive(result, stage) for result in results]
            results += [result for attack in LIST for result in _play(attack, stage, skip)]
    return AttackReport(tuple(results))


def assert_refuses_interception(client: Client, **settings: Any) -> AttackReport:
    """:func:`run_attacks`, and an AssertionError that says what leaked if anything came out wrong.

    Takes the settings of :func:`run_attacks` and returns its report.
    """
    __tracebackhide__ = True  # so that pytest shows the report and not this function
    report = run_attacks(client, **settings)
    if report.ok:
        return report
    if any(result.outcome == "accepted" for result in report.results):
        what = "this client can be intercepted:"
    else:
        what = "this client did not reach the right server, so that no attack was tried:"
    failures = "\n".join(f"  {result.failure}" for result in report.failures)
    raise AssertionError(f"{what}\n{failures}\n\n{report}")


def _right_servers(stage: Stage) -> Iterator[Result]:
    for name, version in VERSIONS.items():
        with stage.server(version=version) as server:
            raised = stage.call(server)
            result = _accepted(f"the right server, {name}", raised, server)
        if result.outcome == "accepted":
            stage.versions.append(name)
            stage.speaks_http |= b" HTTP/1." in server.connections[0].application
        yield result
    if not stage.versions:
        return
    for what, credential in (
        ("after a renewal", stage.authority.renew(stage.good)),
        ("with its backup key", stage.backup),
    ):
        with stage.server(credential=credential) as server:
            yield _accepted(f"the right server {what}", stage.call(server), server)


def _accepted(attack: str, raised: BaseException | None, server: PinnedServer) -> Result:
    counters = server.settle()
    if raised is None and not counters.handshakes:
        note = "the client returned, and had not connected"
    else:
        note = "" if raised is None else words(raised)
    return Result(
        attack,
        "not accepted" if note else "accepted",
        connections=counters.connections,
        note=note,
    )


def _forgive(result: Result, stage: Stage) -> Result:
    """A client need not speak both versions of TLS."""
    version = result.attack.rpartition(", ")[2]
    if result.outcome == "accepted" or version not in VERSIONS or version in stage.versions:
        return result
    return replace(result, outcome="not applicable", note=f"not spoken: {result.note}")


def _play(attack: Attack, stage: Stage, skip: Collection[str]) -> Iterator[Result]:
    for name, version in attack.rows():
        try:
            if attack.name in skip:
                raise NotApplicableError("left out by skip=")
            if version is not None and version not in stage.versions:
                raise NotApplicableError(f"the client does not speak {version}")
            yield attack.run(stage, name, version or stage.versions[0])
        except NotApplicableError as reason:
            yield Result(name, "not applicable", note=str(reason))
        except NotReachedError as reason:
            yield Result(name, "not accepted", note=f"the right server was not reached: {reason}")
