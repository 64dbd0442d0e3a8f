"""The long table of effects: its columns, and reading it back.

A row is one changed run of one puzzle; a puzzle that cannot be measured has one row that says why.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow

from leela_probe.files import tables

__all__ = [
    "MEASURED",
    "SCHEMA",
    "VERDICTS",
    "EffectTable",
    "measured",
    "pairs_by_verdict",
    "read",
    "recovered",
    "to_pandas",
]

_NAME, _PLACE = pyarrow.dictionary(pyarrow.int32(), pyarrow.string()), pyarrow.int16()
_NUMBER = pyarrow.float32()
SCHEMA = pyarrow.schema(
    [
        ("puzzle_id", _NAME),
        ("game_id", _NAME),
        ("target_pattern", _NAME),  # of target squares, such as 112
        ("mate", pyarrow.bool_()),  # whether the themes say that the puzzle ends in mate
        ("rank", _PLACE),  # of the corrupted partner; 1 is the nearest
        ("verdict", _NAME),  # measured, or why the puzzle is left out
        ("sweep", _NAME),
        ("direction", _NAME),
        ("measure", _NAME),
        ("site", _NAME),  # without its layer
        ("label", _NAME),  # of changes that the places do not name
        ("layer", _PLACE),
        ("head", _PLACE),
        ("square", _PLACE),  # of the mover's board, 0 to 63
        ("query", _PLACE),
        ("key", _PLACE),
        ("category", _NAME),  # what the square is to the line; several are joined by +
        ("clean", _NUMBER),  # the measure in the clean run
        ("corrupted", _NUMBER),  # ... in the corrupted run
        ("changed", _NUMBER),  # ... in the changed run
        ("effect", _NUMBER),  # base run minus changed run: positive hurts, negative restores
    ]
)
"""The columns of an effects table."""

MEASURED = "measured"
VERDICTS = (
    MEASURED,
    "no_partner",
    "other_side_to_move",
    "illegal_in_partner",
    "illegal_first_move",
    "only_legal_move",
    "nothing_to_change",
)
"""What a puzzle's rows say: measured, or the first reason that applies why it is left out."""

_READ = SCHEMA.append(pyarrow.field("estimate", _NUMBER))  # where a screen has chosen places
_WHAT = "an effects table, as leela-probe patch writes it"

_OF_A_SWEEP = ("sweep", "measure", "direction")
_ROWS_SHOWN = 6


class EffectTable(pd.DataFrame):
    """An effects table that Jupyter shows as its figure, if it is of a kind that has one.

    What is made from it (selections, groups, `head()`) is a plain data frame.
    """

    def __repr__(self) -> str:
        plain = pd.DataFrame(self)
        if not {"sweep", "measure", "verdict", "puzzle_id", "effect"} <= {*plain.columns}:
            return repr(plain)
        pairs = plain.drop_duplicates([name for name in ("puzzle_id", "rank") if name in plain])
        counts = pairs["verdict"].value_counts()
        verdicts = ", ".join(f"{count:,} {verdict}" for verdict, count in counts.items() if count)
        names = (", ".join(plain[name].dropna().astype(str).unique()) for name in _OF_A_SWEEP)
        varying = [name for name in plain.columns if plain[name].nunique(dropna=False) > 1]
        shown = plain[varying or list(plain.columns)].to_string(max_rows=_ROWS_SHOWN, max_cols=10)
        heading = f"<EffectTable of {len(plain):,} rows: {'; '.join(names)}; pairs: {verdicts}>"
        return f"{heading}\n{shown}"

    def _repr_html_(self) -> str | None:
        from leela_probe.experiments import effect_figures

        shown = effect_figures.html(self)
        return super()._repr_html_() if shown is None else shown  # type: ignore[misc]


def read(path: str | Path) -> EffectTable:
    """The effects table in a file, `.parquet` or `.csv`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds no effects table.

    Example:
        >>> import leela_probe as lp
        >>> network = lp.load("bundled:planted")
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     out = Path(folder, "heads.csv")
        ...     sweep = lp.sweeps.heads(network)
        ...     _ = lp.sweep(network, "bundled:planted-puzzles", sweep, out, lp.Settings(limit=5))
        ...     int(lp.read_effects(out)["layer"].max())
        3
    """
    return to_pandas(tables.read_arrow(path, _READ, optional=["estimate"], what=_WHAT))


def pairs_by_verdict(path: str | Path) -> dict[str, int]:
    """How many pairs of the table in a file got each verdict, whatever the number of their rows.

    Args:
        path: a table that `effects.sweep` has written.
    """
    table = tables.read_arrow(path, SCHEMA, columns=["puzzle_id", "rank", "verdict"], what=_WHAT)
    pairs = table.to_pandas().drop_duplicates()
    counts = pairs["verdict"].value_counts()
    return {verdict: int(counts.get(verdict, 0)) for verdict in VERDICTS}


def to_pandas(table: pyarrow.Table) -> EffectTable:
    """An Arrow table with the columns of `SCHEMA` as a data frame; places may be missing."""
    return EffectTable(table.to_pandas(types_mapper={pyarrow.int16(): pd.Int16Dtype()}.get))


def recovered(table: pd.DataFrame) -> pd.Series:
    """The share of the way from the corrupted to the clean run that each changed run has gone.

    0 is as bad as the corrupted run and 1 as good as the clean one, whichever way activations were
    patched; `observations.normalise` leaves out puzzles whose runs differ too little for a share.

    Args:
        table: rows of `SCHEMA`.

    Returns:
        One number per row; missing without a corrupted run, and where both runs are equal.

    Example:
        >>> runs = pd.DataFrame({"clean": [4.0, 4.0], "corrupted": [0.0, None], "changed": 1.0})
        >>> recovered(runs).tolist()
        [0.25, nan]
    """
    clean, corrupted, changed = (
        table[name].astype("float64") for name in ("clean", "corrupted", "changed")
    )
    gap = clean - corrupted
    return ((changed - corrupted) / gap.where(gap != 0)).rename("recovered")


def measured(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of changed runs alone, without those of puzzles that were left out."""
    return table[table["verdict"] == MEASURED]
