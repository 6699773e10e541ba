"""Records and the log: what they say, how little they repeat, and that they change no verdict."""

from __future__ import annotations

import fcntl
import itertools
import json
import logging
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import tracemalloc
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest
from check.patience import patient
from hypothesis import given
from hypothesis import strategies as st
from support.contexts import server
from support.impostor import HOST, serving
from support.wire import Wire

import pinsock
from pinsock import (
    Outcome,
    PinMismatchError,
    PinnedContext,
    PinPolicy,
    PinSet,
    RecordLog,
    Verdict,
    _records,
)
from pinsock._records import log_verdict

from .tools import Cast, Clock, a_pin, redis_connections, say_secret

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.synchronize import Barrier

    from pinsock._throwaway import Credential

NOW = datetime(2026, 2, 3, 4, 5, 6, 789000, tzinfo=UTC).timestamp()


def a_verdict(
    host: str | None = "a.example", outcome: Outcome = Outcome.MISMATCH, **more: Any
) -> Verdict:
    """As a refusal for a wrong key has it."""
    verdict = Verdict(host, outcome, False, None, None, NOW, (a_pin(1), None))
    return verdict._replace(**more)


def lines(path: Path) -> list[dict[str, Any]]:
    """Every line of the file, each a JSON object of its own."""
    data = path.read_bytes()
    assert data.isascii()
    assert data.endswith(b"\n")
    records = [json.loads(line) for line in data.splitlines()]
    assert all(isinstance(record, dict) for record in records)
    return records


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.jsonl"


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, "pinsock")
    return caplog


# --- what a record says ---------------------------------------------------------------------------


def test_a_record_of_a_match_names_the_pin(path: Path, good: Credential) -> None:
    """With its label, the certificate's notAfter and the version; times are ISO 8601 in UTC."""
    RecordLog(path)(
        Verdict("a.example", Outcome.MATCHED, True, a_pin(1), 0, NOW, (), "the key", good.der)
    )
    [record] = lines(path)
    not_after = datetime.fromisoformat(record.pop("not_after"))
    assert not_after == good.certificate.not_valid_after_utc
    assert record == {
        "time": "2026-02-03T04:05:06.789+00:00",
        "host": "a.example",
        "outcome": "matched",
        "allowed": True,
        "pin": str(a_pin(1)),
        "label": "the key",
        "chain_pins": None,
        "version": pinsock.__version__,
        "repeats": 0,
    }


def test_a_record_of_a_refusal_has_the_chains_pins(path: Path) -> None:
    """Leaf first, null for a certificate that is not DER; what does not apply is null."""
    RecordLog(path)(a_verdict(None))
    [record] = lines(path)
    assert record["chain_pins"] == [str(a_pin(1)), None]
    assert record["allowed"] is False
    for key in ("host", "pin", "label", "not_after"):
        assert record[key] is None


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_has_its_word(path: Path, outcome: Outcome) -> None:
    """That of the enumeration."""
    RecordLog(path)(a_verdict(outcome=outcome))
    assert lines(path)[0]["outcome"] == outcome.value


@pytest.mark.parametrize("certificate", [b"", b"0", b"\x30\x03\x02\x01\x00", bytes(5000)])
def test_a_certificate_that_cannot_be_read_hides_no_record(path: Path, certificate: bytes) -> None:
    """The peer chooses those bytes; the date is then missing, and nothing else."""
    RecordLog(path)(a_verdict(certificate=certificate))
    assert lines(path)[0]["not_after"] is None
    assert lines(path)[0]["outcome"] == "mismatch"


@patient
@given(host=st.text(st.characters()), label=st.text(st.characters()))
def test_a_record_is_one_line_whatever_is_in_it(
    tmp_path_factory: pytest.TempPathFactory, host: str, label: str
) -> None:
    """Control characters, line ends and lone surrogates are escaped, and come back."""
    path = tmp_path_factory.mktemp("records") / "records.jsonl"
    RecordLog(path)(a_verdict(host, pin=a_pin(1), label=label))
    [record] = lines(path)
    assert record["host"] == host
    assert record["label"] == label


def test_connections_are_recorded(path: Path, cast: Cast) -> None:
    """A log that is given as on_verdict has what happened: whom, what, and by which pin."""
    pins = PinSet(cast.good.pin, None, labels={cast.good.pin: "2026 key"})
    ours = cast.pinned(PinPolicy({HOST: pins}), on_verdict=RecordLog(path))
    before = datetime.now(UTC)
    assert say_secret(Wire(ours, server(cast.good)))[0] is None
    assert isinstance(say_secret(Wire(ours, server(cast.bad)))[0], PinMismatchError)
    passed, refused = lines(path)
    assert (passed["outcome"], passed["pin"]) == ("matched", str(cast.good.pin))
    assert (passed["allowed"], passed["label"], passed["chain_pins"]) == (True, "2026 key", None)
    assert (refused["outcome"], refused["chain_pins"]) == ("mismatch", [str(cast.bad.pin)])
    assert (refused["allowed"], refused["pin"]) == (False, None)
    for record, shown in ((passed, cast.good), (refused, cast.bad)):
        assert record["host"] == HOST
        not_after = datetime.fromisoformat(record["not_after"])
        assert not_after == shown.certificate.not_valid_after_utc
        when = datetime.fromisoformat(record["time"])
        assert abs((when - before).total_seconds()) < 60


