"""Effects tables of made-up sweeps, written as `patch` writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet

from leela_probe.experiments.effect_tables import SCHEMA

PUZZLES, LAYERS, HEADS = 24, 3, 4
PATTERNS = ("112", "123", "111")


def table(rows: list[dict[str, Any]], **same: Any) -> pyarrow.Table:
    """Rows with the columns that they lack."""
    every = {
        "rank": 1, "verdict": "measured", "direction": "noising", "measure": "log_odds",
        "clean": 2.0, "corrupted": -1.0,
    }  # fmt: skip
    whole = [{**every, **same, **row} for row in rows]
    for row in whole:
        row.setdefault("changed", row["clean"] - row.get("effect", 0.0))
    columns = {name: [row.get(name) for row in whole] for name in SCHEMA.names}
    return pyarrow.table(columns, schema=SCHEMA)


def write(found: pyarrow.Table, path: Path, **options: Any) -> Path:
    """The table with a manifest beside it."""
    pyarrow.parquet.write_table(found, path)
    manifest = {"inputs": {"network": {"file": "tiny-net.pb.gz"}}, "options": options}
    path.with_name(f"{path.name}.manifest.json").write_text(json.dumps(manifest))
    return path


def _puzzle(number: int) -> dict[str, Any]:
    pattern = PATTERNS[number % 3]
    return {
        "puzzle_id": f"p{number:02}",
        "game_id": f"g{number // 2:02}",
        "target_pattern": pattern,
    }


def residual(seed: int = 0) -> pyarrow.Table:
    """Six squares a layer: corrupted, both targets (one square in 111), control, two more."""
    draw = np.random.default_rng(seed)
    rows = []
    for number in range(PUZZLES):
        puzzle = _puzzle(number)
        names = ["corrupted", "ply1_target", "ply3_target", "matched_control", "other", "other"]
        if puzzle["target_pattern"] == "111":
            names[1:3] = ["ply1_target+ply3_target", "other"]
        for layer in range(LAYERS):
            for square, name in enumerate(names):
                effect = draw.normal(3.0 * ("ply1" in name) + 0.1 * square, 0.5)
                place = {"layer": layer, "square": square, "category": name}
                rows.append({**puzzle, **place, "effect": np.float32(effect)})
    return table(rows, sweep="residual", site="residual_after")


def heads(seed: int = 0) -> pyarrow.Table:
    """Head 2 of layer 1 has an effect of 1."""
    draw = np.random.default_rng(seed)
    rows = [
        {**_puzzle(number), "layer": layer, "head": head,
         "effect": np.float32(draw.normal((layer, head) == (1, 2), 0.3))}
        for number in range(PUZZLES) for layer in range(LAYERS) for head in range(HEADS)
    ]  # fmt: skip
    return table(rows, sweep="heads", site="head_output")


def head_pairs() -> pyarrow.Table:
    """Heads 0 and 2 of layer 1 together, half a nat above the sum of their effects in `heads`."""
    alone = heads().to_pandas().set_index(["puzzle_id", "layer", "head"])["effect"]
    rows = []
    for number in range(PUZZLES):
        puzzle = _puzzle(number)
        each = [alone[puzzle["puzzle_id"], 1, head] for head in (0, 2)]
        wobble = 0.1 * (-1) ** (number // 2)
        rows.append(
            {**puzzle, "label": "L1H0+L1H2", "effect": np.float32(sum(each) + 0.5 + wobble)}
        )
    return table(rows, sweep="head_sets", site="head_output")


def entry(seed: int = 0) -> pyarrow.Table:
    """One entry with an effect of 1, all others of 0.2."""
    draw = np.random.default_rng(seed)
    rows = [
        {**_puzzle(number), "layer": 2, "head": 3, "label": label,
         "effect": np.float32(draw.normal(mean, 0.5))}
        for number in range(PUZZLES) for label, mean in (("3->1", 1.0), ("all other entries", 0.2))
    ]  # fmt: skip
    return table(rows, sweep="entry", site="pattern", direction="ablation")


def frame(found: pyarrow.Table) -> pd.DataFrame:
    """The table as pandas has it, to reckon with."""
    return found.to_pandas().astype({"category": object, "puzzle_id": object, "label": object})
