"""Runs within mitmproxy, in its own environment: writes down what mitmproxy could read.

A line of JSON for each thing, into the file that the environment names.
"""

import json
import os
from pathlib import Path
from typing import Any

FILE = Path(os.environ["WHAT_MITMPROXY_READ"])


def note(kind: str, data: bytes = b"") -> None:
    with FILE.open("a") as file:
        file.write(json.dumps([kind, data.decode("latin-1")]) + "\n")


def client_connected(_client: Any) -> None:
    note("connection")


def tls_established_client(_data: Any) -> None:
    note("handshake")


def tls_failed_client(_data: Any) -> None:
    note("no handshake")


def request(flow: Any) -> None:
    note("request", flow.request.raw_content)


def tcp_message(flow: Any) -> None:
    note("message", flow.messages[-1].content)


def client_disconnected(_client: Any) -> None:
    note("end")
