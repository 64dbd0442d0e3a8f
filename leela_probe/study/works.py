"""What the measuring steps of a study do: each makes one table."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pandas as pd

from leela_probe.experiments import (
    attention_reading,
    attention_tables,
    effects,
    held_out,
    piece_heads,
    sweeps,
)
from leela_probe.experiments.sweeps import Sweep
from leela_probe.files import manifests, store
from leela_probe.files.progress import Progress
from leela_probe.files.store import Finished
from leela_probe.probing import stage as probe_stage
from leela_probe.puzzles import corruptions, filters
from leela_probe.puzzles import pairs as pair_files
from leela_probe.study import attention_rows, summaries, tabulation
from leela_probe.study.ledger import Outcome
from leela_probe.study.study import PAPER_HEAD, Networks, Study

__all__ = [
    "Made", "Shown", "attention", "check_head", "corrupt", "effects_of", "entry_sweep",
    "filter_puzzles", "piece_sweep", "probes", "relations",
]  # fmt: skip

Shown = Callable[[str], AbstractContextManager[Progress]]
"""Opens a display of how far a step is."""

Made = Sweep | tuple[Sweep, dict[str, object]] | str
"""A sweep, what it was made with for the manifest, or why there is none."""

_FEWEST_PROBED = 50
_MOST_READ, _READ_AT_ONCE = 2000, 128
_RELATIONS = ("3->1", "1->3", "5->1")


def _table(path: Path, resumed: bool, make: Callable[[], Finished]) -> Outcome:
    """A stage of `files.store`; what it left when it was cut off is used."""
    manifest = manifests.manifest_path(path)
    done = resumed and path.exists() and manifest.exists()
    if not done or store.partial_path(path).exists():
        make()
    facts = json.loads(manifest.read_text(encoding="utf-8"))
    return Outcome(
        outputs=[path, manifest],
        facts={
            "counts": facts["counts"],
            "rows": facts["rows"],
            "options": facts["options"],
        },
    )


def filter_puzzles(study: Study, networks: Networks, shown: Shown, resumed: bool) -> Outcome:
    """A verdict for every row of the dump."""
    out = study.table("filtered.parquet")

    def make() -> Finished:
        with shown("filter") as progress:
            return filters.filter_puzzles(
                study.dump,
                out,
                strong=networks.strong,
                weak=networks.weak,
                criteria=study.criteria,
                limit=study.limit,
                workers=study.workers,
                overwrite=True,
                progress=progress,
            )

    return _table(out, resumed, make)


def corrupt(study: Study, networks: Networks, shown: Shown, resumed: bool) -> Outcome:
    """The corrupted partner of every puzzle that was kept."""
    out = study.table("pairs.parquet")

    def make() -> Finished:
        with shown("corrupt") as progress:
            return corruptions.corrupt(
                study.table("filtered.parquet"),
                out,
                strong=networks.strong,
                weak=networks.weak,
                search=study.search,
                workers=study.workers,
                overwrite=True,
                progress=progress,
            )

    return _table(out, resumed, make)


def effects_of(
    study: Study,
    networks: Networks,
    shown: Shown,
    name: str,
    make_sweep: Callable[[], Made],
    more: dict[str, Any],
    resumed: bool,
) -> Outcome:
    """The effects of one sweep, or why it does not apply.

    Args:
        study: what is asked for.
        networks: its networks.
        shown: see `Shown`.
        name: of the step and its table.
        make_sweep: makes the sweep once the networks are known.
        more: `attention` if it takes attention heads, and `measure`.
        resumed: see `ledger.Step`.
    """
    if not _found(study):
        return Outcome(reason="no puzzle has a corrupted partner")
    if more.get("attention") and not networks.strong.heads:
        return Outcome(
            reason=f"{networks.strong.name} is a {networks.strong.body} and has no attention heads"
        )
    measure = more.get("measure", "log_odds")
    if measure == "win_log_odds" and not networks.has_wdl():
        return Outcome(reason=f"{networks.strong.name} has no WDL head")
    made = make_sweep()
    if isinstance(made, str):
        return Outcome(reason=made)
    sweep, options = made if isinstance(made, tuple) else (made, {})
    out = study.table(f"{name}.parquet")

    def make() -> Finished:
        with shown(name) as progress:
            return effects.sweep(
                networks.strong,
                study.table("pairs.parquet"),
                dataclasses.replace(sweep, options=options),
                out,
                effects.Settings(
                    measure=measure,
                    history=study.criteria.strong_history,
                    batch_size=study.batch_size,
                    seed=study.seed,
                ),
                overwrite=True,
                progress=progress,
            )

    made_now = _table(out, resumed, make)
    facts = {**made_now.facts, "unmeasured": sweep.reason}
    return Outcome(outputs=made_now.outputs, facts=facts)


def _found(study: Study) -> int:
    manifest = manifests.manifest_path(study.table("pairs.parquet"))
    return int(json.loads(manifest.read_text(encoding="utf-8"))["counts"]["found"])


def check_head(study: Study, networks: Networks) -> None:
    """Refuses a head that the strong network has not.

    Raises:
        ValueError: if it has attention heads and not the one that is asked for.
    """
    if study.head is not None and networks.strong.heads:
        sweeps.entry(networks.strong, *study.head)


def entry_sweep(study: Study, networks: Networks) -> Made:
    """The ablation of E3 in the head asked for, or in that chosen on half of the games."""
    chosen = "given"
    head = study.head
    if head is None and study.preset == "jenner2024" and networks.has_papers_shape():
        head, chosen = PAPER_HEAD, "the paper's"
    if head is None:
        found = summaries.strongest_head(study.table("heads.parquet"))
        if found is None:
            return "too few puzzles to choose a head on one half of the games and test the other"
        head, chosen = found, "largest mean effect on half of the games"
    options: dict[str, object] = {"head": f"{head[0]}.{head[1]}", "chosen": chosen}
    return sweeps.entry(networks.strong, *head), options


def _piece_lists(study: Study, networks: Networks) -> dict[str, Any]:
    if study.preset == "jenner2024" and networks.has_papers_shape():
        return dict(piece_heads.JENNER2024)
    boards = held_out.boards(64, seed=study.seed)
    table = piece_heads.scores(networks.strong, boards, history=study.criteria.strong_history)
    return dict(piece_heads.choose(table, least=study.share))


def piece_sweep(study: Study, networks: Networks) -> Made:
    """The ablation of E4, in the heads that follow a piece by the rule or the paper."""
    lists = _piece_lists(study, networks)
    if not any(lists.values()):
        return (
            f"no head of {networks.strong.name} gives at least {study.share:g} of its attention "
            "to a piece's moves on 64 positions of random play"
        )
    options: dict[str, object] = {
        "heads": {piece: [list(each) for each in found] for piece, found in lists.items()}
    }
    return sweeps.piece_heads(networks.strong, lists, seed=study.seed), options


def attention(study: Study, networks: Networks, resumed: bool) -> Outcome:
    """Rows of patterns for figure 6."""
    if not _found(study):
        return Outcome(reason="no puzzle has a corrupted partner")
    if not networks.strong.heads:
        return Outcome(
            reason=f"{networks.strong.name} is a {networks.strong.body} and has no attention heads"
        )
    pairs = pair_files.read(study.table("pairs.parquet"))
    lists = _piece_lists(study, networks)
    table = attention_rows.draw(
        networks.strong, pairs, lists, history=study.criteria.strong_history, seed=study.seed
    )
    if table.empty:
        return Outcome(reason="no head follows a piece's moves")
    out = study.table("attention.parquet")
    tabulation.write(table, out)
    return Outcome(outputs=[out], facts={"heads": int(table["head"].nunique())})


def relations(study: Study, networks: Networks, shown: Shown, resumed: bool) -> Outcome:
    """What every head has at the entries between the targets, untouched, and their ranks (T6).

    Of large studies some puzzles are drawn at random, whole pairs of squares each.
    """
    if not _found(study):
        return Outcome(reason="no puzzle has a corrupted partner")
    if not networks.strong.heads:
        return Outcome(
            reason=f"{networks.strong.name} is a {networks.strong.body} and has no attention heads"
        )
    pairs = pair_files.read(study.table("pairs.parquet"))
    if len(pairs) > _MOST_READ:
        pairs = random.Random(study.seed).sample(pairs, _MOST_READ)
    pairs = [pair for pair in pairs if len(pair.line) >= 3]
    if not any(len({*map(pair.target, (1, 3))}) == 2 for pair in pairs):
        return Outcome(reason="no puzzle has a third move that goes elsewhere than the first")

    def parts(progress: Progress) -> Iterator[pd.DataFrame]:
        for start in range(0, len(pairs), _READ_AT_ONCE):
            some = pairs[start : start + _READ_AT_ONCE]
            table = attention_reading.measure(
                networks.strong,
                some,
                plies=(1, 3, 5),
                attribution=False,
                history=study.criteria.strong_history,
                seed=study.seed,
            )
            progress(start + len(some), len(pairs), {})
            yield table[table["relation"].isin(_RELATIONS)]

    with shown("relations") as progress:
        summary = attention_tables.summary(parts(progress), tops=(1, 10))
    out = study.table("relations.parquet")
    tabulation.write(summary.drop(columns=["elsewhere", "attribution"]), out)
    return Outcome(outputs=[out], facts={"puzzles": len(pairs)})


def probes(study: Study, networks: Networks, shown: Shown, resumed: bool) -> Outcome:
    """Predictions of probes and controls on puzzles that they were not trained on."""
    kept = len(tabulation.kept(study))
    if kept < _FEWEST_PROBED:
        return Outcome(reason=f"{kept} puzzles are too few to train probes: {_FEWEST_PROBED} do")
    folder = study.table("probes")
    folder.mkdir(exist_ok=True)
    out = folder / probe_stage.PREDICTIONS

    def make() -> Finished:
        with shown("probes") as progress:
            finished, _ = probe_stage.probe(
                networks.strong,
                study.table("filtered.parquet"),
                folder,
                probe_stage.Settings(
                    recipe=study.recipe,
                    random_networks=study.random_networks,
                    history=study.criteria.strong_history,
                    seed=study.seed,
                ),
                overwrite=True,
                progress=progress,
            )
            return finished

    made = _table(out, resumed, make)
    return Outcome(
        outputs=[*made.outputs, folder / probe_stage.PROBES],
        facts={"puzzles": kept, "preset": study.recipe_name},
    )
