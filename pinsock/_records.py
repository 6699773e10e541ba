"""Records of what was checked: one JSON line a verdict, and the log.

Neither changes a verdict: what goes wrong here is logged once and otherwise swallowed.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import stat
import weakref
from collections import OrderedDict, deque
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final, Self

from pinsock._pins import sha256
from pinsock._text import safe_text
from pinsock._verify import Outcome, describe
from pinsock._version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from pinsock._verify import Verdict

try:
    import fcntl
except ImportError:  # Windows, where only the lines of one process are kept apart
    fcntl = None  # type: ignore[assignment]  # there is none on Windows

__all__ = ["RecordLog", "log_verdict"]

_logger: Final = logging.getLogger("pinsock")
_logger.addHandler(logging.NullHandler())  # what a program does not ask for is not printed

#: How many different verdicts are remembered at once, and how many may wait to be written.
_MOST: Final = 1024


class _Turn:
    """Whose turn it is to do what one thread at a time does.  Nobody waits for it.

    It is no lock, since a lock that an interruption or a fork left held would be held for ever, and
    a signal handler that asks for it in the midst of its own thread's turn would wait for ever.
    With the GIL nothing comes between the comparison and the assignment, which call nothing;
    without it two may have their turn at once, and at worst repeat a line.
    """

    #: After so many seconds it is over, whatever became of whoever had it.
    LONGEST: Final = 10.0

    def __init__(self) -> None:
        self._until = 0.0

    def take(self) -> float:
        """What :meth:`end` is given, or 0 if it is somebody else's turn."""
        now = monotonic()
        if now < self._until:
            return 0.0
        self._until = until = now + self.LONGEST
        return until

    def end(self, until: float) -> None:
        if self._until == until:
            self._until = 0.0


# --- the log --------------------------------------------------------------------------------------

_LEVELS: Final = {
    Outcome.MATCHED: logging.DEBUG,
    Outcome.MATCHED_BACKUP: logging.INFO,
    Outcome.APPROVED_INTERCEPTION: logging.WARNING,
    Outcome.MISMATCH: logging.WARNING,
    Outcome.EXPIRED: logging.WARNING,
    Outcome.UNLISTED: logging.WARNING,
}
#: A retrying client repeats the same failure, and one line tells it; but that a set has expired or
#: that somebody listens is said each time.
_SAID_ONCE: Final = (Outcome.MATCHED_BACKUP, Outcome.MISMATCH, Outcome.UNLISTED)
_SENTENCES: Final = {
    Outcome.MATCHED: "matched a pin",
    Outcome.MATCHED_BACKUP: "matched a backup pin: the key in use has been changed",
    Outcome.APPROVED_INTERCEPTION: "is intercepted, by an approved authority",
    Outcome.MISMATCH: "matched no pin",
    Outcome.EXPIRED: "has a set of pins that has expired",
    Outcome.UNLISTED: "is not listed in the policy",
}


class _Said:
    """What was said less than ``window`` seconds ago."""

    def __init__(self, window: float, clock: Callable[[], float]) -> None:
        self._window = window
        self._clock = clock
        self._turn = _Turn()
        #: By what was said: when.
        self._times: OrderedDict[Hashable, float] = OrderedDict()

    def again(self, what: Hashable) -> bool:
        """Whether it is a repeat.  Who does not get his turn at once says it."""
        turn = self._turn.take()
        if not turn:
            return False
        try:
            now = self._clock()
            while self._times:
                first, when = next(iter(self._times.items()))
                if now - when < self._window and len(self._times) <= _MOST:
                    break
                del self._times[first]
            if what in self._times:
                return True
            self._times[what] = now
            return False
        finally:
            self._turn.end(turn)


_said: Final = _Said(60.0, monotonic)


