"""Which rows of an effects table a figure or a statistic takes, and what they are called."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd
import pyarrow

from leela_probe.experiments import effect_figures, effect_tables
from leela_probe.files import manifests, tables
from leela_probe.networks.measures import MEASURES
from leela_probe.statistics import overlaps

__all__ = [
    "at_one_place",
    "by_category",
    "called",
    "exclusions",
    "heading",
    "in_words",
    "names_differing_targets",
    "over_squares",
    "read",
    "text_in_words",
    "unit",
]

_NUMBERS = ("rank", "layer", "head", "square", "query", "key")
_NAMES = (
    "puzzle_id",
    "game_id",
    "target_pattern",
    "site",
    "label",
    "category",
    "measure",
    "direction",
)


def read(
    path: str | Path,
    *,
    where: Mapping[str, Sequence[str]] = MappingProxyType({}),
    differing_targets: bool = False,
    screened: bool = False,
) -> pd.DataFrame:
    """The changed runs of an effects table that answer to `where`.

    Args:
        path: the table.
        where: values by column, such as {"layer": ["3"], "target_pattern": ["112", "123"]}; a row
            must have one of the values in each column. A square in several categories
            has all of them.
        differing_targets: only puzzles whose first and third move go to different squares.
        screened: whether a table of the best places only, as a screen writes it, will do. Means
            over them would be too large, as they were chosen for being large.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no effects table, nothing in it answers, or it has several partners of
            a puzzle or is screened where it must not be.
    """
    table: pd.DataFrame = effect_tables.read(path)
    if "estimate" in table.columns and not screened:
        raise ValueError(
            f"{path} holds only the best places of each puzzle, found by a screen: a mean over "
            "them is too large; sweep without --screen"
        )
    table = effect_tables.measured(table)
    if table.empty:
        raise ValueError(f"{path} holds no measured puzzle: leela-probe plot exclusions says why")
    for column, values in where.items():
        table = _answering(table, column, values)
    if differing_targets:
        table = table[names_differing_targets(table["target_pattern"])]
        if table.empty:
            raise ValueError(
                f"no puzzle in {path} has a third target that differs from its first by its pattern"
            )
    ranks = sorted(table["rank"].dropna().unique())
    if len(ranks) > 1:
        raise ValueError(
            f"{path} holds partners of ranks {', '.join(map(str, ranks))}: one of each puzzle "
            f"counts, so choose a rank (--where rank={ranks[0]})"
        )
    return table.reset_index(drop=True)


def names_differing_targets(patterns: pd.Series) -> pd.Series:
    """Which patterns say that the first and the third move go to different squares (W4).

    Example:
        >>> names_differing_targets(pd.Series(["112", "121", "11"])).tolist()
        [True, False, False]
    """
    from leela_probe.puzzles.target_patterns import first_and_third_differ

    differ = [first_and_third_differ(str(text)) for text in patterns.astype(object)]
    return pd.Series(differ, index=patterns.index, dtype=bool)


def by_category(
    table: pd.DataFrame, *, overlapping: bool = False, only: Sequence[str] | None = None
) -> pd.DataFrame:
    """The rows with one category each.

    Args:
        table: of `read`.
        overlapping: a square that is several things counts as each of them; else once, as what it
            is first of corrupted, first target, third target.
        only: keep these categories.

    Raises:
        ValueError: if the rows are not about single squares, or none is of the categories kept.
    """
    if table["category"].isna().any():
        raise ValueError(
            f"{int(table['category'].isna().sum())} changed runs are not about one square each, so "
            f"they have no category: {_sweeps(table)} is not a sweep over squares"
        )
    plain = table.assign(category=table["category"].astype(object))
    found = overlaps.explode(plain) if overlapping else overlaps.prioritise(plain)
    if only is None:
        return found
    kept = found[found["category"].isin(list(only))].reset_index(drop=True)
    if kept.empty:
        raise ValueError(f"no square counts as {' or '.join(only)}: give other categories")
    return kept


def called(table: pd.DataFrame, name: str, *, overlapping: bool = False) -> pd.DataFrame:
    """The rows of what a name stands for: a label, a head such as 12.12, or a category.

    Raises:
        ValueError: if the table has no such label, head or category.
    """
    labels = _values(table["label"])
    if name in labels:
        return table[table["label"] == name]
    head = re.fullmatch(r"L?(\d+)(?:\.|H)(\d+)", name)
    if head is not None:
        found = table[(table["layer"] == int(head[1])) & (table["head"] == int(head[2]))]
        if not found.empty:
            return found
    named: list[str] = []
    if table["category"].notna().all():
        single = by_category(table, overlapping=overlapping)
        found = single[single["category"] == name]
        if not found.empty:
            return found
        named = _values(single["category"])
    heads = [f"{layer}.{h}" for layer, h in _pairs_of(table, "layer", "head")]
    raise ValueError(
        f"nothing in the table is called {name!r}: it has {_some([*labels, *named, *heads])}"
    )


def at_one_place(
    table: pd.DataFrame, *, by: Sequence[str] = (), squares: str = "mean"
) -> pd.DataFrame:
    """One row a puzzle and curve: its squares taken together, and nothing else.

    Args:
        table: rows in which a puzzle has one layer, head, label, query and key, and one category
            where they are about squares.
        by: columns that tell curves apart, each of which is by itself at one place.
        squares: "mean" or "max".

    Raises:
        ValueError: if a puzzle has several of them.
    """
    from leela_probe.statistics.observations import per_puzzle

    for column in ("layer", "head", "label", "query", "key", "category"):
        if column in by:
            continue
        of_puzzle = table.groupby(["puzzle_id", *by], observed=True)[column].nunique()
        if of_puzzle.max() > 1:
            found = [*dict.fromkeys(map(str, sorted(table[column].dropna().unique())))]
            choose = f"--where {column}={found[0]}"
            raise ValueError(
                f"the table has {len(found)} values of {column} ({_some(found)}): choose one with "
                + ("--layers" if column == "layer" else choose)
            )
    return per_puzzle(table, by=by, squares=squares)


def over_squares(*each: pd.DataFrame) -> list[str]:
    """What a heading says where puzzles have several squares at a place: mean or max over squares.

    Args:
        each: tables of `at_one_place`.
    """
    several = [table for table in each if (table["squares"] > 1).any()]
    return [f"{several[0]['taken'].iloc[0]} over squares"] if several else []


def in_words(found: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """What was found, saying "puzzle" for "game" where no puzzle of the table has a game.

    Args:
        found: a table of statistics, with `interval` and `reason` where it has them.
        table: the effects it was found in.
    """
    if table["game_id"].notna().any():
        return found
    kept = [name for name in ("interval", "reason", "interval_reason") if name in found.columns]
    words = {name: found[name].map(_puzzles_for_games) for name in kept}
    return found.assign(**words)


def text_in_words(text: str, table: pd.DataFrame) -> str:
    """The same for a text."""
    return text if table["game_id"].notna().any() else str(_puzzles_for_games(text))


def unit(table: pd.DataFrame) -> tuple[str, str]:
    """The unit of the effects and what they are called, for axes.

    Raises:
        ValueError: if the table mixes measures.
    """
    measures = _values(table["measure"])
    if len(measures) != 1:
        raise ValueError(
            f"the table mixes measures ({_some(measures)}): choose one (--where measure=...)"
        )
    known = MEASURES.get(measures[0])
    return (measures[0], "effect") if known is None else (known.unit, known.title)


def heading(path: str | Path, table: pd.DataFrame, *, extra: Iterable[str] = ()) -> str:
    """One line of what a table is: network, sweep, direction; what the manifest beside it knows.

    Args:
        path: the table's file.
        table: its rows.
        extra: further things to say.
    """
    parts = []
    manifest = manifests.manifest_path(path)
    options: dict[str, Any] = {}
    if manifest.is_file():
        facts = manifests.read(manifest)
        options = facts.get("options", {})
        network = facts.get("inputs", {}).get("network", {}).get("file")
        if network:
            parts.append(re.sub(r"\.(pb\.gz|pb|onnx)$", "", network))
    parts.append(" ".join([_sweeps(table), *_details(options)]))
    parts.append(
        ", ".join(
            effect_figures.DIRECTION_TITLES.get(direction, direction)
            for direction in _values(table["direction"])
        )
    )
    return " · ".join([*parts, *extra])


def exclusions(paths: Sequence[str | Path]) -> tuple[pd.Series, list[str]]:
    """The first reason against each puzzle, and the reasons in the order of the questions.

    Args:
        paths: tables of `filter`, `corrupt` and `patch`, in the order in which they were made. A
            puzzle that one kept and the next does not know has the reason "not in" that file.

    Returns:
        One entry a puzzle of the first table, None where the last one kept it; and all reasons.

    Raises:
        ValueError: if a file has no verdicts, or one that belongs to none of the three.
    """
    reasons: pd.Series | None = None
    order: list[str] = []
    for path in paths:
        verdicts, questions = _verdicts(Path(path))
        if reasons is None:
            reasons = verdicts
        else:
            going_on = reasons.isna()
            absent = f"not in {Path(path).name}"
            known = reasons.index.isin(verdicts.index)
            if (going_on & ~known).any():
                reasons[going_on & ~known] = absent
                order.append(absent)
            follows = reasons.index[going_on & known]
            reasons[follows] = verdicts.reindex(follows)
            # a question of an earlier stage takes out nobody the second time
            questions = [name for name in questions if name not in order]
        order += questions
    if reasons is None:
        raise ValueError("no table to take verdicts from: name one at least")
    return reasons.reset_index(drop=True), order


_VERDICTS = pyarrow.schema({"puzzle_id": pyarrow.string(), "verdict": pyarrow.string()})
_KEPT = ("kept", "found", "measured")


def _verdicts(path: Path) -> tuple[pd.Series, list[str]]:
    from leela_probe.puzzles import criteria, partners

    table = tables.read(
        path, _VERDICTS, columns=_VERDICTS.names, what="a table of filter, corrupt or patch"
    )
    stages = (criteria.VERDICTS, partners.VERDICTS, effect_tables.VERDICTS)
    present = set(table["verdict"].dropna())
    stage = next((known for known in stages if present <= set(known)), None)
    if stage is None:
        raise ValueError(f"{path} has verdicts of no stage: {_some(sorted(map(str, present)))}")
    table = table[table["verdict"] != "further"]
    names = table["puzzle_id"].astype(object)
    names = names.where(names.notna(), [f"row {row}" for row in range(len(table))])
    verdicts = pd.Series(table["verdict"].astype(object).to_numpy(), index=names.to_numpy())
    verdicts = verdicts[~verdicts.index.duplicated()]
    questions = [name for name in stage if name not in (*_KEPT, "further")]
    return verdicts.where(~verdicts.isin(_KEPT), None), questions


def _answering(table: pd.DataFrame, column: str, values: Sequence[str]) -> pd.DataFrame:
    if column in _NUMBERS:
        try:
            chosen = table[column].isin([int(value) for value in values])
        except ValueError:
            raise ValueError(
                f"{column} is a number: expected such as {column}=3, not {', '.join(values)}"
            ) from None
    elif column == "category":
        wanted = set(values)
        split = {text: set(str(text).split(overlaps.SEPARATOR)) for text in table[column].unique()}
        chosen = table[column].map({text: bool(names & wanted) for text, names in split.items()})
        chosen = chosen.fillna(False).astype(bool)
    elif column == "mate":
        if not set(values) <= {"true", "false"}:
            raise ValueError(f"mate is true or false: expected mate=true, not {', '.join(values)}")
        chosen = table[column].map({True: "true", False: "false"}).isin(list(values))
    elif column in _NAMES:
        chosen = table[column].isin(list(values))
    else:
        names = [*_NUMBERS, *_NAMES, "mate"]
        raise ValueError(f"no column {column!r} to choose by: there are {_some(names, len(names))}")
    found = table[chosen]
    if found.empty:
        there = _some(_values(table[column]))
        raise ValueError(f"no row has {column} {' or '.join(values)}: the table has {there}")
    return found


def _puzzles_for_games(text: object) -> object:
    return re.sub(r"\bgame(s?)\b", r"puzzle\1", text) if isinstance(text, str) else text


def _details(options: Mapping[str, Any]) -> list[str]:
    """What a manifest says of a sweep beyond its name."""
    parts = []
    if isinstance(options.get("where"), str):
        parts.append(options["where"])
    if isinstance(options.get("head"), str):
        parts.append(f"of head {options['head']}")
    if options.get("method") not in (None, "zero"):
        parts.append(str(options["method"]))
    if options.get("action") is not None:
        parts.append(str(options["action"]))
    return parts


def _sweeps(table: pd.DataFrame) -> str:
    return ", ".join(name.replace("_", " ") for name in _values(table["sweep"]))


def _values(column: pd.Series) -> list[str]:
    return [str(value) for value in sorted(column.dropna().unique())]


def _pairs_of(table: pd.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    unique = table[list(columns)].dropna().drop_duplicates()
    return sorted(unique.itertuples(index=False, name=None))


def _some(names: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(names[:most])
    return f"{shown}, ... ({len(names)} in all)" if len(names) > most else shown or "none"
