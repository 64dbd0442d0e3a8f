"""The step that draws the paper's figures out of a study's tables, each as PNG and SVG.

Nothing is computed here but which puzzle illustrates.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import chess
import numpy as np
import pandas as pd
import pyarrow.parquet
from matplotlib.figure import Figure

from leela_probe.figures import diagrams, drawing, figures, probe_figures
from leela_probe.figures.drawing import PAGE
from leela_probe.positions.squares import NetSquare, to_board
from leela_probe.puzzles import pairs as pair_files
from leela_probe.puzzles.pairs import Pair
from leela_probe.study import summaries, tabulation
from leela_probe.study.ledger import Outcome
from leela_probe.study.study import PAPER_LAYERS, Study

__all__ = ["Drawn", "Undrawn", "make"]

_CATEGORY_NAMES = {
    "corrupted": "corrupted",
    "first": "ply1_target",
    "third_and_later": "3rd and later targets",
    "other": "other",
}
_NO_EXAMPLE = "the paper's rule skips every puzzle"
_SPLIT_NAMES = {
    "all": "all puzzles",
    "different_targets": "first three targets differ",
    "same_targets": "first three targets do not all differ",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A figure with what is said of it.

    Attributes:
        name: of its files.
        place: where the page shows it: an experiment such as "E1", or "puzzles".
        title: which figure of the paper it corresponds to.
        caption: what it shows and how to read it.
        figure: the figure.
    """

    name: str
    place: str
    title: str
    caption: str
    figure: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Undrawn:
    """A figure that cannot be drawn, and why."""

    place: str
    title: str
    reason: str


def make(study: Study) -> Outcome:
    """All figures that the tables allow, in the folder `figures`; and why the others are not."""
    folder = study.table("figures")
    folder.mkdir(exist_ok=True)
    outputs, said, undrawn = [], [], []
    for drawn in _all(study):
        if isinstance(drawn, Undrawn):
            undrawn.append(dataclasses.asdict(drawn))
            continue
        for ending in ("png", "svg"):
            path = folder / f"{drawn.name}.{ending}"
            drawing.save(drawn.figure, path, dpi=200)
            outputs.append(path)
        said.append(
            {
                "name": drawn.name,
                "place": drawn.place,
                "title": drawn.title,
                "caption": drawn.caption,
            }
        )
    return Outcome(outputs=outputs, facts={"figures": said, "undrawn": undrawn})


def _all(study: Study) -> Iterator[Drawn | Undrawn]:
    yield from _puzzles(study)
    yield from _residual(study)
    yield from _residual_curves(study)
    yield from _heads(study)
    yield from _entry(study)
    yield from _piece_heads(study)
    yield from _probes(study)


def _undrawn(study: Study, place: str, title: str, step: str, otherwise: str) -> Undrawn:
    """A figure without its table, with the reason of the step or what else it must be."""
    reason = tabulation.why_not(study, step) or otherwise
    return Undrawn(place=place, title=title, reason=reason)


def _puzzles(study: Study) -> Iterator[Drawn | Undrawn]:
    flow = tabulation.read(study, "funnel")
    if flow is not None:
        yield Drawn(
            name="funnel",
            place="puzzles",
            title="From the dump to the puzzles of the study",
            caption="Puzzles left after each question; hatched: what the question took out.",
            figure=figures.exclusion_flow(flow.assign(reason=flow["reason"].str.replace("_", " "))),
        )
    example = _example(study)
    if example is None:
        yield _undrawn(study, "puzzles", "Figure 2", "residual", _NO_EXAMPLE)
        return
    pair, _ = example
    yield Drawn(
        name="figure2_puzzle",
        place="puzzles",
        title="Figure 2: a puzzle and its corrupted partner",
        caption=f"Puzzle {pair.puzzle_id}, seen from the solver. Left: the clean position with the "
        "first three moves of the solution. Right: its corrupted partner; the squares that differ "
        "are framed.",
        figure=_two_boards(pair),
    )


def _residual(study: Study) -> Iterator[Drawn | Undrawn]:
    example = _example(study)
    if example is None:
        yield _undrawn(study, "E1", "Figure 1", "residual", _NO_EXAMPLE)
    else:
        pair, rows = example
        layers = sorted(int(layer) for layer in rows["layer"].unique())
        shown = [layers[0], _like_layer(10, layers), layers[-1]]
        arrows = [(move.from_square, move.to_square) for move in pair.moves[:3]]
        changed = [to_board(square, pair.turn) for square in pair.changed_squares()]
        first, third = pair.target(1), pair.target(3)
        entries = (
            []
            if first is None or third is None or not tabulation.finished(study, "entry.parquet")
            else [(to_board(third, pair.turn), to_board(first, pair.turn))]
        )
        yield Drawn(
            name="figure1_example",
            place="E1",
            title="Figure 1: one puzzle, one layer",
            caption=f"Puzzle {pair.puzzle_id}, layer {shown[1]}. Colour: by how much the first "
            "move's log odds fall when that square of the residual stream is taken from the "
            "corrupted run. Framed: the corrupted squares."
            + (" The dashed arrow runs from the third target to the first." if entries else "")
            + " Chosen for its large effect at the third target: an illustration, no evidence.",
            figure=diagrams.effect_boards(
                rows, pair.clean, layers=[shown[1]], arrows=arrows, entries=entries, changed=changed
            ),
        )
        yield Drawn(
            name="figure3_boards",
            place="E1",
            title="Figure 3, boards: the same puzzle over layers",
            caption=f"Puzzle {pair.puzzle_id} at the first layer, at the one that is as deep as "
            f"layer 10 of the paper's {PAPER_LAYERS}, and at the last.",
            figure=diagrams.effect_boards(
                rows, pair.clean, layers=list(dict.fromkeys(shown)), arrows=arrows, changed=changed
            ),
        )


