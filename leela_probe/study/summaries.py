"""Tables of the study's figures and numbers, out of the effects tables.

The paper's own aggregation of E1 is here (its skip rule, its maxima over squares) beside the sound
one of `stats`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
from jaxtyping import Float32

from leela_probe.experiments import categories, effect_tables
from leela_probe.puzzles import pairs as pair_files
from leela_probe.puzzles.pairs import Pair
from leela_probe.puzzles.target_patterns import first_and_third_differ, targets
from leela_probe.statistics import comparisons, overlaps, stats

__all__ = [
    "CATEGORIES",
    "SPLITS",
    "ablations",
    "by_target_pattern",
    "half",
    "heads",
    "heads_by_target_pattern",
    "paper_squares",
    "percentiles",
    "ply_curves",
    "ply_squares",
    "residual",
    "shares",
    "split",
    "strongest_head",
    "target_pattern_counts",
]  # fmt: skip

SPLITS = ("all", "different_targets", "same_targets")
"""All puzzles; those whose first three moves go to three squares; the others (the appendix)."""

CATEGORIES = ("corrupted", "first", "third_and_later", "other")
"""The paper's four kinds of squares in E1."""

_ORDER = (
    "corrupted", "ply1_target", "ply3_target", "ply2_target", "ply5_target", "ply4_target",
    "ply1_source", "ply3_source", "corrupted_favourite",
)  # fmt: skip

_COLUMNS = (
    "puzzle_id", "game_id", "target_pattern", "label", "layer", "head", "clean", "corrupted",
    "changed", "effect", "measure", "direction", "sweep", "verdict",
)  # fmt: skip


def split(patterns: pd.Series, name: str) -> pd.Series:
    """Which puzzles belong to a split, by the pattern of their target squares.

    Example:
        >>> split(pd.Series(["112", "123"]), "different_targets").tolist()
        [False, True]
    """
    different = patterns.astype(str).map(lambda label: targets(label)[:3] == (1, 2, 3)).astype(bool)
    if name == "all":
        return different | True
    if name not in SPLITS:
        raise ValueError(f"no split {name!r}: choose {', '.join(SPLITS)}")
    return different if name == "different_targets" else ~different


def half(puzzle_ids: pd.Series, game_ids: pd.Series) -> pd.Series:
    """Whether each puzzle is in the half on which choices are made; whole games stay together.

    Example:
        >>> half(pd.Series(["a", "b"]), pd.Series(["game", "game"])).nunique()
        1
    """
    names = game_ids.astype(object).where(game_ids.notna(), puzzle_ids.astype(object))
    return names.map(lambda name: zlib.crc32(str(name).encode()) % 2 == 0).astype(bool)


def paper_squares(pair: Pair) -> dict[str, tuple[int, ...]] | None:
    """The squares of the paper's kinds in E1, or None where its rule skips the puzzle.

    First is the target of the first move; later are the targets of the third and of every move
    after it, the opponent's too; corrupted are the squares on which the boards differ. A puzzle is
    skipped if two of these share a square, or it has no third move.
    """
    first, third = pair.target(1), pair.target(3)
    if first is None or third is None:
        return None
    targets = [pair.target(ply) for ply in range(3, len(pair.line) + 1)]
    later = {int(square) for square in targets if square is not None}
    changed = {int(square) for square in pair.changed_squares()}
    if not changed or int(first) in later | changed or later & changed:
        return None
    rest = set(range(64)) - later - changed - {int(first)}
    return {
        "corrupted": tuple(sorted(changed)),
        "first": (int(first),),
        "third_and_later": tuple(sorted(later)),
        "other": tuple(sorted(rest)),
    }


def residual(
    effects: Path, pairs: Path, *, resamples: int, seed: int
) -> tuple[pd.DataFrame, dict[str, int]]:
    """The curves of the paper's figure 3, with intervals, for each split.

    Returns:
        Columns split, category, then as in `stats.summarise` by layer, and `two_standard_errors`
        (the paper's band); and how many puzzles were measured and how many the rule skipped.
    """
    known = {pair.puzzle_id: pair for pair in pair_files.read(pairs)}
    layers, grids = _grids(effects)
    used, values = [], []
    for puzzle_id, grid in grids.items():
        squares = paper_squares(known[puzzle_id])
        if squares is not None:
            used.append(known[puzzle_id])
            values.append([grid[:, list(squares[name])].max(axis=1) for name in CATEGORIES])
    counts = {"measured": len(grids), "skipped": len(grids) - len(used), "used": len(used)}
    if not used:
        return pd.DataFrame(columns=["split", "category", "layer", "estimate"]), counts
    size = len(CATEGORIES) * len(layers)
    each = pd.DataFrame(
        {
            "puzzle_id": np.repeat([pair.puzzle_id for pair in used], size),
            "game_id": np.repeat(np.array([pair.game_id for pair in used], dtype=object), size),
            "target_pattern": np.repeat([pair.target_pattern for pair in used], size),
            "category": np.tile(np.repeat(CATEGORIES, len(layers)), len(used)),
            "layer": np.tile(layers, len(CATEGORIES) * len(used)),
            "effect": np.array(values).ravel(),
        }
    )
    tables = []
    for name in SPLITS:
        some = each[split(each["target_pattern"], name)]
        if some.empty:
            continue
        table = stats.summarise(
            some, by=("category", "layer"), resamples=resamples, seed=seed
        ).assign(squares="max")
        spread = some.groupby(["category", "layer"])["effect"].agg(
            lambda values: 2 * values.std(ddof=0) / np.sqrt(len(values))
        )
        keys = pd.MultiIndex.from_frame(table[["category", "layer"]])
        table["two_standard_errors"] = spread.reindex(keys).to_numpy()
        table.insert(0, "split", name)
        tables.append(table)
    return pd.concat(tables, ignore_index=True).assign(**counts), counts


