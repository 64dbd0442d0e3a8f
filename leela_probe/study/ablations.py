"""Tables, sentences and figures of an ablation beside its controls, as E3 and E4 have them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from leela_probe.puzzles.target_patterns import first_and_third_differ
from leela_probe.statistics import stats
from leela_probe.study import paired, wording
from leela_probe.study.chapter import Shown, Tables
from leela_probe.study.results import Results, effects
from leela_probe.study.subsets import held_out

__all__ = ["THRESHOLDS", "Ablation", "bottom", "short_tables", "summary", "tables"]

THRESHOLDS = (0.0, 0.5, 1.0, 1.5, 2.0)
"""Log-odds reductions in nats; the paper speaks of 1.5."""

_TARGETS = {"all": "all puzzles", "differing": "1st target is not the 3rd"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablation:
    """An ablation of the study and what it is held against.

    Attributes:
        name: of its measurement, which is also that of its table of percentiles.
        of: the curve in question.
        against: the curves of its controls.
        by_control: curves are named by the control alone, without the piece before it.
    """

    name: str
    of: str
    against: tuple[str, ...]
    by_control: bool = False

    def effects(self, path: Path, *, on: str = "all", differing: bool = False) -> pd.DataFrame:
        """The effects of the ablation and its controls, with the curve that each belongs to.

        Args:
            path: the effects table.
            on: "all" puzzles, or the "held out" half of the games (see `subsets.half`).
            differing: only puzzles whose first and third target differ.
        """
        table = held_out(effects(path), on)
        labels = table["label"].astype("string")
        if self.by_control:
            labels = labels.str.replace(r"^.*: ", "", regex=True)
        table = table.assign(curve=labels.astype(object))
        if differing:
            patterns = table["target_pattern"].astype(str)
            table = table[patterns.map(first_and_third_differ).astype(bool)]
        return table

    def puzzles(self, results: Results) -> str:
        """On which puzzles it is judged: where its head was chosen on a half, on the other half."""
        chosen = str(results.options(self.name).get("chosen", ""))
        return "held out" if chosen.startswith("largest") else "all"


def tables(ablation: Ablation, results: Results) -> Iterator[tuple[str, pd.DataFrame]]:
    """Its percentiles, its part of "shares", and its part of "ablation_margins"."""
    path = results.measured(ablation.name)
    if path is None:
        return
    on = ablation.puzzles(results)
    yield ablation.name, stats.percentile_curves(ablation.effects(path, on=on), by=("curve",))
    for targets in _TARGETS:
        table = ablation.effects(path, on=on, differing=targets == "differing")
        share = _shares(table, **results.draws)
        yield "shares", share.assign(sweep=ablation.name, on=on, targets=targets)
    margins = _margins(ablation, path, on, **results.draws)
    yield "ablation_margins", margins.assign(sweep=ablation.name, on=on)


def _shares(table: pd.DataFrame, *, resamples: int, seed: int) -> pd.DataFrame:
    """The mean, and the share of puzzles above thresholds, for each curve."""
    if table.empty:
        return pd.DataFrame(columns=["curve", "threshold", "estimate"])
    means = stats.summarise(table, by=("curve",), resamples=resamples, seed=seed)
    parts = [means.assign(threshold=np.nan)]
    for threshold in THRESHOLDS:
        above = table.assign(effect=(table["effect"] > threshold).astype(float))
        share = stats.summarise(above, by=("curve",), statistic="share")
        parts.append(share.assign(threshold=threshold))
    return pd.concat(parts, ignore_index=True)


def _margins(ablation: Ablation, path: Path, on: str, *, resamples: int, seed: int) -> pd.DataFrame:
    """The ablation against each of its controls, puzzle by puzzle."""
    parts = []
    for targets in _TARGETS:
        table = ablation.effects(path, on=on, differing=targets == "differing")
        parts += [
            paired.difference(
                table, "curve", ablation.of, against, resamples=resamples, seed=seed
            ).assign(targets=targets)
            for against in ablation.against
        ]
    return paired.joined(parts, "targets")


def summary(ablation: Ablation, against: str, deed: str, tables: Tables) -> str:
    """The sentence on an ablation and one of its controls.

    Args:
        ablation: the ablation.
        against: the control.
        deed: what is done, such as "Zeroing the entry".
        tables: of the study.
    """
    table, margins = tables.get("shares"), tables.get("ablation_margins")
    if table is None or table.empty:
        return ""
    rows = table[(table["sweep"] == ablation.name) & (table["targets"] == "differing")]
    own = rows[rows["curve"] == ablation.of]
    mean, above = own[own["threshold"].isna()], own[own["threshold"] == 1.5]
    if mean.empty or above.empty:
        return ""
    other = rows[(rows["curve"] == against) & rows["threshold"].isna()]
    text = (
        f"{deed} costs {wording.number(mean.iloc[0])} nats on average, more than 1.5 in "
        f"{wording.percent(above.iloc[0])} of {int(mean.iloc[0]['n']):,} puzzles whose first and "
        "third target differ"
    )
    if not other.empty:
        text += f"; {against}, {wording.number(other.iloc[0])}"
    if margins is not None:
        text += wording.difference(
            margins[
                (margins["sweep"] == ablation.name)
                & (margins["targets"] == "differing")
                & (margins["against"] == against)
            ]
        )
    return text + "."


def short_tables(ablation: Ablation, tables: Tables) -> Iterator[Shown]:
    """Its mean with shares above thresholds, and its differences from the controls."""
    shares = _of(ablation, tables.get("shares"))
    if not shares.empty:
        yield Shown(
            head=["ablation", "n", "mean effect", "above 0.5 nats", "above 1.5 nats"],
            rows=[
                _share_row(str(curve), str(targets), rows)
                for (targets, curve), rows in shares.groupby(["targets", "curve"], sort=False)
            ],
        )
    margins = _of(ablation, tables.get("ablation_margins"))
    if not margins.empty:
        yield Shown(
            head=["same puzzles", "n", "mean difference", "games above and below 0", "Wilcoxon p"],
            rows=[
                [
                    f"{row['of']} over {row['against']}, {_TARGETS[row['targets']]}",
                    f"{int(row['n']):,}",
                    wording.number(row),
                    f"{int(row['greater']):,} to {int(row['less']):,}",
                    wording.p_value(float(row["wilcoxon_p"])),
                ]
                for row in margins.to_dict("records")
            ],
        )


def _of(ablation: Ablation, table: pd.DataFrame | None) -> pd.DataFrame:
    return pd.DataFrame() if table is None else table[table["sweep"] == ablation.name]


def _share_row(curve: str, targets: str, rows: pd.DataFrame) -> Sequence[str]:
    mean = rows[rows["threshold"].isna()].iloc[0]
    above = [wording.percent(rows[rows["threshold"] == least].iloc[0]) for least in (0.5, 1.5)]
    name = f"{curve}, {_TARGETS[targets]}"
    return [name, f"{int(mean['n']):,}", wording.number(mean), *above]


def bottom(table: pd.DataFrame) -> float | None:
    """Where the effect axis of a figure of percentiles ends below; None for its own lower end."""
    return -1.0 if float(table["estimate"].min()) < -1 else None
