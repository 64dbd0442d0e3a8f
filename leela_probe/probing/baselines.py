"""Predictions that read no network: the most frequent relation, and the legal moves.

Ties are broken at random with a seed.
"""

from __future__ import annotations

from collections.abc import Sequence

import chess
import numpy as np
import pyarrow
from jaxtyping import Bool, Float, Int64

from leela_probe.positions.squares import from_board
from leela_probe.probing.folds import Split
from leela_probe.probing.prediction_tables import Control, Kind, frame
from leela_probe.probing.targets import Target
from leela_probe.puzzles.pairs import Pair

__all__ = ["label", "legal_moves", "most_frequent_relation", "predictions"]

_SMALL = 1e-3  # of a move: what a square that was never seen gets


def most_frequent_relation(
    asked: Target, train: Bool[np.ndarray, " board"], given: Int64[np.ndarray, " board"]
) -> Float[np.ndarray, "board square"]:
    """Log frequency of each square's displacement from the given one, among training puzzles.

    Args:
        asked: the target.
        train: the training side.
        given: the squares that the probe would be given, for all puzzles.

    Example:
        >>> up = Target(name="target 3", kind="target", ply=3, answer=np.array([16, 17, 40]),
        ...               given=np.array([8, 9, 32]), known=np.array([True, True, True]))
        >>> train = np.array([True, True, False])
        >>> most_frequent_relation(up, train, up.given).argmax(axis=1).tolist()
        [16, 17, 40]
    """
    used = train & asked.known
    counts = np.full((15, 15), _SMALL)
    files = asked.answer % 8 - asked.given % 8 + 7
    ranks = asked.answer // 8 - asked.given // 8 + 7
    np.add.at(counts, (files[used], ranks[used]), 1.0)
    squares = np.arange(64)
    every_file = squares[None] % 8 - given[:, None] % 8 + 7
    every_rank = squares[None] // 8 - given[:, None] // 8 + 7
    return np.log(counts[every_file, every_rank] / counts.sum())


def legal_moves(
    pairs: Sequence[Pair], asked: Target, given: Int64[np.ndarray, " board"]
) -> Float[np.ndarray, "board square"]:
    """Log of the number of moves that go to each square, or come from it to the given one.

    Counted in the clean position for ply 1; for every later ply after the line's first move, for
    the side that plays it, as if it had the move there (pseudo-legal moves, then). Knowing the
    first move is more than probes are given.

    Args:
        pairs: the puzzles.
        asked: the target.
        given: the squares that the probe would be given, for all puzzles.
    """
    counts = np.full((len(pairs), 64), _SMALL)
    for row, pair in enumerate(pairs):
        if not asked.known[row]:
            continue
        ends = {(move.from_square, move.to_square) for move in _moves(pair, asked.ply)}
        for start, end in ends:
            source, target = from_board(start, pair.turn), from_board(end, pair.turn)
            if asked.kind == "target":
                counts[row, target] += 1
            elif target == given[row]:
                counts[row, source] += 1
    return np.log(counts / counts.sum(axis=1, keepdims=True))


def predictions(
    pairs: Sequence[Pair], targets: Sequence[Target], splits: Sequence[Split], *, seed: int = 0
) -> pyarrow.Table:
    """What both baselines predict of the test sides, as `predictions.of_probes` has it.

    Args:
        pairs: the puzzles.
        targets: real ones; control tasks are left out.
        splits: the relation is counted on their training sides.
        seed: of the ties.
    """
    tables = []
    by_name = {each.name: each for each in targets if each.kind in [*Kind]}
    for control in (Control.MOST_FREQUENT_RELATION, Control.LEGAL_MOVES):
        for number, split in enumerate(splits):
            found: dict[str, np.ndarray] = {}
            for name, asked in by_name.items():
                conditions = [(asked.kind, asked.given)]
                if asked.kind == "source" and f"target {asked.ply}" in found:
                    conditions.append((Kind.SOURCE_GIVEN_PREDICTED, found[f"target {asked.ply}"]))
                for kind, given in conditions:
                    scores = (
                        most_frequent_relation(asked, split.train, given)
                        if control == Control.MOST_FREQUENT_RELATION
                        else legal_moves(pairs, asked, given)
                    )
                    draw = np.random.default_rng(
                        [seed, number, asked.ply, [*Kind].index(Kind(kind))]
                    )
                    ordering = scores + 1e-9 * draw.random(scores.shape)
                    if kind == "target":
                        found[name] = ordering.argmax(axis=1)
                    boards = np.flatnonzero(split.test & asked.known)
                    answer = asked.answer[boards]
                    right = ordering[boards, answer]
                    total = np.logaddexp.reduce(scores[boards], axis=1)
                    rows = frame(
                        pairs,
                        boards,
                        sites=[""],
                        kind=kind,
                        target=asked,
                        split=split.name,
                        seeds=[0],
                        predicted=ordering[boards].argmax(axis=1)[None, None],
                        rank=1 + (ordering[boards] > right[:, None]).sum(axis=1)[None, None],
                        loss=(total - scores[boards, answer])[None, None],
                    )
                    tables.append(label(rows, control=control))
    return pyarrow.concat_tables(tables)


def label(
    table: pyarrow.Table, *, control: str, network: str | None = None, instance: int = 0
) -> pyarrow.Table:
    """The same predictions with whoever made them written into every row.

    Rows of a control task stay rows of a control task.

    Args:
        table: see `prediction_tables.SCHEMA`.
        control: see `prediction_tables.Control`.
        network: its name, or None.
        instance: which of several random networks.
    """
    import pyarrow.compute

    for name, value in (("network", network), ("control", control), ("instance", instance)):
        kind = table.schema.field(name).type
        plain = kind.value_type if pyarrow.types.is_dictionary(kind) else kind
        column = pyarrow.repeat(pyarrow.scalar(value, plain), len(table))
        if name == "control":
            column = pyarrow.compute.coalesce(table[name].cast(plain), column)
        table = table.set_column(table.schema.get_field_index(name), name, column.cast(kind))
    return table


def _moves(pair: Pair, ply: int) -> list[chess.Move]:
    board = pair.clean
    if ply == 1:
        return list(board.legal_moves)
    board.push(board.parse_uci(pair.line[0]))
    board.turn = pair.turn if ply % 2 else not pair.turn
    return list(board.pseudo_legal_moves)