def ply_curves(effects: Path, *, resamples: int, seed: int) -> pd.DataFrame:
    """Mean effect by ply and kind of square, beside matched control squares (W2, W4).

    A square that is several things counts once: as corrupted, else as the first move's target, else
    as the third's, else as the second's. So a third target that is also the first's is no third
    target here. The matched control is that of the puzzles that have a third target by this rule.
    """
    table = ply_squares(effects)
    if table.empty:
        return pd.DataFrame(columns=["layer", "category", "estimate"])
    return stats.layer_curves(table, resamples=resamples, seed=seed)


def ply_squares(effects: Path) -> pd.DataFrame:
    """The effects at the squares of `ply_curves`, each under the one kind that it counts as."""
    columns = ["puzzle_id", "game_id", "target_pattern", "verdict", "layer", "category", "effect"]
    table = _read(effects, [*columns, "measure", "direction", "sweep"])
    table = table[table["category"].astype(object) != categories.OTHER]
    table = overlaps.prioritise(table.assign(category=table["category"].astype(object)), _ORDER)
    third = table[table["category"] == "ply3_target"]["puzzle_id"].unique()
    control = (table["category"] == "matched_control") & ~table["puzzle_id"].isin(third)
    return table[table["category"].isin([*_ORDER, "matched_control"]) & ~control]


def heads(effects: Path, *, resamples: int, seed: int) -> pd.DataFrame:
    """Mean effect of every head for each split, tested against the number of heads in "all"."""
    table = _read(effects)
    places = ["layer", "head"]
    parts = []
    for name in SPLITS:
        some = table[split(table["target_pattern"], name)]
        if some.empty:
            continue
        found = stats.summarise(some, by=places, resamples=resamples, seed=seed)
        found["p_max_t"] = np.nan
        if name == "all":
            tests = comparisons.family(some, by=places, resamples=resamples, seed=seed)
            found["p_max_t"] = tests["p_max_t"]
        found.insert(0, "split", name)
        parts.append(found)
    return pd.concat(parts, ignore_index=True)


def heads_by_target_pattern(
    effects: Path, ratings: pd.Series, *, minimum: int, resamples: int, seed: int
) -> pd.DataFrame:
    """Mean effect of every head for each pattern with enough puzzles.

    Args:
        effects: the table.
        ratings: by `puzzle_id`, missing where unknown.
        minimum: how many puzzles are enough.
        resamples: bootstrap samples of games.
        seed: of the samples.

    Returns:
        Columns rating ("all", or ">=1950" as in Cruz 2025), pattern, then as in `stats.summarise`.
    """
    table = _read(effects)
    patterns = table["target_pattern"].astype(str)
    high = table["puzzle_id"].astype(object).map(ratings) >= 1950
    parts = []
    for rating, inside in (("all", high | True), (">=1950", high)):
        puzzles = (
            table[inside].drop_duplicates("puzzle_id")["target_pattern"].astype(str).value_counts()
        )
        for name in sorted(name for name in puzzles.index if puzzles[name] >= minimum):
            some = table[inside & (patterns == name)]
            found = stats.summarise(some, by=["layer", "head"], resamples=resamples, seed=seed)
            found.insert(0, "rating", rating)
            found.insert(1, "target_pattern", name)
            parts.append(found)
    if not parts:
        return pd.DataFrame(columns=["rating", "target_pattern", "layer", "head", "n", "estimate"])
    return pd.concat(parts, ignore_index=True)


def strongest_head(effects: Path) -> tuple[int, int] | None:
    """The (layer, head) with the largest mean effect on one half of the games (see `half`).

    None where a half has no puzzles.
    """
    table = _read(effects)
    chosen = half(table["puzzle_id"], table["game_id"])
    if chosen.all() or not chosen.any():
        return None
    means = table[chosen].groupby(["layer", "head"], observed=True)["effect"].mean()
    layer, head = means.sort_index().idxmax()
    return int(layer), int(head)


