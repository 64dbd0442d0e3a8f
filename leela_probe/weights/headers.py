"""What a weights file says about its network, read as lc0 reads it, and saying it.

Older files leave things out that lc0 fills in; so do we. Source: lc0, ``FixOlderWeightsFile`` in
``src/neural/loader.cc``.
"""

from dataclasses import dataclass, fields
from typing import Any

from leela_probe.positions.planes import InputFormat
from leela_probe.weights import schema, shapes
from leela_probe.weights.architectures import (
    Activation,
    Architecture,
    Embedding,
    PolicyFormat,
    ValueFormat,
)

__all__ = ["Header", "Training", "fill", "of"]

_STRUCTURES = {
    0: "NETWORK_UNKNOWN",
    1: "NETWORK_CLASSICAL",
    2: "NETWORK_SE",
    3: "NETWORK_CLASSICAL_WITH_HEADFORMAT",
    4: "NETWORK_SE_WITH_HEADFORMAT",
    5: "NETWORK_ONNX",
    6: "NETWORK_ATTENTIONBODY_WITH_HEADFORMAT",
    7: "NETWORK_ATTENTIONBODY_WITH_MULTIHEADFORMAT",
    134: "NETWORK_AB_LEGACY_WITH_MULTIHEADFORMAT",
}
_TOWER, _SE_TOWER, _ONNX, _ATTENTION, _MULTIHEAD, _LEGACY_MULTIHEAD = 3, 4, 5, 6, 7, 134
# The two structures from before the heads were said, and what they mean today.
_HEADLESS_TOWER = 1
_HEADLESS = {_HEADLESS_TOWER: _TOWER, 2: _SE_TOWER}
_MISH_BY_DEFAULT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What a file says about the training of its network; None where it says nothing."""

    training_steps: int | None = None
    learning_rate: float | None = None
    mse_loss: float | None = None
    policy_loss: float | None = None
    accuracy: float | None = None
    lc0_params: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a weights file says about its network.

    Args:
        structure: lc0's name of the kind of network.
        input_format: how positions become planes.
        policy: kind of policy head.
        value: what the value head says.
        moves_left: there is a moves-left head.
        architecture: the whole description, or None with ``undescribed`` saying why.
        undescribed: why there is no architecture; empty where there is one.
        relative_positions: its attention has relative position encoding, as in BT5.
        embeds_onnx: the file wraps an ONNX model instead of tensors.
        min_version: the oldest lc0 that reads it.
        license: text of the licence, mostly empty.
        training: what is said about the training.
    """

    structure: str
    input_format: InputFormat
    policy: PolicyFormat
    value: ValueFormat
    moves_left: bool
    architecture: Architecture | None
    undescribed: str
    relative_positions: bool
    embeds_onnx: bool
    min_version: tuple[int, int, int]
    license: str
    training: Training


def of(net: Any) -> Header:
    """The header of a network message.

    Raises:
        ValueError: the file holds neither tensors nor an ONNX model, or its input format is
            unknown; the message goes after the file's name.
    """
    embeds_onnx = net.HasField("onnx_model")
    if not embeds_onnx and not net.HasField("weights"):
        raise ValueError("it holds neither weights nor an ONNX model")
    said = _format(net)
    architecture, undescribed = None, "it wraps an ONNX model instead of tensors"
    if not embeds_onnx:
        try:
            architecture, undescribed = _architecture(net, said), ""
        except ValueError as error:
            undescribed = f"its architecture is not known here: {error}"
    relative = any(name.endswith((".rpe_q", ".rpe_k", ".rpe_v")) for name in schema.sizes(net))
    if relative:
        architecture, undescribed = None, "it has relative position encoding, as BT5 networks have"
    training = net.training_params
    version = net.min_version
    return Header(
        structure=_STRUCTURES.get(said.network, str(said.network)),
        input_format=_known(InputFormat, said.input),
        policy=_known(PolicyFormat, said.policy),
        value=_known(ValueFormat, said.value),
        moves_left=bool(said.moves_left),
        architecture=architecture,
        undescribed=undescribed,
        relative_positions=relative,
        embeds_onnx=embeds_onnx,
        min_version=(version.major, version.minor, version.patch),
        license=net.license,
        training=Training(
            **{
                f.name: getattr(training, f.name)
                for f in fields(Training)
                if training.HasField(f.name)
            }
        ),
    )


