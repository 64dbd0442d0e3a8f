"""Leela's weights files: what one says about itself, its tensors, and writing one.

A file is one protobuf message, mostly gzipped. Source of the format: lc0, ``src/neural/loader.cc``.
"""

import difflib
import io
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from leela_probe.files import disk, unpacking
from leela_probe.files.decompression import DamagedError
from leela_probe.weights import headers, schema, shapes
from leela_probe.weights.architectures import Architecture
from leela_probe.weights.headers import Header, Training

__all__ = ["WeightsFile", "WeightsFileError", "read", "read_header", "write"]

_MAGIC = 0x1C0
_MAGIC_BYTES = b"\x0d" + _MAGIC.to_bytes(4, "little")
_GZIP_WINDOW = 31
_COMPRESSION_LEVEL = 1
_CHUNK = 1 << 24
_LC0_VERSION = (0, 31, 0)
# Tensors that some trained networks carry beside those of their architecture; lc0 ignores them.
_UNUSED = ("smolgen_b", "ip_val_err_w", "ip_val_err_b", "ip_val_cat_w", "ip_val_cat_b")
# lc0 takes these sizes for granted, and ends or reads nonsense where they differ.
_VALUE_HIDDEN = 128
_TOWER_VALUE_CHANNELS = 32
# Old files leave these out of a batch normalisation; they are 1 and 0 then.
_OPTIONAL = ("bn_gammas", "bn_betas")


