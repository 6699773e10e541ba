"""Real servers on loopback: where the tests here find what starts them."""

from support.daemons.process import LOOPBACK, find, reserved_port, running, talk_to

__all__ = ["LOOPBACK", "find", "reserved_port", "running", "talk_to"]
