"""The command `leela-probe probe`: future moves read out of activations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from leela_probe.commands import options, terminal
from leela_probe.commands.groups import BatchOptions, NetworkOptions, PuzzleOptions
from leela_probe.commands.registration import Command

if TYPE_CHECKING:
    import pandas as pd

    from leela_probe.networks.network import Network
    from leela_probe.positions.planes import History
    from leela_probe.probing.recipes import Recipe
    from leela_probe.probing.stage import Plan

__all__ = ["COMMAND", "ProbeOptions", "RecipeOptions", "best_layers", "probe", "steps"]

_CAUSAL = "causal.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeOptions:
    """How probes are trained and tested."""

    recipe: Annotated[
        str,
        options.what(
            "sound, or jenner2024 for the paper's rank, optimiser, epochs and ordered split.",
            metavar="NAME",
        ),
    ] = "sound"
    folds: Annotated[
        int | None,
        options.what("Split by game into N folds.", default="the recipe's", metavar="N", min=3),
    ] = None
    epochs: Annotated[
        int | None,
        options.what("Train for at most N epochs.", default="the recipe's", metavar="N", min=1),
    ] = None

    def chosen(self) -> Recipe:
        """The recipe with what was given in its place.

        Raises:
            typer.BadParameter: if there is no such recipe, or it has no folds to choose.
        """
        from leela_probe.probing import recipes

        options.choice(self.recipe, recipes.PRESETS, "--recipe")
        recipe = recipes.PRESETS[self.recipe]
        if self.folds is not None and recipe.folds is None:
            raise typer.BadParameter(
                f"{self.recipe} splits in the order of the file", param_hint="'--folds'"
            )
        return options.override(recipe, folds=self.folds, epochs=self.epochs)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeOptions:
    """What is probed, and what it is held against."""

    plies: Annotated[
        str,
        options.what("Read these moves of the line, 1 being the first: 3 or 3,5.", metavar="LIST"),
    ] = "3"
    site: Annotated[
        str,
        options.what("Probe the residual stream after, middle or before a layer.", metavar="PLACE"),
    ] = "after"
    subset: Annotated[
        str,
        options.what(
            "Take all puzzles, or those whose 1st and 3rd target are differing, whose three "
            "targets are different, or whose are the same.",
            metavar="NAME",
        ),
    ] = "all"
    steer: Annotated[
        int,
        options.what(
            "Also steer the activations of N puzzles along the probes' directions.",
            metavar="N",
            min=0,
        ),
    ] = 0
    random_networks: Annotated[
        int,
        options.control("Probe N networks with random weights too.", metavar="N", min=0),
    ] = 5
    no_input_planes: Annotated[
        bool,
        options.flag("--no-input-planes", "Do not probe the input planes.", panel="Controls"),
    ] = False
    no_control_task: Annotated[
        bool,
        options.flag(
            "--no-control-task",
            "Do not train probes on a control task (random labels that only memory can get right).",
            panel="Controls",
        ),
    ] = False
    activations_dtype: Annotated[
        str,
        options.run("Store activations as float16, bfloat16 or float32.", metavar="TYPE"),
    ] = "float16"
    keep_activations: Annotated[
        bool,
        options.flag("--keep-activations", "Leave them in DIR.", panel="How it runs"),
    ] = False
    resamples: Annotated[
        int, options.run("Draw N bootstrap samples of games.", min=99, metavar="N")
    ] = 2000
    seed: Annotated[int, options.run("Seed for everything that is random.", min=0, metavar="N")] = 0

    def check(self) -> None:
        """Refuses what is none of the choices.

        Raises:
            typer.BadParameter: listing the choices.
        """
        from leela_probe.probing import targets

        options.choice(self.site, ("after", "middle", "before"), "--site")
        options.choice(self.subset, targets.SUBSETS, "--subset")
        options.choice(
            self.activations_dtype, ("float16", "bfloat16", "float32"), "--activations-dtype"
        )


def probe(
    puzzles: options.FilteredPuzzles,
    out: Annotated[
        Path,
        typer.Option(help="The folder for tables, probes and figures.", metavar="DIR"),
    ],
    overwrite: options.Overwrite = False,
    *,
    network: NetworkOptions,
    training: RecipeOptions,
    probing: ProbeOptions,
    taken: PuzzleOptions,
    run: BatchOptions,
) -> None:
    """Read future moves out of activations with bilinear probes.

    Beside every accuracy stand those of random networks, the input planes, the
    most frequent relation, the legal moves and a control task.

    Stopped and started again, it goes on where it was.
    """
    probing.check()
    recipe, history = training.chosen(), taken.kind_of_history()
    plies = options.numbers(probing.plies, "--plies") or []
    loaded = network.loaded(run)
    terminal.say_origin(puzzles, loaded)
    from leela_probe.probing import stage

    with terminal.overwriting(), _reported("probe") as report:
        finished, plan = stage.probe(
            loaded,
            puzzles,
            out,
            stage.Settings(
                recipe=recipe,
                plies=tuple(plies),
                where=probing.site,
                random_networks=probing.random_networks,
                input_planes=not probing.no_input_planes,
                control_task=not probing.no_control_task,
                subset=probing.subset,
                dtype=probing.activations_dtype,
                history=history,
                limit=taken.limit,
                batch_size=32 if run.batch_size is None else run.batch_size,
                seed=probing.seed,
                keep_activations=probing.keep_activations,
            ),
            overwrite=overwrite,
            progress=False,  # the lines say more than a bar
            report=report,
        )
        report("accuracies")
        table = _accuracies(finished.path, plan, training.recipe, probing, out)
        if probing.steer:
            report("steps along the probes' directions")
            steered = _steps(loaded, plan, probing, history, out)
    _figures(table, plies, out)
    terminal.console().print(best_layers(table))
    written = [finished.path, out / "accuracies.parquet"]
    if probing.steer:
        terminal.console().print("")
        terminal.console().print(steps(steered, table))
        written.append(out / _CAUSAL)
    *others, last = map(str, written)
    print(f"wrote {', '.join(others)} and {last}")


COMMAND = Command(
    name="probe",
    run=probe,
    examples=(
        "leela-probe probe filtered.parquet --network bundled:strong --out probes",
        "leela-probe probe filtered.parquet --network bundled:strong --recipe jenner2024 "
        "--out probes-as-in-the-paper",
    ),
)


def _accuracies(
    predictions: Path, plan: Plan, recipe: str, probing: ProbeOptions, out: Path
) -> pd.DataFrame:
    from leela_probe.files import derived
    from leela_probe.probing import accuracies, prediction_tables

    table = accuracies.of_predictions(
        prediction_tables.read(predictions),
        plan.pairs,
        preset=recipe,
        split=plan.split_name,
        resamples=probing.resamples,
        seed=probing.seed,
    )
    derived.write_with_manifest(
        table,
        out / "accuracies.parquet",
        name="probe accuracies",
        inputs={"predictions": predictions},
        options={"recipe": recipe, "resamples": probing.resamples, "seed": probing.seed},
    )
    return table


def _steps(
    network: Network,
    plan: Plan,
    probing: ProbeOptions,
    history: History,
    out: Path,
) -> pd.DataFrame:
    import pandas as pd

    from leela_probe.files import derived
    from leela_probe.probing import causal, probe_files
    from leela_probe.probing.stage import PROBES

    read = probe_files.read(out / PROBES)
    tested = [n for n in range(len(plan.pairs)) if any(split.test[n] for split in plan.splits)]
    parts = [
        causal.measure(
            network,
            read,
            plan.pairs,
            target,
            plan.splits,
            causal.Steering(history=history, seed=probing.seed),
            boards=tested[: probing.steer],
        ).assign(kind=target.kind, ply=target.ply)
        for target in plan.targets
    ]
    table = pd.concat(parts, ignore_index=True)
    derived.write_with_manifest(
        table,
        out / _CAUSAL,
        name="probe causal",
        inputs={"probes": out / PROBES},
        options={"puzzles": probing.steer, "history": history.value, "seed": probing.seed},
    )
    return causal.summary(table, resamples=probing.resamples, seed=probing.seed)


def _figures(table: pd.DataFrame, plies: Sequence[int], out: Path) -> None:
    from leela_probe.commands import outputs
    from leela_probe.figures import probe_figures

    for ply in plies:
        drawn = {
            f"accuracy-ply{ply}": probe_figures.accuracy_panels(table, ply=ply),
            f"joint-ply{ply}": probe_figures.accuracy_by_layer(table, ply=ply),
        }
        if (table["against"] != "").any():
            drawn[f"margin-ply{ply}"] = probe_figures.margin_by_layer(table, ply=ply)
        for name, figure in drawn.items():
            for ending in (".pdf", ".png"):
                outputs.write_figure(figure, out / f"{name}{ending}")


@contextmanager
def _reported(name: str) -> Iterator[Callable[[str], None]]:
    """Reports what is being done, and after an interruption how to go on."""
    console = terminal.console(stderr=True)
    with terminal.resumable():
        yield lambda text: console.print(f"{name}: {text}", soft_wrap=True, markup=False)


_SHORT = {
    "control task": "task",
    "random weights": "random",
    "input planes": "planes",
    "most frequent relation": "usual",
    "legal moves": "legal",
}
_WORDS = {"source given predicted target": "source|guess", "joint": "both"}


def best_layers(table: pd.DataFrame) -> Table:
    """The layer at which the network's own probes are right most often, beside the controls."""
    shown = Table(box=None, pad_edge=False)
    for name in ("what", "layer", "right", "interval", *_SHORT.values()):
        shown.add_column(name, no_wrap=True)
    shown.caption = (
        "The best layer, chosen on these puzzles, and at it the controls: task, answers made up; "
        "random, networks with random weights; planes, the input; usual, the most frequent "
        "relation; legal, the number of moves. source: given the true target; source|guess: "
        "given the predicted one. E: the embedding."
    )
    shown.caption_justify = "left"
    rows = _shown(table)
    for (ply, kind), some in rows.groupby(["ply", "kind"], sort=False):
        own = _best(some)
        cells = []
        for control in _SHORT:
            other = some[(some["control"] == control) & (some["instance"] == 0)]
            if other["site"].eq(own["site"]).any():
                other = other[other["site"] == own["site"]]
            cells.append("-" if other.empty else f"{100 * other['accuracy'].iloc[0]:.1f}")
        known = own["low"] == own["low"]
        shown.add_row(
            f"{_WORDS.get(str(kind), str(kind))} {ply}",
            _layer(own),
            f"{100 * own['accuracy']:.1f} %",
            f"{100 * own['low']:.1f} to {100 * own['high']:.1f}" if known else "none",
            *cells,
        )
    return shown