def test_an_approved_interception_is_always_recorded(path: Path, cast: Cast) -> None:
    """With the authority's pin and those of the chain."""
    policy = PinPolicy({HOST: PinSet(cast.good.pin, None)}, interception=cast.interceptor.pin)
    ours = cast.pinned(policy, on_verdict=RecordLog(path, window=0))
    for _ in range(3):
        assert say_secret(Wire(ours, server(cast.intercepted)))[0] is None
    assert [record["outcome"] for record in lines(path)] == ["approved-interception"] * 3
    assert lines(path)[0]["pin"] == str(cast.interceptor.pin)
    assert lines(path)[0]["chain_pins"] == [str(cast.intercepted.pin), str(cast.interceptor.pin)]


# --- repeats --------------------------------------------------------------------------------------


def test_repeats_within_the_window_are_folded_into_a_count(path: Path, clock: Clock) -> None:
    """The first is written at once, the number of the others when the window has ended."""
    log = RecordLog(path, window=60, clock=clock)
    for seconds in (0, 1, 58.9):
        clock.advance(seconds)
        log(a_verdict(time=NOW + seconds))
    assert [record["repeats"] for record in lines(path)] == [0]
    clock.advance(0.1)
    log(a_verdict("b.example"))
    assert [(r["host"], r["repeats"]) for r in lines(path)] == [
        ("a.example", 0),
        ("a.example", 2),
        ("b.example", 0),
    ]
    assert lines(path)[1]["time"].startswith("2026-02-03T04:06:05")  # when the last one came
    log(a_verdict())
    assert [(r["host"], r["repeats"]) for r in lines(path)[3:]] == [("a.example", 0)]


def test_close_writes_what_was_folded(path: Path, clock: Clock) -> None:
    """Once; and the log can be used on."""
    with RecordLog(path, clock=clock) as log:
        for _ in range(5):
            log(a_verdict())
    assert [record["repeats"] for record in lines(path)] == [0, 4]
    log.close()
    log(a_verdict())
    log.close()
    assert [record["repeats"] for record in lines(path)] == [0, 4, 0]


@pytest.mark.parametrize(
    "other",
    [
        {"host": "b.example"},
        {"outcome": Outcome.UNLISTED},
        {"allowed": True},
        {"pin": a_pin(1)},
        {"chain_pins": (a_pin(2),)},
    ],
    ids=lambda other: next(iter(other)),
)
def test_what_differs_is_no_repeat(path: Path, clock: Clock, other: dict[str, Any]) -> None:
    """Another host, outcome or key is news; another moment is not."""
    log = RecordLog(path, clock=clock)
    log(a_verdict())
    log(a_verdict(time=NOW + 1))
    assert len(lines(path)) == 1
    log(a_verdict()._replace(**other))
    assert len(lines(path)) == 2


def test_without_a_window_nothing_is_folded(path: Path, clock: Clock) -> None:
    """Every verdict has its line."""
    with RecordLog(path, window=0, clock=clock) as log:
        for _ in range(3):
            log(a_verdict())
    assert [record["repeats"] for record in lines(path)] == [0, 0, 0]


@patient
@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 40)), max_size=30))
def test_no_verdict_is_lost_or_counted_twice(
    tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[int, float]]
) -> None:
    """The lines with their counts add up to what was reported, host by host."""
    path, clock = tmp_path_factory.mktemp("records") / "records.jsonl", Clock()
    with RecordLog(path, clock=clock) as log:
        for host, seconds in calls:
            clock.advance(seconds)
            log(a_verdict(f"{host}.example"))
    told = Counter[str]()
    for record in lines(path) if calls else []:
        told[record["host"]] += record["repeats"] or 1
    assert told == Counter(f"{host}.example" for host, _ in calls)


def test_many_hosts_at_once_are_not_remembered_for_ever(path: Path, clock: Clock) -> None:
    """A flood of names takes no memory without end, and is counted all the same."""
    with RecordLog(path, clock=clock) as log:
        for host in range(3000):
            for _ in range(2):
                log(a_verdict(f"h{host}.example"))
        assert len(log._seen) <= 1100
    told = Counter(record["host"] for record in lines(path))
    assert set(told.values()) == {2}
    assert len(told) == 3000


# --- the file -------------------------------------------------------------------------------------


def test_the_file_is_rotated_by_its_size(path: Path) -> None:
    """No file is longer than it may be, the older one has .1 at its end, and no line is cut."""
    log = RecordLog(path, max_bytes=2000, window=0)
    for number in range(30):
        log(a_verdict(f"h{number}.example"))
    older = path.with_name("records.jsonl.1")
    hosts = [record["host"] for file in (older, path) for record in lines(file)]
    assert hosts == [f"h{number}.example" for number in range(30 - len(hosts), 30)]
    assert 1000 < older.stat().st_size <= 2000
    assert 0 < path.stat().st_size <= 2000
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name, older.name]


def test_a_line_that_is_longer_than_a_file_may_be_is_written_whole(path: Path) -> None:
    """Into a file of its own."""
    log = RecordLog(path, max_bytes=10, window=0)
    log(a_verdict("a.example"))
    log(a_verdict("b.example"))
    assert [record["host"] for record in lines(path)] == ["b.example"]
    assert [r["host"] for r in lines(path.with_name("records.jsonl.1"))] == ["a.example"]


