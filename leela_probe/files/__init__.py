"""Keeping files: whole or not at all, as tables, in stages that go on where they were stopped.

Also the worker processes that fill them. Knows nothing of chess.
"""
