"""How every figure looks and how it is written to disk: widths, fonts, colours, files.

Made for print: no letter below 7 points at the width of a column, colours that colour-blind readers
tell apart. No pyplot: a figure belongs to the caller and nothing is left open.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

__all__ = [
    "BLACK", "BLUE", "COLUMN", "GREEN", "GREY", "ORANGE", "PAGE", "PURPLE", "SKY", "VERMILION",
    "YELLOW", "add_heading", "add_note", "require_columns", "save", "signed", "style",
]  # fmt: skip

COLUMN = 3.5
"""Width of a column in inches."""

PAGE = 7.0
"""Width of a page in inches."""

# Okabe and Ito's colours: told apart by colour-blind readers, and mostly in grey.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, YELLOW, BLACK, GREY = "#CC79A7", "#56B4E9", "#F0E442", "#000000", "#8A8A8A"

_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "hatch.linewidth": 0.5,
    "figure.dpi": 150,
}


@contextmanager
def style() -> Iterator[None]:
    """The fonts and lines of these figures; matplotlib's own settings come back afterwards."""
    with mpl.rc_context(_STYLE):
        yield


def save(figure: Figure, path: str | Path, *, dpi: int = 300) -> Path:
    """Writes a figure as PDF, PNG or SVG, by the file's ending; the same figure, the same bytes.

    Raises:
        ValueError: for another ending.
    """
    path = Path(path)
    metadata = {
        ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
        ".png": {"Software": None},
        ".svg": {"Date": None, "Creator": None},
    }
    if path.suffix.lower() not in metadata:
        raise ValueError(f"{path.name} ends in {path.suffix!r}: give .pdf, .png or .svg")
    settings: dict[Any, Any] = {
        "svg.hashsalt": "leela-probe",
        "svg.fonttype": "path",
        "pdf.fonttype": 42,
    }
    with style(), mpl.rc_context(settings):
        figure.savefig(path, dpi=dpi, metadata=metadata[path.suffix.lower()])
    return path


def add_note(figure: Figure, text: str) -> None:
    """Writes small text at the foot of a figure; the layout makes room for it."""
    figure.supxlabel(text, fontsize=7, x=0.02, ha="left", multialignment="left")


def add_heading(figure: Figure, text: str) -> None:
    """Writes above a figure what it is of, in lines that fit; breaks at · where it can."""
    width, height = figure.get_size_inches()
    lines: list[str] = []
    for part in text.split(" · "):
        if lines and len(lines[-1]) + len(part) + 3 <= 17 * width:
            lines[-1] += f" · {part}"
        else:
            lines += textwrap.wrap(part, int(17 * width), break_long_words=False) or [""]
    figure.suptitle("\n".join(lines), fontsize=8)
    figure.set_figheight(height + 0.15 * len(lines))


def require_columns(table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raises ValueError unless the table has rows and these columns."""
    lacking = [name for name in columns if name not in table.columns]
    if lacking:
        raise ValueError(
            f"the table has no column {lacking[0]!r}: this figure needs {', '.join(columns)}"
        )
    if len(table) == 0:
        raise ValueError("the table has no rows: there is nothing to draw")


def signed(number: float, largest: float = 1.0) -> str:
    """A number with a minus sign as on the axes, with two decimals or more.

    Args:
        number: to write.
        largest: of the numbers beside it; it gets two digits that count.

    Example:
        >>> signed(0.5), signed(0.5, 12.0), signed(0.00312, 0.0073)
        ('0.50', '0.50', '0.0031')
    """
    decimals = 2
    while decimals < 9 and 0 < abs(largest) < 9.95 * 10.0**-decimals:
        decimals += 1
    text = f"{number:.{decimals}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")  # noqa: RUF001  a minus sign, as on the axes
