"""The ONNX operators that Leela networks use, each as a function of torch tensors.

`bind` turns one ONNX node into a `Step`: the names of the tensors it takes, the names of those it
gives, and the function between them. Whatever a node fixes (axes, shapes, slice bounds) is resolved
when the node is bound, so that running it neither parses attributes nor waits for the GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Node", "Step", "UnsupportedOperatorError", "bind", "supported"]

# ONNX TensorProto element types that hold real numbers: float, float16, double, bfloat16.
_FLOATING = frozenset({1, 10, 11, 16})
_INTEGER_DTYPES = {2: torch.uint8, 3: torch.int8, 6: torch.int32, 7: torch.int64, 9: torch.bool}


class UnsupportedOperatorError(ValueError):
    """An ONNX operator, or a form of one, that this package does not run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node of an ONNX file; an input that is left out is the empty string.

    The operator's name begins with its domain where that is not ONNX's own.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A function from named tensors to named tensors; it returns one tensor per output name."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    function: Callable[..., Any]


class _Operands:
    """What binding a node may ask: its attributes, and those of its inputs that are constant."""

    def __init__(self, node: Node, constants: Mapping[str, Tensor], opset: int) -> None:
        self.node = node
        self.constants = constants
        self.opset = opset

    def has(self, position: int) -> bool:
        return len(self.node.inputs) > position and self.node.inputs[position] != ""

    def attribute(self, name: str, default: Any) -> Any:
        return self.node.attributes.get(name, default)

    def integers(self, position: int, attribute: str | None = None) -> list[int] | None:
        """The integers given as a constant input or, in older opsets, as an attribute."""
        if self.has(position):
            constant = self.constants.get(self.node.inputs[position])
            if constant is None:
                raise self.refuse(f"input {self.node.inputs[position]!r} is computed at run time")
            return [int(value) for value in constant.flatten().tolist()]
        if attribute is not None and attribute in self.node.attributes:
            return list(np.atleast_1d(self.node.attributes[attribute]).astype(int).tolist())
        return None

    def required(self, position: int, attribute: str | None = None) -> list[int]:
        values = self.integers(position, attribute)
        if values is None:
            raise self.refuse(f"input {position} is missing")
        return values

    def refuse(self, why: str) -> UnsupportedOperatorError:
        return UnsupportedOperatorError(
            f"node {self.node.name!r}, operator {self.node.op}: {why}; leela_probe runs the "
            "operators that lc0's leela2onnx writes: give the file as lc0 wrote it, before another "
            "tool changed it, or add the operator to leela_probe/torch_onnx/operators.py"
        )


Builder = Callable[[_Operands], tuple[Sequence[int], Callable[..., Any]]]
_BUILDERS: dict[str, Builder] = {}


def _operator(*names: str) -> Callable[[Builder], Builder]:
    def register(builder: Builder) -> Builder:
        for name in names:
            _BUILDERS[name] = builder
        return builder

    return register


def supported() -> tuple[str, ...]:
    """The names of the operators that can be bound, in alphabetical order."""
    return tuple(sorted(_BUILDERS))


def bind(node: Node, constants: Mapping[str, Tensor], opset: int) -> Step:
    """The step that computes `node`.

    Args:
        node: what the ONNX file says.
        constants: the file's constant tensors by name; integer ones are on the CPU.
        opset: the file's version of the ONNX operators.

    Raises:
        UnsupportedOperatorError: naming node and operator.
    """
    operands = _Operands(node, constants, opset)
    builder = _BUILDERS.get(node.op)
    if builder is None:
        raise operands.refuse("unknown operator")
    positions, function = builder(operands)
    return Step(
        inputs=tuple(node.inputs[position] for position in positions),
        outputs=node.outputs,
        function=function,
    )


# -- arithmetic, one tensor or two ---------------------------------------------------------------

_UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "Abs": torch.abs,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Identity": lambda x: x,
    "Log": torch.log,
    "Mish": F.mish,
    "Neg": torch.neg,
    "Reciprocal": torch.reciprocal,
    "Relu": torch.relu,
    "Sigmoid": torch.sigmoid,
    "Softplus": F.softplus,
    "Sqrt": torch.sqrt,
    "Tanh": torch.tanh,
}
_BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Add": torch.add,
    "Div": torch.div,
    "MatMul": torch.matmul,
    "Mul": torch.mul,
    "Pow": torch.pow,
    "Sub": torch.sub,
}


