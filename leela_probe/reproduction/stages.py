"""The steps of a study in their order: puzzles, partners, E1 to E5, tables, figures, page.

Stands on the rest of the room, and on the rooms that do the work.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import leela_probe
from leela_probe.experiments import sweeps
from leela_probe.files import store
from leela_probe.files.store import Progress
from leela_probe.reproduction import drawings, pages, published, tabulation, works
from leela_probe.reproduction.ledger import Ledger, Record, Step
from leela_probe.reproduction.study import Networks, Study
from leela_probe.reproduction.works import Shown

__all__ = ["NAMES", "current", "run", "steps"]

NAMES = (
    "filter", "corrupt", "residual", "heads", "entry", "entry-win", "piece-heads", "attention",
    "probes", "tables", "comparison", "figures", "page",
)  # fmt: skip
"""The steps by name, in their order."""

_TELLING = ("probing", "statistics", "figures", "reproduction")


def run(
    study: Study,
    networks: Networks,
    ledger: Ledger,
    *,
    only: str | None = None,
    shown: Shown | None = None,
    told: Callable[[Record, bool], object] = lambda record, fresh: None,
) -> list[Record]:
    """Do what is not done yet.

    Args:
        study: what is asked for.
        networks: its networks.
        ledger: open, of the study's folder.
        only: a single step; those before it must be done and up to date.
        shown: opens a display of how far a step is.
        told: told the record of each step, and whether the step ran now.

    Returns:
        The records of the steps asked for.

    Raises:
        ValueError: if there is no such step, or one that it needs is not done or out of date.
    """
    every = steps(study, networks, shown or _unseen)
    if only is not None:
        if only not in NAMES:
            raise ValueError(f"no stage {only!r}: choose {', '.join(NAMES)}")
        chosen = next(step for step in every if step.name == only)
        needed = set(chosen.needs)
        for step in reversed(every):
            needed |= set(step.needs) if step.name in needed else set()
        for step in every:
            if step.name in needed and not ledger.is_current(step):
                raise ValueError(
                    f"the stage {only} needs {step.name}, which is not done with these inputs and "
                    f"options: run it first (--stage {step.name}), or all of them"
                )
        every = [chosen]
    records = []
    for step in every:
        fresh = not ledger.is_current(step)
        record = ledger.perform(step)
        told(record, fresh)
        records.append(record)
    return records


def current(study: Study, networks: Networks, ledger: Ledger) -> list[str]:
    """The names of the steps that would not be done again."""
    return [step.name for step in steps(study, networks, _unseen) if ledger.is_current(step)]


def _unseen(name: str) -> AbstractContextManager[Progress]:
    return nullcontext(lambda done, total, counts: None)


def steps(study: Study, networks: Networks, shown: Shown) -> list[Step]:
    """All steps of a study, in their order."""
    versions = store.versions()
    telling = {"leela-probe": leela_probe.__version__, "sources": _digest()}
    sources = {"strong": study.strong, "weak": study.weak}
    running = {
        "device": study.device,
        "dtype": study.dtype,
        "batch_size": study.batch_size,
        "history": study.criteria.strong_history.value,
        "seed": study.seed,
    }
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
                "device": study.device,
                "dtype": study.dtype,
            },
            code=versions,
            run=partial(works.filter_puzzles, study, networks, shown),
        ),
        Step(
            name="corrupt",
            title="a corrupted partner for each",
            inputs=sources,
            needs=("filter",),
            options={
                "search": dataclasses.asdict(study.search),
                "device": study.device,
                "dtype": study.dtype,
            },
            code=versions,
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
            run=partial(works.attention, study, networks),
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
            run=partial(works.probes, study, networks, shown),
        ),
        Step(
            name="tables",
            title="statistics",
            needs=("corrupt",),
            takes=("residual", "heads", "entry", "entry-win", "piece-heads", "probes"),
            options=drawn,
            code=telling,
            run=lambda resumed: tabulation.make(study),
        ),
        Step(
            name="comparison",
            title="the paper's numbers beside these",
            inputs=strong,
            needs=("tables",),
            code=telling,
            run=lambda resumed: published.make(study, networks),
        ),
        Step(
            name="figures",
            title="figures",
            needs=("tables",),
            takes=("residual", "entry", "attention", "corrupt"),
            code=telling,
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
