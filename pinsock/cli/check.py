"""``pinsock check``: connects to many hosts, each with its pins, and says who passes by which.

Results leave as they come, and targets are read as they are needed, so that memory does not grow
with the number of hosts.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import itertools
import json
import logging
import os
import ssl
import sys
import tempfile
import textwrap
import time
from collections import Counter
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple

import click
from cryptography import x509

from pinsock import (
    Outcome,
    PinMismatchError,
    PinPolicy,
    PinVerificationError,
    RecordLog,
    create_default_context,
)
from pinsock._text import safe_text
from pinsock.cli._certificates import days_until, in_days
from pinsock.cli._files import apart
from pinsock.cli._frame import (
    FINDING,
    GOOD,
    INTERRUPTED,
    NOT_REACHED,
    POSITIVE,
    USAGE,
    Cell,
    Failure,
    in_words,
    json_option,
    path_text,
    timeout_option,
)
from pinsock.cli._peer import Target, Unreachable, parse_target, shake_hands, trusted
from pinsock.cli._starttls import DEFAULT_PORTS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from pinsock import PinnedContext, Verdict
    from pinsock.cli._frame import Output

__all__ = ["command"]

#: What became of a host, worst last, and how it is shown.
_STYLES: Final = {
    "passed": "green",
    "unreachable": "yellow",
    "unverified": "bold red",
    "refused": "bold red",
}


class Result(NamedTuple):
    """What became of one host."""

    target: Target
    status: str
    verdict: Verdict | None
    message: str
    seconds: float

    @property
    def by_backup(self) -> bool:
        return self.verdict is not None and self.verdict.outcome is Outcome.MATCHED_BACKUP

    def not_after(self) -> datetime.datetime | None:
        if self.verdict is None or self.verdict.certificate is None:
            return None
        try:
            return x509.load_der_x509_certificate(self.verdict.certificate).not_valid_after_utc
        except Exception:  # the peer's bytes, through a library: whatever it may raise
            return None

    def as_json(self) -> dict[str, Any]:
        verdict, until = self.verdict, self.not_after()
        return {
            "host": self.target.host,
            "port": self.target.port,
            "address": self.target.address or None,
            "status": self.status,
            "outcome": None if verdict is None else verdict.outcome.value,
            "pin": None if verdict is None or verdict.pin is None else str(verdict.pin),
            "label": None if verdict is None else verdict.label,
            "chain_pins": [str(pin) for pin in verdict.chain_pins if pin] if verdict else [],
            "not_after": None if until is None else until.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "days": None if until is None else days_until(until, _now()),
            "message": self.message or None,
            "seconds": round(self.seconds, 3),
        }

    def print_to(self, out: Output) -> None:
        until = self.not_after()
        words, colour = in_days(days_until(until, _now())) if until is not None else ("", "")
        verdict = self.verdict
        if self.status == "passed" and verdict is not None:
            label = f"  {safe_text(verdict.label)}" if verdict.label else ""
            why = f"{verdict.pin}{label}{'  (backup)' * self.by_backup}"
        else:
            why = self.message
        out.line(
            Cell(f"{self.status:<11}", _STYLES[self.status]),
            f"  {self.target!s:<32}  ",
            Cell(f"{words:<14}", colour),
            _below(why, out.console.width) if out.for_people else f"  {why}",
        )


def _below(text: str, width: int) -> str:
    """Beside the rest on a wide terminal; a pin does not fit a narrow one, and stands below."""
    if width >= 120:
        return f"  {text}"
    indent = f"\n{'':13}"
    return indent + indent.join(
        textwrap.wrap(text, width - 13, break_long_words=False, break_on_hyphens=False)
    )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@click.command(
    help="Connect to each HOST with its pins, and say who passes, by which pin, and how many days "
    "the certificate has left. Without hosts, those of the policy that are no patterns. No "
    "application data is sent.\n\n"
    "HOST is HOST[:PORT][@ADDRESS]: with an address, that is connected to and HOST asked for. "
    "Status 1 if a host is refused or not verified, 3 if one is only not reached."
)
@click.argument("hosts", nargs=-1, metavar="[HOST]...")
@click.option(
    "-p",
    "--pins",
    "policy_path",
    type=click.Path(readable=False),
    default="pins.toml",
    show_default=True,
    help="The policy.",
)
@click.option(
    "--hosts",
    "hosts_path",
    type=click.Path(readable=False),
    metavar="FILE",
    help="Hosts, one a line; # begins a comment; - is standard input.",
)
@click.option(
    "--starttls",
    type=click.Choice([p for p in DEFAULT_PORTS if p]),
    help="First ask for TLS in this protocol.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    default=50,
    show_default=True,
    metavar="N",
    help="Connections at once.",
)
@timeout_option("host")
@click.option(
    "--rate",
    type=POSITIVE,
    metavar="N",
    help="Begin at most N connections a second.",
)
@click.option(
    "--records",
    "records_path",
    type=click.Path(readable=False),
    metavar="FILE",
    help="Append a line of JSON for each verdict.",
)
@click.option(
    "--resume",
    "resume_path",
    type=click.Path(readable=False),
    metavar="FILE",
    help="Keep note of what is done, and leave out what a run that was cut has done; removed at "
    "the end.",
)
@click.option(
    "--cafile",
    type=click.Path(readable=False),
    help="Trust these authorities instead of the system's.",
)
@json_option
def command(
    *,
    hosts: tuple[str, ...],
    policy_path: str,
    hosts_path: str | None,
    starttls: str | None,
    jobs: int,
    timeout: float,
    rate: float | None,
    records_path: str | None,
    resume_path: str | None,
    cafile: str | None,
    out: Output,
) -> int:
    if hosts and hosts_path is not None:
        raise click.UsageError("Give hosts or --hosts, not both.")
    apart(
        pins=policy_path,
        hosts=hosts_path,
        cafile=cafile,
        records=records_path,
        resume=resume_path,
    )
    try:
        policy = PinPolicy.from_file(policy_path)
    except OSError as error:
        raise Failure(in_words(error), USAGE) from None
    with contextlib.ExitStack() as stack:
        if hosts_path is not None:
            number, targets = _targets_of_file(stack, hosts_path, starttls)
        else:
            number, targets = _targets(hosts, policy, starttls)
        complaints = stack.enter_context(_complaints(records_path))
        record = None
        if records_path is not None:
            # Each host is asked once, so there is nothing to fold; and nobody wants half a run.
            log = RecordLog(records_path, max_bytes=sys.maxsize, window=0)
            record = stack.enter_context(log)
        done = stack.enter_context(_notes(resume_path))
        tally = Tally(number)
        context = create_default_context(policy, cadata=trusted(cafile), on_verdict=record)
        interrupted = False
        with out.ticker("checking", number, "hosts") as ticker:

            def report(result: Result) -> None:
                if out.as_json:
                    out.json(result.as_json())
                else:
                    result.print_to(out)
                done.add(result)
                tally.add(result)
                ticker.advance()

            def look(target: Target) -> Awaitable[Result]:
                return check_one(target, context, timeout, starttls)

            def left() -> Iterator[Target]:
                for target in targets:
                    status = done.statuses.get(str(target))
                    if status is None:
                        yield target
                    else:
                        tally.add_done(status)
                        ticker.advance()

            try:
                asyncio.run(check_all(left(), look, report, jobs, rate))
            except KeyboardInterrupt:
                interrupted = True
            else:
                done.finish()
        _conclude(out, tally, interrupted, resume_path)
    for complaint in complaints:  # the last may have come at the end
        out.note(f"pinsock check: {complaint}", "")
    if interrupted:
        return INTERRUPTED
    return NOT_REACHED if complaints and tally.status() == GOOD else tally.status()


# --- whom to check --------------------------------------------------------------------------------


def _targets(
    hosts: Sequence[str], policy: PinPolicy, starttls: str | None
) -> tuple[int, Iterator[Target]]:
    given = hosts or [
        f"[{host}]" if ":" in host else host for host, _ in policy.items() if "*" not in host
    ]
    if not given:
        raise click.UsageError("The policy has patterns alone; say which hosts, or give --hosts.")
    try:
        targets = [parse_target(host, starttls) for host in given]
    except ValueError as error:
        raise click.UsageError(f"{error}.") from None
    return len(targets), iter(targets)


_LONGEST_LINE: Final = 1000


def _targets_of_file(
    stack: contextlib.ExitStack, path: str, starttls: str | None
) -> tuple[int, Iterator[Target]]:
    """How many there are, and a way to read them one by one.

    All are read before the first connection, so that a bad line in the end does not come as a
    surprise; from a copy, since standard input can be read only once, and a file may change.
    """
    copy = stack.enter_context(
        tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - the stack closes it
    )
    shown = path_text(path)
    number = 0
    try:
        with contextlib.ExitStack() as opened:
            source: IO[str] = sys.stdin
            if path != "-":
                source = opened.enter_context(open(path, encoding="utf-8"))
            for line_number in itertools.count(1):
                line = source.readline(_LONGEST_LINE)
                if not line:
                    break
                if len(line) == _LONGEST_LINE and not line.endswith("\n"):
                    # What is cut off would be taken for the next line's host.
                    raise Failure(
                        f"{shown}, line {line_number}: '{safe_text(line)}': longer than "
                        f"{_LONGEST_LINE - 1} characters; write one host a line",
                        USAGE,
                    )
                if host := line.partition("#")[0].strip():
                    try:
                        target = parse_target(host, starttls)
                    except ValueError as error:
                        raise Failure(f"{shown}, line {line_number}: {error}", USAGE) from None
                    copy.write(f"{target.host} {target.port} {target.address}\n")
                    number += 1
    except UnicodeDecodeError:
        raise Failure(f"{shown}: not a text in UTF-8; give a file of hosts", USAGE) from None
    except OSError as error:
        raise Failure(in_words(error), USAGE) from None
    if not number:
        raise Failure(f"{shown}: no host in this file; write one a line", USAGE)
    copy.seek(0)
    return number, (
        Target(host, int(port), address)
        for host, port, address in (line[:-1].split(" ") for line in copy)
    )


# --- the check ------------------------------------------------------------------------------------


async def check_one(
    target: Target, context: PinnedContext, timeout: float, starttls: str | None = None
) -> Result:
    """One handshake, and what became of it."""
    start = time.monotonic()
    verdict, message = None, ""
    try:
        _, verdict = await shake_hands(target, context, timeout=timeout, starttls=starttls)
    except PinVerificationError as error:
        status, message = "refused", safe_text(error.verify_message)
        verdict = error.verdict if isinstance(error, PinMismatchError) else None
    except ssl.SSLCertVerificationError as error:
        status = "unverified"
        message = f"{safe_text(error.verify_message.rstrip('.'))}; before any pin was looked at"
    except Unreachable as reason:
        status, message = "unreachable", str(reason)
    else:
        status = "passed"
    if verdict is not None and (why := _WHY_NOT.get(verdict.outcome)) is not None:
        status = "refused"  # let through is not passed: a set may only report, for example
        shown = f" ({verdict.chain_pins[0]})" if verdict.chain_pins else ""
        message = f"{why}{shown}{', but the policy lets it through' * verdict.allowed}"
    return Result(target, status, verdict, message, time.monotonic() - start)


#: What is no match, in words.
_WHY_NOT: Final = {
    Outcome.MISMATCH: "its key is none of the pinned ones",
    Outcome.EXPIRED: "the set of pins has expired",
    Outcome.UNLISTED: "the policy has no pins for it",
    Outcome.APPROVED_INTERCEPTION: "an approved interceptor answered",
}


async def check_all(
    targets: Iterator[Target],
    look: Callable[[Target], Awaitable[Result]],
    report: Callable[[Result], None],
    jobs: int,
    rate: float | None = None,
) -> None:
    """Look at all of them, so many at once, each reported as soon as it is done.

    :param rate: how many are begun a second, at most.
    """
    loop = asyncio.get_running_loop()
    turn = loop.time()

    async def work() -> None:
        nonlocal turn
        for target in targets:  # of all workers together
            if rate is not None:
                turn = max(turn, loop.time())
                wait, turn = turn - loop.time(), turn + 1 / rate
                await asyncio.sleep(wait)
            report(await look(target))

    workers = [loop.create_task(work()) for _ in range(jobs)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


class Tally:
    """How many, of which kind."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._counts = Counter[str]()
        self._before = 0
        self._by_backup = 0
        self._start = time.monotonic()

    def add(self, result: Result) -> None:
        self._counts[result.status] += 1
        self._by_backup += result.by_backup

    def add_done(self, status: str) -> None:
        """One that the run before this one has done."""
        self._counts[status] += 1
        self._before += 1

    def status(self) -> int:
        if self._counts["refused"] or self._counts["unverified"]:
            return FINDING
        return NOT_REACHED if self._counts["unreachable"] else GOOD

    def as_json(self) -> dict[str, Any]:
        seconds = time.monotonic() - self._start
        done = self._counts.total()
        return {
            "hosts": self._number,
            "done": done,
            **{status: self._counts[status] for status in _STYLES},
            "by_backup": self._by_backup,
            "seconds": round(seconds, 3),
            "rate": round((done - self._before) / seconds, 1) if seconds else None,
        }


