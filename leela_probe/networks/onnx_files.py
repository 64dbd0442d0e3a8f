"""ONNX files of Leela networks: reading, the facts we note in their metadata, float32 copies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import onnx
import onnx.checker
import onnx.external_data_helper
import onnx.helper
import onnx.numpy_helper
from google.protobuf.message import DecodeError

from leela_probe.files import disk
from leela_probe.positions.planes import InputFormat

__all__ = [
    "HEADS",
    "OnnxFile",
    "check_head",
    "head",
    "input_format",
    "is_named_so",
    "metadata",
    "open_file",
    "read",
    "roles",
    "set_metadata",
    "to_float32",
]

HEADS = MappingProxyType({"policy": "vanilla", "value": "winner"})
"""The head of each kind that is taken unless another is named."""

_REAL = frozenset(
    {
        onnx.TensorProto.FLOAT,
        onnx.TensorProto.FLOAT16,
        onnx.TensorProto.BFLOAT16,
        onnx.TensorProto.DOUBLE,
    }
)


def is_named_so(path: Path) -> bool:
    """True if the file's name says that it is an ONNX file."""
    return path.suffix.lower() == ".onnx"


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxFile:
    """What an ONNX file holds.

    Attributes:
        model: with all its tensors, for batches of any size.
        external: the SHA-256 of the other files that its tensors were read from, by their names.
    """

    model: onnx.ModelProto
    external: Mapping[str, str]


def read(path: Path) -> onnx.ModelProto:
    """The model in the file; see `open_file`."""
    return open_file(path).model


def open_file(path: Path) -> OnnxFile:
    """The model in the file, for batches of any size, whatever size it was exported for.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no ONNX model, one without the input planes of a Leela network, or one
            that keeps tensors in other files that are not there.
    """
    try:
        model = onnx.load_model(str(path), load_external_data=False)
        names = sorted(_external_files(model))
        onnx.load_external_data_for_model(model, str(path.parent))
    except DecodeError as error:
        raise ValueError(
            f"{path} is no ONNX file ({path.stat().st_size} bytes that do not parse): expected a "
            "network exported by lc0's leela2onnx, complete"
        ) from error
    except onnx.checker.ValidationError as error:
        raise ValueError(
            f"{path} keeps its tensors in another file, which cannot be read: {error}"
        ) from error
    if not model.graph.node:
        raise ValueError(f"{path} holds no ONNX graph: expected a network from lc0's leela2onnx")
    shapes = {
        entry.name: [size.dim_value for size in entry.type.tensor_type.shape.dim]
        for entry in model.graph.input
    }
    if not any(shape[-3:] == [112, 8, 8] for shape in shapes.values()):
        raise ValueError(
            f"{path} takes {shapes or 'no inputs'}: expected one input of shape "
            "[batch, 112, 8, 8], Leela's planes"
        )
    _free_batch(model)
    external = {name: disk.sha256(path.parent / name) for name in names}
    return OnnxFile(model=model, external=external)


def _external_files(model: onnx.ModelProto) -> set[str]:
    """The files, other than the model's own, in which it keeps tensors."""
    tensors = [*model.graph.initializer, *_attribute_tensors(model)]
    return {
        onnx.external_data_helper.ExternalDataInfo(tensor).location
        for tensor in tensors
        if onnx.external_data_helper.uses_external_data(tensor)
    }


def _attribute_tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    for node in model.graph.node:
        for attribute in node.attribute:
            yield attribute.t
            yield from attribute.tensors


def _free_batch(model: onnx.ModelProto) -> None:
    """Lets the batch be of any size, where it was exported for one size."""
    first = [
        value.type.tensor_type.shape.dim[0]
        for value in (*model.graph.input, *model.graph.output)
        if value.type.tensor_type.shape.dim
    ]
    if any(size.HasField("dim_value") for size in first):
        for size in first:
            size.dim_param = "batch"
        del model.graph.value_info[:]  # what was worked out for that one size


