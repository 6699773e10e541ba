"""``examples/line_protocol``: the two programs, with right keys and with wrong ones."""

from __future__ import annotations

import queue
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLE = Path(__file__).parents[1] / "examples" / "line_protocol"
SECONDS = 30


class Keys(NamedTuple):
    """What ``make_keys.py`` made."""

    folder: Path
    collector: str
    sensor: str

    def use(self, source: str, target: str) -> None:
        """Give one side another key, as the README does with ``cp``."""
        shutil.copy(self.folder / source, self.folder / target)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """Keys and pins of both sides."""
    folder = tmp_path / "keys"
    made = dict(line.split(": ") for line in run("make_keys.py", str(folder)).stdout.splitlines())
    return Keys(folder, made["collector"], made["sensor"])


def run(program: str, *arguments: str, lines: str = "") -> subprocess.CompletedProcess[str]:
    """Run one of the programs to its end."""
    return subprocess.run(
        [sys.executable, EXAMPLE / program, *arguments],
        input=lines,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


class Collector:
    """A collector that runs, and the lines that it prints."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._printed: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(process,), daemon=True).start()
        self.port = self.next_line().removeprefix("listening on port ")

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._printed.put(line.rstrip("\n"))

    def next_line(self) -> str:
        return self._printed.get(timeout=SECONDS)

    def rest(self) -> list[str]:
        """What it has printed and nobody has asked for."""
        return [self._printed.get() for _ in range(self._printed.qsize())]


@contextmanager
def collector(keys: Keys) -> Iterator[Collector]:
    """``collector.py``, which pins the sensor's keys."""
    with subprocess.Popen(
        [sys.executable, EXAMPLE / "collector.py", keys.folder, keys.sensor],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield Collector(process)
        finally:
            process.kill()


def test_right_keys_talk(keys: Keys) -> None:
    """Every line is answered, and the collector knows by which key it came."""
    with collector(keys) as running:
        done = run("sensor.py", str(keys.folder), keys.collector, running.port, lines="21\n22\n")
        assert (done.returncode, done.stdout, done.stderr) == (0, "noted 1\nnoted 2\n", "")
        assert running.next_line() == f"client matched: {keys.sensor.split(';')[0]}"
        assert [running.next_line(), running.next_line()] == [
            r"reading b'21\n'",
            r"reading b'22\n'",
        ]


def test_backup_keys_talk_without_any_other_change(keys: Keys) -> None:
    """Both were pinned before they were needed."""
    for side in ("collector", "sensor"):
        keys.use(f"{side}-backup.pem", f"{side}.pem")
    with collector(keys) as running:
        done = run("sensor.py", str(keys.folder), keys.collector, running.port, lines="21\n")
        assert (done.returncode, done.stdout) == (0, "noted 1\n")
        assert running.next_line() == f"client matched: {keys.sensor.split(';')[1]}"


def test_a_sensor_with_another_key_exchanges_no_line(keys: Keys) -> None:
    """Its certificate is of the same authority, and its key is not pinned."""
    keys.use("collector.pem", "sensor.pem")
    with collector(keys) as running:
        done = run("sensor.py", str(keys.folder), keys.collector, running.port, lines="21\n")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("sensor: ")
        assert "Traceback" not in done.stderr
        assert running.next_line() == f"client mismatch: {keys.collector.split(';')[0]}"

        keys.use("sensor-backup.pem", "sensor.pem")
        run("sensor.py", str(keys.folder), keys.collector, running.port, lines="22\n")
        printed = [running.next_line(), running.next_line(), *running.rest()]
        assert printed[1:] == [r"reading b'22\n'"]


def test_a_collector_with_another_key_gets_no_line(keys: Keys) -> None:
    """Its certificate is of the same authority and for its name, and its key is not pinned."""
    in_use, backup = keys.collector.split(";")
    keys.use("collector-backup.pem", "collector.pem")
    with collector(keys) as running:
        pins = f"{in_use};{keys.sensor}"
        done = run("sensor.py", str(keys.folder), pins, running.port, lines="21\n")
        assert (done.returncode, done.stdout) == (1, "")
        assert "the server's public key is none of the pinned ones" in done.stderr
        assert backup in done.stderr
        assert "Traceback" not in done.stderr

        run("sensor.py", str(keys.folder), keys.collector, running.port, lines="22\n")
        printed = iter(running.next_line, r"reading b'22\n'")
        assert all(line.startswith("client ") for line in printed)
