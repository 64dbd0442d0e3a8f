"""The kinds of network that Leela's files hold, and small ones of every kind by name.

An `Architecture` says everything about a network except its numbers.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from enum import IntEnum
from types import MappingProxyType
from typing import Any

from leela_probe.positions.planes import InputFormat

__all__ = [
    "POLICY_HEADS",
    "PRESETS",
    "VALUE_HEADS",
    "Activation",
    "Architecture",
    "Embedding",
    "PolicyFormat",
    "Smolgen",
    "ValueFormat",
]

POLICY_HEADS = ("vanilla", "optimistic_st", "soft", "opponent")
VALUE_HEADS = ("winner", "q", "st")
_MAIN_HEADS = (POLICY_HEADS[0], VALUE_HEADS[0])


class PolicyFormat(IntEnum):
    """How the policy head is built; numbers as in the file."""

    UNKNOWN = 0
    CLASSICAL = 1  # a 1x1 convolution and one dense layer
    CONVOLUTION = 2  # two 3x3 convolutions, 80 planes of moves
    ATTENTION = 3  # from-square times to-square


class ValueFormat(IntEnum):
    """What the value head says; numbers as in the file."""

    UNKNOWN = 0
    CLASSICAL = 1  # one number between -1 and 1
    WDL = 2  # probabilities of win, draw, loss


class Activation(IntEnum):
    """An activation function; numbers as in the file. DEFAULT is the network's own default."""

    DEFAULT = 0
    MISH = 1
    RELU = 2
    NONE = 3
    TANH = 4
    SIGMOID = 5
    SELU = 6
    SWISH = 7
    RELU_2 = 8  # the square of a ReLU
    SOFTMAX = 9


class Embedding(IntEnum):
    """How an attention body learns where a square is; numbers as in the file."""

    NONE = 0  # a residual tower
    MAP = 1  # 64 fixed numbers a square are appended: where a queen or a knight could go
    DENSE = 2  # a dense layer over the twelve piece planes of all squares


