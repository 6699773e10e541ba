"""What the tests of the commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.impostor import HOST, Impostor

if TYPE_CHECKING:
    from collections.abc import Callable

    from pinsock._throwaway import Authority


HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before the markers that were asked for are looked at
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All but the demonstration take too long together for a plain run."""
    for item in items:
        asked_for = any(item.get_closest_marker(marker) for marker in ("browser", "soak"))
        if item.path.parent == HERE and item.path.stem != "test_demo" and not asked_for:
            item.add_marker("commands")


@pytest.fixture(scope="session")
def ca(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the authority that everybody trusts, for ``--cafile``."""
    path = tmp_path_factory.mktemp("trusted") / "authority.pem"
    path.write_text(authority.pem)
    return path


@pytest.fixture
def at() -> Callable[[Impostor], str]:
    """How a server on loopback is called on the command line."""
    return lambda server: f"{HOST}:{server.address[1]}@127.0.0.1"
