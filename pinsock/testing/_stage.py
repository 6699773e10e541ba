"""Who is on the stage: the client of a user, the right server, and what an attacker may have."""

from __future__ import annotations

import inspect
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from pinsock._context import PinnedContext, create_default_context
from pinsock._pins import PinSet
from pinsock.testing._answers import answer, smtp
from pinsock.testing._authority import Authority
from pinsock.testing._peers import LOOPBACK, Interceptor, Peer, PinnedServer
from pinsock.testing._report import Result

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pinsock._throwaway import Credential
    from pinsock.testing._starttls import StartTls
    from pinsock.testing._wire import Seen, Stream

__all__ = [
    "OTHER_HOST",
    "VERSIONS",
    "Client",
    "NotApplicableError",
    "NotReachedError",
    "Stage",
    "Target",
    "judge",
    "words",
]

#: It leads to loopback as well, and no certificate of the right server has it.
OTHER_HOST = "localhost"

VERSIONS = {"TLS 1.3": ssl.TLSVersion.TLSv1_3, "TLS 1.2": ssl.TLSVersion.TLSv1_2}


@dataclass(frozen=True)
class Target:
    """What a client needs to know to make its connection."""

    host: str
    port: int
    pins: PinSet
    """The keys of the right server: the one in use and a backup."""
    cafile: str
    """A PEM file with the certificates of the authorities that the client is to trust."""
    client_certificate: str
    """A PEM file with a key and certificate, for clients that show one."""
    proxy: str | None = None
    """The URL of an HTTP proxy to go through, if the client can."""
    starttls: StartTls | None = None
    """The protocol in which the client is to ask for TLS."""

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port

    @property
    def url(self) -> str:
        return f"https://{self.host}:{self.port}/"

    @property
    def pin_texts(self) -> list[str]:
        """The pins as ``sha256/...``, for settings and command lines."""
        return [str(pin) for pin in (*self.pins.pins, *self.pins.backup)]

    def context(self, *, client_certificate: bool = False) -> PinnedContext:
        """A context that trusts those authorities and is pinned to those keys."""
        context = create_default_context(self.pins, cafile=self.cafile)
        if client_certificate:
            context.load_cert_chain(self.client_certificate)
        return context


#: Makes one connection to the target and sends something there; raises if it cannot.
Client = Callable[[Target], Any]


class NotApplicableError(Exception):
    """An attack that this client cannot be put through, with the reason."""


class NotReachedError(Exception):
    """The way that an attack is on does not lead to the right server: it would show nothing."""


class Stage:
    """The client, the right server and what an attacker may have."""

    def __init__(
        self,
        client: Client,
        folder: Path,
        *,
        starttls: StartTls | None,
        serve: Callable[[Stream], None] | None,
        scope: Literal["leaf", "chain"],
        context: Callable[[Target], ssl.SSLContext] | None,
        timeout: float,
    ) -> None:
        self.client = client
        self.starttls = starttls
        self.serve = serve or (smtp if starttls == "smtp" else answer)
        self.has_own_server = serve is not None
        self.context = context
        self.timeout = timeout
        root = Authority("the server's root")
        self.authority = Authority("the server's authority", parent=root)
        self.another = Authority("another authority that the client trusts")
        self.good = self.authority.issue(LOOPBACK)
        self.backup = self.authority.issue(LOOPBACK)
        self.rogue = self.another.issue(LOOPBACK, OTHER_HOST)
        clients = Authority("the clients' authority")
        self.clients = clients.pem
        cafile = folder / "authorities.pem"
        cafile.write_text(root.pem + self.another.pem)
        pins = (
            PinSet(self.good.pin, backup=self.backup.pin)
            if scope == "leaf"
            else PinSet(self.authority.pin, backup=Authority("a backup").pin, scope="chain")
        )
        self.target = Target(
            host=LOOPBACK,
            port=0,
            pins=pins,
            cafile=str(cafile),
            client_certificate=str(clients.issue("client.example").write(folder / "client.pem")),
            starttls=starttls,
        )
        self.versions: list[str] = []
        """Those in which the client has reached the right server."""
        self.speaks_http = False

    def server(self, **settings: Any) -> PinnedServer:
        """The right server."""
        settings = {"serve": self.serve, "starttls": self.starttls, **settings}
        return PinnedServer(
            settings.pop("credential", self.good),
            clients=self.clients,
            clients_required=False,
            timeout=self.timeout,
            **settings,
        )

    def interceptor(
        self, credential: Credential | None, server: Peer, version: str | None = None, **more: Any
    ) -> Interceptor:
        return Interceptor(
            credential,
            more.pop("upstream", server.address),
            starttls=self.starttls,
            clients=self.clients,
            version=VERSIONS[version] if version else None,
            timeout=self.timeout,
            **more,
        )

    def call(self, peer: Peer, **changes: Any) -> BaseException | None:
        """One connection of the client to this peer, or what it raised instead."""
        target = replace(self.target, **{"host": peer.host, "port": peer.port, **changes})
        raised: list[BaseException | None] = []

        def work() -> None:
            try:
                result = self.client(target)
                if inspect.isawaitable(result):
                    import asyncio

                    asyncio.run(_wait_for(result))
            except SystemExit as end:
                raised.append(end if end.code else None)
            except BaseException as error:  # whatever it is, it is the answer
                raised.append(error)
            else:
                raised.append(None)

        thread = threading.Thread(target=work, name="the client under attack", daemon=True)
        thread.start()
        thread.join(2 * self.timeout)
        if not raised:
            peer.settle()
            thread.join(self.timeout)
        if not raised:
            raise TimeoutError(
                f"the client neither returned nor raised in {3 * self.timeout:g} seconds; give it "
                f"a timeout of its own, or run_attacks(..., timeout=) a longer one"
            )
        return raised[0]


async def _wait_for(result: Any) -> Any:
    return await result


def judge(
    attack: str,
    raised: BaseException | Iterable[BaseException | None] | None,
    connections: Iterable[Seen],
    leaked: bytes | None = None,
    *,
    went_on: bool = False,
) -> Result:
    """A row, from what the client raised and what was seen of its connections.

    :param leaked: ``None``: all that was said on them, for it was an attacker who saw it; else it
        was the right server, which got all but this by right.
    :param went_on: whether the client was deceived, whatever it raised then.
    """
    answers = [raised] if raised is None or isinstance(raised, BaseException) else list(raised)
    error = next((answer for answer in answers if answer is not None), None)
    seen = list(connections)
    shown = leaked is None and any(one.client_certificate is not None for one in seen)
    if leaked is None:
        leaked = b"".join(one.application for one in seen)
    in_the_clear = b"".join(one.not_tls for one in seen)
    not_refused = went_on or None in answers or leaked or in_the_clear
    return Result(
        attack,
        "not refused" if not_refused else "refused" if seen else "no connection",
        connections=len(seen),
        leaked=leaked,
        in_the_clear=in_the_clear,
        client_certificate=shown,
        note="" if error is None else words(error),
    )


def words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")
