"""E3: whether a head moves information from the third move's target to the first's."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pandas as pd

from leela_probe.experiments import sweeps
from leela_probe.experiments.sweeps import Sweep
from leela_probe.figures import figures
from leela_probe.statistics import stats
from leela_probe.study import ablations, measurements, published
from leela_probe.study.ablations import Ablation
from leela_probe.study.chapter import Chapter, Drawn, LeftOut, Rates, Shown, Tables, Undrawn
from leela_probe.study.chapters import heads
from leela_probe.study.results import Results
from leela_probe.study.study import PAPER_HEAD, Networks, Study
from leela_probe.study.subsets import held_out

__all__ = ["CHAPTER", "ENTRY", "WIN"]

ENTRY = Ablation(name="entry", of="3->1", against=("all other entries",))
"""The ablation of the entry, measured by the first move's log odds."""

WIN = Ablation(name="entry-win", of="3->1", against=("all other entries",))
"""The same, measured by the log odds of winning."""


# Measuring


def _sweep(study: Study, networks: Networks) -> Sweep | LeftOut:
    """The ablation in the head asked for, or in that chosen on half of the games."""
    chosen = "given"
    head = study.head
    if head is None and study.preset == "jenner2024" and networks.has_papers_shape():
        head, chosen = PAPER_HEAD, "the paper's"
    if head is None:
        head, chosen = heads.strongest_head(study.table("heads.parquet")), _LARGEST
    if head is None:
        return LeftOut(
            reason="too few puzzles to choose a head on one half of the games and test the other"
        )
    options = {"head": f"{head[0]}.{head[1]}", "chosen": chosen}
    return dataclasses.replace(sweeps.entry(networks.strong, *head), options=options)


_LARGEST = "largest mean effect on half of the games"


def _check(study: Study, networks: Networks) -> None:
    """Refuses a head that the strong network has not, where it has heads at all."""
    if study.head is not None and networks.strong.heads:
        sweeps.entry(networks.strong, *study.head)


def _settings(study: Study) -> dict[str, object]:
    return {"head": study.head, "preset": study.preset}


def _seconds_each(study: Study, networks: Networks, rates: Rates) -> float:
    return 3 * rates.strong if networks.strong.heads else 0.0


# Tables


def _tabulate(results: Results) -> Iterator[tuple[str, pd.DataFrame]]:
    yield from ablations.tables(ENTRY, results)
    path = results.measured("entry")
    if path is not None:
        table = held_out(ENTRY.effects(path), ENTRY.puzzles(results))
        table = table[table["curve"] == ENTRY.of]
        yield (
            "entry_target_patterns",
            stats.target_pattern_effects(table, minimum=results.study.minimum, **results.draws),
        )
    yield from ablations.tables(WIN, results)


# Figures


def _figures(results: Results, tables: Tables) -> Iterator[Drawn | Undrawn]:
    yield _percentiles(ENTRY, "figure5_entry", "Figure 5: one attention entry", results, tables)
    yield _percentiles(
        WIN, "figure11_entry_win", "Figure 11: the same on the value", results, tables
    )
    patterns = tables.get("entry_target_patterns")
    if patterns is not None and not patterns.empty:
        yield Drawn(
            name="entry_target_patterns",
            title="Beyond the paper: the entry by pattern of targets",
            caption="112: the answer takes back on the first target and the third move goes "
            "elsewhere. Where first and third target are one square, the entry is a square's "
            "attention to itself.",
            figure=figures.forest(patterns),
        )


def _percentiles(
    ablation: Ablation, name: str, title: str, results: Results, tables: Tables
) -> Drawn | Undrawn:
    table = tables.get(ablation.name)
    if table is None or table.empty:
        reason = results.why_not(ablation.name) or "no entry was measured"
        return Undrawn(title=title.partition(":")[0], reason=reason)
    options = results.options(ablation.name)
    chosen = (
        "The head was chosen for its effect on one half of the games (E2); shown is the other half."
        if ablation.puzzles(results) == "held out"
        else f"The head: {options.get('chosen', 'given')}."
    )
    return Drawn(
        name=name,
        title=title,
        wide=True,
        caption=f"Head {options.get('head', '?')}. 3->1: only the entry from the third move's "
        "target to the first's is set to zero; the other curve: all other 4,095 entries of the "
        "head. Each curve is sorted by itself. " + chosen,
        figure=figures.percentile_curves(
            table,
            curve="curve",
            what="win log-odds reduction" if ablation is WIN else "log-odds reduction",
            bottom=ablations.bottom(table),
        ),
    )


# Words


def _summary(tables: Tables) -> str:
    deed = "Zeroing the one entry from the third target to the first"
    return ablations.summary(ENTRY, "all other entries", deed, tables)


def _short_tables(tables: Tables) -> Iterator[Shown]:
    return ablations.short_tables(ENTRY, tables)


CHAPTER = Chapter(
    id="E3",
    title="One attention entry",
    question="Does a head move information from the third move's target to the first's? That "
    "single entry of its pattern is set to zero, and, in another run, all its other entries.",
    measurements=(
        dataclasses.replace(
            measurements.of_sweep(
                "entry", "E3, one entry", _sweep,
                settings=_settings, seconds_each=_seconds_each, needs=("corrupt", "heads"),
            ),
            check=_check,
        ),
        measurements.of_sweep(
            "entry-win", "E3 on the value", _sweep,
            settings=_settings, seconds_each=_seconds_each, needs=("corrupt", "heads"),
            measure="win_log_odds",
        ),
    ),
    tabulate=_tabulate,
    figures=_figures,
    summary=_summary,
    short_tables=_short_tables,
    published=published.read("entry"),
)  # fmt: skip
