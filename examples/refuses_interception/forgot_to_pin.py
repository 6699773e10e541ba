"""The same client, which takes the pins and forgets them: what the tests are there to find."""

from __future__ import annotations

import http.client
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pinsock


def send(address: tuple[str, int], text: str, *, pins: pinsock.PinSet, cafile: str) -> str:
    """Send a report and return the server's answer."""
    del pins
    context = ssl.create_default_context(cafile=cafile)
    connection = http.client.HTTPSConnection(*address, timeout=10, context=context)
    try:
        connection.request("POST", "/reports", body=text)
        return connection.getresponse().read().decode()
    finally:
        connection.close()
