"""ONNX files of Leela networks: reading them, and the facts that we note in their metadata."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import onnx
import onnx.checker
import onnx.external_data_helper
import onnx.helper
from google.protobuf.message import DecodeError

from leela_probe.files import disk, unpacking
from leela_probe.positions.planes import InputFormat
from leela_probe.torch_onnx import plain_models

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
]

HEADS = MappingProxyType({"policy": "vanilla", "value": "winner"})
"""The head of each kind that is taken unless another is named."""

_ROLES = ("policy", "wdl", "value", "mlh")
_NOTE = "leela_probe.output.{}"


def is_named_so(path: Path) -> bool:
    """True if the file's name says that it is an ONNX file, gzipped or not.

    Example:
        >>> [is_named_so(Path(name)) for name in ("a.onnx", "a.onnx.gz", "a.pb.gz")]
        [True, True, False]
    """
    return path.name.lower().endswith((".onnx", ".onnx.gz"))


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxFile:
    """What an ONNX file of a Leela network holds.

    Attributes:
        path: the file.
        model: with all its tensors, in the plain form of `plain_models`, for batches of any size;
            its only input are the planes, its only outputs those of `roles`.
        roles: the names of the outputs by what they are; see `roles`.
        external: the SHA-256 of the other files that its tensors were read from, by their names.
        floating_types: the types of real numbers in the file, as `onnx.TensorProto` numbers.
        rewritten: the file itself is not in the plain form, or has other outputs too.
    """

    path: Path
    model: onnx.ModelProto
    roles: Mapping[str, str]
    external: Mapping[str, str]
    floating_types: frozenset[int]
    rewritten: bool

    @property
    def narrowest(self) -> str:
        """The least precise type of real numbers in the file."""
        kinds = onnx.TensorProto
        narrow = {kinds.BFLOAT16: "bfloat16", kinds.FLOAT16: "float16"}
        return next((narrow[kind] for kind in narrow if kind in self.floating_types), "float32")


def read(path: Path) -> onnx.ModelProto:
    """The model in the file; see `open_file`."""
    return open_file(path).model


def open_file(path: Path) -> OnnxFile:
    """The network in an ONNX file, whichever tool wrote it.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming the file, if it is not an ONNX model, is one without the input planes or
            the policy of a Leela network, leaves open which output is which, has relative position
            encoding, or keeps tensors in other files that are missing or cut off.
    """
    model = _parsed(path)
    if not model.graph.node:
        raise ValueError(f"{path} holds no ONNX graph: expected a network from lc0's leela2onnx")
    external = _load_external(model, path)
    kinds = plain_models.floating_types(model)
    try:
        plain = plain_models.plain(model)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    _check_input(plain, path)
    _refuse_relative_positions(plain, path)
    found = roles(plain, path)
    rewritten = plain is not model
    outputs = {entry.name: entry for entry in plain.graph.output}
    if len(found) < len(outputs):
        rewritten = True
        kept = [onnx.ValueInfoProto.FromString(outputs[name].SerializeToString())
                for name in found.values()]  # fmt: skip
        del plain.graph.output[:]
        plain.graph.output.extend(kept)
    _free_batch(plain)
    return OnnxFile(
        path=path,
        model=plain,
        roles=found,
        external=external,
        floating_types=kinds,
        rewritten=rewritten,
    )


def _parsed(path: Path) -> onnx.ModelProto:
    content = unpacking.unpacked(path)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError as error:
        raise ValueError(
            f"{path} is not an ONNX file ({len(content)} bytes that do not parse): expected a "
            "network exported by lc0's leela2onnx, complete"
        ) from error
    return model


def _load_external(model: onnx.ModelProto, path: Path) -> dict[str, str]:
    """Reads the tensors that lie in other files; the SHA-256 of each such file by its name."""
    ends: dict[str, int] = {}
    for tensor in (*model.graph.initializer, *_attribute_tensors(model)):
        if onnx.external_data_helper.uses_external_data(tensor):
            place = onnx.external_data_helper.ExternalDataInfo(tensor)
            end = (place.offset or 0) + (place.length or 0)
            ends[place.location] = max(end, ends.get(place.location, 0))
    if not ends:
        return {}
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except (onnx.checker.ValidationError, OSError, ValueError) as error:
        for name, end in ends.items():
            file = path.parent / name
            if file.is_file() and file.stat().st_size < end:
                raise ValueError(_cut_off(path, name, file.stat().st_size, end)) from error
        said = " ".join(str(error).split())
        raise ValueError(
            f"{path} keeps its tensors in another file, which cannot be read: {said}"
        ) from error
    for name, end in ends.items():
        size = (path.parent / name).stat().st_size
        if size < end:
            raise ValueError(_cut_off(path, name, size, end))
    return {name: disk.sha256(path.parent / name) for name in sorted(ends)}


def _cut_off(path: Path, name: str, size: int, end: int) -> str:
    return (
        f"{path} keeps its tensors in {name!r}, which is cut off: it has {size} bytes of at least "
        f"{end}; get both files again"
    )


def _attribute_tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    for node in model.graph.node:
        for attribute in node.attribute:
            yield attribute.t
            yield from attribute.tensors


def _check_input(model: onnx.ModelProto, path: Path) -> None:
    shapes = {
        entry.name: [size.dim_value for size in entry.type.tensor_type.shape.dim]
        for entry in model.graph.input
    }
    if len(shapes) != 1 or next(iter(shapes.values()))[-3:] != [112, 8, 8]:
        raise ValueError(
            f"{path} takes {shapes or 'no inputs'}: expected one input of shape "
            "[batch, 112, 8, 8], Leela's planes"
        )


def _refuse_relative_positions(model: onnx.ModelProto, path: Path) -> None:
    names = [entry.name for entry in model.graph.initializer]
    names += [name for node in model.graph.node for name in node.output]
    found = next((name for name in names if re.search(r"/rpe(_[qkv])?(/|$)", name)), None)
    if found is not None:
        raise ValueError(
            f"{path} has relative position encoding ({found!r}), as BT5 networks have: networks of "
            "that kind are not read yet"
        )


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

    Outputs are known by the notes in the file, then by the names that lc0 gives them
    (`/output/wdl`, in older files `output/wdl`). A file without any of these names is read by the
    words in its names, where there is one output of each word. Other outputs of a file are left
    alone.

    Raises:
        ValueError: naming the file, if there is no policy, or more than one output may be meant.
    """
    outputs = [output.name for output in model.graph.output]
    notes = metadata(model)
    found = {role: notes[_NOTE.format(role)] for role in _ROLES if _NOTE.format(role) in notes}
    for role, name in found.items():
        if name not in outputs:
            raise ValueError(
                f"{path} notes {name!r} as its {role} output, and its outputs are "
                f"{', '.join(outputs)}"
            )
    known = {name.removeprefix("/"): name for name in outputs}
    exact = {role: known[f"output/{role}"] for role in _ROLES if f"output/{role}" in known}
    found = exact | found
    if not found:
        for role in _ROLES:
            named = [name for name in outputs if role in name.lower()]
            if len(named) > 1:
                raise ValueError(
                    f"{path} has {len(named)} outputs that may be its {role}: {', '.join(named)}. "
                    f"Name the right one '/output/{role}', as lc0's leela2onnx does, or note it in "
                    f"the file's metadata under {_NOTE.format(role)!r}"
                )
            if named:
                found[role] = named[0]
    if "policy" not in found:
        raise ValueError(
            f"{path} has the outputs {', '.join(outputs)}: expected one named '/output/policy', as "
            "lc0's leela2onnx writes it"
        )
    return {role: found[role] for role in _ROLES if role in found}


def set_metadata(model: onnx.ModelProto, entries: Mapping[str, str]) -> None:
    """Adds notes to the model, replacing those of the same key."""
    onnx.helper.set_model_props(model, {**metadata(model), **entries})