def log_verdict(verdict: Verdict) -> None:
    """One line to ``logging.getLogger("pinsock")``; repeats within a minute are left out."""
    with contextlib.suppress(Exception):
        outcome = verdict.outcome
        what = verdict.host, outcome, verdict.allowed, verdict.pin, verdict.chain_pins
        if outcome in _SAID_ONCE and _said.again(what):
            return
        _logger.log(
            _LEVELS[outcome],
            "%s %s; %s%s",
            safe_text(verdict.host or "the client"),
            _SENTENCES[outcome],
            "let through" if verdict.allowed else "refused",
            f" ({_pin_text(verdict)})" if verdict.pin or verdict.chain_pins else "",
        )


def _pin_text(verdict: Verdict) -> str:
    if verdict.pin is not None:
        return f"{verdict.pin}{f', {safe_text(verdict.label)}' if verdict.label else ''}"
    return "its pins: " + ", ".join(str(pin) for pin in verdict.chain_pins[:5])


# --- the record -----------------------------------------------------------------------------------


class _Seen:
    """A verdict that was reported, and how often it has come since."""

    __slots__ = ("last", "start", "told", "untold")

    def __init__(self, start: float) -> None:
        self.start = start
        #: The time of the last one, as its line says it.
        self.last = ""
        #: Whether the first line was written.
        self.told = False
        #: How many stand in no line yet.
        self.untold = 0


