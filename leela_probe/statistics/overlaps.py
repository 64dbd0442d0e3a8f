"""Which category a square counts as where it has several names, such as corrupted and a target.

Statistics take one of them, so that an effect of the corrupted square is not shown as one of the
third target, say; to count a square as everything that it is, explode the table first.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

__all__ = ["ORDER", "SEPARATOR", "explode", "prioritise", "single"]

SEPARATOR = "+"
"""Between the names of a square in the column `category`."""

ORDER = ("corrupted", "ply1_target", "ply3_target")
"""The names that come before all others, the first of them first."""


def explode(table: pd.DataFrame) -> pd.DataFrame:
    """The effects table with a row for each category of each square: one square feeds several."""
    return table.assign(category=table["category"].str.split(SEPARATOR)).explode(
        "category", ignore_index=True
    )


def prioritise(table: pd.DataFrame, order: Sequence[str] = ORDER) -> pd.DataFrame:
    """The effects table with one category for each square: the first of `order` that it has.

    A square with none of them keeps its first name.

    Example:
        >>> table = pd.DataFrame({"category": ["ply3_target+corrupted", "ply2_source+ply3_target"]})
        >>> prioritise(table)["category"].tolist()
        ['corrupted', 'ply3_target']
    """
    rank = {name: place for place, name in enumerate(order)}

    def first(names: object) -> object:
        if not isinstance(names, str):
            return names
        parts = names.split(SEPARATOR)
        return min(parts, key=lambda name: (rank.get(name, len(rank)), parts.index(name)))

    unique = {names: first(names) for names in table["category"].unique()}
    return table.assign(category=table["category"].map(unique))


def single(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its squares prioritised, if any of them has several names."""
    if "category" not in table.columns or not any(
        SEPARATOR in str(names) for names in table["category"].unique()
    ):
        return table
    return prioritise(table.assign(category=table["category"].astype(object)))
