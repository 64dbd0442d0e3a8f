"""Measurements of the usual kinds: the effects of one sweep, and a table that is made at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pandas as pd
import pyarrow

from leela_probe.experiments import effects
from leela_probe.experiments.sweeps import Sweep
from leela_probe.files import store
from leela_probe.files.progress import Progress
from leela_probe.study import conditions
from leela_probe.study.chapter import LeftOut, Measured, Measurement, Rates
from leela_probe.study.study import Networks, Study

__all__ = ["computing", "of_sweep", "of_table", "running"]


def computing(study: Study) -> dict[str, object]:
    """The settings of the strong network's computation."""
    return {
        "device": study.device,
        "dtype": study.dtype,
        "strong_format": study.strong_format,
        "history": study.criteria.strong_history.value,
        "seed": study.seed,
    }


def running(study: Study) -> dict[str, object]:
    """The settings of a sweep's computation."""
    return {**computing(study), "batch_size": study.batch_size}


def of_table(
    name: str,
    study: Study,
    networks: Networks,
    make: Callable[[], pd.DataFrame],
    *,
    schema: pyarrow.Schema,
    options: Mapping[str, object],
    overwrite: bool,
) -> Measured:
    """A table about the strong network that is made at once, unless it is finished.

    Args:
        name: of the measurement and its table.
        study: whose pairs it is about.
        networks: of the study.
        make: makes the table.
        schema: its columns; a column `verdict` is added.
        options: what it depends on, beside the network, its pairs, history and seed.
        overwrite: replace a table of other settings.
    """
    network = networks.strong
    schema = schema.append(pyarrow.field("verdict", pyarrow.string()))
    settings = {"history": study.criteria.strong_history.value, "seed": study.seed}
    with store.Stage(
        study.table(f"{name}.parquet"),
        name=name,
        inputs={"puzzles": study.table("pairs.parquet"), "network": network.path},
        loaded={"network": network.sha256},
        networks={"network": network.identity()},
        options={**settings, **options},
        schema=schema,
        verdicts=("read",),
        overwrite=overwrite,
    ) as stage:
        if not stage.assembled:
            for chunk in stage.unfinished([name], size=1):
                table = make().assign(verdict="read")[schema.names]
                stage.add(chunk, pyarrow.Table.from_pandas(table, schema, preserve_index=False))
        return Measured(finished=stage.finish())


def of_sweep(
    name: str,
    title: str,
    sweep: Callable[[Study, Networks], Sweep | LeftOut],
    *,
    settings: Callable[[Study], Mapping[str, object]] = lambda study: {},
    seconds_each: Callable[[Study, Networks, Rates], float],
    needs: Sequence[str] = ("corrupt",),
    attention: bool = True,
    measure: str = "log_odds",
) -> Measurement:
    """The measurement of a sweep: one effects table.

    Args:
        name: of the measurement and its table.
        title: what is measured.
        sweep: makes the sweep, or says why the network has none.
        settings: what the sweep depends on beyond `running`.
        seconds_each: see `Measurement`.
        needs: see `Measurement`.
        attention: whether it takes attention heads.
        measure: of the effects; see `effects.measure`.
    """
    table = f"{name}.parquet"

    def run(
        study: Study, networks: Networks, progress: Progress, overwrite: bool
    ) -> Measured | LeftOut:
        missing = conditions.pairs(study) or (conditions.heads(networks) if attention else None)
        if missing is not None:
            return missing
        if measure == "win_log_odds" and not networks.has_wdl():
            return LeftOut(reason=f"{networks.strong.name} has no WDL head")
        made = sweep(study, networks)
        if isinstance(made, LeftOut):
            return made
        finished = effects.sweep(
            networks.strong,
            study.table("pairs.parquet"),
            made,
            study.table(table),
            effects.Settings(
                measure=measure,
                history=study.criteria.strong_history,
                batch_size=study.batch_size,
                seed=study.seed,
            ),
            overwrite=overwrite,
            progress=progress,
        )
        return Measured(finished=finished, note=made.reason)

    return Measurement(
        name=name,
        title=title,
        table=table,
        needs=needs,
        settings=lambda study: {**running(study), **settings(study)},
        measure=run,
        seconds_each=seconds_each,
    )
