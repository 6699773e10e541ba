"""Takes readings from its own sensor alone: ``python collector.py FOLDER SENSOR_PINS``."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys
from pathlib import Path

import pinsock


def tell(verdict: pinsock.Verdict) -> None:
    """Of every client that showed a certificate, those that are refused included."""
    print(f"client {verdict.outcome.value}: {verdict.pin or verdict.chain_pins[0]}", flush=True)


async def take_readings(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reached by a client that has the sensor's key, and by no other."""
    number = 0
    async for line in reader:
        number += 1
        print(f"reading {line!r}", flush=True)
        writer.write(b"noted %d\n" % number)
        await writer.drain()
    writer.close()


async def main(folder: Path, sensor_pins: str) -> None:
    context = pinsock.create_default_context(
        sensor_pins,
        purpose=ssl.Purpose.CLIENT_AUTH,
        cafile=str(folder / "authority.pem"),
        on_verdict=tell,
    )
    context.verify_mode = ssl.CERT_REQUIRED  # without it a server asks for no certificate
    context.load_cert_chain(folder / "collector.pem")
    server = await asyncio.start_server(take_readings, "127.0.0.1", 0, ssl=context)
    print(f"listening on port {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
