"""How alike a network's policies in two positions are: log odds of a move, Jensen-Shannon.

All policies are over the legal moves of their own position, given as log probabilities in one flat
array, as an `Evaluation` holds them. In nats, in float64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float32, Float64, Int64, UInt16

__all__ = ["jensen_shannon", "log_odds"]


def log_odds(
    log_probabilities: Float32[np.ndarray, " legal_move"],
    offsets: Int64[np.ndarray, " board_plus_1"],
    chosen: Int64[np.ndarray, " board"],
) -> Float64[np.ndarray, " board"]:
    """The log odds of one move of each board: ln(p / (1 - p)), also where p rounds to 1.

    Infinite where the move is the only one.

    Args:
        log_probabilities: of all boards, flat.
        offsets: board i owns the entries from `offsets[i]` to `offsets[i + 1]`; at least one.
        chosen: the move of each board, as a place in the flat array.

    Example:
        >>> logs = np.log(np.array([0.8, 0.1, 0.1, 1.0], dtype=np.float32))
        >>> log_odds(logs, np.array([0, 3, 4]), np.array([0, 3])).round(6)
        array([1.386294,      inf])
    """
    others = log_probabilities.astype(np.float64)
    of_chosen = others[chosen]
    others[chosen] = -np.inf
    starts = offsets[:-1]
    highest = np.maximum.reduceat(others, starts)
    alone = np.isneginf(highest)
    highest[alone] = 0.0
    shifted = np.exp(others - np.repeat(highest, np.diff(offsets)))
    total = np.add.reduceat(shifted, starts)
    total[alone] = 1.0
    return np.where(alone, np.inf, of_chosen - highest - np.log(total))


def jensen_shannon(
    reference_moves: UInt16[np.ndarray, " reference_move"],
    reference: Float32[np.ndarray, " reference_move"],
    moves: UInt16[np.ndarray, " legal_move"],
    log_probabilities: Float32[np.ndarray, " legal_move"],
    offsets: Int64[np.ndarray, " board_plus_1"],
) -> Float64[np.ndarray, " board"]:
    """The Jensen-Shannon divergence of each board's policy from a reference, 0 to ln 2.

    A move that is legal in one position only has probability 0 in the other.

    Args:
        reference_moves: the moves of the reference, as numbers (`moves.number_of`).
        reference: their log probabilities.
        moves: the moves of all boards as numbers, flat.
        log_probabilities: of those.
        offsets: board i owns the entries from `offsets[i]` to `offsets[i + 1]`; at least one.

    Example:
        >>> moves = np.array([1, 2], dtype=np.uint16)
        >>> half = np.log(np.array([0.5, 0.5], dtype=np.float32))
        >>> other = np.array([1, 2, 3, 4], dtype=np.uint16)
        >>> jensen_shannon(moves, half, other, np.tile(half, 2), np.array([0, 2, 4])).round(6)
        array([0.      , 0.693147])
    """
    dense = np.zeros(1 << 15)
    dense[reference_moves] = np.exp(reference.astype(np.float64))
    dense /= dense.sum()
    p = dense[moves]
    q = np.exp(log_probabilities.astype(np.float64))
    starts, counts = offsets[:-1], np.diff(offsets)
    q /= np.repeat(np.add.reduceat(q, starts), counts)
    middle = (p + q) / 2
    terms = _times_log_ratio(p, middle) + _times_log_ratio(q, middle)
    elsewhere = 1.0 - np.add.reduceat(p, starts)
    divergence = (np.add.reduceat(terms, starts) + elsewhere * np.log(2)) / 2
    return np.clip(divergence, 0.0, np.log(2))


def _times_log_ratio(
    p: Float64[np.ndarray, " legal_move"], q: Float64[np.ndarray, " legal_move"]
) -> Float64[np.ndarray, " legal_move"]:
    """p ln(p / q), which is 0 where p is."""
    some = p > 0
    return p * np.log(np.divide(p, q, out=np.ones_like(p), where=some))
