"""What the tests of policies share."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from support.impostor import HOST

from pinsock import _records
from pinsock._throwaway import Authority, Credential

from .tools import Cast, Clock

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def cast(authority: Authority, good: Credential, backup: Credential, bad: Credential) -> Cast:
    """And a company's proxy, which makes up a certificate for every host."""
    interceptor = Authority("company proxy")
    return Cast(authority, interceptor, good, backup, bad, interceptor.issue(HOST))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def log_clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The log's own, which has nothing behind it: what one test said is no repeat in the next."""
    clock = Clock()
    monkeypatch.setattr(_records, "_said", _records._Said(60.0, clock))
    return clock


class _Raising(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise RuntimeError(record.msg)


@pytest.fixture
def raising_log() -> Iterator[None]:
    """A handler that raises whatever it is given, as a careless one does when its disk is full."""
    logger, handler = logging.getLogger("pinsock"), _Raising()
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)