def _plain(function: Callable[..., Tensor], arity: int) -> Builder:
    return lambda operands: (range(arity), function)


for _name, _unary in _UNARY.items():
    _BUILDERS[_name] = _plain(_unary, 1)
for _name, _binary in _BINARY.items():
    _BUILDERS[_name] = _plain(_binary, 2)


@_operator("Selu")
def _selu(operands: _Operands) -> tuple[Sequence[int], Callable[..., Any]]:
    return [0], _scaled_elu(operands)


def _scaled_elu(operands: _Operands, *, prefix: str = "") -> Callable[[Tensor], Tensor]:
    alpha = operands.attribute(f"{prefix}alpha", 1.67326319217681884765625)
    gamma = operands.attribute(f"{prefix}gamma", 1.05070102214813232421875)
    return lambda x: gamma * F.elu(x, alpha)


@_operator("com.microsoft.QuickGelu")
def _quick_gelu(operands: _Operands) -> tuple[Sequence[int], Callable[..., Any]]:
    alpha = operands.attribute("alpha", 1.702)
    return [0], lambda x: x * torch.sigmoid(alpha * x)


@_operator("Elu")
def _elu(operands: _Operands) -> tuple[Sequence[int], Callable[..., Any]]:
    alpha = operands.attribute("alpha", 1.0)
    return [0], lambda x: F.elu(x, alpha)


@_operator("LeakyRelu")
def _leaky_relu(operands: _Operands) -> tuple[Sequence[int], Callable[..., Any]]:
    alpha = operands.attribute("alpha", 0.01)
    return [0], lambda x: F.leaky_relu(x, alpha)


@_operator("Softmax", "LogSoftmax")
def _softmax(operands: _Operands) -> tuple[Sequence[int], Callable[..., Any]]:
    function = torch.softmax if operands.node.op == "Softmax" else torch.log_softmax
    if operands.opset >= 13:
        axis = operands.attribute("axis", -1)
        return [0], lambda x: function(x, axis)
    axis = operands.attribute("axis", 1)

    def over_all_axes_from(x: Tensor) -> Tensor:  # the meaning before opset 13
        return function(x.flatten(axis), -1).reshape(x.shape)

    return [0], over_all_axes_from


# -- layers ---------------------------------------------------------------------------------------


