"""``python -m benchmarks.policies``: what it costs to have many hosts.

The look-up of a host among 1, 1,000 and 100,000, which must not grow; the loading of 100,000 hosts
against ``tomllib`` alone, and the memory that they take; and a handshake under a policy of 1,000
hosts against one under a single set.  Times are compared within one run, where they take turns.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import tomllib
import tracemalloc
from time import perf_counter
from typing import TYPE_CHECKING, Final

import pinsock
from benchmarks.__main__ import judge
from benchmarks.in_place import (
    HOST,
    PINNED,
    PLAIN,
    handshakes,
    ratio_of_medians,
    server_context,
    shake_hands,
)
from benchmarks.interleaved import Alternative, ratio, time_in_turn
from pinsock import Outcome, Pin, PinMismatchError, PinPolicy, PinSet
from pinsock._throwaway import Authority

if TYPE_CHECKING:
    from collections.abc import Callable

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
MOST_MEGABYTES: Final = 100.0
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


def look_ups(rounds: int) -> None:
    """Print the microseconds of each kind of look-up, and by how much they grow."""
    alternatives = {}
    for size in SIZES:
        policy, middle = policy_of(size), max(1, size // 3) // 2
        sets = dict(policy.items())
        for kind, (host, pattern) in LOOK_UPS.items():
            host = host.format(middle)  # noqa: PLW2901 - the one that is meant from here on
            expected = None if pattern is None else sets[pattern.format(middle)]
            if policy.match(host) is not expected:
                raise AssertionError(f"{host} has not the pins of {pattern}")
            names = {"match": policy.match, "host": host}
            alternatives[f"{kind}, {size}"] = Alternative("match(host)", names)
    times = time_in_turn(alternatives, rounds)
    for kind in LOOK_UPS:
        shown = [statistics.median(times[f"{kind}, {size}"]) * 1e6 for size in SIZES]
        result = ratio(times, f"{kind}, {SIZES[-1]}", f"{kind}, {SIZES[0]}")
        us = " / ".join(f"{value:.2f}" for value in shown)
        print(f"look-up, {kind + ':':31} {us:>20} us; 100,000 / 1 {result}", end="  ")
        print(judge(result.median, -MOST_GROWTH))


def seconds(call: Callable[[], object]) -> float:
    """Of one call, with nothing left over from the one before."""
    gc.collect()
    start = perf_counter()
    call()
    return perf_counter() - start


def load(rounds: int) -> None:
    """Print how long a large file takes to load, and what it leaves in memory."""
    policy = policy_of(SIZES[-1])
    text = policy.to_toml()
    if PinPolicy.from_toml(text) != policy:
        raise AssertionError("the policy did not come back as it was written")
    del policy
    times: dict[str, list[float]] = {"tomllib": [], "pinsock": []}
    for _ in range(rounds):
        times["tomllib"].append(seconds(lambda: tomllib.loads(text)))
        times["pinsock"].append(seconds(lambda: PinPolicy.from_toml(text)))
    result = ratio(times, "pinsock", "tomllib")
    shown = {name: statistics.median(values) for name, values in times.items()}
    print(
        f"load, 100,000 hosts: tomllib {shown['tomllib']:.2f} s, pinsock {shown['pinsock']:.2f} s; "
        f"pinsock / tomllib {result}  {judge(result.median, -MOST_LOAD)}"
    )

    gc.collect()
    tracemalloc.start()
    kept = PinPolicy.from_toml(text)
    gc.collect()
    megabytes = tracemalloc.get_traced_memory()[0] / 1e6
    tracemalloc.stop()
    print(f"memory, {len(kept):,} hosts: {megabytes:.1f} MB  {judge(megabytes, -MOST_MEGABYTES)}")


def connections(rounds: int) -> None:
    """Print what a policy adds to a handshake, and what difference there is without any."""
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
    verdict = shake_hands(clients["policy"], server)[1].pin_verdict  # type: ignore[attr-defined]
    if verdict.outcome is not Outcome.MATCHED:
        raise AssertionError(f"the right key was found {verdict.outcome.value}")

    handshakes(clients, server, min(rounds, 200))  # warm up
    times = handshakes(clients, server, rounds)
    for name, bound in (("the same set", None), ("policy", -MOST_HANDSHAKE)):
        result = ratio_of_medians({PLAIN: times["set"], PINNED: times[name]})
        added = (statistics.median(times[name]) - statistics.median(times["set"])) * 1e6
        print(
            f"handshake, client's part: {name} / set {result.median:.4f} ({result.low:.3f} to "
            f"{result.high:.3f}), {added:+.2f} us, {rounds} rounds  {judge(result.median, bound)}"
        )


def main() -> None:
    """Print it all; slowness is shown, never an error."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.policies", description=__doc__)
    parser.add_argument("--rounds", type=int, default=4000, help="handshakes of each kind")
    rounds = parser.parse_args().rounds
    look_ups(max(5, rounds // 100))
    load(max(3, rounds // 1000))
    connections(rounds)


if __name__ == "__main__":
    main()
