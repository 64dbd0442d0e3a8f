"""The steps of a study in their order: puzzles, partners, E1 to E5, tables, figures, page."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import leela_probe
from leela_probe.experiments import sweeps
from leela_probe.files import manifests
from leela_probe.files.progress import Progress
from leela_probe.study import drawings, pages, published, tabulation, works
from leela_probe.study.ledger import Ledger, Record, Step
from leela_probe.study.study import Networks, Study
from leela_probe.study.works import Shown

__all__ = ["NAMES", "check", "current", "run", "steps"]

NAMES = (
    "filter", "corrupt", "residual", "heads", "entry", "entry-win", "piece-heads", "attention",
    "relations", "probes", "tables", "comparison", "figures", "page",
)  # fmt: skip
"""The steps by name, in their order."""

_TELLING = ("probing", "statistics", "figures", "study")


def run(
    study: Study,
    networks: Networks,
    ledger: Ledger,
    *,
    only: str | None = None,
    overwrite: bool = False,
    shown: Shown | None = None,
    told: Callable[[Record, bool], object] = lambda record, fresh: None,
) -> list[Record]:
    """Do what is not done yet.

    Args:
        study: what is asked for.
        networks: its networks.
        ledger: open, of the study's folder.
        only: a single step; those before it must be done and up to date.
        overwrite: make results anew that were made with other inputs, options or versions.
        shown: opens a display of how far a step is.
        told: told the record of each step, and whether the step ran now.

    Returns:
        The records of the steps asked for.

    Raises:
        ValueError, FileExistsError: what `check` refuses.
    """
    chosen = check(study, networks, ledger, only=only, overwrite=overwrite, shown=shown)
    records = []
    for step in chosen:
        if not overwrite:
            _refuse_loss(ledger, [step], study)  # a step before it came out otherwise
        fresh = not ledger.is_current(step)
        record = ledger.perform(step)
        told(record, fresh)
        records.append(record)
    return records


def check(
    study: Study,
    networks: Networks,
    ledger: Ledger,
    *,
    only: str | None = None,
    overwrite: bool = False,
    shown: Shown | None = None,
) -> list[Step]:
    """The steps that `run` would go through; refuses what cannot be done before anything is done.

    Raises:
        FileExistsError: if finished work would be made anew and `overwrite` does not say so.
        ValueError: if there is no such step, one that it needs is not done or out of date, or the
            network has not the head that is asked for.
    """
    every = steps(study, networks, shown or _unseen)
    if only is not None:
        if only not in NAMES:
            raise ValueError(f"no stage {only!r}: choose {', '.join(NAMES)}")
        (chosen,) = (step for step in every if step.name == only)
        needed, taken = set(chosen.needs), set(chosen.takes)
        for step in reversed(every):
            if step.name in needed | taken:
                needed |= set(step.needs) if step.name in needed else set()
                taken |= {*step.needs, *step.takes}
        for step in every:
            begun = step.name in taken and ledger.record(step.name) is not None
            if (step.name in needed or begun) and not ledger.is_current(step):
                raise ValueError(
                    f"the stage {only} needs {step.name}, which is not done with these inputs and "
                    f"options: run it first (--stage {step.name}), or all of them"
                )
        every = [chosen]
    if not overwrite:
        _refuse_loss(ledger, every, study)
    for step in every:
        if step.name == "entry" and study.head is not None and not ledger.is_current(step):
            works.check_head(study, networks)
    return every


def _refuse_loss(ledger: Ledger, every: Sequence[Step], study: Study) -> None:
    """Raises an error if a costly step's result would be made anew."""
    changed = {step.name: why for step in every if step.costly and (why := ledger.lost(step))}
    if not changed:
        return
    behind = set(changed)
    for step in every:
        behind |= {step.name} if behind & {*step.needs, *step.takes} else set()
    after = [
        step.name
        for step in every
        if step.costly and step.name in behind - set(changed) and ledger.record(step.name)
    ]
    said = "; ".join(f"{name} ({', '.join(why)})" for name, why in changed.items())
    raise FileExistsError(
        f"{str(study.out)!r} holds work that would have to be made anew: {said}"
        + (f"; and what follows from that: {', '.join(after)}" if after else "")
        + ". Choose another folder, or say that it shall be overwritten"
    )


def current(study: Study, networks: Networks, ledger: Ledger) -> list[str]:
    """The names of the steps that would not be done again."""
    return [step.name for step in steps(study, networks, _unseen) if ledger.is_current(step)]


def _unseen(name: str) -> AbstractContextManager[Progress]:
    return nullcontext(lambda done, total, counts: None)


