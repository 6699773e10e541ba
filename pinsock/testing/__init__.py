"""With which users of pinsock prove that their own program refuses a man in the middle.

``pip install pinsock[testing]``.  Servers and interceptors are real ones, on loopback; see
:func:`run_attacks` for the attacks, and the fixtures in :mod:`pytest_pinsock`.
"""

from __future__ import annotations

from pinsock._throwaway import Credential, ec_key, rsa_key
from pinsock.testing._answers import answer, smtp
from pinsock.testing._attacks import ATTACKS
from pinsock.testing._authority import Authority
from pinsock.testing._peers import LOOPBACK, Counters, Interceptor, PinnedServer
from pinsock.testing._report import AttackReport, Result
from pinsock.testing._run import assert_refuses_interception, run_attacks
from pinsock.testing._stage import Client, Target
from pinsock.testing._wire import Seen, Stream

__all__ = [
    "ATTACKS",
    "LOOPBACK",
    "AttackReport",
    "Authority",
    "Client",
    "Counters",
    "Credential",
    "Interceptor",
    "PinnedServer",
    "Result",
    "Seen",
    "Stream",
    "Target",
    "answer",
    "assert_refuses_interception",
    "ec_key",
    "rsa_key",
    "run_attacks",
    "smtp",
]
