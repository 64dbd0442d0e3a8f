"""Chess diagrams with a number on every square, seen from the side to move.

The board's own light and dark squares show as frames around the coloured fields, so that colours
are exactly those of the bar.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import chess
import matplotlib as mpl
import numpy as np
import pandas as pd
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import FuncNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike

from leela_probe.figures.drawing import COLUMN, GREEN, PAGE, PURPLE, add_note, signed, style
from leela_probe.positions.squares import NetSquare, to_board

__all__ = ["draw_board", "effect_boards", "square_values", "symmetric_norm"]

_LIGHT, _DARK, _NONE = "#EDEDED", "#A8A8A8", "#C8C8C8"
_GLYPHS: Mapping[chess.PieceType, str] = dict(zip(chess.PIECE_TYPES, "♟♞♝♜♛♚", strict=True))
_COLOURS = "RdBu_r"
_NUMBER_EDGE = "#00543D"  # a darker GREEN


def effect_boards(
    table: pd.DataFrame,
    board: chess.Board,
    *,
    layers: Sequence[int | None],
    arrows: Sequence[tuple[chess.Square, chess.Square]] = (),
    entries: Sequence[tuple[chess.Square, chess.Square]] = (),
    changed: Sequence[chess.Square] = (),
    power: float = 0.5,
    unit: str = "nats",
    what: str = "log-odds reduction",
) -> Figure:
    """One diagram per layer: the effect at each square of one puzzle, the largest in the title.

    Args:
        table: rows of one puzzle with layer, square (as the network sees it) and effect.
        board: the puzzle's clean board, the solver to move.
        layers: one diagram each, at most four beside one another in a row; None is the embedding,
            which has no layer.
        arrows: from and to squares of the line's moves on the chess board, on every diagram.
        entries: key and query squares of attention entries, dashed arrows.
        changed: squares on which the corrupted board differs, framed.
        power: colours follow sign(x) |x|^power, so that small effects show; 1 for proportional.
        unit: of the effect.
        what: name of the effect.

    Raises:
        ValueError: for rows of several puzzles, no layer, and a layer or square with no rows or
            several.

    Example:
        >>> import leela_probe as lp
        >>> network = lp.load("bundled:planted")
        >>> pairs = lp.read_pairs("bundled:planted-puzzles")
        >>> table = lp.measure(network, pairs[:1], lp.sweeps.residual(network))
        >>> figure = lp.draw_effects(table, pairs[0].clean, layers=range(network.layers))
        >>> figure.axes[0].get_title().startswith("layer 0: ")
        True
    """
    if not layers:
        raise ValueError("layers is empty: name at least one")
    boards = [square_values(table, layer=layer) for layer in layers]
    norm = symmetric_norm(max(float(np.nanmax(np.abs(values))) for values in boards), power=power)
    columns = min(len(boards), 4)
    rows = -(-len(boards) // columns)
    width = COLUMN if columns == 1 else PAGE
    side = (width - 0.75) / columns
    with style():
        figure = Figure(figsize=(width, rows * (side + 0.32) + 0.1), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, layer, values in zip(panels, layers, boards, strict=False):
            draw_board(
                axes,
                values,
                board,
                norm=norm,
                arrows=arrows,
                entries=entries,
                changed=changed,
                piece_size=side * 7,
            )
            axes.set_title(
                f"{_layer_name(layer)}: {_largest(values, board.turn)} {unit}", fontsize=7.5
            )
        for axes in panels[len(boards) :]:
            axes.set_axis_off()
        bar = figure.colorbar(
            ScalarMappable(norm, _COLOURS), ax=panels.tolist(), pad=0.02, aspect=30 * rows
        )
        bar.set_label(f"{what} ({unit})")
        bar.outline.set_linewidth(0.4)
        bar.set_ticks(_ticks(norm))
        bar.ax.yaxis.set_major_formatter("{x:.2g}")
        said = [
            *(["Arrows: the line's moves in order."] if len(arrows) > 1 else []),
            *(["Frames: where the corrupted board differs."] if changed else []),
            *(["Dashed: attention, from key to query."] if entries else []),
        ]
        if said:
            add_note(figure, ("\n" if columns == 1 else "   ").join(said))
            figure.set_figheight(figure.get_figheight() + 0.15 * (len(said) if columns == 1 else 1))
        return figure


def draw_board(
    axes: Axes,
    values: ArrayLike,
    board: chess.Board,
    *,
    norm: Normalize | None = None,
    arrows: Sequence[tuple[chess.Square, chess.Square]] = (),
    entries: Sequence[tuple[chess.Square, chess.Square]] = (),
    changed: Sequence[chess.Square] = (),
    piece_size: float = 14.0,
) -> None:
    """Draws a board with its pieces and one coloured field per square on `axes`.

    Args:
        axes: to draw on; its limits, ticks and aspect are set.
        values: 64 numbers by the network's squares, or 8 ranks of 8 files, the mover's first rank
            first; NaN is a grey field with a cross.
        board: the position; the side to move sits below.
        norm: what colours mean, shared by boards that are compared; by default `symmetric_norm` up
            to the largest value.
        arrows: from and to squares of the chess board; several are numbered.
        entries: key and query squares of the chess board, for dashed arrows.
        changed: squares of the chess board that get a frame.
        piece_size: of the piece symbols, in points.

    Raises:
        ValueError: if there are not 64 values.

    Example:
        >>> import leela_probe as lp
        >>> from matplotlib.figure import Figure
        >>> network, board = lp.load("bundled:planted"), chess.Board()
        >>> pattern = network.capture([board], ["layer1.pattern"])["layer1.pattern"]
        >>> figure = Figure()
        >>> lp.draw_board(figure.subplots(), pattern[0, 0, chess.E2], board)
        >>> [text.get_text() for text in figure.axes[0].get_xticklabels()][:3]
        ['a', 'b', 'c']
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.shape not in ((64,), (8, 8)):
        raise ValueError(
            f"values has shape {numbers.shape}: a board takes 64 numbers, or 8 rows of 8"
        )
    if norm is None:
        finite = np.abs(numbers[np.isfinite(numbers)])
        norm = symmetric_norm(float(finite.max(initial=0.0)))
    colours = mpl.colormaps[_COLOURS]
    for net_square, value in enumerate(numbers.reshape(64)):
        square = to_board(NetSquare(net_square), board.turn)
        x, y = _place(square, board.turn)
        light = (chess.square_file(square) + chess.square_rank(square)) % 2 == 1
        axes.add_patch(Rectangle((x, y), 1, 1, facecolor=_LIGHT if light else _DARK, linewidth=0))
        known = bool(np.isfinite(value))
        field = Rectangle(
            (x + 0.07, y + 0.07),
            0.86,
            0.86,
            facecolor=colours(norm(value)) if known else _NONE,
            linewidth=0,
            gid=chess.square_name(square),
        )
        axes.add_patch(field)
        if not known:
            axes.plot([x + 0.2, x + 0.8], [y + 0.2, y + 0.8], color=_DARK, linewidth=0.6)
            axes.plot([x + 0.2, x + 0.8], [y + 0.8, y + 0.2], color=_DARK, linewidth=0.6)
        piece = board.piece_at(square)
        if piece is not None:
            _draw_piece(axes, piece, x + 0.5, y + 0.5, piece_size)
    for square in changed:
        x, y = _place(square, board.turn)
        frame = Rectangle((x + 0.05, y + 0.05), 0.9, 0.9, fill=False, linewidth=1.1, zorder=3.5)
        axes.add_patch(frame)
    for squares, colour, line in (
        *((arrow, GREEN, "-") for arrow in arrows),
        *((entry, PURPLE, "--") for entry in entries),
    ):
        _draw_arrow(axes, squares, board.turn, colour=colour, line=line, size=piece_size)
    if len(arrows) > 1:
        _number(axes, arrows, board.turn)
    files = chess.FILE_NAMES if board.turn else chess.FILE_NAMES[::-1]
    ranks = chess.RANK_NAMES if board.turn else chess.RANK_NAMES[::-1]
    axes.set(xlim=(0, 8), ylim=(0, 8), aspect="equal")
    axes.set_xticks(np.arange(8) + 0.5, files)
    axes.set_yticks(np.arange(8) + 0.5, ranks)
    axes.tick_params(length=0, pad=1.5)
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_linewidth(0.6)


