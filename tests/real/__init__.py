"""Servers and event loops that were not made for these tests."""
