"""Leela's own file format: what a file says of a network, its tensors, and files to try things on.

Loads without torch.
"""
