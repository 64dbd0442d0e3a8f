"""Weights of the score by one ply, fitted to the certified first moves of mates in two and three.

    python -m training.one_ply_fit DATA --out training/one_ply_weights/mates.json

It fits a conditional logit over the legal moves to the first records of a folder, prints how often
each rule and the fitted sum find the first moves among the last records, and writes the weights.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from training import records
from training.batches import Records
from training.one_ply import FEATURES, features, greatest, scores, terms, whole

__all__ = ["fit", "main", "shares"]


def fit(found: np.ndarray, *, steps: int = 60, ridge: float = 1e-4) -> np.ndarray:
    """Weights whose score is greatest for the first moves of mates in two and three, as `whole`.

    Args:
        found: records; others are left out.
        steps: at most, of L-BFGS.
        ridge: what a weight's square costs, in nats.
    """
    found = _mates(found)
    most = int(found["count"].max())
    legal = np.arange(most) < found["count"][:, None]
    inputs = torch.from_numpy(terms(features(found)[:, :most], legal))
    key = torch.from_numpy((found["target"][:, :most] & records.STRONG).argmax(axis=1))
    beyond = torch.from_numpy(~legal)
    weight = torch.zeros(inputs.shape[-1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weight], max_iter=steps, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        score = (inputs @ weight).masked_fill(beyond, -torch.inf)
        value = torch.nn.functional.cross_entropy(score, key) + ridge * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return whole(weight.detach().numpy())


def _mates(found: np.ndarray) -> np.ndarray:
    return found[np.isin(found["kind"], (records.MATE_IN_2, records.MATE_IN_3))]


def shares(found: np.ndarray, weight: np.ndarray) -> dict[str, float]:
    """How often each rule, ties by lot, finds the first move of mates in two and three."""
    found = _mates(found)
    seen = features(found).astype(np.int64)
    part = {name: seen[..., index] for index, name in enumerate(FEATURES)}
    rules = {
        "fewest replies": -part["replies"],
        "fewest escapes": -part["escapes"],
        "a check": part["check"],
        "the greatest capture": part["taken"],
        "most squares beside the king": part["zone"],
        "nearest to the king": -part["distance"],
        "their sum": scores(found, weight),
    }
    key = found["target"] & records.STRONG > 0
    found_by = {}
    for name, rule in rules.items():
        chosen = greatest(found, rule)
        found_by[name] = float(((chosen & key).sum(axis=1) / chosen.sum(axis=1)).mean())
    return found_by


def main(
    data: Annotated[Path, typer.Argument(help="folder of blocks", exists=True)],
    out: Annotated[Path, typer.Option(help="where the weights go")],
    boards: Annotated[int, typer.Option(help="records to fit to, and to try on", min=100)] = 16384,
) -> None:
    """Fit the score to mates, and say how often it finds their first moves."""
    blocks = Records(data)
    if len(blocks) < 2 * boards:
        print(f"'{data}' holds {len(blocks)} records: expected {2 * boards}", file=sys.stderr)
        raise typer.Exit(1)
    weight = fit(blocks.at(np.arange(boards)))
    found_by = shares(blocks.at(np.arange(len(blocks) - boards, len(blocks))), weight)
    for name, share in found_by.items():
        print(f"{share:7.1%} {name}")
    content = {"fitted_to": boards, "finds": found_by, "weights": weight.tolist()}
    out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
