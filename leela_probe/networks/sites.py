"""Names and axes of the activations worth touching, the same for every network.

A site is a named tensor of the graph with named axes: `layer3.pattern` has the axes `board head
query key` whatever the flattening inside the ONNX file. Sites are found by what the graph connects,
so that exports of different ages and kinds give the same names. An ONNX tensor name is a site too:
the named one of that tensor, or else the tensor as it is in the file, whose axes have no names.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from einops import rearrange
from torch import Tensor

from leela_probe.torch_onnx.graph import Graph

__all__ = ["Site", "find", "resolve"]

_FLAT = "(board square) width"
_MAPS = "board width rank file"
_SQUARES = "board (rank file) width"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A named activation.

    Attributes:
        name: such as `layer3.pattern`, or the ONNX name for a tensor that has no other.
        tensor: the ONNX name.
        axes: the names of its axes as `read` gives it, `board` first; "..." if nothing is known of
            them.
        meaning: what it holds.
        stored: the axes in the ONNX file, as an einops pattern; None if nothing is known of them.
        layer: counted from 0, or None outside the layers.
    """

    name: str
    tensor: str
    axes: tuple[str, ...]
    meaning: str
    stored: str | None = None
    layer: int | None = None

    def read(self, value: Tensor) -> Tensor:
        """The ONNX tensor with this site's axes."""
        if self.stored is None or self.stored == self._pattern:
            return value
        return rearrange(value, f"{self.stored} -> {self._pattern}", **self._sizes(self.stored))

    def write(self, value: Tensor) -> Tensor:
        """A tensor with this site's axes as the ONNX file has it: the inverse of `read`."""
        if self.stored is None or self.stored == self._pattern:
            return value
        return rearrange(value, f"{self._pattern} -> {self.stored}", **self._sizes(self._pattern))

    @property
    def _pattern(self) -> str:
        if self.stored == _MAPS:
            return _SQUARES
        return " ".join(self.axes)

    @staticmethod
    def _sizes(pattern: str) -> dict[str, int]:
        """What einops has to be told to split an axis of this pattern."""
        if "(board square)" in pattern:
            return {"square": 64}
        return {"rank": 8, "file": 8} if "(rank file)" in pattern else {}


def find(graph: Graph) -> dict[str, Site]:
    """All sites of the network by name, in the order of computing."""
    found = _Finder(graph)
    found.input()
    found.layers()
    found.policy()
    found.value()
    found.moves_left()
    return found.sites


def resolve(name: str, sites: Mapping[str, Site], graph: Graph) -> Site:
    """The site of that name, semantic or ONNX, with or without the ONNX name's leading slash.

    Raises:
        KeyError: naming the nearest right names, if there is no such site.
    """
    if name in sites:
        return sites[name]
    known = set(graph.tensors)
    for tensor in (name, f"/{name}", name.removeprefix("/")):
        if tensor in known:
            named = next((site for site in sites.values() if site.tensor == tensor), None)
            if named is not None:
                return replace(named, name=name)
            meaning = "as computed in the ONNX file"
            return Site(name=name, tensor=tensor, axes=("...",), meaning=meaning)
    raise KeyError(f"no site {name!r} in this network: {_nearest(name, sites, known)}")


def _nearest(name: str, sites: Mapping[str, Site], tensors: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, [*sites, *tensors], n=4, cutoff=0.6)
    layer = re.match(r"layer(\d+)\.(\w+)$", name)
    if layer:
        layers = sorted({site.layer for site in sites.values() if site.layer is not None})
        kinds = sorted(key.split(".")[1] for key in sites if key.startswith(f"layer{layers[0]}."))
        if int(layer[1]) not in layers:
            return f"layers run from 0 to {layers[-1]}"
        if layer[2] not in kinds:
            best = difflib.get_close_matches(layer[2], kinds, n=3, cutoff=0.5)
            hint = (
                f"did you mean {' or '.join(f'layer{layer[1]}.{kind}' for kind in best)}? "
                if best
                else ""
            )
            return f"{hint}a layer of it has {', '.join(kinds)}"
    if near:
        return f"did you mean {' or '.join(near)}?"
    others = ", ".join(key for key in sites if not key.startswith("layer"))
    return f"the sites are {others} and those of the layers, such as layer0.residual_after"


