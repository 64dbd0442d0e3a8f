"""The command `leela-probe filter`: a verdict for every puzzle of a dump."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from leela_probe.commands import options, tables_shown, terminal
from leela_probe.commands.groups import (
    CascadeOptions,
    CriteriaOptions,
    HistoryOptions,
    NetworkPairOptions,
)
from leela_probe.commands.registration import Command

__all__ = ["COMMAND", "RowsTakenOptions", "filter_puzzles"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsTakenOptions:
    """Which rows of a dump are judged, and how completely."""

    limit: Annotated[
        int | None, options.what("Take only the first N rows.", min=1, metavar="N")
    ] = None
    sample: Annotated[
        int | None, options.what("Take only N rows, drawn at random.", min=1, metavar="N")
    ] = None
    seed: Annotated[int, options.what("Seed for the sample.", min=0, metavar="N")] = 0
    all_plies: Annotated[
        bool,
        options.flag(
            "--all-plies",
            "Compute every probability of every puzzle, also where the verdict does not need it.",
        ),
    ] = False


def filter_puzzles(
    dump: options.Dump,
    out: options.Out,
    preset: options.Preset = "default",
    min_plies: Annotated[
        int | None,
        options.what("The solution has at least N plies.", default="3", metavar="N", min=1),
    ] = None,
    overwrite: options.Overwrite = False,
    *,
    rows: RowsTakenOptions,
    networks: NetworkPairOptions,
    thresholds: CriteriaOptions,
    histories: HistoryOptions,
    run: CascadeOptions,
) -> None:
    """Keep the puzzles on which a right first move is evidence of look-ahead.

    Every row of the dump gets a verdict, the first that applies: malformed,
    duplicate_id, mate_in_1, too_short, not_hard, not_correct, not_forcing or
    kept. The dump may come through a pipe.

    Stopped and started again, it goes on where it was.
    """
    from leela_probe.puzzles import filters

    criteria = options.override(
        thresholds.criteria(preset),
        plies=min_plies,
        weak_history=histories.weak(),
        strong_history=histories.strong(),
    )
    strong, weak = networks.load(run)
    with terminal.stage("filter") as progress:
        finished = filters.filter_puzzles(
            dump,
            out,
            strong=strong,
            weak=weak,
            criteria=criteria,
            all_plies=rows.all_plies,
            limit=rows.limit,
            sample=rows.sample,
            seed=rows.seed,
            batch_size=run.positions_at_once(),
            workers=run.workers,
            overwrite=overwrite,
            progress=progress,
        )
    meanings = {
        "malformed": "the row cannot be read; the column reason says why",
        "duplicate_id": "an earlier row has the same id",
        "mate_in_1": "by its theme",
        "too_short": f"the solution has fewer than {criteria.plies} plies",
        "not_hard": f"the weak network gives the first move {criteria.hard:g} or more",
        "not_correct": f"the strong network gives a solver's move {criteria.correct:g} or less",
        "not_forcing": f"the weak network gives the reply {criteria.forcing:g} or less",
        "kept": "hard, correct and forcing",
    }
    terminal.console().print(tables_shown.funnel(finished.counts, meanings))
    for remark in filters.remarks(finished.counts, finished.facts):
        terminal.console().print(remark)
    print(terminal.outcome(finished))


COMMAND = Command(
    name="filter",
    run=filter_puzzles,
    examples=(
        "leela-probe filter bundled:mates --strong bundled:strong --weak bundled:weak "
        "--min-weak-reply 0 --out filtered.parquet",
        "leela-probe filter bundled:mates --sample 400 --seed 1 --strong bundled:strong "
        "--weak bundled:weak --min-weak-reply 0 --out sample.csv",
    ),
)
