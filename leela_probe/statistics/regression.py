"""Effects on covariates with a constant for every puzzle: the difference that is left.

Least squares within puzzles, with standard errors that allow for whatever goes on within a game
(CR1: Cameron and Miller, Journal of Human Resources 50, 2015, sections II and III).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

__all__ = ["Coefficient", "within"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficient:
    """One coefficient of a regression, in units of the outcome per unit of the regressor.

    Attributes:
        name: of the regressor.
        value: the estimate.
        low: lower end of the interval.
        high: upper end.
        p: two-sided p value of 0.
        clusters: games (or puzzles without one).
    """

    name: str
    value: float
    low: float
    high: float
    p: float
    clusters: int


def within(
    table: pd.DataFrame,
    outcome: str,
    regressors: Sequence[str],
    *,
    by: str,
    clusters: str,
    confidence: float = 0.95,
) -> list[Coefficient]:
    """Least squares of an outcome on regressors, each as it differs from its puzzle's mean.

    Classes (text) enter as indicators of all but the first. A regressor that does not vary within
    puzzles, or that others determine, has no coefficient of its own and is refused.

    Args:
        table: a row per observation, none of the values missing.
        outcome: the column to explain.
        regressors: the columns that explain it.
        by: the column of the puzzle: each has a constant of its own.
        clusters: the column within which errors may be related; puzzles lie within clusters.
        confidence: of the intervals, between 0 and 1; they are t intervals with as many degrees of
            freedom as there are clusters, less one.

    Raises:
        ValueError: if there are fewer than two clusters, or a regressor has no coefficient.

    Example:
        >>> table = pd.DataFrame({"puzzle": [1, 1, 2, 2, 3, 3], "x": [0, 1, 0, 1, 0, 1],
        ...                       "effect": [1.0, 3.0, 5.0, 7.0, 0.0, 2.5]})
        >>> (slope,) = within(table, "effect", ["x"], by="puzzle", clusters="puzzle")
        >>> round(slope.value, 3), slope.clusters
        (2.167, 3)
    """
    text = [name for name in regressors if not pd.api.types.is_numeric_dtype(table[name])]
    design = pd.get_dummies(
        table[list(regressors)], columns=text, prefix_sep="=", drop_first=True
    ).astype(np.float64)
    groups = table[by]
    centred = (design - design.groupby(groups).transform("mean")).to_numpy()
    y = table[outcome].to_numpy(np.float64)
    y = y - table.groupby(by)[outcome].transform("mean").to_numpy(np.float64)
    rank = np.linalg.matrix_rank(centred)
    if rank < centred.shape[1]:
        flat = [name for name, x in zip(design.columns, centred.T, strict=True) if not x.any()]
        which = f"{flat[0]} does not vary within a {by}" if flat else "they determine one another"
        raise ValueError(
            f"the regressors {', '.join(design.columns)} cannot be told apart: {which}"
        )
    codes, names = pd.factorize(table[clusters])
    count = len(names)
    if count < 2:
        raise ValueError(f"a regression needs two {clusters}s or more, got {count}")
    bread = np.linalg.inv(centred.T @ centred)
    beta = bread @ (centred.T @ y)
    scores = np.zeros((count, centred.shape[1]))
    np.add.at(scores, codes, centred * (y - centred @ beta)[:, None])
    # the puzzles' constants lie within clusters, so they cost no degrees of freedom (section III.B)
    n, k = len(y), centred.shape[1]
    correction = count / (count - 1) * (n - 1) / (n - k)
    error = np.sqrt(np.diag(bread @ (scores.T @ scores) @ bread) * correction)
    half = stats.t.ppf(0.5 + confidence / 2, count - 1) * error
    p = 2 * stats.t.sf(np.abs(beta / error), count - 1)
    return [
        Coefficient(
            name=str(name),
            value=float(beta[i]),
            low=float(beta[i] - half[i]),
            high=float(beta[i] + half[i]),
            p=float(p[i]),
            clusters=count,
        )
        for i, name in enumerate(design.columns)
    ]