class _Finder:
    """Collects the sites of one graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.slash = "/" if any(name.startswith("/") for name in graph.producer) else ""
        self.sites: dict[str, Site] = {}

    def tensor(self, *names: str) -> str | None:
        """The first of these ONNX names that exists."""
        return next((f for n in names if (f := self.slash + n) in self.graph.producer), None)

    def source(self, name: str) -> str | None:
        """What the node that makes this tensor takes as its first input."""
        tensor = self.tensor(name)
        return None if tensor is None else self.graph.producer[tensor].inputs[0]

    def add(self, name: str, tensor: str | None, stored: str, axes: str, meaning: str) -> None:
        if tensor is None:
            return
        layer = re.match(r"layer(\d+)\.", name)
        self.sites[name] = Site(
            name=name,
            tensor=tensor,
            axes=tuple(axes.split()),
            meaning=meaning,
            stored=stored,
            layer=int(layer[1]) if layer else None,
        )

    def squares(self, name: str, tensor: str | None, meaning: str, *, maps: bool = False) -> None:
        self.add(name, tensor, _MAPS if maps else _FLAT, "board square width", meaning)

    def input(self) -> None:
        planes = self.graph.inputs[0]
        pattern = "board plane rank file"
        self.add("input", planes, pattern, pattern, "the 112 input planes")
        if self.source("encoder0/mha/Q/w"):
            self.squares(
                "embedding", self.source("encoder0/mha/Q/w"), "residual stream before layer 0"
            )
        else:
            stem = self.source("block0/conv1")
            self.squares(
                "embedding", stem, "the tower's stem: the stream before layer 0", maps=True
            )

    def layers(self) -> None:
        count = 0
        while self.tensor(f"encoder{count}/mha/Q/w"):
            self.encoder(count)
            count += 1
        while count == 0 or self.tensor(f"block{count}/conv1"):
            if not self.tensor(f"block{count}/conv1"):
                break
            self.block(count)
            count += 1

    def encoder(self, index: int) -> None:
        onnx, here = f"encoder{index}", f"layer{index}"
        after = self.source(f"encoder{index + 1}/mha/Q/w") or self.tensor(
            f"{onnx}/ln2", f"{onnx}/ln2/betas"
        )
        softmax = self.tensor(f"{onnx}/mha/QK/softmax")
        scores = self.source(f"{onnx}/mha/QK/softmax")
        by_head, by_entry = "board head square width", "board head query key"
        smolgen = self.tensor(f"{onnx}/smolgen/out/reshape")
        self.squares(
            f"{here}.residual_before",
            self.source(f"{onnx}/mha/Q/w"),
            "residual stream entering the layer",
        )
        self.add(
            f"{here}.query",
            self.tensor(f"{onnx}/mha/Q/transpose"),
            by_head,
            by_head,
            "query vectors",
        )
        self.add(
            f"{here}.key",
            self.tensor(f"{onnx}/mha/K/transpose"),
            "board head width square",
            by_head,
            "key vectors",
        )
        self.add(
            f"{here}.value",
            self.tensor(f"{onnx}/mha/V/transpose"),
            by_head,
            by_head,
            "value vectors",
        )
        self.add(
            f"{here}.qk",
            self.tensor(f"{onnx}/mha/QK/scale"),
            by_entry,
            by_entry,
            "scaled query-key products, the part of the scores that smolgen is added to",
        )
        self.add(
            f"{here}.smolgen",
            smolgen,
            by_entry,
            by_entry,
            "the part of the scores that smolgen makes from the whole board",
        )
        self.add(f"{here}.scores", scores, by_entry, by_entry, "logits entering the softmax")
        self.add(
            f"{here}.pattern",
            softmax,
            by_entry,
            by_entry,
            "attention pattern; information flows key -> query, rows sum to 1",
        )
        self.add(
            f"{here}.head_output",
            self.tensor(f"{onnx}/mha/QKV/matmul"),
            by_head,
            by_head,
            "each head's weighted values at the query square, before the output projection",
        )
        self.squares(
            f"{here}.attention_output",
            self.tensor(f"{onnx}/mha/out/dense/b"),
            "attention sub-layer output, before scaling and skip",
        )
        self.squares(
            f"{here}.residual_middle",
            self.source(f"{onnx}/ffn/dense1/w"),
            "residual stream after attention, before the MLP",
        )
        self.squares(
            f"{here}.mlp_pre",
            self.tensor(f"{onnx}/ffn/dense1/b"),
            "MLP before its activation function",
        )
        self.squares(
            f"{here}.mlp_post",
            self.source(f"{onnx}/ffn/dense2/w"),
            "MLP after its activation function",
        )
        self.squares(
            f"{here}.mlp_output",
            self.tensor(f"{onnx}/ffn/dense2/b"),
            "MLP output, before scaling and skip",
        )
        self.squares(f"{here}.residual_after", after, "residual stream leaving the layer")

    def block(self, index: int) -> None:
        onnx, here = f"block{index}", f"layer{index}"
        mixin = self.tensor(f"{onnx}/conv2/mixin")
        before = self.source(f"{onnx}/conv1")
        after = next(
            (
                tensor
                for reader in (
                    f"block{index + 1}/conv1",
                    "value/conv",
                    "policy/conv1",
                    "policy/conv",
                )
                if (tensor := self.source(reader))
            ),
            None,
        )
        if mixin is not None:
            added = [name for name in self.graph.producer[mixin].inputs if name != before]
        gate = self.tensor(f"{onnx}/conv2/se/sigmoid")
        self.squares(
            f"{here}.residual_before", before, "tower stream entering the block", maps=True
        )
        self.squares(
            f"{here}.conv1",
            self.source(f"{onnx}/conv2"),
            "first convolution after its activation function",
            maps=True,
        )
        self.squares(f"{here}.conv2", self.tensor(f"{onnx}/conv2"), "second convolution", maps=True)
        if gate is not None:
            self.add(
                f"{here}.se_gate",
                gate,
                "board width 1 1",
                "board width",
                "squeeze-excitation's factor for each channel",
            )
        if mixin is not None and added:
            self.squares(
                f"{here}.block_output", added[0], "what the block adds to the stream", maps=True
            )
        self.squares(f"{here}.residual_after", after, "tower stream leaving the block", maps=True)

    def policy(self) -> None:
        logits = next((name for name in self.graph.outputs if "policy" in name), None)
        if self.tensor("policy/scale"):
            token = "board square width"
            self.squares(
                "policy.embedding",
                self.source("policy/Q/matmul"),
                "squares as the policy head embeds them",
            )
            self.add(
                "policy.query", self.tensor("policy/Q/reshape"), token, token, "from-square vectors"
            )
            self.add(
                "policy.key", self.tensor("policy/K/reshape"), token, token, "to-square vectors"
            )
            self.add(
                "policy.scores",
                self.tensor("policy/scale"),
                "board query key",
                "board query key",
                "logit of a move from query to key square",
            )
        else:
            self.squares(
                "policy.hidden",
                self.source("policy/conv2") or self.source("policy/reshape"),
                "policy head after its first convolution",
                maps=True,
            )
            self.squares(
                "policy.moves",
                self.tensor("policy/conv2"),
                "logits of 80 kinds of move from each square",
                maps=True,
            )
        self.add(
            "policy.logits",
            logits,
            "board slot",
            "board slot",
            "logit of each of the 1858 policy slots",
        )

    def value(self) -> None:
        self.head("value", "value")
        logits = self.tensor("value/dense2/add")
        wdl = next((name for name in self.graph.outputs if "wdl" in name), None)
        scalar = next((name for name in self.graph.outputs if "value" in name), None)
        if wdl is not None:
            self.add(
                "value.logits", logits, "board outcome", "board outcome", "win, draw, loss logits"
            )
            self.add(
                "value.wdl",
                wdl,
                "board outcome",
                "board outcome",
                "win, draw, loss probabilities for the side to move",
            )
        elif scalar is not None:
            self.add(
                "value.logits", logits, "board outcome", "board outcome", "the value before tanh"
            )
            self.add(
                "value.scalar",
                scalar,
                "board outcome",
                "board outcome",
                "the value for the side to move, -1 to 1",
            )

    def moves_left(self) -> None:
        output = next((name for name in self.graph.outputs if "mlh" in name), None)
        if output is not None:
            self.head("mlh", "moves_left")
            self.add(
                "moves_left.output", output, "board 1", "board", "expected number of plies left"
            )

    def head(self, onnx: str, here: str) -> None:
        embedding = self.source(f"{onnx}/reshape")
        tower = self.tensor(f"{onnx}/conv") is not None
        self.squares(
            f"{here}.embedding",
            embedding,
            f"squares as the {here.replace('_', '-')} head embeds them",
            maps=tower,
        )
        self.add(
            f"{here}.hidden",
            self.source(f"{onnx}/dense2/matmul"),
            "board width",
            "board width",
            "the head's hidden layer after its activation function",
        )