def _residual_curves(study: Study) -> Iterator[Drawn | Undrawn]:
    curves = tabulation.read(study, "residual")
    if curves is None or curves.empty:
        yield _undrawn(study, "E1", "Figure 3", "residual", "the paper's rule skips every puzzle")
        curves = pd.DataFrame(columns=["split"])
    drawn: dict[str, Drawn] = {}
    for split in summaries.SPLITS:
        part = curves[curves["split"] == split]
        if part.empty:
            continue
        whole = split == "all"
        drawn[split] = Drawn(
            name="figure3_residual" if whole else f"appendix_residual_{split}",
            place="E1",
            title="Figure 3: where the information is, layer by layer"
            if whole
            else f"Appendix: {_SPLIT_NAMES[split]}",
            caption="Mean effect of patching one square. As in the paper, of several squares of a "
            "kind the largest effect counts, and puzzles in which kinds share a square are left "
            "out. The largest of some 60 other squares is large by chance alone: compare with the "
            "next figure's matched control."
            if whole
            else "As figure 3, for a part of the puzzles.",
            figure=figures.layer_curves(
                part.assign(category=part["category"].map(_CATEGORY_NAMES)),
                title=None if whole else _SPLIT_NAMES[split],
            ),
        )
    if "all" in drawn:
        yield drawn.pop("all")
    plies = tabulation.read(study, "plies")
    if plies is not None and not plies.empty:
        wanted = ["corrupted", "ply1_target", "ply2_target", "ply3_target", "ply5_target",
                  "matched_control", "corrupted_favourite"]  # fmt: skip
        yield Drawn(
            name="residual_plies",
            place="E1",
            title="Beyond the paper: by ply, beside matched control squares",
            caption="Mean over a puzzle's squares of each kind; a square that is several things "
            "counts once, as the first of corrupted, first, third, second target. The matched "
            "control is a square in the same state as the third target and as far from the first. "
            "The corrupted favourite is the target of the move that the network would play in the "
            "corrupted position: it explains what other squares do in the last layers.",
            figure=figures.layer_curves(
                plies, categories=[name for name in wanted if name in set(plies["category"])]
            ),
        )
    yield from drawn.values()


def _heads(study: Study) -> Iterator[Drawn | Undrawn]:
    table = tabulation.read(study, "heads")
    if table is None or table.empty:
        yield _undrawn(study, "E2", "Figure 4", "heads", "no head was measured")
        return
    for split in summaries.SPLITS:
        part = table[table["split"] == split].reset_index(drop=True)
        if part.empty or part["estimate"].isna().all():
            continue
        whole = split == "all"
        yield Drawn(
            name="figure4_heads" if whole else f"appendix_heads_{split}",
            place="E2",
            title="Figure 4: what each attention head carries"
            if whole
            else f"Appendix: {_SPLIT_NAMES[split]}",
            caption="Mean effect of taking one head's output, on all squares, from the corrupted "
            "run. Listed: the heads with the largest effects"
            + (", tested against the number of heads." if whole else "."),
            figure=figures.head_map(part, p="p_max_t" if whole else None),
        )


def _entry(study: Study) -> Iterator[Drawn | Undrawn]:
    for name, file, title, what in (
        ("entry", "figure5_entry", "Figure 5: one attention entry", "log-odds reduction"),
        ("entry-win", "figure11_entry_win", "Figure 11: the same on the value",
         "win log-odds reduction"),
    ):  # fmt: skip
        table = tabulation.read(study, name)
        if table is None or table.empty:
            figure = title.partition(":")[0]
            yield _undrawn(study, "E3", figure, name, "no entry was measured")
            continue
        head = tabulation.options_of(study.table(f"{name}.parquet")).get("head", "?")
        yield Drawn(
            name=file,
            place="E3",
            title=title,
            caption=f"Head {head}. 3->1: only the entry from the third move's target to the "
            "first's is set to zero; the other curve: all other 4,095 entries of the head. Each "
            "curve is sorted by itself. " + _on(study, name),
            figure=figures.percentile_curves(
                table, curve="curve", what=what, bottom=-1.0 if _low(table) < -1 else None
            ),
        )
    patterns = tabulation.read(study, "entry_target_patterns")
    if patterns is not None and not patterns.empty:
        yield Drawn(
            name="entry_target_patterns",
            place="E3",
            title="Beyond the paper: the entry by pattern of targets",
            caption="112: the answer takes back on the first target and the third move goes "
            "elsewhere. Where first and third target are one square, the entry is a square's "
            "attention to itself.",
            figure=figures.forest(patterns),
        )