@_operator("Gemm", "com.microsoft.FusedGemm")
def _gemm(operands: _Operands) -> tuple[Sequence[int], Callable[..., Any]]:
    alpha, beta = operands.attribute("alpha", 1.0), operands.attribute("beta", 1.0)
    transpose_a, transpose_b = operands.attribute("transA", 0), operands.attribute("transB", 0)

    activation = _activation(operands)

    def gemm(a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
        product = alpha * ((a.mT if transpose_a else a) @ (b.mT if transpose_b else b))
        return activation(product if c is None else product + beta * c)

    return range(3 if operands.has(2) else 2), gemm


@_operator("com.microsoft.FusedMatMul")
def _scaled_product(operands: _Operands) -> tuple[Sequence[int], Callable[..., Any]]:
    alpha = operands.attribute("alpha", 1.0)
    transpose_a, transpose_b = operands.attribute("transA", 0), operands.attribute("transB", 0)
    if operands.attribute("transBatchA", 0) or operands.attribute("transBatchB", 0):
        raise operands.refuse("it transposes batches")
    return [
        0,
        1,
    ], lambda a, b: alpha * ((a.mT if transpose_a else a) @ (b.mT if transpose_b else b))


def _activation(operands: _Operands) -> Callable[[Tensor], Tensor]:
    """What onnxruntime's optimiser has put into the node that came before."""
    name = operands.attribute("activation", "")
    if name == "Selu":
        return _scaled_elu(operands, prefix="activation_")
    if name not in ("", "Relu", "Sigmoid", "Tanh"):
        raise operands.refuse(f"activation {name!r}")
    return _UNARY[name or "Identity"]


@_operator("Conv", "com.microsoft.FusedConv")
def _conv(operands: _Operands) -> tuple[Sequence[int], Callable[..., Any]]:
    if operands.attribute("auto_pad", "NOTSET") not in ("NOTSET", b"NOTSET"):
        raise operands.refuse(f"auto_pad {operands.attribute('auto_pad', '')!r}")
    pads = list(operands.attribute("pads", [0, 0, 0, 0]))
    begin, end = pads[: len(pads) // 2], pads[len(pads) // 2 :]
    if begin != end:
        raise operands.refuse(f"uneven padding {pads}")
    stride = tuple(operands.attribute("strides", [1] * len(begin)))
    dilation = tuple(operands.attribute("dilations", [1] * len(begin)))
    group = operands.attribute("group", 1)

    activation = _activation(operands)
    positions = [place for place in range(4) if operands.has(place)]

    def conv(x: Tensor, weight: Tensor, *more: Tensor) -> Tensor:
        bias = more[0] if 2 in positions else None
        found = F.conv2d(x, weight, bias, stride, tuple(begin), dilation, group)
        return activation(found + more[-1] if 3 in positions else found)

    return positions, conv


@_operator("BatchNormalization")
def _batch_normalization(operands: _Operands) -> tuple[Sequence[int], Callable[..., Any]]:
    epsilon = operands.attribute("epsilon", 1e-5)

    def batch_norm(x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        return F.batch_norm(x, mean, var, scale, bias, eps=epsilon)

    return range(5), batch_norm


@_operator("LayerNormalization")
def _layer_normalization(operands: _Operands) -> tuple[Sequence[int], Callable[..., Any]]:
    axis = operands.attribute("axis", -1)
    epsilon = operands.attribute("epsilon", 1e-5)
    if len(operands.node.outputs) > 1:
        raise operands.refuse("mean and deviation asked for as outputs")

    def layer_norm(x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
        return F.layer_norm(x, x.shape[axis:], scale, bias, epsilon)

    return range(3 if operands.has(2) else 2), layer_norm


@_operator("ReduceMean", "ReduceMax", "ReduceSum")
def _reduce(operands: _Operands) -> tuple[Sequence[int], Callable[..., Any]]:
    axes = operands.integers(1, "axes")
    keep = bool(operands.attribute("keepdims", 1))
    if axes is None:
        raise operands.refuse("no axes given")
    function: Any = {"ReduceMean": torch.mean, "ReduceMax": torch.amax, "ReduceSum": torch.sum}[
        operands.node.op
    ]
    return [0], lambda x: function(x, dim=tuple(axes), keepdim=keep)


@_operator("GlobalAveragePool")
def _global_average_pool(operands: _Operands) -> tuple[Sequence[int], Callable[..., Any]]:
    return [0], lambda x: x.mean(dim=tuple(range(2, x.ndim)), keepdim=True)


# -- shapes ---------------------------------------------------------------------------------------


@_operator("Reshape")
def _reshape(operands: _Operands) -> tuple[Sequence[int], Callable[..., Any]]:
    if operands.attribute("allowzero", 0):
        raise operands.refuse("allowzero")
    shape = operands.required(1, "shape")
    if 0 not in shape:
        fixed = tuple(shape)
        return [0], lambda x: x.reshape(fixed)
    return [0], lambda x: x.reshape(
        [size or x.shape[axis] for axis, size in enumerate(shape)]  # 0 keeps the size
    )


@_operator("Flatten")
def _flatten(operands: _Operands) -> tuple[Sequence[int], Callable[..., Any]]:
    axis = operands.attribute("axis", 1)
    return [0], lambda x: x.reshape(int(np.prod(x.shape[:axis])), -1)


@_operator("Transpose")
def _transpose(operands: _Operands) -> tuple[Sequence[int], Callable[..., Any]]:
    permutation = operands.attribute("perm", None)
    if permutation is None:
        return [0], lambda x: x.permute(tuple(reversed(range(x.ndim))))
    order = tuple(permutation)
    return [0], lambda x: x.permute(order)


@_operator("Squeeze")
def _squeeze(operands: _Operands) -> tuple[Sequence[int], Callable[..., Any]]:
    axes = operands.integers(1, "axes")
    if axes is None:
        return [0], torch.squeeze
    return [0], lambda x: x.squeeze(tuple(axes))


@_operator("Unsqueeze")
def _unsqueeze(operands: _Operands) -> tuple[Sequence[int], Callable[..., Any]]:
    axes = operands.required(1, "axes")

    def unsqueeze(x: Tensor) -> Tensor:
        for axis in sorted(axis % (x.ndim + len(axes)) for axis in axes):
            x = x.unsqueeze(axis)
        return x

    return [0], unsqueeze


@_operator("Concat")
def _concat(operands: _Operands) -> tuple[Sequence[int], Callable[..., Any]]:
    axis = operands.attribute("axis", 0)
    return range(len(operands.node.inputs)), lambda *parts: torch.cat(parts, axis)


@_operator("Slice")
def _slice(operands: _Operands) -> tuple[Sequence[int], Callable[..., Any]]:
    starts, ends = operands.required(1, "starts"), operands.required(2, "ends")
    axes = operands.integers(3, "axes")
    steps = operands.integers(4) or [1] * len(starts)
    if any(step < 1 for step in steps):
        raise operands.refuse(f"steps {steps}")
    bounds = dict(
        zip(axes or range(len(starts)), zip(starts, ends, steps, strict=True), strict=True)
    )

    def take(x: Tensor) -> Tensor:
        index = [slice(None)] * x.ndim
        for axis, (start, end, step) in bounds.items():
            index[axis] = slice(start, end, step)
        return x[tuple(index)]

    return [0], take


@_operator("Split")
def _split(operands: _Operands) -> tuple[Sequence[int], Callable[..., Any]]:
    axis = operands.attribute("axis", 0)
    sizes = operands.integers(1, "split")
    count = len(operands.node.outputs)
    if sizes is not None:
        return [0], lambda x: x.split(sizes, axis)
    return [0], lambda x: x.split(-(-x.shape[axis] // count), axis)


@_operator("Shape")
def _shape(operands: _Operands) -> tuple[Sequence[int], Callable[..., Any]]:
    part = slice(operands.attribute("start", 0), operands.attribute("end", None))
    return [0], lambda x: torch.tensor(x.shape[part], dtype=torch.int64)


@_operator("Expand")
def _expand(operands: _Operands) -> tuple[Sequence[int], Callable[..., Any]]:
    def expand(x: Tensor, shape: Tensor) -> Tensor:
        return x.expand(np.broadcast_shapes(x.shape, tuple(shape.tolist())))

    return [0, 1], expand


@_operator("Gather")
def _gather(operands: _Operands) -> tuple[Sequence[int], Callable[..., Any]]:
    axis = operands.attribute("axis", 0)
    constant = operands.constants.get(operands.node.inputs[1])
    if constant is None:
        raise operands.refuse("indices computed at run time")
    on_device: dict[torch.device, Tensor] = {}

    def gather(x: Tensor) -> Tensor:
        index = on_device.get(x.device)
        if index is None:
            index = on_device[x.device] = constant.to(x.device, torch.int64)
        shape = (*x.shape[:axis], *index.shape, *x.shape[axis % x.ndim + 1 :])
        return x.index_select(axis, index.flatten()).reshape(shape)

    return [0], gather


@_operator("Cast")
def _cast(operands: _Operands) -> tuple[Sequence[int], Callable[..., Any]]:
    target = operands.attribute("to", 1)
    if target in _FLOATING:  # the whole graph runs in one floating type, chosen by the caller
        dtypes = {value.dtype for value in operands.constants.values() if value.is_floating_point()}
        dtype = dtypes.pop() if dtypes else torch.float32
        return [0], lambda x: x if x.is_floating_point() else x.to(dtype)
    if target not in _INTEGER_DTYPES:
        raise operands.refuse(f"cast to ONNX type {target}")
    dtype = _INTEGER_DTYPES[target]
    return [0], lambda x: x.to(dtype)
