"""E1: where the information is that decides the first move, square by square and layer by layer.

The paper's own aggregation (its skip rule, its maxima over squares) stands beside a sound one, by
ply and with matched control squares.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float32
from matplotlib.figure import Figure

from leela_probe.experiments import categories, sweeps
from leela_probe.figures import diagrams, drawing, figures
from leela_probe.figures.drawing import PAGE
from leela_probe.positions.squares import to_board
from leela_probe.puzzles.pairs import Pair
from leela_probe.statistics import overlaps, stats
from leela_probe.study import estimates, measurements, paired, paper_squares, published, wording
from leela_probe.study.chapter import Chapter, Drawn, Rates, Tables, Undrawn
from leela_probe.study.results import Results, effects
from leela_probe.study.study import PAPER_LAYERS, Networks, Study
from leela_probe.study.subsets import SPLIT_NAMES, SPLITS, split

__all__ = ["CHAPTER", "paper_curves", "ply_curves", "ply_margins", "ply_squares"]

_ORDER = (
    "corrupted", "ply1_target", "ply3_target", "ply2_target", "ply5_target", "ply4_target",
    "ply1_source", "ply3_source", "corrupted_favourite",
)  # fmt: skip
_SHOWN = (
    "corrupted", "ply1_target", "ply2_target", "ply3_target", "ply5_target", "matched_control",
    "corrupted_favourite",
)  # fmt: skip
_KIND_NAMES = {
    "corrupted": "corrupted",
    "first": "ply1_target",
    "third_and_later": "3rd and later targets",
    "other": "other",
}
_ALL_SKIPPED = "the paper's rule skips every puzzle"


# Measuring


def _seconds_each(study: Study, networks: Networks, rates: Rates) -> float:
    one_layer = sweeps.residual(networks.strong, layers=[0])
    return estimates.sweep_seconds(networks.strong, one_layer) * networks.strong.layers


# Tables


def _tabulate(results: Results) -> Iterator[tuple[str, pd.DataFrame]]:
    path = results.measured("residual")
    if path is not None:
        yield "residual", paper_curves(path, results.pairs(), **results.draws)
        yield "plies", ply_curves(path, **results.draws)
        yield "ply_margins", ply_margins(path, **results.draws)


def paper_curves(path: Path, pairs: Sequence[Pair], *, resamples: int, seed: int) -> pd.DataFrame:
    """The curves of the paper's figure 3, with intervals, for each split.

    Args:
        path: the effects of the sweep over squares.
        pairs: its puzzles.
        resamples: bootstrap samples of games.
        seed: of the samples.

    Returns:
        Columns split, category, then as in `stats.summarise` by layer, `two_standard_errors` (the
        paper's band), and how many puzzles were measured, skipped by the rule and used.
    """
    known = {pair.puzzle_id: pair for pair in pairs}
    layers, grids = _grids(path)
    used, maxima = [], []
    for puzzle_id, grid in grids.items():
        squares = paper_squares.of(known[puzzle_id])
        if squares is not None:
            used.append(known[puzzle_id])
            maxima.append(
                [grid[:, list(squares[kind])].max(axis=1) for kind in paper_squares.KINDS]
            )
    if not used:
        return pd.DataFrame(columns=["split", "category", "layer", "estimate"])
    counts = {"measured": len(grids), "skipped": len(grids) - len(used), "used": len(used)}
    rows = _rows(used, layers, np.array(maxima))
    parts = [
        _paper_curve(rows[inside], resamples=resamples, seed=seed, split=name)
        for name in SPLITS
        if (inside := split(rows["target_pattern"], name)).any()
    ]
    return pd.concat(parts, ignore_index=True).assign(**counts)


def _rows(
    pairs: Sequence[Pair], layers: Sequence[int], maxima: Float32[np.ndarray, "puzzle kind layer"]
) -> pd.DataFrame:
    size = len(paper_squares.KINDS) * len(layers)
    return pd.DataFrame(
        {
            "puzzle_id": np.repeat([pair.puzzle_id for pair in pairs], size),
            "game_id": np.repeat(np.array([pair.game_id for pair in pairs], dtype=object), size),
            "target_pattern": np.repeat([pair.target_pattern for pair in pairs], size),
            "category": np.tile(np.repeat(paper_squares.KINDS, len(layers)), len(pairs)),
            "layer": np.tile(layers, len(paper_squares.KINDS) * len(pairs)),
            "effect": maxima.ravel(),
        }
    )


def _paper_curve(rows: pd.DataFrame, *, resamples: int, seed: int, split: str) -> pd.DataFrame:
    by = ["category", "layer"]
    table = stats.summarise(rows, by=tuple(by), resamples=resamples, seed=seed)
    table = table.assign(squares="max")
    band = rows.groupby(by)["effect"].agg(
        lambda values: 2 * values.std(ddof=0) / np.sqrt(len(values))
    )
    table["two_standard_errors"] = band.reindex(pd.MultiIndex.from_frame(table[by])).to_numpy()
    table.insert(0, "split", split)
    return table


def _grids(path: Path) -> tuple[list[int], dict[str, Float32[np.ndarray, "layer square"]]]:
    """The layers, and the effects by puzzle."""
    table = effects(path, ["puzzle_id", "layer", "square", "effect", "verdict"])
    layers = sorted(int(layer) for layer in table["layer"].unique())
    place = {layer: index for index, layer in enumerate(layers)}
    codes, names = pd.factorize(table["puzzle_id"])
    grids = np.full((len(names), len(layers), 64), np.nan, dtype=np.float32)
    rows = table["layer"].astype(int).map(place).to_numpy()
    grids[codes, rows, table["square"].to_numpy(dtype=np.int64)] = table["effect"].to_numpy()
    return layers, {str(name): grids[index] for index, name in enumerate(names)}


def ply_curves(path: Path, *, resamples: int, seed: int) -> pd.DataFrame:
    """Mean effect by ply and kind of square, beside matched control squares.

    A square that is several things counts once: as corrupted, else as the first move's target, else
    as the third's, else as the second's. So a third target that is also the first's is no third
    target here. The matched control is that of the puzzles that have a third target by this rule.
    """
    table = ply_squares(path)
    if table.empty:
        return pd.DataFrame(columns=["layer", "category", "estimate"])
    return stats.layer_curves(table, resamples=resamples, seed=seed)


def ply_margins(path: Path, *, resamples: int, seed: int) -> pd.DataFrame:
    """The third target against its matched control square, layer by layer; see `paired`."""
    parts = [
        paired.difference(
            rows, "category", "ply3_target", "matched_control", resamples=resamples, seed=seed
        ).assign(layer=layer)
        for layer, rows in ply_squares(path).groupby("layer")
    ]
    return paired.joined(parts, "layer")


def ply_squares(path: Path) -> pd.DataFrame:
    """The effects at the squares of `ply_curves`, each under the one kind that it counts as."""
    columns = ["puzzle_id", "game_id", "target_pattern", "verdict", "layer", "category", "effect"]
    table = effects(path, [*columns, "measure", "direction", "sweep"])
    table = table[table["category"].astype(object) != categories.OTHER]
    table = overlaps.prioritise(table.assign(category=table["category"].astype(object)), _ORDER)
    third = table[table["category"] == "ply3_target"]["puzzle_id"].unique()
    control = (table["category"] == "matched_control") & ~table["puzzle_id"].isin(third)
    return table[table["category"].isin([*_ORDER, "matched_control"]) & ~control]


# Figures


def _figures(results: Results, tables: Tables) -> Iterator[Drawn | Undrawn]:
    yield from _examples(results)
    yield from _curves(results, tables)


def _examples(results: Results) -> Iterator[Drawn | Undrawn]:
    """One puzzle on boards, chosen for its large effect."""
    example = _example(results)
    if example is None:
        reason = results.why_not("residual") or _ALL_SKIPPED
        yield Undrawn(place="puzzles", title="Figure 2", reason=reason)
        yield Undrawn(title="Figure 1", reason=reason)
        return
    pair, rows = example
    yield Drawn(
        name="figure2_puzzle",
        place="puzzles",
        wide=True,
        title="Figure 2: a puzzle and its corrupted partner",
        caption=f"Puzzle {pair.puzzle_id}, seen from the solver. Left: the clean position with the "
        "first three moves of the solution. Right: its corrupted partner; the squares that differ "
        "are framed.",
        figure=_two_boards(pair),
    )
    yield from _effects_on_boards(results, pair, rows)


def _effects_on_boards(results: Results, pair: Pair, rows: pd.DataFrame) -> Iterator[Drawn]:
    layers = sorted(int(layer) for layer in rows["layer"].unique())
    middle = _like_layer(10, layers)
    arrows, changed = _marks(pair)
    first, third = pair.target(1), pair.target(3)
    entries = []
    if first is not None and third is not None and results.path("entry") is not None:
        entries = [(to_board(third, pair.turn), to_board(first, pair.turn))]
    yield Drawn(
        name="figure1_example",
        title="Figure 1: one puzzle, one layer",
        caption=f"Puzzle {pair.puzzle_id}, layer {middle}. Colour: by how much the first "
        "move's log odds fall when that square of the residual stream is taken from the "
        "corrupted run. Framed: the corrupted squares."
        + (" The dashed arrow runs from the third target to the first." if entries else "")
        + " Chosen for its large effect at the third target: an illustration, no evidence.",
        figure=diagrams.effect_boards(
            rows, pair.clean, layers=[middle], arrows=arrows, entries=entries, changed=changed
        ),
    )
    shown = list(dict.fromkeys([layers[0], middle, layers[-1]]))
    yield Drawn(
        name="figure3_boards",
        wide=True,
        many_shapes=True,
        title="Figure 3, boards: the same puzzle over layers",
        caption=f"Puzzle {pair.puzzle_id} at the first layer, at the one that is as deep as "
        f"layer 10 of the paper's {PAPER_LAYERS}, and at the last.",
        figure=diagrams.effect_boards(
            rows, pair.clean, layers=shown, arrows=arrows, changed=changed
        ),
    )


def _curves(results: Results, tables: Tables) -> Iterator[Drawn | Undrawn]:
    curves = tables.get("residual")
    if curves is None or curves.empty:
        reason = results.why_not("residual") or _ALL_SKIPPED
        yield Undrawn(title="Figure 3", reason=reason)
        drawn = {}
    else:
        drawn = {name: part for name in SPLITS if not (part := _part(curves, name)).empty}
    if "all" in drawn:
        yield Drawn(
            name="figure3_residual",
            title="Figure 3: where the information is, layer by layer",
            caption="Mean effect of patching one square. As in the paper, of several squares of a "
            "kind the largest effect counts, and puzzles in which kinds share a square are left "
            "out. The largest of some 60 other squares is large by chance alone: compare with the "
            "next figure's matched control.",
            figure=figures.layer_curves(drawn.pop("all"), title=None),
        )
    plies = tables.get("plies")
    if plies is not None and not plies.empty:
        yield Drawn(
            name="residual_plies",
            title="Beyond the paper: by ply, beside matched control squares",
            caption="Mean over a puzzle's squares of each kind; a square that is several things "
            "counts once, as the first of corrupted, first, third, second target. The matched "
            "control is a square in the same state as the third target and as far from the first. "
            "The corrupted favourite is the target of the move that the network would play in the "
            "corrupted position: it explains what other squares do in the last layers.",
            figure=figures.layer_curves(
                plies, categories=[name for name in _SHOWN if name in set(plies["category"])]
            ),
        )
    for name, part in drawn.items():
        yield Drawn(
            name=f"appendix_residual_{name}",
            title=f"Appendix: {SPLIT_NAMES[name]}",
            caption="As figure 3, for a part of the puzzles.",
            figure=figures.layer_curves(part, title=SPLIT_NAMES[name]),
        )


def _part(curves: pd.DataFrame, name: str) -> pd.DataFrame:
    part = curves[curves["split"] == name]
    return part.assign(category=part["category"].map(_KIND_NAMES))


def _two_boards(pair: Pair) -> Figure:
    partner = pair.corrupted
    assert partner is not None
    norm = diagrams.symmetric_norm(1.0)
    arrows, changed = _marks(pair)
    with drawing.style():
        figure = Figure(figsize=(PAGE, 3.5), layout="constrained")
        left, right = figure.subplots(1, 2)
        diagrams.draw_board(
            left, np.zeros(64), pair.clean, norm=norm, arrows=arrows, piece_size=14.0
        )
        diagrams.draw_board(
            right, np.zeros(64), partner, norm=norm, changed=changed, piece_size=14.0
        )
        left.set_title(f"clean: {' '.join(pair.line[:3])}")
        right.set_title("corrupted partner")
    return figure


def _marks(pair: Pair) -> tuple[list[tuple[int, int]], list[int]]:
    """Arrows of the first three moves, and the squares that differ."""
    arrows = [(move.from_square, move.to_square) for move in pair.moves[:3]]
    return arrows, [to_board(square, pair.turn) for square in pair.changed_squares()]


def _example(results: Results) -> tuple[Pair, pd.DataFrame] | None:
    """The puzzle with the largest effect at its third target at about two thirds of the depth."""
    path = results.measured("residual")
    if path is None:
        return None
    rows = effects(path, ["puzzle_id", "layer", "square", "effect", "verdict"])
    layers = sorted(int(layer) for layer in rows["layer"].unique())
    there = rows[rows["layer"] == _like_layer(10, layers)]
    by_square = there.set_index([there["puzzle_id"].astype(str), "square"])["effect"]
    best: tuple[float, Pair] | None = None
    for pair in results.pairs():
        target = pair.target(3)
        if target is None or paper_squares.of(pair) is None:
            continue
        key = (pair.puzzle_id, int(target))
        if key in by_square.index and (best is None or float(by_square[key]) > best[0]):
            best = (float(by_square[key]), pair)
    return None if best is None else (best[1], rows[rows["puzzle_id"] == best[1].puzzle_id])


def _like_layer(layer: int, there: Sequence[int]) -> int:
    """The layer that is as deep in this network as one of the paper's."""
    return there[round(layer / (PAPER_LAYERS - 1) * (len(there) - 1))]


# Words


def _summary(tables: Tables) -> str:
    table, margins = tables.get("plies"), tables.get("ply_margins")
    if table is None or table.empty:
        return ""
    third = table[(table["category"] == "ply3_target") & table["estimate"].notna()]
    if third.empty:
        return ""
    best = third.loc[third["estimate"].idxmax()]
    control = table[(table["category"] == "matched_control") & (table["layer"] == best["layer"])]
    text = (
        f"Corrupting the third move's target, where it is not the first's, lowers the first move's "
        f"log odds by {wording.number(best)} nats at layer {int(best['layer'])}, where it does "
        f"most (n = {int(best['n']):,})"
    )
    if not control.empty:
        text += f"; a matched control square, by {wording.number(control.iloc[0])}"
    if margins is not None:
        text += wording.difference(margins[margins["layer"] == best["layer"]])
    return text + "."


CHAPTER = Chapter(
    id="E1",
    title="The residual stream, square by square",
    question="Where, and in which layer, is what decides the first move? At one square of one "
    "layer the residual stream is taken from the corrupted run. If the network looks ahead, the "
    "square that the third move goes to matters in middle layers.",
    measurements=(
        measurements.of_sweep(
            "residual",
            "E1, residual stream",
            lambda study, networks: sweeps.residual(networks.strong),
            seconds_each=_seconds_each,
            attention=False,
        ),
    ),
    tabulate=_tabulate,
    figures=_figures,
    summary=_summary,
    published=published.read("residual"),
)
