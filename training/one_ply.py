"""The best move by what one ply shows: what a null that can play is taught.

A player who sees the position after each of his moves and no further has rules: few replies,
checks, captures, squares beside the king. A score adds up such terms of a move. Its weights are
fitted so that it is greatest for the certified first move of a mate in two as often as such a sum
can be (`one_ply_fit`).
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np

from training import certificates, records

__all__ = [
    "FEATURES",
    "TERMS",
    "best",
    "features",
    "greatest",
    "scores",
    "terms",
    "weights",
    "whole",
]

FEATURES = (
    *("replies", "escapes", "check", "mate", "taken", "promoted", "lost", "rescued"),
    *("zone", "distance", "man"),
)
"""The columns of `features`, as in `one_ply.h`."""
TERMS = 77
"""So many numbers a score adds up."""

_MOST = 9  # as many replies, escapes or squares as there are, or more
_MOST_ORDER = 5
_STALEMATE = 256
_FOLDER = Path(__file__).with_name("one_ply_weights")
_WHOLE = 1000  # a term of 1 weighs so many units of a score; a half pawn, which counts 1/10, less
_PER_HALF_PAWN = slice(-6, None)
_A_MATE = 1 << 28


def features(found: np.ndarray) -> np.ndarray:
    """What one ply shows of every legal move, int16 (board, move, feature); 0 beyond the last.

    Args:
        found: of `records.RECORD` or `tactics.TACTIC`.
    """
    return _seen(found, None)[0]


def scores(found: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The score of every legal move, int32 (board, move); mates have the greatest, the rest 0.

    Args:
        found: of `records.RECORD` or `tactics.TACTIC`.
        weight: whole, as from `weights`.
    """
    return _seen(found, weight)[1]


def _seen(found: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    library = certificates.library()
    assert (library.mates_features(), library.mates_terms()) == (len(FEATURES), TERMS)
    found = np.ascontiguousarray(found)
    seen = np.zeros((len(found), records.MOST_MOVES, len(FEATURES)), np.int16)
    score = np.zeros(seen.shape[:2], np.int32)
    library.mates_one_ply(
        found.ctypes.data, found.dtype.itemsize, len(found),
        None if weight is None else weight.ctypes.data, seen.ctypes.data, score.ctypes.data,
    )  # fmt: skip
    return seen, score


def best(found: np.ndarray) -> np.ndarray:
    """Which moves have the greatest score, (board, move): what the teacher `one-ply` plays."""
    most = int(found["count"].max(initial=1))
    domain = "tactics" if "pattern" in (found.dtype.names or ()) else "mates"
    return greatest(found, scores(found, weights(domain)))[:, :most]


def greatest(found: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Which legal moves have the greatest number of a position, (board, move)."""
    legal = np.arange(score.shape[1]) < found["count"][:, None]
    lowest = np.where(legal, score, -np.inf)
    return legal & (lowest == lowest.max(axis=1, keepdims=True))


@cache
def weights(name: str) -> np.ndarray:
    """Fitted weights, int32, one a term.

    Args:
        name: "mates" and "tactics" are what the teacher of a domain adds up, "selection" is what
            `tactics.generate` thins out its roots by, several scores (score, term).
    """
    return np.array(json.loads((_FOLDER / f"{name}.json").read_text())["weights"], np.int32)


def whole(weight: np.ndarray) -> np.ndarray:
    """Weights of terms as the whole numbers of a score, which are the same on every machine."""
    unit = np.full(len(weight), _WHOLE)
    unit[_PER_HALF_PAWN] = _WHOLE // 10
    unit[TERMS - 4] = unit[TERMS - 2] = _WHOLE
    return np.rint(weight * unit).astype(np.int32)


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
        _one_hot(order, _MOST_ORDER + 1, most=_MOST_ORDER),
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
