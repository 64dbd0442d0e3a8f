"""ONNX models in one plain form, whichever tool wrote them.

The ONNX format lets a file list its nodes in any order, keep weights in Constant nodes or among the
inputs, and mix floating types with casts between them. In the plain form nodes stand in the order
of computing, weights are initializers, and every real number is a float32.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

__all__ = ["floating_types", "plain"]

_REAL = frozenset(
    {
        onnx.TensorProto.FLOAT,
        onnx.TensorProto.FLOAT16,
        onnx.TensorProto.BFLOAT16,
        onnx.TensorProto.DOUBLE,
    }
)
_CASTS = re.compile(r"cast|to_(float|f16|bf16|fp16|fp32)", re.IGNORECASE)
_FIRST_IR_WITHOUT_WEIGHTS_AMONG_INPUTS = 4
# Operators that give whole numbers or truth values whatever they take.
_NEVER_REAL = frozenset(
    "And ArgMax ArgMin Equal Greater GreaterOrEqual IsInf IsNaN Less LessOrEqual NonZero Not Or "
    "Shape Size Xor".split()
)
_TYPED_BY_INPUT = {"Where": 1, "OneHot": 2}  # the others give the type of their first input


def floating_types(model: onnx.ModelProto) -> frozenset[int]:
    """The element types, as `onnx.TensorProto` numbers, of the real numbers that a model holds."""
    tensors = [*model.graph.initializer]
    for node in model.graph.node:
        tensors += [attribute.t for attribute in node.attribute if attribute.HasField("t")]
    values = (*model.graph.input, *model.graph.output)
    kinds = {tensor.data_type for tensor in tensors}
    return frozenset(_REAL & (kinds | {value.type.tensor_type.elem_type for value in values}))


def plain(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same computation in the plain form; the model itself where it has that form already.

    Every tensor keeps its name. A tensor and its casts are one tensor then. It has the name of the
    graph output among them, else the first that neither looks like a cast's ("..._cast0") nor only
    adds to another's; the other names stand for it where they are asked for.

    Raises:
        ValueError: if nodes need one another's outputs in a circle, or a Constant node holds
            something other than numbers.
    """
    graph = model.graph
    weights = {entry.name for entry in graph.initializer}
    order = _order(graph.node)
    if (
        order == list(range(len(order)))
        and not any(node.op_type in ("Constant", "Cast") for node in graph.node)
        and not any(entry.name in weights for entry in graph.input)
        and floating_types(model) <= {onnx.TensorProto.FLOAT}
    ):
        return model
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    _replace(graph.node, [graph.node[index] for index in order])
    constants = [node for node in graph.node if node.op_type == "Constant"]
    graph.initializer.extend(_constant(node) for node in constants)
    _replace(graph.node, [node for node in graph.node if node.op_type != "Constant"])
    weights = {entry.name for entry in graph.initializer}
    if any(entry.name in weights for entry in graph.input):
        _replace(graph.input, [entry for entry in graph.input if entry.name not in weights])
        made.ir_version = max(made.ir_version, _FIRST_IR_WITHOUT_WEIGHTS_AMONG_INPUTS)
    _widen(graph)
    return made


def _replace(field: Sequence[object], entries: Sequence[object]) -> None:
    kept = [type(entry).FromString(entry.SerializeToString()) for entry in entries]  # type: ignore[attr-defined]
    del field[:]  # type: ignore[attr-defined]
    field.extend(kept)  # type: ignore[attr-defined]


def _order(nodes: Sequence[onnx.NodeProto]) -> list[int]:
    """The nodes' indices in an order of computing, as near to the file's as can be."""
    producer = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    waiting = [
        {producer[name] for name in node.input if name in producer and producer[name] != index}
        for index, node in enumerate(nodes)
    ]
    readers: dict[int, list[int]] = {}
    for index, sources in enumerate(waiting):
        for source in sources:
            readers.setdefault(source, []).append(index)
    ready = [index for index, sources in enumerate(waiting) if not sources]
    order: list[int] = []
    while ready:
        index = heapq.heappop(ready)
        order.append(index)
        for reader in readers.get(index, ()):
            waiting[reader].discard(index)
            if not waiting[reader]:
                heapq.heappush(ready, reader)
    if len(order) < len(nodes):
        stuck = [
            nodes[index].name or nodes[index].output[0] for index, w in enumerate(waiting) if w
        ]
        raise ValueError(
            f"its nodes cannot be put in an order of computing: {', '.join(stuck[:4])} need one "
            "another's outputs"
        )
    return order


