"""Tests of ``pinsock.testing``, of the pytest plugin and of what stands on them."""
