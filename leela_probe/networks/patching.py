"""Carries out interventions: many changed runs of a few boards, as little as possible of each.

What comes before a change is computed once a board and shared by all runs; only what is downstream
of the change runs again, with many runs in one batch. A run of the network without changes and a
run with them differ by the interventions alone.

Stands on `interventions` and `network`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

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
from leela_probe.networks.sites import Site
from leela_probe.positions.moves import POLICY_SIZE

__all__ = ["Job", "Places", "RunOutputs", "mean", "rows_at_once", "run"]


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
    base: Float[Tensor, "board plane rank file"],
    jobs: Sequence[Job],
    *,
    other: Float[Tensor, "partner plane rank file"] | None = None,
    batch_size: int | None = None,
    share: bool = True,
    fused: bool = True,
    places: Places | None = None,
) -> RunOutputs:
    """The outputs of the changed runs.

    Args:
        network: the network.
        base: planes of the boards that the runs start from.
        jobs: the runs.
        other: planes of the boards that `Patch` takes activations from, one for each in `base`.
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
    if other is not None and other.shape != base.shape:
        raise ValueError(
            f"{base.shape[0]} boards and {other.shape[0]} partners: give one partner for each board"
        )
    if not jobs:
        return _no_outputs(network)
    places = places or Places(network)
    outputs = _output_tensors(network)
    result: dict[str, Tensor] = {}
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    order = {name: position for position, name in enumerate(network.graph.tensors)}
    for index, job in enumerate(jobs):
        if not 0 <= job.board < base.shape[0]:
            raise IndexError(f"board {job.board} is not among the {base.shape[0]} given")
        tensors = {places.site(change.site).tensor for change in job.interventions}
        if other is None and any(isinstance(c.action, Patch) for c in job.interventions):
            raise ValueError("Patch takes activations from the other boards, and none were given")
        groups[tuple(sorted(tensors, key=order.__getitem__))].append(index)
    known = _Known(network, base, other, groups, places, share=share, fused=fused)
    size = rows_at_once(network) if batch_size is None else batch_size
    if size < 1:
        raise ValueError(f"{size} runs in one batch: take at least 1")
    for changed, indices in groups.items():
        for start in range(0, len(indices), size):
            chosen = indices[start : start + size]
            found = known.run_batch(changed, [jobs[index] for index in chosen])
            for name in outputs:
                if name not in result:
                    result[name] = torch.empty(
                        (len(jobs), *found[name].shape[1:]), dtype=torch.float32
                    )
                result[name][chosen] = found[name].float().cpu()
    values = [result[name] for name in outputs]
    return RunOutputs(logits=values[0], value=values[1] if len(values) > 1 else None)


