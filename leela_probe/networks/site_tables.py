"""Where the named activations lie in an ONNX file of lc0's: a family of sites for each part that a
network can have, a row for each site.

A new architecture is a family here. In a place, `{i}` stands for the layer and `{next}` for the one
after it, and names are without their leading slash:

- `encoder0/ln1`: the tensor of that name;
- `<encoder0/mha/Q/w`: what the node that makes that tensor takes first;
- `+block0/conv2/mixin`: what the sum of that name adds to the stream that enters the layer;
- `=wdl`: the output that is the network's WDL (`=planes`: its input).

The first place that exists counts. Those that follow are for older exports, and for files in which
another tool has joined the nodes of a layer into one.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FAMILIES", "MAPS", "SQUARES", "Family", "Row"]

MAPS = "board width rank file"
"""How a residual tower stores its stream; it is read as squares."""
SQUARES = "board (rank file) width"
_AXES = "board square width"
_FLAT = "(board square) width"
_HEADS, _ENTRIES = "board head square width", "board head query key"
_OUTCOMES, _WIDTH = "board outcome", "board width"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Where a site lies.

    Attributes:
        name: the site's name inside its family.
        places: where it may lie; see the module.
        axes: the axes that it is read with.
        stored: the axes in the file, as an einops pattern.
        meaning: what it holds.
        always: a network of the family has it, unless a tool has joined it with something else.
    """

    name: str
    places: tuple[str, ...]
    axes: str
    stored: str
    meaning: str
    always: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """The sites of one part of a network.

    Attributes:
        part: what stands before the names of its rows.
        when: the network has the part if one of these places exists; with `{i}`, layer by layer.
        unless: and none of these.
        rows: its sites, in the order of computing.
    """

    part: str
    when: tuple[str, ...]
    rows: tuple[Row, ...]
    unless: tuple[str, ...] = ()


def _row(name: str, places: str, axes: str, meaning: str, *, stored: str | None = None,
         always: bool = True) -> Row:  # fmt: skip
    return Row(name=name, places=tuple(places.split()), axes=axes, stored=stored or axes,
               meaning=meaning, always=always)  # fmt: skip


def _squares(name: str, places: str, meaning: str) -> Row:
    return _row(name, places, _AXES, meaning, stored=_FLAT)


def _maps(name: str, places: str, meaning: str, *, always: bool = True) -> Row:
    return _row(name, places, _AXES, meaning, stored=MAPS, always=always)


def _activated(*convolutions: str, sign: str = "") -> str:
    """Places of convolutions, and of those into which their activation has been drawn."""
    return " ".join(
        f"{sign}{name}{ending}" for name in convolutions for ending in ("", "/relu", "/mish")
    )


_INPUT = (_row("input", "=planes", "board plane rank file", "the 112 input planes"),)

_ENCODER = (
    _squares("residual_before", "<encoder{i}/mha/Q/w <encoder{i}/mha/Q/b",
             "residual stream entering the layer"),
    _row("query", "encoder{i}/mha/Q/transpose", _HEADS, "query vectors"),
    _row("key", "encoder{i}/mha/K/transpose", _HEADS, "key vectors",
         stored="board head width square"),
    _row("value", "encoder{i}/mha/V/transpose", _HEADS, "value vectors"),
    _row("qk", "encoder{i}/mha/QK/scale", _ENTRIES,
         "scaled query-key products, the part of the scores that smolgen is added to"),
    _row("smolgen", "encoder{i}/smolgen/out/reshape", _ENTRIES,
         "the part of the scores that smolgen makes from the whole board", always=False),
    _row("scores", "<encoder{i}/mha/QK/softmax", _ENTRIES, "logits entering the softmax"),
    _row("pattern", "encoder{i}/mha/QK/softmax", _ENTRIES,
         "attention pattern; information flows key -> query, rows sum to 1"),
    _row("head_output", "encoder{i}/mha/QKV/matmul", _HEADS,
         "each head's weighted values at the query square, before the output projection"),
    _squares("attention_output", "encoder{i}/mha/out/dense/b",
             "attention sub-layer output, before scaling and skip"),
    _squares("residual_middle", "<encoder{i}/ffn/dense1/w <encoder{i}/ffn/dense1/b encoder{i}/ln1",
             "residual stream after attention, before the MLP"),
    _squares("mlp_pre", "encoder{i}/ffn/dense1/b", "MLP before its activation function"),
    _squares("mlp_post", "<encoder{i}/ffn/dense2/w <encoder{i}/ffn/dense2/b",
             "MLP after its activation function"),
    _squares("mlp_output", "encoder{i}/ffn/dense2/b", "MLP output, before scaling and skip"),
    _squares("residual_after",
             "<encoder{next}/mha/Q/w <encoder{next}/mha/Q/b encoder{i}/ln2 encoder{i}/ln2/betas",
             "residual stream leaving the layer"),
)  # fmt: skip

