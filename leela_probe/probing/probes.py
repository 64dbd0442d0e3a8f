"""Bilinear probes: which of the 64 squares is the answer, given one of them.

The score of square j is (W_x x_j) . (W_z x_g) / sqrt(rank), x the activations of one layer, g the
given square; a softmax over the squares makes it a probability (Jenner et al. 2024, section 4; the
constant that the paper adds changes nothing under a softmax and is left out). The probes of all
layers, targets, splits and seeds are one tensor and learn in the same passes over the data; each
comes out as if it had been trained alone, but for rounding.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Int64
from torch import Tensor

from leela_probe.probing.folds import Split
from leela_probe.probing.recipes import Recipe
from leela_probe.probing.rows import Rows
from leela_probe.probing.targets import Target

__all__ = ["Probe", "Probes", "initial_weights", "scores", "train"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What one of the probes is, whatever the layer: a target, a split and a seed, by number."""

    target: int
    split: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Probes:
    """Trained probes of all layers.

    Attributes:
        sites: the layers, in the order of the axis `layer`.
        targets: their names.
        splits: their names.
        probes: what stands along the axis `probe`.
        x_weights: W_x, applied to every square.
        z_weights: W_z, applied to the given square.
        mean: what is subtracted from each number of the given square.
        deviation: what each number of every square is divided by.
        epochs: the epoch whose weights these are, counted from 1.
        validation_loss: nats a puzzle in each epoch; NaN where a probe had stopped or nothing is
            validated.
    """

    sites: tuple[str, ...]
    targets: tuple[str, ...]
    splits: tuple[str, ...]
    probes: tuple[Probe, ...]
    x_weights: Float[Tensor, "layer probe rank width"]
    z_weights: Float[Tensor, "layer probe rank width"]
    mean: Float[Tensor, "layer split width"]
    deviation: Float[Tensor, "layer split width"]
    epochs: Int[Tensor, "layer probe"]
    validation_loss: Float[Tensor, "epoch layer probe"] = field(repr=False)

    def select(self, target: str, split: int) -> list[int]:
        """The places along `probe` of a target's probes of one split, one for each seed.

        Raises:
            KeyError: if there is no such target.
        """
        if target not in self.targets:
            raise KeyError(f"no target {target!r}: there are {', '.join(self.targets)}")
        number = self.targets.index(target)
        return [
            place
            for place, probe in enumerate(self.probes)
            if (probe.target, probe.split) == (number, split)
        ]

    def scores(
        self,
        values: Float[Tensor, "layer board square width"],
        given: Int64[Tensor, "layer probe board"],
        chosen: Sequence[int],
    ) -> Float[Tensor, "layer probe board square"]:
        """The scores of the chosen probes, before the softmax.

        Args:
            values: activations of all layers.
            given: the square that each of the chosen probes is told.
            chosen: places along `probe`.
        """
        places = torch.tensor(list(chosen), dtype=torch.int64)
        split = torch.tensor([self.probes[place].split for place in chosen], dtype=torch.int64)
        return scores(
            values,
            given,
            self.x_weights[:, places],
            self.z_weights[:, places],
            self.mean[:, split],
            self.deviation[:, split],
        )

    def direction(
        self, given_row: Float[Tensor, " width"], *, layer: int, probe: int
    ) -> Float[Tensor, " width"]:
        """What, added to a square's activation, raises that square's score: its gradient.

        Args:
            given_row: the activation at the given square.
            layer: place along `layer`.
            probe: place along `probe`.
        """
        split = self.probes[probe].split
        deviation = self.deviation[layer, split]
        told = self.z_weights[layer, probe] @ ((given_row - self.mean[layer, split]) / deviation)
        raw = self.x_weights[layer, probe].T @ told / deviation
        return raw / math.sqrt(self.x_weights.shape[2])