@dataclass(frozen=True, slots=True, kw_only=True)
class Smolgen:
    """Sizes of smolgen, which adds a position's own pattern to the attention scores.

    Args:
        channels: numbers kept of each square.
        hidden: width of the hidden layer over all squares.
        generated: numbers a head from which its 64 x 64 pattern is made.
    """

    channels: int
    hidden: int
    generated: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """What a network is made of: a tower of blocks, or layers of attention, and its heads.

    A residual tower has ``blocks`` and ``filters``, an attention body ``layers``, ``width``,
    ``heads`` and ``feed_forward``. Sizes of what is absent are 0.

    Args:
        input_format: how positions become planes.
        blocks: residual blocks.
        filters: channels of the residual tower.
        squeeze: hidden width of squeeze-excitation in each block; 0 is without.
        batch_norm: convolutions carry batch normalisation instead of biases.
        layers: encoder layers of the attention body.
        width: width of the residual stream of the attention body.
        heads: attention heads of a layer.
        attention_width: width of all heads' queries together; 0 is ``width``.
        feed_forward: width of the hidden layer of each layer's MLP.
        smolgen: sizes of smolgen, or None.
        embedding: how an attention body learns where a square is.
        embedding_channels: numbers a square that the dense embedding appends.
        embedding_feed_forward: hidden width of the dense embedding's MLP; 0 is ``feed_forward``.
        gating: the embedding is multiplied by and added to learned numbers, a square each.
        policy: kind of policy head.
        policy_heads: names of the policy heads of a multihead network; empty for the others.
        policy_channels: planes of a classical policy head.
        policy_width: width of an attention policy head's embedding.
        policy_query_width: width of its queries and keys; 0 is ``policy_width``.
        own_policy_embeddings: each policy head of a multihead network has its own embedding,
            instead of one for all.
        policy_layers: encoder layers inside the attention policy head.
        policy_encoder_heads: attention heads of each of them.
        policy_feed_forward: hidden width of each of them.
        value: kind of value head.
        value_heads: names of the value heads of a multihead network; empty for the others.
        value_channels: numbers a square that the value head keeps (lc0: 32 after a tower).
        value_hidden: width of its hidden layer (lc0: 128).
        moves_left: there is a moves-left head.
        moves_left_channels: numbers a square that it keeps.
        moves_left_hidden: width of its hidden layer.
        activation: ReLU or mish, used wherever nothing else is said.
        smolgen_activation: activation inside smolgen.
        feed_forward_activation: activation of the layers' MLPs.

    Raises:
        ValueError: sizes or kinds that do not go together; the message names the field.

    Example:
        >>> Architecture(blocks=2, filters=16).structure
        'residual tower'
    """

    input_format: InputFormat = InputFormat.CLASSICAL
    blocks: int = 0
    filters: int = 0
    squeeze: int = 0
    batch_norm: bool = False
    layers: int = 0
    width: int = 0
    heads: int = 0
    attention_width: int = 0
    feed_forward: int = 0
    smolgen: Smolgen | None = None
    embedding: Embedding = Embedding.NONE
    embedding_channels: int = 0
    embedding_feed_forward: int = 0
    gating: bool = False
    policy: PolicyFormat = PolicyFormat.CONVOLUTION
    policy_heads: tuple[str, ...] = ()
    policy_channels: int = 0
    policy_width: int = 0
    policy_query_width: int = 0
    own_policy_embeddings: bool = False
    policy_layers: int = 0
    policy_encoder_heads: int = 0
    policy_feed_forward: int = 0
    value: ValueFormat = ValueFormat.WDL
    value_heads: tuple[str, ...] = ()
    value_channels: int = 32
    value_hidden: int = 128
    moves_left: bool = True
    moves_left_channels: int = 8
    moves_left_hidden: int = 128
    activation: Activation = Activation.RELU
    smolgen_activation: Activation = Activation.DEFAULT
    feed_forward_activation: Activation = Activation.DEFAULT

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int) and value < 0:
                raise ValueError(f"{field.name} is {value}: sizes are 0 (absent) or positive")
        for requirement, message in self._requirements():
            if not requirement:
                raise ValueError(message)

    def _requirements(self) -> Iterator[tuple[bool, str]]:
        yield (
            (self.blocks > 0) != (self.layers > 0),
            f"blocks is {self.blocks} and layers is {self.layers}: a network has either a "
            "residual tower or an attention body",
        )
        yield (
            (self.blocks > 0) == (self.filters > 0),
            f"blocks is {self.blocks} but filters is {self.filters}: give both or neither",
        )
        attention = (self.width, self.heads, self.feed_forward)
        yield (
            all(attention) if self.layers else not any(attention),
            f"layers is {self.layers} but width, heads, feed_forward are {attention}: give all "
            "of them or none",
        )
        queries = self.attention_width or self.width
        yield (
            self.layers == 0 or queries % self.heads == 0,
            f"heads is {self.heads}, which does not divide the attention's width {queries}",
        )
        yield (
            (self.embedding != Embedding.NONE) == (self.layers > 0),
            f"embedding is {self.embedding.name}: an attention body needs MAP or DENSE, a "
            "residual tower NONE",
        )
        yield (
            (self.embedding_channels > 0) == (self.embedding == Embedding.DENSE),
            f"embedding_channels is {self.embedding_channels} with embedding "
            f"{self.embedding.name}: DENSE needs them, nothing else has them",
        )
        yield (
            self.layers == 0 or self.policy == PolicyFormat.ATTENTION,
            f"policy is {self.policy.name}: an attention body needs ATTENTION",
        )
        yield (
            (self.policy_width > 0) == (self.policy == PolicyFormat.ATTENTION),
            f"policy_width is {self.policy_width} with policy {self.policy.name}: ATTENTION "
            "needs it, nothing else has it",
        )
        yield (
            (self.policy_channels > 0) == (self.policy == PolicyFormat.CLASSICAL),
            f"policy_channels is {self.policy_channels} with policy {self.policy.name}: CLASSICAL "
            "needs them, nothing else has them",
        )
        value = (self.value_channels, self.value_hidden)
        yield (
            all(value),
            f"value_channels, value_hidden are {value}: a value head has both",
        )
        moves_left = (self.moves_left_channels, self.moves_left_hidden)
        yield (
            all(moves_left) or not self.moves_left,
            f"moves_left_channels, moves_left_hidden are {moves_left}: a moves-left head has both",
        )
        policy_layer = (self.policy_encoder_heads, self.policy_feed_forward)
        yield (
            all(policy_layer) if self.policy_layers else not any(policy_layer),
            f"policy_layers is {self.policy_layers} but policy_encoder_heads, policy_feed_forward "
            f"are {policy_layer}: give all of them or none",
        )
        yield (
            self.policy_layers == 0 or self.policy_width % self.policy_encoder_heads == 0,
            f"policy_encoder_heads is {self.policy_encoder_heads}, which does not divide "
            f"policy_width {self.policy_width}",
        )
        yield (
            bool(self.policy_heads) == bool(self.value_heads),
            f"policy_heads are {self.policy_heads} but value_heads are {self.value_heads}: a "
            "multihead network names both",
        )
        yield (
            not self.policy_heads or self.layers > 0,
            f"policy_heads are {self.policy_heads}, but only an attention body has named heads",
        )
        yield (
            not self.policy_heads or (self.policy_heads[0], self.value_heads[0]) == _MAIN_HEADS,
            f"policy_heads are {self.policy_heads} and value_heads {self.value_heads}: the first "
            f"must be {_MAIN_HEADS}, which lc0 takes unless told otherwise",
        )
        for name, heads, known in (
            ("policy_heads", self.policy_heads, POLICY_HEADS),
            ("value_heads", self.value_heads, VALUE_HEADS),
        ):
            yield (
                set(heads) <= set(known) and len(set(heads)) == len(heads),
                f"{name} are {heads}: names are some of {known}, each once",
            )
        yield (
            bool(self.policy_heads) or not self.own_policy_embeddings,
            "own_policy_embeddings is set, but there are no named policy_heads",
        )
        yield (
            self.activation in (Activation.RELU, Activation.MISH),
            f"activation is {self.activation.name}: RELU and MISH can be a network's default",
        )

    @property
    def structure(self) -> str:
        """The kind of body in words."""
        if self.blocks:
            return "residual tower"
        return "multihead attention body" if self.policy_heads else "attention body"


