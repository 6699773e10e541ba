"""The switch between the two checks.  ``BACKEND`` says which one serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

__all__ = ["BACKEND", "find_digest", "find_spki", "locate"]

if TYPE_CHECKING:
    from pinsock._pure import find_digest, find_spki, locate
else:
    try:
        from pinsock._native import find_digest, find_spki, locate
    except ImportError:
        from pinsock._pure import find_digest, find_spki, locate

BACKEND: Final[Literal["c", "python"]] = (
    "c" if find_spki.__module__ == "pinsock._native" else "python"
)
"""``"c"``, or ``"python"`` where pinsock was installed without a C compiler."""
