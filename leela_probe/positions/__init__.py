"""Chess as a network sees it: squares, symmetry, moves and policy slots, planes, encoded boards.

Loads without torch.
"""
