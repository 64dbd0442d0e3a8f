"""Networks that look ahead in a known way, because their weights were set by hand.

The first move that a planted network likes is the capture of the enemy's only knight. It likes it
only if one other square, the knight's partner, is empty: the square that the third move goes to in
the puzzles of `planted_puzzles`. Exactly the planted heads carry that from square to square; every
other head computes something and its output is multiplied by zero.

A square's residual stream is a one-hot position, a one-hot content and pairs of flags, one of each
pair being 1. All of these have the same norm, so that the layer norms change nothing, and patching
one into another gives a state that the network can be in: effects are the whole gap or nothing, up
to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import chess
import numpy as np
from jaxtyping import Float32

from leela_probe.positions.squares import NetSquare
from leela_probe.weights import shapes, weights_files
from leela_probe.weights.architectures import Architecture, Embedding, PolicyFormat

__all__ = ["ARCHITECTURE", "CONTINUATION", "KINDS", "Planted", "write"]

CONTINUATION = ("single", "redundant", "sequence")
"""The kinds that look at the third move's target."""

KINDS = (*CONTINUATION, "pattern")
"""What can be planted.

- `single`: one head carries "the partner is empty" to the knight's square.
- `redundant`: two heads of one layer carry it, and either is enough.
- `sequence`: one head carries it to a square between, a head of a later layer from there.
- `pattern`: none does; the capture is liked because of the knight alone (a null).
"""

_LAYERS, _HEADS, _DEPTH = 4, 4, 21
_FEED_FORWARD = 8
# Where things stand in the residual stream.
_OWN_KING, _ENEMY_BISHOP, _ENEMY_KNIGHT, _EMPTY = 64 + 5, 64 + 8, 64 + 7, 64 + 12
_CONTENT = range(64, 64 + 13)  # own P N B R Q K, theirs, empty
_FLAGS = ((77, 78), (79, 80), (81, 82))  # set, not set
_WIDTH = _HEADS * _DEPTH  # lc0's own arithmetic goes wrong where heads are wider than the stream
_POLICY_WIDTH, _VALUE_CHANNELS, _VALUE_HIDDEN = 4, 4, 128

ARCHITECTURE = Architecture(
    layers=_LAYERS,
    width=_WIDTH,
    heads=_HEADS,
    feed_forward=_FEED_FORWARD,
    embedding=Embedding.MAP,
    gating=True,
    policy=PolicyFormat.ATTENTION,
    policy_width=_POLICY_WIDTH,
    value_channels=_VALUE_CHANNELS,
    value_hidden=_VALUE_HIDDEN,
    moves_left=False,
)
"""What every planted network is made of; its activations are ReLU."""

