"""One script a client, run as :mod:`clients.harness` says.

What stands between the marks ``# recipe`` and ``# end`` is shown in the README, with the imports
above it, so it has no type hints.
"""
