"""A trainable attention body, computing what lc0 computes from the same tensors.

The parameters are the tensors of a Leela weights file, by field path, so that exporting is writing
them down (`export`). Positions come as bitboards in the mover's view and see no history: the
planes of earlier positions, the clocks and the colour have no say, and their weights stay zero.

Source of the arithmetic: lc0, ``src/neural/onnx/converter.cc``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import chess
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leela_probe.weights import shapes
from leela_probe.weights.architectures import (
    Activation,
    Architecture,
    Embedding,
    PolicyFormat,
    Smolgen,
    ValueFormat,
)
from training import relations

__all__ = ["SIZES", "AttentionBody", "Output", "attention_body"]

_CASTLING_PLANES = (104, 105, 106, 107)  # own queen side, own king side, theirs likewise
_ONES_PLANE = 111
_PIECE_PLANES = 12
_PLANES = 112
_PROMOTIONS = 3  # queen, rook, bishop; a knight's is the plain move
_NORM_EPSILON = 1e-6
_SMOLGEN_NORM_EPSILON = 1e-3


def attention_body(
    *,
    layers: int,
    width: int,
    heads: int,
    feed_forward: int,
    value_channels: int = 8,
    smolgen: Smolgen | None = None,
) -> Architecture:
    """An attention body with an attention policy head and a WDL head.

    lc0's converter takes a value head of 128 hidden units and no other.
    """
    return Architecture(
        layers=layers,
        width=width,
        heads=heads,
        feed_forward=feed_forward,
        embedding=Embedding.MAP,
        gating=True,
        policy=PolicyFormat.ATTENTION,
        policy_width=width,
        value=ValueFormat.WDL,
        value_channels=value_channels,
        moves_left=False,
        activation=Activation.MISH,
        feed_forward_activation=Activation.RELU_2,
        smolgen_activation=Activation.SWISH,
        smolgen=smolgen,
    )


SIZES: Mapping[str, Architecture] = {
    "strong": attention_body(
        layers=6,
        width=128,
        heads=8,
        feed_forward=256,
        smolgen=Smolgen(channels=8, hidden=64, generated=32),
    ),
    "deep": attention_body(  # for mates in three: 3.5 MB
        layers=8,
        width=128,
        heads=8,
        feed_forward=256,
        smolgen=Smolgen(channels=8, hidden=64, generated=32),
    ),
    "plain": attention_body(layers=6, width=128, heads=8, feed_forward=256),
    "weak": attention_body(
        layers=2,
        width=64,
        heads=4,
        feed_forward=128,
        smolgen=Smolgen(channels=4, hidden=32, generated=32),
    ),
    "narrow": attention_body(  # as many layers as strong, 1 MB
        layers=6,
        width=64,
        heads=4,
        feed_forward=128,
        smolgen=Smolgen(channels=4, hidden=32, generated=32),
    ),
    "tiny": attention_body(layers=2, width=16, heads=2, feed_forward=16),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What the network says of a batch.

    Args:
        moves: logit of each pair of squares, (board, 64 x from + to); knight promotions too.
        promotions: logit of promotions, (board, 24 x from file + 3 x to file + queen, rook,
            bishop).
        outcome: logits of win, draw and loss for the side to move, (board, 3).
        stream: the residual stream after the last layer, (board, square, width).
    """

    moves: Tensor
    promotions: Tensor
    outcome: Tensor
    stream: Tensor


@cache
def _reach() -> Tensor:
    """lc0's encoding of a square: 1 where a queen or a knight could go, -1 on itself."""
    result = torch.zeros(64, 64)
    for square in chess.SQUARES:
        board = chess.BaseBoard.empty()
        for piece in (chess.QUEEN, chess.KNIGHT):
            board.set_piece_at(square, chess.Piece(piece, chess.WHITE))
            result[square, list(board.attacks(square))] = 1
        result[square, square] = -1
    return result