def _piece_heads(study: Study) -> Iterator[Drawn | Undrawn]:
    path = tabulation.finished(study, "attention.parquet")
    if path is not None:
        yield Drawn(
            name="figure6_attention",
            place="E4",
            title="Figure 6: what heads that follow a piece look at",
            caption="One row of the attention pattern of a head drawn at random from those of each "
            "piece, for puzzles and query squares (framed) drawn at random.",
            figure=_attention(pd.read_parquet(path)),
        )
    else:
        yield _undrawn(study, "E4", "Figure 6", "attention", "no head follows a piece's moves")
    table = tabulation.read(study, "piece-heads")
    if table is None or table.empty:
        yield _undrawn(study, "E4", "Figure 7", "piece-heads", "no column was hidden")
    else:
        yield Drawn(
            name="figure7_piece_heads",
            place="E4",
            title="Figure 7: the third target hidden from heads that follow its piece",
            caption="Own heads: the third target's column is zeroed in the heads that follow the "
            "third move's piece. Controls: as many heads of the other pieces; another column.",
            figure=figures.percentile_curves(
                table, curve="curve", bottom=-1.0 if _low(table) < -1 else None
            ),
        )


def _probes(study: Study) -> Iterator[Drawn | Undrawn]:
    table = tabulation.read(study, "probes")
    if table is None or table.empty:
        yield _undrawn(study, "E5", "Figure 8", "probes", "nothing was predicted")
        return
    for subset in ("all", "different", "same"):
        if not ((table["subset"] == subset) & (table["kind"] == "joint")).any():
            continue
        yield Drawn(
            name="figure8_probes" if subset == "all" else f"appendix_probes_{subset}",
            place="E5",
            title="Figure 8: the third move read out of activations"
            if subset == "all"
            else "Appendix: "
            + _SPLIT_NAMES["different_targets" if subset == "different" else "same_targets"],
            caption="Share of puzzles of which a bilinear probe names target and source of the "
            "third move, both right, on puzzles that it was not trained on.",
            figure=probe_figures.accuracy_by_layer(table, subset=subset),
        )
    if ((table["subset"] == "differing") & (table["kind"] == "joint")).any():
        yield Drawn(
            name="probes_kinds",
            place="E5",
            title="Beyond the paper: target and source apart",
            caption="Puzzles whose first and third target differ. The source is asked for once "
            "with the true target told, as probes are trained, and once with the predicted one.",
            figure=probe_figures.accuracy_panels(table, subset="differing"),
        )


def _two_boards(pair: Pair) -> Figure:
    partner = pair.corrupted
    assert partner is not None
    norm = diagrams.symmetric_norm(1.0)
    arrows = [(move.from_square, move.to_square) for move in pair.moves[:3]]
    changed = [to_board(square, pair.turn) for square in pair.changed_squares()]
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


def _attention(table: pd.DataFrame) -> Figure:
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


def _example(study: Study) -> tuple[Pair, pd.DataFrame] | None:
    """The puzzle with the largest effect at its third target at about two thirds of the depth."""
    path = tabulation.finished(study, "residual.parquet")
    if path is None:
        return None
    columns = ["puzzle_id", "layer", "square", "effect", "verdict"]
    layers = pyarrow.parquet.read_table(path, columns=["layer"])["layer"]
    there = sorted(value for value in layers.unique().to_pylist() if value is not None)
    if not there:
        return None
    at = _like_layer(10, there)
    rows = pyarrow.parquet.read_table(
        path, columns=columns, filters=[("layer", "=", at), ("verdict", "=", "measured")]
    ).to_pandas()
    effects = rows.set_index([rows["puzzle_id"].astype(str), "square"])["effect"]
    best: tuple[float, Pair] | None = None
    for pair in pair_files.read(study.table("pairs.parquet")):
        target = pair.target(3)
        if target is None or summaries.paper_squares(pair) is None:
            continue
        key = (pair.puzzle_id, int(target))
        if key in effects.index and (best is None or float(effects[key]) > best[0]):
            best = (float(effects[key]), pair)
    if best is None:
        return None
    chosen = pyarrow.parquet.read_table(
        path, columns=columns, filters=[("puzzle_id", "=", best[1].puzzle_id)]
    )
    return best[1], chosen.to_pandas()


def _like_layer(layer: int, there: Sequence[int]) -> int:
    """The layer that is as deep in this network as one of the paper's."""
    return there[round(layer / (PAPER_LAYERS - 1) * (len(there) - 1))]


def _low(table: pd.DataFrame) -> float:
    return float(table["estimate"].min())


def _on(study: Study, name: str) -> str:
    options = tabulation.options_of(study.table(f"{name}.parquet"))
    if str(options.get("chosen", "")).startswith("largest"):
        return (
            "The head was chosen for its effect on one half of the games (E2); shown is the other "
            "half."
        )
    return f"The head: {options.get('chosen', 'given')}."
