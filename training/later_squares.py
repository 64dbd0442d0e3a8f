"""Where the third move of a mate in two comes from and goes to: what a told network is told.

No network that ships learns from these.
"""

from __future__ import annotations

import numpy as np

from training import certificates, records

__all__ = ["SOURCE", "TARGET", "of"]

SOURCE, TARGET = 0, 1
_MATE_IN_2 = 0


def of(found: np.ndarray) -> np.ndarray:
    """How likely the third move comes from and goes to each square, (board, source/target, square).

    Every reply to the key move is as likely as another, and so is every mate that answers it.
    Squares are the mover's. All zeros where the record is no mate in two.

    Example:
        >>> block = certificates.generate(seed=1, block=0, count=2)
        >>> of(block[block["kind"] == 0]).sum(axis=2).tolist()
        [[1.0, 1.0]]
    """
    told = np.zeros((len(found), 2, 64), np.float64)
    for row in np.flatnonzero(found["kind"] == _MATE_IN_2):
        (key,) = records.moves(found[row], bits=records.STRONG)
        answers = certificates.answers(records.board(found[row]), key)
        for mates in answers.values():
            for mate in mates:
                share = 1 / len(answers) / len(mates)
                told[row, SOURCE, mate.from_square] += share
                told[row, TARGET, mate.to_square] += share
    return told.astype(np.float32)
