"""Replaces groups of nodes by one faster step where nobody looks at the tensors in between.

ONNX spells a layer norm, a mish or an attention as several nodes, each writing its whole result to
memory. `fuse` recognises them from their last node backwards. A tensor that the caller wants to
read or to change is never fused away, so a fused run and a plain run differ by rounding alone.
Where nobody else holds what an elementwise step is given, and no gradients are wanted, it writes
over it: memory that is still in the caches is worth more than the arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from leela_probe.torch_onnx.attention_kernel import attend, attend_with_smolgen
from leela_probe.torch_onnx.operators import Node, Step, bind

__all__ = ["fuse"]


def fuse(
    nodes: Sequence[Node],
    constants: Mapping[str, Tensor],
    *,
    keep: Collection[str],
    opset: int,
) -> list[Step]:
    """Steps that compute what `nodes` compute, in an order that can be run.

    Args:
        nodes: in topological order.
        constants: the constant tensors by name.
        keep: names of tensors that must come out as themselves.
        opset: the version of the ONNX operators.
    """
    view = _View(nodes, constants, keep)
    steps: list[Step] = []
    absorbed: set[int] = set()
    for position in reversed(range(len(nodes))):
        if position in absorbed:
            continue
        node = nodes[position]
        for pattern in _PATTERNS.get(node.op, ()):
            match = pattern(view, node)
            if match is not None:
                step, inner = match
                positions = {view.position[id(part)] for part in inner}
                if view.are_private(inner, node) and not positions & absorbed:
                    absorbed |= positions
                    steps.append(step)
                    break
        else:
            steps.append(bind(node, constants, opset))
    steps.reverse()
    return steps


_Match = tuple[Step, list[Node]]
_Pattern = Callable[["_View", Node], _Match | None]


class _View:
    """The nodes with their producers and consumers at hand."""

    def __init__(
        self, nodes: Sequence[Node], constants: Mapping[str, Tensor], keep: Collection[str]
    ) -> None:
        self.constants = constants
        self.keep = keep
        self.position = {id(node): position for position, node in enumerate(nodes)}
        self.producer = {name: node for node in nodes for name in node.outputs}
        self.consumers: dict[str, list[Node]] = {}
        for node in nodes:
            for name in node.inputs:
                self.consumers.setdefault(name, []).append(node)

    def made_by(self, name: str, op: str) -> Node | None:
        node = self.producer.get(name)
        return node if node is not None and node.op == op else None

    def constant(self, name: str) -> Tensor | None:
        return self.constants.get(name)

    def scalar(self, name: str) -> float | None:
        value = self.constants.get(name)
        if value is None or value.numel() != 1 or not value.is_floating_point():
            return None
        return float(value)

    def are_private(self, inner: Sequence[Node], last: Node) -> bool:
        """True if nothing outside the group uses what the inner nodes give."""
        return all(
            self.is_used_by_none_but([*inner, last], name)
            for node in inner
            for name in node.outputs
        )

    def is_used_by_none_but(self, group: Sequence[Node], name: str) -> bool:
        members = {id(node) for node in group}
        return name not in self.keep and all(
            id(consumer) in members for consumer in self.consumers.get(name, ())
        )

    def is_disposable(self, name: str, group: Sequence[Node]) -> bool:
        """True if a tensor has memory of its own and nothing outside the group uses it."""
        node = self.producer.get(name)
        allocates = node is not None and node.op in _ALLOCATING
        return allocates and self.is_used_by_none_but(group, name)

    def either_order(self, node: Node) -> Iterator[tuple[str, str]]:
        first, second = node.inputs
        yield first, second
        yield second, first


def _step(inputs: Sequence[str], node: Node, function: Callable[..., Tensor]) -> Step:
    return Step(inputs=tuple(inputs), outputs=node.outputs, function=function)


# Operators whose results lie in memory of their own, whatever step they become part of.
_ALLOCATING = frozenset({"Add", "Conv", "Gemm", "MatMul", "Mul", "Relu", "Sub"})


def _over(
    view: _View, x: str, node: Node, inner: Sequence[Node], function: Callable[..., Tensor]
) -> Step:
    """A step of one tensor, `function(x, inplace)`, that writes over it where it may."""
    may = view.is_disposable(x, [*inner, node])
    return _step([x], node, lambda x: function(x, may and not torch.is_grad_enabled()))


def _mish(view: _View, node: Node) -> _Match | None:
    for gate, x in view.either_order(node):
        tanh = view.made_by(gate, "Tanh")
        softplus = tanh and view.made_by(tanh.inputs[0], "Softplus")
        if tanh and softplus and softplus.inputs[0] == x:
            inner = [tanh, softplus]
            return _over(view, x, node, inner, F.mish), inner
    return None


def _swish(view: _View, node: Node) -> _Match | None:
    for gate, x in view.either_order(node):
        sigmoid = view.made_by(gate, "Sigmoid")
        if sigmoid and sigmoid.inputs[0] == x:
            return _over(view, x, node, [sigmoid], F.silu), [sigmoid]
    return None


def _square(view: _View, node: Node) -> _Match | None:
    first, second = node.inputs
    if first != second:
        return None
    return _over(view, first, node, [], lambda x, inplace: x.mul_(x) if inplace else x * x), []


def _relu(view: _View, node: Node) -> _Match | None:
    return _over(view, node.inputs[0], node, [], F.relu), []


def _linear(view: _View, node: Node) -> _Match | None:
    for product, bias in view.either_order(node):
        matmul = view.made_by(product, "MatMul")
        bias_value = view.constant(bias)
        weight = view.constant(matmul.inputs[1]) if matmul else None
        if matmul and weight is not None and weight.ndim == 2 and bias_value is not None:
            if bias_value.ndim != 1 or bias_value.shape[0] != weight.shape[1]:
                continue
            return _step([matmul.inputs[0], matmul.inputs[1], bias], node, _affine), [matmul]
    return None


def _affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.addmm(bias, x, weight) if x.ndim == 2 else x @ weight + bias


def _scaled_sum(view: _View, node: Node) -> _Match | None:
    for scaled, other in view.either_order(node):
        multiply = view.made_by(scaled, "Mul")
        if multiply is None:
            continue
        for x, factor in view.either_order(multiply):
            scale = view.scalar(factor)
            if scale is not None and view.constant(other) is None:
                inplace = view.is_disposable(x, [multiply, node])
                return _sum(other, x, node, scale, inplace=inplace), [multiply]
    return None


def _plain_sum(view: _View, node: Node) -> _Match | None:
    for other, x in view.either_order(node):
        if view.is_disposable(x, [node]) and view.constant(other) is None:
            return _sum(other, x, node, 1, inplace=True), []
    return None


def _sum(other: str, x: str, node: Node, scale: int | float, *, inplace: bool) -> Step:
    """other + scale * x, written over x where that may be and they have one shape."""

    def add(other: Tensor, x: Tensor) -> Tensor:
        if inplace and other.shape == x.shape and not torch.is_grad_enabled():
            return torch.add(other, x, alpha=scale, out=x)
        return torch.add(other, x, alpha=scale)

    return _step([other, x], node, add)


def _layer_norm(view: _View, node: Node) -> _Match | None:
    """A layer norm spelled out: ((x - mean) / sqrt(mean of squares + epsilon)) * scale + bias."""
    for scaled, bias in view.either_order(node):
        if view.constant(bias) is None or (times_scale := view.made_by(scaled, "Mul")) is None:
            continue
        for normalised, scale in view.either_order(times_scale):
            if view.constant(scale) is None:
                continue
            match = _normalised(view, normalised)
            if match is not None:
                x, epsilon, inner = match

                def layer_norm(x: Tensor, s: Tensor, b: Tensor, e: float = epsilon) -> Tensor:
                    return F.layer_norm(x, s.shape, s, b, e)

                return _step([x, scale, bias], node, layer_norm), [times_scale, *inner]
    return None


def _normalised(view: _View, name: str) -> tuple[str, float, list[Node]] | None:
    multiply = view.made_by(name, "Mul")
    if multiply is None:
        return None
    for centered_name, inverse_name in view.either_order(multiply):
        centered = view.made_by(centered_name, "Sub")
        inverse = view.made_by(inverse_name, "Reciprocal")
        root = inverse and view.made_by(inverse.inputs[0], "Sqrt")
        shifted = root and view.made_by(root.inputs[0], "Add")
        if not (centered and inverse and root and shifted):
            continue
        mean = view.made_by(centered.inputs[1], "ReduceMean")
        for variance_name, epsilon_name in view.either_order(shifted):
            epsilon = view.scalar(epsilon_name)
            variance = view.made_by(variance_name, "ReduceMean")
            square = variance and view.made_by(variance.inputs[0], "Mul")
            if epsilon is None or not (variance and square and mean):
                continue
            if set(square.inputs) == {centered_name} and mean.inputs[0] == centered.inputs[0]:
                inner = [multiply, centered, inverse, root, shifted, mean, variance, square]
                return centered.inputs[0], epsilon, inner
    return None


def _attention(view: _View, node: Node) -> _Match | None:
    """softmax(scale * Q K^T + bias) V, the bias (smolgen) being optional."""
    softmax = view.made_by(node.inputs[0], "Softmax")
    if softmax is None or softmax.attributes.get("axis", -1) not in (-1, 3):
        return None
    inner = [softmax]
    scores, bias = softmax.inputs[0], None
    addition = view.made_by(scores, "Add")
    if addition is not None:
        for scores, bias in view.either_order(addition):  # noqa: B007 - the pair that fits stays
            if view.made_by(scores, "Mul") is not None:
                break
        else:
            return None
        inner.append(addition)
    multiply = view.made_by(scores, "Mul")
    if multiply is None:
        return None
    inner.append(multiply)
    for product, factor in view.either_order(multiply):
        scale = view.scalar(factor)
        matmul = view.made_by(product, "MatMul")
        if scale is None or matmul is None:
            continue
        inner.append(matmul)
        inputs = [*matmul.inputs, node.inputs[1], *([bias] if bias else [])]
        smolgen = None if bias is None else _generated(view, bias)
        if smolgen is not None and view.are_private([*inner, *smolgen], node):
            inputs[-1:] = smolgen[-1].inputs
            return _step(inputs, node, partial(attend_with_smolgen, scale=scale)), [
                *inner,
                *smolgen,
            ]
        return _step(inputs, node, partial(attend, scale=scale)), inner
    return None


def _generated(view: _View, bias: str) -> list[Node] | None:
    """The nodes that make smolgen's 64 x 64 entries a head: a product with a constant, reshaped."""
    reshape = view.made_by(bias, "Reshape")
    product = reshape and view.made_by(reshape.inputs[0], "MatMul")
    weight = view.constant(product.inputs[1]) if product else None
    if reshape and product and weight is not None and weight.ndim == 2:
        return [reshape, product]
    return None


_PATTERNS: dict[str, tuple[_Pattern, ...]] = {
    "Mul": (_mish, _swish, _square),
    "Relu": (_relu,),
    "Add": (_layer_norm, _linear, _scaled_sum, _plain_sum),
    "MatMul": (_attention,),
}
