"""The columns of tables of predictions, and how rows of them are made."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
from jaxtyping import Float, Int64

from leela_probe.files import tables
from leela_probe.probing.targets import Target
from leela_probe.puzzles.pairs import Pair

__all__ = ["SCHEMA", "VERDICTS", "Control", "Kind", "frame", "read"]


class Kind(str, Enum):
    """What is predicted.

    A source is predicted given the true target unless its kind says otherwise. Joint is the target
    and, given that prediction, the source; predictions have no rows of it.
    """

    TARGET = "target"
    SOURCE = "source"
    SOURCE_GIVEN_PREDICTED = "source given predicted target"
    JOINT = "joint"

    __str__ = str.__str__


class Control(str, Enum):
    """What reads the future: the network itself, or something that should not be able to."""

    NONE = "none"
    RANDOM_WEIGHTS = "random weights"
    INPUT_PLANES = "input planes"
    MOST_FREQUENT_RELATION = "most frequent relation"
    LEGAL_MOVES = "legal moves"
    TASK = "control task"

    __str__ = str.__str__


VERDICTS = ("predicted",)

_CATEGORY = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())

SCHEMA = pyarrow.schema(
    {
        "network": _CATEGORY,  # whose activations; empty for controls that have none
        "control": _CATEGORY,  # see Control
        "instance": pyarrow.int16(),  # which of several random networks, from 1; else 0
        "site": _CATEGORY,  # empty for controls without activations
        "layer": pyarrow.int16(),  # empty outside the layers
        "kind": _CATEGORY,  # see Kind
        "ply": pyarrow.int16(),
        "split": _CATEGORY,
        "seed": pyarrow.int16(),
        "puzzle_id": pyarrow.string(),
        "game_id": pyarrow.string(),
        "given": pyarrow.int8(),  # the square that the probe is given, in the mover's view
        "answer": pyarrow.int8(),
        "predicted": pyarrow.int8(),
        "rank": pyarrow.int8(),  # of the answer: 1 is right
        "loss": pyarrow.float32(),  # minus its log probability, in nats
        "verdict": _CATEGORY,
    }
)
"""The columns; one row per puzzle, layer, target, split and seed."""


def read(path: str | Path) -> pd.DataFrame:
    """The predictions in a file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it does not hold predictions.
    """
    place = SCHEMA.get_field_index("site")  # of controls without activations it is an empty text
    schema = SCHEMA.set(place, SCHEMA.field(place).with_nullable(False))
    return tables.read(path, schema, what="predictions, as leela-probe probe writes them")


def frame(
    pairs: Sequence[Pair],
    boards: Int64[np.ndarray, " board"],
    *,
    sites: Sequence[str],
    kind: str,
    target: Target,
    split: str,
    seeds: Sequence[int],
    predicted: Int64[np.ndarray, "layer seed board"],
    rank: Int64[np.ndarray, "layer seed board"],
    loss: Float[np.ndarray, "layer seed board"],
) -> pyarrow.Table:
    """Rows of a table of predictions; who predicts is left empty, to be filled in by `label`.

    Args:
        pairs: all puzzles.
        boards: which of them the rows are about.
        sites: a name for each place of the axis `layer`.
        kind: see `Kind`; a target's own kind may say that it is a control task.
        target: what was asked.
        split: the split's name.
        seeds: a number for each place of the axis `seed`.
        predicted: the square with the highest score.
        rank: of the answer.
        loss: minus the log probability of the answer.
    """
    layers, runs, count = predicted.shape
    each = layers * runs * count
    layer = [
        None if (n := re.match(r"layer(\d+)\.", site)) is None else int(n[1]) for site in sites
    ]
    control = Control.TASK if Control.TASK in kind else None

    def repeated(values: Sequence[object], inner: int, kind: pyarrow.DataType) -> pyarrow.Array:
        places = np.tile(np.repeat(np.arange(len(values)), inner), each // (len(values) * inner))
        return pyarrow.array(values, kind).take(pyarrow.array(places))

    def constant(value: object, kind: pyarrow.DataType) -> pyarrow.Array:
        if pyarrow.types.is_dictionary(kind):
            return pyarrow.repeat(pyarrow.scalar(value, kind.value_type), each).dictionary_encode()
        return pyarrow.repeat(pyarrow.scalar(value, kind), each)

    if each == 0:
        return SCHEMA.empty_table()
    text, small = pyarrow.string(), pyarrow.int16()
    columns = {
        "network": constant(None, _CATEGORY),
        "control": constant(control, _CATEGORY),
        "instance": constant(0, small),
        "site": repeated(sites, runs * count, text).dictionary_encode(),
        "layer": repeated(layer, runs * count, small),
        "kind": constant(kind.removesuffix(f" ({Control.TASK})"), _CATEGORY),
        "ply": constant(target.ply, small),
        "split": constant(split, _CATEGORY),
        "seed": repeated(list(seeds), count, small),
        "puzzle_id": repeated([pairs[board].puzzle_id for board in boards], 1, text),
        "game_id": repeated([pairs[board].game_id for board in boards], 1, text),
        "given": repeated(target.given[boards].tolist(), 1, pyarrow.int8()),
        "answer": repeated(target.answer[boards].tolist(), 1, pyarrow.int8()),
        "predicted": pyarrow.array(predicted.ravel().astype(np.int8)),
        "rank": pyarrow.array(rank.ravel().astype(np.int8)),
        "loss": pyarrow.array(loss.ravel().astype(np.float32)),
        "verdict": constant(VERDICTS[0], _CATEGORY),
    }
    return pyarrow.table(columns).cast(SCHEMA)
