"""Controls matched within a puzzle on covariates, and how well the match is balanced.

Exact on classes, within calipers on numbers, and nearest in the standardised covariates among what
is left (Stuart, Statistical Science 25, 2010, sections 3 and 4). A target for which nothing is near
enough is not matched and is counted: a poor control is worse than none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

__all__ = ["BALANCED", "Matched", "Rule", "balance", "match"]

BALANCED = 0.1
"""The standardised mean difference that a fair control stays below (Austin, Statistics in Medicine
28, 2009)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When a control is near enough to its target, fixed before effects are looked at.

    Attributes:
        exact: columns in which both have the same value.
        calipers: columns of numbers, and by how much they may differ at most.
        count: so many of the nearest controls are averaged; all that tie with the last of them are
            taken too, so that nothing is left to chance.
    """

    exact: Sequence[str] = ()
    calipers: Mapping[str, float | int] = field(default_factory=dict)
    count: int = 1

    def __post_init__(self) -> None:
        negative = [name for name, most in self.calipers.items() if most < 0]
        if negative:
            raise ValueError(f"the caliper of {negative[0]} is negative: give 0 for equal values")
        if self.count < 1:
            raise ValueError(f"{self.count} controls per target cannot be averaged: give 1 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """Targets with their controls.

    Attributes:
        pairs: a row per target and control: the columns of `by`, the index labels `target` and
            `control`, their `distance`, and the `weight` of the control (the weights of the
            controls of a target add up to 1).
        unmatched: the index labels of targets without a control.
    """

    pairs: pd.DataFrame
    unmatched: Sequence[object]


def match(targets: pd.DataFrame, candidates: pd.DataFrame, rule: Rule, *, by: str) -> Matched:
    """For each target the controls nearest to it among the candidates of the same puzzle.

    The distance is Euclidean in the columns of the calipers, each divided by its standard deviation
    among the targets (columns without spread do not count).

    Args:
        targets: at most one row per puzzle, with the columns of the rule.
        candidates: any number of rows per puzzle, with the same columns.
        rule: what is near enough.
        by: the column of the puzzle.

    Raises:
        KeyError: if a column of the rule or `by` is missing.
        ValueError: if a puzzle has two targets.

    Example:
        >>> targets = pd.DataFrame({"puzzle": ["a", "b"], "king": [1, 5]})
        >>> candidates = pd.DataFrame({"puzzle": ["a", "a", "b"], "king": [4, 2, 1]})
        >>> found = match(targets, candidates, Rule(calipers={"king": 1}), by="puzzle")
        >>> found.pairs[["puzzle", "target", "control"]].values.tolist(), found.unmatched
        ([['a', 0, 1]], [1])
    """
    twice = targets[by][targets[by].duplicated()]
    if len(twice):
        raise ValueError(f"{by} {twice.iloc[0]} has two targets: give one per {by}")
    names = list(rule.calipers)
    scale = targets[names].std(ddof=0).replace(0.0, np.inf).to_numpy(np.float64)
    widest = np.array([rule.calipers[name] for name in names])
    groups = dict(iter(candidates.groupby(by, sort=False)))
    pairs: list[pd.DataFrame] = []
    unmatched: list[object] = []
    for label, target in zip(targets.index, targets.to_dict("records"), strict=True):
        rows = groups.get(target[by], candidates.iloc[:0])
        for name in rule.exact:
            rows = rows[rows[name] == target[name]]
        apart = np.abs(
            rows[names].to_numpy(np.float64) - np.array([target[name] for name in names], float)
        )
        near = (apart <= widest).all(axis=1)  # missing values are near to nothing
        if not near.any():
            unmatched.append(label)
            continue
        distance = np.sqrt(((apart[near] / scale) ** 2).sum(axis=1))
        last = np.sort(distance)[: rule.count][-1]
        taken = distance <= last + 1e-12
        pairs.append(
            pd.DataFrame(
                {
                    by: target[by],
                    "target": label,
                    "control": rows.index[near][taken],
                    "distance": distance[taken],
                    "weight": 1 / taken.sum(),
                }
            )
        )
    empty = pd.DataFrame(columns=[by, "target", "control", "distance", "weight"])
    return Matched(
        pairs=pd.concat(pairs, ignore_index=True) if pairs else empty, unmatched=unmatched
    )


def balance(
    targets: pd.DataFrame,
    candidates: pd.DataFrame,
    matched: Matched,
    covariates: Sequence[str],
    *,
    by: str,
) -> pd.DataFrame:
    """How targets and controls differ in each covariate, before and after matching.

    The standardised mean difference divides by the pooled standard deviation of targets and
    candidates before matching, so that both are on one scale; every puzzle weighs the same. A
    covariate of classes has a row per class.

    Args:
        targets: as they were matched.
        candidates: as they were matched.
        matched: what `match` made of them.
        covariates: the columns to compare.
        by: the column of the puzzle.

    Returns:
        The columns `covariate`, `mean_target`, `mean_control`, `smd_before`, `smd_after` and `n`
        (matched puzzles); the means are those after matching.
    """
    before, among = _numbers(targets, candidates, covariates)
    weights = 1 / candidates.groupby(by)[by].transform("size")
    kept = before.loc[matched.pairs["target"].drop_duplicates()]
    controls = among.loc[matched.pairs["control"]]
    control_weights = matched.pairs["weight"].to_numpy(np.float64)
    rows = []
    for name in before.columns:
        one, other = before[name].to_numpy(), among[name].to_numpy()
        mean = float(np.average(other, weights=weights)) if len(other) else np.nan
        variance = float(np.average((other - mean) ** 2, weights=weights)) if len(other) else np.nan
        spread = np.sqrt((one.var() + variance) / 2)
        target_mean = float(kept[name].mean()) if len(kept) else np.nan
        control_mean = (
            float(np.average(controls[name], weights=control_weights)) if len(kept) else np.nan
        )
        rows.append(
            {
                "covariate": name,
                "mean_target": target_mean,
                "mean_control": control_mean,
                "smd_before": _standardised(float(one.mean()) - mean, spread),
                "smd_after": _standardised(target_mean - control_mean, spread),
                "n": len(kept),
            }
        )
    return pd.DataFrame(rows)


def _standardised(difference: float, spread: float) -> float:
    if spread > 0 or np.isnan(difference):
        return difference / spread if spread > 0 else np.nan
    return 0.0 if difference == 0 else np.inf * np.sign(difference)


def _numbers(
    targets: pd.DataFrame, candidates: pd.DataFrame, covariates: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The covariates as numbers, with a column of 0 and 1 for each class of those that are text."""
    both = pd.concat([targets[list(covariates)], candidates[list(covariates)]])
    text = [name for name in covariates if not pd.api.types.is_numeric_dtype(both[name])]
    numbers = pd.get_dummies(both, columns=text, prefix_sep="=").astype(np.float64)
    return numbers.iloc[: len(targets)], numbers.iloc[len(targets) :]
