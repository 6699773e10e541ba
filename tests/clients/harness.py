"""What runs a recipe in its own process, and tells on standard output what came of it.

``python -m clients.scripts.NAME JOB``: JOB is a :class:`Job` in JSON, and the last line of what is
printed is a :class:`Told`.
"""

from __future__ import annotations

import json
import logging
import os
import ssl
import sys
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import pinsock

from .refusal import refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Job", "Told", "main"]

#: An exception that is reached in more steps than these is not found by any user.
_MOST_STEPS = 8


@dataclass(frozen=True)
class Job:
    """What a recipe is to be run with."""

    host: str
    port: int
    cafile: str
    """Whom the client trusts."""
    pin: str | None
    """What it has pinned; ``None``: it is the client without pinsock."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the recipe."""


@dataclass
class Told:
    """What a recipe did."""

    answer: str | None = None
    """What it returned, that is, what the server said."""
    error: str | None = None
    """The class of what it raised."""
    message: str = ""
    mismatch: str | None = None
    """How to get from what it raised to the ``PinMismatchError``: ``"itself"``, ``"causes"`` where
    ``refusal`` finds it, else ``"error.args[0]"`` and the like; ``None``: there is no way."""
    verdicts: list[str] = field(default_factory=list)
    """The outcomes that ``on_verdict`` was called with."""
    log: list[str] = field(default_factory=list)
    """What was logged, from ``WARNING`` on."""


class _Kept(logging.Handler):
    """Keeps the lines in the place of writing them."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage())


def main(recipe: Callable[..., Any]) -> None:
    """Run the recipe as the command line says, and end the process."""
    job = Job(**json.loads(sys.argv[1]))
    told = Told()
    logging.getLogger("pinsock").addHandler(_Kept(told.log))
    try:
        answer = recipe(_context(job, told), job.host, job.port, **job.extra)
    except Exception as error:
        told.error = _name_of(type(error))
        told.message = str(error)
        told.mismatch = _way_to_mismatch(error)
    else:
        told.answer = str(answer) if answer else None
    print(f"\n{json.dumps(asdict(told))}", flush=True)
    os._exit(0)  # a thread that a library has left behind would keep the process


def _context(job: Job, told: Told) -> ssl.SSLContext:
    if job.pin is None:
        return ssl.create_default_context(cafile=job.cafile)
    return pinsock.create_default_context(
        pinsock.PinSet(job.pin, backup=None),
        cafile=job.cafile,
        on_verdict=lambda verdict: told.verdicts.append(verdict.outcome.value),
    )


def _name_of(kind: type[BaseException]) -> str:
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return f"{module}{kind.__qualname__}"


def _way_to_mismatch(error: BaseException) -> str | None:
    if isinstance(error, pinsock.PinMismatchError):
        return "itself"
    if refusal(error) is not None:
        return "causes"
    seen = {id(error)}
    near = [("error", error)]
    for _ in range(_MOST_STEPS):
        far = []
        for way, found in near:
            if isinstance(found, pinsock.PinMismatchError):
                return way
            for step, further in _hanging_on(found):
                if id(further) not in seen:
                    seen.add(id(further))
                    far.append((way + step, further))
        near = far
    return None


def _hanging_on(error: BaseException) -> Iterator[tuple[str, BaseException]]:
    attributes: dict[str, Any] = {
        "__cause__": error.__cause__,
        "__context__": error.__context__,
        **vars(error),
    }
    if isinstance(error, BaseExceptionGroup):
        attributes["exceptions"] = error.exceptions
    attributes["args"] = error.args
    for name, value in attributes.items():
        if isinstance(value, BaseException):
            yield f".{name}", value
        elif isinstance(value, list | tuple):
            for index, item in enumerate(value):
                if isinstance(item, BaseException):
                    yield f".{name}[{index}]", item
