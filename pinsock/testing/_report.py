"""What became of each attack, as data and as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["AttackReport", "Outcome", "Result"]

Outcome = Literal[
    "accepted", "not accepted", "refused", "not refused", "no connection", "not applicable"
]

#: Of what leaked, and of an error, no more than this is shown.
_SHOWN = 60


@dataclass(frozen=True)
class Result:
    """One row: what was tried with the client, and what the other side saw of it."""

    attack: str
    outcome: Outcome
    """``"accepted"``, ``"not accepted"``: whether the right server was reached.

    ``"refused"``: the client raised, and had sent nothing, neither in TLS nor in the clear.
    ``"not refused"``: it returned, or had
    sent something.  ``"no connection"``: it raised before it had connected, which proves nothing.
    ``"not applicable"``: this client cannot be put through it, and ``note`` says why."""
    connections: int = 0
    """TCP connections that the client tried."""
    leaked: bytes = b""
    """Application data that somebody got who must not have it."""
    in_the_clear: bytes = b""
    """What the client sent where TLS was due and is no TLS, and what it said before that but for
    what it takes to ask for TLS."""
    client_certificate: bool = False
    """Whether somebody saw the client's certificate who must not see it."""
    note: str = ""
    """What the client raised, or a reason."""

    @property
    def application_bytes(self) -> int:
        return len(self.leaked)

    @property
    def ok(self) -> bool:
        """Whether it came out as it must."""
        if self.outcome == "not applicable":
            return True
        return self.outcome in {"accepted", "refused"} and not self.client_certificate

    @property
    def gave_away(self) -> bool:
        """Whether the client was deceived, or said or showed what it must not."""
        return self.outcome == "not refused" or self.client_certificate or bool(self.in_the_clear)

    @property
    def failure(self) -> str:
        """In a sentence, what is wrong with it."""
        words: list[str] = [] if self.outcome in {"accepted", "refused"} else [self.outcome]
        if self.leaked:
            words.append(f"leaked {len(self.leaked)} application bytes: {_short(self.leaked)}")
        if self.in_the_clear:
            words.append(
                f"sent {len(self.in_the_clear)} bytes in the clear: {_short(self.in_the_clear)}"
            )
        if self.client_certificate:
            words.append("showed the client's certificate")
        if self.note:
            words.append(_short(self.note))
        return f"{self.attack}: {'; '.join(words)}"


class AttackReport:
    """The results of :func:`run_attacks`; ``str()`` gives the table."""

    def __init__(self, results: tuple[Result, ...]) -> None:
        self.results = results

    def __getitem__(self, attack: str) -> Result:
        for result in self.results:
            if result.attack == attack:
                return result
        raise KeyError(attack)

    @property
    def failures(self) -> tuple[Result, ...]:
        """What did not come out as it must."""
        return tuple(result for result in self.results if not result.ok)

    @property
    def ok(self) -> bool:
        """Whether the right server was reached, and everybody else refused with nothing given."""
        accepted = any(result.outcome == "accepted" for result in self.results)
        return accepted and not self.failures

    def __str__(self) -> str:
        head = ("attack", "outcome", "leaked", "in the clear", "certificate", "connections")
        rows = [head, *(_cells(result) for result in self.results)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        lines = [
            "  ".join(
                cell.ljust(width) if column < 2 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        ]
        notes = ["", *(_short(result.note) for result in self.results)]
        return "\n".join(
            f"{line}  {note}".rstrip() for line, note in zip(lines, notes, strict=True)
        )


def _cells(result: Result) -> tuple[str, ...]:
    if result.outcome == "not applicable":
        return (result.attack, result.outcome, "-", "-", "-", "-")
    return (
        result.attack,
        result.outcome,
        str(len(result.leaked)),
        str(len(result.in_the_clear)),
        "shown" if result.client_certificate else "no",
        str(result.connections),
    )


def _short(text: str | bytes) -> str:
    if isinstance(text, bytes):
        return repr(text[:_SHOWN]) + ("..." if len(text) > _SHOWN else "")
    first = (text.splitlines() or [""])[0]
    return first[: 2 * _SHOWN] + ("..." if len(first) > 2 * _SHOWN else "")
