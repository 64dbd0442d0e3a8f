"""Networks with random weights, of any architecture, in Leela's own file format.

Their answers mean nothing, but their policies differ from position to position and are neither
uniform nor certain, so that they can stand in for a trained network wherever only the arithmetic
matters.
"""

import zlib
from math import prod, sqrt
from os import PathLike

import numpy as np

from leela_probe.positions.planes import InputFormat
from leela_probe.weights import shapes, weights_files
from leela_probe.weights.architectures import Activation, Architecture, PolicyFormat

__all__ = ["tensors", "write"]

# About one input number in eight is not zero, so the first layer's weights are that much larger.
_ACTIVE_INPUTS = 1 / 8
_CLOCK_PLANE = 109
_RAW_CLOCK_FORMATS = (InputFormat.CLASSICAL, InputFormat.CASTLING_PLANE, InputFormat.CANONICAL)
_FIRST_LAYERS = ("input.weights", "ip_emb_w", "ip_emb_preproc_w")
# Standard deviation of a weight, times the square root of its layer's inputs; 1 where not named.
# Measured: in every preset the logits of a position's legal moves spread by 0.8 to 1.7 nats.
_GAINS = {
    "weights": sqrt(2.0),
    "q_w": 1.4,
    "k_w": 1.4,
    "ip2_pol_w": 2.0,
    "ip3_pol_w": 2.0,
    "ip2_val_w": 2.5,
    "ip2_mov_w": 4.0,
}
_CLASSICAL_POLICY_GAIN = 5.0
_MISH_CONVOLUTION_GAIN = 1.6
_MOVES_LEFT = 5.0  # the moves-left head says nothing below 0


def tensors(architecture: Architecture, *, seed: int) -> dict[str, np.ndarray]:
    """Random weights for every tensor of an architecture, float32, by field path.

    A tensor's numbers depend on the seed, its name and its shape alone, so that networks with a
    part in common share that part's weights.

    Args:
        architecture: what the network is made of.
        seed: of the random numbers; not negative.

    Example:
        >>> from leela_probe.weights.architectures import PRESETS
        >>> tensors(PRESETS["attention"], seed=1)["encoder.0.ln1_gammas"].shape
        (32,)
    """
    gains = dict(_GAINS)
    if architecture.policy == PolicyFormat.CLASSICAL:
        gains["ip_pol_w"] = _CLASSICAL_POLICY_GAIN
    if architecture.activation == Activation.MISH:
        gains["weights"] = _MISH_CONVOLUTION_GAIN
    result = {}
    for name, shape in shapes.of(architecture).items():
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        values = rng.standard_normal(shape, dtype=np.float32)
        leaf = name.rsplit(".", 1)[-1]
        if leaf.endswith(("gammas", "mult_gate")):
            values = 1 + 0.1 * values
        elif leaf == "bn_stddivs":  # the name is the file's; it holds variances
            values = np.exp(0.2 * values)
        elif len(shape) == 1 or leaf == "ip_add_gate":
            values = 0.1 * values
        else:
            inputs = prod(shape[1:]) * (_ACTIVE_INPUTS if name in _FIRST_LAYERS else 1)
            values *= gains.get(leaf, 1.0) / sqrt(inputs)
        result[name] = values.astype(np.float32, copy=False)
    if architecture.moves_left:
        result["ip2_mov_b"] += _MOVES_LEFT
    _quieten_clock(architecture, result)
    return result


def _quieten_clock(architecture: Architecture, values: dict[str, np.ndarray]) -> None:
    # The raw half-move clock runs to 100 where every other input is 0 or 1.
    if architecture.input_format in _RAW_CLOCK_FORMATS:
        first = values["input.weights" if architecture.blocks else "ip_emb_w"]
        first[:, _CLOCK_PLANE] *= 0.02


def write(path: str | PathLike[str], architecture: Architecture, *, seed: int) -> None:
    """A Leela network file with random weights; the same arguments give the same bytes.

    Args:
        path: where the file goes; ``.pb.gz``, or ``.pb`` for an uncompressed one.
        architecture: what the network is made of.
        seed: of the random numbers; not negative.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from leela_probe.weights.architectures import PRESETS
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "net.pb.gz"
        ...     write(path, PRESETS["se-convolution"], seed=1)
        ...     weights_files.read_header(path).architecture == PRESETS["se-convolution"]
        True
    """
    weights_files.write(path, architecture, tensors(architecture, seed=seed))
