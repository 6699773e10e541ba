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

#: OpenSSL's reasons where a server and a client have no version of TLS in common.
_OF_VERSIONS = frozenset({"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION"})


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
        if all went well and raises if not.  By then it must have ended what it started: what a
        thread or a task of its own does afterwards is not seen.  It may be a coroutine function.
        It runs in a thread of its own, and first and last it has to get to the right server.
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
        results = _right_servers(stage)
        if stage.versions:
            results += [result for attack in LIST for result in _play(attack, stage, skip)]
            # Who has broken meanwhile has refused nothing.
            with stage.server() as server:
                raised = stage.call(server)
                results.append(_accepted("the right server, at the end", raised, server))
    return AttackReport(tuple(results))


def assert_refuses_interception(client: Client, **settings: Any) -> AttackReport:
    """:func:`run_attacks`, and an AssertionError that says what leaked if anything came out wrong.

    Takes the settings of :func:`run_attacks` and returns its report.
    """
    __tracebackhide__ = True  # so that pytest shows the report and not this function
    report = run_attacks(client, **settings)
    if report.ok:
        return report
    if any(result.gave_away for result in report.failures):
        what = "this client can be intercepted:"
    elif any(result.outcome == "accepted" for result in report.results):
        what = "this client did not come out as it must:"
    else:
        what = "this client did not reach the right server, so that no attack was tried:"
    failures = "\n".join(f"  {result.failure}" for result in report.failures)
    raise AssertionError(f"{what}\n{failures}\n\n{report}")


def _right_servers(stage: Stage) -> list[Result]:
    results: list[Result] = []
    not_spoken: list[Result] = []
    for name, version in VERSIONS.items():
        with stage.server(version=version) as server:
            raised = stage.call(server)
            result = _accepted(f"the right server, {name}", raised, server)
        if raised is None and server.counters.handshakes:
            stage.versions.append(name)
            stage.speaks_http |= any(b" HTTP/1." in seen.application for seen in server.connections)
        elif _is_refused_for_its_version(server):
            not_spoken.append(result)
        results.append(result)
    if not stage.versions:
        return results
    # A client need not speak both versions of TLS.
    results = [
        replace(result, outcome="not applicable", note=f"not spoken: {result.note}")
        if result in not_spoken
        else result
        for result in results
    ]
    for what, credential in (
        ("after a renewal", stage.authority.renew(stage.good)),
        ("with its backup key", stage.backup),
    ):
        with stage.server(credential=credential) as server:
            raised = stage.call(server)
            results.append(_accepted(f"the right server {what}", raised, server))
    return results


def _accepted(attack: str, raised: BaseException | None, server: PinnedServer) -> Result:
    counters = server.settle()
    in_the_clear = b"".join(seen.not_tls for seen in server.connections)
    if raised is not None:
        note = words(raised)
    elif not counters.handshakes:
        note = "the client returned, and had not connected"
    else:
        note = "it says in the clear what only TLS may carry" if in_the_clear else ""
    return Result(
        attack,
        "not accepted" if note else "accepted",
        connections=counters.connections,
        in_the_clear=in_the_clear,
        note=note,
    )


def _is_refused_for_its_version(server: PinnedServer) -> bool:
    """Whether nothing but the version of TLS stood between the client and this server."""
    reasons = {getattr(seen.error, "reason", None) for seen in server.connections}
    counters = server.counters
    given = counters.handshakes or counters.not_tls_bytes
    return not given and not _OF_VERSIONS.isdisjoint(reasons)


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
