"""Tables of predictions -> how often they are right, with intervals by game.

One long table: accuracy of each layer, target, subset and control, and the margins over the
controls, from the same puzzles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from leela_probe.probing import folds, targets
from leela_probe.probing.prediction_tables import Control, Kind
from leela_probe.puzzles.pairs import Pair
from leela_probe.statistics import intervals
from leela_probe.statistics.resampling import add_up

__all__ = ["COLUMNS", "of_predictions"]

COLUMNS = (
    "network", "control", "instance", "against", "site", "layer", "kind", "ply", "top", "subset",
    "preset", "split", "n", "clusters", "accuracy", "low", "high", "interval", "reason", "chance",
    "trivial", "seeds", "sd_seeds",
)  # fmt: skip
"""network: whose activations. control, instance: see `prediction_tables.SCHEMA`; instance 0 of
random weights is all of them together. against: the control that a margin is over, else empty, and
`accuracy` is an accuracy. top: the answer is among so many best squares. chance: of guessing at
random. trivial: the share of answers that are the square that is told. sd_seeds: standard deviation
of accuracies between seeds."""

_WHO = ["network", "control", "instance", "site", "layer"]
_LOCATIONS_AT_ONCE = 64


def of_predictions(
    table: pd.DataFrame,
    pairs: Sequence[Pair],
    *,
    preset: str,
    split: str,
    subsets: Sequence[str] = ("all", "differing"),
    tops: Sequence[int] = (1, 3, 5),
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Accuracies and margins; see `COLUMNS`.

    A puzzle's value is the mean over seeds (and over random networks, where they are taken
    together). Accuracies have Wilson's interval by game, margins one that resamples games; what
    training on other puzzles would have changed is in neither.

    Args:
        table: of predictions; see `prediction_tables.SCHEMA`.
        pairs: the puzzles that it is about.
        preset: of the recipe, for the table.
        split: for the table, "ordered" or "5 folds by game".
        subsets: of `targets.SUBSETS`; those without puzzles are left out.
        tops: how many best squares count.
        confidence: of the intervals.
        resamples: bootstrap samples of games.
        seed: of the samples.

    Raises:
        ValueError: if the table has no rows, or puzzles that are not among the pairs.

    Example:
        >>> import leela_probe as lp
        >>> network = lp.load("bundled:planted")
        >>> import tempfile
        >>> from pathlib import Path
        >>> recipe = lp.Recipe(epochs=1, folds=3)
        >>> settings = lp.ProbeSettings(recipe=recipe, random_networks=0, control_task=False)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     done, plan = lp.probe(network, "bundled:planted-puzzles", folder, settings)
        ...     predictions = pd.read_parquet(done.path)
        >>> table = lp.probe_accuracy(
        ...     predictions, plan.pairs, preset="short", split=plan.split_name, resamples=99
        ... )
        >>> sorted(table["layer"].unique().tolist())  # -1 is the embedding
        [-1, 0, 1, 2, 3]
    """
    if len(table) == 0:
        raise ValueError("no predictions to take accuracies of: the table has no rows")
    read = _read(table, {pair.puzzle_id: number for number, pair in enumerate(pairs)})
    codes = folds.games(pairs)
    parts = []
    for name in subsets:
        inside = targets.subset(pairs, name)
        for control in Control:
            for of, kind in ((_values, "share"), (_margins, "mean")):
                rows, values = of(read, control, tops)
                if not rows or not inside.any():
                    continue
                found = _estimates(
                    np.stack(values)[:, inside],
                    codes[inside],
                    kind=kind,
                    confidence=confidence,
                    resamples=resamples,
                    seed=seed,
                )
                about = pd.DataFrame([row.facts(inside) for row in rows])
                parts.append(pd.concat([about, found], axis=1).assign(subset=name))
    result = pd.concat(parts, ignore_index=True)
    result = result[result["n"] > 0].reset_index(drop=True)
    guess = np.where(result["kind"] == Kind.JOINT, 1 / 4096, result["top"] / 64)
    result["chance"] = np.where(result["against"] != "", 0.0, guess)
    return result.assign(preset=preset, split=split)[list(COLUMNS)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Ranks:
    """One reader's ranks of the answers to one target at one site.

    Attributes:
        who: network, control, instance, site and layer.
        what: kind and ply.
        ranks: of the answer, 0 where it was not asked.
        trivial: where the answer is the square that is told.
    """

    who: tuple[str, str, int, str, int]
    what: tuple[str, int]
    ranks: Int[np.ndarray, "seed board"]
    trivial: Bool[np.ndarray, " board"]

    def hits(self, top: int) -> Float[np.ndarray, " board"]:
        """The share of seeds whose best `top` squares have the answer; NaN where none was asked."""
        asked = self.ranks > 0
        count = asked.sum(axis=0)
        right = (asked & (self.ranks <= top)).sum(axis=0)
        return np.where(count > 0, right / np.maximum(count, 1), np.nan)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Row:
    """What one row of the table is about."""

    of: _Ranks
    top: int
    against: str = ""

    def facts(self, inside: Bool[np.ndarray, " board"]) -> dict[str, object]:
        asked = self.of.ranks[:, inside] > 0
        some = asked.any(axis=0)
        trivial = float(self.of.trivial[inside][some].mean()) if some.any() else np.nan
        facts = dict(zip(_WHO, self.of.who, strict=True)) | {
            "kind": self.of.what[0],
            "ply": self.of.what[1],
            "top": self.top,
            "against": self.against,
            "trivial": trivial,
            "seeds": 0 if self.against else len(asked),
            "sd_seeds": np.nan,
        }
        if not self.against and len(asked) > 1 and asked.any(axis=1).all():
            right = asked & (self.of.ranks[:, inside] <= self.top)
            facts["sd_seeds"] = float((right.sum(axis=1) / asked.sum(axis=1)).std(ddof=1))
        return facts


_Key = tuple[tuple[str, str, int, str, int], tuple[str, int]]


def _read(table: pd.DataFrame, place: Mapping[str, int]) -> dict[_Key, _Ranks]:
    """Ranks of every reader, site and target, both of target and source included."""
    boards = table["puzzle_id"].map(place)
    if boards.isna().any():
        lost = table["puzzle_id"][boards.isna()].iloc[0]
        raise ValueError(f"puzzle {lost!r} is not among the pairs: give those that were predicted")
    number = boards.to_numpy(dtype=np.int64)
    seed = pd.factorize(table["seed"])[0]
    found: dict[_Key, _Ranks] = {}
    rank, equal = table["rank"].to_numpy(), (table["answer"] == table["given"]).to_numpy()
    for rows in _groups(table, [*_WHO, "kind", "ply"]):
        first = table.iloc[rows[0]]
        network, site = ("" if pd.isna(first[name]) else first[name] for name in _WHO[:4:3])
        layer = -1 if pd.isna(first["layer"]) else int(first["layer"])
        control, instance, kind, ply = first[["control", "instance", "kind", "ply"]]
        seeds, own = np.unique(seed[rows], return_inverse=True)
        ranks = np.zeros((len(seeds), len(place)), dtype=np.int16)
        ranks[own, number[rows]] = rank[rows]
        trivial = np.zeros(len(place), dtype=bool)
        trivial[number[rows]] = equal[rows]
        who = (str(network), str(control), int(instance), str(site), layer)
        what = (str(kind), int(ply))
        found[who, what] = _Ranks(who=who, what=what, ranks=ranks, trivial=trivial)
    for (who, (kind, ply)), source in list(found.items()):
        target = found.get((who, (Kind.TARGET, ply)))
        if kind == Kind.SOURCE_GIVEN_PREDICTED and target is not None:
            both = np.maximum(target.ranks, source.ranks)  # right if both are 1
            ranks = np.where((target.ranks > 0) & (source.ranks > 0), both, 0)
            what = (Kind.JOINT, ply)
            found[who, what] = _Ranks(who=who, what=what, ranks=ranks, trivial=source.trivial)
    return found | _pooled(found)


def _groups(table: pd.DataFrame, names: Sequence[str]) -> list[np.ndarray]:
    """The places of the rows that agree in these columns, group by group."""
    code = np.zeros(len(table), dtype=np.int64)
    for name in names:
        own, values = pd.factorize(table[name])  # -1 where missing
        code = code * (len(values) + 1) + own + 1
    order = np.argsort(code, kind="stable")
    return np.split(order, 1 + np.flatnonzero(np.diff(code[order])))


def _pooled(found: Mapping[_Key, _Ranks]) -> dict[_Key, _Ranks]:
    """All random networks together: another network counts as another seed."""
    together: dict[_Key, list[_Ranks]] = {}
    for (who, what), each in found.items():
        if who[1] == Control.RANDOM_WEIGHTS:
            together.setdefault(((who[0], who[1], 0, *who[3:]), what), []).append(each)
    return {
        key: _Ranks(
            who=key[0],
            what=key[1],
            ranks=np.concatenate([each.ranks for each in parts]),
            trivial=parts[0].trivial,
        )
        for key, parts in together.items()
    }


_Rows = tuple[list[_Row], list[np.ndarray]]


def _values(read: Mapping[_Key, _Ranks], control: str, tops: Sequence[int]) -> _Rows:
    """What each row of a reader is about, and its value for every board."""
    rows, values = [], []
    for each in read.values():
        if each.who[1] == control:
            for top in [1] if each.what[0] == Kind.JOINT else tops:
                rows.append(_Row(of=each, top=top))
                values.append(each.hits(top))
    return rows, values


def _margins(read: Mapping[_Key, _Ranks], control: str, tops: Sequence[int]) -> _Rows:
    """The network's hits minus a control's on the same boards.

    A control with layers is taken at the same layer, another one as it is.
    """
    rows, values = [], []
    others = {
        (who[3], what): each
        for (who, what), each in read.items()
        if who[1] == control and who[2] == 0
    }
    without_layers = {site for site, _ in others if site in ("", "input")}
    for (who, what), own in read.items():
        if who[1] != Control.NONE or control == Control.NONE:
            continue
        other = others.get((next(iter(without_layers), who[3]), what))
        if other is not None:
            for top in [1] if what[0] == Kind.JOINT else tops:
                rows.append(_Row(of=own, top=top, against=control))
                values.append(own.hits(top) - other.hits(top))
    return rows, values


def _estimates(
    values: Float[np.ndarray, "location board"],
    codes: Int[np.ndarray, " board"],
    *,
    kind: str,
    confidence: float,
    resamples: int,
    seed: int,
) -> pd.DataFrame:
    """Means over boards with intervals, a row a location; boards that are NaN are left out."""
    clusters = np.unique(codes, return_inverse=True)[1].astype(np.int64)
    parts = []
    for start in range(0, len(values), _LOCATIONS_AT_ONCE):
        some = values[start : start + _LOCATIONS_AT_ONCE]
        location, board = np.nonzero(~np.isnan(some))
        sums = add_up(
            some[location, board], clusters[board], location.astype(np.int64), n_locations=len(some)
        )
        found = (
            intervals.share_intervals(sums, confidence=confidence)
            if kind == "share"
            else intervals.mean_intervals(
                sums, confidence=confidence, resamples=resamples, seed=seed
            )
        )
        parts.append(pd.DataFrame(found.columns("accuracy")))
    return pd.concat(parts, ignore_index=True)