_BLOCK = (
    _maps("residual_before", _activated("block{i}/conv1", sign="<"),
          "tower stream entering the block"),
    _maps("conv1", _activated("block{i}/conv2", sign="<"),
          "first convolution after its activation function"),
    _maps("conv2", "block{i}/conv2", "second convolution"),
    _row("se_gate", "block{i}/conv2/se/sigmoid", _WIDTH,
         "squeeze-excitation's factor for each channel", stored="board width 1 1", always=False),
    _maps("block_output", "+block{i}/conv2/mixin", "what the block adds to the stream",
          always=False),
    _maps("residual_after",
          _activated("block{next}/conv1", "value/conv", "policy/conv1", "policy/conv", sign="<"),
          "tower stream leaving the block"),
)  # fmt: skip

_ATTENTION_POLICY = (
    _row("embedding", "<policy/Q/matmul <policy/Q/add", _AXES,
         "squares as the policy head embeds them", stored=_FLAT),
    _row("query", "policy/Q/reshape", _AXES, "from-square vectors"),
    _row("key", "policy/K/reshape", _AXES, "to-square vectors"),
    _row("scores", "policy/scale", "board query key",
         "logit of a move from query to key square"),
)  # fmt: skip

_CONVOLUTION_POLICY = (
    _maps("hidden", "<policy/conv2 <policy/reshape", "policy head after its first convolution"),
    _maps("moves", "policy/conv2", "logits of 80 kinds of move from each square", always=False),
)

_LOGITS = (_row("logits", "=policy", "board slot", "logit of each of the 1858 policy slots"),)

_WDL = (
    _row("logits", "value/dense2/add", _OUTCOMES, "win, draw, loss logits"),
    _row("wdl", "=wdl", _OUTCOMES, "win, draw, loss probabilities for the side to move"),
)
_SCALAR = (
    _row("logits", "value/dense2/add", _OUTCOMES, "the value before tanh"),
    _row("scalar", "=value", _OUTCOMES, "the value for the side to move, -1 to 1"),
)
_MOVES_LEFT = (_row("output", "=mlh", "board", "expected number of plies left", stored="board 1"),)


def _head(onnx: str, name: str) -> tuple[Family, ...]:
    """The body of a value or moves-left head, on an attention body or on a residual tower."""
    meaning = f"squares as the {name.replace('_', '-')} head embeds them"
    hidden = _row("hidden", f"<{onnx}/dense2/matmul <{onnx}/dense2/add", _WIDTH,
                  "the head's hidden layer after its activation function")  # fmt: skip
    convolution, reshape = tuple(_activated(f"{onnx}/conv").split()), f"{onnx}/reshape"
    return (
        Family(part=f"{name}.", when=convolution,
               rows=(_maps("embedding", f"<{reshape}", meaning), hidden)),
        Family(part=f"{name}.", when=(reshape,), unless=convolution,
               rows=(_squares("embedding", f"<{reshape}", meaning), hidden)),
    )  # fmt: skip


_FIRST_QUERY = ("encoder0/mha/Q/w", "encoder0/mha/Q/b")
_FIRST_BLOCK = tuple(_activated("block0/conv1").split())

FAMILIES: tuple[Family, ...] = (
    Family(part="", when=("=planes",), rows=_INPUT),
    Family(part="", when=_FIRST_QUERY, rows=(
        _squares("embedding", "<encoder0/mha/Q/w <encoder0/mha/Q/b",
                 "residual stream before layer 0"),)),
    Family(part="", when=_FIRST_BLOCK, unless=_FIRST_QUERY, rows=(
        _maps("embedding", _activated("block0/conv1", sign="<"),
              "the tower's stem: the stream before layer 0"),)),
    Family(part="layer{i}.", when=("encoder{i}/mha/Q/w", "encoder{i}/mha/Q/b"), rows=_ENCODER),
    Family(part="layer{i}.", when=tuple(_activated("block{i}/conv1").split()),
           unless=_FIRST_QUERY, rows=_BLOCK),
    Family(part="policy.", when=("policy/scale",), rows=_ATTENTION_POLICY),
    Family(part="policy.", when=("policy/conv2", "policy/reshape"), unless=("policy/scale",),
           rows=_CONVOLUTION_POLICY),
    Family(part="policy.", when=("=policy",), rows=_LOGITS),
    *_head("value", "value"),
    Family(part="value.", when=("=wdl",), rows=_WDL),
    Family(part="value.", when=("=value",), unless=("=wdl",), rows=_SCALAR),
    *_head("mlh", "moves_left"),
    Family(part="moves_left.", when=("=mlh",), rows=_MOVES_LEFT),
)  # fmt: skip
"""All parts that a network can have, in the order of computing."""