def metadata(model: onnx.ModelProto) -> dict[str, str]:
    """The model's own key-value notes."""
    return {entry.key: entry.value for entry in model.metadata_props}


def input_format(model: onnx.ModelProto, path: Path) -> InputFormat:
    """The input format that the model notes; the classical one if it notes none.

    Raises:
        ValueError: naming the file, if it is none there is.
    """
    said = metadata(model).get("leela_probe.input_format", str(int(InputFormat.CLASSICAL)))
    known = {str(int(each)): each for each in InputFormat}
    if said not in known:
        raise ValueError(
            f"{path} notes the input format {said!r}, which is none of {', '.join(known)}: name "
            "the right one with input_format"
        )
    return known[said]


def head(notes: Mapping[str, str], kind: str) -> str:
    """The policy or value head that a model's notes name; the main one if they name none."""
    return notes.get(f"leela_probe.{kind}_head", HEADS[kind])


def check_head(model: onnx.ModelProto, path: Path, kind: str, asked: str | None) -> None:
    """Refuses to take another head from the model than the one it holds.

    Args:
        model: the model.
        path: the file that messages name.
        kind: `policy` or `value`.
        asked: the head that is asked for; None is any.

    Raises:
        ValueError: saying which head it holds.
    """
    held = head(metadata(model), kind)
    if asked not in (None, held):
        raise ValueError(
            f"{path} holds one {kind} head, {held!r}, and {asked!r} is asked for: convert the "
            f".pb.gz file with {kind}_head={asked!r}, or load that file"
        )


def roles(model: onnx.ModelProto, path: Path) -> dict[str, str]:
    """The names of the outputs by what they are: policy, wdl, value, mlh (moves left).

    Raises:
        ValueError: naming the file, if there is no policy.
    """
    outputs = [output.name for output in model.graph.output]
    found = {
        role: name for name in outputs for role in ("policy", "wdl", "value", "mlh") if role in name
    }
    if "policy" not in found:
        raise ValueError(
            f"{path} has the outputs {', '.join(outputs)}: expected one named like "
            "'/output/policy', as lc0's leela2onnx writes it"
        )
    return found


def set_metadata(model: onnx.ModelProto, entries: Mapping[str, str]) -> None:
    """Adds notes to the model, replacing those of the same key."""
    onnx.helper.set_model_props(model, {**metadata(model), **entries})


def to_float32(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network in float32: half-precision weights widened exactly, casts between them gone.

    The model itself is returned when there is nothing to widen.
    """
    kinds = {entry.data_type for entry in model.graph.initializer}
    casts = {
        node.output[0]: node.input[0]
        for node in model.graph.node
        if node.op_type == "Cast" and any(a.name == "to" and a.i in _REAL for a in node.attribute)
    }
    if kinds & _REAL <= {onnx.TensorProto.FLOAT} and not casts:
        return model
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    for entry in wide.graph.initializer:
        if entry.data_type in _REAL:
            values = onnx.numpy_helper.to_array(entry).astype(np.float32)
            entry.CopyFrom(onnx.numpy_helper.from_array(values, entry.name))
    del wide.graph.value_info[:]
    for value in (*wide.graph.input, *wide.graph.output):
        if value.type.tensor_type.elem_type in _REAL:
            value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    outputs = {value.name for value in wide.graph.output}

    def source(name: str) -> str:
        while name in casts and name not in outputs:
            name = casts[name]
        return name

    nodes = [
        node
        for node in wide.graph.node
        if node.op_type != "Cast" or node.output[0] not in casts or node.output[0] in outputs
    ]
    for node in nodes:
        node.input[:] = [source(name) for name in node.input]
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i in _REAL:
                attribute.i = onnx.TensorProto.FLOAT
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del wide.graph.node[:]
    wide.graph.node.extend(kept)
    return wide
