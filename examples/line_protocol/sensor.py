"""Sends lines to its own collector alone: ``python sensor.py FOLDER COLLECTOR_PINS PORT``."""

from __future__ import annotations

import sys
from pathlib import Path

import pinsock


def main(folder: Path, collector_pins: str, port: int) -> None:
    context = pinsock.create_default_context(collector_pins, cafile=str(folder / "authority.pem"))
    context.load_cert_chain(folder / "sensor.pem")
    with (
        pinsock.create_connection(
            ("127.0.0.1", port),
            context.pins,
            context=context,
            server_hostname="collector",
            timeout=10,
        ) as tls,
        tls.makefile("rb") as answers,
    ):
        for line in sys.stdin:
            tls.sendall(line.encode())
            answer = answers.readline().decode()
            if not answer:
                raise ConnectionError("the collector closed the connection without an answer")
            print(answer, end="", flush=True)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    except OSError as error:  # a pinsock.PinMismatchError is one, too
        sys.exit(f"sensor: {error}")
