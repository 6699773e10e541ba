"""What the client does with the right server, and with somebody in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import report

import pinsock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pinsock.testing import Authority, Interceptor, PinnedServer, Target


@pytest.fixture
def cafile(pin_authority: Authority, tmp_path: Path) -> str:
    """The authority that signs for the server, and for the interceptor."""
    path = tmp_path / "authority.pem"
    path.write_text(pin_authority.pem)
    return str(path)


def test_the_server_gets_the_report(pinned_server: PinnedServer, cafile: str) -> None:
    """With the key in use, and after the change to the backup key."""
    for _ in range(2):
        pins = pinned_server.pins
        assert report.send(pinned_server.address, "all well", pins=pins, cafile=cafile) == "hello\n"
        pinned_server.use_backup()
    assert all(b"all well" in seen.application for seen in pinned_server.connections)


def test_an_interceptor_gets_nothing(
    pinned_server: PinnedServer, interceptor: Interceptor, cafile: str
) -> None:
    """Its certificate is fine, and its key is not pinned."""
    with pytest.raises(pinsock.PinMismatchError):
        report.send(interceptor.address, "all well", pins=pinned_server.pins, cafile=cafile)
    assert interceptor.settle().application_bytes == 0


def test_the_client_refuses_every_attack(pin_attacks: Callable[..., object]) -> None:
    """The list of the attacks is that of pinsock.testing."""

    def send(target: Target) -> None:
        report.send(target.address, "all well", pins=target.pins, cafile=target.cafile)

    pin_attacks(send)
