"""Training an attention body on certified positions: progress, checkpoints, resuming.

    python -m training.train --data DATA --out RUN --size strong --teacher strong --steps 20000

Killed at any moment and started again with the same arguments it goes on from its last
checkpoint; ``run.json`` beside it says what the arguments were, and others are refused. The
learning rate falls linearly to 0 in the last part of the run: all of it, unless `--decay` says
less. The weights before the fall are then kept as ``stable.safetensors``.

A run whose length is not known beforehand takes `--decay 0` and many steps; at any moment another
run begins with its weights (`--start RUN/checkpoint.safetensors`), as with a falling rate.
"""

import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import numpy as np
import safetensors
import torch
import torch.nn.functional as F
import typer
from safetensors.torch import save_file
from torch import Tensor, distributed, multiprocessing, nn

from leela_probe.weights import shapes
from training import batches, tactics
from training import settings as run_settings
from training.batches import Batch, Records
from training.model import SIZES, AttentionBody, Output
from training.settings import Settings

__all__ = ["Run", "accuracy", "evaluate", "logits", "losses", "main", "told_loss"]

_WARM_UP = 200
_KIND_NAMES = (
    *("mate_in_2", "mate_in_1", "defence", "near_miss"),
    *("mate_in_3", "long_defence", "near_miss_in_3"),
)
_OUTCOME_WEIGHT = 0.5
_GRADIENT_NORM = 1.0
_MOST_SCORE, _LIMIT_EVERY, _LIMIT_BOARDS = 30.0, 5, 32


def logits(output: Output, batch: Batch) -> Tensor:
    """The logit of each legal move, (board, move); -inf beyond the last."""
    every = torch.cat([output.moves, output.promotions], dim=1)
    return every.gather(1, batch.slots).masked_fill(~batch.legal, -torch.inf)


def losses(output: Output, batch: Batch) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy in nats of the moves (where the teacher names some) and the outcome.

    Where processes share a step, a mean over those is a mean over all of its positions.
    """
    log_p = logits(output, batch).float().log_softmax(dim=1).masked_fill(~batch.legal, 0)
    said = batch.target.sum(dim=1) > 0
    moves = -(batch.target * log_p).sum() / _of_each_process(said.sum())
    return moves, F.cross_entropy(output.outcome.float(), batch.outcome)


def told_loss(squares: Tensor, batch: Batch) -> Tensor:
    """Mean cross-entropy in nats of the squares of the third move, where the teacher tells them.

    Args:
        squares: logits, (board, square, source and target).
        batch: what is told.
    """
    log_p = squares.float().log_softmax(dim=1).transpose(1, 2)
    told = batch.later.sum(dim=(1, 2)) > 0
    return -(batch.later * log_p).sum() / (2 * _of_each_process(told.sum()))


def _of_each_process(count: Tensor) -> Tensor:
    """Positions that count, over all processes, as each one's share; 1 at least."""
    count = count.float()
    if distributed.is_initialized():
        distributed.all_reduce(count)
        count /= distributed.get_world_size()
    return count.clamp(min=1)


def accuracy(output: Output, batch: Batch) -> Tensor:
    """Whether the likeliest legal move is one of the teacher's, (board)."""
    best = logits(output, batch).argmax(dim=1, keepdim=True)
    return batch.target.gather(1, best)[:, 0] > 0


def rate(step: int, *, steps: int, decay: float) -> float:
    """Factor of the learning rate: warm-up, constant, then linearly to 0."""
    falling = max(1.0, steps * decay)
    return min(1.0, (step + 1) / _WARM_UP, max(0.0, (steps - step) / falling))


