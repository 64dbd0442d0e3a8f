"""A study from its dump to its page: every measurement in order, then all that is made from them.

Each measurement is a stage that resumes and is reused where it is finished. What would have to be
made anew because settings or files have changed is said before anything is measured.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from leela_probe.files import bundled, manifests, progress_display, store
from leela_probe.files.progress import Progress
from leela_probe.files.store import PlanChangedError
from leela_probe.networks import network
from leela_probe.study import contents, derived, page
from leela_probe.study.chapter import LeftOut, Measurement
from leela_probe.study.records import BEGUN, DONE, LEFT_OUT, Record, Records
from leela_probe.study.study import Networks, Study

__all__ = ["ShowProgress", "check", "finished", "in_one_call", "reproduce"]

ShowProgress = Callable[[str], AbstractContextManager[Progress]]
"""Opens a display of the progress of a stage."""


def reproduce(
    study: Study,
    networks: Networks,
    records: Records,
    *,
    only: str | None = None,
    overwrite: bool = False,
    show: ShowProgress = lambda name: nullcontext(lambda done, total, counts: None),
    report: Callable[[Record, bool], object] = lambda record, fresh: None,
) -> list[Record]:
    """Measures what is not measured yet; makes tables, figures and page anew.

    Args:
        study: the study.
        networks: its networks.
        records: open, of the study's folder.
        only: a single stage; those before it must be finished with these settings.
        overwrite: replace results of other files, settings or versions.
        show: opens a display of progress.
        report: called with the record of each stage, and whether anything was done for it now.

    Returns:
        The records of the stages.

    Raises:
        ValueError: see `check`.
    """
    chosen = check(study, networks, records, only=only, overwrite=overwrite)
    done = []
    for measurement in chosen:
        with show(measurement.name) as progress:
            record, fresh = _measure(measurement, study, networks, records, progress, overwrite)
        report(record, fresh)
        done.append(record)
    if only in (None, contents.DERIVED):
        record = derived.make(study, networks, records)
        report(record, True)
        done.append(record)
    return done


def in_one_call(study: Study, *, overwrite: bool = False, progress: bool | None = None) -> Path:
    """The page of a whole study, after all that is not done yet is done.

    Args:
        study: the puzzles, the two networks, the folder and the settings; names of files that come
            with the package, such as `bundled:mates`, are fine.
        overwrite: replace results of other files, settings or versions.
        progress: by default a bar is shown in a terminal or notebook; with False nothing.

    Raises:
        PlanChangedError, ValueError: see `check`.
        FileNotFoundError: if a file that it starts from is not there.

    Example:
        >>> import leela_probe as lp
        >>> study = lp.Study(
        ...     dump=Path("bundled:mates"),
        ...     strong=Path("bundled:strong"),
        ...     weak=Path("bundled:weak"),
        ...     out=Path("study"),
        ...     criteria=lp.Criteria(forcing=0.0),
        ...     limit=200,
        ... )
        >>> lp.reproduce(study).name  # doctest: +SKIP
        'index.html'
    """
    study = dataclasses.replace(
        study,
        dump=bundled.resolve(study.dump),
        strong=bundled.resolve(study.strong),
        weak=bundled.resolve(study.weak),
    )
    networks = Networks(study, partial(network.load, device=study.device, dtype=study.dtype))
    with Records(study.out) as records:
        reproduce(
            study,
            networks,
            records,
            overwrite=overwrite,
            show=lambda name: progress_display.shown(progress, name),
        )
    return study.table(page.NAME)


def check(
    study: Study,
    networks: Networks,
    records: Records,
    *,
    only: str | None = None,
    overwrite: bool = False,
) -> list[Measurement]:
    """The measurements that `reproduce` would go through, before anything is done.

    Raises:
        PlanChangedError: if finished or begun work is of other files, settings or versions, and
            `overwrite` is not set; the message says what differs.
        ValueError: if there is no such stage, one that it needs is not finished with these
            settings, or the network has not the head that is asked for.
    """
    every = contents.measurements()
    if only is not None:
        _check_before(only, study, records)
        every = [each for each in every if each.name == only]
    if not overwrite:
        _refuse_loss(every, study, records)
    for measurement in every:
        if not _is_finished(measurement, study, records):
            measurement.check(study, networks)
    return every


def finished(study: Study, records: Records) -> list[str]:
    """The names of the measurements that are finished with these files, settings and versions."""
    every = contents.measurements()
    return [each.name for each in every if _is_finished(each, study, records)]


def _check_before(only: str, study: Study, records: Records) -> None:
    """Refuses a stage if one that it needs is not finished."""
    every = contents.measurements()
    if only not in contents.stages():
        raise ValueError(f"no stage {only!r}: choose {', '.join(contents.stages())}")
    if only == contents.DERIVED:
        needed = {each.name for each in every if _any_record(each, records)} | {"corrupt"}
    else:
        (own,) = (each for each in every if each.name == only)
        needed = set(own.needs)
    for measurement in reversed(every):
        needed |= set(measurement.needs) if measurement.name in needed else set()
    for measurement in every:
        if measurement.name in needed and not _is_finished(measurement, study, records):
            name = measurement.name
            raise ValueError(
                f"the stage {only} needs {name}, which is not done with these inputs and options: "
                f"run it first (--stage {name}), or all of them"
            )


def _any_record(measurement: Measurement, records: Records) -> Record | None:
    return records.result(measurement.name) or records.begun(measurement.name)


def _is_finished(measurement: Measurement, study: Study, records: Records) -> bool:
    record = records.result(measurement.name)
    if record is None or record.plan != _plan(measurement, study, records):
        return False
    return record.state == LEFT_OUT or study.table(measurement.table).is_file()


def _refuse_loss(every: Sequence[Measurement], study: Study, records: Records) -> None:
    """Raises an error if the work of a measurement would have to be made anew."""
    changed = {each.name: why for each in every if (why := _lost(each, study, records))}
    if not changed:
        return
    behind = set(changed)
    for each in every:
        behind |= {each.name} if behind & set(each.needs) else set()
    after = [
        each.name
        for each in every
        if each.name in behind - set(changed) and _any_record(each, records)
    ]
    reasons = "; ".join(f"{name} ({', '.join(why)})" for name, why in changed.items())
    raise PlanChangedError(
        f"{str(study.out)!r} holds work that would have to be made anew: {reasons}"
        + (f"; and what follows from that: {', '.join(after)}" if after else "")
        + ". Choose another folder, or say that it shall be overwritten"
    )


def _lost(measurement: Measurement, study: Study, records: Records) -> list[str]:
    """How the plan of a finished or unfinished table differs from the plan now."""
    plan, table = _plan(measurement, study, records), study.table(measurement.table)
    for record, path in (
        (records.result(measurement.name), table),
        (records.begun(measurement.name), store.partial_path(table)),
    ):
        if record is not None and path.exists() and record.plan != plan:
            return [*_differences(record.plan, plan)]
    return []


def _differences(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """How two plans differ, in words; of files, only which."""
    files = {**earlier["inputs"], **now["inputs"]}
    for role in files:
        if earlier["inputs"].get(role) != now["inputs"].get(role):
            yield f"another {role}"
    for part in ("settings", "versions"):
        yield from manifests.differences(earlier[part], now[part])


def _plan(measurement: Measurement, study: Study, records: Records) -> dict[str, Any]:
    """What a measurement is made from."""
    files = {"dump": study.dump, "strong": study.strong, "weak": study.weak}
    inputs = {role: records.sha256(files[role]) for role in measurement.inputs}
    for name in measurement.needs:
        record = records.result(name)
        if record is not None:
            inputs[name] = record.reason or records.sha256(study.table(record.table or ""))
    settings = dict(measurement.settings(study))
    plan = {"inputs": inputs, "settings": settings, "versions": manifests.versions()}
    return dict(json.loads(json.dumps(plan)))


def _measure(
    measurement: Measurement,
    study: Study,
    networks: Networks,
    records: Records,
    progress: Progress,
    overwrite: bool,
) -> tuple[Record, bool]:
    """Does one measurement; its record, and whether anything was done."""
    name, plan = measurement.name, _plan(measurement, study, records)
    known = records.result(name)
    current = known is not None and _is_finished(measurement, study, records)
    if not current:
        records.begin(Record(name=name, state=BEGUN, plan=plan, table=measurement.table))
    start = time.monotonic()
    before = [records.result(each) for each in measurement.needs]
    reasons = [each.reason for each in before if each is not None and each.state == LEFT_OUT]
    if reasons:
        outcome: Any = LeftOut(reason=reasons[0])
    else:
        outcome = measurement.measure(study, networks, progress, overwrite)
    if isinstance(outcome, LeftOut):
        _discard(study.table(measurement.table))
        record = Record(name=name, state=LEFT_OUT, plan=plan, reason=outcome.reason)
        fresh = not current
    else:
        record = Record(
            name=name,
            state=DONE,
            plan=plan,
            table=measurement.table,
            counts=dict(outcome.finished.counts),
            rows=outcome.finished.rows,
            note=outcome.note,
            seconds=round(time.monotonic() - start, 3),
        )
        fresh = not (current and outcome.finished.reused)
    if known is not None and not fresh:
        return known, False
    records.end(record)
    return record, fresh


def _discard(table: Path) -> None:
    """Removes a table that no longer applies, with what lies beside it, finished or not."""
    manifest = manifests.manifest_path(table)
    beside = manifests.read(manifest).get("beside", {}) if manifest.is_file() else {}
    for path in (table, *(table.with_name(name) for name in beside), manifest):
        path.unlink(missing_ok=True)
    shutil.rmtree(store.partial_path(table), ignore_errors=True)
