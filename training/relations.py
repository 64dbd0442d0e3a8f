"""Relations between squares that pieces move by, as maps over pairs of squares.

Smolgen adds mixtures of learned maps to the attention scores. Started from these maps a network
need not find out first which squares lie on one line.
"""

import numpy as np

__all__ = ["maps"]

_RAYS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1), (1, -1), (-1, 1))
_JUMPS = ((1, 2), (2, 1), (-1, 2), (-2, 1), (1, -2), (2, -1), (-1, -2), (-2, -1))


def maps() -> np.ndarray:
    """Each relation as float32 (32, square, square): 1 where the second square has it to the first.

    The eight rays and the step along each, the eight knight's jumps, same file, same rank, the two
    diagonals, any knight's jump, any king's step, the square itself, and the distance in steps of
    a rook from 0 to 2.

    Example:
        >>> import chess
        >>> jumps = maps()[28]
        >>> [chess.square_name(square) for square in np.flatnonzero(jumps[chess.A1])]
        ['c2', 'b3']
    """
    files, ranks = np.arange(64) % 8, np.arange(64) // 8
    right, up = files - files[:, None], ranks - ranks[:, None]
    found = []
    for x, y in _RAYS:
        step = (right == x) & (up == y)
        ray = (right * y == up * x) & (right * x + up * y > 0)
        found += [ray, step]
    found += [(right == x) & (up == y) for x, y in _JUMPS]
    found += [right == 0, up == 0, right == up, right == -up]
    found += [right**2 + up**2 == 5, np.maximum(abs(right), abs(up)) == 1]
    found += [(right == 0) & (up == 0), (abs(right) + abs(up)) / 7]
    return np.array(found, dtype=np.float32)
