"""What the tests of the commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.impostor import HOST, Impostor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pinsock._throwaway import Authority


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
