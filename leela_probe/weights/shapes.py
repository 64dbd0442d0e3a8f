"""The shape of every tensor of a network, from its architecture; and the other way round."""

from collections.abc import Mapping
from typing import Any

from leela_probe.weights.architectures import (
    POLICY_HEADS,
    VALUE_HEADS,
    Architecture,
    Embedding,
    PolicyFormat,
    Smolgen,
    ValueFormat,
)

__all__ = ["infer", "of"]

_Shapes = dict[str, tuple[int, ...]]

_PLANES = 112
_CLASSICAL_MOVES = 1858


def of(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor of a network, by its field path in the file.

    Weights of a dense layer are (outputs, inputs), of a convolution (outputs, inputs, rank, file).
    What lc0 expects inside them:

    - queries, keys and values hold one head after the other, and so does smolgen's second layer;
    - the first half of squeeze-excitation's outputs are the factors (before the sigmoid), the
      second half what is added;
    - a layer over all squares takes them square by square after an attention body, plane by
      plane after a residual tower and in a classical policy head;
    - the gates are (width, square), smolgen's shared weights (64 x query + key, generated);
    - the promotion weights ``ip4_pol_w`` are queen, rook, bishop, and what is added to the three.

    Source: lc0, ``src/neural/onnx/converter.cc``.

    Example:
        >>> from leela_probe.weights.architectures import PRESETS
        >>> of(PRESETS["attention"])["encoder.0.mha.q_w"]
        (32, 32)
    """
    a = architecture
    body = _tower(a) if a.blocks else _attention_body(a)
    return body | _policy(a) | _value(a) | (_moves_left(a) if a.moves_left else {})


def _dense(name: str, outputs: int, inputs: int) -> _Shapes:
    return {f"{name}_w": (outputs, inputs), f"{name}_b": (outputs,)}


def _norm(name: str, width: int) -> _Shapes:
    return {f"{name}_gammas": (width,), f"{name}_betas": (width,)}


def _convolution(name: str, outputs: int, inputs: int, size: int, batch_norm: bool) -> _Shapes:
    per_output = ("bn_means", "bn_stddivs", "bn_gammas", "bn_betas") if batch_norm else ("biases",)
    return {f"{name}.weights": (outputs, inputs, size, size)} | {
        f"{name}.{field}": (outputs,) for field in per_output
    }


def _tower(a: Architecture) -> _Shapes:
    result = _convolution("input", a.filters, _PLANES, 3, a.batch_norm)
    for block in range(a.blocks):
        for half in ("conv1", "conv2"):
            name = f"residual.{block}.{half}"
            result |= _convolution(name, a.filters, a.filters, 3, a.batch_norm)
        if a.squeeze:
            name = f"residual.{block}.se"
            result |= {
                f"{name}.w1": (a.squeeze, a.filters),
                f"{name}.b1": (a.squeeze,),
                f"{name}.w2": (2 * a.filters, a.squeeze),
                f"{name}.b2": (2 * a.filters,),
            }
    return result


def _attention_body(a: Architecture) -> _Shapes:
    appended = 64 if a.embedding == Embedding.MAP else a.embedding_channels
    result = _dense("ip_emb", a.width, _PLANES + appended)
    if a.gating:
        result |= {"ip_mult_gate": (a.width, 64), "ip_add_gate": (a.width, 64)}
    if a.embedding == Embedding.DENSE:
        hidden = a.embedding_feed_forward or a.feed_forward
        result |= _dense("ip_emb_preproc", 64 * a.embedding_channels, 64 * 12)
        result |= _norm("ip_emb_ln", a.width)
        result |= _feed_forward("ip_emb_ffn", a.width, hidden)
        result |= _norm("ip_emb_ffn_ln", a.width)
    for layer in range(a.layers):
        name = f"encoder.{layer}"
        result |= _encoder(name, a.width, a.attention_width or a.width, a.feed_forward)
        if a.smolgen is not None:
            result |= _smolgen(f"{name}.mha.smolgen", a.width, a.heads, a.smolgen)
    if a.smolgen is not None:
        result["smolgen_w"] = (64 * 64, a.smolgen.generated)
    return result


def _feed_forward(name: str, width: int, hidden: int) -> _Shapes:
    return _dense(f"{name}.dense1", hidden, width) | _dense(f"{name}.dense2", width, hidden)


def _encoder(name: str, width: int, queries: int, hidden: int) -> _Shapes:
    result: _Shapes = {}
    for part in ("q", "k", "v"):
        result |= _dense(f"{name}.mha.{part}", queries, width)
    result |= _dense(f"{name}.mha.dense", width, queries)
    result |= _norm(f"{name}.ln1", width)
    result |= _feed_forward(f"{name}.ffn", width, hidden)
    return result | _norm(f"{name}.ln2", width)


def _smolgen(name: str, width: int, heads: int, sizes: Smolgen) -> _Shapes:
    generated = heads * sizes.generated
    return (
        {f"{name}.compress": (sizes.channels, width)}
        | _dense(f"{name}.dense1", sizes.hidden, 64 * sizes.channels)
        | _norm(f"{name}.ln1", sizes.hidden)
        | _dense(f"{name}.dense2", generated, sizes.hidden)
        | _norm(f"{name}.ln2", generated)
    )


def _policy(a: Architecture) -> _Shapes:
    if a.policy == PolicyFormat.CLASSICAL:
        return _convolution("policy", a.policy_channels, a.filters, 1, a.batch_norm) | _dense(
            "ip_pol", _CLASSICAL_MOVES, 64 * a.policy_channels
        )
    if a.policy == PolicyFormat.CONVOLUTION:
        return _convolution("policy1", a.filters, a.filters, 3, a.batch_norm) | _convolution(
            "policy", 80, a.filters, 3, False
        )
    queries = a.policy_query_width or a.policy_width
    shared = "policy_heads." if a.policy_heads else ""
    embedding = (a.policy_width, a.width or a.filters)
    result = {} if a.own_policy_embeddings else _dense(f"{shared}ip_pol", *embedding)
    for head in a.policy_heads or ("",):
        prefix = f"{shared}{head}." if head else ""
        if a.own_policy_embeddings:
            result |= _dense(f"{prefix}ip_pol", *embedding)
        for layer in range(a.policy_layers):
            name = f"{prefix}pol_encoder.{layer}"
            result |= _encoder(name, a.policy_width, a.policy_width, a.policy_feed_forward)
        result |= _dense(f"{prefix}ip2_pol", queries, a.policy_width)
        result |= _dense(f"{prefix}ip3_pol", queries, a.policy_width)
        result[f"{prefix}ip4_pol_w"] = (4, queries)
    return result


def _value(a: Architecture) -> _Shapes:
    outputs = 3 if a.value == ValueFormat.WDL else 1
    result: _Shapes = {}
    for head in a.value_heads or ("",):
        prefix = f"value_heads.{head}." if head else ""
        if a.layers:
            result |= _dense(f"{prefix}ip_val", a.value_channels, a.width)
        else:
            name = f"{prefix}value"
            result |= _convolution(name, a.value_channels, a.filters, 1, a.batch_norm)
        result |= _dense(f"{prefix}ip1_val", a.value_hidden, 64 * a.value_channels)
        result |= _dense(f"{prefix}ip2_val", outputs, a.value_hidden)
    return result


def _moves_left(a: Architecture) -> _Shapes:
    if a.layers:
        result = _dense("ip_mov", a.moves_left_channels, a.width)
    else:
        result = _convolution("moves_left", a.moves_left_channels, a.filters, 1, a.batch_norm)
    result |= _dense("ip1_mov", a.moves_left_hidden, 64 * a.moves_left_channels)
    return result | _dense("ip2_mov", 1, a.moves_left_hidden)


def infer(sizes: Mapping[str, int], declared: Mapping[str, Any]) -> Architecture:
    """The architecture of the network whose tensors hold so many numbers each.

    Args:
        sizes: how many numbers each tensor holds, by its field path.
        declared: the fields of `Architecture` that no tensor tells: ``input_format``, ``heads``,
            ``policy_encoder_heads``, ``policy``, ``value``, ``moves_left``, ``embedding`` and
            the activations; the defaults of `Architecture` hold for the rest.

    Raises:
        ValueError: a tensor that others hang on is missing, or the sizes do not go together.

    Example:
        >>> from math import prod
        >>> from leela_probe.weights.architectures import PRESETS
        >>> sizes = {name: prod(shape) for name, shape in of(PRESETS["se-convolution"]).items()}
        >>> infer(sizes, {}) == PRESETS["se-convolution"]
        True
    """
    tensors = _Sizes(sizes)
    found: dict[str, Any] = {
        "policy": PolicyFormat.CONVOLUTION,
        "moves_left": True,
        "heads": 0,
    } | dict(declared)
    if tensors.count("residual"):
        found |= _infer_tower(tensors)
    elif tensors.count("encoder"):
        found |= _infer_attention_body(tensors, heads=found["heads"])
    else:
        raise ValueError("there are neither residual blocks nor encoder layers")
    return Architecture(**(found | _infer_heads(tensors, found)))


class _Sizes:
    """How many numbers each tensor holds; a missing one is an error that names it."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self.sizes = sizes

    def __contains__(self, name: str) -> bool:
        return name in self.sizes

    def __getitem__(self, name: str) -> int:
        if name not in self.sizes:
            raise ValueError(f"tensor {name!r} is missing, and the sizes of others hang on it")
        return self.sizes[name]

    def count(self, prefix: str) -> int:
        """How many members the repeated field has."""
        inside = (n.removeprefix(f"{prefix}.") for n in self.sizes if n.startswith(f"{prefix}."))
        return len({name.split(".")[0] for name in inside})

    def rows(self, name: str, width: int) -> int:
        """How many rows of this width the tensor has."""
        if not width or not self[name] or self[name] % width:
            raise ValueError(f"tensor {name!r} holds {self[name]} numbers, no rows of {width}")
        return self[name] // width

    def heads(self, prefix: str, known: tuple[str, ...]) -> tuple[str, ...]:
        """Which of the known heads are there."""
        return tuple(k for k in known if any(n.startswith(f"{prefix}.{k}.") for n in self.sizes))


def _infer_tower(tensors: _Sizes) -> dict[str, Any]:
    squeezed = "residual.0.se.b1" in tensors
    return {
        "blocks": tensors.count("residual"),
        "filters": tensors.rows("input.weights", _PLANES * 9),
        "squeeze": tensors["residual.0.se.b1"] if squeezed else 0,
        "batch_norm": "input.bn_means" in tensors,
    }


def _infer_attention_body(tensors: _Sizes, heads: int) -> dict[str, Any]:
    width = tensors["ip_emb_b"]
    queries = tensors["encoder.0.mha.q_b"]
    found: dict[str, Any] = {
        "layers": tensors.count("encoder"),
        "width": width,
        "attention_width": 0 if queries == width else queries,
        "feed_forward": tensors["encoder.0.ffn.dense1_b"],
        "gating": "ip_mult_gate" in tensors,
    }
    if "encoder.0.mha.smolgen.compress" in tensors:
        found["smolgen"] = Smolgen(
            channels=tensors.rows("encoder.0.mha.smolgen.compress", width),
            hidden=tensors["encoder.0.mha.smolgen.dense1_b"],
            generated=tensors.rows("encoder.0.mha.smolgen.dense2_b", heads),
        )
    if "ip_emb_preproc_b" in tensors:
        hidden = tensors["ip_emb_ffn.dense1_b"]
        found |= {
            "embedding_channels": tensors.rows("ip_emb_preproc_b", 64),
            "embedding_feed_forward": 0 if hidden == found["feed_forward"] else hidden,
        }
    return found


def _infer_heads(tensors: _Sizes, found: dict[str, Any]) -> dict[str, Any]:
    policy_heads = tensors.heads("policy_heads", POLICY_HEADS)
    value_heads = tensors.heads("value_heads", VALUE_HEADS)
    after_attention = "layers" in found
    result: dict[str, Any] = {"policy_heads": policy_heads, "value_heads": value_heads}

    policy = f"policy_heads.{policy_heads[0]}." if policy_heads else ""
    if found["policy"] == PolicyFormat.ATTENTION:
        own = bool(policy_heads) and f"{policy}ip_pol_b" in tensors
        shared = "policy_heads." if policy_heads else ""
        width = tensors[f"{policy if own else shared}ip_pol_b"]
        queries = tensors[f"{policy}ip2_pol_b"]
        result |= {
            "own_policy_embeddings": own,
            "policy_width": width,
            "policy_query_width": 0 if queries == width else queries,
        }
        if f"{policy}pol_encoder.0.ffn.dense1_b" in tensors:
            result |= {
                "policy_layers": tensors.count(f"{policy}pol_encoder"),
                "policy_feed_forward": tensors[f"{policy}pol_encoder.0.ffn.dense1_b"],
            }
    elif found["policy"] == PolicyFormat.CLASSICAL:
        result["policy_channels"] = tensors.rows("policy.weights", found["filters"])

    value = f"value_heads.{value_heads[0]}." if value_heads else ""
    inputs = found["width"] if after_attention else found["filters"]
    channels = f"{value}ip_val_w" if after_attention else f"{value}value.weights"
    result |= {
        "value_channels": tensors.rows(channels, inputs),
        "value_hidden": tensors[f"{value}ip1_val_b"],
    }
    if found["moves_left"]:
        channels = "ip_mov_w" if after_attention else "moves_left.weights"
        result |= {
            "moves_left_channels": tensors.rows(channels, inputs),
            "moves_left_hidden": tensors["ip1_mov_b"],
        }
    return result
