"""A policy that follows its file: by a clock that the tests move, and with no thread of its own."""

from __future__ import annotations

import itertools
import logging
import os
import subprocess
import sys
import tempfile
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
from support.contexts import server
from support.impostor import HOST
from support.wire import Wire

from pinsock import (
    InvalidPolicyError,
    PinMismatchError,
    PinPolicy,
    PinSet,
    PinWarning,
    PolicyFile,
    _policy,
)

from .tools import Clock, a_pin, a_set, pinned, say_secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from pinsock._throwaway import Authority, Credential

OLD, NEW, NEWER = (PinPolicy({"a.example": a_set(number)}) for number in (1, 2, 3))


class File:
    """A policy file, how it is written, and the policy that follows it."""

    def __init__(self, path: Path, clock: Clock, log: pytest.LogCaptureFixture) -> None:
        self.path = path
        self._clock = clock
        self._log = log
        self._writes = 0
        self.write(OLD.to_toml())
        self.follower = PolicyFile(path, clock=clock)

    def write(self, text: str | bytes) -> None:
        """In place, as an editor may do; each time at another time of day."""
        self.path.write_bytes(text.encode() if isinstance(text, str) else text)
        self._writes += 1
        os.utime(self.path, ns=(0, self._writes * 10**9))

    def put(self, text: str | bytes) -> None:
        """As a new file in the place of the old one."""
        new = self.path.with_suffix(".new")
        new.write_bytes(text.encode() if isinstance(text, str) else text)
        new.replace(self.path)

    def put_and_reload(self) -> None:
        """The newest one, in another thread."""
        self.put(NEWER.to_toml())
        in_a_thread(self.follower.reload)

    def become_a_folder(self) -> None:
        self.path.unlink()
        self.path.mkdir()

    def become_a_fifo(self) -> None:
        """Which nobody writes to, so that opening it would wait for ever."""
        new = self.path.with_suffix(".new")
        os.mkfifo(new)
        new.replace(self.path)

    def become_a_device(self) -> None:
        new = self.path.with_suffix(".new")
        new.symlink_to("/dev/null")
        new.replace(self.path)

    def create(self, text: str | bytes) -> None:
        """As a new file, where the old one was taken away first."""
        self.path.rename(self.path.with_suffix(".old"))  # so that its inode is not used again
        self.write(text)

    def append(self, text: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(text)
        self._writes += 1
        os.utime(self.path, ns=(0, self._writes * 10**9))

    def mend(self) -> None:
        """Put a good file there, and look."""
        if self.path.is_dir():
            self.path.rename(self.path.with_suffix(f".{self._writes}"))
        self._writes += 1
        self.put(NEW.to_toml())
        self.look()

    def look(self) -> PinPolicy:
        """A second later."""
        self._clock.advance(1.0)
        return self.follower.policy

    def logged(self) -> int:
        """How many errors were logged since the last time that this was asked."""
        number = sum(record.levelno == logging.ERROR for record in self._log.records)
        assert number == len(self._log.records)
        self._log.clear()
        return number


@pytest.fixture
def file(tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture) -> File:
    caplog.set_level(logging.DEBUG, "pinsock")
    return File(tmp_path / "policy.toml", clock, caplog)


# --- what is loaded, and when ---------------------------------------------------------------------


def test_a_renamed_file_is_loaded_at_once(file: File) -> None:
    """Who renames has written before, so the first look takes it."""
    file.put(NEW.to_toml())
    assert file.look() == NEW
    file.put(NEWER.to_toml())
    assert file.look() == NEWER
    assert file.logged() == 0


def test_a_file_that_is_written_to_is_loaded_after_two_equal_looks(file: File) -> None:
    """A writer may not have finished, so what is seen once waits for a second look."""
    file.write(NEW.to_toml())
    assert file.look() == OLD
    assert file.look() == NEW
    file.write(NEWER.to_toml())
    assert file.look() == NEW
    file.write(OLD.to_toml())  # looks again, and differ: two equal ones are still needed
    assert file.look() == NEW
    assert file.look() == OLD
    assert file.logged() == 0


def test_two_looks_at_the_same_time_are_one(file: File, clock: Clock) -> None:
    """Two threads can look at once, and both see half a file; a second must have passed between."""
    file.write(NEW.to_toml())
    assert file.look() == OLD
    for seconds in (0.0, 0.5, 0.499):
        clock.advance(seconds)
        file.follower._look(clock())
        assert file.follower.policy == OLD
    clock.advance(0.001)
    file.follower._look(clock())
    assert file.follower.policy == NEW


def test_a_file_that_is_made_anew_is_never_read_half_written(file: File) -> None:
    """Taken away, made again and written bit by bit: whatever a look sees of it, nothing is loaded
    before it is whole, and nothing is logged, since it was no fault."""
    text = PinPolicy({"a.example": a_set(2), "b.example": a_set(3)}).to_toml().encode()
    step = len(text) // 40
    file.create(b"")
    for start in range(0, len(text) - step, step):
        assert file.look() == OLD
        file.append(text[start : start + step])
    file.append(text[start + step :])
    assert file.look() == OLD  # it was written to since the last look
    assert len(file.look()) == 2
    assert file.logged() == 0


@pytest.mark.parametrize("looks", [1, 3])
def test_a_file_that_is_renamed_where_none_was_is_loaded_at_once(file: File, looks: int) -> None:
    """However long there was none, and even if the inode is that of the old file."""
    for policy in (NEW, NEWER):
        file.path.unlink()
        for _ in range(looks):
            file.look()
        file.put(policy.to_toml())
        assert file.look() == policy
        assert file.logged() == 1
    file.path.unlink()
    file.look()
    file.write(NEW.to_toml())
    assert file.look() == NEW


def test_a_change_of_the_same_length_is_seen(file: File) -> None:
    """The time of writing tells, where the size does not."""
    assert len(NEW.to_toml()) == len(OLD.to_toml())
    file.write(NEW.to_toml())
    file.look()
    assert file.look() == NEW


def test_the_file_is_looked_at_once_a_second_at_most(
    file: File, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many connections ask in between; and the second begins with the look."""
    looks: list[PolicyFile] = []
    look = PolicyFile._look

    def count_and_look(policy_file: PolicyFile, now: float) -> None:
        looks.append(policy_file)
        look(policy_file, now)

    monkeypatch.setattr(PolicyFile, "_look", count_and_look)
    file.put(NEW.to_toml())
    for seconds, expected in ((0.0, 0), (0.999, 0), (0.001, 1), (0.5, 1), (0.499, 1), (0.001, 2)):
        clock.advance(seconds)
        for _ in range(10):
            assert file.follower.match("a.example") == a_set(2 if expected else 1)
        assert len(looks) == expected


def test_a_file_that_has_not_changed_is_not_read_again(
    file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look is a stat, and no more."""
    policy = file.look()
    monkeypatch.setattr(_policy, "_load", None)
    assert all(file.look() is policy for _ in range(5))


def test_following_a_file_takes_no_thread(file: File) -> None:
    """It looks when it is asked, and in the thread that asks."""
    before = threading.enumerate()
    file.put(NEW.to_toml())
    assert file.look() == NEW
    assert threading.enumerate() == before


def test_what_one_thread_loads_all_threads_have(file: File) -> None:
    """Each of many threads gets a whole policy, the old one or the new."""
    file.put(NEW.to_toml())
    seen: list[PinPolicy] = []
    threads = [threading.Thread(target=lambda: seen.append(file.look())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(seen) == 8
    assert all(policy in (OLD, NEW) for policy in seen)
    assert file.look() == NEW


# --- what is not ----------------------------------------------------------------------------------

SPOILS: dict[str, Callable[[File], None]] = {
    "vanished": lambda file: file.path.unlink(),
    "a folder": lambda file: file.become_a_folder(),
    "a FIFO": lambda file: file.become_a_fifo(),
    "a device": lambda file: file.become_a_device(),
    "empty": lambda file: file.write(b""),
    "empty, renamed": lambda file: file.put(b""),
    "white space": lambda file: file.write(b"\n\n"),
    "truncated": lambda file: file.write(OLD.to_toml()[:-20]),
    "truncated, renamed": lambda file: file.put(OLD.to_toml()[:-20]),
    "not UTF-8": lambda file: file.put(b"# \xff\n" + NEW.to_toml().encode()),
    "not TOML": lambda file: file.put("policy = {"),
    "NUL bytes": lambda file: file.put(bytes(100)),
    "faults": lambda file: file.put("[[pin]]\nhost = 'b.example'\n" + NEW.to_toml()),
    "cut between its tables": lambda file: file.put(NEW.to_toml().replace("\n[end]", "")),
    "cut, all open": lambda file: file.put(
        NEW.to_toml().replace("refuse", "allow").replace("\n[end]", "")
    ),
    "more after its end": lambda file: file.put(NEW.to_toml() + "note = 'x'\n"),
    "an address below zero": lambda file: file.put(NEW.to_toml().replace("a.example", "-1.2.3.4")),
    "arrays within arrays": lambda file: file.put("x = " + "[" * 20_000),
    "a number of 5,000 digits": lambda file: file.put("unlisted = " + "1" * 5000),
}


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS)
def test_a_bad_file_keeps_the_old_policy_and_is_logged_once(
    file: File, spoil: Callable[[File], None]
) -> None:
    """Whatever became of the file, what was loaded holds; and a good file ends it."""
    old = file.follower.policy
    spoil(file)
    assert all(file.look() is old for _ in range(5))
    assert file.logged() == 1
    with pytest.raises((InvalidPolicyError, OSError)):
        file.follower.reload()
    assert file.look() is old

    file.mend()
    assert file.follower.policy == NEW
    assert file.logged() == 0


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS)
def test_a_file_that_is_bad_again_is_logged_again(
    file: File, spoil: Callable[[File], None]
) -> None:
    """After a recovery the next fault is news."""
    for _ in range(2):
        spoil(file)
        for _ in range(3):
            file.look()
        assert file.logged() == 1
        file.mend()


def test_a_bad_file_that_is_mended_in_place_is_loaded(file: File) -> None:
    """After two equal looks, as every file that is written to."""
    file.put(b"not yet")
    assert file.look() == OLD
    assert file.look() == OLD
    file.write(NEW.to_toml())
    assert file.look() == OLD
    assert file.look() == NEW
    assert file.logged() == 1


def test_a_good_file_that_is_renamed_over_a_bad_one_is_loaded_at_once(file: File) -> None:
    """Even if it has the inode of the one that was loaded, which file systems soon use again."""
    aside = file.path.with_suffix(".aside")
    aside.hardlink_to(file.path)
    file.put(b"not TOML")
    assert file.look() == OLD
    aside.write_bytes(NEW.to_toml().encode())
    aside.replace(file.path)
    assert file.look() == NEW


def test_a_file_that_comes_back_as_it_was_is_no_news(file: File) -> None:
    """Moved away and back: the policy is as before, and the next time it is gone is told."""
    policy = file.follower.policy
    aside = file.path.with_suffix(".aside")
    for _ in range(2):
        file.path.rename(aside)
        assert file.look() is policy
        assert file.look() is policy
        assert file.logged() == 1
        aside.rename(file.path)
        assert file.look() == policy
        policy = file.follower.policy
        assert file.look() is policy
    assert file.logged() == 0


def test_a_file_that_is_written_while_it_is_read_is_not_taken(
    file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read may be half of one and half of another; the next look reads it whole."""
    file.put(NEW.to_toml())
    between(monkeypatch, before=lambda: file.write(NEWER.to_toml()))
    assert file.look() == OLD
    file.look()
    assert file.look() == NEWER
    assert file.logged() == 0


class Written:
    """Stands for a file that somebody writes to while it is read."""

    def __init__(self, file: Any, write: Callable[[], None]) -> None:
        self._file = file
        self._write = write

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def fileno(self) -> int:
        number: int = self._file.fileno()
        return number

    def read(self, size: int) -> bytes:
        data: bytes = self._file.read(size)
        self._write()
        return data


@pytest.mark.parametrize("read", ["from_file", "reload", "look"])
def test_what_was_written_to_while_it_was_read_is_not_taken(
    file: File, monkeypatch: pytest.MonkeyPatch, read: str
) -> None:
    """Its time has changed from before to after, so nobody knows what was read."""
    file.put(NEW.to_toml())
    monkeypatch.setattr(
        _policy,
        "open",
        lambda *how, **more: Written(
            open(*how, **more),  # noqa: SIM115 - Written closes it
            lambda: file.write(NEWER.to_toml()),
        ),
        raising=False,
    )
    if read == "look":
        assert file.look() == OLD
    else:
        call = (
            file.follower.reload if read == "reload" else (lambda: PinPolicy.from_file(file.path))
        )
        with pytest.raises(InvalidPolicyError, match="while it was read"):
            call()
    monkeypatch.undo()
    assert file.follower.policy == OLD
    assert file.follower.reload() == NEWER


def test_a_policy_may_come_through_a_pipe(tmp_path: Path) -> None:
    """Whose time and size change as it is read, and mean nothing."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_text(NEW.to_toml(), encoding="utf-8"))
    writer.start()
    assert PinPolicy.from_file(path) == NEW
    writer.join(20)


def between(
    monkeypatch: pytest.MonkeyPatch,
    *,
    before: Callable[[], object] = lambda: None,
    after: Callable[[], object] = lambda: None,
) -> None:
    """Have something happen between the next stat and what reads the file, or after it was read."""
    load = _policy._load

    def load_slowly(path: str, **how: Any) -> Any:
        monkeypatch.setattr(_policy, "_load", load)
        before()
        try:
            return load(path, **how)
        finally:
            after()

    monkeypatch.setattr(_policy, "_load", load_slowly)


def test_a_file_that_is_mended_while_the_bad_one_is_read_is_loaded(
    file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the bad file that was refused, not what has taken its place since."""
    file.put(b"half of it")
    file.look()
    between(monkeypatch, after=lambda: file.put(NEW.to_toml()))
    assert file.look() == OLD
    assert file.look() == NEW


def test_a_file_that_becomes_readable_is_loaded(
    file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Put there with the wrong mode, or in a moment without descriptors: it is no bad file, so each
    look tries again; and it is logged once for each thing that stood in the way."""
    reasons = iter([13, 13, 13, 24, 24, 13])

    def cannot_open(*_: object, **__: object) -> None:
        number = next(reasons)
        raise OSError(number, os.strerror(number), str(file.path))

    file.put(NEW.to_toml())
    with monkeypatch.context() as patched:
        patched.setattr(_policy, "open", cannot_open, raising=False)
        assert all(file.look() == OLD for _ in range(6))
        with pytest.raises(StopIteration):
            file.look()
    assert file.logged() == 3
    assert file.look() == NEW
    assert file.logged() == 0


WRONG_MODE = """
import logging, os, sys
from pinsock import PolicyFile
path, new, now = sys.argv[1], sys.argv[2], [0.0]
logging.basicConfig()
follower = PolicyFile(path, clock=lambda: now[0])
old = follower.policy
os.chmod(new, 0o000)
os.replace(new, path)
readable, tried = os.pipe(), os.pipe()
child = os.fork()
if child:
    os.close(tried[1])
    assert os.read(tried[0], 1)
    os.chmod(path, 0o644)
    os.write(readable[1], b"x")
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
if os.geteuid() == 0:
    os.setuid(65534)  # root may read everything
os.close(readable[1])

def look():
    now[0] += 1.0
    return follower.policy

for _ in range(5):
    assert look() is old
os.write(tried[1], b"x")
assert os.read(readable[0], 1)
look()
assert look() is not old, "the file that can be read was not loaded"
"""


def test_a_file_whose_mode_is_put_right_is_loaded() -> None:
    """Root writes it for itself alone, and says chmod later; the program is another user's."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        path, new = folder / "policy.toml", folder / "policy.new"
        path.write_text(OLD.to_toml(), encoding="utf-8")
        new.write_text(NEW.to_toml(), encoding="utf-8")
        ran = subprocess.run(
            [sys.executable, "-c", WRONG_MODE, path, new],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("cannot be loaded") == 1


@pytest.mark.parametrize("spoil", ["a FIFO", "a device"])
def test_only_a_regular_file_is_followed(file: File, spoil: str) -> None:
    """Nothing else is waited for: neither when the policy is made nor when it is loaded."""
    SPOILS[spoil](file)
    with pytest.raises(InvalidPolicyError, match=r"policy\.toml: not a regular file"):
        in_a_thread_or_raise(lambda: PolicyFile(file.path))
    with pytest.raises(InvalidPolicyError, match="not a regular file"):
        in_a_thread_or_raise(file.follower.reload)
    in_a_thread(file.look)
    assert file.look() == OLD


def test_a_change_that_hides_its_time_is_seen(file: File) -> None:
    """As of a program that copies the time of writing along: the inode's own time tells."""
    before = file.path.stat()
    file.write(NEW.to_toml())
    while file.path.stat().st_ctime_ns == before.st_ctime_ns:
        file.path.chmod(0o600)
    os.utime(file.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    file.look()
    assert file.look() == NEW


def test_a_look_that_failed_lets_no_half_file_in(
    file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stat that failed says nothing of the file, so what is written in place still waits for two
    equal looks."""

    def stale(*_: object, **__: object) -> None:
        raise OSError(116, "Stale file handle")

    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", stale)
        assert file.look() == OLD
    assert file.logged() == 1
    file.write(NEW.to_toml())
    assert file.look() == OLD
    assert file.look() == NEW


def test_the_file_is_the_one_that_was_meant_at_first(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that changes its working folder does not follow another one's policy."""
    for folder, policy in (("one", OLD), ("two", NEW)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "policy.toml").write_text(policy.to_toml(), encoding="utf-8")
    monkeypatch.chdir(tmp_path / "one")
    follower = PolicyFile("policy.toml", clock=clock)
    monkeypatch.chdir(tmp_path / "two")
    clock.advance(1.0)
    assert follower.policy == OLD
    assert follower.reload() == OLD


def test_a_file_with_very_many_faults_is_logged_in_short(
    file: File, caplog: pytest.LogCaptureFixture
) -> None:
    """The first ten, and how many more; the exception has them all."""
    sets = {f"h{number}.example": a_set(number + 1) for number in range(500)}
    file.put(PinPolicy(sets).to_toml().replace("sha256/", "sha257/"))
    file.look()
    file.look()
    told = caplog.records[0].getMessage()
    assert "policy.toml: 500 faults" in told
    assert "pin[9]." in told
    assert "pin[10]." not in told
    assert told.endswith("and 490 more")
    with pytest.raises(InvalidPolicyError, match=r"pin\[499\]") as caught:
        file.follower.reload()
    assert len(caught.value.faults) == 500


# --- two at once ----------------------------------------------------------------------------------


def test_an_older_load_does_not_undo_a_newer_one(
    file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look has read the file when it is replaced and loaded by hand; then the look comes back."""
    file.put(NEW.to_toml())
    between(monkeypatch, after=file.put_and_reload)
    assert file.look() == NEWER
    assert all(file.look() == NEWER for _ in range(3))


def test_an_older_reload_does_not_undo_a_newer_one(
    file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that began first has read the older file, comes back last, and gives what holds."""
    file.put(NEW.to_toml())
    between(monkeypatch, after=file.put_and_reload)
    assert file.follower.reload() == NEWER
    assert file.follower.policy == NEWER


def test_what_an_older_load_left_is_put_right_by_the_next_look(file: File) -> None:
    """The state of the file is kept with what was read from it, so a difference is always seen."""
    for policy in (NEW, NEWER):
        file.put(policy.to_toml())
        file.follower.reload()
    old = file.follower._loaded._replace(policy=OLD, signature=_policy._Signature(0, 0, 0, 0, 0))
    file.follower._loaded = old
    file.look()
    assert file.look() == NEWER


def test_a_signal_handler_may_ask_and_load_in_the_midst_of_a_look(
    file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no lock that its own thread could hold, and what it loads stays."""
    seen: list[PinPolicy] = []

    def handler() -> None:
        seen.append(file.look())
        file.put(NEWER.to_toml())
        seen.append(file.follower.reload())

    file.put(NEW.to_toml())
    between(monkeypatch, after=handler)
    assert file.look() == NEWER
    assert seen == [OLD, NEWER]


def test_others_have_the_old_policy_while_one_loads(
    file: File, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large file takes seconds, and is loaded by one connection, not by one each second."""
    seen: list[PinPolicy] = []

    def others() -> None:
        for _ in range(20):
            clock.advance(2.9)
            in_a_thread(lambda: seen.append(file.follower.policy))

    file.put(NEW.to_toml())
    between(monkeypatch, before=others)
    assert file.look() == NEW
    assert seen == [OLD] * 20


def test_a_look_that_never_ends_stops_no_other(
    file: File, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one in a thread that was ended, or on a file server that is gone; after a minute."""
    seen: list[PinPolicy] = []

    def others() -> None:
        clock.advance(60.0)
        in_a_thread(lambda: seen.append(file.follower.policy))

    file.put(NEW.to_toml())
    between(monkeypatch, before=others)
    file.look()
    assert seen == [NEW]


def test_an_interrupted_look_is_made_again(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control-C in the midst of it leaves the old policy, and the next look loads the new one."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    file.put(NEW.to_toml())
    between(monkeypatch, before=interrupt)
    with pytest.raises(KeyboardInterrupt):
        file.look()
    assert file.follower.policy == OLD
    assert file.look() == NEW


def test_threads_that_look_and_load_end_with_the_newest(tmp_path: Path) -> None:
    """Four threads replace the file and load it, four look; each finds what it put or newer."""
    path, clock = tmp_path / "policy.toml", Clock()
    texts = [PinPolicy({"a.example": a_set(n)}).to_toml() for n in range(1, 201)]
    path.write_text(texts[0], encoding="utf-8")
    follower = PolicyFile(path, clock=clock)
    numbers, lock = itertools.count(1), threading.Lock()
    failed: list[BaseException] = []

    def number_of(policy: PinPolicy) -> int:
        pins = policy.match("a.example")
        assert pins is not None
        return int.from_bytes(pins.pins[0].digest, "big") - 1

    def replace_and_load() -> None:
        try:
            while True:
                with lock:
                    number = next(numbers)
                    if number >= len(texts):
                        return
                    new = tmp_path / f"{number}.toml"
                    new.write_text(texts[number], encoding="utf-8")
                    new.replace(path)
                assert number_of(follower.reload()) >= number
                assert number_of(follower.policy) >= number
        except BaseException as error:  # it is raised again below, where pytest sees it
            failed.append(error)

    def look() -> None:
        for _ in range(500):
            clock.advance(1.0)
            assert number_of(follower.policy) < len(texts)

    threads = [threading.Thread(target=work) for work in [replace_and_load, look] * 4]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(interval)
    if failed:
        raise failed[0]
    assert number_of(follower.policy) == len(texts) - 1


FORK = """
import os, sys, threading
from pinsock import PolicyFile, _policy
path, new, now = sys.argv[1], sys.argv[2], [0.0]
follower = PolicyFile(path, clock=lambda: now[0])
old, load = follower.policy, _policy._load
begun, end = threading.Event(), threading.Event()

def wait_and_load(*what, **how):
    begun.set()
    end.wait(20)
    return load(*what, **how)

_policy._load = wait_and_load
os.replace(new, path)
now[0] += 1.0
thread = threading.Thread(target=lambda: follower.policy)
thread.start()
assert begun.wait(20)
child = os.fork()
if not child:
    _policy._load = load
    now[0] += 1.0
    os._exit(follower.policy == old)
end.set()
thread.join(20)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_process_that_was_forked_during_a_look_looks_again(tmp_path: Path) -> None:
    """The thread that looked lives on in the parent alone, and the child does not wait for it."""
    path, new = tmp_path / "policy.toml", tmp_path / "policy.new"
    path.write_text(OLD.to_toml(), encoding="utf-8")
    new.write_text(NEW.to_toml(), encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK, path, new],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def in_a_thread_or_raise(call: Callable[[], object]) -> None:
    """As in_a_thread(); what it raised is raised here."""
    raised: list[Exception] = []

    def catch() -> None:
        try:
            call()
        except Exception as error:
            raised.append(error)

    in_a_thread(catch)
    for error in raised:
        raise error


def in_a_thread(call: Callable[[], object]) -> None:
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()


@pytest.mark.usefixtures("raising_log")
def test_a_handler_of_the_log_that_raises_changes_nothing(file: File) -> None:
    """The policy that a connection asks for is there, whatever became of the message."""
    file.path.unlink()
    assert file.look() == OLD
    file.put(b"not TOML")
    assert file.look() == OLD
    assert file.look() == OLD


# --- by hand --------------------------------------------------------------------------------------


def test_reload_loads_at_once(file: File) -> None:
    """It waits for no clock and no second look, and takes what it took for loaded."""
    file.write(NEW.to_toml())
    policy = file.follower.reload()
    assert policy == NEW
    assert all(file.look() is policy for _ in range(3))
    file.write(NEWER.to_toml())
    assert file.look() == NEW
    assert file.follower.reload() == NEWER
    assert file.look() == NEWER


def test_reload_raises_and_keeps_the_policy(file: File) -> None:
    """Who asks is told; a connection meanwhile goes by the old policy."""
    old = file.follower.policy
    file.put(b"pin = 1")
    with pytest.raises(InvalidPolicyError, match=r"policy\.toml"):
        file.follower.reload()
    file.path.unlink()
    with pytest.raises(FileNotFoundError):
        file.follower.reload()
    assert file.follower.policy is old
    assert file.logged() == 0


def test_reload_may_run_in_a_thread_of_its_own(file: File) -> None:
    """While it reads, others have the old policy, and do not wait."""
    file.put(NEW.to_toml())
    thread = threading.Thread(target=file.follower.reload)
    thread.start()
    assert file.follower.policy in (OLD, NEW)
    thread.join(20)
    assert file.follower.policy == NEW


def test_a_file_is_linted_by_nobody_on_a_connection(file: File) -> None:
    """A set of one pin and no backup warns when the policy is made, not when it is loaded again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PinWarning)
        lonely = PinPolicy({"a.example": PinSet(a_pin(4))})
    file.put(lonely.to_toml())
    assert file.look() == lonely
    assert file.follower.reload() == lonely
    with pytest.warns(PinWarning, match=r"a\.example: one pin and no backup") as warned:
        PolicyFile(file.path)
    assert [warning.filename for warning in warned] == [__file__]


# --- connections ----------------------------------------------------------------------------------


def test_connections_go_by_the_file_of_their_moment(
    authority: Authority, good: Credential, bad: Credential, file: File, clock: Clock
) -> None:
    """A context that was given the file follows it, and a file that is gone unpins nothing."""
    file.put(PinPolicy({HOST: PinSet(good.pin, None)}).to_toml())
    clock.advance(1)
    context = pinned(file.follower, authority)
    waiting = Wire(context, server(good))

    file.put(PinPolicy({HOST: PinSet(bad.pin, None)}).to_toml())
    clock.advance(1)
    assert say_secret(Wire(context, server(bad)))[0] is None
    assert say_secret(waiting)[0] is None  # by the pins of the moment when it was wrapped

    file.path.unlink()
    clock.advance(1)
    error, report = say_secret(Wire(context, server(good)))
    assert isinstance(error, PinMismatchError)
    assert report.got_nothing()
    assert say_secret(Wire(context, server(bad)))[0] is None


def test_a_file_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """And does not fill the memory."""
    monkeypatch.setattr(_policy, "_LARGEST", 1_000_000)
    with pytest.raises(InvalidPolicyError, match="larger than 1 MB"):
        PinPolicy.from_file("/dev/zero")
