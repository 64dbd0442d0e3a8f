"""The presets of random networks that tests go through."""

from leela_probe.weights.architectures import PRESETS

# All but the two of real size.
SMALL = tuple(name for name in PRESETS if name not in ("attention-10x256", "attention-15x768"))

# One of every family; the presets left out differ from these in an activation function.
FAMILIES = (
    "attention",
    "attention-no-smolgen",
    "attention-one-layer",
    "attention-narrow-heads",
    "attention-scalar",
    "multihead",
    "classical",
    "se-convolution",
    "se-mish",
    "se-attention",
    "se-attention-encoder",
)