def steps(study: Study, networks: Networks, shown: Shown) -> list[Step]:
    """All steps of a study, in their order."""
    versions = manifests.versions()
    telling = {"leela-probe": leela_probe.__version__, "sources": _digest()}
    sources = {"strong": study.strong, "weak": study.weak}
    # named only where they are given, so that studies begun without them go on
    own = {} if study.strong_format is None else {"strong_format": study.strong_format}
    other = {} if study.weak_format is None else {"weak_format": study.weak_format}
    computing = {"device": study.device, "dtype": study.dtype, **own}
    reading = computing | {"history": study.criteria.strong_history.value, "seed": study.seed}
    running = reading | {"batch_size": study.batch_size}
    drawn = {"resamples": study.resamples, "seed": study.seed, "minimum": study.minimum}
    strong = {"strong": study.strong}

    def measured(
        name: str,
        title: str,
        make: Callable[[], works.Made],
        options: dict[str, object],
        **more: Any,
    ) -> Step:
        return Step(
            name=name,
            title=title,
            inputs=strong,
            needs=more.pop("needs", ("corrupt",)),
            options=running | options,
            code=versions,
            makes=(f"{name}.parquet*",),
            costly=True,
            run=partial(works.effects_of, study, networks, shown, name, make, more),
        )

    return [
        Step(
            name="filter",
            title="which puzzles to keep",
            inputs={"dump": study.dump, **sources},
            options={
                "criteria": dataclasses.asdict(study.criteria),
                "limit": study.limit,
                **computing,
                **other,
            },
            code=versions,
            makes=("filtered.parquet*",),
            costly=True,
            run=partial(works.filter_puzzles, study, networks, shown),
        ),
        Step(
            name="corrupt",
            title="a corrupted partner for each",
            inputs=sources,
            needs=("filter",),
            options={"search": dataclasses.asdict(study.search), **computing, **other},
            code=versions,
            makes=("pairs.parquet*",),
            costly=True,
            run=partial(works.corrupt, study, networks, shown),
        ),
        measured(
            "residual",
            "E1: the residual stream, square by square",
            lambda: sweeps.residual(networks.strong),
            {},
        ),
        measured(
            "heads", "E2: every attention head", lambda: sweeps.heads(networks.strong), {},
            attention=True,
        ),
        measured(
            "entry",
            "E3: the entry from the third target to the first",
            lambda: works.entry_sweep(study, networks),
            {"head": study.head, "preset": study.preset},
            needs=("corrupt", "heads"),
            attention=True,
        ),
        measured(
            "entry-win",
            "E3 on the value: win log odds",
            lambda: works.entry_sweep(study, networks),
            {"head": study.head, "preset": study.preset},
            needs=("corrupt", "heads"),
            attention=True,
            measure="win_log_odds",
        ),
        measured(
            "piece-heads",
            "E4: the third target in heads that follow a piece",
            lambda: works.piece_sweep(study, networks),
            {"share": study.share, "preset": study.preset},
            attention=True,
        ),
        Step(
            name="attention",
            title="what some heads look at (figure 6)",
            inputs=strong,
            needs=("corrupt",),
            options=running | {"share": study.share, "preset": study.preset},
            code=versions,
            makes=("attention.parquet",),
            run=partial(works.attention, study, networks),
        ),
        Step(
            name="relations",
            title="what every head has at the entries between the targets",
            inputs=strong,
            needs=("corrupt",),
            options=reading | {"independent": "games"},
            code=versions,
            makes=("relations.parquet",),
            run=partial(works.relations, study, networks, shown),
        ),
        Step(
            name="probes",
            title="E5: reading the third move out of activations",
            inputs=strong,
            needs=("filter",),
            options=running
            | {"preset": study.preset, "random_networks": study.random_networks,
               "epochs": study.epochs,},
            code=versions,
            makes=("probes/*",),
            costly=True,
            run=partial(works.probes, study, networks, shown),
        ),
        Step(
            name="tables",
            title="statistics",
            needs=("corrupt",),
            takes=("residual", "heads", "entry", "entry-win", "piece-heads", "relations", "probes"),
            options=drawn,
            code=telling,
            makes=("tables/*.csv",),
            run=lambda resumed: tabulation.make(study),
        ),
        Step(
            name="comparison",
            title="the paper's numbers beside these",
            inputs=strong,
            needs=("tables",),
            takes=("residual", "heads", "entry", "piece-heads", "relations", "probes"),
            code=telling,
            makes=("tables/comparison.csv",),
            run=lambda resumed: published.make(study, networks),
        ),
        Step(
            name="figures",
            title="figures",
            needs=("tables",),
            takes=("corrupt", "residual", "heads", "entry", "entry-win", "piece-heads", "attention",
                   "probes"),
            code=telling,
            makes=("figures/*.png", "figures/*.svg"),
            run=lambda resumed: drawings.make(study),
        ),
        Step(
            name="page",
            title="one page that tells it all",
            inputs=strong | {"dump": study.dump, "weak": study.weak},
            needs=("figures", "comparison"),
            takes=tuple(name for name in NAMES if name not in ("figures", "comparison", "page")),
            options={"study": _told_of(study)},
            code=versions | telling,
            makes=(pages.NAME,),
            run=lambda resumed: pages.make(study, networks),
        ),
    ]  # fmt: skip


def _told_of(study: Study) -> dict[str, object]:
    """What the page says of a study; where its files lie is none of it."""
    facts = {**dataclasses.asdict(study), "dump": study.dump.name, "strong": study.strong.name,
             "weak": study.weak.name}  # fmt: skip
    return {name: value for name, value in facts.items() if name not in ("out", "workers")}


def _digest() -> str:
    """A digest of the sources that turn results into tables, figures and pages."""
    package = Path(leela_probe.__file__).parent
    digest = hashlib.sha256()
    for room in _TELLING:
        for path in sorted((package / room).iterdir()):
            if path.is_file():
                digest.update(path.name.encode() + b"\n" + path.read_bytes())
    return digest.hexdigest()[:16]
