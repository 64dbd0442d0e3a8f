"""Effects tables of a study with known truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet

from leela_probe.experiments.effect_tables import SCHEMA

PATTERNS = ("112", "123", "111", "1234")


def puzzles(count: int) -> pd.DataFrame:
    """Puzzles, two of each game, whose target patterns take turns."""
    numbers = np.arange(count)
    return pd.DataFrame(
        {
            "puzzle_id": [f"p{number}" for number in numbers],
            "game_id": [f"g{number // 2}" for number in numbers],
            "target_pattern": [PATTERNS[number % len(PATTERNS)] for number in numbers],
        }
    )


def effects(
    count: int, places: Sequence[Mapping[str, object]], means: Sequence[float], *, seed: int = 0
) -> pd.DataFrame:
    """Effects of every puzzle at every place, around the mean of the place."""
    draws = np.random.default_rng(seed)
    parts = [
        puzzles(count).assign(
            **place, effect=mean + 0.1 * draws.standard_normal(count), clean=1.0, corrupted=-1.0
        )
        for place, mean in zip(places, means, strict=True)
    ]
    table = pd.concat(parts, ignore_index=True)
    return table.assign(
        verdict="measured", sweep="x", direction="noising", measure="log_odds",
        changed=table["clean"] - table["effect"],
    )  # fmt: skip


def write(table: pd.DataFrame, path: Path) -> Path:
    """The table as `effects.sweep` would have written it."""
    columns = {name: table.get(name) for name in SCHEMA.names}
    whole = pyarrow.Table.from_pandas(pd.DataFrame(columns), SCHEMA, preserve_index=False)
    pyarrow.parquet.write_table(whole, path)
    return path
