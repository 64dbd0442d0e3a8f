"""The subcommands `leela-probe probe` and `leela-probe attention`: reading without changing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leela_probe.commands import options, terminal

if TYPE_CHECKING:
    import pandas as pd

    from leela_probe.networks.network import Network
    from leela_probe.positions.planes import History
    from leela_probe.probing.stage import Plan

__all__ = ["ATTENTION_EXAMPLE", "PROBE_EXAMPLE", "attention", "probe"]

PROBE_EXAMPLE = (
    "Examples:\n\nleela-probe probe kept.parquet --network t82.pb.gz --out probes\n\n"
    "leela-probe probe kept.parquet --network t82.pb.gz --preset jenner2024 --out e5"
)
ATTENTION_EXAMPLE = (
    "Example:\n\nleela-probe attention kept.parquet --network t82.pb.gz --out attention.parquet"
)

_CAUSAL = "causal.parquet"
_WANTED = "What is wanted"
_RUNNING = "How it runs"
_CONTROLS = "Controls"
_Network = Annotated[
    Path,
    typer.Option(
        "--network",
        help="The network: a file, or bundled:strong.",
        metavar="NET",
        callback=options.file,
        rich_help_panel=_WANTED,
    ),
]
_Puzzles = Annotated[
    Path, typer.Argument(help="What filter (or corrupt) has written.", metavar="PUZZLES")
]
_Plies = Annotated[
    str,
    typer.Option(
        help="Moves of the line, 1 the first: 3 or 3,5.", metavar="LIST", rich_help_panel=_WANTED
    ),
]
_History = Annotated[
    str, typer.Option(help="filled, known or current.", metavar="KIND", rich_help_panel=_WANTED)
]
_Limit = Annotated[
    int | None,
    typer.Option(help="Only the first N puzzles.", min=1, metavar="N", rich_help_panel=_WANTED),
]
_Batch = Annotated[
    int,
    typer.Option(
        help="Positions that go through the network at once.",
        min=1,
        metavar="N",
        rich_help_panel=_RUNNING,
    ),
]
_Seed = Annotated[
    int, typer.Option(help="Of random choices.", min=0, metavar="N", rich_help_panel=_RUNNING)
]


def probe(
    puzzles: _Puzzles,
    network: _Network,
    out: Annotated[
        Path,
        typer.Option(
            help="The folder for tables, probes and figures.",
            metavar="DIR",
            rich_help_panel=_WANTED,
        ),
    ],
    preset: Annotated[
        str,
        typer.Option(
            help="sound, or jenner2024: the paper's rank, optimiser, epochs and ordered split.",
            metavar="NAME",
            rich_help_panel=_WANTED,
        ),
    ] = "sound",
    plies: _Plies = "3",
    where: Annotated[
        str,
        typer.Option(
            help="after, middle or before a layer.", metavar="PLACE", rich_help_panel=_WANTED
        ),
    ] = "after",
    subset: Annotated[
        str,
        typer.Option(
            help="all; differing: 1st and 3rd target differ; different: all three do; same: not.",
            metavar="NAME",
            rich_help_panel=_WANTED,
        ),
    ] = "all",
    causal: Annotated[
        int,
        typer.Option(
            help="Move N puzzles' activations along the probes' directions.",
            metavar="N",
            min=0,
            rich_help_panel=_WANTED,
        ),
    ] = 0,
    folds: Annotated[
        int | None,
        typer.Option(
            help="Folds of the split by game \\[default: the preset's].",
            metavar="N",
            min=3,
            show_default=False,
            rich_help_panel=_WANTED,
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            help="At most so many passes \\[default: the preset's].",
            metavar="N",
            min=1,
            show_default=False,
            rich_help_panel=_WANTED,
        ),
    ] = None,
    random_networks: Annotated[
        int,
        typer.Option(
            help="Networks with weights drawn anew.",
            metavar="N",
            min=0,
            rich_help_panel=_CONTROLS,
        ),
    ] = 5,
    no_input_planes: Annotated[
        bool,
        typer.Option(
            "--no-input-planes", help="Do not probe the planes.", rich_help_panel=_CONTROLS
        ),
    ] = False,
    no_control_task: Annotated[
        bool,
        typer.Option(
            "--no-control-task", help="Do not train on random answers.", rich_help_panel=_CONTROLS
        ),
    ] = False,
    activations: Annotated[
        str,
        typer.Option(
            help="On disk: float16, bfloat16 or float32.", metavar="TYPE", rich_help_panel=_RUNNING
        ),
    ] = "float16",
    keep_activations: Annotated[
        bool,
        typer.Option("--keep-activations", help="Leave them in DIR.", rich_help_panel=_RUNNING),
    ] = False,
    history: _History = "filled",
    limit: _Limit = None,
    seed: _Seed = 0,
    batch_size: _Batch = 32,
    resamples: options.Resamples = 2000,
    device: options.Device = "cpu",
    dtype: options.Dtype = "float32",
    input_format: options.Format = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Read future moves out of activations with bilinear probes.

    Beside every accuracy stand those of random networks, the input planes, the
    most frequent relation, the legal moves and a control task.

    Killed and started again it goes on where it was.
    """
    from leela_probe.positions.planes import History
    from leela_probe.probing import recipes, targets

    options.choice(preset, recipes.PRESETS, "--preset")
    options.choice(where, ("after", "middle", "before"), "--where")
    options.choice(subset, targets.SUBSETS, "--subset")
    options.choice(activations, ("float16", "bfloat16", "float32"), "--activations")
    options.choice(history, [kind.value for kind in History], "--history")
    recipe = recipes.PRESETS[preset]
    if folds is not None and recipe.folds is None:
        raise typer.BadParameter(f"{preset} splits by the file's order", param_hint="'--folds'")
    changed: dict[str, Any] = {"folds": folds, "epochs": epochs}
    recipe = dataclasses.replace(recipe, **{n: v for n, v in changed.items() if v is not None})
    asked = options.numbers(plies, "--plies") or []
    loaded = terminal.load(network, device, dtype, input_format)
    from leela_probe.probing import stage

    with terminal.overwriting(), _saying("probe") as told:
        finished, plan = stage.probe(
            loaded,
            puzzles,
            out,
            recipe=recipe,
            plies=asked,
            where=where,
            random_networks=random_networks,
            input_planes=not no_input_planes,
            control_task=not no_control_task,
            subset=subset,
            dtype=activations,
            history=History(history),
            limit=limit,
            batch_size=batch_size,
            seed=seed,
            keep_activations=keep_activations,
            overwrite=overwrite,
            told=told,
        )
        told("accuracies")
        table = _accuracies(finished.path, plan, preset, resamples, seed, out)
        if causal:
            told("steps along the probes' directions")
            steps = _steps(loaded, plan, causal, History(history), resamples, seed, out)
    _figures(table, asked, out)
    from leela_probe.commands import readings

    terminal.console().print(readings.best_layers(table))
    written = [finished.path, out / "accuracies.parquet"]
    if causal:
        terminal.console().print("")
        terminal.console().print(readings.steps(steps, table))
        written.append(out / _CAUSAL)
    *others, last = map(str, written)
    print(f"wrote {', '.join(others)} and {last}")


