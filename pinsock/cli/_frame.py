"""What the commands share: exit statuses, output for people and for programs, progress, errors.

People get colours and tables on a terminal, and plain lines anywhere else; programs ask for
``--json``.  Text goes to standard output, errors and progress to standard error.  Nothing that is
printed is read as markup, and what a peer sent goes through :func:`pinsock._text.safe_text`.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import importlib
import json
import math
import os
import sys
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any, Final, NamedTuple, ParamSpec

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from pinsock._text import safe_text
from pinsock.cli import discard_output
from pinsock.exceptions import PinsockError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from rich.progress import Task

__all__ = [
    "FINDING",
    "GOOD",
    "INTERRUPTED",
    "NOT_REACHED",
    "POSITIVE",
    "USAGE",
    "Cell",
    "Failure",
    "Output",
    "Ticker",
    "in_words",
    "json_option",
    "path_text",
    "run",
    "timeout_option",
]

GOOD: Final = 0
FINDING: Final = 1
USAGE: Final = 2
NOT_REACHED: Final = 3
INTERRUPTED: Final = 130

P = ParamSpec("P")


class Failure(Exception):  # noqa: N818 - it need not be an error: a host that is down is none
    """What ends a command: one line that says what, and what to do next."""

    def __init__(self, message: str, status: int = NOT_REACHED) -> None:
        super().__init__(message)
        self.status = status


class Cell(NamedTuple):
    """A text with a style of rich's, for :meth:`Output.line` and :meth:`Output.table`."""

    text: str
    style: str = ""


def _text(part: str | Cell) -> str:
    return part.text if isinstance(part, Cell) else part


class Output:
    """Where a command's results go."""

    def __init__(self, as_json: bool = False) -> None:
        #: Whether the command was asked for JSON, and must print nothing else.
        self.as_json = as_json
        self.console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
        self.errors = Console(
            stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True
        )

    @property
    def for_people(self) -> bool:
        """Whether somebody looks at it as it comes: a terminal, and no JSON."""
        return self.console.is_terminal and not self.as_json

    def json(self, document: object) -> None:
        """One JSON document on one line, in ASCII."""
        self._write(json.dumps(document))

    def line(self, *parts: str | Cell) -> None:
        """One line, its parts one after the other; coloured on a terminal alone."""
        if self.for_people:
            self.console.print(Text.assemble(*parts))
        else:
            self._write("".join(map(_text, parts)))

    def table(
        self, columns: Sequence[str], rows: Iterable[Sequence[str | Cell]], *, title: str = ""
    ) -> None:
        """A table; where there is no terminal, columns that are aligned by spaces, unwrapped."""
        rows = list(rows)
        if not self.for_people:
            lines = [columns, *([_text(cell) for cell in row] for row in rows)]
            widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
            for line in lines:
                padded = (f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
                self._write("  ".join(padded).rstrip())
            return
        table = Table(title=title or None, title_justify="left")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(*cell) if isinstance(cell, Cell) else Text(cell) for cell in row))
        self.console.print(table, soft_wrap=False)

    def note(self, text: str, style: str = "dim") -> None:
        """Something that is no result, on standard error."""
        # Whole lines for programs, and whole words for people.
        self.errors.print(Text(text, style), soft_wrap=not self.errors.is_terminal)

    @contextlib.contextmanager
    def ticker(self, what: str, total: float | None = None, unit: str = "") -> Iterator[Ticker]:
        """Progress on standard error, from the second second on, where that is a terminal.

        :param total: how many ``unit`` there are; without a unit, seconds that are waited at most;
            ``None``: nobody knows.
        """
        # Two live displays on one terminal would overwrite each other's lines.
        console = self.console if self.for_people and self.errors.is_terminal else self.errors
        ticker = Ticker(console, what, total, unit)
        try:
            yield ticker
        finally:
            ticker.stop()

    def _write(self, text: str) -> None:
        # Not through rich, which takes a control character or a tab for something to lay out.
        print(text, file=sys.stdout)