class WeightsFileError(ValueError):
    """A file that is no Leela network, or none that can be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsFile:
    """A weights file: its header, its architecture and every tensor by field path."""

    header: Header
    architecture: Architecture
    tensors: Mapping[str, np.ndarray]


def read_header(path: str | PathLike[str]) -> Header:
    """What a weights file says about its network.

    Args:
        path: a ``.pb.gz`` or ``.pb`` file.

    Raises:
        WeightsFileError: the file is no Leela network, cut off or damaged.
        OSError: the file cannot be opened.
    """
    return _header(_load(path), path)


def read(path: str | PathLike[str]) -> WeightsFile:
    """A weights file with its tensors, float32, in the shapes of `shapes.of`.

    The numbers are the ones that lc0 computes with. Tensors that are no part of the architecture
    (a value head's error estimate) are there too, as matrices where they have a bias.

    Args:
        path: a ``.pb.gz`` or ``.pb`` file.

    Raises:
        WeightsFileError: the file is no Leela network, cut off, damaged, of an unknown kind, or
            wraps an ONNX model.
        OSError: the file cannot be opened.
    """
    net = _load(path)
    header = _header(net, path)
    if header.architecture is None:
        raise WeightsFileError(f"{path} has no tensors to read: {header.undescribed}")
    try:
        tensors = schema.tensors(net)
    except ValueError as error:
        raise WeightsFileError(f"{path}: {error}") from error
    expected = shapes.of(header.architecture)
    for name, shape in expected.items():
        if name not in tensors and name.rsplit(".", 1)[-1] not in _OPTIONAL:
            raise WeightsFileError(f"{path} lacks tensor {name!r} of shape {shape}")
    for name, values in tensors.items():
        shape = expected.get(name) or _lone_shape(name, tensors)
        if values.size != prod(shape):
            raise WeightsFileError(
                f"{path}: tensor {name!r} holds {values.size} numbers, expected shape {shape}"
            )
        tensors[name] = values.reshape(shape)
    return WeightsFile(header=header, architecture=header.architecture, tensors=tensors)


def write(
    path: str | PathLike[str],
    architecture: Architecture,
    tensors: Mapping[str, np.ndarray],
    *,
    min_version: tuple[int, int, int] = _LC0_VERSION,
    license: str = "",
    training: Training | None = None,
) -> None:
    """A network in Leela's own file format, as lc0 and every Leela tool reads it.

    The same arguments give the same bytes. The file appears whole or not at all: it is written
    beside its place under another name and then moved; a file that was there is replaced.

    Args:
        path: where the file goes; gzipped if the name ends in ``.gz``.
        architecture: what the network is made of.
        tensors: every tensor that `shapes.of` lists, float32, in that shape. Stored numbers are
            off by at most half a step, a step being (greatest - least) / 65535 of that tensor.
        min_version: the oldest lc0 that shall read the file.
        license: text of the licence.
        training: what to say about the training.

    Raises:
        ValueError: a tensor is missing, unexpected, of another shape, or not finite; or lc0 could
            not read a network of these sizes.
        OSError: the file cannot be written.
    """
    names = _check(architecture, tensors)
    net = schema.new_net()
    net.magic = _MAGIC
    headers.fill(net, architecture, min_version, license, training)
    for name in names:
        schema.set_tensor(net, name, np.asarray(tensors[name], dtype=np.float32))
    _write_whole(Path(path), net.SerializeToString(deterministic=True))


def _header(net: Any, path: str | PathLike[str]) -> Header:
    try:
        return headers.of(net)
    except ValueError as error:
        raise WeightsFileError(f"{path}: {error}") from error


def _load(path: str | PathLike[str]) -> Any:
    from google.protobuf.message import DecodeError

    content = _content(path)
    if not content.startswith(_MAGIC_BYTES):
        raise WeightsFileError(f"{path} is no Leela network: {_guess(content)}")
    net = schema.new_net()
    try:
        net.ParseFromString(content)
    except DecodeError as error:
        raise WeightsFileError(
            f"{path} is damaged or cut off: its {len(content)} bytes are no whole network; "
            "get the file again"
        ) from error
    return net


def _content(path: str | PathLike[str]) -> bytes:
    if Path(path).stat().st_size == 0:
        raise WeightsFileError(f"{path} is empty: expected a Leela network of some 100 kB or more")
    try:
        return unpacking.unpacked(Path(path))
    except DamagedError as error:
        raise WeightsFileError(str(error)) from error


def _guess(content: bytes) -> str:
    start = content[:16]
    if not content:
        return "nothing is compressed in it"
    if content.startswith((b"1\n", b"2\n")):
        return "it is a text file of weights of 2018, which lc0 no longer reads either"
    if content.lstrip().startswith(b"<"):
        return "it is a web page; the download went wrong"
    if content.startswith(b"\x08"):
        return "it looks like an ONNX model; give it the ending .onnx"
    if start[:1] == _MAGIC_BYTES[:1] and len(start) >= 5:
        magic = int.from_bytes(start[1:5], "little")
        return f"its magic number is {magic:#x}, expected {_MAGIC:#x}"
    return f"it starts with {start!r}, expected gzip or the magic number {_MAGIC:#x}"


def _lone_shape(name: str, tensors: Mapping[str, np.ndarray]) -> tuple[int, ...]:
    """The shape of a tensor that is no part of the architecture: a matrix if it has a bias."""
    size = tensors[name].size
    bias = tensors.get(f"{name[:-2]}_b") if name.endswith("_w") else None
    return (size,) if bias is None or not bias.size else (bias.size, size // bias.size)


def _check(architecture: Architecture, tensors: Mapping[str, np.ndarray]) -> list[str]:
    """The names to write, in the order of the architecture, after all that could be wrong."""
    if architecture.value_hidden != _VALUE_HIDDEN:
        raise ValueError(
            f"value_hidden is {architecture.value_hidden}: lc0 reads value heads with a hidden "
            f"layer of {_VALUE_HIDDEN} only"
        )
    if architecture.blocks and architecture.value_channels != _TOWER_VALUE_CHANNELS:
        raise ValueError(
            f"value_channels is {architecture.value_channels}: after a residual tower lc0 reads "
            f"value heads of {_TOWER_VALUE_CHANNELS} channels only"
        )
    expected = shapes.of(architecture)
    missing = [name for name in expected if name not in tensors]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        shape = expected[missing[0]]
        raise ValueError(f"tensor {missing[0]!r} of shape {shape} is missing{more}")
    extras = [name for name in tensors if name not in expected]
    for name in extras:
        if name.rsplit(".", 1)[-1] not in _UNUSED:
            near = difflib.get_close_matches(name, expected, n=1)
            hint = f"; the nearest name is {near[0]!r}" if near else ""
            raise ValueError(f"tensor {name!r} is no part of this {architecture.structure}{hint}")
    for name, values in tensors.items():
        if name in expected and values.shape != expected[name]:
            raise ValueError(f"tensor {name!r} has shape {values.shape}, expected {expected[name]}")
        if not np.issubdtype(values.dtype, np.floating):
            raise ValueError(f"tensor {name!r} is {values.dtype}, expected float32")
        if not np.isfinite(values).all():
            raise ValueError(f"tensor {name!r} holds numbers that are not finite")
    return [*expected, *sorted(extras)]


def _write_whole(path: Path, content: bytes) -> None:
    """The file at its place, whole and on disk, or what was there before."""
    disk.write(
        path, lambda file: _pack(content, file) if path.suffix == ".gz" else file.write(content)
    )


def _pack(content: bytes, file: io.BufferedIOBase) -> None:
    # No two stretches of 16-bit numbers are alike, so only single bytes are coded.
    coder = zlib.compressobj(
        _COMPRESSION_LEVEL, zlib.DEFLATED, _GZIP_WINDOW, 9, zlib.Z_HUFFMAN_ONLY
    )
    for start in range(0, len(content), _CHUNK):
        file.write(coder.compress(content[start : start + _CHUNK]))
    file.write(coder.flush())