def scores(
    values: Float[Tensor, "layer board square width"],
    given: Int64[Tensor, "layer probe board"],
    x_weights: Float[Tensor, "layer probe rank width"],
    z_weights: Float[Tensor, "layer probe rank width"],
    mean: Float[Tensor, "layer probe width"],
    deviation: Float[Tensor, "layer probe width"],
) -> Float[Tensor, "layer probe board square"]:
    """The score of every square up to a constant, which a softmax takes away.

    The given square is projected first, so that each square costs one product of `width` numbers
    and not `rank` of them. Normalising shifts all squares of a board alike: the mean matters at
    the given square alone.
    """
    layers, boards = values.shape[:2]
    at = (
        torch.arange(layers, device=values.device)[:, None, None],
        torch.arange(boards, device=values.device)[None, None, :],
        given,
    )
    told = (values[at] - mean[:, :, None]) / deviation[:, :, None]
    found = told @ z_weights.transpose(-1, -2) / math.sqrt(x_weights.shape[2])
    directions = found @ x_weights / deviation[:, :, None]
    return torch.einsum("lbsw,lpbw->lpbs", values, directions)


def train(
    rows: Rows,
    targets: Sequence[Target],
    splits: Sequence[Split],
    recipe: Recipe,
    *,
    device: str | torch.device = "cpu",
    order_seed: int = 0,
    report: Callable[[int, int], object] | None = None,
) -> Probes:
    """Probes for each site, target, split and seed, trained in the same passes over the rows.

    Each split goes through the puzzles of its own training side, in the same order as the others,
    and takes a step after every `batch_size` of them, over those that have an answer; gradients of
    a batch add up meanwhile. Adam treats every weight by itself, so no probe sees another.

    Args:
        rows: the activations.
        targets: what is asked.
        splits: of `folds.ordered` or `folds.by_game`.
        recipe: how.
        device: where the arithmetic is done.
        order_seed: of the order of puzzles, where they are shuffled.
        report: called with the epochs that are done and the most there can be.

    Raises:
        ValueError: if a target or split is not about these rows, there is nothing to learn from,
            or activations are not finite.
    """
    _check(rows, targets, splits, recipe)
    layout = tuple(
        Probe(target=target, split=split, seed=seed)
        for split in range(len(splits))
        for target in range(len(targets))
        for seed in recipe.seeds
    )
    job = _Job(rows, targets, splits, recipe, layout, torch.device(device))
    draw = np.random.default_rng([order_seed, rows.boards])
    for epoch in range(recipe.epochs):
        job.learn(draw.permutation(rows.boards) if recipe.shuffle else np.arange(rows.boards))
        going_on = job.end_of(epoch)
        if report is not None:
            report(epoch + 1, recipe.epochs)
        if not going_on:
            break
    return job.finish()


def initial_weights(
    site: str, target: str, *, seed: int, rank: int, width: int
) -> Float[np.ndarray, "2 rank width"]:
    """W_x and W_z before training: normal with variance 1 / width.

    They depend on nothing but what is named here, so that a probe starts the same in any company.
    """
    draw = np.random.default_rng([seed, zlib.crc32(site.encode()), zlib.crc32(target.encode())])
    return draw.standard_normal((2, rank, width)) / math.sqrt(width)


