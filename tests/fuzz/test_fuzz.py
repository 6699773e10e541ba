"""Pin texts, policies and STARTTLS answers that are right, nearly right, or nothing like it."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from random import Random

import pytest
from check.patience import patient
from hypothesis import given
from hypothesis import strategies as st

from pinsock import Pin, PinPolicy, PinSet

from .bounds import bounded, grows_too_fast
from .grammar import DIALOGUES, documents, nearly, pins, policies, sets
from .mutation import mutated
from .targets import CONTROLS, NEXT, PROTOCOLS, SEEDS, TARGETS, comes_to_tls

INPUTS = {"pin-text": 3_000, "policy": 1_000, "policy-file": 400, "starttls": 400}

each_target = pytest.mark.parametrize("target", TARGETS)
each_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)
#: Half a minute in all.
fuzzing = pytest.mark.fuzzing


# --- what is right --------------------------------------------------------------------------------


@patient
@given(one=pins(), several=sets())
def test_every_form_of_a_pin_says_which_pin_it_is(
    one: tuple[str, Pin], several: tuple[str, tuple[Pin, ...]]
) -> None:
    """Its kind and its digest; and a list says its pins in their order."""
    assert Pin.parse(one[0]) == one[1]
    assert PinSet(several[0], None).pins == several[1]


@patient
@given(one=policies())
def test_a_policy_is_what_its_toml_says(one: tuple[bytes, PinPolicy]) -> None:
    """In whatever order and by whatever forms it says it."""
    text, expected = one
    assert PinPolicy.from_toml(text.decode()) == expected


@each_protocol
@patient
@given(data=st.data())
def test_a_server_that_is_ready_for_tls_is_understood(protocol: str, data: st.DataObject) -> None:
    """In however many pieces it says so; but with a word too many it is refused."""
    answers = data.draw(DIALOGUES[protocol])
    at = data.draw(st.integers(0, len(answers) - 1))
    cut = data.draw(st.integers(0, len(answers[at])))
    pieces = [*answers[:at], answers[at][:cut], answers[at][cut:], *answers[at + 1 :]]
    assert comes_to_tls(protocol, pieces)
    assert not comes_to_tls(protocol, [*answers[:-1], answers[-1] + b"\0"])


def test_the_seeds_are_right(tmp_path: Path) -> None:
    """Otherwise the mutations of them would reach little."""
    assert [SEEDS[target] for target in TARGETS if not SEEDS.get(target)] == []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in SEEDS["pin-text"]:
            PinSet(seed.decode())
    for seed in SEEDS["policy"]:
        PinPolicy.from_toml(seed.decode())
    for seed in SEEDS["policy-file"]:
        tmp_path.joinpath("p").write_bytes(seed)
        PinPolicy.from_file(tmp_path / "p")
    assert [PROTOCOLS[seed[0]] for seed in SEEDS["starttls"]] == list(PROTOCOLS)
    for seed in SEEDS["starttls"]:
        assert comes_to_tls(PROTOCOLS[seed[0]], seed[1:].split(NEXT))


# --- what is not ----------------------------------------------------------------------------------


@each_target
def test_what_is_nearly_right_ends_well_or_in_the_documented_error(target: str) -> None:
    """The same inputs each time; ``python -m tests.fuzz`` has as many as there is time for."""
    random = Random(9)  # noqa: S311 - to be repeated
    inputs = SEEDS[target] + [mutated(random, SEEDS[target]) for _ in range(INPUTS[target])]
    for data in inputs:
        try:
            with bounded():
                TARGETS[target](data)
        except BaseException as error:
            error.add_note(f"{data!r}")
            raise


PIECES = (
    b'sha256/ sha1/ spki: 3 1 1 = == ; " : . [ ] { } # \r\n \0 \xff \xc2\xa0 250- * + </'.split(
        b" "
    )
)
_POLICY = policies().map(lambda one: one[0])
ALMOST = {
    "pin-text": nearly((pins() | sets()).map(lambda one: one[0].encode()), PIECES),
    "policy": nearly(_POLICY, PIECES) | documents(),
    "policy-file": nearly(_POLICY, PIECES) | documents(),
    "starttls": st.one_of(
        nearly(
            said.map(lambda answers, number=number: bytes([number]) + NEXT.join(answers)), PIECES
        )
        for number, said in enumerate(DIALOGUES[protocol] for protocol in PROTOCOLS)
    ),
}


@each_target
@patient
@given(data=st.data())
def test_what_has_the_right_words_ends_well_or_in_the_documented_error(
    target: str, data: st.DataObject
) -> None:
    """The grammar's own, but for some changes."""
    TARGETS[target](data.draw(ALMOST[target]))


