"""The subcommand `leela-probe demo`: the whole study at small size, with what comes along."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from leela_probe.commands import options, reproduce

__all__ = ["EXAMPLE", "LIMIT", "demo"]

EXAMPLE = "Example:\n\nleela-probe demo --out demo"

LIMIT = 360
"""Puzzles of a demonstration, so that it takes less than five minutes on two cores."""

_WANTED = "What is wanted"
_Forcing = Annotated[
    float,
    typer.Option(
        help="Weak network's answer is above this.",
        metavar="P",
        min=0,
        max=1,
        rich_help_panel=_WANTED,
    ),
]
_Folder = Annotated[Path, typer.Option(help="The folder for everything.", metavar="DIR")]
_Dump = Annotated[
    Path,
    typer.Option(
        help="Other puzzles.", metavar="DUMP", callback=options.file, rich_help_panel=_WANTED
    ),
]
_Strong = Annotated[
    Path,
    typer.Option(
        help="Another network.", metavar="NET", callback=options.file, rich_help_panel=_WANTED
    ),
]
_Weak = Annotated[
    Path,
    typer.Option(
        help="Another weak network.", metavar="NET", callback=options.file, rich_help_panel=_WANTED
    ),
]
_Limit = Annotated[
    int, typer.Option(help="The first N puzzles.", min=1, metavar="N", rich_help_panel=_WANTED)
]


def demo(
    out: _Folder,
    dump: _Dump = Path("bundled:mates"),
    strong: _Strong = Path("bundled:strong"),
    weak: _Weak = Path("bundled:weak"),
    limit: _Limit = LIMIT,
    hard: options.Hard = None,
    correct: options.Correct = None,
    forcing: _Forcing = 0.0,
    log_odds: options.LogOdds = None,
    value: options.Value = None,
    probability: options.Probability = None,
    divergence: options.Divergence = None,
    workers: options.Workers = None,
    overwrite: options.Overwrite = False,
) -> None:
    """See the whole method work within five minutes, with the networks that come along.

    The puzzles are certified mates in two, so the answer need not be forced:
    the mate comes after every one. Their lines have three plies, so that the
    experiment with the heads of single pieces, which needs five, has no puzzles.
    """
    from leela_probe.puzzles import criteria, partners
    from leela_probe.study.study import Study

    thresholds = reproduce.given(hard=hard, correct=correct, forcing=forcing)
    scores = reproduce.given(
        log_odds=log_odds, value=value, probability=probability, divergence=divergence
    )
    study = Study(
        dump=dump,
        strong=strong,
        weak=weak,
        out=out,
        criteria=dataclasses.replace(criteria.PRESETS["default"], **thresholds),
        search=dataclasses.replace(partners.PRESETS["default"], **scores),
        share=0.3,
        limit=limit,
        minimum=10,
        resamples=999,
        random_networks=1,
        epochs=15,
        workers=workers,
    )
    reproduce.perform(study, overwrite=overwrite)