def test_a_file_that_was_moved_away_is_begun_anew(path: Path) -> None:
    """As by a program that rotates logs itself."""
    log = RecordLog(path, window=0)
    log(a_verdict("a.example"))
    path.rename(path.with_suffix(".moved"))
    log(a_verdict("b.example"))
    assert [record["host"] for record in lines(path)] == ["b.example"]


def test_a_rotated_file_keeps_its_mode(path: Path) -> None:
    """Who may read the log today may read it tomorrow; nobody else may."""
    path.touch()
    path.chmod(0o640)
    log = RecordLog(path, max_bytes=400, window=0)
    for number in range(5):
        log(a_verdict(f"h{number}.example"))
    older = path.with_name("records.jsonl.1")
    assert [file.stat().st_mode & 0o777 for file in (path, older)] == [0o640, 0o640]


def where_nothing_can_be_made(program: str, folder: Path) -> str:
    """What the program says in a folder that cannot be written to."""
    folder.chmod(0o555)
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    folder.chmod(0o755)
    assert ran.returncode == 0, ran.stderr
    return ran.stderr


IN_A_FOLDER_OF_OTHERS = """
import logging, os
from pinsock import Outcome, RecordLog, Verdict
if os.geteuid() == 0:
    os.chown("records.jsonl", 65534, 65534)
    os.setuid(65534)  # root may write everywhere
logging.basicConfig()
log = RecordLog("records.jsonl", max_bytes=700, window=0)
for number in range(20):
    log(Verdict(f"h{number}.example", Outcome.MISMATCH, False, None, None, 0.0))
"""


def test_where_the_folder_is_not_writable_the_file_grows_on() -> None:
    """A log is larger than was asked for rather than at its end; that is logged once."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        path = Path(name) / "records.jsonl"
        path.touch()
        said = where_nothing_can_be_made(IN_A_FOLDER_OF_OTHERS, path.parent)
        assert said.count("cannot be renamed") == 1
        assert "could not be written" not in said
        assert [record["host"] for record in lines(path)] == [f"h{n}.example" for n in range(20)]


@pytest.mark.parametrize("max_bytes", [10_000, 30], ids=["the same file", "rotated"])
def test_a_line_that_was_torn_by_a_crash_spoils_no_other(path: Path, max_bytes: int) -> None:
    """The next one begins on a line of its own, and nothing that is whole is parted."""
    torn = b'{"time": "2026-01-01T00:00'
    path.write_bytes(torn)
    log = RecordLog(path, max_bytes=max_bytes, window=0)
    log(a_verdict("a.example"))
    if max_bytes == 30:
        assert path.with_name("records.jsonl.1").read_bytes() == torn
        assert [record["host"] for record in lines(path)] == ["a.example"]
        return
    log(a_verdict("b.example"))
    first, *others = path.read_bytes().splitlines()
    assert first == torn
    assert [json.loads(line)["host"] for line in others] == ["a.example", "b.example"]


def test_the_file_is_the_one_that_was_meant_at_first(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that changes its working folder writes on where it began."""
    monkeypatch.chdir(path.parent)
    log = RecordLog(path.name)
    elsewhere = path.parent / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    log(a_verdict())
    assert len(lines(path)) == 1
    assert not list(elsewhere.iterdir())


FILES, WRITERS, LINES = 25, 4, 20


def write_records(folder: Path, max_bytes: int, name: str, barrier: Barrier) -> None:
    """What each of several processes does, file by file, with the others at its side."""
    for file in range(FILES):
        log = RecordLog(folder / f"{file}.jsonl", max_bytes=max_bytes, window=0)
        barrier.wait(60)
        for number in range(LINES):
            log(a_verdict(f"{name}-{number}." + "x" * (number % 7 * 500)))


