"""What ``import pinsock`` costs on top of ``import ssl``, in processes of their own."""

from __future__ import annotations

import subprocess
import sys

__all__ = ["added_by_pinsock"]

_SCRIPT = """
from time import perf_counter
start = perf_counter()
import {}
print(perf_counter() - start)
"""


def _seconds(module: str) -> float:
    command = (sys.executable, "-I", "-c", _SCRIPT.format(module))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return float(done.stdout)


def added_by_pinsock(rounds: int) -> tuple[float, float]:
    """The least seconds of ``import ssl``, and of ``import pinsock`` more than that.

    Both are the minima over the rounds, in which they take turns: what disturbs a process only
    adds to its time.
    """
    _seconds("pinsock")  # writes the byte code
    times = [(_seconds("ssl"), _seconds("pinsock")) for _ in range(rounds)]
    ssl = min(one for one, _ in times)
    return ssl, min(other for _, other in times) - ssl