_ALPHA = (2 * _LAYERS) ** -0.25  # lc0 scales what is added to the stream by it
_NORM_EPSILON = 1e-6
_ONES_PLANE = 111
# Scores of the partner's file, of its rank, of the sink; exp(-40) is below the rounding of float32.
_LINE_SCORE, _SINK_SCORE = 40.0, 120.0
_BONUS = (4.5, 6.5)  # nats that the flag is worth, by the square of the knight
_GATE = 8.0  # more than any bonus
_BASE = 0.5  # nats by which other moves differ at most, twice
# A file's number is k / 65535 of its tensor's range. Its least and its greatest are exact; zero is
# where nothing is negative, and where the greatest is this many times the least.
_RATIO = 4.0
_UNIT = 1 / (_RATIO * _ALPHA)  # times the ratio, once in the stream, it is 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """What was planted.

    Attributes:
        path: the network file.
        kind: one of `KINDS`.
        seed: chose everything below.
        heads: (layer, head) of the heads that carry information, in the order of its way.
        partner: for each square of the knight the square that must be empty.
        middle: for each square of the knight the square between (`sequence`), on which an enemy
            bishop must stand; else None.
    """

    path: Path
    kind: str
    seed: int
    heads: tuple[tuple[int, int], ...]
    partner: tuple[NetSquare, ...]
    middle: tuple[NetSquare, ...] | None

    @property
    def description(self) -> str:
        """The planted heads in words.

        Example:
            >>> import tempfile
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     write(Path(folder, "net.pb.gz"), "pattern", seed=0).description
            'nothing'
        """
        joint = {"redundant": " or ", "sequence": " then "}.get(self.kind, "")
        return joint.join(f"{layer}.{head}" for layer, head in self.heads) or "nothing"


def write(path: str | PathLike[str], kind: str, *, seed: int) -> Planted:
    """A planted network as a Leela file, and what is planted in it.

    The same arguments give the same bytes.

    Args:
        path: where the file goes; ``.pb.gz`` or ``.pb``.
        kind: one of `KINDS`.
        seed: chooses layers, heads, partners, and the weights that make no difference to them.

    Raises:
        ValueError: if the kind is unknown.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     planted = write(Path(folder, "net.pb.gz"), "redundant", seed=1)
        >>> planted.heads, planted.description
        (((3, 1), (3, 2)), '3.1 or 3.2')
    """
    if kind not in KINDS:
        raise ValueError(f"nothing of kind {kind!r} can be planted: choose {', '.join(KINDS)}")
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    heads = _places(kind, rng)
    first, second = _permutations(rng)
    middle = second if kind == "sequence" else None
    partner = first if middle is None else tuple(first[square] for square in middle)
    tensors = _background(rng)
    if kind == "redundant":
        for flag, (layer, head) in zip(_FLAGS, heads, strict=False):
            _plant(tensors, layer, head, partner, asks=_ENEMY_KNIGHT, value=_EMPTY, flag=flag)
        _either(tensors, heads[0][0])
        read = _FLAGS[2][0]
    elif kind == "sequence":
        (layer, head), (later, other) = heads
        _plant(tensors, layer, head, first, asks=_ENEMY_BISHOP, value=_EMPTY, flag=_FLAGS[0])
        reached = _FLAGS[0][0]
        _plant(tensors, later, other, second, asks=_ENEMY_KNIGHT, value=reached, flag=_FLAGS[1])
        read = _FLAGS[1][0]
    elif kind == "single":
        ((layer, head),) = heads
        _plant(tensors, layer, head, partner, asks=_ENEMY_KNIGHT, value=_EMPTY, flag=_FLAGS[0])
        read = _FLAGS[0][0]
    else:
        read = _ENEMY_KNIGHT
    _policy(tensors, rng, read)
    weights_files.write(path, ARCHITECTURE, tensors, license="MIT")
    return Planted(
        path=Path(path), kind=kind, seed=seed, heads=heads, partner=partner, middle=middle
    )


def _places(kind: str, rng: np.random.Generator) -> tuple[tuple[int, int], ...]:
    # never in the first layer, so that the stream after some layer is the stream before the head
    later = rng.permutation(np.arange(1, _LAYERS))
    one, other = (int(head) for head in rng.permutation(_HEADS)[:2])
    layer = int(later[0])
    early, late = sorted(int(each) for each in later[:2])
    return {
        "single": ((layer, one),),
        "redundant": tuple((layer, head) for head in sorted((one, other))),
        "sequence": ((early, one), (late, other)),
        "pattern": (),
    }[kind]


def _permutations(
    rng: np.random.Generator,
) -> tuple[tuple[NetSquare, ...], tuple[NetSquare, ...]]:
    """Two permutations of the squares that move every square, and so does one after the other."""
    squares = np.arange(64)
    while True:
        first, second = rng.permutation(64), rng.permutation(64)
        if not ((first == squares) | (second == squares) | (first[second] == squares)).any():
            return (
                tuple(NetSquare(int(square)) for square in first),
                tuple(NetSquare(int(square)) for square in second),
            )


_Tensors = dict[str, Float32[np.ndarray, "..."]]


def _background(rng: np.random.Generator) -> _Tensors:
    """A network that knows its squares and material, and whose heads are read by nobody."""
    tensors = {
        name: np.zeros(shape, dtype=np.float32) for name, shape in shapes.of(ARCHITECTURE).items()
    }
    for plane, place in enumerate(_CONTENT[:12]):
        tensors["ip_emb_w"][place, plane] = _RATIO
        tensors["ip_emb_w"][_EMPTY, plane] = -1
    tensors["ip_emb_w"][_EMPTY, _ONES_PLANE] = 1
    tensors["ip_mult_gate"][:] = 1
    tensors["ip_mult_gate"][_CONTENT[:12]] = 1 / _RATIO
    tensors["ip_add_gate"][range(64), range(64)] = 1
    for _, unset in _FLAGS:
        tensors["ip_emb_b"][unset] = 1
    ones = 2 + len(_FLAGS)
    mean = ones / _WIDTH
    spread = (mean - mean**2 + _NORM_EPSILON) ** 0.5
    for layer in range(_LAYERS):
        name = f"encoder.{layer}"
        for norm in ("ln1", "ln2"):
            tensors[f"{name}.{norm}_gammas"][:] = spread
            tensors[f"{name}.{norm}_betas"][:] = mean
        for part in ("q", "k", "v"):
            weight = tensors[f"{name}.mha.{part}_w"]
            weight[:] = np.abs(rng.normal(scale=0.5, size=weight.shape))
        tensors[f"{name}.mha.v_w"].clip(max=_UNIT, out=tensors[f"{name}.mha.v_w"])
    _material(tensors)
    return tensors


def _plant(
    tensors: _Tensors,
    layer: int,
    head: int,
    partner: Sequence[int],
    *,
    asks: int,
    value: int,
    flag: tuple[int, int],
) -> None:
    """A head that sets a flag where `asks` is, if the partner of that square has `value`.

    Every other square attends to the own king, which never has it.
    """
    name = f"encoder.{layer}.mha"
    rows = slice(head * _DEPTH, (head + 1) * _DEPTH)
    query, key, moved = (np.zeros((_DEPTH, _WIDTH), dtype=np.float32) for _ in range(3))
    copies = 1 + int(_RATIO)
    line, sink = ((score * _DEPTH**0.5) ** 0.5 for score in (_LINE_SCORE, _SINK_SCORE))
    for square in range(64):
        for weight, meant in ((query, partner[square]), (key, square)):
            weight[[chess.square_file(meant), 8 + chess.square_rank(meant)], square] = line
    query[16, [place for place in _CONTENT if place != asks]] = sink
    key[16, _OWN_KING] = sink
    moved[:copies, value] = _UNIT
    for part, weight in (("q", query), ("k", key), ("v", moved)):
        tensors[f"{name}.{part}_w"][rows] = weight
    out = tensors[f"{name}.dense_w"]
    out[flag[0], rows.start] = _RATIO
    out[flag[1], rows.start + 1 : rows.start + copies] = -1


def _either(tensors: _Tensors, layer: int) -> None:
    """The MLP sets the third flag if the first or the second is set, and no higher for both."""
    name = f"encoder.{layer}.ffn"
    (first, _), (second, _), (set_flag, unset) = _FLAGS
    inwards, bias = tensors[f"{name}.dense1_w"], tensors[f"{name}.dense1_b"]
    copies = int(_RATIO)
    count, more = slice(0, copies), slice(copies, 2 * copies)  # how many, how many above one
    inwards[: 2 * copies, [first, second]] = _UNIT
    bias[more] = -_UNIT
    out = tensors[f"{name}.dense2_w"]
    out[set_flag, 0], out[set_flag, more] = _RATIO, -1
    out[unset, copies], out[unset, count] = _RATIO, -1


def _policy(tensors: _Tensors, rng: np.random.Generator, read: int) -> None:
    """The logit of a move: what moves, where to, and a bonus where `read` is set."""
    low, high = _BONUS
    embedding, bias = tensors["ip_pol_w"], tensors["ip_pol_b"]
    embedding[0, read], bias[0] = _GATE, -_GATE
    embedding[0, :64] = rng.uniform(low, high, size=64)
    embedding[1, _CONTENT[:6]] = rng.uniform(0, _BASE, size=6)
    embedding[2, :64] = rng.uniform(0, _BASE, size=64)
    scale = _POLICY_WIDTH**0.5
    query, key = tensors["ip2_pol_b"], tensors["ip3_pol_b"]
    query[[0, 2]] = 1
    key[1] = scale
    tensors["ip2_pol_w"][1, 1] = 1
    tensors["ip3_pol_w"][[0, 2], [0, 2]] = scale


def _material(tensors: _Tensors) -> None:
    """A value head that counts the pieces."""
    worth = np.array([1, 3, 3, 5, 9, 0], dtype=np.float32)
    places = np.array(_CONTENT[:12])
    own, theirs = places[:6], places[6:]
    for channel, (side, scale) in enumerate(
        ((own, 1), (own, _RATIO), (theirs, 1), (theirs, _RATIO))
    ):
        tensors["ip_val_w"][channel, side] = scale * worth
    hidden = tensors["ip1_val_w"].reshape(_VALUE_HIDDEN, len(chess.SQUARES), _VALUE_CHANNELS)
    hidden[0, :, 0], hidden[0, :, 3] = _RATIO / 16, -1 / 16  # ahead
    hidden[1, :, 2], hidden[1, :, 1] = _RATIO / 16, -1 / 16  # behind
    tensors["ip2_val_w"][0, 0] = tensors["ip2_val_w"][2, 1] = 1
    tensors["ip2_val_b"][1] = 1