@each_target
@patient
@given(data=st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_anything_ends_well_or_in_the_documented_error(target: str, data: bytes) -> None:
    """Bytes that nobody has thought of."""
    TARGETS[target](data)


# --- bounds ---------------------------------------------------------------------------------------

#: Bytes that are long and go on alike.
LONG = [b"sha256/", b"3 1 1 ", b";", b"A", b"[", b"[[", b'"', b"a=", b"a.", b'"a".', b"{a=", b"\n"]
LONG += [b"[[pin]]\n", b"[a]\n", b"* ", b"220-\r\n", b"+", b"\x80", b"<", b"\xc3\xa4", b"= [", b"#"]
LONG += [b"a=1\n[[pin]]\n", b'[[pin]]\nhost="a.b"\n', b"\x1ea", b"220-\r\n\x1e"]


def long_inputs(target: str, piece: bytes, size: int) -> list[bytes]:
    data = piece * (size // len(piece))
    if target != "starttls":
        return [data]
    return [bytes([number]) + data for number in range(len(PROTOCOLS))]


@fuzzing
@each_target
@pytest.mark.parametrize("piece", LONG, ids=repr)
def test_long_input_takes_a_bounded_time_and_memory(target: str, piece: bytes) -> None:
    """50,000 bytes: five seconds at most on a machine that is busy, and 50 MB."""
    for data in long_inputs(target, piece, 50_000):
        with bounded():
            TARGETS[target](data)


@fuzzing
@each_target
@pytest.mark.parametrize("piece", LONG, ids=repr)
def test_time_does_not_grow_as_the_square_of_the_input(target: str, piece: bytes) -> None:
    """Whatever it is that is long; of a server's answers 16,384 bytes are read at most."""

    def run(size: int) -> None:
        for data in long_inputs(target, piece, size):
            TARGETS[target](data)

    assert not grows_too_fast(run, 4_000 if target == "starttls" else 25_000)


# --- controls -------------------------------------------------------------------------------------


def fuzz(target: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m tests.fuzz`` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "fuzz", target, "--no-atheris", *options],
        cwd=Path(__file__).parents[1],
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path))),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@fuzzing
@pytest.mark.parametrize("control", CONTROLS)
def test_a_fault_is_found_and_its_input_is_told(control: str) -> None:
    """An undocumented error, much memory, much time, no end, and the end of the process."""
    found = fuzz(control, "--seconds", "30", "--slow", "0.3")
    assert found.returncode == 1
    told = found.stderr.splitlines()[-1]
    assert told.startswith(f"{control}: exit status ")
    data = ast.literal_eval(told.partition(" at the input ")[2])
    reasons = {
        "error": "KeyError: 'no such key'",
        "memory": r"AssertionError: 60,\d+,\d+ bytes",
        "slow": r"AssertionError: \d\.\d+ s|Timeout",  # by the clock, on a machine that is busy
        "hang": r"Timeout \(0:00:03\)!",
        "crash": "exit status 3 ",
    }
    assert re.search(reasons[control], found.stderr)
    if control == "error":
        with pytest.raises(KeyError):
            CONTROLS[control](data)
    assert b"\xff" in data


@fuzzing
def test_what_has_no_fault_passes() -> None:
    """A second of it, with as much as fits in."""
    found = fuzz("pin-text", "--seconds", "1")
    assert (found.returncode, found.stderr) == (0, "")
    assert int(found.stdout.split()[0]) > 10
    assert "bytes at most" in found.stdout


@fuzzing
def test_time_that_grows_as_the_square_of_the_input_is_noticed() -> None:
    """And time that does not is let pass."""

    def work(steps: int) -> None:
        for _ in range(steps):
            pass

    assert grows_too_fast(lambda size: work(size * size), 1_000)
    assert not grows_too_fast(lambda size: work(1_000 * size), 1_000)
