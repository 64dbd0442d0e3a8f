"""The probing experiment over a file of puzzles: predictions of the network and of every control.

Each reader (the network, its input planes, networks with random weights, baselines without a
network) is one part of the stage: an interrupted run goes on after the last finished one.
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow

from leela_probe.files import store
from leela_probe.files.progress import Progress
from leela_probe.files.store import Finished
from leela_probe.networks import activations, conversion, onnx_files
from leela_probe.networks import network as networks
from leela_probe.networks.network import Network
from leela_probe.positions.planes import History
from leela_probe.probing import (
    baselines,
    folds,
    predictions,
    probe_files,
    probes,
    random_weights,
    targets,
)
from leela_probe.probing.folds import Split
from leela_probe.probing.prediction_tables import SCHEMA, VERDICTS, Control
from leela_probe.probing.recipes import SOUND, Recipe
from leela_probe.probing.rows import StoredRows
from leela_probe.probing.targets import Target
from leela_probe.puzzles import pairs as pair_files
from leela_probe.puzzles.pairs import Pair

__all__ = ["PREDICTIONS", "PROBES", "Plan", "Settings", "plan", "probe"]

PREDICTIONS = "predictions.parquet"
"""The name of the table of predictions in the folder."""

PROBES = "probes.safetensors"
"""The name of the file of the network's own probes in the folder."""

Report = Callable[[str], object]
"""Called with a line of what is being done."""

