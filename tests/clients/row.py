"""What a row of the matrix is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from support.daemons.process import Daemon

    from pinsock._throwaway import Credential

    Server = Callable[[Credential], AbstractContextManager[Daemon]]
    WrongServer = Callable[[Credential, Credential], AbstractContextManager["Wrong"]]

__all__ = ["Row", "Wrong"]


class Wrong(Protocol):
    """A server that shows another key, at some place where no interceptor can come in between."""

    @property
    def ports(self) -> Mapping[str, int]: ...

    def heard(self) -> bytes:
        """What it was told there."""


@dataclass(frozen=True)
class Row:
    """One client, in one way of using it."""

    name: str
    """Of its entry in ``results.json``, and of its script, ``scripts/NAME.py``."""
    title: str
    """What the README calls it."""
    server: Server
    """What starts the server that it talks to."""
    script: str = ""
    """Of its script, where that serves several rows."""
    wrong_server: WrongServer | None = None
    """What starts it, with the pinned key and the other one."""
    scheme: str = ""
    """Which of the server's ports; nothing: its only one."""
    distribution: str = ""
    """What pip installs; nothing for the standard library."""
    modules: str = ""
    """What is imported, where that has another name or is more than one; with spaces between."""
    starttls: str = ""
    """The protocol that is spoken before TLS, by its name in ``pinsock.testing``."""
    proxy: str = ""
    """Of a CONNECT proxy: ``"http"`` or ``"https"``.  The recipe gets its URL as ``proxy``."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the recipe."""
    quiet: dict[str, Any] = field(default_factory=dict)
    """More of them, with which the client does not try again by itself."""
    stops: str = ""
    """How the README writes ``quiet``."""
    endless: bool = False
    """It tries again as long as it runs, so how often depends on the time that it is given."""
    swallows: bool = False
    """The library keeps the exception to itself: the callback and the log have to tell."""
    stub: bool = False
    """The server is a stub of ours, which speaks as much of the protocol as the recipe needs."""
    cannot: str = ""
    """How the README says that it takes no context, and what its recipe does in spite of that."""
    attempts: int = 1
    """Of what must work.  More than one only for a client that now and then fails by itself."""
    note: str = ""
    """What a user should know besides."""
