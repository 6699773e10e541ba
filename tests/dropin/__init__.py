"""CPython's own tests of ssl and of what stands on it, with and without pins."""