class _Rate(ProgressColumn):
    """Things a second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} {self._unit}/s", "cyan")


class Ticker:
    """Progress of one thing; made by :meth:`Output.ticker`."""

    def __init__(self, console: Console, what: str, total: float | None, unit: str) -> None:
        columns: list[ProgressColumn] = [
            TextColumn("{task.description}", markup=False),
            BarColumn(),
        ]
        if unit:
            columns += [TextColumn("{task.completed:.0f}/{task.total:.0f}"), _Rate(unit)]
        columns.append(TimeRemainingColumn(elapsed_when_finished=True))
        self._progress = Progress(
            *columns,
            console=console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task(what, total=total)
        self._waits = total is not None and not unit
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        if console.is_terminal:
            self._thread = threading.Thread(target=self._show, daemon=True)
            self._thread.start()

    def advance(self, number: float = 1) -> None:
        """So many more are done."""
        self._progress.advance(self._task, number)

    def stop(self) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _show(self) -> None:
        start = time.monotonic()
        if self._stopped.wait(1.0):
            return
        with self._progress:
            while not self._stopped.wait(0.2):
                if self._waits:
                    self._progress.update(self._task, completed=time.monotonic() - start)


class _Positive(click.FloatRange):
    """A number above 0: Python's ``float`` also reads "nan", which is neither above nor below."""

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


#: What ``--timeout`` and ``--rate`` take.
POSITIVE: Final = _Positive(0, min_open=True)


def timeout_option(each: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Give a command ``--timeout``, for each of what it names."""
    return click.option(
        "--timeout",
        type=POSITIVE,
        default=10.0,
        show_default=True,
        metavar="SECONDS",
        help=f"For each {each}, all in all.",
    )


def json_option(function: Callable[..., int]) -> Callable[..., int]:
    """Give a command ``--json``, and the :class:`Output` that follows from it as ``out``."""

    @click.option("--json", "as_json", is_flag=True, help="One JSON document instead of text.")
    @functools.wraps(function)
    def with_output(*arguments: Any, as_json: bool, **named: Any) -> int:
        return function(*arguments, out=Output(as_json), **named)

    return with_output


def run(name: str, arguments: Sequence[str]) -> int:
    """Run the command of that name, and say in one line what ended it."""
    command: click.Command = importlib.import_module(f"pinsock.cli.{name}").command
    title = f"pinsock {name}"
    with warnings.catch_warnings():
        # Those of cryptography are about the peer's certificates, and a PinWarning is a finding of
        # `pinsock lint`.
        warnings.simplefilter("ignore")
        try:
            return _invoke(command, title, arguments)
        except click.exceptions.Exit as end:
            return end.exit_code
        except click.UsageError as error:
            return _fail(title, f"{error.format_message()} See {title} --help.", USAGE)
        except click.ClickException as error:
            return _fail(title, error.format_message(), USAGE)
        except click.Abort:
            raise KeyboardInterrupt from None
        except Failure as failure:
            return _fail(title, str(failure), failure.status)
        except PinsockError as error:
            return _fail(title, str(error), USAGE)
        except BrokenPipeError:
            raise
        except FileExistsError as error:
            return _fail(title, in_words(error), USAGE)
        except OSError as error:
            if error.filename is None:  # files say their names, and connections are not left to us
                discard_output()
            return _fail(title, in_words(error), NOT_REACHED)
        except ModuleNotFoundError:
            raise  # a package of the extra
        except Exception as error:  # our own fault, and still one line
            return _fail(title, f"{type(error).__name__}: {safe_text(str(error))}", NOT_REACHED)


def _invoke(command: click.Command, title: str, arguments: Sequence[str]) -> int:
    # Not Command.main(), which catches Ctrl-C and exits by itself.
    with command.make_context(title, list(arguments)) as context:
        status = int(command.invoke(context) or GOOD)
    if sys.stdout is not None:
        sys.stdout.flush()  # where a full disk can still be told
    return status


def _fail(title: str, message: str, status: int) -> int:
    print(f"{title}: {message}", file=sys.stderr)
    return status


def path_text(path: str) -> str:
    """A file's name, safe to print and whole: what is looked for is at its end."""
    return "".join(safe_text(path[start : start + 10]) for start in range(0, len(path), 10))


def in_words(error: OSError) -> str:
    """What the system said, with the file that it said it of and what to do about it."""
    where = "standard output" if error.filename is None else path_text(os.fspath(error.filename))
    hint = {
        errno.ENOSPC: "; make room, or write to another disk",
        errno.EDQUOT: "; make room, or write to another disk",
        errno.EACCES: "; have its owner let you, or choose another file",
        errno.EPERM: "; have its owner let you, or choose another file",
        errno.EROFS: "; choose a file on a disk that can be written",
        errno.ENOENT: "; check its name",
        errno.EISDIR: "; give a file",
        errno.EEXIST: ", and is never overwritten; choose another name",
    }.get(error.errno or 0, "")
    return f"{where}: {error.strerror or type(error).__name__}{hint}"
