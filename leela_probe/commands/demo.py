"""The command `leela-probe demo`: the whole study at small size, with what ships."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from leela_probe.commands import options, reproduce
from leela_probe.commands.groups import CriteriaOptions, SearchOptions
from leela_probe.commands.registration import Command

__all__ = ["COMMAND", "LIMIT", "demo"]

LIMIT = 360
"""Puzzles of a demonstration, so that it takes less than five minutes on two cores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Thresholds(CriteriaOptions):
    min_weak_reply: Annotated[
        float | None,
        options.what(
            "Forcing: the weak network gives the reply to the first move more than P.",
            min=0,
            max=1,
            metavar="P",
        ),
    ] = 0.0


def demo(
    out: Annotated[Path, typer.Option(help="The folder for everything.", metavar="DIR")],
    dump: Annotated[
        Path,
        typer.Option(
            help="Take other puzzles.",
            metavar="DUMP",
            callback=options.puzzle_file,
            rich_help_panel="What is done",
        ),
    ] = Path("bundled:mates"),
    strong: Annotated[
        Path,
        typer.Option(
            help="Take another strong network.",
            metavar="NET",
            callback=options.network_file,
            rich_help_panel="What is done",
        ),
    ] = Path("bundled:strong"),
    weak: Annotated[
        Path,
        typer.Option(
            help="Take another weak network.",
            metavar="NET",
            callback=options.network_file,
            rich_help_panel="What is done",
        ),
    ] = Path("bundled:weak"),
    limit: Annotated[int, options.what("Take the first N puzzles.", min=1, metavar="N")] = LIMIT,
    workers: Annotated[
        int | None,
        options.run(
            "Feed the networks from N processes.",
            default="one per core, minus one",
            min=0,
            metavar="N",
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    *,
    thresholds: _Thresholds,
    search: SearchOptions,
) -> None:
    """See the whole method work within five minutes, with the networks that come along.

    The puzzles are certified mates in two, so the answer need not be forced:
    the mate comes after every one. Their lines have three plies, so that the
    experiment with the heads of single pieces, which needs five, has no puzzles.
    """
    from leela_probe.study.study import Study

    study = Study(
        dump=dump,
        strong=strong,
        weak=weak,
        out=out,
        criteria=thresholds.criteria("default"),
        search=search.search("default"),
        share=0.3,
        limit=limit,
        minimum=10,
        resamples=999,
        random_networks=1,
        epochs=15,
        workers=workers,
    )
    reproduce.perform(study, overwrite=overwrite)


COMMAND = Command(name="demo", run=demo, examples=("leela-probe demo --out demo",))
