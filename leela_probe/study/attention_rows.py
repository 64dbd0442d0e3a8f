"""Rows of the patterns of heads that follow a piece's moves (figure 6), drawn at random."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from leela_probe.positions.planes import History
from leela_probe.positions.squares import NetSquare, to_board
from leela_probe.puzzles.pairs import Pair

if TYPE_CHECKING:
    from leela_probe.networks.network import Network

__all__ = ["draw"]


def draw(
    network: Network,
    pairs: Sequence[Pair],
    heads_of: Mapping[str, Sequence[tuple[int, int]]],
    *,
    puzzles: int = 4,
    history: History = History.FILLED,
    seed: int = 0,
) -> pd.DataFrame:
    """One row of a pattern for each of a few puzzles and each piece that has a head.

    Puzzle, head and query square are drawn at random, the query among squares that hold a piece;
    nothing is chosen for looking well.

    Args:
        network: an attention body.
        pairs: the puzzles.
        heads_of: (layer, head) lists by piece.
        puzzles: how many of them.
        history: what stands for positions before the known ones.
        seed: of the draws.

    Returns:
        Columns puzzle_id, fen, piece, layer, head, query, square, attention: 64 rows a picture.
    """
    chosen = random.Random(seed).sample(list(pairs), min(puzzles, len(pairs)))
    parts = []
    for pair in chosen:
        board = pair.clean
        for piece, listed in heads_of.items():
            if not listed:
                continue
            draw_one = random.Random(f"{seed} {pair.puzzle_id} {piece}")
            layer, head = draw_one.choice(list(listed))
            occupied = [
                square
                for square in range(64)
                if board.piece_type_at(to_board(NetSquare(square), pair.turn))
            ]
            query = draw_one.choice(occupied)
            site = f"layer{layer}.pattern"
            pattern = network.capture([board], [site], history=history)[site]
            parts.append(
                pd.DataFrame(
                    {
                        "puzzle_id": pair.puzzle_id,
                        "fen": pair.clean_fen,
                        "piece": piece,
                        "layer": layer,
                        "head": head,
                        "query": query,
                        "square": np.arange(64),
                        "attention": pattern[0, head, query].float().cpu().numpy(),
                    }
                )
            )
    columns = ["puzzle_id", "fen", "piece", "layer", "head", "query", "square", "attention"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