class AttentionBody(nn.Module):
    """An attention body of a given architecture, with fresh weights.

    Args:
        architecture: an attention body with MAP embedding, attention policy and WDL value.
        seed: of the initial weights.

    Example:
        >>> body = AttentionBody(SIZES["tiny"], seed=1)
        >>> body(torch.zeros(3, 64, 12), torch.zeros(3, 4)).moves.shape
        torch.Size([3, 4096])
    """

    def __init__(self, architecture: Architecture, *, seed: int) -> None:
        super().__init__()
        self.architecture = architecture
        generator = torch.Generator().manual_seed(seed)
        self.weights = nn.ParameterDict()
        for name, shape in shapes.of(architecture).items():
            self.weights[name.replace(".", "/")] = nn.Parameter(_initial(name, shape, generator))
        self.register_buffer("reach", _reach(), persistent=False)

    def tensor(self, name: str) -> Tensor:
        """A parameter by its field path in the weights file."""
        return self.weights[name.replace(".", "/")]

    def tensors(self) -> dict[str, np.ndarray]:
        """Every tensor as it goes into a weights file, float32."""
        return {
            name.replace("/", "."): value.detach().float().cpu().numpy()
            for name, value in self.weights.items()
        }

    def _dense(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self.tensor(f"{name}_w"), self.tensor(f"{name}_b"))

    def _norm(self, x: Tensor, name: str, epsilon: float = _NORM_EPSILON) -> Tensor:
        gammas, betas = self.tensor(f"{name}_gammas"), self.tensor(f"{name}_betas")
        return F.layer_norm(x, gammas.shape, gammas, betas, epsilon)

    def forward(self, pieces: Tensor, castling: Tensor) -> Output:
        """Move logits and outcome.

        Args:
            pieces: 1 where a piece stands, (board, square, own P N B R Q K and theirs).
            castling: 1 for each right, (board, own long, own short, their long, their short).
        """
        x = self.embed(pieces, castling)
        for layer in range(self.architecture.layers):
            x = self.layer(x, layer)
        return self.heads(x)

    def embed(self, pieces: Tensor, castling: Tensor) -> Tensor:
        """The residual stream before the first layer, (board, square, width)."""
        weight = self.tensor("ip_emb_w")
        squares = F.linear(self.reach, weight[:, _PLANES:], self.tensor("ip_emb_b"))
        rights = F.linear(castling, weight[:, list(_CASTLING_PLANES)])
        x = F.linear(pieces, weight[:, :_PIECE_PLANES]) + rights[:, None] + squares
        x = F.mish(x + weight[:, _ONES_PLANE])
        if self.architecture.gating:
            x = x * self.tensor("ip_mult_gate").T + self.tensor("ip_add_gate").T
        return x

    def layer(self, x: Tensor, number: int) -> Tensor:
        """The residual stream after a layer."""
        name = f"encoder.{number}"
        alpha = (2 * self.architecture.layers) ** -0.25
        x = self._norm(x + alpha * self._attention(x, number), f"{name}.ln1")
        hidden = F.relu(self._dense(x, f"{name}.ffn.dense1")).square()
        return self._norm(x + alpha * self._dense(hidden, f"{name}.ffn.dense2"), f"{name}.ln2")

    def _attention(self, x: Tensor, number: int) -> Tensor:
        name, heads = f"encoder.{number}.mha", self.architecture.heads
        weight = torch.cat([self.tensor(f"{name}.{part}_w") for part in "qkv"])
        bias = torch.cat([self.tensor(f"{name}.{part}_b") for part in "qkv"])
        q, k, v = F.linear(x, weight, bias).unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
        mask = None if self.architecture.smolgen is None else self._smolgen(x, f"{name}.smolgen")
        if q.dtype == torch.bfloat16 and not q.is_cuda:  # torch's own is 5 times slower there
            scores = (q * q.shape[-1] ** -0.5) @ k.mT
            out = (scores if mask is None else scores + mask).softmax(dim=-1).to(v.dtype) @ v
        else:
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self._dense(out.transpose(1, 2).flatten(2), f"{name}.dense")

    @torch.no_grad()
    def limit_scores(self, pieces: Tensor, castling: Tensor, *, most: float) -> None:
        """Shrink the queries and keys of each head whose scores exceed `most` on these positions.

        Orthogonalised updates let scores grow without end, until a pattern no longer learns.
        Source: QK-clip of Kimi Team 2025, "Kimi K2", section 2.1.
        """
        heads = self.architecture.heads
        x = self.embed(pieces, castling)
        for number in range(self.architecture.layers):
            name = f"encoder.{number}.mha"
            query, key = (
                self._dense(x, f"{name}.{part}").unflatten(-1, (heads, -1)).transpose(1, 2)
                for part in "qk"
            )
            scores = query @ key.mT / query.shape[-1] ** 0.5
            greatest = scores.abs().amax(dim=(0, 2, 3))
            factor = (most / greatest).clamp(max=1).sqrt()
            for part in ("q_w", "q_b", "k_w", "k_b"):
                tensor = self.tensor(f"{name}.{part}")
                tensor.unflatten(0, (heads, -1)).mul_(factor.view(heads, *[1] * tensor.ndim))
            x = self.layer(x, number)

    def _smolgen(self, x: Tensor, name: str) -> Tensor:
        x = F.linear(x, self.tensor(f"{name}.compress")).flatten(1)
        x = F.silu(self._dense(x, f"{name}.dense1"))
        x = self._norm(x, f"{name}.ln1", _SMOLGEN_NORM_EPSILON)
        x = F.silu(self._dense(x, f"{name}.dense2"))
        x = self._norm(x, f"{name}.ln2", _SMOLGEN_NORM_EPSILON)
        x = x.unflatten(-1, (self.architecture.heads, -1))
        return F.linear(x, self.tensor("smolgen_w")).unflatten(-1, (64, 64))

    def heads(self, x: Tensor) -> Output:
        """What the heads make of the residual stream after the last layer."""
        policy = F.mish(self._dense(x, "ip_pol"))
        query, key = self._dense(policy, "ip2_pol"), self._dense(policy, "ip3_pol")
        moves = query @ key.mT / query.shape[-1] ** 0.5
        offsets = F.linear(key[:, 56:], self.tensor("ip4_pol_w"))
        offsets = offsets[..., :_PROMOTIONS] + offsets[..., _PROMOTIONS:]
        promotions = moves[:, 48:56, 56:, None] + offsets[:, None]
        value = F.mish(self._dense(x, "ip_val")).flatten(1)
        outcome = self._dense(F.mish(self._dense(value, "ip1_val")), "ip2_val")
        return Output(
            moves=moves.flatten(1), promotions=promotions.flatten(1), outcome=outcome, stream=x
        )


def _initial(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    leaf = name.rsplit(".", 1)[-1]
    if leaf.endswith("gammas") or leaf == "ip_mult_gate":
        return torch.ones(shape)
    if name.endswith("smolgen.dense2_b"):  # so that each head begins with relations of its own
        return torch.randn(shape, generator=generator)
    if len(shape) == 1 or leaf in ("ip_add_gate", "ip2_val_w"):
        return torch.zeros(shape)
    if leaf == "smolgen_w":
        known = torch.from_numpy(relations.maps()).flatten(1).T
        return known.repeat(1, -(-shape[1] // known.shape[1]))[:, : shape[1]].contiguous()
    values = torch.randn(shape, generator=generator) / shape[1] ** 0.5
    if leaf == "ip_emb_w":
        used = torch.zeros(shape[1], dtype=torch.bool)
        used[:_PIECE_PLANES] = used[_PLANES:] = True
        used[list(_CASTLING_PLANES)] = True
        values = torch.where(used, values * (shape[1] / 24) ** 0.5, 0.0)
    return values
