"""A network that runs: converted, opened, evaluated, verified, its activations read and changed.

Stands on `weights`, `positions` and `files`.
"""
