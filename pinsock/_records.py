"""Records of what was checked: one JSON line a verdict, and the log.

Neither changes a verdict: what goes wrong here is logged once and otherwise swallowed.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections import OrderedDict
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Self

from pinsock._text import safe_text
from pinsock._verify import Outcome, Verdict, describe
from pinsock._version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

try:
    import fcntl
except ImportError:  # Windows, where only the lines of one process are kept apart
    fcntl = None  # type: ignore[assignment]

__all__ = ["RecordLog", "log_verdict"]

_logger: Final = logging.getLogger("pinsock")
_logger.addHandler(logging.NullHandler())  # what a program does not ask for is not printed

#: How many different repeated verdicts are remembered at once.
_MOST_KEYS: Final = 1024


class _Repeats:
    """Which verdicts are repeats of one that was reported less than ``window`` seconds ago."""

    def __init__(self, window: float, clock: Callable[[], float]) -> None:
        self._window = window
        self._clock = clock
        #: By verdict: when it was reported, the verdict last seen, and how often since.
        self._seen: OrderedDict[object, tuple[float, Verdict, int]] = OrderedDict()

    def is_repeat(self, verdict: Verdict) -> bool:
        if self._window <= 0:
            return False
        key = (verdict.host, verdict.outcome, verdict.allowed, verdict.pin, verdict.chain_pins)
        seen = self._seen.get(key)
        if seen is None:
            self._seen[key] = self._clock(), verdict, 0
            return False
        self._seen[key] = seen[0], verdict, seen[2] + 1
        return True

    def ended(self, *, all_of_them: bool = False) -> list[tuple[Verdict, int]]:
        """Those whose window has passed, with the number of repeats; they are forgotten."""
        if not self._seen:
            return []
        limit = self._clock() - self._window
        ended = []
        while self._seen:
            key, (start, verdict, repeats) = next(iter(self._seen.items()))
            if not all_of_them and start > limit and len(self._seen) <= _MOST_KEYS:
                break
            del self._seen[key]
            if repeats:
                ended.append((verdict, repeats))
        return ended


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
_log_lock: Final = RLock()
_log_repeats: Final = _Repeats(60.0, monotonic)


def log_verdict(verdict: Verdict) -> None:
    """One line to ``logging.getLogger("pinsock")``; repeats within a minute are left out."""
    with contextlib.suppress(Exception):
        # Whoever does not get his turn at once says it without looking for repeats: a lock that an
        # interruption left held must not stop anybody's handshake.
        if verdict.outcome in _SAID_ONCE and _log_lock.acquire(blocking=False):
            try:
                _log_repeats.ended()
                if _log_repeats.is_repeat(verdict):
                    return
            finally:
                _log_lock.release()
        _logger.log(
            _LEVELS[verdict.outcome],
            "%s %s; %s%s",
            safe_text(verdict.host or "the client"),
            _SENTENCES[verdict.outcome],
            "let through" if verdict.allowed else "refused",
            f" ({_pin_text(verdict)})" if verdict.pin or verdict.chain_pins else "",
        )


def _pin_text(verdict: Verdict) -> str:
    if verdict.pin is not None:
        return f"{verdict.pin}{f', {safe_text(verdict.label)}' if verdict.label else ''}"
    return "its pins: " + ", ".join(str(pin) for pin in verdict.chain_pins[:5])


# --- the record -----------------------------------------------------------------------------------


class RecordLog:
    """Appends one JSON line a verdict to a file: give it as ``on_verdict``.

    The keys: ``time`` (ISO 8601, UTC), ``host``, ``outcome``, ``allowed``, ``pin``, ``label``,
    ``chain_pins``, ``not_after`` (of the peer's certificate), ``version`` (of pinsock) and
    ``repeats``: 0, or in a line that is written when the window has ended, how often the same
    verdict came again.  What does not apply is ``null``.

    Lines are appended whole, by several processes too.  A disk that is full or a file that cannot
    be written changes no verdict; it is logged once, and tried again at the next.

    :param max_bytes: at this size the file is renamed to ``.1``, in the place of an older one.
    :param window: seconds within which repeats of a verdict are folded into a count; 0: never.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_bytes: int = 10_000_000,
        window: float = 60.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.path = Path(path)
        self.max_bytes = max_bytes
        self._lock = RLock()
        self._repeats = _Repeats(window, clock)
        self._broken = False

    def __call__(self, verdict: Verdict) -> None:
        with self._lock:
            lines = [_line(again, repeats) for again, repeats in self._repeats.ended()]
            if not self._repeats.is_repeat(verdict):
                lines.append(_line(verdict, 0))
            self._append(lines)

    def close(self) -> None:
        """Write what was folded and has not been written yet.  The log can be used on."""
        with self._lock:
            ended = self._repeats.ended(all_of_them=True)
            self._append([_line(verdict, repeats) for verdict, repeats in ended])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _append(self, lines: list[bytes]) -> None:
        for line in lines:
            try:
                self._write(line)
            except OSError as error:
                if not self._broken:
                    self._broken = True
                    # Without a traceback: it is the file that is wrong, not the program.
                    with contextlib.suppress(Exception):
                        _logger.error(  # noqa: TRY400
                            "%s: a record could not be written: %s", self.path, error
                        )
            else:
                self._broken = False

    def _write(self, line: bytes) -> None:
        file = self._open_and_lock()
        try:
            size = os.fstat(file).st_size
            if size and size + len(line) > self.max_bytes:
                os.replace(self.path, self.path.with_name(f"{self.path.name}.1"))
                os.close(file)
                file = -1
                file = self._open_and_lock()
                size = os.fstat(file).st_size
            if os.write(file, line) != len(line):
                os.ftruncate(file, size)  # half a line would spoil the next one as well
                raise OSError("the disk is full")
        finally:
            if file != -1:
                os.close(file)  # and with it the lock

    def _open_and_lock(self) -> int:
        while True:
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _CLOEXEC, 0o600)
            try:
                if fcntl is None:
                    return file
                fcntl.flock(file, fcntl.LOCK_EX)
                # Another process may have renamed the file while this one waited.
                if os.path.samestat(os.fstat(file), os.stat(self.path)):
                    return file
            except FileNotFoundError:
                pass
            except BaseException:
                os.close(file)
                raise
            os.close(file)


_CLOEXEC: Final[int] = getattr(os, "O_CLOEXEC", 0)


def _line(verdict: Verdict, repeats: int) -> bytes:
    certificate = verdict.certificate
    record: dict[str, Any] = {
        "time": datetime.fromtimestamp(verdict.time, UTC).isoformat(timespec="milliseconds"),
        "host": verdict.host,
        "outcome": verdict.outcome.value,
        "allowed": verdict.allowed,
        "pin": None if verdict.pin is None else str(verdict.pin),
        "label": verdict.label,
        "chain_pins": [None if pin is None else str(pin) for pin in verdict.chain_pins] or None,
        "not_after": None if certificate is None else describe(certificate).not_after,
        "version": __version__,
        "repeats": repeats,
    }
    return json.dumps(record).encode("ascii") + b"\n"