def rows_at_once(network: Network) -> int:
    """How many runs make a good batch on the network's device.

    On a CPU as many as keep the activations between two layers near its caches; on a GPU as many as
    fit into half of the free memory.
    """
    bytes_each = 4 * (64 * network.width * 8 + network.heads * 64 * 64 * 2)
    if network.device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(network.device)
        return int(max(16, min(8192, free // 2 // (4 * bytes_each))))
    return int(max(16, min(512, (160 << 20) // bytes_each)))


def mean(
    network: Network, planes: Float[Tensor, "board plane rank file"], site: str
) -> Float[Tensor, "*axes"]:
    """The mean of an activation over boards, to be written with `Write` (mean ablation)."""
    return network.run(planes, [site])[site].mean(dim=0)


def _output_tensors(network: Network) -> list[str]:
    names = [network.site("policy.logits").tensor]
    if "value.logits" in network.sites:
        names.append(network.sites["value.logits"].tensor)
    return names


def _no_outputs(network: Network) -> RunOutputs:
    kinds = 3 if "value.wdl" in network.sites else 1
    value = torch.zeros(0, kinds) if "value.logits" in network.sites else None
    return RunOutputs(logits=torch.zeros(0, POLICY_SIZE), value=value)


# -- places in activations ------------------------------------------------------------------------

_PLACE_AXES: tuple[str, ...] = ("head", "square", "query", "key")
_Coordinates = tuple[np.ndarray | None, ...]


class Places:
    """Where interventions are in the activations of a network: found and checked once each."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._sites: dict[str, Site] = {}
        self._coordinates: dict[int, tuple[Intervention, _Coordinates]] = {}

    def site(self, name: str) -> Site:
        """The site of that name; see `Network.site`.

        The ONNX name of a tensor that has a name of its own here stands for that site.
        """
        if name not in self._sites:
            found = self.network.site(name)
            named = (s for s in self.network.sites.values() if s.tensor == found.tensor)
            self._sites[name] = next(named, found)
        return self._sites[name]

    def of(self, change: Intervention) -> _Coordinates:
        """The places of a change along each axis after `board`; None is the whole axis."""
        if id(change) not in self._coordinates:  # the change is kept, so that its id stays its own
            self._coordinates[id(change)] = (change, self._find(change))
        return self._coordinates[id(change)][1]

    def _size(self, axis: str) -> int:
        return self.network.heads if axis == "head" else 64

    def _find(self, change: Intervention) -> _Coordinates:
        site = self.site(change.site)
        given: dict[str, np.ndarray] = {
            axis: np.array(places, dtype=np.int64)
            for axis in _PLACE_AXES
            if (places := getattr(change, axis)) is not None
        }
        for axis, places in given.items():
            if axis not in site.axes:
                raise ValueError(
                    f"{change.site} has no axis {axis!r}: its axes are {' '.join(site.axes)}"
                )
            size = self._size(axis)
            for place in places:
                if not 0 <= place < size:
                    raise IndexError(
                        f"{axis} {place} is not in {change.site} of {self.network.name!r}: "
                        f"it runs from 0 to {size - 1}"
                    )
        axes = site.axes[1:]
        if change.complement:
            return self._complement(site, change, given)
        pairs = "query" in given and "key" in given
        sets = [a for a in axes if a in given and not (pairs and a == "key")]
        grid = np.meshgrid(*(np.arange(len(given[a])) for a in sets), indexing="ij")
        chosen = {a: given[a][g.ravel()] for a, g in zip(sets, grid, strict=True)}
        if pairs:
            chosen["key"] = given["key"][grid[sets.index("query")].ravel()]
        return tuple(chosen.get(axis) for axis in axes)

    def _complement(
        self, site: Site, change: Intervention, given: Mapping[str, np.ndarray]
    ) -> _Coordinates:
        axes = [axis for axis in _PLACE_AXES if axis in site.axes]
        selected = np.ones([self._size(axis) for axis in axes], dtype=bool)
        every = slice(None)
        inside: list[np.ndarray | slice] = [given.get(axis, every) for axis in axes]
        if "head" in given:
            selected[:] = False
            selected[given["head"]] = True
            for head in given["head"]:
                selected[(int(head),)][tuple(inside[1:])] = False
        else:
            selected[tuple(inside)] = False
        found = dict(zip(axes, np.nonzero(selected), strict=True))
        return tuple(found.get(axis) for axis in site.axes[1:])


# -- runs -----------------------------------------------------------------------------------------


class _Known:
    """The tensors of unchanged runs that the changed runs start from."""

    def __init__(
        self,
        network: Network,
        base: Tensor,
        other: Tensor | None,
        groups: Mapping[tuple[str, ...], Sequence[int]],
        places: Places,
        *,
        share: bool,
        fused: bool,
    ) -> None:
        self.network, self.places, self.share, self.fused = network, places, share, fused
        self.boards = base.shape[0]
        self.outputs = _output_tensors(network)
        graph = network.graph
        self.starts: dict[tuple[str, ...], tuple[tuple[str, ...], tuple[str, ...]]] = {}
        wanted: set[str] = set()
        for changed in groups:
            roots = _roots(network, changed)
            kept = graph.boundary(roots, self.outputs) if changed else ()
            if not share or not changed:
                roots, kept = (), (graph.inputs[0],)
            self.starts[changed] = (roots, kept)
            wanted.update(roots, kept)
        self.base = self._capture(base, wanted)
        patched = {name for changed in groups for name in changed} if other is not None else set()
        self.other = {} if other is None else self._capture(other, patched)

    def _capture(self, planes: Tensor, wanted: set[str]) -> dict[str, Tensor]:
        names = [name for name in self.network.graph.tensors if name in wanted]
        return self.network.graph.run(
            {self.network.graph.inputs[0]: planes}, names, fused=self.fused
        )

    def run_batch(self, changed: tuple[str, ...], jobs: Sequence[Job]) -> dict[str, Tensor]:
        roots, kept = self.starts[changed]
        boards = torch.tensor([job.board for job in jobs], device=self.network.device)
        edits = {edit.site.tensor: edit for edit in self._edits(jobs, boards)}
        feeds = {name: self._rows(self.base[name], boards) for name in (*roots, *kept)}
        for name in roots:  # gathered for this batch alone, so they can be changed in place
            feeds[name] = edits.pop(name).in_place(feeds[name])
        return self.network.graph.run(feeds, self.outputs, edits=edits, fused=self.fused)

    def _rows(self, value: Tensor, boards: Tensor) -> Tensor:
        """The part of each row's board."""
        rows = _by_board(value, self.boards).index_select(0, boards)
        return rows if value.shape[0] == self.boards else rows.flatten(0, 1)

    def _edits(self, jobs: Sequence[Job], boards: Tensor) -> Iterator[_Edit]:
        """For each changed tensor the changes of all rows in it, a row's in the order given."""
        steps: dict[str, dict[tuple[int, object], _Step]] = defaultdict(dict)
        for row, job in enumerate(jobs):
            last: dict[str, tuple[int, object]] = {}
            for change in job.interventions:
                site = self.places.site(change.site)
                coordinates = self.places.of(change)
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
            source = self.other.get(tensor)
            if source is not None:
                source = _by_board(site.read(source), self.boards)
            made = [step.compile(self.network.device) for step in of_tensor.values()]
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
        self.coordinates: list[_Coordinates] = []

    def add(self, row: int, coordinates: _Coordinates) -> None:
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
