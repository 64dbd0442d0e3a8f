"""Resamples whole games: what the mean at many locations would have been on other puzzles.

Puzzles of one game share a board's history, so games are drawn, never single puzzles; a puzzle
without a game is a cluster of its own. A mean over puzzles needs of a cluster only the sum and the
number of its values, so a resample of every location at once is one product of a weights matrix and
the cluster sums.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64

__all__ = ["ClusterSums", "add_up", "bootstrap_t", "cluster_codes", "draw_weights", "sign_flip_t"]

_ROWS = 128  # resamples in one product
_BYTES = 2**28  # memory of one product's right side


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSums:
    """Sum and number of the values of every cluster at every location.

    Attributes:
        sums: sum of a cluster's values, 0 where it has none.
        counts: how many values that sum has; one column where all locations agree.
    """

    sums: Float64[np.ndarray, "cluster location"]
    counts: Float64[np.ndarray, "cluster location_or_1"]

    @property
    def totals(self) -> Float64[np.ndarray, " location"]:
        """Number of values at each location."""
        return np.broadcast_to(self.counts.sum(axis=0), self.sums.shape[1:]).copy()

    @property
    def clusters(self) -> Int64[np.ndarray, " location"]:
        """Number of clusters that have a value at each location."""
        present = np.count_nonzero(self.counts, axis=0)
        return np.broadcast_to(present, self.sums.shape[1:]).astype(np.int64)

    @property
    def effective_clusters(self) -> Float64[np.ndarray, " location"]:
        """Number of equal clusters that would weigh as evenly (Kish): (sum n)^2 / sum n^2."""
        squares = (self.counts**2).sum(axis=0)
        even = self.counts.sum(axis=0) ** 2 / np.where(squares > 0, squares, 1)
        return np.broadcast_to(even, self.sums.shape[1:]).copy()

    @property
    def means(self) -> Float64[np.ndarray, " location"]:
        """Mean over values (not over clusters); NaN where there is none."""
        totals = self.totals
        return np.where(totals > 0, self.sums.sum(axis=0) / np.where(totals > 0, totals, 1), np.nan)

    @property
    def range_of_means(
        self,
    ) -> tuple[Float64[np.ndarray, " location"], Float64[np.ndarray, " location"]]:
        """Smallest and largest mean of a cluster at each location; NaN where there is none."""
        with np.errstate(divide="ignore", invalid="ignore"):
            means = np.where(self.counts > 0, self.sums / self.counts, np.nan)
        none = np.isnan(means).all(axis=0)
        smallest, largest = (
            np.where(none, np.nan, found(np.where(np.isnan(means), bound, means), axis=0))
            for found, bound in ((np.min, np.inf), (np.max, -np.inf))
        )
        return smallest, largest

    @property
    def standard_errors(self) -> Float64[np.ndarray, " location"]:
        """Linearised standard error of the mean, a ratio of two sums over clusters.

        0 where all clusters have the same mean, NaN below two clusters (Cochran, Sampling
        Techniques, 1977, section 6.4).
        """
        errors = np.full(self.sums.shape[1], np.nan)
        clusters, totals, means = self.clusters, self.totals, self.means
        for part in _location_blocks(self.sums):
            residuals, counts = _residuals(self, means, part)
            squares = (residuals**2).sum(axis=0)
            scale = ((np.abs(self.sums[:, part]) + np.abs(means[part]) * counts) ** 2).sum(axis=0)
            squares[squares <= 1e-24 * scale] = 0.0
            many = clusters[part] > 1
            factor = clusters[part][many] / (clusters[part][many] - 1)
            errors[part][many] = np.sqrt(squares[many] * factor) / totals[part][many]
        return errors

    @property
    def spread_clusters(self) -> Float64[np.ndarray, " location"]:
        """Number of clusters that the variance hangs on: (sum r^2)^2 / sum r^4 of the residuals r.

        About a third of the clusters for normal ones, near 1 where one outlier makes the variance;
        NaN where there is none.
        """
        found = np.full(self.sums.shape[1], np.nan)
        means = self.means
        for part in _location_blocks(self.sums):
            squares = _residuals(self, means, part)[0] ** 2
            largest = squares.max(axis=0)
            some = largest > 0
            shares = squares[:, some] / largest[some]  # fourth powers of small effects underflow
            found[part][some] = shares.sum(axis=0) ** 2 / (shares**2).sum(axis=0)
        return found


def cluster_codes(puzzle_ids: pd.Series, game_ids: pd.Series) -> Int64[np.ndarray, " row"]:
    """Number of each row's cluster: its game, or its puzzle where the game is missing.

    Raises:
        ValueError: when one puzzle stands under two games.

    Example:
        >>> puzzles, games = pd.Series(["a", "b", "c", "d"]), pd.Series(["g", None, "g", None])
        >>> cluster_codes(puzzles, games).tolist()
        [0, 1, 0, 2]
    """
    puzzles, names = pd.factorize(puzzle_ids, use_na_sentinel=True)
    if (puzzles < 0).any():
        raise ValueError("a row has no puzzle_id: every row needs one")
    games, known = pd.factorize(game_ids, use_na_sentinel=True)
    first_row = np.unique(puzzles, return_index=True)[1]
    game_of_puzzle = games[first_row]
    wrong = np.flatnonzero(game_of_puzzle[puzzles] != games)
    if wrong.size:
        raise ValueError(
            f"puzzle {names[puzzles[wrong[0]]]!r} stands under two games in this table: "
            "give all its rows the same game_id"
        )
    keys = np.where(games >= 0, games, len(known) + puzzles)
    return pd.factorize(keys)[0].astype(np.int64)


def add_up(
    values: Float64[np.ndarray, " row"],
    clusters: Int64[np.ndarray, " row"],
    locations: Int64[np.ndarray, " row"],
    *,
    n_locations: int,
) -> ClusterSums:
    """Cluster sums of a long table of finite values."""
    n_clusters = int(clusters.max()) + 1 if clusters.size else 0
    cells = clusters * n_locations + locations
    shape = (n_clusters, n_locations)
    counts = np.bincount(cells, minlength=n_clusters * n_locations).reshape(shape)
    sums = np.bincount(cells, weights=values, minlength=n_clusters * n_locations).reshape(shape)
    if counts.size and (counts == counts[:, :1]).all():
        counts = counts[:, :1]
    return ClusterSums(sums=sums.astype(np.float64), counts=counts.astype(np.float64))


def draw_weights(
    n_clusters: int, *, resamples: int, seed: int
) -> Iterator[Float64[np.ndarray, "resample cluster"]]:
    """Blocks of resamples: how often each cluster was drawn; rows add up to `n_clusters`."""
    generator = np.random.default_rng(seed)
    rows = max(1, min(_ROWS, 2**24 // max(n_clusters, 1)))
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        drawn = generator.integers(0, n_clusters, size=(size, n_clusters))
        drawn += np.arange(size)[:, None] * n_clusters
        weights = np.bincount(drawn.ravel(), minlength=size * n_clusters)
        yield weights.reshape(size, n_clusters).astype(np.float64)


def bootstrap_t(
    sums: ClusterSums, *, resamples: int, seed: int
) -> Float64[np.ndarray, "resample location"]:
    """Studentised deviations (resampled mean - mean) / resampled standard error.

    All locations see the same draws, so the rows keep the dependence between locations. A
    resample without any spread gives an infinity of the deviation's sign. The factor C / (C - 1)
    is in the standard errors here as in `ClusterSums.standard_errors`.
    """
    n_clusters, n_locations = sums.sums.shape
    means, clusters = sums.means, sums.clusters
    replicates = np.empty((resamples, n_locations))
    row = 0
    for weights in draw_weights(n_clusters, resamples=resamples, seed=seed):
        rows = slice(row, row + len(weights))
        row += len(weights)
        for part in _location_blocks(sums.sums):
            residuals, counts = _residuals(sums, means, part)
            drawn = weights @ counts
            with np.errstate(divide="ignore", invalid="ignore"):
                shift = (weights @ residuals) / drawn
                squares = weights @ residuals**2
                spread = (
                    squares
                    - 2 * shift * (weights @ (residuals * counts))
                    + shift**2 * (weights @ counts**2)
                )
                spread[spread <= 1e-12 * squares] = 0.0
                factor = clusters[part] / (clusters[part] - 1)
                studentised = shift * drawn / np.sqrt(spread * factor)
            studentised[np.isnan(studentised)] = np.inf
            replicates[rows, part] = studentised
    return replicates


def sign_flip_t(
    sums: ClusterSums, *, flips: int, seed: int
) -> tuple[Float64[np.ndarray, " location"], Float64[np.ndarray, "flip location"]]:
    """Student's t of the cluster sums, as observed and with random signs for whole clusters.

    Exact for clusters that are distributed symmetrically around 0 under the null hypothesis. The
    same signs hold at all locations, so the rows keep the dependence between locations.
    """
    totals, clusters = sums.sums, sums.clusters
    squares = (totals**2).sum(axis=0)

    def student(
        added: Float64[np.ndarray, "flip location"],
    ) -> Float64[np.ndarray, "flip location"]:
        with np.errstate(divide="ignore", invalid="ignore"):
            rest = squares - added**2 / clusters
            rest[rest <= 1e-12 * squares] = 0.0
            ratio = added * np.sqrt((clusters - 1) / clusters) / np.sqrt(rest)
        ratio[np.isnan(ratio)] = 0.0
        return ratio

    generator = np.random.default_rng(seed)
    replicates = np.empty((flips, totals.shape[1]))
    for start in range(0, flips, _ROWS):
        size = min(_ROWS, flips - start)
        signs = 2.0 * generator.integers(0, 2, size=(size, len(totals))) - 1.0
        replicates[start : start + size] = student(signs @ totals)
    return student(totals.sum(axis=0)[None])[0], replicates


def _location_blocks(table: Float64[np.ndarray, "cluster location"]) -> Iterator[slice]:
    width = max(1, _BYTES // (24 * max(len(table), 1)))
    for start in range(0, table.shape[1], width):
        yield slice(start, min(start + width, table.shape[1]))


def _residuals(
    sums: ClusterSums, means: Float64[np.ndarray, " location"], part: slice
) -> tuple[Float64[np.ndarray, "cluster part"], Float64[np.ndarray, "cluster part_or_1"]]:
    counts = sums.counts if sums.counts.shape[1] == 1 else sums.counts[:, part]
    return sums.sums[:, part] - np.nan_to_num(means[part]) * counts, counts
