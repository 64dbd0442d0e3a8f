"""The command `leela-probe reproduce`: the whole study, step by step, and its page."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leela_probe.commands import options, terminal
from leela_probe.commands.groups import (
    CascadeOptions,
    CriteriaOptions,
    NetworkPairOptions,
    SearchOptions,
)
from leela_probe.commands.registration import Command

if TYPE_CHECKING:
    from leela_probe.study.estimates import Rates
    from leela_probe.study.ledger import Record
    from leela_probe.study.study import Study

__all__ = ["COMMAND", "StudyOptions", "perform", "reproduce"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyOptions:
    """How much of a study is done, and what its experiments take."""

    limit: Annotated[
        int | None, options.what("Take only the first N rows.", min=1, metavar="N")
    ] = None
    stage: Annotated[
        str | None,
        options.what("Do only this stage; a wrong name gets the list.", metavar="NAME"),
    ] = None
    head: Annotated[
        str | None,
        options.what(
            "Ablate the entries of this head in E3: LAYER.HEAD, each from 0.",
            default="the largest on half of the games; with jenner2024 12.12",
            metavar="L.H",
        ),
    ] = None
    min_share: Annotated[
        float,
        options.what(
            "In E4 a head follows a piece if at least this share of its attention does.",
            min=0,
            max=1,
            metavar="P",
        ),
    ] = 0.5
    min_puzzles: Annotated[
        int,
        options.what(
            "Show a pattern of target squares on its own if it has at least N puzzles.",
            min=2,
            metavar="N",
        ),
    ] = 50
    random_networks: Annotated[
        int, options.what("Probe N networks with random weights in E5.", min=0, metavar="N")
    ] = 5
    epochs: Annotated[
        int | None,
        options.what(
            "Train probes for at most N epochs in E5.", default="the recipe's", min=1, metavar="N"
        ),
    ] = None
    resamples: Annotated[
        int, options.run("Draw N bootstrap samples of games.", min=99, metavar="N")
    ] = 2000
    seed: Annotated[int, options.run("Seed for everything that is random.", min=0, metavar="N")] = 0


def reproduce(
    dump: options.Dump,
    out: Annotated[Path, typer.Option(help="The folder for everything.", metavar="DIR")],
    preset: options.Preset = "default",
    overwrite: options.Overwrite = False,
    *,
    networks: NetworkPairOptions,
    thresholds: CriteriaOptions,
    search: SearchOptions,
    study: StudyOptions,
    run: CascadeOptions,
) -> None:
    """Do the whole study: puzzles, partners, E1 to E5, figures, the paper's numbers, one page.

    Stages that are done, with the same inputs and options, are not done again;
    stopped and started again, it goes on where it was. Finished work of other
    options is made anew only with --overwrite.
    """
    from leela_probe.study import stages
    from leela_probe.study.study import Study

    if study.stage is not None:
        options.choice(study.stage, stages.NAMES, "--stage")
    perform(
        Study(
            dump=dump,
            strong=networks.strong,
            weak=networks.weak,
            out=out,
            preset=preset,
            criteria=thresholds.criteria(preset),
            search=search.search(preset),
            head=None if study.head is None else options.head(study.head, "--head"),
            share=study.min_share,
            limit=study.limit,
            minimum=study.min_puzzles,
            resamples=study.resamples,
            random_networks=study.random_networks,
            epochs=study.epochs,
            seed=study.seed,
            batch_size=run.batch_size,
            workers=run.workers,
            device=run.device,
            dtype=run.dtype,
            strong_format=options.input_format(networks.strong_format, "--strong-format"),
            weak_format=options.input_format(networks.weak_format, "--weak-format"),
        ),
        only=study.stage,
        overwrite=overwrite,
    )


COMMAND = Command(
    name="reproduce",
    run=reproduce,
    examples=(
        "leela-probe reproduce bundled:mates --strong bundled:strong --weak bundled:weak "
        "--min-weak-reply 0 --limit 200 --out study",
    ),
)


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