_SCRATCH = ".activations-"
_SPARE = 1.02  # of the activations' size: headers of files


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """What is asked of which puzzles, and how they are divided.

    Attributes:
        pairs: the puzzles.
        targets: real ones.
        controls: their control tasks.
        splits: the divisions.
        split_name: of all of them together.
    """

    pairs: tuple[Pair, ...]
    targets: tuple[Target, ...]
    controls: tuple[Target, ...]
    splits: tuple[Split, ...]
    split_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is probed, how, and beside which controls.

    Attributes:
        recipe: how probes are trained and tested.
        plies: of the moves that are asked about, from 1.
        where: "after", "middle" or "before" a layer.
        embedding: probe the stream before layer 0 too.
        random_networks: how many networks with random weights to probe as a control.
        input_planes: probe the input planes as a control.
        control_task: train on control tasks too.
        subset: only these puzzles; see `targets.SUBSETS`.
        dtype: of activations on disk; see `activations.write`.
        history: what stands for positions before the known ones.
        limit: only the first so many puzzles.
        batch_size: positions that go through the network at once.
        seed: for folds, random weights, control tasks and orders.
        keep_activations: leave the network's activations in the folder.

    Example:
        >>> import leela_probe as lp
        >>> lp.ProbeSettings(plies=(1, 3), recipe=lp.Recipe(epochs=5)).plies
        (1, 3)
    """

    recipe: Recipe = SOUND
    plies: tuple[int, ...] = (3,)
    where: str = "after"
    embedding: bool = True
    random_networks: int = 5
    input_planes: bool = True
    control_task: bool = True
    subset: str = "all"
    dtype: str = "float16"
    history: History = History.FILLED
    limit: int | None = None
    batch_size: int = 32
    seed: int = 0
    keep_activations: bool = False


def plan(pairs: Sequence[Pair], settings: Settings | None = None) -> Plan:
    """Targets and splits for puzzles.

    Args:
        pairs: the puzzles; those outside the settings' subset are left out.
        settings: which moves are asked about, and how puzzles are split.

    Raises:
        ValueError: if the puzzles are too few, or no line is long enough.
    """
    settings = Settings() if settings is None else settings
    recipe, seed = settings.recipe, settings.seed
    inside = targets.subset(pairs, settings.subset)
    pairs = [pair for pair, chosen in zip(pairs, inside, strict=True) if chosen]
    real = targets.targets_of(pairs, settings.plies)
    if recipe.folds is None:
        splits = folds.ordered(len(pairs), share=recipe.train_share)
        name = f"first {100 * recipe.train_share:g} % train, last test"
    else:
        splits = folds.by_game(folds.games(pairs), folds=recipe.folds, seed=seed)
        name = f"{recipe.folds} folds by game"
    controls = targets.control_tasks(pairs, real, seed=seed)
    return Plan(
        pairs=tuple(pairs),
        targets=tuple(real),
        controls=tuple(controls if settings.control_task else []),
        splits=tuple(splits),
        split_name=name,
    )


def probe(
    network: Network,
    puzzles: str | Path,
    folder: str | Path,
    settings: Settings | None = None,
    *,
    overwrite: bool = False,
    progress: Progress | bool | None = None,
    report: Report | None = None,
) -> tuple[Finished, Plan]:
    """Trains and tests all probes and controls; the table of predictions goes into a folder.

    Args:
        network: whose activations are read.
        puzzles: what `filter` or `corrupt` has written; see `pairs.read`.
        folder: made if it is not there.
        settings: what is probed, how, and beside which controls.
        overwrite: see `store.Stage`.
        progress: called after each reader, which is the network or one of its controls; by default
            a bar is shown in a terminal or notebook, with False nothing.
        report: called with each line of what is being done.

    Returns:
        The finished table, and what was asked. `accuracies.of_predictions` goes on from here.

    Raises:
        KeyError: if the network has no such sites.
        OSError: if the activations do not fit on the disk.
        PlanChangedError, ValueError: what `store.Stage`, `pairs.read` and `plan` refuse.

    Example:
        >>> import leela_probe as lp
        >>> network = lp.load("bundled:planted")
        >>> import tempfile
        >>> from pathlib import Path
        >>> recipe = lp.Recipe(epochs=1, folds=3)
        >>> settings = lp.ProbeSettings(recipe=recipe, random_networks=0, control_task=False)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     done, plan = lp.probe(network, "bundled:planted-puzzles", folder, settings)
        >>> len(plan.pairs)
        100
    """
    settings = Settings() if settings is None else settings
    asked = plan(pair_files.read(puzzles)[: settings.limit], settings)
    sites = [*(["embedding"] if settings.embedding else []), *_sites(network, settings.where)]
    readers = [
        _Reader(control=Control.NONE),
        *([_Reader(control=Control.INPUT_PLANES)] if settings.input_planes else []),
        *(
            _Reader(control=Control.RANDOM_WEIGHTS, instance=number + 1)
            for number in range(settings.random_networks)
        ),
        _Reader(control=Control.MOST_FREQUENT_RELATION),
    ]
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "recipe": dataclasses.asdict(settings.recipe),
        "plies": list(settings.plies),
        "sites": sites,
        "readers": [dataclasses.asdict(reader) for reader in readers],
        "control_task": settings.control_task,
        "subset": settings.subset,
        "activations": settings.dtype,
        "history": settings.history.value,
        "limit": settings.limit,
        "batch_size": settings.batch_size,
        "seed": settings.seed,
    }
    work = _Work(network, asked, sites, settings, folder, report or (lambda line: None))
    with store.Stage(
        folder / PREDICTIONS,
        name="probe",
        inputs={"puzzles": puzzles, "network": network.path},
        loaded={"network": network.sha256},
        networks={"network": network.identity()},
        options=options,
        schema=SCHEMA,
        verdicts=VERDICTS,
        overwrite=overwrite,
        progress=progress,
    ) as stage:
        if not stage.assembled:
            for left in folder.glob(f"{_SCRATCH}*"):  # of a run that was killed
                shutil.rmtree(left, ignore_errors=True)
            for chunk in stage.unfinished(readers, size=1, total=len(readers)):
                (reader,) = chunk.rows
                stage.add(chunk, work.predictions(reader, stage.beside))
        return stage.finish(), asked


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """A source of predictions: the network, or one of its controls."""

    control: Control
    instance: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """All that the readers have in common."""

    network: Network
    plan: Plan
    sites: Sequence[str]
    settings: Settings
    folder: Path
    report: Report

    def predictions(self, reader: _Reader, beside: Callable[[str], Path]) -> pyarrow.Table:
        plan, settings = self.plan, self.settings
        if reader.control == Control.MOST_FREQUENT_RELATION:
            self.report("baselines without a network")
            return baselines.predictions(plan.pairs, plan.targets, plan.splits, seed=settings.seed)
        own = reader.control == Control.NONE
        name = reader.control if not own else self.network.name
        name = f"{name} {reader.instance}" if reader.instance else name
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=_SCRATCH) as scratch:
            place = Path(scratch, "activations")
            sites = ["input"] if reader.control == Control.INPUT_PLANES else list(self.sites)
            self._check_space(sites)
            self.report(f"{name}: activations of {len(plan.pairs):,} positions")
            stored = activations.write(
                self._network(reader, Path(scratch)),
                [pair.clean for pair in plan.pairs],
                sites,
                place,
                dtype=settings.dtype,
                batch_size=settings.batch_size,
                history=settings.history,
            )
            rows = StoredRows(stored)
            wanted = [*plan.targets, *(plan.controls if own else ())]
            trained = probes.train(
                rows,
                wanted,
                plan.splits,
                settings.recipe,
                device=self.network.device,
                order_seed=settings.seed,
                report=lambda done, most: self.report(f"{name}: epoch {done} of at most {most}"),
            )
            if own:
                probe_files.write(trained, beside(PROBES))
            table = predictions.of_probes(
                trained, rows, plan.pairs, wanted, plan.splits, seed=settings.seed
            )
            if own and settings.keep_activations:
                kept = beside("activations")
                shutil.rmtree(kept, ignore_errors=True)
                place.rename(kept)
        return baselines.label(
            table, control=reader.control, network=self.network.name, instance=reader.instance
        )

    def _network(self, reader: _Reader, scratch: Path) -> Network:
        if reader.control != Control.RANDOM_WEIGHTS:
            return self.network
        network = self.network
        source = network.path
        if not onnx_files.is_named_so(source):
            source = conversion.to_onnx(
                source,
                policy_head=onnx_files.head(network.metadata, "policy"),
                value_head=onnx_files.head(network.metadata, "value"),
            )
        drawn = scratch / "random.onnx"
        random_weights.write(source, drawn, seed=1000 * self.settings.seed + reader.instance)
        return networks.load(
            drawn,
            device=network.device,
            dtype=network.dtype,
            input_format=network.input_format,
            no_history=network.no_history,
        )

    def _check_space(self, sites: Sequence[str]) -> None:
        width = 112 if sites == ["input"] else self.network.width
        each = 4 if self.settings.dtype == "float32" else 2
        needed = int(_SPARE * len(self.plan.pairs) * len(sites) * 64 * width * each)
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise OSError(
                f"activations of {len(self.plan.pairs):,} positions take {needed / 1e9:.1f} GB "
                f"and {self.folder} has {free / 1e9:.1f} GB: take fewer puzzles or another disk"
            )


def _sites(network: Network, where: str) -> list[str]:
    if where not in ("after", "middle", "before"):
        raise ValueError(f"unknown place {where!r}: probe after, middle or before a layer")
    return [network.site(f"layer{n}.residual_{where}").name for n in range(network.layers)]
