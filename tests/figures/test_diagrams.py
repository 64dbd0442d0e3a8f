"""Boards seen from the mover's side, with the right colour on the right square."""

from __future__ import annotations

from itertools import pairwise

import chess
import numpy as np
import pandas as pd
import pytest
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from leela_probe.figures.diagrams import draw_board, effect_boards, square_values, symmetric_norm
from leela_probe.positions.squares import from_board

WHITE = chess.Board("2r2r1k/6pp/p1q2p2/1p6/3R1N2/PQ2P2P/1P3PP1/6K1 w - - 5 32")


def effects(values: np.ndarray, layer: int = 10) -> pd.DataFrame:
    return pd.DataFrame(
        {"puzzle_id": "a", "layer": layer, "square": np.arange(64), "effect": values}
    )


def fields(figure: Figure) -> dict[str, Rectangle]:
    patches = figure.axes[0].patches
    return {patch.get_gid(): patch for patch in patches if patch.get_gid()}


@pytest.mark.parametrize("board", [WHITE, WHITE.mirror()], ids=["white", "black"])
def test_colours_are_on_their_squares_and_the_mover_sits_below(board: chess.Board) -> None:
    values = np.random.default_rng(0).normal(size=64)
    found = fields(effect_boards(effects(values), board, layers=[10]))
    norm = symmetric_norm(np.abs(values).max())
    for square in chess.SQUARES:
        field = found[chess.square_name(square)]
        value = values[from_board(square, board.turn)]
        assert field.get_facecolor() == pytest.approx(colormaps["RdBu_r"](norm(value)))
    king = found[chess.square_name(board.king(board.turn))]  # type: ignore[arg-type]
    assert king.get_y() < 1
    corner = found["a1" if board.turn else "h8"]
    assert (corner.get_x(), corner.get_y()) == pytest.approx((0.07, 0.07))


def test_pieces_stand_on_their_squares_in_two_colours() -> None:
    axes = effect_boards(effects(np.ones(64)), WHITE, layers=[10]).axes[0]
    drawn = {text.get_position(): (text.get_text(), text.get_color()) for text in axes.texts}
    assert len(drawn) == len(WHITE.piece_map())
    assert drawn[(5.5, 3.5)] == ("♞", "white")
    assert drawn[(7.5, 7.5)] == ("♚", "black")


def test_the_title_names_the_largest_effect_with_its_sign() -> None:
    values = np.full(64, 0.5)
    values[from_board(chess.H4, chess.WHITE)] = -1.96
    titles = [
        effect_boards(effects(values), board, layers=[10]).axes[0].get_title()
        for board in (WHITE, WHITE.mirror())
    ]
    minus = "\N{MINUS SIGN}"
    assert titles == [f"layer 10: h4 {minus}1.96 nats", f"layer 10: h5 {minus}1.96 nats"]


def test_the_embedding_is_a_diagram_too() -> None:
    table = pd.concat([effects(np.full(64, 1.0), 0), effects(np.full(64, 4.0), 0)])
    table["layer"] = pd.array([None] * 64 + [0] * 64, dtype="Int16")
    figure = effect_boards(table, WHITE, layers=[None, 0])
    titles = [axes.get_title() for axes in figure.axes[:2]]
    assert titles == ["embedding: a1 +1.00 nats", "layer 0: a1 +4.00 nats"]
    with pytest.raises(ValueError, match="embedding has no rows with a square"):
        effect_boards(effects(np.ones(64)), WHITE, layers=[None])


def test_boards_side_by_side_share_their_colours() -> None:
    table = pd.concat([effects(np.full(64, 1.0), 0), effects(np.full(64, 4.0), 14)])
    figure = effect_boards(table, WHITE, layers=[0, 14], power=1.0)
    colours = [
        next(p for p in axes.patches if p.get_gid() == "a1").get_facecolor()
        for axes in figure.axes[:2]
    ]
    assert colours[0] == pytest.approx(colormaps["RdBu_r"](0.625))
    assert colours[1] == pytest.approx(colormaps["RdBu_r"](1.0))


def test_power_keeps_the_sign_and_makes_small_effects_visible() -> None:
    norm = symmetric_norm(4.0, power=0.5)
    shown = np.asarray(norm([-4.0, -1.0, 0.0, 1.0, 4.0]))
    assert shown == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    with pytest.raises(ValueError, match=r"power is 2\.0"):
        symmetric_norm(1.0, power=2.0)


def test_arrows_run_between_the_middles_of_squares() -> None:
    for board, tail in ((WHITE, (7.5, 3.5)), (WHITE.mirror(), (0.5, 3.5))):
        arrow = (chess.H4, chess.G6) if board.turn else (chess.H5, chess.G3)
        figure = effect_boards(effects(np.ones(64)), board, layers=[10], arrows=[arrow])
        (patch,) = (p for p in figure.axes[0].patches if isinstance(p, FancyArrowPatch))
        assert patch._posA_posB[0] == tail