def _tower(**kinds: Any) -> Architecture:
    return Architecture(blocks=2, filters=32, **kinds)


def _attention(**kinds: Any) -> Architecture:
    sizes: dict[str, Any] = {
        "layers": 3,
        "width": 32,
        "heads": 4,
        "feed_forward": 48,
        "embedding": Embedding.MAP,
        "policy": PolicyFormat.ATTENTION,
        "policy_width": 32,
        "value_channels": 8,
        "gating": True,
        "activation": Activation.MISH,
        "smolgen_activation": Activation.SWISH,
        "feed_forward_activation": Activation.RELU_2,
        "smolgen": Smolgen(channels=4, hidden=32, generated=16),
    }
    return Architecture(**(sizes | kinds))


_SCALAR: dict[str, Any] = {"value": ValueFormat.CLASSICAL, "moves_left": False}
_POLICY_ATTENTION: dict[str, Any] = {"policy": PolicyFormat.ATTENTION, "policy_width": 32}
_DENSE_EMBEDDING: dict[str, Any] = {
    "embedding": Embedding.DENSE,
    "embedding_channels": 8,
    "embedding_feed_forward": 40,
    "feed_forward_activation": Activation.MISH,
}

PRESETS: Mapping[str, Architecture] = MappingProxyType(
    {
        # Residual towers, from the oldest kind on.
        "classical": _tower(policy=PolicyFormat.CLASSICAL, policy_channels=4, **_SCALAR),
        "convolution": _tower(moves_left=False),
        "se-classical": _tower(squeeze=8, policy=PolicyFormat.CLASSICAL, policy_channels=4),
        "se-convolution": _tower(squeeze=8),
        "se-convolution-scalar": _tower(squeeze=8, **_SCALAR),
        "se-batch-norm": _tower(squeeze=8, batch_norm=True),
        "se-mish": _tower(squeeze=8, activation=Activation.MISH),
        "se-attention": _tower(squeeze=8, **_POLICY_ATTENTION),
        "se-attention-encoder": _tower(
            squeeze=8,
            policy_layers=1,
            policy_encoder_heads=4,
            policy_feed_forward=48,
            **_POLICY_ATTENTION,
        ),
        # Attention bodies: the T78, T82 and T1 kind.
        "attention": _attention(),
        "attention-one-layer": _attention(layers=1),
        "attention-no-smolgen": _attention(smolgen=None),
        "attention-no-gating": _attention(gating=False),
        "attention-scalar": _attention(**_SCALAR),
        "attention-relu": _attention(
            activation=Activation.RELU,
            smolgen_activation=Activation.DEFAULT,
            feed_forward_activation=Activation.DEFAULT,
        ),
        "attention-mish": _attention(feed_forward_activation=Activation.DEFAULT),
        "attention-narrow-heads": _attention(attention_width=16, policy_query_width=24),
        # Multihead attention bodies: the BT3 and BT4 kind.
        "multihead": _attention(
            policy_heads=POLICY_HEADS, value_heads=VALUE_HEADS, **_DENSE_EMBEDDING
        ),
        "multihead-two-heads": _attention(
            policy_heads=("vanilla", "optimistic_st"),
            value_heads=("winner", "q"),
            own_policy_embeddings=True,
            **_DENSE_EMBEDDING,
        ),
        # For measuring speed.
        "attention-10x256": _attention(
            layers=10,
            width=256,
            heads=8,
            feed_forward=512,
            policy_width=256,
            value_channels=32,
            smolgen=Smolgen(channels=32, hidden=256, generated=256),
        ),
        "attention-15x768": _attention(
            layers=15,
            width=768,
            heads=24,
            feed_forward=1024,
            policy_width=768,
            value_channels=32,
            smolgen=Smolgen(channels=32, hidden=256, generated=256),
        ),
    }
)