def _conclude(out: Output, tally: Tally, interrupted: bool, resume_path: str | None) -> None:
    summary = {**tally.as_json(), "interrupted": interrupted}
    if out.as_json:
        out.json({"summary": summary})
    else:
        counts = ", ".join(f"{summary[status]} {status}" for status in _STYLES if summary[status])
        backup = f" ({summary['by_backup']} by a backup pin)" if summary["by_backup"] else ""
        out.line(
            Cell("interrupted: " if interrupted else "", "bold yellow"),
            f"{summary['done']} of {summary['hosts']} hosts in {summary['seconds']:.1f} s "
            f"({summary['rate']}/s): {counts or 'nothing yet'}{backup}",
        )
    if interrupted and resume_path is not None:
        out.note(f"The same command goes on from here: {path_text(resume_path)} has what is done.")


# --- what is kept ---------------------------------------------------------------------------------


@contextlib.contextmanager
def _complaints(path: str | None) -> Iterator[list[str]]:
    """What the record could not do: it swallows that, and says it to the log alone."""
    texts: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            error = next((one for one in record.args or () if isinstance(one, OSError)), None)
            why = record.getMessage() if error is None else error.strerror or str(error)
            texts.append(f"{path_text(str(path))}: a record could not be written: {safe_text(why)}")

    handler = Handler(logging.ERROR)
    logger = logging.getLogger("pinsock")
    logger.addHandler(handler)
    try:
        yield texts
    finally:
        logger.removeHandler(handler)