def square_values(
    table: pd.DataFrame, *, layer: int | None, value: str = "effect"
) -> Float64[np.ndarray, " square"]:
    """The 64 values of one puzzle and layer by the network's squares, NaN where there is none.

    Args:
        table: rows of one puzzle with layer, square and the value.
        layer: None for the embedding, which has no layer.
        value: the column to take.

    Raises:
        ValueError: for rows of several puzzles, or a layer or square with no rows or several.
    """
    puzzles = table["puzzle_id"].unique()
    if len(puzzles) != 1:
        raise ValueError(f"the table has rows of {len(puzzles)} puzzles: a diagram shows one")
    here = table["layer"].isna() if layer is None else table["layer"] == layer
    rows = table[here & table["square"].notna()]
    if rows.empty:
        raise ValueError(f"{_layer_name(layer)} has no rows with a square in this table")
    if rows["square"].duplicated().any():
        twice = int(rows["square"][rows["square"].duplicated()].iloc[0])
        raise ValueError(
            f"square {twice} stands in several rows of {_layer_name(layer)}: keep one sweep, one "
            "measure, one direction"
        )
    values = np.full(64, np.nan)
    values[rows["square"].to_numpy(dtype=np.int64)] = rows[value].to_numpy(
        dtype=np.float64, na_value=np.nan
    )
    if np.isnan(values).all():
        raise ValueError(f"{_layer_name(layer)} has no value on any square")
    return values