@pytest.mark.parametrize("max_bytes", [10_000_000, 100_000], ids=["one file", "rotated"])
def test_several_processes_never_mix_their_lines(tmp_path: Path, max_bytes: int) -> None:
    """Every line of every process is there, whole and once, even while one of them rotates."""
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(WRITERS)
    writers = [
        spawn.Process(target=write_records, args=(tmp_path, max_bytes, f"p{number}", barrier))
        for number in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(90)
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    everything = {f"p{writer}-{number}" for writer in range(WRITERS) for number in range(LINES)}
    for file in range(FILES):
        path, older = tmp_path / f"{file}.jsonl", tmp_path / f"{file}.jsonl.1"
        assert older.exists() is (max_bytes == 100_000)
        records = lines(path) + (lines(older) if older.exists() else [])
        told = Counter(record["host"].partition(".")[0] for record in records)
        assert told == Counter(everything)


def test_several_threads_never_mix_their_lines(path: Path) -> None:
    """With one log between them, and folding."""
    log = RecordLog(path, window=3600)

    def report() -> None:
        for number in range(100):
            log(a_verdict(f"h{number % 10}.example"))

    threads = [threading.Thread(target=report) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    log.close()
    told = Counter[str]()
    for record in lines(path):
        told[record["host"]] += record["repeats"] or 1
    assert told == Counter({f"h{number}.example": 40 for number in range(10)})


# --- a file that cannot be written ----------------------------------------------------------------


def errors(log: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in log.records if r.levelno == logging.ERROR]


def full_disk(_: Path) -> str:
    return "/dev/full"


def no_folder(path: Path) -> str:
    return str(path / "gone" / "records.jsonl")


def a_folder(path: Path) -> str:
    path.mkdir()
    return str(path)


def beneath_a_file(path: Path) -> str:
    path.write_bytes(b"")
    return str(path / "records.jsonl")


@pytest.mark.parametrize("where", [full_disk, no_folder, a_folder, beneath_a_file])
def test_a_record_that_cannot_be_written_changes_no_verdict(
    path: Path,
    log: pytest.LogCaptureFixture,
    cast: Cast,
    where: Callable[[Path], str],
) -> None:
    """Who is let through is let through, who is refused is refused, and it is logged once."""
    records = RecordLog(where(path), window=0)
    ours = cast.pinned(PinPolicy({HOST: PinSet(cast.good.pin, None)}), on_verdict=records)
    for _ in range(3):
        assert say_secret(Wire(ours, server(cast.good)))[0] is None
        error, report = say_secret(Wire(ours, server(cast.bad)))
        assert isinstance(error, PinMismatchError)
        assert error.__cause__ is None
        assert report.got_nothing()
    records.close()
    [told] = errors(log)
    assert str(records.path) in told


@pytest.mark.usefixtures("raising_log")
@pytest.mark.parametrize("where", [full_disk, no_folder])
def test_not_even_if_the_log_raises_as_well(
    path: Path, cast: Cast, where: Callable[[Path], str]
) -> None:
    """A full disk often takes the log along."""
    records = RecordLog(where(path))
    ours = cast.pinned(PinPolicy({HOST: PinSet(cast.good.pin, None)}), on_verdict=records)
    assert say_secret(Wire(ours, server(cast.good)))[0] is None
    records.close()


def test_a_file_that_can_be_written_again_is(path: Path, log: pytest.LogCaptureFixture) -> None:
    """Every verdict tries anew; what could not be told is counted, and told then; and after a
    recovery the next fault is logged again."""
    records = RecordLog(path / "records.jsonl", window=0)
    for number in (1, 2):
        for _ in range(3):
            records(a_verdict("lost.example"))
        assert len(errors(log)) == number
        path.mkdir()
        records(a_verdict(f"h{number}.example"))
        records(a_verdict(f"h{number}.example"))
        assert [(r["host"], r["repeats"]) for r in lines(records.path)] == [
            ("lost.example", 3),
            (f"h{number}.example", 0),
            (f"h{number}.example", 0),
        ]
        records.path.unlink()
        path.rmdir()
    assert len(errors(log)) == 2


READ_ONLY = """
import logging, os
from pinsock import Outcome, RecordLog, Verdict
if os.geteuid() == 0:
    os.setuid(65534)  # root may write everywhere
logging.basicConfig()
log = RecordLog("records.jsonl", window=0)
for host in "abc":
    log(Verdict(host, Outcome.MISMATCH, False, None, None, 0.0))
"""


def test_a_read_only_file_is_left_as_it_is(path: Path) -> None:
    """And it is logged once, in a process that may read it but not write."""
    path.write_bytes(b'{"host": "old"}\n')
    path.chmod(0o444)
    said = where_nothing_can_be_made(READ_ONLY, path.parent)
    assert said.count("could not be written") == 1
    assert "Traceback" not in said
    assert path.read_bytes() == b'{"host": "old"}\n'


SHORT_OF_SPACE = """
import logging, resource, signal, sys
from pinsock import Outcome, RecordLog, Verdict
logging.basicConfig()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = RecordLog(sys.argv[1], window=0)
verdict = Verdict("a.example", Outcome.MISMATCH, False, None, None, 0.0)
log(verdict)
size = log.path.stat().st_size
limit = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, limit))  # room for a part of a line
log(verdict)
log(verdict)
assert log.path.stat().st_size == size, "half a line was left"
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
log(verdict)
"""


def test_a_disk_that_fills_up_within_a_line_leaves_no_half_of_it(path: Path) -> None:
    """What was begun is taken back, so that the next line stands alone when there is room again."""
    ran = subprocess.run(
        [sys.executable, "-c", SHORT_OF_SPACE, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("could not be written") == 1
    assert [record["repeats"] for record in lines(path)] == [0, 2, 0]


def test_a_first_record_that_could_not_be_written_is_no_repeat_the_next_time(
    path: Path, clock: Clock
) -> None:
    """It is written as soon as it can be, not when the window has ended, and no one is missing."""
    with RecordLog(path / "records.jsonl", clock=clock) as log:
        log(a_verdict())
        log(a_verdict())
        path.mkdir()
        log(a_verdict(time=NOW + 3))
        [record] = lines(log.path)
        assert record["repeats"] == 0
        assert record["time"].endswith("04:05:09.789+00:00")
    assert [record["repeats"] for record in lines(log.path)] == [0, 2]


def test_a_count_that_could_not_be_written_is_kept(path: Path, clock: Clock) -> None:
    """Whether its window had ended or the log was closed."""
    log = RecordLog(path, clock=clock)
    for _ in range(5):
        log(a_verdict())
    aside = path.with_suffix(".aside")
    path.rename(aside)
    path.mkdir()
    clock.advance(60)
    log(a_verdict("b.example"))
    log.close()
    path.rmdir()
    aside.rename(path)
    log.close()
    assert [(r["host"], r["repeats"]) for r in lines(path)] == [
        ("a.example", 0),
        ("a.example", 4),
        ("b.example", 1),
    ]


@patient
@given(
    st.lists(st.tuples(st.integers(0, 3), st.floats(0, 40), st.booleans()), max_size=30),
    st.sampled_from([0.0, 60.0]),
)
def test_no_verdict_is_lost_while_the_file_cannot_be_written_now_and_then(
    tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[int, float, bool]], window: float
) -> None:
    """Once it can be written again, the lines add up to what was reported, host by host."""
    folder, clock = tmp_path_factory.mktemp("records"), Clock()
    aside = folder.with_suffix(".aside")
    log = RecordLog(folder / "records.jsonl", window=window, clock=clock)
    for host, seconds, writable in calls:
        clock.advance(seconds)
        if not writable:
            folder.rename(aside)
        log(a_verdict(f"{host}.example"))
        if not writable:
            aside.rename(folder)
    log.close()
    told = Counter[str]()
    for record in lines(log.path) if calls else []:
        told[record["host"]] += record["repeats"] or 1
    assert told == Counter(f"{host}.example" for host, _, _ in calls)


def test_a_file_that_another_process_keeps_locked_holds_nobody_up(
    path: Path, log: pytest.LogCaptureFixture, cast: Cast
) -> None:
    """As one that was stopped in the midst of its line: the first waits for half a second, the
    others not at all; it is logged once; and when the lock is gone, everything is told."""
    records = RecordLog(path)
    ours = cast.pinned(PinPolicy({HOST: PinSet(cast.good.pin, None)}), on_verdict=records)
    with path.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        begun = monotonic()
        assert isinstance(say_secret(Wire(ours, server(cast.bad)))[0], PinMismatchError)
        waited = monotonic()
        assert waited - begun > 0.4
        for _ in range(20):
            assert say_secret(Wire(ours, server(cast.good)))[0] is None
        assert monotonic() - waited < 10  # and not twenty times half a second
        [told] = errors(log)
        assert "locked" in told
    records.close()
    assert [(r["outcome"], r["repeats"]) for r in lines(path)] == [("mismatch", 1), ("matched", 20)]


def test_a_fifo_in_the_place_of_the_file_holds_nobody_up(
    path: Path, log: pytest.LogCaptureFixture
) -> None:
    """Which nobody reads, so that opening it would wait for ever."""
    os.mkfifo(path)
    RecordLog(path)(a_verdict())
    assert len(errors(log)) == 1


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b"])
def test_a_name_that_no_file_can_have_changes_no_verdict(
    tmp_path: Path, log: pytest.LogCaptureFixture, name: str
) -> None:
    """Such names raise other errors than OSError."""
    records = RecordLog(tmp_path / name / name)
    for _ in range(3):
        records(a_verdict())
    records.close()
    assert len(errors(log)) == 1


def test_a_verdict_that_cannot_be_written_down_changes_nothing(
    path: Path, log: pytest.LogCaptureFixture
) -> None:
    """A time that no calendar has, say; the others are written."""
    records = RecordLog(path)
    records(a_verdict(time=1e300))
    records(a_verdict())
    assert len(lines(path)) == 1
    assert len(errors(log)) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"max_bytes": 0},
        {"max_bytes": "1"},
        {"window": -1},
        {"window": "60"},
        {"window": float("nan")},
    ],
)
def test_a_log_that_could_not_work_is_refused(path: Path, settings: dict[str, Any]) -> None:
    """When it is made, since later nobody would be told."""
    with pytest.raises((TypeError, ValueError)):
        RecordLog(path, **settings)


