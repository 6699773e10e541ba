"""What it costs to have many hosts.

The look-up of a host among 1, 1,000 and 100,000, which must not grow; the loading of 100,000 hosts
against ``tomllib`` alone, and the memory that they take; and a handshake under a policy of 1,000
hosts against one under a single set.  Times are compared within one run, where they take turns.
"""

from __future__ import annotations

import gc
import statistics
import tomllib
import tracemalloc
from time import thread_time
from typing import TYPE_CHECKING, Final

import pinsock
from benchmarks.figures import Figure, Section
from benchmarks.interleaved import Alternative, ratio, ratio_of_medians, time_in_turn
from benchmarks.meetings import HOST, in_turn, server_context, shake_hands
from pinsock import Outcome, Pin, PinMismatchError, PinPolicy, PinSet
from pinsock._throwaway import Authority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.figures import Effort

__all__ = ["many_hosts"]

SIZES: Final = (1, 1_000, 100_000)
#: What a host looks like that is looked up among n, and what it should find: the pattern in the
#: middle of its kind, or nothing.
LOOK_UPS: Final = {
    "exact": ("api.h{}.example.com", "api.h{}.example.com"),
    "exact, in upper case": ("API.H{}.EXAMPLE.COM", "api.h{}.example.com"),
    "one star": ("x.h{}.example.net", "*.h{}.example.net"),
    "two stars, three labels below": ("x.y.z.h{}.example.org", "**.h{}.example.org"),
    "unlisted": ("x.y.z.h{}.example.edu", None),
}
#: Each ``n`` counts hosts of one of these, so a third of it is of each kind.
PATTERNS: Final = ("api.h{}.example.com", "*.h{}.example.net", "**.h{}.example.org")

MOST_GROWTH: Final = 1.25
MOST_LOAD: Final = 1.5
MOST_HANDSHAKE: Final = 1.005


def pin_set(number: int) -> PinSet:
    """One pin and one backup, of no key that anybody has."""
    return PinSet(
        Pin("spki", (2 * number + 1).to_bytes(32, "big")),
        Pin("spki", (2 * number + 2).to_bytes(32, "big")),
    )


def policy_of(size: int) -> PinPolicy:
    """So many hosts; with one alone there is still one pattern of each kind."""
    numbers = range(max(1, size // 3))
    sets = {pattern.format(n): pin_set(n) for n in numbers for pattern in PATTERNS}
    for number in range(len(sets), size):
        sets[f"more{number}.example.com"] = pin_set(number)
    return PinPolicy(sets)


def many_hosts(effort: Effort) -> Iterator[Section]:
    """Look-ups, loading, and handshakes."""
    figures, facts = look_ups(effort)
    loading, more = load(effort)
    yield Section(
        "Many hosts",
        "A look-up among 100,000 hosts against one among a single one; 100,000 hosts of a file "
        "against `tomllib` alone; the client's part of a handshake under a policy of 1,000 hosts "
        "against one under a single set, and against itself, which shows what is noise.",
        figures + loading + connections(effort),
        facts=facts + more,
    )


def look_ups(effort: Effort) -> tuple[list[Figure], list[str]]:
    """By how much each kind of look-up grows."""
    alternatives, sizes = {}, SIZES if effort.share >= 1 else SIZES[:-1]
    for size in sizes:
        policy, middle = policy_of(size), max(1, size // 3) // 2
        sets = dict(policy.items())
        for kind, (host, pattern) in LOOK_UPS.items():
            host = host.format(middle)  # noqa: PLW2901 - the one that is meant from here on
            expected = None if pattern is None else sets[pattern.format(middle)]
            if policy.match(host) is not expected:
                raise AssertionError(f"{host} has not the pins of {pattern}")
            names = {"match": policy.match, "host": host}
            alternatives[f"{kind}, {size}"] = Alternative("match(host)", names)
    times = time_in_turn(alternatives, effort.rounds(40))
    figures, facts = [], []
    for kind in LOOK_UPS:
        many = f"{sizes[-1]:,}"
        result = ratio(times, f"{kind}, {sizes[-1]}", f"{kind}, {sizes[0]}")
        words = f"looking up a host among {many} / alone"
        figures.append(
            Figure(
                f"look-up, {kind}: among {many} / alone",
                result,
                -MOST_GROWTH,
                words if kind == "exact" else "",
            )
        )
        median = statistics.median(times[f"{kind}, {sizes[-1]}"]) * 1e6
        facts.append(f"Look-up among {many}, {kind}: {median:.2f} us.")
    return figures, facts


def load(effort: Effort) -> tuple[list[Figure], list[str]]:
    """How long a large file takes to load, and what it leaves in memory."""
    size = effort.rounds(SIZES[-1], 1_000)
    policy = policy_of(size)
    text = policy.to_toml()
    if PinPolicy.from_toml(text) != policy:
        raise AssertionError("the policy did not come back as it was written")
    del policy
    times: dict[str, list[float]] = {"tomllib": [], "pinsock": []}
    for _ in range(effort.rounds(5)):
        times["tomllib"].append(seconds(lambda: tomllib.loads(text)))
        times["pinsock"].append(seconds(lambda: PinPolicy.from_toml(text)))
    gc.collect()
    tracemalloc.start()
    kept = PinPolicy.from_toml(text)
    gc.collect()
    megabytes = tracemalloc.get_traced_memory()[0] / 1e6
    tracemalloc.stop()
    words = f"loading a policy of {size:,} hosts / `tomllib` alone"
    return (
        [Figure(words, ratio(times, "pinsock", "tomllib"), -MOST_LOAD, words)],
        [f"Memory of {len(kept):,} hosts: {megabytes:.1f} MB."],
    )


def seconds(call: Callable[[], object]) -> float:
    """Of one call, with nothing left over from the one before."""
    gc.collect()
    start = thread_time()
    call()
    return thread_time() - start


def connections(effort: Effort) -> list[Figure]:
    """What a policy adds to a handshake, and what difference there is without any."""
    authority = Authority()
    good, other = authority.issue(HOST), authority.issue(HOST)
    pins = PinSet([good.pin], [authority.issue(HOST).pin])
    policy = PinPolicy(dict(policy_of(999).items()) | {HOST: pins})
    clients = {
        name: pinsock.create_default_context(pinning, cadata=authority.pem)
        for name, pinning in (("set", pins), ("the same set", pins), ("policy", policy))
    }
    server = server_context(good)
    try:
        shake_hands(clients["policy"], server_context(other))
    except PinMismatchError:
        pass
    else:
        raise AssertionError("a key that is not pinned was accepted")
    verdict = shake_hands(clients["policy"], server).near.pin_verdict  # type: ignore[attr-defined]  # it is a pinned one
    if verdict.outcome is not Outcome.MATCHED:
        raise AssertionError(f"the right key was found {verdict.outcome.value}")
    times = in_turn(clients, server, effort.rounds(4000))
    return [
        Figure(
            f"handshake, client's part: {what} / one set",
            ratio_of_medians(times, name, "set"),
            goal,
        )
        for what, name, goal in (
            ("the same set", "the same set", None),
            ("a policy of 1,000 hosts", "policy", -MOST_HANDSHAKE),
        )
    ]
