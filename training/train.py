"""Training an attention body on certified positions: progress, checkpoints, resuming.

    python -m training.train --data DATA --out RUN --size strong --teacher strong --steps 20000

Killed at any moment and started again with the same arguments it goes on from its last
checkpoint. The learning rate falls linearly to 0 in the last part of the run (all of it, unless
`--decay` says less); the checkpoint before the fall is kept as ``stable.safetensors``.
"""

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import safetensors
import torch
import torch.nn.functional as F
import typer
from safetensors.torch import save_file
from torch import Tensor, distributed, multiprocessing

from training import batches
from training.batches import Batch, Records
from training.model import SIZES, AttentionBody, Output

__all__ = ["accuracy", "losses", "main"]

_WARM_UP = 200
_OUTCOME_WEIGHT = 0.5
_GRADIENT_NORM = 1.0
_MOST_SCORE, _LIMIT_EVERY, _LIMIT_BOARDS = 30.0, 5, 32


def logits(output: Output, batch: Batch) -> Tensor:
    """The logit of each legal move, (board, move); -inf beyond the last."""
    every = torch.cat([output.moves, output.promotions], dim=1)
    return every.gather(1, batch.slots).masked_fill(~batch.legal, -torch.inf)


def losses(output: Output, batch: Batch) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy in nats of the moves (where the teacher names some) and the outcome."""
    log_p = logits(output, batch).float().log_softmax(dim=1).masked_fill(~batch.legal, 0)
    said = batch.target.sum(dim=1) > 0
    moves = -(batch.target * log_p).sum() / said.sum().clamp(min=1)
    return moves, F.cross_entropy(output.outcome.float(), batch.outcome)


def accuracy(output: Output, batch: Batch) -> Tensor:
    """Whether the likeliest legal move is one of the teacher's, (board)."""
    best = logits(output, batch).argmax(dim=1, keepdim=True)
    return batch.target.gather(1, best)[:, 0] > 0


def rate(step: int, *, steps: int, decay: float) -> float:
    """Factor of the learning rate: warm-up, constant, then linearly to 0."""
    falling = max(1.0, steps * decay)
    return min(1.0, (step + 1) / _WARM_UP, max(0.0, (steps - step) / falling))


