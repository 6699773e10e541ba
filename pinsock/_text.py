"""Text from outside, made safe to print."""

from __future__ import annotations

__all__ = ["safe_text"]

_MOST = 120


def safe_text(text: str) -> str:
    """Escaped to printable ASCII and cut, so that it can neither forge lines nor flood a log."""
    escaped = ascii(text[: _MOST + 1])[1:-1].replace("\\\\", "\\").replace("\\'", "'")
    return escaped if len(escaped) <= _MOST else f"{escaped[:_MOST]}..."