def steps(found: pd.DataFrame, table: pd.DataFrame) -> Table:
    """What steps along the probes' directions do at the layer whose probe is right most often.

    Args:
        found: of `causal.summary`.
        table: of `accuracies.of_predictions`.
    """
    shown = Table(box=None, pad_edge=False)
    for name in ("what", "layer", "direction", "nats", "effect", "interval", "n"):
        shown.add_column(name, no_wrap=True)
    shown.caption = (
        "The activation is moved so that the probe's score of the answer changes by so many nats. "
        "effect: what the first move's log odds lose, the mean, nats; intervals by game."
    )
    shown.caption_justify = "left"
    rows = _shown(table)
    for (ply, kind), some in found.groupby(["ply", "kind"], sort=False):
        best = _best(rows[(rows["ply"] == ply) & (rows["kind"] == kind)])
        some = some[some["site"] == best["site"]]
        for row in some[some["nats"].isin([some["nats"].min(), some["nats"].max()])].itertuples():
            shown.add_row(
                f"{kind} {ply}",
                _layer(best),
                str(row.direction),
                f"{row.nats:+g}",
                f"{row.effect:+.3f}",
                "none" if row.low != row.low else f"{row.low:.3f} to {row.high:.3f}",
                f"{row.n:,}",
            )
    return shown


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    return table[(table["top"] == 1) & (table["subset"] == "all") & (table["against"] == "")]


def _best(rows: pd.DataFrame) -> pd.Series:
    """The row of the network's own probes with the highest accuracy."""
    return rows[rows["control"] == "none"].sort_values("accuracy").iloc[-1]


def _layer(row: pd.Series) -> str:
    return "E" if row["site"] == "embedding" else str(row["layer"])
