"""What a network gives for planes, before anything is known of legal moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

__all__ = ["Outputs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """What a network gives for ready-made planes.

    Attributes:
        logits: the raw policy.
        wdl: probabilities of win, draw and loss; None if the network has no such head.
        value: the scalar value, -1 to 1; None unless the network has that head.
        moves_left: expected number of plies left; None if the network has no such head.
    """

    logits: Float32[np.ndarray, "board slot"]
    wdl: Float32[np.ndarray, "board outcome"] | None
    value: Float32[np.ndarray, "board"] | None
    moves_left: Float32[np.ndarray, "board"] | None
