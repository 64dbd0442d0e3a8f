"""The probing experiment over a file of puzzles: predictions of the network and of every control.

Each reader of the future (the network, its input planes, networks with random weights, baselines
without a network) is one part of the stage: a run cut off goes on after the last finished one.
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
from leela_probe.probing.prediction_tables import CONTROLS, SCHEMA, VERDICTS
from leela_probe.probing.recipes import Recipe
from leela_probe.probing.rows import StoredRows
from leela_probe.probing.targets import Target
from leela_probe.puzzles import pairs as pair_files
from leela_probe.puzzles.pairs import Pair

__all__ = ["PREDICTIONS", "PROBES", "Plan", "plan", "probe"]

PREDICTIONS = "predictions.parquet"
"""The name of the table of predictions in the folder."""

PROBES = "probes.safetensors"
"""The name of the file of the network's own probes in the folder."""

Told = Callable[[str], object]
"""Told in words what is being done."""

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


def plan(
    pairs: Sequence[Pair],
    recipe: Recipe,
    *,
    plies: Sequence[int] = (3,),
    control_task: bool = True,
    seed: int = 0,
) -> Plan:
    """Questions and splits for some puzzles.

    Args:
        pairs: the puzzles.
        recipe: says how to split.
        plies: of the moves that are asked about.
        control_task: ask the control tasks too.
        seed: of folds and control tasks.

    Raises:
        ValueError: if the puzzles are too few, or no line is long enough.
    """
    asked = targets.targets_of(pairs, plies)
    if recipe.folds is None:
        splits = folds.ordered(len(pairs), share=recipe.train_share)
        name = f"first {100 * recipe.train_share:g} % train, last test"
    else:
        splits = folds.by_game(folds.games(pairs), folds=recipe.folds, seed=seed)
        name = f"{recipe.folds} folds by game"
    controls = targets.control_tasks(pairs, asked, seed=seed)
    return Plan(
        pairs=tuple(pairs),
        targets=tuple(asked),
        controls=tuple(controls if control_task else []),
        splits=tuple(splits),
        split_name=name,
    )


def probe(
    network: Network,
    puzzles: str | Path,
    folder: str | Path,
    *,
    recipe: Recipe,
    plies: Sequence[int] = (3,),
    where: str = "after",
    embedding: bool = True,
    random_networks: int = 5,
    input_planes: bool = True,
    control_task: bool = True,
    subset: str = "all",
    dtype: str = "float16",
    history: History = History.FILLED,
    limit: int | None = None,
    batch_size: int = 32,
    seed: int = 0,
    keep_activations: bool = False,
    overwrite: bool = False,
    told: Told | None = None,
) -> tuple[Finished, Plan]:
    """Trains and tests all probes and controls; the table of predictions goes into a folder.

    Args:
        network: whose activations are read.
        puzzles: what `filter` or `corrupt` has written; see `pairs.read`.
        folder: made if it is not there.
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
        seed: of folds, random weights, control tasks and orders.
        keep_activations: leave the network's activations in the folder.
        overwrite: see `store.Stage`.
        told: see `Told`.

    Returns:
        The finished table, and what was asked. `accuracies.of_predictions` goes on from here.

    Raises:
        KeyError: if the network has no such sites.
        OSError: if the activations do not fit on the disk.
        FileExistsError, ValueError: what `store.Stage`, `pairs.read` and `plan` refuse.
    """
    say = told or (lambda text: None)
    found = pair_files.read(puzzles)[:limit]
    inside = targets.subset(found, subset)
    asked = plan(
        [pair for pair, chosen in zip(found, inside, strict=True) if chosen],
        recipe,
        plies=plies,
        control_task=control_task,
        seed=seed,
    )
    sites = [*(["embedding"] if embedding else []), *_sites(network, where)]
    readers = [
        _Reader(control=CONTROLS[0]),
        *([_Reader(control=CONTROLS[2])] if input_planes else []),
        *(_Reader(control=CONTROLS[1], instance=n + 1) for n in range(random_networks)),
        _Reader(control=CONTROLS[3]),
    ]
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "recipe": dataclasses.asdict(recipe),
        "plies": list(plies),
        "sites": sites,
        "readers": [dataclasses.asdict(reader) for reader in readers],
        "control_task": control_task,
        "subset": subset,
        "activations": dtype,
        "history": history.value,
        "limit": limit,
        "batch_size": batch_size,
        "seed": seed,
    }
    work = _Work(network, asked, sites, recipe, folder, dtype, history, batch_size, seed, say)
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
    ) as stage:
        if not stage.assembled:
            for left in folder.glob(f"{_SCRATCH}*"):  # of a run that was killed
                shutil.rmtree(left, ignore_errors=True)
            for chunk in stage.unfinished(readers, size=1, total=len(readers)):
                (reader,) = chunk.rows
                stage.add(chunk, work.predictions(reader, stage.beside, keep=keep_activations))
        return stage.finish(), asked


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """Somebody who predicts."""

    control: str
    instance: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """All that the readers have in common."""

    network: Network
    plan: Plan
    sites: Sequence[str]
    recipe: Recipe
    folder: Path
    dtype: str
    history: History
    batch_size: int
    seed: int
    say: Told

    def predictions(
        self, reader: _Reader, beside: Callable[[str], Path], *, keep: bool
    ) -> pyarrow.Table:
        plan = self.plan
        if reader.control == CONTROLS[3]:
            self.say("baselines without a network")
            return baselines.predictions(plan.pairs, plan.targets, plan.splits, seed=self.seed)
        own = reader.control == CONTROLS[0]
        name = reader.control if not own else self.network.name
        name = f"{name} {reader.instance}" if reader.instance else name
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=_SCRATCH) as scratch:
            place = Path(scratch, "activations")
            sites = ["input"] if reader.control == CONTROLS[2] else list(self.sites)
            self._check_space(sites)
            self.say(f"{name}: activations of {len(plan.pairs):,} positions")
            stored = activations.write(
                self._network(reader, Path(scratch)),
                [pair.clean for pair in plan.pairs],
                sites,
                place,
                dtype=self.dtype,
                batch_size=self.batch_size,
                history=self.history,
            )
            rows = StoredRows(stored)
            wanted = [*plan.targets, *(plan.controls if own else ())]
            trained = probes.train(
                rows,
                wanted,
                plan.splits,
                self.recipe,
                device=self.network.device,
                order_seed=self.seed,
                told=lambda done, most: self.say(f"{name}: epoch {done} of at most {most}"),
            )
            if own:
                probe_files.write(trained, beside(PROBES))
            table = predictions.of_probes(
                trained, rows, plan.pairs, wanted, plan.splits, seed=self.seed
            )
            if own and keep:
                kept = beside("activations")
                shutil.rmtree(kept, ignore_errors=True)
                place.rename(kept)
        return baselines.label(
            table, control=reader.control, network=self.network.name, instance=reader.instance
        )

    def _network(self, reader: _Reader, scratch: Path) -> Network:
        if reader.control != CONTROLS[1]:
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
        random_weights.write(source, drawn, seed=1000 * self.seed + reader.instance)
        return networks.load(
            drawn,
            device=network.device,
            dtype=network.dtype,
            input_format=network.input_format,
            no_history=network.no_history,
        )

    def _check_space(self, sites: Sequence[str]) -> None:
        width = 112 if sites == ["input"] else self.network.width
        each = 4 if self.dtype == "float32" else 2
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