class RecordLog:
    """Appends one JSON line a verdict to a file: give it as ``on_verdict``.

    The keys: ``time`` (ISO 8601, UTC), ``host``, ``outcome``, ``allowed``, ``pin``, ``label``,
    ``chain_pins``, ``not_after`` (of the peer's certificate), ``version`` (of pinsock) and
    ``repeats``: 0 in the line of a verdict that comes for the first time.  A line with another
    number tells of so many verdicts that stand in no other line: those that came again within the
    window, when it has ended, and those that could not be written, when they can.  A verdict comes
    again if all but its time is the same: a peer that shows another key each time has a line for
    each.  What does not apply is ``null``.

    Lines are appended whole, by several processes too.  A disk that is full, a file that cannot be
    written or one that another process keeps locked changes no verdict and holds none up for more
    than a second; it is logged once, and tried again at the next.  Up to 1,024 verdicts wait to be
    written meanwhile, and those beyond are lost.  What waits is written with the next verdict, and
    so is what was folded, when its window has ended; both are by :meth:`close`, and when the
    program ends.  But not by ``os._exit``, with which a worker of :mod:`multiprocessing` ends: call
    :meth:`close` there.  After a fork each process tells of its own verdicts.

    :param path: a relative one is that of the moment when this is made.
    :param max_bytes: at this size the file is renamed to ``.1``, in the place of an older one; the
        new one has its mode.  Where that cannot be done, it is logged once and the file grows on.
    :param window: seconds within which repeats of a verdict are folded into a count; 0: never.

    Raises TypeError, ValueError and, for a relative path where the working folder is gone, OSError
    when it is made; nothing when it is called.
    """

    # A verdict is put into a queue, and whoever has his turn writes what is in it: no handshake
    # waits for the file of another, and a signal handler can report in the midst of a report.  Nor
    # does one write for all the others without end: after a while it leaves that to the next.

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_bytes: int = 10_000_000,
        window: float = 60.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        if not max_bytes > 0:
            raise ValueError(f"max_bytes is a number of bytes above 0, not {max_bytes}")
        if not window >= 0:
            raise ValueError(f"window is a number of seconds, 0 or more, not {window}")
        self.path = Path(path).absolute()
        self.max_bytes = max_bytes
        self._window = window
        self._clock = clock
        #: What was logged, and is not over yet.
        self._troubles: set[str] = set()
        self._begin()
        _logs.add(weakref.ref(self, _logs.discard))

    def _begin(self) -> None:
        self._turn = _Turn()
        #: Lines that wait to be written: what they say, and the time that they say.
        self._queue: deque[tuple[str, str]] = deque()
        #: By what its line says.
        self._seen: OrderedDict[str, _Seen] = OrderedDict()

    def __call__(self, verdict: Verdict) -> None:
        try:
            full = len(self._queue) >= _MOST
            if not full:
                time = datetime.fromtimestamp(verdict.time, UTC).isoformat(timespec="milliseconds")
                self._queue.append((_words(verdict), time))
            self._work()
            if full:
                self._complain(_LOST, f"{_MOST} wait to be written already")
        except Exception as error:
            self._complain(_NOT_WRITTEN, error)

    def close(self) -> None:
        """Write what was folded and has not been written yet.  The log can be used on."""
        limit = monotonic() + _PATIENCE
        while not self._work(finally_all=True):
            if monotonic() < limit:
                sleep(0.001)  # until the thread that has its turn is done
            else:
                self._turn = _Turn()  # it hangs, or is no more

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # it was never made to the end
            self._work(finally_all=True)

    def _work(self, *, finally_all: bool = False) -> bool:
        """Write what waits, if it is this thread's turn, and not for long unless it is all."""
        lines, limit = 0, monotonic() + _LONGEST_SHIFT
        while self._queue or finally_all:
            turn = self._turn.take()
            if not turn:
                return False  # whoever has his turn looks into the queue once more after it
            try:
                while self._queue:
                    if not finally_all and (lines >= _MOST_LINES or monotonic() >= limit):
                        return True
                    lines += 1
                    if not self._tell_ended():
                        self._tell(*self._queue.popleft())
                if finally_all:
                    while self._tell_ended(whether_or_not=True):
                        pass
                    finally_all = False
            finally:
                self._turn.end(turn)
        self._troubles.discard(_LOST)
        return True

    def _tell(self, words: str, time: str) -> None:
        seen = self._seen.get(words)
        if seen is None:
            seen = self._seen[words] = _Seen(self._clock())
        seen.last = time
        seen.untold += 1
        if (not seen.told or not self._window) and self._append(_line(words, time, 0)):
            seen.told = True
            seen.untold -= 1

    def _tell_ended(self, *, whether_or_not: bool = False) -> bool:
        """Write the count of the oldest verdict whose window has ended, if there is one."""
        limit = self._clock() - self._window
        while self._seen:
            words, seen = next(iter(self._seen.items()))
            if not whether_or_not and seen.start > limit and len(self._seen) <= _MOST:
                return False
            told = bool(seen.untold) and self._append(_line(words, seen.last, seen.untold))
            if seen.untold and not told and len(self._seen) <= _MOST:
                return False  # the next verdict tries again
            del self._seen[words]
            if told:
                return True
        return False

    def _append(self, line: bytes) -> bool:
        try:
            self._write(line)
        except Exception as error:
            self._complain(_NOT_WRITTEN, error)
            return False
        self._troubles.discard(_NOT_WRITTEN)
        return True

    def _complain(self, what: str, why: Exception | str) -> None:
        if what not in self._troubles:
            self._troubles.add(what)
            with contextlib.suppress(Exception):
                _logger.error("%s: %s: %s", self.path, what, why)

    def _write(self, line: bytes) -> None:
        file = self._open_and_lock()
        try:
            size = os.fstat(file).st_size
            if size and size + len(line) > self.max_bytes and self._put_aside():
                mode = stat.S_IMODE(os.fstat(file).st_mode)
                _unlock_and_close(file)
                file = -1
                file = self._open_and_lock()
                with contextlib.suppress(OSError, AttributeError):  # not ours, or Windows
                    os.fchmod(file, mode)
                size = os.fstat(file).st_size
            if size and self._is_torn(size):
                line = b"\n" + line
            if os.write(file, line) != len(line):
                os.ftruncate(file, size)  # half a line would spoil the next one as well
                raise OSError("the disk is full")
        finally:
            if file != -1:
                _unlock_and_close(file)

    def _put_aside(self) -> bool:
        try:
            os.replace(self.path, self.path.with_name(f"{self.path.name}.1"))
        except OSError as error:
            self._complain(_NOT_RENAMED, error)
            return False
        self._troubles.discard(_NOT_RENAMED)
        return True

    def _is_torn(self, size: int) -> bool:
        """Whether a line without its end stands last, as a crash can leave one."""
        try:
            with open(self.path, "rb", buffering=0) as file:
                file.seek(size - 1)
                return file.read(1) != b"\n"
        except OSError:
            return False  # it can be one that may be written to, and not read

    def _open_and_lock(self) -> int:
        # Only the first of those that fail waits.
        limit = monotonic() + (0.0 if _NOT_WRITTEN in self._troubles else _PATIENCE)
        while True:
            file = os.open(self.path, _FLAGS, 0o600)
            try:
                if fcntl is None:
                    return file
                _lock(file, limit)
                # Another process may have renamed the file while this one waited.
                if os.path.samestat(os.fstat(file), os.stat(self.path)):
                    return file
            except FileNotFoundError:
                pass
            except BaseException:
                _unlock_and_close(file)
                raise
            _unlock_and_close(file)


