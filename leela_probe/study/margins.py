"""Paired differences: an intervention against its control, in the same puzzles (W13).

Two intervals may overlap although the two effects differ clearly puzzle by puzzle, so what is said
of a difference is said from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from leela_probe.statistics import comparisons
from leela_probe.study import summaries

__all__ = ["COLUMNS", "of_ablation", "of_plies"]

COLUMNS = (
    "of", "against", "n", "clusters", "estimate", "low", "high", "interval", "reason", "greater",
    "less", "equal", "sign_p", "wilcoxon_p",
)  # fmt: skip
"""of, against: the effect and what is taken from it. n: puzzles that have both. estimate: mean of
their differences in nats. greater, less, equal: games whose difference is above, below, at 0."""


def of_plies(effects: Path, *, resamples: int, seed: int) -> pd.DataFrame:
    """The third target against its matched control square, layer by layer (W2).

    Returns:
        Columns layer, then `COLUMNS`; the squares are those of `summaries.ply_curves`.
    """
    table = summaries.ply_squares(effects)
    parts = [
        _difference(some, "category", "ply3_target", "matched_control", resamples, seed).assign(
            layer=layer
        )
        for layer, some in table.groupby("layer")
    ]
    return _joined(parts, "layer")


def of_ablation(
    effects: Path,
    curve: str,
    against: Sequence[str],
    *,
    on: str = "all",
    curves: str = "label",
    resamples: int,
    seed: int,
) -> pd.DataFrame:
    """One ablation against each of its controls.

    Args:
        effects: the table.
        curve: the ablation.
        against: its controls; those that the table lacks are left out.
        on: see `summaries.percentiles`.
        curves: see `summaries.percentiles`.
        resamples: bootstrap samples of games.
        seed: of the samples.

    Returns:
        Columns targets ("all" puzzles, or "differing" first and third targets), then `COLUMNS`.
    """
    parts = []
    for targets in ("all", "differing"):
        table = summaries.ablations(effects, on=on, curves=curves, differing=targets == "differing")
        parts += [
            _difference(table, "curve", curve, other, resamples, seed).assign(targets=targets)
            for other in against
        ]
    return _joined(parts, "targets")


def _difference(
    table: pd.DataFrame, column: str, of: str, against: str, resamples: int, seed: int
) -> pd.DataFrame:
    """A row, or none if no puzzle has both."""
    first, second = (_each_puzzle(table[table[column] == name]) for name in (of, against))
    if not set(first["puzzle_id"]) & set(second["puzzle_id"]):
        return pd.DataFrame(columns=COLUMNS)
    found = comparisons.paired(first, second, names=(of, against), resamples=resamples, seed=seed)
    mean = found.mean
    row = (
        of, against, mean.n, mean.clusters, mean.value, mean.low, mean.high, mean.interval,
        mean.reason, found.greater, found.less, found.equal, found.sign_p, found.wilcoxon_p,
    )  # fmt: skip
    return pd.DataFrame([row], columns=COLUMNS)


def _each_puzzle(table: pd.DataFrame) -> pd.DataFrame:
    """The mean effect of each puzzle over the squares of the kind."""
    known = table[table["effect"].notna()]
    return known.groupby("puzzle_id", as_index=False, observed=True, sort=False).agg(
        game_id=("game_id", "first"), effect=("effect", "mean")
    )


def _joined(parts: Sequence[pd.DataFrame], first: str) -> pd.DataFrame:
    some = [part for part in parts if not part.empty]
    names = [first, *COLUMNS]
    if not some:
        return pd.DataFrame({name: np.array([], dtype=object) for name in names})
    return pd.concat(some, ignore_index=True)[names]
