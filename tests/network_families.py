"""The presets of random networks that stand for every family."""

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
