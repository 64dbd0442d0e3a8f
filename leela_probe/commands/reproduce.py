"""The subcommand `leela-probe reproduce`: the whole study, step by step, and its page."""

from __future__ import annotations

import dataclasses
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leela_probe.commands import options, terminal

if TYPE_CHECKING:
    from leela_probe.study.estimates import Rates
    from leela_probe.study.ledger import Record
    from leela_probe.study.study import Study

__all__ = ["EXAMPLE", "given", "perform", "reproduce"]

EXAMPLE = (
    "Examples:\n\n"
    "leela-probe reproduce --dump lichess_db_puzzle.csv.zst --strong lc0.onnx --weak LD2.onnx "
    "--out study --preset jenner2024\n\n"
    "leela-probe reproduce --dump bundled:mates --strong bundled:strong --weak bundled:weak "
    "--out study --limit 200"
)

_WANTED = "What is wanted"
_RUNNING = "How it runs"
_Dump = Annotated[
    Path,
    typer.Option(
        help="Lichess puzzles: .csv, .csv.zst or .parquet.", metavar="DUMP", callback=options.file
    ),
]
_Folder = Annotated[Path, typer.Option(help="The folder for everything.", metavar="DIR")]
_Stage = Annotated[
    str | None,
    typer.Option(
        help="Only this step: filter, corrupt, residual, heads, entry, entry-win, piece-heads, "
        "attention, relations, probes, tables, comparison, figures or page.",
        metavar="NAME",
        show_default=False,
        rich_help_panel=_WANTED,
    ),
]
_Head = Annotated[
    str | None,
    typer.Option(
        help="Head of E3 as LAYER.HEAD \\[default: the largest on half of the games; with "
        "jenner2024 12.12].",
        metavar="L.H",
        show_default=False,
        rich_help_panel=_WANTED,
    ),
]
_Share = Annotated[
    float,
    typer.Option(
        help="E4: least share of a head's attention that follows a piece.",
        min=0,
        max=1,
        metavar="P",
        rich_help_panel=_WANTED,
    ),
]
_Minimum = Annotated[
    int,
    typer.Option(
        help="Fewest puzzles of a pattern shown on its own.",
        min=2,
        metavar="N",
        rich_help_panel=_WANTED,
    ),
]
_RandomNetworks = Annotated[
    int,
    typer.Option(
        help="E5: networks with random weights.", min=0, metavar="N", rich_help_panel=_WANTED
    ),
]
_Epochs = Annotated[
    int | None,
    typer.Option(
        help="E5: passes over the puzzles, at most \\[default: the recipe's].",
        min=1,
        metavar="N",
        show_default=False,
        rich_help_panel=_WANTED,
    ),
]
_Seed = Annotated[
    int, typer.Option(help="Of random choices.", min=0, metavar="N", rich_help_panel=_WANTED)
]
_Batch = Annotated[
    int | None,
    typer.Option(
        help="Changed runs at once \\[default: as suits the device].",
        metavar="N",
        min=1,
        show_default=False,
        rich_help_panel=_RUNNING,
    ),
]