class Run:
    """A training run: network, optimisers and how far it is.

    Args:
        size: one of `SIZES`.
        seed: of the initial weights.
        muon: learning rate of the matrices.
        adam: learning rate of the rest.
        device: where the weights are.
        told: what the squares of the third move weigh in the loss; a linear read-out of each square
            of the last residual stream learns them, and stays behind when the network is exported.
    """

    def __init__(
        self, size: str, *, seed: int, muon: float, adam: float, device: str, told: float = 0.0
    ) -> None:
        _need_muon()
        self.body = AttentionBody(SIZES[size], seed=seed).to(device)
        self.readout = nn.Linear(SIZES[size].width, 2, device=device)
        nn.init.zeros_(self.readout.weight)
        nn.init.zeros_(self.readout.bias)
        self.told = told
        self.step = 0
        matrices, others = [], []
        for name, value in self.body.weights.items():
            inner = value.ndim == 2 and name.startswith(("encoder", "ip_pol", "ip2_pol", "ip3_pol"))
            (matrices if inner else others).append(value)
        if told:
            others += self.readout.parameters()
        self.parameters = [*matrices, *others]
        self.optimizers = [
            torch.optim.Muon(matrices, lr=muon, weight_decay=0.01),
            torch.optim.AdamW(others, lr=adam, betas=(0.9, 0.98), weight_decay=0.01, fused=True),
        ]
        self.base_rates = (muon, adam)

    def backward(self, batch: Batch, *, bfloat16: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of the loss; its parts are moves, outcome and third squares, in nats.

        Args:
            batch: on the device of the weights.
            bfloat16: compute in it.
        """
        kind = self.body.reach.device.type
        with torch.autocast(kind, torch.bfloat16) if bfloat16 else contextlib.nullcontext():
            output = self.body(batch.pieces, batch.castling)
            squares = self.readout(output.stream)
        moves, outcome = losses(output, batch)
        told = told_loss(squares, batch)
        (moves + _OUTCOME_WEIGHT * outcome + self.told * told).backward()
        return moves, outcome, told

    def learn(self, batch: Batch, *, factor: float, bfloat16: bool) -> tuple[float, float, float]:
        """One step, shared with the other processes where there are some; the losses before it."""
        batch = batch.to(self.body.reach.device)
        moves, outcome, told = self.backward(batch, bfloat16=bfloat16)
        if distributed.is_initialized():
            _average([p.grad for p in self.parameters if p.grad is not None])
        torch.nn.utils.clip_grad_norm_(self.parameters, _GRADIENT_NORM)
        for optimizer, base in zip(self.optimizers, self.base_rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = base * factor
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if self.step % _LIMIT_EVERY == 0:
            few = slice(_LIMIT_BOARDS)
            self.body.limit_scores(batch.pieces[few], batch.castling[few], most=_MOST_SCORE)
            if distributed.is_initialized():  # each looked at positions of its own
                _average([p.data for p in self.body.parameters()])
        self.step += 1
        return moves.item(), outcome.item(), told.item()

    def save(self, path: Path) -> None:
        """Write a checkpoint; the old one is there until the new one is whole."""
        tensors = {f"weights/{name}": value for name, value in self.body.weights.items()}
        if self.told:
            tensors |= {f"readout/{name}": value for name, value in self.readout.named_parameters()}
        for number, optimizer in enumerate(self.optimizers):
            for key, state in optimizer.state_dict()["state"].items():
                for name, value in state.items():
                    tensors[f"optimizer/{number}/{key}/{name}"] = torch.as_tensor(value)
        partial = path.with_suffix(".partial")
        save_file(
            {name: value.detach().contiguous() for name, value in tensors.items()},
            partial,
            metadata={"step": str(self.step)},
        )
        partial.replace(path)

    def load(self, path: Path) -> None:
        """Go back to a checkpoint."""
        with safetensors.safe_open(path, framework="pt") as file:
            self.step = int(file.metadata()["step"])
            states: list[dict[int, dict[str, Tensor]]] = [{} for _ in self.optimizers]
            for name in file.keys():  # noqa: SIM118 - not a mapping
                kind, *rest = name.split("/", 1)
                if kind in ("weights", "readout"):
                    own = self.body.weights if kind == "weights" else self.readout
                    with torch.no_grad():
                        own.get_parameter(rest[0]).copy_(file.get_tensor(name))
                else:
                    number, key, field = rest[0].split("/")
                    states[int(number)].setdefault(int(key), {})[field] = file.get_tensor(name)
        for optimizer, state in zip(self.optimizers, states, strict=True):
            optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _need_muon() -> None:
    if not hasattr(torch.optim, "Muon"):
        raise RuntimeError(
            f"torch {torch.__version__} has no optimiser Muon: training, unlike the package, needs "
            "torch 2.9 or newer"
        )


def _average(tensors: list[Tensor]) -> None:
    """Each tensor replaced by its mean over the processes."""
    flat = torch.cat([each.flatten() for each in tensors])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    for each, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
        each.copy_(part.view_as(each))


@torch.no_grad()
def evaluate(body: AttentionBody, records: np.ndarray, *, teacher: str, size: int = 512) -> dict:
    """Share of positions of each kind whose likeliest move is the teacher's, and of outcomes."""
    parts = [
        _judged(body, batches.of(records[start : start + size], teacher=teacher))
        for start in range(0, len(records), size)
    ]
    found, known, kind = (torch.cat(part).cpu() for part in zip(*parts, strict=True))
    groups = {name: (kind == number).numpy() for number, name in enumerate(_KIND_NAMES)}
    if "pattern" in (records.dtype.names or ()):
        groups |= {
            name.replace(",", "").replace(" ", "_"): group
            for name, group in tactics.groups(records).items()
        }
    return {
        name: {
            "positions": int(inside.sum()),
            "moves": round(float(found[inside].float().mean()), 4),
            "outcome": round(float(known[inside].float().mean()), 4),
        }
        for name, inside in groups.items()
        if inside.any()
    }


def _judged(body: AttentionBody, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Whether the move and whether the outcome is right, and the kind, on the body's device."""
    batch = batch.to(body.reach.device)
    output = body.forward(batch.pieces, batch.castling)  # not compiled: it is called rarely
    return accuracy(output, batch), output.outcome.argmax(dim=1) == batch.outcome, batch.kind


def _one_of(known: Iterable[str]) -> Callable[[str], str]:
    def check(given: str) -> str:
        if given not in known:
            raise typer.BadParameter(f"no {given!r}: choose one of {', '.join(known)}")
        return given

    return check


def main(
    data: Annotated[Path, typer.Option(help="folder of blocks to learn from")],
    held_out: Annotated[Path, typer.Option(help="folder of blocks to measure on")],
    out: Annotated[Path, typer.Option(help="folder of checkpoints and log")],
    size: Annotated[
        str, typer.Option(help=f"one of {', '.join(SIZES)}", callback=_one_of(SIZES))
    ] = "strong",
    teacher: Annotated[
        str,
        typer.Option(
            help=f"one of {', '.join(batches.TEACHERS)}; told learns as strong does and is told "
            "the squares of the third move",
            callback=_one_of(batches.TEACHERS),
        ),
    ] = "strong",
    steps: Annotated[int, typer.Option(help="steps of the whole run", min=1)] = 20_000,
    batch: Annotated[int, typer.Option(help="positions a step", min=1)] = 192,
    decay: Annotated[
        float, typer.Option(help="share of the run in which the rate falls", min=0, max=1)
    ] = 1.0,
    muon: Annotated[float, typer.Option(help="learning rate of the matrices")] = 0.015,
    adam: Annotated[float, typer.Option(help="learning rate of the rest")] = 2e-3,
    told: Annotated[
        float, typer.Option(help="what the third move's squares weigh, where they are told", min=0)
    ] = 0.5,
    seed: int = 0,
    device: str = "cpu",
    processes: Annotated[
        int, typer.Option(help="processes, one thread each, that share a step", min=1)
    ] = 1,
    bfloat16: bool = True,
    compiled: bool = False,
    every: Annotated[int, typer.Option(help="steps between checkpoints", min=1)] = 500,
    start: Annotated[
        Path | None, typer.Option(help="checkpoint of another run to begin with", exists=True)
    ] = None,
) -> None:
    """Train a network on certified positions; go on where an earlier call was cut off."""
    settings = Settings(
        data=data, held_out=held_out, out=out, size=size, teacher=teacher, steps=steps, batch=batch,
        decay=decay, muon=muon, adam=adam, told=told, seed=seed, device=device, processes=processes,
        bfloat16=bfloat16, compiled=compiled, every=every, start=start,
    )  # fmt: skip
    try:
        _need_muon()
        for folder in (data, held_out):
            Records(folder)
        if start is not None:
            _same_size(start, size)
        run_settings.claim(settings)
    except (OSError, RuntimeError, ValueError) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from error
    if processes == 1:
        train(0, settings, None)
        return
    with tempfile.TemporaryDirectory() as meeting:
        multiprocessing.spawn(train, (settings, Path(meeting, "store")), nprocs=processes)


def _same_size(checkpoint: Path, size: str) -> None:
    expected = shapes.of(SIZES[size])
    with safetensors.safe_open(checkpoint, framework="np") as file:
        there = {
            name.removeprefix("weights/").replace("/", "."): tuple(file.get_slice(name).get_shape())
            for name in file.keys()  # noqa: SIM118 - not a mapping
            if name.startswith("weights/")
        }
    if there != expected:
        raise ValueError(f"'{checkpoint}' is no checkpoint of size {size!r}: choose its --size")


def train(rank: int, settings: Settings, meeting: Path | None) -> None:
    """One process of a run; the first of them measures, logs and writes."""
    torch.set_num_threads(1)
    if meeting is not None:
        distributed.init_process_group(
            "gloo", init_method=meeting.as_uri(), rank=rank, world_size=settings.processes
        )
    records, measured = Records(settings.data), Records(settings.held_out)
    sample = measured.at(np.arange(min(4096, len(measured))))
    run = Run(
        settings.size,
        seed=settings.seed,
        muon=settings.muon,
        adam=settings.adam,
        device=settings.device,
        told=settings.told if settings.teacher == batches.TOLD else 0.0,
    )
    checkpoint = settings.out / "checkpoint.safetensors"
    if checkpoint.exists():
        run.load(checkpoint)
        if not rank:
            finished = run.step >= settings.steps
            print(f"{'is finished' if finished else 'goes on'} at step {run.step}", flush=True)
    elif settings.start is not None:
        run.load(settings.start)
        run.step = 0
    if settings.compiled:
        run.body.compile()
    stable = round(settings.steps * (1 - settings.decay))
    began, first, sums, since = time.monotonic(), run.step, np.zeros(3), 0
    while run.step < settings.steps:
        start = run.step * settings.batch
        rows = records.shuffled(seed=settings.seed, start=start, count=settings.batch)
        mirrored = batches.mirrored(rows, seed=settings.seed, start=start)
        own = slice(rank, None, settings.processes)
        taught = batches.of(records.at(rows[own]), teacher=settings.teacher, mirrored=mirrored[own])
        factor = rate(run.step, steps=settings.steps, decay=settings.decay)
        sums += run.learn(taught, factor=factor, bfloat16=settings.bfloat16)
        since += 1
        if rank:
            continue
        if run.step == stable:
            run.save(settings.out / "stable.safetensors")
        if run.step % settings.every == 0 or run.step == settings.steps:
            moves, outcome, told = sums / since
            seconds = time.monotonic() - began
            line = {
                "step": run.step,
                "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
                "positions": run.step * settings.batch,
                "rate": round(factor, 4),
                "moves_loss": round(float(moves), 4),
                "outcome_loss": round(float(outcome), 4),
                **({"told_loss": round(float(told), 4)} if run.told else {}),
                "positions_per_second": round((run.step - first) * settings.batch / seconds, 1),
                "held_out": evaluate(run.body, sample, teacher=settings.teacher),
            }
            with (settings.out / "log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
            print(json.dumps(line), flush=True)
            run.save(checkpoint)
            sums[:], since = 0, 0


if __name__ == "__main__":
    typer.run(main)