def attention(
    puzzles: _Puzzles,
    network: _Network,
    out: Annotated[
        Path,
        typer.Option(
            help="Every puzzle's entries: .csv or .parquet.",
            metavar="FILE",
            rich_help_panel=_WANTED,
        ),
    ],
    summary: Annotated[
        Path | None,
        typer.Option(
            help="Also their means and ranks by head.", metavar="FILE", rich_help_panel=_WANTED
        ),
    ] = None,
    plies: _Plies = "1,2,3",
    relation: Annotated[
        str | None,
        typer.Option(
            help="What the best heads are listed for \\[default: last ply to first].",
            metavar="NAME",
            show_default=False,
            rich_help_panel=_WANTED,
        ),
    ] = None,
    no_attribution: Annotated[
        bool,
        typer.Option("--no-attribution", help="Take no gradients.", rich_help_panel=_RUNNING),
    ] = False,
    history: _History = "filled",
    limit: _Limit = None,
    seed: _Seed = 0,
    batch_size: _Batch = 4,
    device: options.Device = "cpu",
    dtype: options.Dtype = "float32",
    input_format: options.Format = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Read each head's attention between the squares of a line.

    3->1 is the first move's target looking at the third's; s is a source. The
    rank of an entry among the head's 4,096 has an exact chance level.

    Killed and started again it goes on where it was.
    """
    from leela_probe.commands import findings, readings
    from leela_probe.positions.planes import History

    options.choice(history, [kind.value for kind in History], "--history")
    asked = options.numbers(plies, "--plies") or []
    relation = _relation(relation, asked)
    with terminal.overwriting():
        for path in (out, summary):
            if path is not None:
                findings.claim(path, findings.TABLES, overwrite=overwrite)
    loaded = terminal.load(network, device, dtype, input_format)
    from leela_probe.experiments import attention_tables

    with terminal.stage("attention") as told:
        finished = attention_tables.run(
            loaded,
            puzzles,
            out,
            plies=asked,
            attribution=not no_attribution,
            history=History(history),
            limit=limit,
            batch_size=batch_size,
            seed=seed,
            overwrite=overwrite,
            progress=told,
        )
    found = attention_tables.summary(attention_tables.parts(finished.path))
    wrote = f"wrote {out}"
    if summary is not None:
        findings.write_table(
            found, summary, name="attention summary", inputs={"attention": out}, options={}
        )
        wrote += f" and {summary}"
    terminal.console().print(readings.best_heads(found, relation))
    print(wrote)


def _relation(given: str | None, plies: Sequence[int]) -> str:
    from leela_probe.experiments import attention_reading

    known = attention_reading.relation_names(plies)
    if given is not None:
        return options.choice(given, known, "--relation")
    first, last = min(plies), max(plies)
    return f"{last}->{first}" if first < last else f"{first}->{first}s"


def _accuracies(
    predictions: Path, plan: Plan, preset: str, resamples: int, seed: int, out: Path
) -> pd.DataFrame:
    import pandas as pd

    from leela_probe.commands import findings
    from leela_probe.probing import accuracies

    table = accuracies.of_predictions(
        pd.read_parquet(predictions),
        plan.pairs,
        preset=preset,
        split=plan.split_name,
        resamples=resamples,
        seed=seed,
    )
    findings.write_table(
        table,
        out / "accuracies.parquet",
        name="probe accuracies",
        inputs={"predictions": predictions},
        options={"preset": preset, "resamples": resamples, "seed": seed},
    )
    return table


def _steps(
    network: Network,
    plan: Plan,
    count: int,
    history: History,
    resamples: int,
    seed: int,
    out: Path,
) -> pd.DataFrame:
    import pandas as pd

    from leela_probe.commands import findings
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
            boards=tested[:count],
            history=history,
            seed=seed,
        ).assign(kind=target.kind, ply=target.ply)
        for target in plan.targets
    ]
    table = pd.concat(parts, ignore_index=True)
    findings.write_table(
        table,
        out / _CAUSAL,
        name="probe causal",
        inputs={"probes": out / PROBES},
        options={"puzzles": count, "history": history.value, "seed": seed},
    )
    return causal.summary(table, resamples=resamples, seed=seed)


def _figures(table: pd.DataFrame, plies: Sequence[int], out: Path) -> None:
    from leela_probe.commands import findings
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
                findings.write_figure(figure, out / f"{name}{ending}")


@contextmanager
def _saying(name: str) -> Iterator[Callable[[str], None]]:
    """Tells on the standard error what is being done, and after an interruption how to go on."""
    console = terminal.console(stderr=True)
    try:
        yield lambda text: console.print(f"{name}: {text}", soft_wrap=True, markup=False)
    except KeyboardInterrupt:
        console.print("leela-probe: interrupted; the same command goes on from here")
        raise typer.Exit(130) from None
