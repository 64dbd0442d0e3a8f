"""The messages of Leela's network files, and the tensors in them by field path.

The table of fields follows ``proto/net.proto`` of the public lczero-common repository; the messages
are built with the protobuf runtime when they are first asked for. A tensor is stored as 16-bit
integers between its least and its greatest number (lc0, ``src/utils/weights_adapter.cc``).
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float32

__all__ = ["LINEAR16", "new_net", "set_tensor", "sizes", "tensors"]

LINEAR16, _FLOAT16, _BFLOAT16, _FLOAT32 = 1, 2, 3, 4
_STEPS = np.float32(0xFFFF)

# Each field is "name:type=number"; a star marks a repeated field. Enumerations are plain
# uint32 here (the same bytes), so that a value of a newer lc0 is kept and can be named in an
# error instead of vanishing among the unknown fields.
_TABLE = {
    "Version": "major:uint32=1 minor:uint32=2 patch:uint32=3",
    "Layer": "min_val:float=1 max_val:float=2 params:bytes=3 encoding:uint32=4 dims:uint32*=5",
    "ConvBlock": """
        weights:Layer=1 biases:Layer=2
        bn_means:Layer=3 bn_stddivs:Layer=4 bn_gammas:Layer=5 bn_betas:Layer=6""",
    "SEunit": "w1:Layer=1 b1:Layer=2 w2:Layer=3 b2:Layer=4",
    "Residual": "conv1:ConvBlock=1 conv2:ConvBlock=2 se:SEunit=3",
    "Smolgen": """
        compress:Layer=1 dense1_w:Layer=2 dense1_b:Layer=3 ln1_gammas:Layer=4 ln1_betas:Layer=5
        dense2_w:Layer=6 dense2_b:Layer=7 ln2_gammas:Layer=8 ln2_betas:Layer=9""",
    "MHA": """
        q_w:Layer=1 q_b:Layer=2 k_w:Layer=3 k_b:Layer=4 v_w:Layer=5 v_b:Layer=6
        dense_w:Layer=7 dense_b:Layer=8 smolgen:Smolgen=9 rpe_q:Layer=10 rpe_k:Layer=11
        rpe_v:Layer=12""",
    "FFN": "dense1_w:Layer=1 dense1_b:Layer=2 dense2_w:Layer=3 dense2_b:Layer=4",
    "EncoderLayer": """
        mha:MHA=1 ln1_gammas:Layer=2 ln1_betas:Layer=3 ffn:FFN=4 ln2_gammas:Layer=5
        ln2_betas:Layer=6""",
    "PolicyHead": """
        ip_pol_w:Layer=1 ip_pol_b:Layer=2 ip2_pol_w:Layer=3 ip2_pol_b:Layer=4 ip3_pol_w:Layer=5
        ip3_pol_b:Layer=6 ip4_pol_w:Layer=7 pol_encoder:EncoderLayer*=8 pol_headcount:uint32=9
        policy1:ConvBlock=10 policy:ConvBlock=11""",
    "ValueHead": """
        ip_val_w:Layer=1 ip_val_b:Layer=2 ip1_val_w:Layer=3 ip1_val_b:Layer=4 ip2_val_w:Layer=5
        ip2_val_b:Layer=6 ip_val_err_w:Layer=7 ip_val_err_b:Layer=8 ip_val_cat_w:Layer=9
        ip_val_cat_b:Layer=10 value:ConvBlock=11""",
    "PolicyHeadMap": "key:string=1 value:PolicyHead=2",
    "PolicyHeads": """
        ip_pol_w:Layer=1 ip_pol_b:Layer=2 vanilla:PolicyHead=3 optimistic_st:PolicyHead=4
        soft:PolicyHead=5 opponent:PolicyHead=6 policy_head_map:PolicyHeadMap*=7""",
    "ValueHeadMap": "key:string=1 value:ValueHead=2",
    "ValueHeads": """
        winner:ValueHead=1 q:ValueHead=2 st:ValueHead=3 value_head_map:ValueHeadMap*=4""",
    "Weights": """
        input:ConvBlock=1 residual:Residual*=2 policy:ConvBlock=3 ip_pol_w:Layer=4
        ip_pol_b:Layer=5 value:ConvBlock=6 ip1_val_w:Layer=7 ip1_val_b:Layer=8 ip2_val_w:Layer=9
        ip2_val_b:Layer=10 policy1:ConvBlock=11 moves_left:ConvBlock=12 ip1_mov_w:Layer=13
        ip1_mov_b:Layer=14 ip2_mov_w:Layer=15 ip2_mov_b:Layer=16 ip2_pol_w:Layer=17
        ip2_pol_b:Layer=18 ip3_pol_w:Layer=19 ip3_pol_b:Layer=20 pol_encoder:EncoderLayer*=21
        ip4_pol_w:Layer=22 pol_headcount:uint32=24 ip_emb_w:Layer=25 ip_emb_b:Layer=26
        encoder:EncoderLayer*=27 headcount:uint32=28 ip_val_w:Layer=29 ip_val_b:Layer=30
        ip_mov_w:Layer=31 ip_mov_b:Layer=32 ip_mult_gate:Layer=33 ip_add_gate:Layer=34
        smolgen_w:Layer=35 smolgen_b:Layer=36 ip_emb_preproc_w:Layer=37 ip_emb_preproc_b:Layer=38
        ip_emb_ln_gammas:Layer=39 ip_emb_ln_betas:Layer=40 ip_emb_ffn:FFN=41
        ip_emb_ffn_ln_gammas:Layer=42 ip_emb_ffn_ln_betas:Layer=43 value_heads:ValueHeads=44
        policy_heads:PolicyHeads=45""",
    "TrainingParams": """
        training_steps:uint32=1 learning_rate:float=2 mse_loss:float=3 policy_loss:float=4
        accuracy:float=5 lc0_params:string=6""",
    "NetworkFormat": """
        input:uint32=1 output:uint32=2 network:uint32=3 policy:uint32=4 value:uint32=5
        moves_left:uint32=6 default_activation:uint32=7 smolgen_activation:uint32=8
        ffn_activation:uint32=9 input_embedding:uint32=10""",
    "Format": "weights_encoding:uint32=1 network_format:NetworkFormat=2",
    "OnnxModel": """
        model:bytes=1 data_type:uint32=2 input_planes:string=3 output_value:string=4
        output_wdl:string=5 output_policy:string=6 output_mlh:string=7""",
    "Net": """
        magic:fixed32=1 license:string=2 min_version:Version=3 format:Format=4
        training_params:TrainingParams=5 weights:Weights=10 onnx_model:OnnxModel=11""",
}


def new_net() -> Any:
    """An empty ``Net`` message, the root of a Leela network file.

    Example:
        >>> net = new_net()
        >>> net.magic = 0x1C0
        >>> net.weights.encoder.add().mha.q_w.min_val = -1.0
        >>> net.SerializeToString(deterministic=True).hex()
        '0dc0010000520cda01090a070a050d000080bf'
    """
    return _net_class()()


@cache
def _net_class() -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    proto = descriptor_pb2.FieldDescriptorProto
    scalars = {
        "bytes": proto.TYPE_BYTES,
        "fixed32": proto.TYPE_FIXED32,
        "float": proto.TYPE_FLOAT,
        "string": proto.TYPE_STRING,
        "uint32": proto.TYPE_UINT32,
    }
    package = "leela_probe.weights.schema"
    file = descriptor_pb2.FileDescriptorProto(
        name="leela_probe/weights/schema.proto", package=package, syntax="proto2"
    )
    for message_name, fields in _TABLE.items():
        message = file.message_type.add(name=message_name)
        for entry in fields.split():
            name, kind, number = entry.replace("=", ":").split(":")
            field = message.field.add(name=name, number=int(number))
            field.label = proto.LABEL_REPEATED if kind.endswith("*") else proto.LABEL_OPTIONAL
            kind = kind.rstrip("*")
            if kind in scalars:
                field.type = scalars[kind]
            else:
                field.type = proto.TYPE_MESSAGE
                field.type_name = f".{package}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.Net"))


def sizes(net: Any) -> dict[str, int]:
    """How many numbers each tensor of a network message holds, by field path."""
    default = net.format.weights_encoding
    return {
        name: len(layer.params) // (4 if (layer.encoding or default) == _FLOAT32 else 2)
        for name, layer in _layers(net.weights, "")
    }


def tensors(net: Any) -> dict[str, Float32[np.ndarray, "number"]]:
    """Every tensor of a network message, flat, by field path.

    Raises:
        ValueError: a tensor's encoding is unknown or its bytes are no whole numbers; the message
            goes after the file's name.
    """
    default = net.format.weights_encoding
    return {name: _decode(layer, default, name) for name, layer in _layers(net.weights, "")}


def set_tensor(net: Any, name: str, values: Float32[np.ndarray, "..."]) -> None:
    """One tensor put into a network message, rounded to 65536 equal steps.

    Raises:
        ValueError: the span of the numbers is no float32.

    Example:
        >>> net = new_net()
        >>> net.format.weights_encoding = LINEAR16
        >>> set_tensor(net, "encoder.0.mha.q_b", np.linspace(0, 1, 4, dtype=np.float32))
        >>> tensors(net)["encoder.0.mha.q_b"].tolist()
        [0.0, 0.3333333432674408, 0.6666666865348816, 1.0]
    """
    message = net.weights
    for part in name.split("."):
        if part.isdigit():
            while len(message) <= int(part):
                message.add()
            message = message[int(part)]
        else:
            message = getattr(message, part)
    least, greatest = values.min(), values.max()
    with np.errstate(over="ignore"):
        span = greatest - least
    if not np.isfinite(span):
        raise ValueError(
            f"tensor {name!r} runs from {least:g} to {greatest:g}: that span overflows"
        )
    message.min_val, message.max_val = float(least), float(greatest)
    steps = np.subtract(values, least, dtype=np.float64).ravel()
    if span > 0:
        steps *= _STEPS / np.float64(span)
        np.rint(steps, out=steps)
    message.params = steps.astype("<u2").tobytes()


def _layers(message: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        name = f"{prefix}{field.name}"
        if field.message_type.name == "Layer":
            yield name, value
        elif hasattr(value, "ListFields"):
            yield from _layers(value, f"{name}.")
        else:
            for index, member in enumerate(value):
                yield from _layers(member, f"{name}.{index}.")


def _decode(layer: Any, default: int, name: str) -> Float32[np.ndarray, "number"]:
    encoding = layer.encoding or default
    if encoding not in (LINEAR16, _FLOAT16, _BFLOAT16, _FLOAT32):
        raise ValueError(f"tensor {name!r} has encoding {encoding}; known are 1 to 4")
    if len(layer.params) % (4 if encoding == _FLOAT32 else 2):
        raise ValueError(f"tensor {name!r} has {len(layer.params)} bytes: no whole numbers")
    if encoding == _FLOAT32:
        return np.frombuffer(layer.params, "<f4").astype(np.float32)
    if encoding == _FLOAT16:
        return np.frombuffer(layer.params, "<f2").astype(np.float32)
    steps = np.frombuffer(layer.params, "<u2")
    if encoding == _BFLOAT16:
        return (steps.astype(np.uint32) << np.uint32(16)).view(np.float32)
    # In lc0's order of operations, so that the numbers are lc0's own.
    least = np.float32(layer.min_val)
    return steps.astype(np.float32) / _STEPS * (np.float32(layer.max_val) - least) + least
