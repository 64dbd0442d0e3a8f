"""Heads that follow a piece's moves: the paper's lists, a rule to find them, the effect in E4."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import chess
import numpy as np
import pandas as pd
from jaxtyping import Bool, UInt64

from leela_probe.networks.interventions import Intervention, Zero
from leela_probe.positions.planes import History
from leela_probe.positions.squares import to_board
from leela_probe.puzzles.pairs import Pair

if TYPE_CHECKING:
    from leela_probe.networks.network import Network

__all__ = [
    "JENNER2024",
    "PIECES",
    "Ablation",
    "ablations",
    "choose",
    "control_sizes",
    "reach",
    "scores",
]

PIECES = ("knight", "bishop", "rook")

# The heads that Jenner et al. (2024) chose by eye in T82-768x15x24h: clean ones, then noisy ones.
_LISTED = {
    "knight": "0.17 1.19 3.14 3.15 4.3 5.3 5.13 8.5 9.5 14.22"
    " 2.15 6.0 6.10 7.11 8.19 9.4 10.12 10.22 11.17 12.19 12.22 13.0",
    "bishop": "1.4 1.16 3.0 3.8 4.10 4.15 4.17 5.17 5.19 6.3 6.20 7.5 7.18 8.1 9.1 10.0 11.5 11.7"
    " 11.16 12.20 13.14 14.20 0.10 4.14 6.4 10.8 13.18",
    "rook": "0.15 1.10 1.20 2.7 2.12 3.16 4.18 5.10 6.9 7.13 7.14 7.19 7.22 9.3 9.12 10.6 10.11"
    " 10.23 14.16 3.19 4.1 4.22 8.14 11.12 11.19 11.22 12.9 13.4 14.2",
}
JENNER2024: dict[str, tuple[tuple[int, int], ...]] = {
    piece: tuple(
        (int(layer), int(head)) for layer, head in (word.split(".") for word in words.split())
    )
    for piece, words in _LISTED.items()
}
"""The paper's (layer, head) lists by piece. They hold for its network alone."""


def reach(
    piece: str, occupied: UInt64[np.ndarray, " board"]
) -> Bool[np.ndarray, "board query key"]:
    """Which squares a piece would attack from each square of each board.

    Args:
        piece: "knight", "bishop" or "rook".
        occupied: bit masks of the occupied squares; a sliding piece stops at them.
    """
    result = np.zeros((len(occupied), 64, 64), dtype=bool)
    for query in chess.SQUARES:
        for key in chess.SQUARES:
            files = abs(chess.square_file(query) - chess.square_file(key))
            ranks = abs(chess.square_rank(query) - chess.square_rank(key))
            shape = {
                "knight": {files, ranks} == {1, 2},
                "bishop": files == ranks != 0,
                "rook": (files == 0) != (ranks == 0),
            }[piece]
            if shape:
                between = np.uint64(0 if piece == "knight" else chess.between(query, key))
                result[:, query, key] = (occupied & between) == 0
    return result


def scores(
    network: Network,
    boards: Sequence[chess.Board],
    *,
    history: History = History.FILLED,
    batch_size: int = 32,
) -> pd.DataFrame:
    """How much of each head's attention follows each piece's moves.

    Args:
        network: an attention body.
        boards: positions to average over. Heads chosen on them should be tried on others.
        history: what stands for positions before the known ones.
        batch_size: positions at once.

    Returns:
        A row for each layer, head and piece: `share` of the attention, averaged over boards and
        query squares, that goes to squares which the piece would attack from the query square, and
        `uniform`, the share that attention spread evenly would give.

    Raises:
        ValueError: if the network has no attention patterns, or no board is given.
    """
    if not network.heads:
        raise ValueError(f"{network.name!r} is a {network.body} and has no attention patterns")
    if not boards:
        raise ValueError("no boards to average over: give at least one")
    encoded = network.encode(boards, history=history)
    occupied = np.bitwise_or.reduce(encoded.masks[:, :12], axis=1)
    sites = [f"layer{layer}.pattern" for layer in range(network.layers)]
    share = {piece: np.zeros((network.layers, network.heads)) for piece in PIECES}
    uniform = dict.fromkeys(PIECES, 0.0)
    start = 0
    for batch in network.stream(encoded, sites, batch_size=batch_size):
        count = batch[sites[0]].shape[0]
        for piece in PIECES:
            geometry = reach(piece, occupied[start : start + count]).astype(np.float32)
            uniform[piece] += geometry.mean() * count / len(boards)
            for layer, site in enumerate(sites):
                pattern = batch[site].float().cpu().numpy()
                found = np.einsum("bhqk,bqk->h", pattern, geometry) / 64
                share[piece][layer] += found / len(boards)
        start += count
    return pd.DataFrame(
        [
            {
                "layer": layer,
                "head": head,
                "piece": piece,
                "share": share[piece][layer, head],
                "uniform": uniform[piece],
            }
            for layer in range(network.layers)
            for head in range(network.heads)
            for piece in PIECES
        ]
    )