class Run:
    """A training run: network, optimisers and how far it is."""

    def __init__(self, size: str, *, seed: int, muon: float, adam: float, device: str) -> None:
        self.body = AttentionBody(SIZES[size], seed=seed).to(device)
        self.step = 0
        matrices, others = [], []
        for name, value in self.body.weights.items():
            inner = value.ndim == 2 and name.startswith(("encoder", "ip_pol", "ip2_pol", "ip3_pol"))
            (matrices if inner else others).append(value)
        self.optimizers = [
            torch.optim.Muon(matrices, lr=muon, weight_decay=0.01),
            torch.optim.AdamW(others, lr=adam, betas=(0.9, 0.98), weight_decay=0.01, fused=True),
        ]
        self.base_rates = (muon, adam)

    def learn(self, batch: Batch, *, factor: float, bfloat16: bool) -> tuple[float, float]:
        """One step, shared with the other processes where there are some; the losses before it."""
        with torch.autocast(self.body.reach.device.type, torch.bfloat16, enabled=bfloat16):
            output = self.body(batch.pieces, batch.castling)
        moves, outcome = losses(output, batch)
        (moves + _OUTCOME_WEIGHT * outcome).backward()
        if distributed.is_initialized():
            _average([p.grad for p in self.body.parameters() if p.grad is not None])
        torch.nn.utils.clip_grad_norm_(self.body.parameters(), _GRADIENT_NORM)
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
        return moves.item(), outcome.item()

    def save(self, path: Path) -> None:
        """Write a checkpoint; the old one is there until the new one is whole."""
        tensors = {f"weights/{name}": value for name, value in self.body.weights.items()}
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
                if kind == "weights":
                    with torch.no_grad():
                        self.body.weights[rest[0]].copy_(file.get_tensor(name))
                else:
                    number, key, field = rest[0].split("/")
                    states[int(number)].setdefault(int(key), {})[field] = file.get_tensor(name)
        for optimizer, state in zip(self.optimizers, states, strict=True):
            optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


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
    right, outcomes, kinds = [], [], []
    for start in range(0, len(records), size):
        batch = batches.of(records[start : start + size], teacher=teacher)
        output = body(batch.pieces.to(body.reach.device), batch.castling.to(body.reach.device))
        right.append(accuracy(output, batch))
        outcomes.append(output.outcome.argmax(dim=1) == batch.outcome)
        kinds.append(batch.kind)
    found, known, kind = torch.cat(right), torch.cat(outcomes), torch.cat(kinds)
    names = ("mate_in_2", "mate_in_1", "defence", "near_miss")
    return {
        name: {
            "positions": int((kind == number).sum()),
            "moves": round(float(found[kind == number].float().mean()), 4),
            "outcome": round(float(known[kind == number].float().mean()), 4),
        }
        for number, name in enumerate(names)
        if (kind == number).any()
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that a run depends on."""

    data: Path
    held_out: Path
    out: Path
    size: str
    teacher: str
    steps: int
    batch: int
    decay: float
    muon: float
    adam: float
    seed: int
    device: str
    processes: int
    bfloat16: bool
    compiled: bool
    every: int


def main(
    data: Annotated[Path, typer.Option(help="folder of blocks to learn from")],
    held_out: Annotated[Path, typer.Option(help="folder of blocks to measure on")],
    out: Annotated[Path, typer.Option(help="folder of checkpoints and log")],
    size: Annotated[str, typer.Option(help=f"one of {', '.join(SIZES)}")] = "strong",
    teacher: Annotated[str, typer.Option(help=f"one of {', '.join(batches.TEACHERS)}")] = "strong",
    steps: Annotated[int, typer.Option(help="steps of the whole run")] = 20_000,
    batch: Annotated[int, typer.Option(help="positions a step")] = 192,
    decay: Annotated[float, typer.Option(help="share of the run in which the rate falls")] = 1.0,
    muon: Annotated[float, typer.Option(help="learning rate of the matrices")] = 0.015,
    adam: Annotated[float, typer.Option(help="learning rate of the rest")] = 2e-3,
    seed: int = 0,
    device: str = "cpu",
    processes: Annotated[
        int, typer.Option(help="processes, one thread each, that share a step")
    ] = 1,
    bfloat16: bool = True,
    compiled: bool = False,
    every: Annotated[int, typer.Option(help="steps between checkpoints")] = 500,
) -> None:
    """Train a network on certified positions; go on where an earlier call was cut off."""
    out.mkdir(parents=True, exist_ok=True)
    settings = Settings(
        data=data, held_out=held_out, out=out, size=size, teacher=teacher, steps=steps, batch=batch,
        decay=decay, muon=muon, adam=adam, seed=seed, device=device, processes=processes,
        bfloat16=bfloat16, compiled=compiled, every=every,
    )  # fmt: skip
    if processes == 1:
        train(0, settings, None)
        return
    with tempfile.TemporaryDirectory() as meeting:
        multiprocessing.spawn(train, (settings, Path(meeting, "store")), nprocs=processes)


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
    )
    checkpoint = settings.out / "checkpoint.safetensors"
    if checkpoint.exists():
        run.load(checkpoint)
        print(f"process {rank} goes on at step {run.step}", flush=True)
    if settings.compiled:
        run.body.compile()
    stable = round(settings.steps * (1 - settings.decay))
    began, first, sums, since = time.monotonic(), run.step, np.zeros(2), 0
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
            moves, outcome = sums / since
            seconds = time.monotonic() - began
            line = {
                "step": run.step,
                "positions": run.step * settings.batch,
                "rate": round(factor, 4),
                "moves_loss": round(float(moves), 4),
                "outcome_loss": round(float(outcome), 4),
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
