"""E2: which attention heads carry the difference between the clean and the corrupted position."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from leela_probe.experiments import sweeps
from leela_probe.figures import figures
from leela_probe.files import tables as table_files
from leela_probe.puzzles import corruptions
from leela_probe.statistics import comparisons, stats
from leela_probe.study import estimates, measurements, published, wording
from leela_probe.study.chapter import Chapter, Drawn, Rates, Shown, Tables, Undrawn
from leela_probe.study.results import Results, effects
from leela_probe.study.study import Networks, Study
from leela_probe.study.subsets import SPLIT_NAMES, SPLITS, half, split

__all__ = ["CHAPTER", "by_target_pattern", "curves", "strongest_head"]

_PLACES = ["layer", "head"]
_HIGH = 1950  # rating, as in Cruz 2025


# Measuring


def _seconds_each(study: Study, networks: Networks, rates: Rates) -> float:
    network = networks.strong
    if not network.heads:
        return 0.0
    return estimates.sweep_seconds(network, sweeps.heads(network))


# Tables


def _tabulate(results: Results) -> Iterator[tuple[str, pd.DataFrame]]:
    path = results.measured("heads")
    if path is not None:
        yield "heads", curves(path, **results.draws)
        least = results.study.minimum
        means = by_target_pattern(path, _ratings(results), minimum=least, **results.draws)
        yield "heads_by_target_pattern", means


def _ratings(results: Results) -> pd.Series:
    """The ratings of puzzles by their ids."""
    path = results.path("corrupt")
    assert path is not None
    columns = ["puzzle_id", "verdict", "rating"]
    table = table_files.read(path, corruptions.SCHEMA, columns=columns)
    return table[table["verdict"] == "found"].set_index("puzzle_id")["rating"]


def curves(path: Path, *, resamples: int, seed: int) -> pd.DataFrame:
    """Mean effect of every head for each split, tested against the number of heads in "all"."""
    table = effects(path)
    parts = []
    for name in SPLITS:
        rows = table[split(table["target_pattern"], name)]
        if rows.empty:
            continue
        means = stats.summarise(rows, by=_PLACES, resamples=resamples, seed=seed)
        means["p_max_t"] = np.nan
        if name == "all":
            tests = comparisons.family(rows, by=_PLACES, resamples=resamples, seed=seed)
            means["p_max_t"] = tests["p_max_t"]
        means.insert(0, "split", name)
        parts.append(means)
    return pd.concat(parts, ignore_index=True)


def by_target_pattern(
    path: Path, ratings: pd.Series, *, minimum: int, resamples: int, seed: int
) -> pd.DataFrame:
    """Mean effect of every head for each target pattern with enough puzzles.

    Args:
        path: the effects table.
        ratings: by `puzzle_id`, missing where unknown.
        minimum: how many puzzles are enough.
        resamples: bootstrap samples of games.
        seed: of the samples.

    Returns:
        Columns rating ("all", or ">=1950" as in Cruz 2025), target_pattern, then as in
        `stats.summarise`.
    """
    table = effects(path)
    patterns = table["target_pattern"].astype(str)
    high = table["puzzle_id"].astype(object).map(ratings) >= _HIGH
    parts = []
    for rating, inside in (("all", high | True), (f">={_HIGH}", high)):
        puzzles = table[inside].drop_duplicates("puzzle_id")["target_pattern"].astype(str)
        counts = puzzles.value_counts()
        for name in sorted(name for name in counts.index if counts[name] >= minimum):
            rows = table[inside & (patterns == name)]
            means = stats.summarise(rows, by=_PLACES, resamples=resamples, seed=seed)
            means.insert(0, "rating", rating)
            means.insert(1, "target_pattern", name)
            parts.append(means)
    if not parts:
        return pd.DataFrame(columns=["rating", "target_pattern", "layer", "head", "n", "estimate"])
    return pd.concat(parts, ignore_index=True)


def strongest_head(path: Path) -> tuple[int, int] | None:
    """The (layer, head) with the largest mean effect on one half of the games (see `half`).

    None where a half has no puzzles.
    """
    table = effects(path)
    chosen = half(table["puzzle_id"], table["game_id"])
    if chosen.all() or not chosen.any():
        return None
    means = table[chosen].groupby(_PLACES, observed=True)["effect"].mean()
    layer, head = means.sort_index().idxmax()
    return int(layer), int(head)


# Figures


def _figures(results: Results, tables: Tables) -> Iterator[Drawn | Undrawn]:
    table = tables.get("heads")
    if table is None or table.empty:
        reason = results.why_not("heads") or "no head was measured"
        yield Undrawn(title="Figure 4", reason=reason)
        return
    for name in SPLITS:
        part = table[table["split"] == name].reset_index(drop=True)
        if part.empty or part["estimate"].isna().all():
            continue
        whole = name == "all"
        yield Drawn(
            name="figure4_heads" if whole else f"appendix_heads_{name}",
            title="Figure 4: what each attention head carries"
            if whole
            else f"Appendix: {SPLIT_NAMES[name]}",
            caption="Mean effect of taking one head's output, on all squares, from the corrupted "
            "run. Listed: the heads with the largest effects"
            + (", tested against the number of heads." if whole else "."),
            figure=figures.head_map(part, p="p_max_t" if whole else None),
        )


# Words


def _summary(tables: Tables) -> str:
    table = tables.get("heads")
    if table is None or table.empty:
        return ""
    every = table[(table["split"] == "all") & table["estimate"].notna()]
    if every.empty:
        return ""
    best = every.loc[every["estimate"].idxmax()]
    tested = every[every["p_max_t"] < 0.05]
    p = best["p_max_t"]
    clear = "" if pd.isna(p) else (", p < 0.001" if p < 0.001 else f", p = {p:.3f}")
    return (
        f"The head with the largest effect is layer {int(best['layer'])}, "
        f"head {int(best['head'])}: {wording.number(best)} nats{clear} against {len(every)} heads, "
        f"of which {len(tested)} {'differs' if len(tested) == 1 else 'differ'} from 0."
    )


def _short_tables(tables: Tables) -> Iterator[Shown]:
    """The three heads with the largest effects, for each target pattern."""
    table = tables.get("heads_by_target_pattern")
    if table is None or table.empty:
        return
    rows = []
    every = table[(table["rating"] == "all") & table["estimate"].notna()]
    for pattern, part in every.groupby("target_pattern"):
        named = [
            f"{int(row['layer'])}.{int(row['head'])}: {wording.number(row)}"
            for row in part.nlargest(3, "estimate").to_dict("records")
        ]
        rows.append([f"pattern {pattern}", f"{int(part['n'].max()):,}", *named])
    yield Shown(head=["three largest heads", "n", "first", "second", "third"], rows=rows)


CHAPTER = Chapter(
    id="E2",
    title="Attention heads",
    question="Which heads carry the difference between the clean and the corrupted position? The "
    "output of one head is taken from the corrupted run, on all squares.",
    measurements=(
        measurements.of_sweep(
            "heads",
            "E2, heads",
            lambda study, networks: sweeps.heads(networks.strong),
            seconds_each=_seconds_each,
        ),
    ),
    tabulate=_tabulate,
    figures=_figures,
    summary=_summary,
    short_tables=_short_tables,
    published=published.read("heads"),
)