@pytest.mark.parametrize("board", [WHITE, WHITE.mirror()], ids=["white", "black"])
def test_lines_are_numbered_entries_dashed_and_changed_squares_framed(board: chess.Board) -> None:
    own = [chess.F4, chess.G6, chess.H7, chess.H4]
    f4, g6, h7, h4 = own if board.turn else map(chess.square_mirror, own)
    figure = effect_boards(
        effects(np.ones(64)), board, layers=[10], arrows=[(f4, g6), (h7, g6)],
        entries=[(h4, g6)], changed=[h7],
    )  # fmt: skip
    axes = figure.axes[0]
    arrows = [patch for patch in axes.patches if isinstance(patch, FancyArrowPatch)]
    assert [arrow.get_linestyle() for arrow in arrows] == ["-", "-", "--"]
    ends = [(7.5, 3.5), (6.5, 5.5)] if board.turn else [(0.5, 3.5), (1.5, 5.5)]
    assert [*arrows[2]._posA_posB] == ends
    numbers = [text for text in axes.texts if text.get_text() in ("1", "2")]
    assert [text.get_text() for text in numbers] == ["1", "2"]
    frames = [p for p in axes.patches if isinstance(p, Rectangle) and not p.get_fill()]
    (frame,) = frames
    assert (int(frame.get_x()), int(frame.get_y())) == ((7, 6) if board.turn else (0, 6))


def test_squares_without_a_value_are_grey_and_do_not_count() -> None:
    values = np.ones(64)
    values[0] = np.nan
    figure = effect_boards(effects(values)[:60], WHITE, layers=[10])
    grey = [name for name, f in fields(figure).items() if f.get_facecolor()[0] == 200 / 255]
    assert grey == ["a1", "e8", "f8", "g8", "h8"]


def test_boards_of_nothing_but_zeros_can_be_drawn() -> None:
    FigureCanvasAgg(effect_boards(effects(np.zeros(64)), WHITE, layers=[10])).draw()


def test_texts_stay_on_the_page_and_are_large_enough() -> None:
    table = pd.concat([effects(np.ones(64), layer) for layer in (0, 7, 10, 12, 14)])
    figure = effect_boards(table, WHITE, layers=[0, 7, 10, 12, 14])
    FigureCanvasAgg(figure).draw()
    for axes in figure.axes:
        for text in [axes.title, *axes.get_xticklabels(), *axes.get_yticklabels()]:
            if axes.axison and text.get_text():
                box = text.get_window_extent()
                assert box.x0 >= 0
                assert box.x1 <= figure.bbox.x1
                assert text.get_fontsize() >= 7
    titles = [axes.title.get_window_extent() for axes in figure.axes[:4]]
    for left, right in pairwise(titles):
        assert left.x1 < right.x0


def test_wrong_tables_are_errors() -> None:
    table = effects(np.ones(64))
    with pytest.raises(ValueError, match="rows of 2 puzzles"):
        square_values(pd.concat([table, table.assign(puzzle_id="b")]), layer=10)
    with pytest.raises(ValueError, match="layer 3 has no rows"):
        square_values(table, layer=3)
    with pytest.raises(ValueError, match="square 0 stands in several rows"):
        square_values(pd.concat([table, table]), layer=10)
    with pytest.raises(ValueError, match="layer 10 has no value"):
        square_values(table.assign(effect=np.nan), layer=10)
    with pytest.raises(ValueError, match="layers is empty"):
        effect_boards(table, WHITE, layers=[])
    with pytest.raises(ValueError, match=r"shape \(8,\)"):
        draw_board(Figure().add_subplot(), np.ones(8), WHITE, norm=symmetric_norm(1.0))


@pytest.mark.parametrize("board", [WHITE, WHITE.mirror()], ids=["white", "black"])
def test_ranks_of_files_and_lists_are_the_same_as_64_numbers(board: chess.Board) -> None:
    values = np.random.default_rng(1).normal(size=64).astype(np.float32)
    colours = []
    for given in (values, values.reshape(8, 8), values.tolist()):
        figure = Figure()
        draw_board(figure.add_subplot(), given, board)
        colours.append({name: field.get_facecolor() for name, field in fields(figure).items()})
    assert colours[0] == colours[1] == colours[2]


def test_colours_reach_to_the_largest_value_where_no_norm_is_given() -> None:
    values = np.zeros(64)
    values[3], values[4] = 0.25, np.nan
    figure = Figure()
    draw_board(figure.add_subplot(), values, WHITE)
    assert fields(figure)["d1"].get_facecolor() == pytest.approx(colormaps["RdBu_r"](1.0))