class _Job:
    """Probes while they are trained."""

    def __init__(
        self,
        rows: Rows,
        targets: Sequence[Target],
        splits: Sequence[Split],
        recipe: Recipe,
        layout: Sequence[Probe],
        device: torch.device,
    ) -> None:
        self.rows, self.targets, self.splits = rows, targets, splits
        self.recipe, self.layout, self.device = recipe, tuple(layout), device
        self.answers = np.stack([each.answer for each in targets])
        self.given = np.stack([each.given for each in targets])
        known = np.stack([each.known for each in targets])
        self.target_of = np.array([probe.target for probe in layout])
        split_of = np.array([probe.split for probe in layout])
        self.learns = known[self.target_of] & np.stack([s.train for s in splits])[split_of]
        none = np.zeros(rows.boards, dtype=bool)
        sides = np.stack([none if s.validation is None else s.validation for s in splits])
        self.validates = known[self.target_of] & sides[split_of]
        start = np.stack(
            [
                np.stack(
                    [
                        initial_weights(
                            site,
                            targets[probe.target].name,
                            seed=probe.seed,
                            rank=recipe.rank,
                            width=rows.width,
                        )
                        for probe in layout
                    ]
                )
                for site in rows.sites
            ]
        )
        kind = rows.read(np.zeros(1, dtype=np.int64)).dtype
        weights = torch.from_numpy(start).to(device, kind)
        self.x_weights = weights[:, :, 0].clone().requires_grad_()
        self.z_weights = weights[:, :, 1].clone().requires_grad_()
        self.kept = [weights[:, :, 0].clone(), weights[:, :, 1].clone()]
        self.parts = [np.flatnonzero(split_of == number) for number in range(len(splits))]
        self.optimisers = [self._optimiser(part) for part in self.parts]
        shape = (len(rows.sites), len(splits), rows.width)
        self.split_mean = torch.zeros(shape, device=device, dtype=kind)
        self.split_deviation = torch.ones(shape, device=device, dtype=kind)
        if recipe.normalise:
            self._normalise()
        self.mean = self.split_mean[:, torch.from_numpy(split_of)]
        self.deviation = self.split_deviation[:, torch.from_numpy(split_of)]
        each = self.mean.shape[:2]
        self.best = torch.full(each, torch.inf, device=device)
        self.best_epoch = torch.zeros(each, dtype=torch.int64, device=device)
        self.going = torch.ones(each, dtype=torch.bool, device=device)
        self.losses: list[Tensor] = []

    def _optimiser(self, part: Int64[np.ndarray, " probe"]) -> torch.optim.Optimizer:
        """Adam for the probes of one split, which stand side by side, and no others."""
        slices = []
        for weights in (self.x_weights, self.z_weights):
            if weights.grad is None:
                weights.grad = torch.zeros_like(weights)
            own = weights.detach()[:, part[0] : part[-1] + 1].requires_grad_()
            own.grad = weights.grad[:, part[0] : part[-1] + 1]
            slices.append(own)
        return torch.optim.Adam(
            slices,
            lr=self.recipe.learning_rate,
            weight_decay=self.recipe.weight_decay,
            foreach=False,
        )

    def _normalise(self) -> None:
        """Mean and deviation of every number over the squares of each split's training side."""
        sides = torch.from_numpy(np.stack([split.train for split in self.splits])).double()
        total = torch.zeros(self.split_mean.shape, dtype=torch.float64)
        squares = torch.zeros_like(total)
        for boards in _portions(np.arange(self.rows.boards), self.recipe.batch_size):
            values = self.rows.read(boards)
            side = sides[:, torch.from_numpy(boards)]
            total += torch.einsum("sb,lbw->lsw", side, values.sum(dim=2).double())
            squares += torch.einsum("sb,lbw->lsw", side, values.square().sum(dim=2).double())
        count = 64 * sides.sum(dim=1)[None, :, None]
        mean = total / count
        deviation = (squares / count - mean**2).clamp(min=0.0).sqrt()
        deviation[deviation < 1e-6 * (1 + mean.abs())] = 1.0  # a number that never changes
        self.split_mean.copy_(mean)
        self.split_deviation.copy_(deviation)

    def loss(
        self, boards: Int64[np.ndarray, " board"], weight: Float[np.ndarray, "probe board"]
    ) -> Float[Tensor, "layer probe"]:
        """Weighted sums over boards of each probe's cross entropy, in nats."""
        values = self.rows.read(boards).to(self.device)
        if not bool(torch.isfinite(values.sum())):
            raise ValueError(
                f"activations of {', '.join(self.rows.sites[:3])}, ... are not finite: float16 "
                "holds nothing above 65504, so keep them as float32 or bfloat16"
            )
        given = torch.from_numpy(self.given[self.target_of][:, boards]).to(self.device)
        answer = torch.from_numpy(self.answers[self.target_of][:, boards]).to(self.device)
        layers = len(self.rows.sites)
        found = scores(
            values,
            given.expand(layers, -1, -1),
            self.x_weights,
            self.z_weights,
            self.mean,
            self.deviation,
        )
        losses = F.cross_entropy(
            found.flatten(0, 2), answer.expand(layers, -1, -1).flatten(), reduction="none"
        ).view(found.shape[:3])
        return (losses * torch.from_numpy(weight).to(losses)).sum(dim=2)

    def learn(self, order: Int64[np.ndarray, " board"]) -> None:
        """One pass over the rows in this order."""
        order = order[np.any([split.train for split in self.splits], axis=0)[order]]
        weight = np.zeros(self.learns.shape)
        stepping: dict[int, list[int]] = {}  # so far into the order -> the splits whose batch ends
        for number, split in enumerate(self.splits):
            places = np.flatnonzero(split.train[order])
            for batch in _portions(places, self.recipe.batch_size):
                here = np.ix_(self.parts[number], order[batch])
                weight[here] = self.learns[here]
                weight[here] /= weight[here].sum(axis=1, keepdims=True).clip(min=1)
                last = batch[-1] == places[-1]
                stepping.setdefault(len(order) if last else int(batch[-1]) + 1, []).append(number)
        start = 0
        for end in sorted(stepping):
            for boards in _portions(order[start:end], self.recipe.batch_size):
                torch.autograd.backward(self.loss(boards, weight[:, boards]).sum())
            for number in stepping[end]:
                self.optimisers[number].step()
                self.optimisers[number].zero_grad(set_to_none=False)
            start = end

    def end_of(self, epoch: int) -> bool:
        """Keeps the weights that are better than before; False if all probes have stopped."""
        if self.recipe.patience is None:
            better = torch.ones_like(self.going)
            self.losses.append(torch.full_like(self.best, torch.nan))
        else:
            loss = self._validation_loss()
            self.losses.append(torch.where(self.going, loss, torch.nan))
            better = self.going & (loss < self.best)
            self.best = torch.where(better, loss, self.best)
        for kept, weights in zip(self.kept, (self.x_weights, self.z_weights), strict=True):
            kept[better] = weights.detach()[better]
        self.best_epoch[better] = epoch + 1
        if self.recipe.patience is not None:
            self.going &= epoch + 1 - self.best_epoch < self.recipe.patience
        return bool(self.going.any())

    @torch.no_grad()
    def _validation_loss(self) -> Float[Tensor, "layer probe"]:
        total = torch.zeros_like(self.best)
        used = np.flatnonzero(self.validates.any(axis=0))
        for boards in _portions(used, self.recipe.batch_size):
            total += self.loss(boards, self.validates[:, boards].astype(float))
        return total / torch.from_numpy(self.validates.sum(axis=1)).to(self.device)

    def finish(self) -> Probes:
        """The kept weights."""
        return Probes(
            sites=self.rows.sites,
            targets=tuple(each.name for each in self.targets),
            splits=tuple(split.name for split in self.splits),
            probes=self.layout,
            x_weights=self.kept[0].cpu(),
            z_weights=self.kept[1].cpu(),
            mean=self.split_mean.cpu(),
            deviation=self.split_deviation.cpu(),
            epochs=self.best_epoch.cpu(),
            validation_loss=torch.stack(self.losses).cpu(),
        )


def _portions(
    boards: Int64[np.ndarray, " board"], size: int
) -> Iterator[Int64[np.ndarray, " board"]]:
    for start in range(0, len(boards), size):
        yield boards[start : start + size]


def _check(rows: Rows, targets: Sequence[Target], splits: Sequence[Split], recipe: Recipe) -> None:
    for each in targets:
        if len(each.answer) != rows.boards:
            raise ValueError(
                f"the target {each.name!r} is about {len(each.answer)} puzzles and the "
                f"activations are of {rows.boards}: they must be the same"
            )
    for split in splits:
        if len(split.train) != rows.boards:
            raise ValueError(
                f"the split {split.name!r} is of {len(split.train)} puzzles and the activations "
                f"are of {rows.boards}: they must be the same"
            )
        if recipe.patience is not None and split.validation is None:
            raise ValueError(f"the split {split.name!r} has no validation side for stopping early")
        for each in targets:
            sides = {"train": split.train, "stop": split.validation}
            for name, side in sides.items():
                if side is not None and not (side & each.known).any():
                    raise ValueError(
                        f"no puzzle of {split.name!r} to {name} on has an answer to {each.name!r}: "
                        "give more puzzles, fewer folds, or ask for earlier plies"
                    )
