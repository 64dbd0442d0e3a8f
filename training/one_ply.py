"""The best move by what one ply shows: what a null that can play is taught.

A player who sees the position after each of his moves and no further has rules: few replies,
checks, captures, squares beside the king. A score adds up such terms of a move. Its weights are
fitted so that it is greatest for the certified first move of a mate in two as often as such a sum
can be (`one_ply_fit`); they are in `one_ply.json`.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np

from training import certificates, records

__all__ = ["FEATURES", "best", "features", "scores", "terms", "weights"]

FEATURES = (
    *("replies", "escapes", "check", "mate", "taken", "promoted", "lost", "rescued"),
    *("zone", "distance", "man"),
)
"""The columns of `features`, as in `one_ply.c`."""

_MOST = 9  # as many replies, escapes or squares as there are, or more
_MOST_RANK = 5
_STALEMATE = 256
_KEPT = Path(__file__).with_suffix(".json")
_BOARDS = 256  # at a time: terms are many


def features(found: np.ndarray) -> np.ndarray:
    """What one ply shows of every legal move, int16 (board, move, feature); 0 beyond the last.

    Args:
        found: of `records.RECORD` or `tactics.TACTIC`.
    """
    seen = np.zeros((len(found), records.MOST_MOVES, len(FEATURES)), np.int16)
    library = certificates.library()
    assert library.mates_features() == len(FEATURES)
    found = np.ascontiguousarray(found)
    library.mates_one_ply(found.ctypes.data, found.dtype.itemsize, len(found), seen.ctypes.data)
    return seen


def terms(seen: np.ndarray, legal: np.ndarray) -> np.ndarray:
    """What a score adds up, float32 (board, move, term).

    Args:
        seen: as from `features`, of as many moves as `legal`.
        legal: whether there is such a move, (board, move).
    """
    part = {name: seen[..., index].astype(np.int64) for index, name in enumerate(FEATURES)}
    few = np.where(legal, part["replies"], _STALEMATE)
    order = (few[:, None, :] < few[:, :, None]).sum(axis=2)
    check = part["check"]
    columns = [
        _one_hot(part["replies"] * 2 + check, 2 * _MOST + 2, most=2 * _MOST + check),
        _one_hot(part["escapes"] * 2 + check, 2 * _MOST + 2, most=2 * _MOST + check),
        _one_hot(order, _MOST_RANK + 1, most=_MOST_RANK),
        _one_hot(part["zone"], _MOST),
        _one_hot(part["distance"], 8),
        _one_hot(part["man"], 6),
        np.stack(
            [
                part["replies"] == _STALEMATE,
                part["taken"] > 0,
                part["taken"] / 10,
                part["promoted"] / 10,
                part["lost"] > 0,
                part["lost"] / 10,
                (part["lost"] > 0) & (check > 0),
                part["rescued"] / 10,
            ],
            axis=-1,
        ).astype(np.float32),
    ]
    return np.concatenate(columns, axis=-1) * legal[..., None]


def _one_hot(value: np.ndarray, size: int, *, most: int | np.ndarray | None = None) -> np.ndarray:
    value = np.minimum(value, size - 1 if most is None else most)
    return (value[..., None] == np.arange(size)).astype(np.float32)


def scores(found: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The score of every legal move, float32 (board, move); -inf beyond the last, inf for mates."""
    most = int(found["count"].max(initial=1))
    legal = np.arange(most) < found["count"][:, None]
    score = np.where(legal, np.float32(0), -np.inf).astype(np.float32)
    for at in range(0, len(found), _BOARDS):
        part = slice(at, at + _BOARDS)
        seen = features(found[part])[:, :most]
        score[part] += terms(seen, legal[part]) @ weight
        score[part][seen[..., FEATURES.index("mate")] > 0] = np.inf
    return score


def best(found: np.ndarray) -> np.ndarray:
    """Which moves have the greatest score, (board, move): what the teacher `one-ply` plays."""
    score = scores(found, weights())
    return score >= score.max(axis=1, keepdims=True) - 1e-4


@cache
def weights() -> np.ndarray:
    """The fitted weights of `one_ply.json`, one per term."""
    return np.array(json.loads(_KEPT.read_text())["weights"], np.float32)
