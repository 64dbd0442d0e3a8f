"""E5: whether the third move can be read out of activations of the position before the first."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from leela_probe.experiments import held_out
from leela_probe.figures import probe_figures
from leela_probe.files import tables as table_files
from leela_probe.files.progress import Progress
from leela_probe.probing import accuracies, prediction_tables
from leela_probe.probing import stage as probe_stage
from leela_probe.puzzles import pairs as pair_files
from leela_probe.puzzles.pairs import Pair
from leela_probe.study import estimates, published, wording
from leela_probe.study.chapter import (
    Chapter,
    Drawn,
    LeftOut,
    Measured,
    Measurement,
    Rates,
    Shown,
    Tables,
    Undrawn,
)
from leela_probe.study.measurements import computing
from leela_probe.study.results import Results
from leela_probe.study.study import Networks, Study
from leela_probe.study.subsets import SPLIT_NAMES

__all__ = ["CHAPTER"]

_FEWEST = 50
_FOLDER = "probes"
_SUBSETS = {"all": "all", "different": "different_targets", "same": "same_targets"}
_KINDS = {
    "target": "target",
    "source": "source, true target told",
    "source given predicted target": "source, predicted target told",
    "joint": "target and source",
}
_CONTROLS = ("random weights", "input planes", "legal moves")


# Measuring


def _measure(
    study: Study, networks: Networks, progress: Progress, overwrite: bool
) -> Measured | LeftOut:
    kept = len(_kept(study))
    if kept < _FEWEST:
        return LeftOut(reason=f"{kept} puzzles are too few to train probes: {_FEWEST} do")
    finished, _ = probe_stage.probe(
        networks.strong,
        study.table("filtered.parquet"),
        study.table(_FOLDER),
        probe_stage.Settings(
            recipe=study.recipe,
            random_networks=study.random_networks,
            history=study.criteria.strong_history,
            seed=study.seed,
        ),
        overwrite=overwrite,
        progress=progress,
    )
    return Measured(finished=finished)


def _kept(study: Study) -> list[Pair]:
    """The puzzles that the filter kept."""
    try:
        return pair_files.read(study.table("filtered.parquet"))
    except ValueError:  # none
        return []


def _settings(study: Study) -> dict[str, object]:
    return {
        **computing(study),
        "preset": study.recipe_name,
        "random_networks": study.random_networks,
        "epochs": study.epochs,
    }


def _seconds_each(study: Study, networks: Networks, rates: Rates) -> float:
    strong = networks.strong
    boards = held_out.boards(8, seed=0)
    sites = [f"layer{layer}.residual_after" for layer in range(strong.layers)]
    capture = estimates.seconds_of(lambda: strong.capture(boards, sites)) / len(boards)
    return (2 + study.random_networks) * (capture + 0.02)


# Tables


def _tabulate(results: Results) -> Iterator[tuple[str, pd.DataFrame]]:
    path, study = results.path("probes"), results.study
    if path is not None:
        folds = study.recipe.folds
        yield (
            "probes",
            accuracies.of_predictions(
                table_files.read(path, prediction_tables.SCHEMA),
                _kept(study),
                preset=study.recipe_name,
                split="ordered" if folds is None else f"{folds} folds by game",
                subsets=("all", "differing", "different", "same"),
                tops=(1, 3),
                **results.draws,
            ),
        )


# Figures


def _figures(results: Results, tables: Tables) -> Iterator[Drawn | Undrawn]:
    table = tables.get("probes")
    if table is None or table.empty:
        reason = results.why_not("probes") or "nothing was predicted"
        yield Undrawn(title="Figure 8", reason=reason)
        return
    for subset, split in _SUBSETS.items():
        if not ((table["subset"] == subset) & (table["kind"] == "joint")).any():
            continue
        yield Drawn(
            name="figure8_probes" if subset == "all" else f"appendix_probes_{subset}",
            title="Figure 8: the third move read out of activations"
            if subset == "all"
            else f"Appendix: {SPLIT_NAMES[split]}",
            caption="Share of puzzles of which a bilinear probe names target and source of the "
            "third move, both right, on puzzles that it was not trained on.",
            figure=probe_figures.accuracy_by_layer(table, subset=subset),
        )
    if ((table["subset"] == "differing") & (table["kind"] == "joint")).any():
        yield Drawn(
            name="probes_kinds",
            wide=True,
            title="Beyond the paper: target and source apart",
            caption="Puzzles whose first and third target differ. The source is asked for once "
            "with the true target told, as probes are trained, and once with the predicted one.",
            figure=probe_figures.accuracy_panels(table, subset="differing"),
        )


# Words


def _summary(tables: Tables) -> str:
    rows = _differing(tables)
    every = rows[(rows["kind"] == "joint") & (rows["top"] == 1)]
    values = every[every["against"] == ""]
    own = values[(values["control"] == "none") & values["layer"].notna()]
    if own.empty:
        return ""
    best = own.loc[own["accuracy"].idxmax()]
    text = (
        f"Probes read the third move, both squares right, in {wording.percent(best, 'accuracy')} "
        f"of {int(best['n']):,} puzzles whose first and third target differ, at best "
        f"({wording.layer_name(int(best['layer']))})"
    )
    drawn = values[(values["control"] == "random weights") & (values["layer"] == best["layer"])]
    others = [("random weights at that place", row) for _, row in drawn.iterrows()]
    for control in ("input planes", "legal moves"):
        flat = values[values["control"] == control]
        if not flat.empty:
            others.append((control, flat.loc[flat["accuracy"].idxmax()]))
    if others:
        shares = [f"{name} {wording.percent(row, 'accuracy')}" for name, row in others]
        text += f"; {', '.join(shares)}"
    margin = every[(every["against"] == "random weights") & (every["layer"] == best["layer"])]
    if not margin.empty:
        row = margin.iloc[0]
        text += (
            f". Above random weights, puzzle by puzzle: {wording.points(row)}{wording.verdict(row)}"
        )
    return text + "."


def _short_tables(tables: Tables) -> Iterator[Shown]:
    """Every question about the third move, where both squares are read best, over its controls."""
    rows = _differing(tables)
    own = rows[(rows["control"] == "none") & rows["layer"].notna()]
    joint = own[(own["kind"] == "joint") & (own["top"] == 1) & (own["against"] == "")]
    if joint.empty:
        return
    layer = int(joint.loc[joint["accuracy"].idxmax(), "layer"])
    own = own[own["layer"] == layer]
    yield Shown(
        head=[
            f"{wording.layer_name(layer)}, 1st target is not the 3rd", "n", "accuracy",
            *(f"over {name}" for name in _CONTROLS), "selectivity (over a control task)",
        ],
        rows=[
            row
            for kind, words in _KINDS.items()
            for top in (1, 3)
            if (row := _row(own[(own["kind"] == kind) & (own["top"] == top)], words, top))
        ],
    )  # fmt: skip


def _row(rows: pd.DataFrame, words: str, top: int) -> list[str]:
    value = rows[rows["against"] == ""]
    if value.empty:
        return []
    over = [rows[rows["against"] == name] for name in (*_CONTROLS, "control task")]
    return [
        words + (f", among the best {top}" if top > 1 else ""),
        f"{int(value['n'].iloc[0]):,}",
        wording.percent(value.iloc[0], "accuracy"),
        *(wording.points(margin.iloc[0]) if len(margin) else "" for margin in over),
    ]


def _differing(tables: Tables) -> pd.DataFrame:
    """Accuracies of the third move where its target is not the first's, without single networks."""
    table = tables.get("probes")
    if table is None or table.empty:
        columns = ["kind", "top", "against", "control", "layer", "accuracy"]
        return pd.DataFrame({name: [] for name in columns})
    rows = table[(table["ply"] == 3) & (table["subset"] == "differing") & (table["instance"] == 0)]
    return rows.assign(against=rows["against"].fillna(""))


CHAPTER = Chapter(
    id="E5",
    title="Reading the third move",
    question="Can the third move be read out of the activations of the position before the first? "
    "Bilinear probes are trained on some games and tested on others, beside networks with random "
    "weights and other readers that cannot know the future.",
    measurements=(
        Measurement(
            name="probes",
            title="E5, probes",
            table=f"{_FOLDER}/{probe_stage.PREDICTIONS}",
            needs=("filter",),
            settings=_settings,
            measure=_measure,
            seconds_each=_seconds_each,
            counts_puzzles=False,
        ),
    ),
    tabulate=_tabulate,
    figures=_figures,
    summary=_summary,
    short_tables=_short_tables,
    published=published.read("probes"),
)