def symmetric_norm(limit: float, *, power: float = 0.5) -> FuncNorm:
    """Colours from -limit to limit that follow sign(x) |x|^power, white at 0."""
    if not 0 < power <= 1:
        raise ValueError(f"power is {power}: give one above 0 and at most 1")
    limit = limit if limit > 0 else 1.0
    return FuncNorm(
        (
            lambda x: np.sign(x) * np.abs(x) ** power,
            lambda y: np.sign(y) * np.abs(y) ** (1 / power),
        ),
        vmin=-limit,
        vmax=limit,
    )


def _draw_piece(axes: Axes, piece: chess.Piece, x: float, y: float, size: float) -> None:
    face, edge = ("white", "black") if piece.color else ("black", "white")
    axes.text(
        x,
        y,
        _GLYPHS[piece.piece_type],
        fontsize=size,
        fontfamily="DejaVu Sans",
        color=face,
        ha="center",
        va="center_baseline",
        path_effects=[withStroke(linewidth=0.09 * size, foreground=edge)],
        zorder=3,
    )


def _draw_arrow(
    axes: Axes,
    squares: tuple[chess.Square, chess.Square],
    turn: chess.Color,
    *,
    colour: str,
    line: str,
    size: float,
) -> None:
    (x0, y0), (x1, y1) = (_place(square, turn) for square in squares)
    axes.add_patch(
        FancyArrowPatch(
            (x0 + 0.5, y0 + 0.5),
            (x1 + 0.5, y1 + 0.5),
            arrowstyle="-|>",
            mutation_scale=0.7 * size,
            linewidth=0.12 * size,
            linestyle=line,
            color=colour,
            shrinkA=0,
            shrinkB=0,
            alpha=0.85,
            zorder=4,
        )
    )


def _number(
    axes: Axes, arrows: Sequence[tuple[chess.Square, chess.Square]], turn: chess.Color
) -> None:
    """Writes 1, 2, 3 beside the tails of arrows, where two do not start on one square."""
    for number, (tail, head) in enumerate(arrows, 1):
        (x0, y0), (x1, y1) = _place(tail, turn), _place(head, turn)
        far = float(np.hypot(x1 - x0, y1 - y0)) or 1.0
        step = min(0.55, 0.4 * far)
        axes.text(
            x0 + 0.5 + step * (x1 - x0) / far,
            y0 + 0.5 + step * (y1 - y0) / far,
            str(number),
            fontsize=7,
            fontweight="bold",
            color="white",
            ha="center",
            va="center",
            path_effects=[withStroke(linewidth=1.6, foreground=_NUMBER_EDGE)],
            zorder=5,
        )


def _place(square: chess.Square, turn: chess.Color) -> tuple[int, int]:
    """Lower left corner of a square, the side to move below: Black's board is turned round."""
    file, rank = chess.square_file(square), chess.square_rank(square)
    return (file, rank) if turn else (7 - file, 7 - rank)


def _layer_name(layer: int | None) -> str:
    return "embedding" if layer is None else f"layer {layer}"


def _largest(values: Float64[np.ndarray, " square"], turn: chess.Color) -> str:
    index = int(np.nanargmax(np.abs(values)))
    square = chess.square_name(to_board(NetSquare(index), turn))
    value = float(values[index])
    return f"{square} {'+' if value > 0 else ''}{signed(value, value)}"


def _ticks(norm: FuncNorm) -> list[float]:
    """Round numbers that stand apart on the bar."""
    limit = float(norm.inverse(1.0))
    unit = 10.0 ** np.floor(np.log10(limit))
    rounded = next(step * unit for step in (5, 2, 1) if step * unit <= limit)
    ends = [rounded, rounded / 10] if norm(rounded / 10) - norm(0) > 0.08 else [rounded]
    return [*(-end for end in ends), 0.0, *ends[::-1]]
