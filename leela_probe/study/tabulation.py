"""The step that turns effects into the tables that figures, comparison and page are made of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import pandas as pd

from leela_probe.experiments.effect_tables import MEASURED
from leela_probe.files import disk, manifests
from leela_probe.probing import accuracies
from leela_probe.puzzles import criteria, partners
from leela_probe.puzzles import pairs as pair_files
from leela_probe.puzzles.pairs import Pair
from leela_probe.statistics import stats
from leela_probe.study import margins, summaries
from leela_probe.study.ledger import BEGUN, LEFT_OUT, Ledger, Outcome
from leela_probe.study.study import Study

__all__ = [
    "THRESHOLDS",
    "finished",
    "funnel",
    "kept",
    "make",
    "options_of",
    "read",
    "skip_rules",
    "why_not",
    "write",
]

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
        study.table("pairs.parquet"), columns=["puzzle_id", "verdict", "target_pattern", "rating"]
    )
    found = puzzles[puzzles["verdict"] == "found"]
    if not found.empty:
        made["target_patterns"] = summaries.target_pattern_counts(found["target_pattern"])
        made["rules"] = skip_rules(pair_files.read(study.table("pairs.parquet")))
    pairs = study.table("pairs.parquet")
    if (residual := _measured(study, "residual")) is not None:
        made["residual"], facts["residual"] = summaries.residual(residual, pairs, **draws)
        made["plies"] = summaries.ply_curves(residual, **draws)
        made["ply_margins"] = margins.of_plies(residual, **draws)
    if (heads := _measured(study, "heads")) is not None:
        made["heads"] = summaries.heads(heads, **draws)
        made["heads_by_target_pattern"] = summaries.heads_by_target_pattern(
            heads, found.set_index("puzzle_id")["rating"], minimum=study.minimum, **draws
        )
    shares, differences = [], []
    for name, curves, of, against in _ABLATIONS:
        path = _measured(study, name)
        if path is None:
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
            made["entry_target_patterns"] = summaries.by_target_pattern(
                path, "3->1", on=on, minimum=study.minimum, **draws
            )
    if shares:
        made["shares"] = pd.concat([one for one in shares if not one.empty], ignore_index=True)
        made["ablation_margins"] = pd.concat(differences, ignore_index=True)
    if (predictions := finished(study, "probes/predictions.parquet")) is not None:
        folds = study.recipe.folds
        made["probes"] = accuracies.of_predictions(
            pd.read_parquet(predictions),
            kept(study),
            preset=study.recipe_name,
            split="ordered" if folds is None else f"{folds} folds by game",
            subsets=("all", "differing", "different", "same"),
            tops=(1, 3),
            **draws,
        )
    if (relations := finished(study, "relations.parquet")) is not None:
        of_largest = {"low1": "low", "high1": "high"}
        made["relations"] = pd.read_parquet(relations).rename(columns=of_largest)
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
        "duplicate_id": "an earlier row has the same id",
        "mate_in_1": "mate in one, by its theme",
        "too_short": f"solution shorter than {asked.plies} plies",
        "not_hard": f"weak network: first move at {asked.hard:g} or more",
        "not_correct": f"strong network: one of the solver's moves at {asked.correct:g} or less",
        "not_forcing": f"weak network: the answer at {asked.forcing:g} or less",
        "not_favourite": "strong network likes another move better without the game before it",
        "no_candidate": "no change leaves the first move legal",
        "weak_notices": f"weak network notices every change (log odds fall {searched.log_odds:g})",
        "strong_unmoved": "strong network notices none of the others",
    }
    counts: dict[str, int] = {}
    found = 0
    for name, verdicts in (("filtered", criteria.VERDICTS), ("pairs", partners.VERDICTS)):
        of_stage = json.loads(
            manifests.manifest_path(study.table(f"{name}.parquet")).read_text(encoding="utf-8")
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
    words = ["rows of the dump", *(meanings.get(name, name.replace("_", " ")) for name in counts)]
    return flow.assign(meaning=words)


def skip_rules(pairs: Sequence[Pair]) -> pd.DataFrame:
    """How many puzzles E1 keeps by the paper's rule, and if the third target alone counts as later.

    Returns:
        Columns rule, n (kept), total, share, low, high (Wilson's 95 % interval).
    """
    kept_by = {"any later move": 0, "third target alone": 0}
    for pair in pairs:
        kept_by["any later move"] += summaries.paper_squares(pair) is not None
        first, third = pair.target(1), pair.target(3)
        apart = first is not None and third is not None and first != third
        kept_by["third target alone"] += apart and not {first, third} & {*pair.changed_squares()}
    rows = [
        {"rule": rule, "n": count, "total": len(pairs), "share": count / len(pairs),
         **_share_interval(count, len(pairs))}
        for rule, count in kept_by.items()
    ]  # fmt: skip
    return pd.DataFrame(rows)


def _share_interval(count: int, total: int) -> dict[str, float]:
    from scipy.stats import binomtest

    interval = binomtest(int(count), int(total)).proportion_ci(method="wilson")
    return {"low": float(interval.low), "high": float(interval.high)}


def why_not(study: Study, step: str) -> str | None:
    """Why a step has measured nothing; None if it has."""
    record = Ledger(study.out).record(step)
    if record is None or record.state == BEGUN:
        return f"the step {step} is not done"
    if record.state == LEFT_OUT:
        return (record.reason or "").rstrip(".")
    counts = dict(record.facts.get("counts", {}))
    if MEASURED not in counts or counts[MEASURED]:
        return None
    what = ", ".join(
        f"{name.replace('_', ' ')} {count:,}" for name, count in counts.items() if count
    )
    said = str(record.facts.get("unmeasured", ""))
    return f"none of {sum(counts.values()):,} puzzles could be measured: {said or what}"


def kept(study: Study) -> list[Pair]:
    """The puzzles that the filter kept."""
    try:
        return pair_files.read(study.table("filtered.parquet"))
    except ValueError:  # none
        return []


def finished(study: Study, file: str) -> Path | None:
    """A file of the study, if a step that is done has made it; see `ledger.Ledger.find`."""
    return Ledger(study.out).find(file)


def options_of(path: Path) -> Mapping[str, Any]:
    """The options in the manifest of a table; none where there is no manifest."""
    manifest = manifests.manifest_path(path)
    if not manifest.is_file():
        return {}
    options = json.loads(manifest.read_text(encoding="utf-8"))["options"]
    assert isinstance(options, dict)
    return options


def read(study: Study, name: str) -> pd.DataFrame | None:
    """A table of a study by its name, such as "heads"; None if it has none."""
    path = finished(study, f"tables/{name}.csv")
    if path is None:
        return None
    text = {
        "target_pattern": str,
        "game_id": str,
        "puzzle_id": str,
        "against": str,
        "reason": object,
    }
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


def _measured(study: Study, name: str) -> Path | None:
    """The table of a sweep that is done and has measured a puzzle."""
    path = finished(study, f"{name}.parquet")
    if path is None:
        return None
    counts = json.loads(manifests.manifest_path(path).read_text(encoding="utf-8"))["counts"]
    return path if counts.get(MEASURED, 0) else None