#: What is logged, once until it is over.
_NOT_WRITTEN: Final = "a record could not be written"
_NOT_RENAMED: Final = "it grows on, since it cannot be renamed"
_LOST: Final = "a record is lost"

#: All that live, for the end of the program and for forks.
_logs: Final[set[weakref.ref[RecordLog]]] = set()

#: How many seconds a thread writes at most, and how many lines, before it leaves what waits.
_LONGEST_SHIFT: Final = 0.5
_MOST_LINES: Final = 64

#: How many seconds a lock is waited for.
_PATIENCE: Final = 0.5

#: Not blocking, since somebody can have put a FIFO there; to files it means nothing.
_FLAGS: Final = (
    os.O_WRONLY
    | os.O_APPEND
    | os.O_CREAT
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)
)


def _lock(file: int, limit: float) -> None:
    pause = 0.0001
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if monotonic() >= limit:
                raise TimeoutError("another process keeps the file locked") from None
            sleep(pause)
            pause = min(2 * pause, 0.01)
        else:
            return


def _unlock_and_close(file: int) -> None:
    if fcntl is not None:
        with contextlib.suppress(OSError):
            # A process that was forked meanwhile has the file open too, and with it the lock.
            fcntl.flock(file, fcntl.LOCK_UN)
    os.close(file)


def _words(verdict: Verdict) -> str:
    """What the line of a verdict says, but for its time and the number of repeats."""
    record = {
        "host": verdict.host,
        "outcome": verdict.outcome.value,
        "allowed": verdict.allowed,
        "pin": None if verdict.pin is None else str(verdict.pin),
        "label": verdict.label,
        "chain_pins": [None if pin is None else str(pin) for pin in verdict.chain_pins] or None,
        "not_after": None if verdict.certificate is None else _not_after(verdict.certificate),
        "version": __version__,
    }
    return json.dumps(record)[1:-1]


def _line(words: str, time: str, repeats: int) -> bytes:
    return f'{{"time": "{time}", {words}, "repeats": {repeats}}}\n'.encode("ascii")


#: By the digests of certificates: reading one takes far longer.
_dates: Final[dict[bytes, str | None]] = {}


def _not_after(certificate: bytes) -> str | None:
    digest = sha256(certificate)
    try:
        return _dates[digest]
    except KeyError:
        if len(_dates) >= _MOST:
            _dates.clear()
        _dates[digest] = date = describe(certificate).not_after
        return date


# --- the end of the program, and forks ------------------------------------------------------------


def _living() -> list[RecordLog]:
    return [log for log in (reference() for reference in list(_logs)) if log is not None]


def _close_all() -> None:
    for log in _living():
        log.close()


def _after_fork() -> None:
    _said._turn = _Turn()
    for log in _living():
        log._begin()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
