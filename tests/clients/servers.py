"""The servers of the matrix that are Python's own, each in a thread of this process."""

from __future__ import annotations

import contextlib
import threading
import xmlrpc.server
from contextlib import contextmanager
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING

from support.contexts import server as over_tls
from support.daemons.process import LOOPBACK, Daemon, needs_module
from support.impostor import WAIT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pinsock._throwaway import Credential

__all__ = ["websocket_server", "xmlrpc_server"]

NO_LOG = Path("/dev/null")


@contextmanager
def _in_thread(serve: Callable[[], None], stop: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=serve, name="server")
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join(WAIT)
        assert not thread.is_alive(), "the server did not end"


# --- XML-RPC --------------------------------------------------------------------------------------


class _XMLRPCServer(ThreadingMixIn, xmlrpc.server.SimpleXMLRPCServer):
    daemon_threads = True


@contextmanager
def xmlrpc_server(credential: Credential) -> Iterator[Daemon]:
    """Port ``https``, with a method ``hello``."""
    with _XMLRPCServer((LOOPBACK, 0), logRequests=False) as server:
        server.register_function(lambda: "hello", "hello")
        # The handshake is made by the thread that reads the first request.
        server.socket = over_tls(credential).wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        port: int = server.socket.getsockname()[1]
        with _in_thread(lambda: server.serve_forever(0.05), server.shutdown):
            yield Daemon("xmlrpc.server", credential, {"https": port}, NO_LOG)


# --- WebSocket ------------------------------------------------------------------------------------


@contextmanager
def websocket_server(credential: Credential) -> Iterator[Daemon]:
    """Port ``wss``; every message comes back."""
    needs_module("websockets")
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.server import ServerConnection, serve

    def echo(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            for message in connection:
                connection.send(message)

    with serve(echo, LOOPBACK, 0, ssl=over_tls(credential)) as server:
        port: int = server.socket.getsockname()[1]
        with _in_thread(server.serve_forever, server.shutdown):
            yield Daemon("websockets", credential, {"wss": port}, NO_LOG)