# --- at any moment --------------------------------------------------------------------------------


def test_a_report_in_the_midst_of_a_report_is_written_after_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As from a signal handler, or another thread: neither waits, and both have their line."""
    log, write = RecordLog(path), RecordLog._write

    def write_and_report(self: RecordLog, line: bytes) -> None:
        monkeypatch.setattr(RecordLog, "_write", write)
        log(a_verdict("from.handler.example"))
        thread = threading.Thread(target=log, args=[a_verdict("from.thread.example")])
        thread.start()
        thread.join(20)
        assert not thread.is_alive()
        assert not path.exists()
        write(self, line)

    monkeypatch.setattr(RecordLog, "_write", write_and_report)
    log(a_verdict())
    assert [record["host"] for record in lines(path)] == [
        "a.example",
        "from.handler.example",
        "from.thread.example",
    ]


def test_an_interrupted_report_stops_no_other(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control-C while a line is written; it is counted, and the next one is written."""
    log, write = RecordLog(path), RecordLog._write

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(RecordLog, "_write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        log(a_verdict())
    monkeypatch.setattr(RecordLog, "_write", write)
    log(a_verdict("b.example"))
    log.close()
    assert {(r["host"], r["repeats"]) for r in lines(path)} == {("b.example", 0), ("a.example", 1)}


def test_a_turn_that_was_never_ended_is_over_in_the_end(
    path: Path, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interruption can come where nothing catches it; what came meanwhile is written then."""
    clock = Clock()
    monkeypatch.setattr(_records, "monotonic", clock)
    records = RecordLog(path)
    assert records._turn.take()
    assert _records._said._turn.take()
    for number in range(3):
        records(a_verdict(f"h{number}.example"))
        log_verdict(a_verdict(f"h{number}.example"))
        clock.advance(3.0)
    assert not path.exists()
    clock.advance(1.0)
    records(a_verdict("last.example"))
    for _ in range(2):
        log_verdict(a_verdict("last.example"))
    hosts = ["h0.example", "h1.example", "h2.example", "last.example"]
    assert [record["host"] for record in lines(path)] == hosts
    assert [record.getMessage().split()[0] for record in log.records] == hosts


def test_close_waits_for_no_turn_that_is_never_ended(path: Path) -> None:
    """The program may be at its end, and what was folded would be lost."""
    log = RecordLog(path)
    for _ in range(3):
        log(a_verdict())
    assert log._turn.take()
    log(a_verdict())
    log.close()
    assert [record["repeats"] for record in lines(path)] == [0, 3]


def test_what_waits_takes_no_memory_without_end(path: Path, log: pytest.LogCaptureFixture) -> None:
    """As while a file server does not answer: from some number on they are lost, and it is said."""
    records = RecordLog(path)
    turn = records._turn.take()
    for number in range(3000):
        records(a_verdict(f"h{number}.example"))
    assert len(errors(log)) == 1
    records._turn.end(turn)
    records.close()
    assert len(lines(path)) == 1024


def test_no_thread_writes_for_the_others_without_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread whose turn it is leaves after 64 lines; the next one, or close(), writes on."""
    log, write = RecordLog(path, window=0), RecordLog._write
    coming = iter(range(1000))

    def write_while_others_come(self: RecordLog, line: bytes) -> None:
        for number in itertools.islice(coming, 2):
            log(a_verdict(f"h{number}.example"))
        write(self, line)

    monkeypatch.setattr(RecordLog, "_write", write_while_others_come)
    log(a_verdict("first.example"))
    assert len(lines(path)) == 64
    log(a_verdict("second.example"))
    assert len(lines(path)) == 128
    monkeypatch.setattr(RecordLog, "_write", write)
    log.close()
    told = Counter(record["host"] for record in lines(path))
    hosts = [f"h{number}.example" for number in range(256)]
    assert told == Counter([*hosts, "first.example", "second.example"])


def test_a_slow_disk_keeps_no_thread_for_long(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After half a second it leaves, however few lines it has written."""
    clock = Clock()
    monkeypatch.setattr(_records, "monotonic", clock)
    log, write = RecordLog(path, window=0), RecordLog._write
    turn = log._turn.take()
    for number in range(20):
        log(a_verdict(f"h{number}.example"))
    log._turn.end(turn)

    def write_slowly(self: RecordLog, line: bytes) -> None:
        clock.advance(0.125)
        write(self, line)

    monkeypatch.setattr(RecordLog, "_write", write_slowly)
    log(a_verdict("last.example"))
    assert [record["host"] for record in lines(path)] == [f"h{n}.example" for n in range(4)]
    log.close()
    assert len(lines(path)) == 21


def test_a_full_queue_is_written_by_the_next_who_comes(
    path: Path, log: pytest.LogCaptureFixture
) -> None:
    """Nobody has a turn, and the one that finds no room makes some."""
    records = RecordLog(path, window=0)
    turn = records._turn.take()
    for number in range(1024):
        records(a_verdict(f"h{number}.example"))
    records._turn.end(turn)
    records(a_verdict("lost.example"))
    assert len(errors(log)) == 1
    records(a_verdict("last.example"))
    records.close()
    assert [r["host"] for r in lines(path)] == [
        *(f"h{number}.example" for number in range(1024)),
        "last.example",
    ]


def test_that_records_are_lost_is_logged_once_until_it_is_over(
    path: Path, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More come than the disk can take, though each line that is tried is written."""
    records, write = RecordLog(path, window=0), RecordLog._write
    for number in (1, 2):

        def write_while_many_come(self: RecordLog, line: bytes) -> None:
            for _ in range(1100):
                records(a_verdict())
            write(self, line)

        monkeypatch.setattr(RecordLog, "_write", write_while_many_come)
        for _ in range(3):
            records(a_verdict())
        assert len(errors(log)) == number
        assert "lost" in errors(log)[-1]
        monkeypatch.setattr(RecordLog, "_write", write)
        records.close()


STORM = """
import random, signal, sys, threading
from pinsock import Outcome, RecordLog, Verdict
from pinsock._records import log_verdict

log, told, finished = RecordLog(sys.argv[1], window=0.001), [0], False

def report(*_):
    told[0] += 1
    verdict = Verdict(f"h{told[0] % 3}.example", Outcome.MISMATCH, False, None, None, 0.0)
    log(verdict)
    log_verdict(verdict)
    if not finished:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00002, 0.0005))

signal.signal(signal.SIGALRM, report)
report()
while told[0] < 3000:
    report()
finished = True
signal.signal(signal.SIGALRM, signal.SIG_IGN)
print(told[0])
"""


def test_a_storm_of_signals_deadlocks_nothing_and_loses_nothing(path: Path) -> None:
    """The handler reports as well, at any moment of a report that it interrupts."""
    ran = run(STORM, path)
    told = sum(record["repeats"] or 1 for record in lines(path))
    assert told == int(ran)


def run(program: str, path: Path) -> str:
    """Run it in a process of its own, which must end well; what it printed."""
    ran = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


BEGIN = """
import os, sys, threading, time
from pinsock import Outcome, RecordLog, Verdict, _records, _verify

def verdict(host="a.example"):
    return Verdict(host, Outcome.MISMATCH, False, None, None, 0.0)

log = RecordLog(sys.argv[1])
for _ in range(5):
    log(verdict())
"""
ENDINGS = {
    "returns": "",
    "exits": "sys.exit()",
    "fails": "sys.excepthook = lambda *_: None\ntry:\n    1 / 0\nfinally:\n    sys.exit(0)",
    "lets go of it": "del log\nassert len(open(sys.argv[1]).readlines()) == 2\nos._exit(0)",
    "lets go of it in a cycle": (
        "import gc\nlog.itself = log\ndel log\ngc.collect()\n"
        "assert len(open(sys.argv[1]).readlines()) == 2\nos._exit(0)"
    ),
}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_what_was_folded_is_written_however_the_program_ends(path: Path, ending: str) -> None:
    """Without close()."""
    run(BEGIN + ending, path)
    assert [record["repeats"] for record in lines(path)] == [0, 4]


FORK = """
turn = log._turn.take()
said = _records._said._turn.take()
_verify._warnings_lock.acquire()
child = os.fork()
if child:
    log._turn.end(turn)
    assert os.waitpid(child, 0)[1] == 0
else:
    # In the midst of another thread's turn, as far as the child knows.
    assert _records._said._turn.take()
    locks = []
    thread = threading.Thread(target=lambda: locks.append(_verify._warnings_lock.acquire(False)))
    thread.start()
    thread.join(20)
    assert locks == [True]
    for _ in range(3):
        log(verdict())
        log(verdict("child.example"))
"""


def test_after_a_fork_each_process_tells_of_its_own_verdicts(path: Path) -> None:
    """The child has neither its parent's counts nor its turns, which nobody there would end."""
    run(BEGIN + FORK, path)
    told = Counter[str]()
    for record in lines(path):
        told[record["host"]] += record["repeats"] or 1
    assert told == {"a.example": 5 + 3, "child.example": 3}


FORK_WHILE_WRITING = """
write = os.write
def fork_and_write(file, line):
    global child
    os.write = write
    child = os.fork()
    if not child:
        os.read(reading, 1)  # it lives on, and does nothing
        os._exit(0)
    return write(file, line)

reading, writing = os.pipe()
os.write = fork_and_write
log(verdict("b.example"))
log(verdict("c.example"))
assert not log._troubles
os.write(writing, b"x")
os.waitpid(child, 0)
"""


def test_a_child_that_was_forked_while_a_line_was_written_keeps_no_lock(path: Path) -> None:
    """It has the file open too, and would keep it locked for as long as it lives."""
    run(BEGIN + FORK_WHILE_WRITING, path)
    assert [r["host"] for r in lines(path)] == ["a.example", "b.example", "c.example", "a.example"]


@pytest.mark.parametrize("report", ["record", "log"])
def test_no_certificates_are_kept(path: Path, report: str) -> None:
    """However many hosts there are, and however large what the peer has shown."""
    log = RecordLog(path)
    verdicts = (a_verdict(f"h{n}.example", certificate=bytes(20_000)) for n in range(1024))
    log(a_verdict(certificate=b"0"))
    tracemalloc.start()
    try:
        for verdict in verdicts:
            log(verdict) if report == "record" else log_verdict(verdict)
        del verdict
        megabytes = tracemalloc.get_traced_memory()[0] / 1e6
    finally:
        tracemalloc.stop()
    assert megabytes < 3


# --- the log --------------------------------------------------------------------------------------

LEVELS = {
    Outcome.MATCHED: logging.DEBUG,
    Outcome.MATCHED_BACKUP: logging.INFO,
    Outcome.APPROVED_INTERCEPTION: logging.WARNING,
    Outcome.MISMATCH: logging.WARNING,
    Outcome.EXPIRED: logging.WARNING,
    Outcome.UNLISTED: logging.WARNING,
}


@pytest.mark.parametrize("outcome", Outcome)
def test_each_outcome_has_its_level(log: pytest.LogCaptureFixture, outcome: Outcome) -> None:
    """With the host, what became of it, and the pin that matched or those that were shown."""
    log_verdict(a_verdict(outcome=outcome))
    log_verdict(a_verdict("b.example", outcome, pin=a_pin(2), allowed=True, label="2026 key"))
    one, other = log.records
    assert {one.levelno, other.levelno} == {LEVELS[outcome]}
    assert {one.name, other.name} == {"pinsock"}
    assert one.getMessage().startswith("a.example ")
    assert "refused" in one.getMessage()
    assert str(a_pin(1)) in one.getMessage()
    assert other.getMessage().startswith("b.example ")
    assert "let through" in other.getMessage()
    assert f"{a_pin(2)}, 2026 key" in other.getMessage()


@pytest.mark.parametrize("outcome", [Outcome.MATCHED_BACKUP, Outcome.MISMATCH, Outcome.UNLISTED])
def test_what_repeats_itself_is_logged_once_a_minute(
    log: pytest.LogCaptureFixture, log_clock: Clock, outcome: Outcome
) -> None:
    """But another host is another matter."""
    for _ in range(11):
        log_verdict(a_verdict(outcome=outcome))
    assert len(log.records) == 1
    log_verdict(a_verdict("b.example", outcome))
    assert len(log.records) == 2
    log_clock.advance(59.9)
    log_verdict(a_verdict(outcome=outcome))
    assert len(log.records) == 2
    log_clock.advance(0.1)
    log_verdict(a_verdict(outcome=outcome))
    assert len(log.records) == 3


@pytest.mark.parametrize("outcome", [Outcome.EXPIRED, Outcome.APPROVED_INTERCEPTION])
def test_expiry_and_interception_are_logged_each_time(
    log: pytest.LogCaptureFixture, outcome: Outcome
) -> None:
    """That a set is out of date, or that somebody listens, is not said often enough by once."""
    for _ in range(3):
        log_verdict(a_verdict(outcome=outcome))
    assert len(log.records) == 3


def test_connections_are_logged(log: pytest.LogCaptureFixture, cast: Cast) -> None:
    """A match says nothing; everything else one line, of its level."""
    pins = PinSet(cast.good.pin, cast.backup.pin)
    ours = cast.pinned(PinPolicy({HOST: pins}, interception=cast.interceptor.pin))
    first = [cast.good, cast.backup, cast.bad, cast.intercepted]
    for shown in [*first, cast.bad, cast.backup, cast.intercepted]:
        say_secret(Wire(ours, server(shown)))
    ours.pins = PinPolicy(
        {HOST: PinSet(cast.good.pin, None, expires="2020-01-01", on_expiry="unpinned")}
    )
    for _ in range(2):
        assert say_secret(Wire(ours, server(cast.good)))[0] is None
    ours.pins = PinPolicy({"another.example": pins}, unlisted="allow")
    for _ in range(2):
        assert say_secret(Wire(ours, server(cast.good)))[0] is None
    assert [(r.levelname, r.getMessage().split(";")[0]) for r in log.records] == [
        ("INFO", f"{HOST} matched a backup pin: the key in use has been changed"),
        ("WARNING", f"{HOST} matched no pin"),
        ("WARNING", f"{HOST} is intercepted, by an approved authority"),
        ("WARNING", f"{HOST} is intercepted, by an approved authority"),
        ("WARNING", f"{HOST} has a set of pins that has expired"),
        ("WARNING", f"{HOST} has a set of pins that has expired"),
        ("WARNING", f"{HOST} is not listed in the policy"),
    ]


@pytest.mark.parametrize("evil", ["a\nb", "\x1b[31mred", "\x00", "\x85\u2028", "x" * 5000])
def test_nothing_that_is_logged_can_forge_a_line(log: pytest.LogCaptureFixture, evil: str) -> None:
    """Host and label are escaped and cut."""
    log_verdict(a_verdict(evil, Outcome.EXPIRED, pin=a_pin(1), label=evil))
    told = log.records[0].getMessage()
    assert told.isascii()
    assert told.isprintable()
    assert len(told) < 500


@pytest.mark.usefixtures("raising_log")
def test_a_handler_of_the_log_that_raises_changes_no_verdict(cast: Cast) -> None:
    """Neither of those that are let through nor of those that are refused."""
    ours = cast.pinned(PinPolicy({HOST: PinSet(cast.good.pin, cast.backup.pin)}))
    assert say_secret(Wire(ours, server(cast.backup)))[0] is None
    error, report = say_secret(Wire(ours, server(cast.bad)))
    assert isinstance(error, PinMismatchError)
    assert report.got_nothing()


# --- clients that try again -----------------------------------------------------------------------


def test_a_peer_that_shows_another_key_each_time_has_a_report_for_each(
    path: Path, log: pytest.LogCaptureFixture
) -> None:
    """Each of them is news, and may be needed; only what is the same is folded."""
    with RecordLog(path) as records:
        for number in range(11):
            verdict = a_verdict(chain_pins=(a_pin(number + 1),))
            records(verdict)
            log_verdict(verdict)
    assert [record["repeats"] for record in lines(path)] == [0] * 11
    assert len(log.records) == 11


def insistent_urllib3(ours: PinnedContext, address: tuple[str, int]) -> None:
    import urllib3

    with urllib3.HTTPSConnectionPool(
        *address,
        ssl_context=ours,
        server_hostname=HOST,
        retries=urllib3.Retry(10, backoff_factor=0),
    ) as pool:
        with pytest.raises(urllib3.exceptions.MaxRetryError) as caught:
            pool.request("GET", "/", preload_content=True)
        assert isinstance(caught.value.reason, urllib3.exceptions.SSLError)
        assert isinstance(caught.value.reason.args[0], PinMismatchError)


def insistent_redis(ours: PinnedContext, address: tuple[str, int]) -> None:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    pool = redis.ConnectionPool(
        connection_class=redis_connections(ours),
        host=address[0],
        port=address[1],
        retry=Retry(NoBackoff(), 10),
    )
    with redis.Redis(connection_pool=pool) as client, pytest.raises(redis.ConnectionError):
        client.ping()


@pytest.mark.parametrize("client", [insistent_urllib3, insistent_redis])
def test_a_client_that_tries_eleven_times_makes_one_report(
    path: Path,
    log: pytest.LogCaptureFixture,
    cast: Cast,
    client: Callable[[PinnedContext, tuple[str, int]], None],
) -> None:
    """One line in the log and one record, with a count at the end; the impostor gets nothing."""
    records = RecordLog(path)
    ours = cast.pinned(PinPolicy({HOST: PinSet(cast.good.pin, None)}), on_verdict=records)
    with serving(server(cast.bad)) as impostor:
        client(ours, impostor.address)
        assert all(impostor.report().got_nothing() for _ in range(11))
    assert [r.getMessage().split(";")[0] for r in log.records if r.name == "pinsock"] == [
        f"{HOST} matched no pin"
    ]
    assert [record["repeats"] for record in lines(path)] == [0]
    records.close()
    assert [record["repeats"] for record in lines(path)] == [0, 10]
