"""T6: what heads look at, nothing changed: rows of patterns, and the entries between targets."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence

import chess
import numpy as np
import pandas as pd
import pyarrow
from matplotlib.figure import Figure

from leela_probe.experiments import attention_reading, attention_tables
from leela_probe.figures import diagrams, drawing
from leela_probe.figures.drawing import PAGE
from leela_probe.files import tables as table_files
from leela_probe.files.progress import Progress
from leela_probe.networks.network import Network
from leela_probe.positions.planes import History
from leela_probe.positions.squares import NetSquare, to_board
from leela_probe.puzzles import pairs as pair_files
from leela_probe.puzzles.pairs import Pair
from leela_probe.study import conditions, measurements, published, wording
from leela_probe.study.chapter import (
    Chapter,
    Drawn,
    LeftOut,
    Measured,
    Measurement,
    Shown,
    Tables,
    Undrawn,
)
from leela_probe.study.chapters.piece_heads import heads_of_pieces
from leela_probe.study.measurements import computing
from leela_probe.study.results import Results
from leela_probe.study.study import Networks, Study

__all__ = ["CHAPTER", "ROWS", "rows_of_patterns"]

_MOST_READ, _READ_AT_ONCE = 2000, 128
_RELATIONS = ("3->1", "1->3", "5->1")
_PLIES = (1, 3, 5)

ROWS = pyarrow.schema(
    {
        "puzzle_id": pyarrow.string(),
        "fen": pyarrow.string(),
        "piece": pyarrow.string(),
        "layer": pyarrow.int64(),
        "head": pyarrow.int64(),
        "query": pyarrow.int64(),
        "square": pyarrow.int64(),
        "attention": pyarrow.float32(),
    }
)
"""The columns of the table of rows, 64 rows of the table for each row of a pattern."""

_SUMMARY = pyarrow.schema(
    [("layer", pyarrow.int64()), ("head", pyarrow.int64()), ("relation", pyarrow.string()),
     ("attention", pyarrow.float64()), ("rank", pyarrow.float64()), ("n", pyarrow.int64()),
     ("clusters", pyarrow.int64())]
    + [(f"{name}{top}", pyarrow.float64()) for top in (1, 10)
       for name in ("top", "low", "high", "chance", "p")]
)  # fmt: skip


# Measuring


def _missing(study: Study, networks: Networks) -> LeftOut | None:
    return conditions.pairs(study) or conditions.heads(networks)


def _measure_rows(
    study: Study, networks: Networks, progress: Progress, overwrite: bool
) -> Measured | LeftOut:
    """Rows of patterns for figure 6."""
    if (missing := _missing(study, networks)) is not None:
        return missing
    lists = heads_of_pieces(study, networks)
    if not any(lists.values()):
        return LeftOut(reason="no head follows a piece's moves")
    named = {piece: [list(head) for head in heads] for piece, heads in lists.items()}
    return measurements.of_table(
        "attention",
        study,
        networks,
        lambda: rows_of_patterns(
            networks.strong,
            pair_files.read(study.table("pairs.parquet")),
            lists,
            history=study.criteria.strong_history,
            seed=study.seed,
        ),
        schema=ROWS,
        options={"heads": named},
        overwrite=overwrite,
    )


def rows_of_patterns(
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
    parts = [
        _one_row(network, pair, piece, heads, history=history, seed=seed)
        for pair in chosen
        for piece, heads in heads_of.items()
        if heads
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=ROWS.names)


def _one_row(
    network: Network,
    pair: Pair,
    piece: str,
    heads: Sequence[tuple[int, int]],
    *,
    history: History,
    seed: int,
) -> pd.DataFrame:
    board = pair.clean
    draws = random.Random(f"{seed} {pair.puzzle_id} {piece}")
    layer, head = draws.choice(list(heads))
    occupied = [
        square
        for square in range(64)
        if board.piece_type_at(to_board(NetSquare(square), pair.turn))
    ]
    query = draws.choice(occupied)
    site = f"layer{layer}.pattern"
    pattern = network.capture([board], [site], history=history)[site]
    return pd.DataFrame(
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


def _measure_relations(
    study: Study, networks: Networks, progress: Progress, overwrite: bool
) -> Measured | LeftOut:
    """What every head has at the entries between the targets, and their ranks.

    Of large studies some puzzles are drawn at random, whole pairs of squares each.
    """
    if (missing := _missing(study, networks)) is not None:
        return missing
    pairs = pair_files.read(study.table("pairs.parquet"))
    if len(pairs) > _MOST_READ:
        pairs = random.Random(study.seed).sample(pairs, _MOST_READ)
    pairs = [pair for pair in pairs if len(pair.line) >= 3]
    if not any(len({*map(pair.target, (1, 3))}) == 2 for pair in pairs):
        return LeftOut(reason="no puzzle has a third move that goes elsewhere than the first")
    return measurements.of_table(
        "relations",
        study,
        networks,
        lambda: attention_tables.summary(
            _relations(networks.strong, pairs, study, progress), tops=(1, 10)
        ),
        schema=_SUMMARY,
        options={"plies": list(_PLIES), "most": _MOST_READ},
        overwrite=overwrite,
    )


def _relations(
    network: Network, pairs: Sequence[Pair], study: Study, progress: Progress
) -> Iterator[pd.DataFrame]:
    for start in range(0, len(pairs), _READ_AT_ONCE):
        batch = pairs[start : start + _READ_AT_ONCE]
        table = attention_reading.measure(
            network,
            batch,
            plies=_PLIES,
            attribution=False,
            history=study.criteria.strong_history,
            seed=study.seed,
        )
        progress(start + len(batch), len(pairs), {})
        yield table[table["relation"].isin(_RELATIONS)]


# Tables


def _tabulate(results: Results) -> Iterator[tuple[str, pd.DataFrame]]:
    path = results.path("relations")
    if path is not None:
        table = table_files.read(path, _SUMMARY, columns=_SUMMARY.names)
        yield "relations", table.rename(columns={"low1": "low", "high1": "high"})


# Figures


def _figures(results: Results, tables: Tables) -> Iterator[Drawn | Undrawn]:
    path = results.path("attention")
    if path is None:
        reason = results.why_not("attention") or "no head follows a piece's moves"
        yield Undrawn(title="Figure 6", reason=reason)
        return
    yield Drawn(
        name="figure6_attention",
        wide=True,
        many_shapes=True,
        title="Figure 6: what heads that follow a piece look at",
        caption="One row of the attention pattern of a head drawn at random from those of each "
        "piece, for puzzles and query squares (framed) drawn at random.",
        figure=_boards(table_files.read(path, ROWS, columns=ROWS.names)),
    )


def _boards(table: pd.DataFrame) -> Figure:
    pieces = list(dict.fromkeys(table["piece"]))
    puzzles = list(dict.fromkeys(table["puzzle_id"]))
    norm = diagrams.symmetric_norm(float(table["attention"].max()))
    side = PAGE / len(puzzles)
    with drawing.style():
        figure = Figure(figsize=(PAGE, (side + 0.2) * len(pieces) + 0.3), layout="constrained")
        grid = figure.subplots(len(pieces), len(puzzles), squeeze=False)
        for row, piece in enumerate(pieces):
            for column, puzzle in enumerate(puzzles):
                axes = grid[row, column]
                rows = table[(table["piece"] == piece) & (table["puzzle_id"] == puzzle)]
                board = chess.Board(str(rows["fen"].iloc[0]))
                query = to_board(NetSquare(int(rows["query"].iloc[0])), board.turn)
                values = np.zeros(64)
                values[rows["square"].to_numpy(np.int64)] = rows["attention"].to_numpy(float)
                diagrams.draw_board(
                    axes, values, board, norm=norm, changed=[query], piece_size=30 * side / 8 * 1.4
                )
                layer, head = int(rows["layer"].iloc[0]), int(rows["head"].iloc[0])
                axes.set_title(f"{piece}, head {layer}.{head}, from {chess.square_name(query)}")
        drawing.add_note(figure, f"Deepest red: {table['attention'].max():.2f} of the attention.")
    return figure


# Words


def _short_tables(tables: Tables) -> Iterator[Shown]:
    """The heads whose entry from the third target to the first is most often their largest."""
    table = tables.get("relations")
    if table is None or table.empty:
        return
    own = table[table["relation"] == "3->1"]
    back = table[table["relation"] == "1->3"].set_index(["layer", "head"])["attention"]
    best = own.sort_values(["top1", "attention"], ascending=False).head(5)
    if best.empty:
        return
    yield Shown(
        head=["attention, unchanged", "n", "3rd to 1st", "1st to 3rd", "median rank of 4,096",
              "largest entry", "by chance", f"p, times {len(own)} heads"],
        rows=[
            [
                f"head {int(row['layer'])}.{int(row['head'])}",
                f"{int(row['n']):,}",
                f"{row['attention']:.3f}",
                f"{back[place]:.3f}" if (place := (row["layer"], row["head"])) in back else "",
                f"{row['rank']:.0f}",
                wording.percent(row, "top1"),
                f"{100 * row['chance1']:.2f} %",
                wording.p_value(min(row["p1"] * len(own), 1.0)),
            ]
            for row in best.to_dict("records")
        ],
    )  # fmt: skip


def _settings(study: Study) -> dict[str, object]:
    return {**computing(study), "share": study.share, "preset": study.preset}


CHAPTER = Chapter(
    id="T6",
    title="Attention, unchanged",
    question="What do heads look at when nothing is changed? Rows of the patterns of heads that "
    "follow a piece's moves, drawn at random, and every head's entries between the targets.",
    measurements=(
        Measurement(
            name="attention",
            title="rows of patterns",
            table="attention.parquet",
            settings=_settings,
            measure=_measure_rows,
            counts_puzzles=False,
        ),
        Measurement(
            name="relations",
            title="entries between the targets",
            table="relations.parquet",
            settings=computing,
            measure=_measure_relations,
            counts_puzzles=False,
        ),
    ),
    tabulate=_tabulate,
    figures=_figures,
    short_tables=_short_tables,
    published=published.read("attention"),
)
