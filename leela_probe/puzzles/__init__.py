"""Puzzles: read, filtered with a reason for each, and paired with a corrupted partner.

Loads without torch, since networks come as arguments.
"""
