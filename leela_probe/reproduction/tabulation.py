"""The step that turns effects into the tables that figures, comparison and page are made of.

Stands on `summaries`, `study`, `ledger`, `files` and `puzzles`; loads without torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import pandas as pd

from leela_probe.experiments.effect_tables import MEASURED
from leela_probe.files import disk, store
from leela_probe.probing import accuracies
from leela_probe.puzzles import criteria, partners
from leela_probe.puzzles import pairs as pair_files
from leela_probe.puzzles.pairs import Pair
from leela_probe.reproduction import margins, summaries
from leela_probe.reproduction.ledger import Outcome
from leela_probe.reproduction.study import Study
from leela_probe.statistics import stats

__all__ = ["THRESHOLDS", "funnel", "kept", "make", "options_of", "read", "write"]

THRESHOLDS = (0.0, 0.5, 1.0, 1.5, 2.0)
"""Log-odds reductions in nats; the paper speaks of 1.5."""

_ABLATIONS = (
    ("entry", "label", "3->1", ("all other entries",)),
    ("entry-win", "label", "3->1", ("all other entries",)),
    ("piece-heads", "control", "own heads", ("other pieces' heads", "random column")),
)  # fmt: skip


def make(study: Study) -> Outcome:
    """All tables of a study that its finished steps allow, in the folder `tables`."""
    folder = study.table("tables")
    folder.mkdir(exist_ok=True)
    made: dict[str, pd.DataFrame] = {"funnel": funnel(study)}
    facts: dict[str, Any] = {}
    draws = {"resamples": study.resamples, "seed": study.seed}
    puzzles = pd.read_parquet(
        study.table("pairs.parquet"), columns=["puzzle_id", "verdict", "pattern", "rating"]
    )
    found = puzzles[puzzles["verdict"] == "found"]
    if not found.empty:
        made["patterns"] = summaries.pattern_counts(found["pattern"])
    residual, pairs = study.table("residual.parquet"), study.table("pairs.parquet")
    if _measured(residual):
        made["residual"], facts["residual"] = summaries.residual(residual, pairs, **draws)
        made["plies"] = summaries.ply_curves(residual, **draws)
        made["ply_margins"] = margins.of_plies(residual, **draws)
    heads = study.table("heads.parquet")
    if _measured(heads):
        made["heads"] = summaries.heads(heads, **draws)
        made["heads_by_pattern"] = summaries.heads_by_pattern(
            heads, found.set_index("puzzle_id")["rating"], minimum=study.minimum, **draws
        )
    shares, differences = [], []
    for name, curves, of, against in _ABLATIONS:
        path = study.table(f"{name}.parquet")
        if not _measured(path):
            continue
        on = "held out" if options_of(path).get("chosen", "").startswith("largest") else "all"
        made[name] = summaries.percentiles(path, on=on, curves=curves)
        for targets in ("all", "differing"):
            share = summaries.shares(
                path,
                thresholds=THRESHOLDS,
                on=on,
                curves=curves,
                differing=targets == "differing",
                **draws,
            )
            shares.append(share.assign(sweep=name, on=on, targets=targets))
        difference = margins.of_ablation(path, of, against, on=on, curves=curves, **draws)
        differences.append(difference.assign(sweep=name, on=on))
        if name == "entry":
            made["entry_patterns"] = summaries.by_pattern(
                path, "3->1", on=on, minimum=study.minimum, **draws
            )
    if shares:
        made["shares"] = pd.concat([one for one in shares if not one.empty], ignore_index=True)
        made["ablation_margins"] = pd.concat(differences, ignore_index=True)
    predictions = study.table("probes/predictions.parquet")
    if predictions.is_file():
        folds = study.recipe.folds
        made["probes"] = accuracies.of_predictions(
            pd.read_parquet(predictions),
            kept(study),
            preset=study.recipe_name,
            split="ordered" if folds is None else f"{folds} folds by game",
            subsets=("all", "differing", "different", "same"),
            tops=(1,),
            **draws,
        )
    paths = [folder / f"{name}.csv" for name in made]
    for path, table in zip(paths, made.values(), strict=True):
        write(table, path)
    return Outcome(outputs=paths, facts=facts)


def funnel(study: Study) -> pd.DataFrame:
    """What became of the puzzles, question by question, from the dump to the partners.

    Returns:
        As `stats.exclusion_flow`, with `meaning`, the question in words.
    """
    asked, searched = study.criteria, study.search
    meanings = {
        "malformed": "cannot be read",
        "mate_in_1": "mate in one, by its theme",
        "too_short": f"solution shorter than {asked.plies} plies",
        "not_hard": f"weak network: first move at {asked.hard:g} or more",
        "not_correct": f"strong network: one of the solver's moves at {asked.correct:g} or less",
        "not_forcing": f"weak network: the answer at {asked.forcing:g} or less",
        "no_candidate": "no change leaves the first move legal",
        "weak_notices": f"weak network notices every change (log odds fall {searched.log_odds:g})",
        "strong_unmoved": "strong network notices none of the others",
    }
    counts: dict[str, int] = {}
    found = 0
    for name, verdicts in (("filtered", criteria.VERDICTS), ("pairs", partners.VERDICTS)):
        of_stage = json.loads(
            store.manifest_path(study.table(f"{name}.parquet")).read_text(encoding="utf-8")
        )["counts"]
        for verdict in verdicts:
            if verdict in ("kept", "further"):
                continue
            if verdict == "found":
                found = of_stage[verdict]
            else:
                counts[verdict] = counts.get(verdict, 0) + of_stage[verdict]
    reasons = [name for name, count in counts.items() for _ in range(count)]
    flow = stats.exclusion_flow(pd.Series([*reasons, *[None] * found], dtype=object), list(counts))
    words = ["rows of the dump", *(meanings[name] for name in counts)]
    return flow.assign(meaning=words)


def kept(study: Study) -> list[Pair]:
    """The puzzles that the filter kept."""
    try:
        return pair_files.read(study.table("filtered.parquet"))
    except ValueError:  # none
        return []


def options_of(path: Path) -> Mapping[str, Any]:
    """The options in the manifest of a table; none where there is no manifest."""
    manifest = store.manifest_path(path)
    if not manifest.is_file():
        return {}
    options = json.loads(manifest.read_text(encoding="utf-8"))["options"]
    assert isinstance(options, dict)
    return options


def read(study: Study, name: str) -> pd.DataFrame | None:
    """A table of a study by its name, such as "heads"; None if it has none."""
    path = study.table(f"tables/{name}.csv")
    if not path.is_file():
        return None
    text = {"pattern": str, "game_id": str, "puzzle_id": str, "against": str, "reason": object}
    return pd.read_csv(path, dtype=text)


def write(table: pd.DataFrame, path: Path) -> None:
    """Writes a table as CSV (seven digits) or Parquet, whole or not at all."""

    def content(file: BufferedIOBase) -> None:
        if path.suffix == ".parquet":
            table.to_parquet(file, index=False)
        else:
            text = table.to_csv(index=False, float_format="%.7g", lineterminator="\n")
            file.write(text.encode())

    disk.write(path, content, temporary=path.with_name(f".{path.name}.tmp"))


def _measured(path: Path) -> int:
    manifest = store.manifest_path(path)
    if not path.is_file() or not manifest.is_file():
        return 0
    return int(json.loads(manifest.read_text(encoding="utf-8"))["counts"].get(MEASURED, 0))
