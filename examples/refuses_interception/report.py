"""A client of some service: it sends a report over HTTPS, to a server whose keys it pins."""

from __future__ import annotations

import http.client

import pinsock


def send(address: tuple[str, int], text: str, *, pins: pinsock.PinSet, cafile: str) -> str:
    """Send a report and return the server's answer."""
    context = pinsock.create_default_context(pins, cafile=cafile)
    connection = http.client.HTTPSConnection(*address, timeout=10, context=context)
    try:
        connection.request("POST", "/reports", body=text)
        return connection.getresponse().read().decode()
    finally:
        connection.close()
