"""How much the check costs.

``pytest benchmarks`` times each way by itself; ``python -m benchmarks`` runs them against each
other in turn and prints ratios, which hold where times do not.  Nothing here fails for being slow.
"""