#: The first line of a file of notes: what is no such file is not written to, nor removed.
_HEADER: Final = '{"pinsock check": 1}'


class _Notes:
    """The hosts that are done, in a file, so that a run that was cut can go on.

    A host that was not reached is not done: perhaps it was the network that ended the run.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._file: IO[str] | None = None
        self.statuses: dict[str, str] = {}

    def open(self) -> None:
        if self._path is None:
            return
        with contextlib.suppress(FileNotFoundError):
            self._load(self._path)
        self._file = open(self._path, "a", encoding="ascii")  # noqa: SIM115 - closed by _notes()
        # A run that was killed may have left half a line.
        self._write(f"{_HEADER}" if not self._file.tell() else "")

    def _load(self, path: str) -> None:
        with open(path, encoding="ascii", errors="replace") as file:
            first = file.readline(len(_HEADER) + 1)
            if first and first.rstrip() != _HEADER:
                raise Failure(
                    f"{path_text(path)}: is not a file that --resume has made; give another name",
                    USAGE,
                )
            for line in file:
                with contextlib.suppress(ValueError, TypeError):  # half a line
                    target, status = json.loads(line)
                    if status in _STYLES:
                        self.statuses[target] = status

    def add(self, result: Result) -> None:
        if result.status != "unreachable":
            self._write(json.dumps([str(result.target), result.status]))

    def _write(self, line: str) -> None:
        if self._file is None:
            return
        try:
            print(line, file=self._file, flush=True)
        except OSError as error:
            error.filename = self._path
            raise

    def finish(self) -> None:
        """All are done, so the next run begins anew."""
        if self._path is not None:
            os.unlink(self._path)

    def close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # what could not be written was told
                self._file.close()


@contextlib.contextmanager
def _notes(path: str | None) -> Iterator[_Notes]:
    notes = _Notes(path)
    try:
        notes.open()
        yield notes
    finally:
        notes.close()
