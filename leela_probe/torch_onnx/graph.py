"""An ONNX file run node by node in torch: every tensor can be read, fed and changed by its name.

A run is asked for named tensors. It computes only the nodes that those need, starting from whatever
is fed (the input planes, or any tensor in the middle), applies the edits it was given to the
tensors they name, fuses what nobody looks at, and drops each tensor after its last use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock
from typing import Any

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
import torch
from torch import Tensor

from leela_probe.torch_onnx.fusion import fuse
from leela_probe.torch_onnx.operators import Node, Step, bind
from leela_probe.torch_onnx.plain_models import plain

__all__ = ["Edit", "Graph", "NoInfluenceError"]

Edit = Callable[[Tensor], Tensor]


class NoInfluenceError(ValueError):
    """A change to a tensor on which nothing that is wanted depends.

    Attributes:
        tensor: its name.
    """

    def __init__(self, message: str, *, tensor: str) -> None:
        super().__init__(message)
        self.tensor = tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """The steps of one kind of run, and the tensors that each is the last to need."""

    steps: tuple[tuple[Step, tuple[str, ...]], ...]
    constants: Mapping[str, Tensor]


class Graph:
    """A computation read from an ONNX model, held on one device in one floating type.

    Args:
        model: the ONNX model.
        device: where the constants are kept and the steps run.
        dtype: the floating type of all real numbers, whatever type the file has.
        tf32: True lets a CUDA device round the factors of float32 products to 10 bits.

    Raises:
        UnsupportedOperatorError: at once, naming the node, if some operator is unknown.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        tf32: bool = False,
    ) -> None:
        model = plain(model)
        self.device = torch.device(device)
        self.dtype = dtype
        self.tf32 = tf32
        self.opset = next(
            (entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 17
        )
        self.constants = self._read_constants(model)
        self.nodes = tuple(_read_node(node) for node in model.graph.node)
        self.inputs = tuple(
            entry.name for entry in model.graph.input if entry.name not in self.constants
        )
        self.outputs = tuple(entry.name for entry in model.graph.output)
        self.producer = {name: node for node in self.nodes for name in node.outputs}
        self.consumers: dict[str, list[Node]] = {}
        for node in self.nodes:
            bind(
                node, self.constants, self.opset
            )  # refuse what cannot be run before anything is run
            for name in node.inputs:
                self.consumers.setdefault(name, []).append(node)
        self._plans: dict[Any, _Plan] = {}
        self._boundaries: dict[Any, tuple[str, ...]] = {}

    def _read_constants(self, model: onnx.ModelProto) -> dict[str, Tensor]:
        return {
            entry.name: self._constant(onnx.numpy_helper.to_array(entry))
            for entry in model.graph.initializer
        }

    def _constant(self, array: np.ndarray) -> Tensor:
        if array.dtype.kind in "biu":
            return torch.from_numpy(array.copy())
        return torch.from_numpy(array.astype(np.float32)).to(self.device, self.dtype)

    def __getstate__(self) -> dict[str, Any]:
        """All but the plans, which hold functions and are made when they are needed."""
        return {**self.__dict__, "_plans": {}}

    @property
    def tensors(self) -> tuple[str, ...]:
        """Names of all tensors that can be read: inputs first, then in the order of computing."""
        return (*self.inputs, *self.producer)

    def run(
        self,
        feeds: Mapping[str, Tensor],
        outputs: Sequence[str],
        *,
        edits: Mapping[str, Edit] | None = None,
        fused: bool = True,
        gradients: bool = False,
    ) -> dict[str, Tensor]:
        """The tensors named in `outputs`, by name.

        Args:
            feeds: values of some tensors by name; what comes before them is not computed.
            outputs: what is wanted. A tensor that is both edited and wanted comes back edited.
            edits: functions to pass a tensor through as soon as it is known, by tensor name.
            fused: False runs every ONNX node by itself.
            gradients: True records the run for autograd.

        Raises:
            KeyError: if a name is no tensor of this graph.
            ValueError: if the outputs need an input that was not fed.
            NoInfluenceError: if an edit has no influence on them and so would never happen.
        """
        edits = edits or {}
        plan = self._plan(frozenset(feeds), tuple(outputs), frozenset(edits), fused)
        with torch.set_grad_enabled(gradients), _products(self.device, tf32=self.tf32):
            values: dict[str, Tensor] = dict(plan.constants)
            for name, value in feeds.items():
                if value.is_floating_point():
                    value = value.to(self.device, self.dtype)
                values[name] = edits[name](value) if name in edits else value
            for step, dropped in plan.steps:
                result = step.function(*[values[name] for name in step.inputs])
                if len(step.outputs) == 1:
                    result = (result,)
                for name, value in zip(step.outputs, result, strict=True):
                    values[name] = edits[name](value) if name in edits else value
                for name in dropped:
                    del values[name]
            return {name: values[name] for name in outputs}

    def boundary(self, changed: Iterable[str], outputs: Sequence[str]) -> tuple[str, ...]:
        """The unchanged tensors that a run needs besides `changed` to compute `outputs` anew.

        Feeding these and the changed tensors recomputes what is downstream of the change and
        nothing else. They are the tensors worth keeping from an unchanged run.

        Raises:
            KeyError: if a name is no tensor of this graph.
            NoInfluenceError: if a changed tensor has no influence on the outputs.
        """
        key = (tuple(changed), tuple(outputs))
        if key not in self._boundaries:
            self._boundaries[key] = self._find_boundary(*key)
        return self._boundaries[key]

    def _find_boundary(self, changed: tuple[str, ...], outputs: tuple[str, ...]) -> tuple[str, ...]:
        self._check_names((*changed, *outputs))
        downstream = self._downstream(changed)
        needed = self._needed(frozenset(changed), outputs)
        used = {name for node in needed for name in node.inputs} | set(outputs)
        for name in changed:
            if name not in used:
                raise NoInfluenceError(
                    f"changing {name!r} has no influence on {', '.join(outputs)}", tensor=name
                )
        # a node upstream of the change is not run again: what it gives is taken from before
        rerun = [node for node in needed if downstream.intersection(node.outputs)]
        wanted = {name for node in rerun for name in node.inputs} | set(outputs)
        made = (
            {name for node in rerun for name in node.outputs} | set(changed) | set(self.constants)
        )
        return tuple(name for name in self.tensors if name in wanted - made)

    def downstream(self, changed: Iterable[str]) -> frozenset[str]:
        """Names of the tensors that depend on any of `changed`, these included."""
        changed = tuple(changed)
        self._check_names(changed)
        return self._downstream(changed)

    def _downstream(self, changed: Iterable[str]) -> frozenset[str]:
        reached = set(changed)
        for node in self.nodes:
            if reached.intersection(node.inputs):
                reached.update(node.outputs)
        return frozenset(reached)

    def _check_names(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self.producer and name not in self.inputs and name not in self.constants:
                raise KeyError(f"no tensor {name!r} in this graph")

    def _needed(self, fed: frozenset[str], outputs: Sequence[str]) -> list[Node]:
        """The nodes to run, in order, given what is fed."""
        wanted = [name for name in outputs if name not in fed]
        seen: set[int] = set()
        while wanted:
            node = self.producer.get(wanted.pop())
            if node is None or id(node) in seen:
                continue
            seen.add(id(node))
            wanted.extend(name for name in node.inputs if name not in fed)
        return [node for node in self.nodes if id(node) in seen]

    def _plan(
        self, fed: frozenset[str], outputs: tuple[str, ...], edited: frozenset[str], fused: bool
    ) -> _Plan:
        key = (fed, outputs, edited, fused)
        if key not in self._plans:
            self._plans[key] = self._make_plan(fed, outputs, edited, fused)
        return self._plans[key]

    def _make_plan(
        self, fed: frozenset[str], outputs: tuple[str, ...], edited: frozenset[str], fused: bool
    ) -> _Plan:
        self._check_names((*sorted(fed), *outputs, *sorted(edited)))
        needed = self._needed(fed, outputs)
        used = {name for node in needed for name in node.inputs} | set(outputs)
        missing = used.intersection(self.inputs) - fed
        if missing:
            raise ValueError(
                f"{', '.join(outputs)} cannot be computed without {', '.join(sorted(missing))}: "
                f"only {', '.join(sorted(fed)) or 'nothing'} was fed"
            )
        made = {name for node in needed for name in node.outputs}
        for name in sorted(edited):
            if name not in used or name not in made | fed:
                raise NoInfluenceError(
                    f"the edit of {name!r} would never happen: {', '.join(outputs)} "
                    "can be computed without it",
                    tensor=name,
                )
        keep = set(outputs) | edited | fed
        steps = (
            fuse(needed, self.constants, keep=keep, opset=self.opset)
            if fused
            else [bind(node, self.constants, self.opset) for node in needed]
        )
        return _Plan(
            steps=tuple(zip(steps, _last_uses(steps, set(outputs), self.constants), strict=True)),
            constants={
                name: value
                for name, value in self.constants.items()
                if name in outputs or any(name in step.inputs for step in steps)
            },
        )


@contextmanager
def _products(device: torch.device, *, tf32: bool) -> Iterator[None]:
    """How a CUDA device multiplies float32, whatever the rest of the program has chosen.

    torch has one choice for the whole process, so runs in other threads wait: they only queue work.
    """
    if device.type != "cuda":
        yield
        return
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    with _CHOICE:
        before = matmul.allow_tf32, cudnn.allow_tf32
        matmul.allow_tf32 = cudnn.allow_tf32 = tf32
        try:
            yield
        finally:
            matmul.allow_tf32, cudnn.allow_tf32 = before


_CHOICE = RLock()


def _last_uses(
    steps: Sequence[Step], outputs: set[str], constants: Mapping[str, Tensor]
) -> list[tuple[str, ...]]:
    """For each step, the tensors that no later step needs."""
    dropped: list[tuple[str, ...]] = []
    alive_later = set(outputs) | set(constants)
    for step in reversed(steps):
        ended = {name for name in (*step.inputs, *step.outputs) if name not in alive_later}
        dropped.append(tuple(sorted(ended)))
        alive_later |= ended
    dropped.reverse()
    return dropped


def _read_node(node: onnx.NodeProto) -> Node:
    attributes: dict[str, Any] = {}
    for attribute in node.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        attributes[attribute.name] = value.decode() if isinstance(value, bytes) else value
    return Node(
        name=node.name or node.output[0],
        op=node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}",
        inputs=tuple(node.input),
        outputs=tuple(node.output),
        attributes=attributes,
    )
