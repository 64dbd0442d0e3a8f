"""The command `leela-probe reproduce`: the whole study, step by step, and its page."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    from leela_probe.study.records import Record, Records
    from leela_probe.study.study import Networks, Study

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
    """Do the whole study: puzzles, every experiment, figures, the paper's numbers, one page.

    Stages that are done, with the same inputs and options, are not done again;
    stopped and started again, it goes on where it was. Finished work of other
    options is made anew only with --overwrite.
    """
    from leela_probe.study import contents
    from leela_probe.study.study import Study

    if study.stage is not None:
        options.choice(study.stage, contents.stages(), "--stage")
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
    """Does a study, or one stage of it, and reports its progress.

    Raises:
        FileNotFoundError: if a file that it starts from is not there.
        ValueError: what `reproduction.check` refuses.
    """
    from leela_probe.study import contents, page, reproduction
    from leela_probe.study.records import Records
    from leela_probe.study.study import Networks

    for path, what in ((study.dump, "puzzles"), (study.strong, "network"), (study.weak, "network")):
        if not path.is_file():
            raise FileNotFoundError(f"no {what} at {path}")
    networks = Networks(study, partial(terminal.load, device=study.device, dtype=study.dtype))
    with terminal.overwriting(), Records(study.out) as records:
        reproduction.check(study, networks, records, only=only, overwrite=overwrite)
        report = _Report(study, networks, records)
        if only is None:
            report.estimate_all()
        reproduction.reproduce(
            study,
            networks,
            records,
            only=only,
            overwrite=overwrite,
            show=terminal.stage,
            report=report if only is None else report.show,
        )
    if only in (None, contents.DERIVED):
        print(f"wrote {study.table(page.NAME)}")


class _Report:
    """Prints what is done of a study, and how long the rest will take."""

    def __init__(self, study: Study, networks: Networks, records: Records) -> None:
        self._study, self._networks, self._records = study, networks, records
        self._each: dict[str, float] = {}

    def __call__(self, record: Record, fresh: bool) -> None:
        """Reports that a stage is done."""
        self.show(record, fresh)
        if "kept" in record.counts and fresh:
            self._remark()
        if "found" in record.counts and fresh:
            found = record.counts["found"]
            self._estimate(f"more with {found:,} puzzles", found)

    def show(self, record: Record, fresh: bool) -> None:
        """Prints what became of a stage."""
        state = f"left out: {record.reason}" if record.reason else record.state
        took = f", {record.seconds:.0f} s" if not record.reason else ""
        text = f"{record.name}: {state}{took if fresh else ' before'}"
        terminal.console().print(text, soft_wrap=True)

    def _remark(self) -> None:
        """Prints what is likely wrong with the networks or the dump, as the filter saw them."""
        from leela_probe.files import manifests
        from leela_probe.puzzles import filters

        table = self._study.table("filtered.parquet")
        manifest = manifests.read(manifests.manifest_path(table))
        for remark in filters.remarks(manifest["counts"], manifest.get("facts", {})):
            terminal.console().print(remark, soft_wrap=True)

    def estimate_all(self) -> None:
        """Prints how long the study will take, if its puzzles are not known yet."""
        from leela_probe.study import estimates, reproduction

        if "corrupt" in reproduction.finished(self._study, self._records):
            return
        rows = estimates.rows(self._study)
        few = max(1, round(estimates.PAPERS_SHARE * rows))
        self._estimate(
            f"for {rows:,} rows: less if as few of them end with a partner as the paper's "
            f"({few:,}), more if all do",
            few,
            rows,
        )

    def _estimate(self, text: str, *pairs: int) -> None:
        from leela_probe.study import contents, estimates, reproduction

        every = contents.measurements()
        finished = reproduction.finished(self._study, self._records)
        left = [each for each in every if each.name not in finished and each.seconds_each]
        if not left:
            return
        if not self._each:
            self._each = estimates.seconds_each(left, self._study, self._networks)
        rows = estimates.rows(self._study)
        ways = [estimates.estimate(left, self._each, rows=rows, pairs=count) for count in pairs]
        parts = ", ".join(
            f"{stage[0].name} {_span(*(each.seconds for each in stage))}"
            for stage in zip(*ways, strict=True)
        )
        whole = _span(*(sum(each.seconds for each in way) for way in ways))
        terminal.console().print(f"about {whole} {text} ({parts})", soft_wrap=True)


def _span(*seconds: float) -> str:
    """From the least to the most, in words."""
    from leela_probe.study import wording

    words = [wording.time(each) for each in (min(seconds), max(seconds))]
    return " to ".join(dict.fromkeys(words))
