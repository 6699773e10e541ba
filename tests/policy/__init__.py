"""Policies, the files they live in, and the records of what was checked."""