def choose(table: pd.DataFrame, *, least: float = 0.5) -> dict[str, tuple[tuple[int, int], ...]]:
    """The heads that give at least the share `least` to a piece's moves, by that piece.

    A head that reaches it for several pieces goes to the one it gives most.

    Args:
        table: from `scores`.
        least: the share of attention, 0 to 1.
    """
    best = table.loc[table.groupby(["layer", "head"])["share"].idxmax()]
    best = best[best["share"] >= least].sort_values(["layer", "head"])
    return {
        piece: tuple(
            (int(layer), int(head))
            for layer, head in best.loc[best["piece"] == piece, ["layer", "head"]].to_numpy()
        )
        for piece in PIECES
    }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ablation:
    """What one run of E4 does to a puzzle.

    Attributes:
        label: the third move's piece, and whose heads and which column are ablated.
        column: the key square whose column is zeroed; None where each head has another.
        interventions: one for each head.
    """

    label: str
    column: int | None
    interventions: tuple[Intervention, ...]


def ablations(
    pair: Pair, heads_of: Mapping[str, Sequence[tuple[int, int]]], *, seed: int
) -> list[Ablation]:
    """The runs of `sweeps.piece_heads` for one puzzle; none if it does not fit.

    Controls have as many heads as the piece's own list, or all that other pieces have where those
    are fewer (`control_sizes`). They are not matched in attention: the column of the third target
    is likely to hold more of it than another column, which is what the experiment asks, and heads
    of other pieces may hold less in it.

    Args:
        pair: the puzzle.
        heads_of: (layer, head) lists by piece.
        seed: of the draws of the controls.
    """
    target, source = pair.target(3), pair.source(3)
    if len(pair.line) < 5 or target is None or source is None:
        return []
    mover = pair.clean.piece_at(to_board(source, pair.turn))
    if mover is None or mover.color != pair.turn:
        return []
    piece = chess.piece_name(mover.piece_type)
    own = list(heads_of.get(piece, ()))
    if piece not in PIECES or not own:
        return []
    draw = random.Random(f"{seed} {pair.puzzle_id}")
    others = [head for name, listed in sorted(heads_of.items()) if name != piece for head in listed]
    elsewhere = [square for square in range(64) if square not in (target, source)]
    chosen = draw.sample(others, min(len(own), len(others)))
    plans: list[tuple[str, dict[tuple[int, int], int], int | None]] = [
        ("own heads", dict.fromkeys(own, target), target),
        ("other pieces' heads", dict.fromkeys(chosen, target), target),
        ("random column", {head: draw.choice(elsewhere) for head in own}, None),
    ]
    return [
        Ablation(
            label=f"{piece}: {label}",
            column=column,
            interventions=tuple(_columns(columns, source)),
        )
        for label, columns, column in plans
        if columns
    ]


def control_sizes(heads_of: Mapping[str, Sequence[tuple[int, int]]]) -> dict[str, tuple[int, int]]:
    """By piece: how many heads its own run ablates, and how many that of other pieces' heads.

    Example:
        >>> control_sizes({"knight": [(0, 0)], "rook": [(0, 2), (1, 2), (2, 2)]})
        {'knight': (1, 1), 'rook': (3, 1)}
    """
    total = sum(map(len, heads_of.values()))
    return {piece: (len(own), min(len(own), total - len(own))) for piece, own in heads_of.items()}


def _columns(columns: Mapping[tuple[int, int], int], protected: int) -> Iterator[Intervention]:
    queries = tuple(square for square in range(64) if square != protected)
    for (layer, head), column in sorted(columns.items()):
        yield Intervention(
            site=f"layer{layer}.pattern",
            action=Zero(),
            head=head,
            query=queries,
            key=(column,) * len(queries),
        )
