"""The same network with weights that have learned nothing: each tensor of them drawn anew.

A random number takes the place of every weight, with the mean and standard deviation of the tensor
it is in, so that layers keep their scale. What belongs to the architecture stays: whole numbers,
constants, and encodings of position that are appended to the input.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper

from leela_probe.networks import onnx_files

__all__ = ["redraw", "write"]

# What takes a weight in a Leela network; a table that is appended, gathered or reshaped is none.
_LEARNED = frozenset(
    "Add BatchNormalization Conv Div Gemm LayerNormalization MatMul Mul PRelu Sub".split()
)


def redraw(model: onnx.ModelProto, *, seed: int) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """A copy of the model with new weights, and the names of the tensors that were drawn.

    Numbers depend on the seed, the tensor's name and its shape.

    Args:
        model: a network of lc0's leela2onnx.
        seed: of the random numbers; not negative.

    Raises:
        ValueError: if the model has no weights to draw.
    """
    users: dict[str, set[str]] = {}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, set()).add(node.op_type)
    drawn = onnx.ModelProto()
    drawn.CopyFrom(model)
    names = []
    for entry in drawn.graph.initializer:
        values = onnx.numpy_helper.to_array(entry)
        learned = users.get(entry.name, set()) & _LEARNED
        if not learned or values.dtype.kind != "f" or values.size < 2:
            continue
        wide = values.astype(np.float64)
        if wide.std() == 0:
            continue
        rng = np.random.default_rng([seed, zlib.crc32(entry.name.encode())])
        new = wide.mean() + wide.std() * rng.standard_normal(values.shape)
        if "BatchNormalization" in learned:  # variances among them must not be negative
            new = np.abs(new) if wide.min() >= 0 else new
        entry.CopyFrom(onnx.numpy_helper.from_array(new.astype(values.dtype), entry.name))
        names.append(entry.name)
    if not names:
        raise ValueError(
            "this ONNX graph has no weights to draw: expected a network from lc0's leela2onnx, "
            "with its weights as initialisers"
        )
    onnx_files.set_metadata(drawn, {"leela_probe.random_weights": str(seed)})
    return drawn, tuple(names)


def write(source: str | Path, target: str | Path, *, seed: int) -> tuple[str, ...]:
    """An ONNX file with the weights of another drawn anew; the names of the tensors drawn.

    Notes in the file (input format, history) are kept.

    Args:
        source: an ONNX network.
        target: where the new one goes.
        seed: see `redraw`.

    Raises:
        FileNotFoundError, ValueError: see `onnx_files.read` and `redraw`.

    Example:
        >>> import tempfile
        >>> source = getfixture("attention_file")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     names = write(source, Path(folder, "random.onnx"), seed=1)
        >>> "/encoder0/mha/Q/w/w" in names, "/const/pos_encoding" in names
        (True, False)
    """
    drawn, names = redraw(onnx_files.read(Path(source)), seed=seed)
    Path(target).write_bytes(drawn.SerializeToString())
    return names