def reproduce(
    dump: _Dump,
    strong: options.Strong,
    weak: options.Weak,
    out: _Folder,
    limit: options.Limit = None,
    preset: options.Preset = "default",
    stage: _Stage = None,
    hard: options.Hard = None,
    correct: options.Correct = None,
    forcing: options.Forcing = None,
    log_odds: options.LogOdds = None,
    value: options.Value = None,
    probability: options.Probability = None,
    divergence: options.Divergence = None,
    head: _Head = None,
    share: _Share = 0.5,
    minimum: _Minimum = 50,
    random_networks: _RandomNetworks = 5,
    epochs: _Epochs = None,
    resamples: options.Resamples = 2000,
    seed: _Seed = 0,
    batch_size: _Batch = None,
    workers: options.Workers = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = "float32",
    strong_format: options.StrongFormat = None,
    weak_format: options.WeakFormat = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Do the whole study: puzzles, partners, E1 to E5, figures, the paper's numbers, one page.

    Steps that are done, with the same inputs and options, are not done again;
    killed and started again it goes on where it was. Finished work of other options
    is made anew only with --overwrite.
    """
    from leela_probe.puzzles import criteria, partners
    from leela_probe.study import stages
    from leela_probe.study.study import Study

    options.choice(preset, criteria.PRESETS, "--preset")
    if stage is not None:
        options.choice(stage, stages.NAMES, "--stage")
    study = Study(
        dump=dump,
        strong=strong,
        weak=weak,
        out=out,
        preset=preset,
        criteria=dataclasses.replace(
            criteria.PRESETS[preset], **given(hard=hard, correct=correct, forcing=forcing)
        ),
        search=dataclasses.replace(
            partners.PRESETS[preset],
            **given(log_odds=log_odds, value=value, probability=probability, divergence=divergence),
        ),
        head=None if head is None else options.head(head, "--head"),
        share=share,
        limit=limit,
        minimum=minimum,
        resamples=resamples,
        random_networks=random_networks,
        epochs=epochs,
        seed=seed,
        batch_size=batch_size,
        workers=workers,
        device=device,
        dtype=dtype,
        strong_format=options.input_format(strong_format, "--strong-format"),
        weak_format=options.input_format(weak_format, "--weak-format"),
    )
    perform(study, only=stage, overwrite=overwrite)


def perform(study: Study, *, only: str | None = None, overwrite: bool = False) -> None:
    """Does a study, or one step of it, telling how far it is.

    Raises:
        FileNotFoundError: if a file that it starts from is not there.
        ValueError: what `stages.check` refuses.
    """
    from leela_probe.study import estimates, pages, stages
    from leela_probe.study.ledger import Ledger
    from leela_probe.study.study import Networks

    for path, what in ((study.dump, "puzzles"), (study.strong, "network"), (study.weak, "network")):
        if not path.is_file():
            raise FileNotFoundError(f"no {what} at {path}")
    networks = Networks(study, partial(terminal.load, device=study.device, dtype=study.dtype))
    console = terminal.console()

    rates: Rates | None = None

    def estimated(said: str, *puzzles: int) -> None:
        nonlocal rates
        current = set(stages.current(study, networks, ledger))
        if current >= {"filter", "corrupt", "residual", "heads", "probes"}:
            return
        rates = rates or estimates.measure(networks)
        rows = estimates.puzzles(study)
        found = [
            estimates.estimate(study, rates, rows=rows, pairs=pairs, done=current.__contains__)
            for pairs in puzzles
        ]
        parts = ", ".join(
            f"{every[0].name} {_span(*(each.seconds for each in every))}"
            for every in zip(*found, strict=True)
        )
        whole = _span(*(sum(each.seconds for each in every) for every in found))
        console.print(f"about {whole} {said} ({parts})", soft_wrap=True)

    def told(record: Record, fresh: bool) -> None:
        state = "left out: " + str(record.reason) if record.reason else record.state
        took = f", {record.seconds:.0f} s" if fresh and not record.reason else ""
        console.print(
            f"{record.name}: {state}{took}" if fresh else f"{record.name}: {state} before",
            soft_wrap=True,
        )
        if record.name == "corrupt" and fresh and only is None:
            found = int(record.facts["counts"]["found"])
            estimated(f"more with {found:,} puzzles", found)

    with terminal.overwriting(), Ledger(study.out) as ledger:
        stages.check(study, networks, ledger, only=only, overwrite=overwrite)
        if only is None and "corrupt" not in stages.current(study, networks, ledger):
            rows = estimates.puzzles(study)
            few = max(1, round(estimates.PAPERS_SHARE * rows))
            estimated(
                f"for {rows:,} rows: less if as few of them end with a partner as the paper's "
                f"({few:,}), more if all do",
                few,
                rows,
            )
        stages.run(study, networks, ledger, only=only, overwrite=overwrite, shown=_shown, told=told)
    if only in (None, "page"):
        print(f"wrote {study.table(pages.NAME)}")


def _span(*seconds: float) -> str:
    """From the least to the most, in words."""
    from leela_probe.study import pages

    words = [pages.time_words(each) for each in (min(seconds), max(seconds))]
    return " to ".join(dict.fromkeys(words))


def _shown(name: str) -> AbstractContextManager[Any]:
    return terminal.stage(name)


def given(**values: Any) -> dict[str, Any]:
    """Those options that were given a value."""
    return {name: value for name, value in values.items() if value is not None}
