"""Carries out interventions: many changed runs of a few boards, as little as possible of each.

What comes before a change is computed once a board and shared by all runs; only what is downstream
of the change runs again, with many runs in one batch. A run of the network without changes and a
run with them differ by the interventions alone.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from leela_probe.networks.inputs import Inputs
from leela_probe.networks.interventions import (
    Action,
    Add,
    Intervention,
    Mask,
    Patch,
    Scale,
    Write,
    Zero,
)
from leela_probe.networks.network import Network
from leela_probe.networks.places import Coordinates, Places
from leela_probe.networks.sites import Site
from leela_probe.positions.moves import POLICY_SIZE
from leela_probe.torch_onnx.graph import NoInfluenceError

__all__ = ["BaseRuns", "Job", "RunOutputs", "mean", "resample", "rows_at_once", "run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One changed run.

    Attributes:
        board: the index of the board it starts from.
        interventions: the changes, all made in this one run.
    """

    board: int
    interventions: tuple[Intervention, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutputs:
    """What runs give, in the order of the jobs.

    Attributes:
        logits: the raw policy.
        value: the logits of win, draw and loss (or the scalar value before its tanh); None for a
            network without a value head.
    """

    logits: Float[Tensor, "run slot"]
    value: Float[Tensor, "run outcome"] | None


def run(
    network: Network,
    base: Inputs,
    jobs: Sequence[Job],
    *,
    other: Inputs | None = None,
    batch_size: int | None = None,
    share: bool = True,
    fused: bool = True,
    places: Places | None = None,
) -> RunOutputs:
    """The outputs of the changed runs.

    Args:
        network: the network.
        base: the boards that the runs start from, or their planes.
        jobs: the runs.
        other: the boards that `Patch` takes activations from, one for each in `base`, or their
            planes.
        batch_size: runs in one batch; by default `rows_at_once(network)`.
        share: False computes every run from its planes on, to compare with.
        fused: False runs every ONNX node by itself, to compare with.
        places: remembers where interventions are, for calls that have some in common.

    Raises:
        KeyError: if a site does not exist, with the nearest right names.
        IndexError: if a place is outside its axis.
        ValueError: if a site has no such axis, an action does not suit it, `Patch` has nothing to
            take from, a change has no influence on the outputs, or a batch would be empty.
    """
    runs = BaseRuns(
        network, base, jobs, other=other, share=share, fused=fused, places=places, outputs=False
    )
    return runs.changed(jobs, batch_size=batch_size)


def rows_at_once(network: Network) -> int:
    """How many runs make a good batch on the network's device.

    On a CPU as many as keep the activations between two layers near its caches, and each of them
    below the 32 MB from which glibc asks the kernel for fresh pages every time; on a GPU as many as
    fit into half of the free memory.
    """
    scores = 4 * network.heads * 64 * 64
    bytes_each = 4 * 64 * network.width * 8 + scores * 2
    if network.device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(network.device)
        return int(max(16, min(8192, free // 2 // (4 * bytes_each))))
    return int(max(16, min(512, (160 << 20) // bytes_each, (31 << 20) // max(1, scores))))


def mean(network: Network, boards: Inputs, site: str) -> Float[Tensor, "*axes"]:
    """The mean of an activation over boards, to be written with `Write` (mean ablation)."""
    return network.run(boards, [site])[site].mean(dim=0)


def resample(network: Network, boards: Inputs, site: str, *, seed: int) -> Float[Tensor, "*axes"]:
    """An activation in one of some boards, to be written with `Write` (resample ablation).

    Args:
        network: the network.
        boards: boards or their planes.
        site: the activation's name.
        seed: of the draw; the same seed and number of boards draw the same board at every site.

    Raises:
        ValueError: if there are no boards.
    """
    planes = network.planes(boards)
    if not len(planes):
        raise ValueError(f"no boards to draw {site} from: give at least one")
    drawn = random.Random(seed).randrange(len(planes))
    return network.run(planes[drawn : drawn + 1], [site])[site][0]


def _output_tensors(network: Network) -> list[str]:
    names = [network.site("policy.logits").tensor]
    if "value.logits" in network.sites:
        names.append(network.sites["value.logits"].tensor)
    return names


def _no_outputs(network: Network) -> RunOutputs:
    kinds = 3 if "value.wdl" in network.sites else 1
    value = torch.zeros(0, kinds) if "value.logits" in network.sites else None
    return RunOutputs(logits=torch.zeros(0, POLICY_SIZE), value=value)


# -- runs -----------------------------------------------------------------------------------------


class BaseRuns:
    """Boards run once without changes: what that gives, and all that changed runs start from.

    Args:
        network: see `run`.
        base: see `run`.
        jobs: the changed runs that are to come, or others that change the same activations.
        other: see `run`.
        share: see `run`.
        fused: see `run`.
        places: see `run`.
        outputs: False leaves out what the unchanged runs themselves give.

    Attributes:
        base: the outputs of the boards that runs start from; None if they are left out.
        other: the outputs of the boards that `Patch` takes from; None if there are none.

    Raises:
        KeyError, IndexError, ValueError: see `run`.
    """

    def __init__(
        self,
        network: Network,
        base: Inputs,
        jobs: Sequence[Job],
        *,
        other: Inputs | None = None,
        share: bool = True,
        fused: bool = True,
        places: Places | None = None,
        outputs: bool = True,
    ) -> None:
        base = network.planes(base)
        other = None if other is None else network.planes(other)
        if other is not None and other.shape != base.shape:
            raise ValueError(
                f"{base.shape[0]} boards and {other.shape[0]} partners: give one partner for each "
                "board"
            )
        self._network, self._places, self._fused = network, places or Places(network), fused
        self._boards, self._can_patch = base.shape[0], other is not None
        self._outputs = _output_tensors(network)
        self._given: dict[str, str] = {}  # the site's name in an intervention, by its tensor
        graph = network.graph
        self._starts: dict[tuple[str, ...], tuple[tuple[str, ...], tuple[str, ...]]] = {}
        wanted = set(self._outputs) if outputs else set()
        patched = set(wanted)
        for changed in self._groups(jobs):
            roots = _roots(network, changed)
            kept = self._kept(roots) if changed else ()
            if not share or not changed:
                roots, kept = (), (graph.inputs[0],)
            self._starts[changed] = (roots, kept)
            wanted.update(roots, kept)
            patched.update(changed)
        self._base = self._capture(base, wanted)
        self._other = {} if other is None else self._capture(other, patched)
        self.base = self._read_outputs(self._base) if outputs else None
        self.other = self._read_outputs(self._other) if outputs and other is not None else None

    def changed(self, jobs: Sequence[Job], *, batch_size: int | None = None) -> RunOutputs:
        """The outputs of changed runs of these boards.

        Args:
            jobs: runs that change what the jobs given at first change.
            batch_size: see `patching.run`.
        """
        size = rows_at_once(self._network) if batch_size is None else batch_size
        if size < 1:
            raise ValueError(f"{size} runs in one batch: take at least 1")
        result: dict[str, Tensor] = {}
        for changed, indices in self._groups(jobs).items():
            batches = self._network.batches.run(
                len(indices), size, partial(self._run_batch, changed, jobs, indices), what="runs"
            )
            for batch, found in batches:
                for name, value in found.items():
                    if name not in result:
                        result[name] = torch.empty((len(jobs), *value.shape[1:]))
                    result[name][indices[batch]] = value
        return self._read_outputs(result)

    def taken(self, site: str) -> Float[Tensor, "*axes"]:
        """A patched activation in the boards that `Patch` takes from, with its named axes."""
        found = self._network.site(site)
        return found.read(self._other[found.tensor])

    def _groups(self, jobs: Sequence[Job]) -> dict[tuple[str, ...], list[int]]:
        """The places in `jobs` of those that change the same tensors, by these, in their order."""
        tensors = {id(job.interventions): job.interventions for job in jobs}
        changed = {key: self._changed(interventions) for key, interventions in tensors.items()}
        groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for index, job in enumerate(jobs):
            if not 0 <= job.board < self._boards:
                raise IndexError(f"board {job.board} is not among the {self._boards} given")
            groups[changed[id(job.interventions)]].append(index)
        return groups

    def _kept(self, roots: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return self._network.graph.boundary(roots, self._outputs)
        except NoInfluenceError as error:
            name = self._given[error.tensor]
            raise NoInfluenceError(
                f"changing {name!r} has no influence on policy or value", tensor=error.tensor
            ) from None

    def _changed(self, interventions: Sequence[Intervention]) -> tuple[str, ...]:
        if not self._can_patch and any(isinstance(c.action, Patch) for c in interventions):
            raise ValueError("Patch takes activations from the other boards, and none were given")
        sites = {self._places.site(change.site).tensor: change.site for change in interventions}
        self._given.update(sites)
        tensors = set(sites)
        if len(tensors) < 2:
            return tuple(tensors)
        return tuple(name for name in self._network.graph.tensors if name in tensors)

    def _capture(self, planes: Tensor, wanted: set[str]) -> dict[str, Tensor]:
        graph = self._network.graph
        if not self._boards or not wanted:
            return {}
        names = [name for name in graph.tensors if name in wanted]
        parts = [
            part
            for _, part in self._network.batches.run(
                len(planes),
                len(planes),
                lambda boards: graph.run(
                    {graph.inputs[0]: planes[boards]}, names, fused=self._fused
                ),
                what="boards",
            )
        ]
        if len(parts) == 1:
            return parts[0]
        return {name: torch.cat([part[name] for part in parts]) for name in names}

    def _read_outputs(self, found: Mapping[str, Tensor]) -> RunOutputs:
        if not found:
            return _no_outputs(self._network)
        values = [found[name].float().cpu() for name in self._outputs]
        return RunOutputs(logits=values[0], value=values[1] if len(values) > 1 else None)

    def _run_batch(
        self,
        changed: tuple[str, ...],
        all_jobs: Sequence[Job],
        indices: Sequence[int],
        batch: slice,
    ) -> dict[str, Tensor]:
        """What the jobs at some of the indices give, on the CPU."""
        jobs = [all_jobs[index] for index in indices[batch]]
        roots, kept = self._starts[changed]
        boards = torch.tensor([job.board for job in jobs], device=self._network.device)
        edits = {edit.site.tensor: edit for edit in self._edits(jobs, boards)}
        feeds = {name: self._rows(self._base[name], boards) for name in (*roots, *kept)}
        for name in roots:  # gathered for this batch alone, so they can be changed in place
            feeds[name] = edits.pop(name).in_place(feeds[name])
        found = self._network.graph.run(feeds, self._outputs, edits=edits, fused=self._fused)
        return {name: value.float().cpu() for name, value in found.items()}

    def _rows(self, value: Tensor, boards: Tensor) -> Tensor:
        """The part of each row's board."""
        rows = _by_board(value, self._boards).index_select(0, boards)
        return rows if value.shape[0] == self._boards else rows.flatten(0, 1)

    def _edits(self, jobs: Sequence[Job], boards: Tensor) -> Iterator[_Edit]:
        """For each changed tensor the changes of all rows in it, a row's in the order given."""
        steps: dict[str, dict[tuple[int, object], _Step]] = defaultdict(dict)
        for row, job in enumerate(jobs):
            last: dict[str, tuple[int, object]] = {}
            for change in job.interventions:
                site = self._places.site(change.site)
                coordinates = self._places.of(change)
                whole = tuple(axis is None for axis in coordinates)
                kind = (_kind(change.action), whole)
                stroke, before = last.get(site.tensor, (-1, None))
                if kind != before or isinstance(change.action, Add | Scale):
                    stroke += 1
                key = last[site.tensor] = (stroke, kind)
                if key not in steps[site.tensor]:
                    steps[site.tensor][key] = _Step(site, change.action, whole)
                steps[site.tensor][key].add(row, coordinates)
        for tensor, found in steps.items():
            of_tensor = dict(sorted(found.items(), key=lambda entry: entry[0][0]))
            site = next(iter(of_tensor.values())).site
            source = self._other.get(tensor)
            if source is not None:
                source = _by_board(site.read(source), self._boards)
            made = [step.compile(self._network.device) for step in of_tensor.values()]
            yield _Edit(site=site, steps=made, source=source, boards=boards)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Edit:
    """All that a batch changes in one tensor."""

    site: Site
    steps: Sequence[Callable[[Tensor, Tensor | None, Tensor], None]]
    source: Tensor | None
    boards: Tensor

    def __call__(self, value: Tensor) -> Tensor:
        return self.in_place(value.clone(memory_format=torch.contiguous_format))

    def in_place(self, value: Tensor) -> Tensor:
        """The tensor after the changes; what was passed in is overwritten."""
        changed = _by_board(self.site.read(value), len(self.boards))
        for step in self.steps:
            step(changed, self.source, self.boards)
        return self.site.write(changed) if self.site.stored else changed.reshape(value.shape)


def _by_board(value: Tensor, boards: int) -> Tensor:
    """The tensor with a first axis of boards, where squares of boards are flattened into it."""
    if value.shape[0] == boards:
        return value
    return value.reshape(boards, -1, *value.shape[1:])


def _roots(network: Network, changed: Sequence[str]) -> tuple[str, ...]:
    """The changed tensors that depend on no other changed one."""
    if len(changed) == 1:
        return tuple(changed)
    return tuple(
        name
        for name in changed
        if not any(
            name in network.graph.downstream([earlier]) for earlier in changed if earlier != name
        )
    )


def _kind(action: Action) -> object:
    """Equal for actions that can be made in one stroke, those of one row included.

    (Adding and scaling are not among these: made twice at one place, they count twice.)
    """
    return id(action) if isinstance(action, Add | Write) else action


class _Step:
    """One kind of change to one tensor, for all the rows of a batch that have it."""

    def __init__(self, site: Site, action: Action, whole: tuple[bool, ...]) -> None:
        self.site, self.action, self.whole = site, action, whole
        self.rows: list[int] = []
        self.coordinates: list[Coordinates] = []

    def add(self, row: int, coordinates: Coordinates) -> None:
        self.rows.append(row)
        self.coordinates.append(coordinates)

    def compile(self, device: torch.device) -> Callable[[Tensor, Tensor | None, Tensor], None]:
        lengths = [
            next((len(axis) for axis in coordinates if axis is not None), 1)
            for coordinates in self.coordinates
        ]
        rows = torch.from_numpy(np.repeat(np.array(self.rows), lengths)).to(device)
        axes: list[Tensor | slice] = []
        for axis, whole in enumerate(self.whole):
            if whole:
                axes.append(slice(None))
            else:
                places = [found for c in self.coordinates if (found := c[axis]) is not None]
                axes.append(torch.from_numpy(np.concatenate(places)).to(device))
        return lambda value, source, boards: self._apply(value, source, boards, rows, tuple(axes))

    def _apply(
        self,
        value: Tensor,
        source: Tensor | None,
        boards: Tensor,
        rows: Tensor,
        axes: tuple[Tensor | slice, ...],
    ) -> None:
        place = (rows, *axes)
        action = self.action
        if isinstance(action, Patch):
            assert source is not None
            same_place = (boards[rows], *axes)
            value[place] = source[same_place]
        elif isinstance(action, Zero):
            value[place] = 0.0
            if action.renormalise:
                self._renormalise(value, place)
        elif isinstance(action, Mask):
            self._mask(value, place)
        elif isinstance(action, Scale):
            value[place] = value[place] * action.factor
        else:
            given = action.direction if isinstance(action, Add) else action.values
            given = self._fitting(given.to(value.device, value.dtype), value)
            same_place = (torch.zeros_like(rows), *axes)
            given = given[None][same_place]
            value[place] = value[place] + given if isinstance(action, Add) else given

    def _renormalise(self, value: Tensor, place: tuple[Tensor | slice, ...]) -> None:
        """Divide the rows of an attention pattern in which these places are by their sums."""
        if self._what != "pattern":
            raise ValueError(
                f"{self.site.name} has no rows to renormalise: only attention patterns sum to 1"
            )
        touched = torch.zeros(value.shape[:-1], dtype=torch.bool, device=value.device)
        touched[place[:-1]] = True
        total = value.sum(dim=-1)
        value /= torch.where(touched & (total > 0), total, 1.0)[..., None]

    def _mask(self, value: Tensor, place: tuple[Tensor | slice, ...]) -> None:
        if self._what not in ("scores", "qk", "smolgen"):
            raise ValueError(
                f"{self.site.name} cannot be masked: minus infinity is for the scores, which enter "
                "the softmax of attention"
            )
        value[place] = -torch.inf
        if bool((value.amax(dim=-1) == -torch.inf).any()):
            raise ValueError(
                f"nothing is left of a row of {self.site.name} after masking, so that its softmax "
                "is not defined: zero that row of the pattern instead"
            )

    def _fitting(self, given: Tensor, value: Tensor) -> Tensor:
        shape = value.shape[1:]
        try:
            return given.expand(shape)
        except RuntimeError as error:
            raise ValueError(
                f"a tensor of shape {tuple(given.shape)} does not fit {self.site.name}, whose axes "
                f"{' '.join(self.site.axes[1:])} have the sizes {tuple(shape)}"
            ) from error

    @property
    def _what(self) -> str:
        return self.site.name.rsplit(".", 1)[-1]
