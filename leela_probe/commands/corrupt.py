"""The command `leela-probe corrupt`: the corrupted inputs that clean runs are held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from leela_probe.commands import options, tables_shown, terminal
from leela_probe.commands.groups import (
    CascadeOptions,
    HistoryOptions,
    NetworkPairOptions,
    SearchOptions,
)
from leela_probe.commands.registration import Command

__all__ = ["COMMAND", "ChangeOptions", "corrupt"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeOptions:
    """Which changes of a board are tried, of which puzzles, and how many are kept."""

    keep: Annotated[
        int, options.what("Keep N partners per puzzle, the nearest first.", metavar="N", min=1)
    ] = 1
    kinds: Annotated[
        str, options.what("Make these kinds of change, separated by commas.", metavar="LIST")
    ] = "remove,add,move"
    no_kings: Annotated[bool, options.flag("--no-kings", "Move no king.")] = False
    no_line_squares: Annotated[
        bool, options.flag("--no-line-squares", "Change no square that the solution touches.")
    ] = False
    no_third_mover: Annotated[
        bool,
        options.flag("--no-third-mover", "Leave the piece that makes the third move alone."),
    ] = False
    any_first_move: Annotated[
        bool,
        options.flag(
            "--any-first-move",
            "Take puzzles too whose first move is not the strong network's favourite.",
        ),
    ] = False


def corrupt(
    puzzles: options.Puzzles,
    out: options.Out,
    preset: options.Preset = "default",
    verdict: Annotated[
        str, options.what("Take puzzles of these verdicts, separated by commas.", metavar="LIST")
    ] = "kept",
    overwrite: options.Overwrite = False,
    *,
    networks: NetworkPairOptions,
    thresholds: SearchOptions,
    changes: ChangeOptions,
    histories: HistoryOptions,
    run: CascadeOptions,
) -> None:
    """Find each puzzle's corrupted partner: a small change that spoils its best move.

    The weak network hardly notices the change, the strong one does. Corrupted
    inputs are what patching takes activations from.

    Stopped and started again, it goes on where it was.
    """
    from leela_probe.puzzles import candidates, corruptions, criteria

    search = options.override(
        thresholds.search(preset),
        weak_history=histories.weak(),
        strong_history=histories.strong(),
        keep=changes.keep,
        favourite=not changes.any_first_move,
        kinds=options.choices(changes.kinds, candidates.KINDS, "--kinds"),
        kings=not changes.no_kings,
        line_squares=not changes.no_line_squares,
        third_mover=not changes.no_third_mover,
    )
    wanted = options.choices(verdict, criteria.VERDICTS, "--verdict")
    if puzzles.is_file():  # a pipe can be read only once
        corruptions.check_verdicts(puzzles, wanted)
    strong, weak = networks.load(run)
    with terminal.stage("corrupt") as progress:
        finished = corruptions.corrupt(
            puzzles,
            out,
            strong=strong,
            weak=weak,
            search=search,
            verdicts=wanted,
            batch_size=run.positions_at_once(),
            workers=run.workers,
            overwrite=overwrite,
            progress=progress,
        )
    meanings = {
        "malformed": "the row cannot be read; the column reason says why",
        "duplicate_id": "an earlier row has the same id",
        "not_favourite": "the strong network likes another move better",
        "no_candidate": "no allowed change leaves the first move legal",
        "weak_notices": "the weak network notices every change",
        "strong_unmoved": "the strong network notices none of the others",
        "found": "a corrupted partner",
        "further": "more partners of the same puzzles",
    }
    terminal.console().print(tables_shown.funnel(finished.counts, meanings))
    if (remark := corruptions.remark(finished.facts)) is not None:
        terminal.console().print(remark)
    print(terminal.outcome(finished))


COMMAND = Command(
    name="corrupt",
    run=corrupt,
    examples=(
        "leela-probe corrupt filtered.parquet --strong bundled:strong --weak bundled:weak "
        "--out pairs.parquet",
    ),
)