def _constant(node: onnx.NodeProto) -> onnx.TensorProto:
    """What a Constant node gives, under the name of its output."""
    (attribute,) = node.attribute
    name = node.output[0]
    if attribute.name == "value":
        tensor = onnx.TensorProto()
        tensor.CopyFrom(attribute.t)
        tensor.name = name
        return tensor
    numbers = {"value_float": np.float32, "value_floats": np.float32,
               "value_int": np.int64, "value_ints": np.int64}  # fmt: skip
    if attribute.name not in numbers:
        raise ValueError(
            f"node {node.name or name!r}, operator Constant: it holds its numbers as "
            f"{attribute.name!r}, which is not read here"
        )
    value = onnx.helper.get_attribute_value(attribute)
    return onnx.numpy_helper.from_array(np.array(value, dtype=numbers[attribute.name]), name)


def _widen(graph: onnx.GraphProto) -> None:
    """Every real number of the graph as float32, and no casts from one such type to another."""
    real = _real_tensors(graph)
    for entry in graph.initializer:
        _widen_tensor(entry)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                _widen_tensor(attribute.t)
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type in _REAL:
            value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    source: dict[str, str] = {}
    nodes = []
    for node in graph.node:
        if node.op_type == "Cast" and _target(node) in _REAL:
            if real.get(node.input[0], True):
                source[node.output[0]] = node.input[0]
                continue
            next(a for a in node.attribute if a.name == "to").i = onnx.TensorProto.FLOAT
        nodes.append(node)
    if source:
        nodes += _rename(graph, nodes, source)
    _replace(graph.node, nodes)


def _widen_tensor(tensor: onnx.TensorProto) -> None:
    if tensor.data_type in _REAL and tensor.data_type != onnx.TensorProto.FLOAT:
        with np.errstate(over="ignore"):  # a float64 beyond float32 is infinite, as in onnxruntime
            values = onnx.numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))


def _real_tensors(graph: onnx.GraphProto) -> Mapping[str, bool]:
    """Whether each tensor holds real numbers; unknown ones count as such."""
    real: dict[str, bool] = {"": True}
    for value in graph.input:
        real[value.name] = value.type.tensor_type.elem_type in _REAL
    for tensor in graph.initializer:
        real[tensor.name] = tensor.data_type in _REAL
    for node in graph.node:
        if node.op_type == "Cast":
            kind = _target(node) in _REAL
        elif node.op_type == "ConstantOfShape":
            kind = all(a.t.data_type in _REAL for a in node.attribute if a.name == "value")
        else:
            place = _TYPED_BY_INPUT.get(node.op_type, 0)
            first = node.input[place] if len(node.input) > place else ""
            kind = node.op_type not in _NEVER_REAL and real.get(first, True)
        real.update(dict.fromkeys(node.output, kind))
    return real


def _target(node: onnx.NodeProto) -> int:
    return next((a.i for a in node.attribute if a.name == "to"), 0)


def _rename(
    graph: onnx.GraphProto, nodes: Sequence[onnx.NodeProto], source: Mapping[str, str]
) -> list[onnx.NodeProto]:
    """Gives each tensor and its casts one name, and nodes that give it under the others.

    Args:
        graph: whose initializers are renamed.
        nodes: those that stay, whose inputs and outputs are renamed.
        source: what each cast that goes was made of, by its name.
    """

    def root(name: str) -> str:
        while name in source:
            name = source[name]
        return name

    groups: dict[str, list[str]] = {}
    for name in source:
        groups.setdefault(root(name), [root(name)]).append(name)
    inputs = {value.name for value in graph.input}
    weights = {entry.name: entry for entry in graph.initializer}
    outputs = {value.name for value in graph.output}
    chosen: dict[str, str] = {}
    others: list[onnx.NodeProto] = []
    for first, names in groups.items():
        wanted = [name for name in names if name in outputs]
        telling = sorted(
            (name for name in names if not _CASTS.search(name)),
            key=lambda name: any(name != other and name.startswith(other) for other in names),
        )
        name = first if first in inputs else [*wanted, *telling, first][0]
        chosen.update(dict.fromkeys(names, name))
        if first in weights:
            weights[first].name = name
        others += [
            onnx.helper.make_node("Identity", [name], [other], name=other)
            for other in names
            if other != name and (first not in weights or other in outputs)
        ]
    for node in nodes:
        node.input[:] = [chosen.get(name, name) for name in node.input]
        node.output[:] = [chosen.get(name, name) for name in node.output]
    return others
