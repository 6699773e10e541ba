"""A program on gevent or eventlet that has a client certificate, driven line by line.

test_green.py starts it, after the library has patched what it patches, and says which one that is.
It reads one JSON object a line, connects as that says, and answers with what came back, or with the
name of what was raised.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import pinsock

LIBRARY, _, PATCHED = sys.argv[2].partition(", ")
if LIBRARY == "gevent":
    from gevent import socket
    from gevent import ssl as green_ssl
else:
    from eventlet.green import socket
    from eventlet.green import ssl as green_ssl

#: Seconds.
WAIT = 10.0


class Program:
    """Its context, and what it says to whoever it trusts."""

    def __init__(self, host: str, cadata: str, pin: str, credential: str, secret: str) -> None:
        self.host = host
        self.secret = secret.encode("ascii")
        pins = pinsock.PinSet(pin, None)
        self.context = pinsock.create_default_context(pins, cadata=cadata)
        # Debian's Python offers RSA key exchange, with which no early verdict can be required.
        self.context.set_ciphers("DEFAULT:!kRSA:!kRSAPSK")
        self.context.load_cert_chain(credential)

    def wrap(self, sock: Any, at_once: bool) -> Any:
        """As a program does that is patched; else by the library's own class."""
        options = {"do_handshake_on_connect": at_once, "server_hostname": self.host}
        if PATCHED:
            return self.context.wrap_socket(sock, **options)
        return green_ssl.SSLSocket(sock, _context=self.context, **options)

    def talk(self, way: str, early: str, address: list[Any]) -> str:
        """Connect in this way, say the secret, and return what is said to that."""
        self.context.early_verdict = early
        if way == "connected later":
            sock = self.wrap(socket.socket(), True)
            sock.settimeout(WAIT)
        else:
            plain = socket.create_connection(tuple(address), WAIT)
            sock = self.wrap(plain, way == "wrap")
        try:
            if way == "connected later":
                sock.connect(tuple(address))
            sock.sendall(self.secret)
            return sock.recv(1000).decode("ascii")
        finally:
            sock.close()


program = Program(**json.loads(sys.stdin.readline()))
for line in sys.stdin:
    try:
        answer = program.talk(**json.loads(line))
    except Exception as error:
        answer = type(error).__name__
    print(json.dumps(answer), flush=True)