def _known(kind: Any, number: int) -> Any:
    try:
        return kind(number)
    except ValueError as error:
        known = ", ".join(str(member.value) for member in kind)
        raise ValueError(f"its {kind.__name__} is {number}; known are {known}") from error


def _format(net: Any) -> Any:
    """What the file says about its format, with what older files leave out filled in."""
    said = type(net.format.network_format)()
    said.CopyFrom(net.format.network_format)
    if not net.format.HasField("network_format"):
        said.input, said.network = InputFormat.CLASSICAL, _HEADLESS_TOWER
    if said.network in _HEADLESS:
        said.network = _HEADLESS[said.network]
        said.policy, said.value = PolicyFormat.CLASSICAL, ValueFormat.CLASSICAL
    weights = net.weights
    if said.network == _SE_TOWER and weights.encoder:
        said.network = _ATTENTION
        if weights.HasField("smolgen_w"):
            said.ffn_activation = Activation.RELU_2
            said.smolgen_activation = Activation.SWISH
    if said.network == _LEGACY_MULTIHEAD:
        said.network = _MULTIHEAD
    if said.network == _ATTENTION:
        if weights.HasField("policy_heads") and weights.HasField("value_heads"):
            said.network = _MULTIHEAD
            said.input_embedding = Embedding.DENSE
        if not said.HasField("input_embedding"):
            said.input_embedding = Embedding.MAP
    return said


def _architecture(net: Any, said: Any) -> Architecture:
    weights = net.weights
    if weights.encoder and weights.residual:
        raise ValueError("it has residual blocks and encoder layers both")
    attention = len(weights.encoder) > 0
    heads = weights.policy_heads.vanilla if weights.HasField("policy_heads") else weights
    mish = said.default_activation == _MISH_BY_DEFAULT
    embedding = said.input_embedding if attention else Embedding.NONE
    declared = {
        "input_format": _known(InputFormat, said.input),
        "heads": weights.headcount if attention else 0,
        "embedding": _known(Embedding, embedding),
        "policy": _known(PolicyFormat, said.policy),
        "policy_encoder_heads": heads.pol_headcount if heads.pol_encoder else 0,
        "value": _known(ValueFormat, said.value),
        "moves_left": bool(said.moves_left),
        "activation": Activation.MISH if mish else Activation.RELU,
        "smolgen_activation": _known(Activation, said.smolgen_activation),
        "feed_forward_activation": _known(Activation, said.ffn_activation),
    }
    return shapes.infer(schema.sizes(net), declared)


def fill(
    net: Any,
    architecture: Architecture,
    min_version: tuple[int, int, int],
    license: str,
    training: Training | None,
) -> None:
    """Everything but the tensors put into an empty network message."""
    if license:
        net.license = license
    net.min_version.major, net.min_version.minor, net.min_version.patch = min_version
    net.format.weights_encoding = schema.LINEAR16
    said = net.format.network_format
    said.input = architecture.input_format
    said.output = architecture.value
    said.network = _structure(architecture)
    said.policy = architecture.policy
    said.value = architecture.value
    said.moves_left = int(architecture.moves_left)
    said.default_activation = int(architecture.activation == Activation.MISH)
    said.smolgen_activation = architecture.smolgen_activation
    said.ffn_activation = architecture.feed_forward_activation
    said.input_embedding = architecture.embedding
    for field in fields(Training) if training is not None else ():
        value = getattr(training, field.name)
        if value is not None:
            setattr(net.training_params, field.name, value)
    if architecture.layers:
        net.weights.headcount = architecture.heads
    if architecture.policy_layers:
        for head in architecture.policy_heads:
            policy_head = getattr(net.weights.policy_heads, head)
            policy_head.pol_headcount = architecture.policy_encoder_heads
        if not architecture.policy_heads:
            net.weights.pol_headcount = architecture.policy_encoder_heads


def _structure(architecture: Architecture) -> int:
    if architecture.layers:
        return _MULTIHEAD if architecture.policy_heads else _ATTENTION
    return _SE_TOWER if architecture.squeeze else _TOWER