def percentiles(effects: Path, *, on: str = "all", curves: str = "label") -> pd.DataFrame:
    """The sorted effects of an ablation and of its controls, each curve by itself (E3, E4).

    Args:
        effects: the table.
        on: "all" puzzles, or the "held out" half of the games (see `half`).
        curves: "label", or "control": the label without its piece.
    """
    table = ablations(effects, on=on, curves=curves)
    return stats.percentile_curves(table, by=("curve",))


def ablations(
    effects: Path, *, on: str = "all", curves: str = "label", differing: bool = False
) -> pd.DataFrame:
    """The effects of an ablation and its controls, with the curve that each belongs to.

    Args:
        effects: the table.
        on: see `percentiles`.
        curves: see `percentiles`.
        differing: only puzzles whose first and third target differ (W4).
    """
    table = _held_out(_read(effects), on)
    labels = table["label"].astype("string")
    if curves == "control":
        labels = labels.str.replace(r"^.*: ", "", regex=True)
    table = table.assign(curve=labels.astype(object))
    if differing:
        table = table[table["target_pattern"].astype(str).map(first_and_third_differ).astype(bool)]
    return table


def shares(
    effects: Path,
    *,
    thresholds: Iterable[float],
    on: str = "all",
    curves: str = "label",
    differing: bool = False,
    resamples: int,
    seed: int,
) -> pd.DataFrame:
    """The mean, and the share of puzzles above thresholds, for each curve of an ablation.

    Args:
        effects: the table.
        thresholds: effects.
        on: see `percentiles`.
        curves: see `percentiles`.
        differing: only puzzles whose first and third target differ (W4).
        resamples: bootstrap samples of games.
        seed: of the samples.
    """
    table = ablations(effects, on=on, curves=curves, differing=differing)
    if table.empty:
        return pd.DataFrame(columns=["curve", "threshold", "estimate"])
    parts = [
        stats.summarise(table, by=("curve",), resamples=resamples, seed=seed).assign(
            threshold=np.nan
        )
    ]
    for threshold in thresholds:
        above = table.assign(effect=(table["effect"] > threshold).astype(float))
        found = stats.summarise(above, by=("curve",), statistic="share")
        parts.append(found.assign(threshold=threshold))
    return pd.concat(parts, ignore_index=True)


def by_target_pattern(
    effects: Path, curve: str, *, on: str = "all", minimum: int, resamples: int, seed: int
) -> pd.DataFrame:
    """Mean effect of one ablation for each pattern of target squares; see `stats`."""
    table = _held_out(_read(effects), on)
    table = table[table["label"].astype(str) == curve]
    return stats.target_pattern_effects(table, minimum=minimum, resamples=resamples, seed=seed)


def target_pattern_counts(patterns: pd.Series) -> pd.DataFrame:
    """How many puzzles each pattern has, and its share with Wilson's 95 % interval."""
    from scipy.stats import binomtest

    counts = patterns.astype(str).value_counts()
    total = int(counts.sum())
    share = counts.to_numpy() / total
    ends = [binomtest(int(count), total).proportion_ci(method="wilson") for count in counts]
    return pd.DataFrame(
        {
            "target_pattern": counts.index,
            "n": counts.to_numpy(),
            "total": total,
            "share": share,
            "low": [end.low for end in ends],
            "high": [end.high for end in ends],
        }
    ).sort_values(["n", "target_pattern"], ascending=[False, True], ignore_index=True)


def _grids(
    effects: Path,
) -> tuple[list[int], dict[str, Float32[np.ndarray, "layer square"]]]:
    """The effects of a sweep over squares, by puzzle."""
    table = _read(effects, ["puzzle_id", "layer", "square", "effect", "verdict"])
    layers = sorted(int(layer) for layer in table["layer"].unique())
    place = {layer: index for index, layer in enumerate(layers)}
    codes, names = pd.factorize(table["puzzle_id"])
    grids = np.full((len(names), len(layers), 64), np.nan, dtype=np.float32)
    rows = table["layer"].astype(int).map(place).to_numpy()
    grids[codes, rows, table["square"].to_numpy(dtype=np.int64)] = table["effect"].to_numpy()
    return layers, {str(name): grids[index] for index, name in enumerate(names)}


def _read(effects: Path, columns: Sequence[str] = _COLUMNS) -> pd.DataFrame:
    table = pyarrow.parquet.read_table(effects, columns=list(columns))
    frame = table.to_pandas(types_mapper={pyarrow.int16(): pd.Int16Dtype()}.get)
    found = frame[frame["verdict"] == effect_tables.MEASURED].reset_index(drop=True)
    if found.empty:
        raise ValueError(f"{effects} holds no measured puzzle")
    return found


def _held_out(table: pd.DataFrame, on: str) -> pd.DataFrame:
    if on == "all":
        return table
    kept = table[~half(table["puzzle_id"], table["game_id"])].reset_index(drop=True)
    if kept.empty:
        raise ValueError("no puzzle is in the held-out half: take more puzzles")
    return kept
