"""softmax(scale * Q K^T + bias) V in one step, as fast as a CPU's caches allow.

The bias is smolgen's, 64 x 64 numbers a head and board: more than all other activations together.
On a CPU it is made, used and forgotten a few boards at a time in one piece of memory, so that it
never leaves the caches.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

__all__ = ["attend", "attend_with_smolgen"]

_NARROW = 8
_HEADS_AT_ONCE = 384  # of 64 x 64 numbers each, so that they stay in the caches of the cores


def attend(
    q: Float[Tensor, "board head query width"],
    k_t: Float[Tensor, "board head width key"],
    v: Float[Tensor, "board head key value_width"],
    bias: Float[Tensor, "#board #head query key"] | None = None,
    *,
    scale: float,
) -> Float[Tensor, "board head query value_width"]:
    """Attention with a bias that is known already, or none.

    Args:
        q: queries.
        k_t: keys, transposed.
        v: values.
        bias: added to the scores before the softmax.
        scale: of the products of queries and keys.
    """
    if not _is_plain(q) or not _is_narrow(q, v):
        return F.scaled_dot_product_attention(q, k_t.mT, v, attn_mask=bias, scale=scale)
    if bias is None:
        return _in_blocks(q, k_t, v, None, scale)
    whole = bias.expand(*q.shape[:3], k_t.shape[-1])

    def copy(some: slice, scores: Tensor) -> None:
        scores.view(whole[some].shape).copy_(whole[some])

    return _in_blocks(q, k_t, v, copy, scale)


def attend_with_smolgen(
    q: Float[Tensor, "board head query width"],
    k_t: Float[Tensor, "board head width key"],
    v: Float[Tensor, "board head key value_width"],
    compressed: Float[Tensor, "board head generated"],
    weight: Float[Tensor, "generated entry"],
    *,
    scale: float,
) -> Float[Tensor, "board head query value_width"]:
    """Attention whose bias is the last product of smolgen.

    Args:
        q: queries.
        k_t: keys, transposed.
        v: values.
        compressed: what smolgen knows of a board, by head.
        weight: makes 64 x 64 entries of it.
        scale: of the products of queries and keys.
    """
    if not _is_plain(q):
        bias = (compressed @ weight).reshape(*q.shape[:3], k_t.shape[-1])
        return F.scaled_dot_product_attention(q, k_t.mT, v, attn_mask=bias, scale=scale)

    def make(some: slice, scores: Tensor) -> None:
        torch.mm(compressed[some].flatten(0, 1), weight, out=scores.flatten(1))

    return _in_blocks(q, k_t, v, make, scale)


def _is_plain(q: Tensor) -> bool:
    return q.device.type == "cpu" and q.dtype == torch.float32 and not torch.is_grad_enabled()


def _is_narrow(q: Tensor, v: Tensor) -> bool:
    """True where torch's own attention loses most of its time between tiny products on a CPU."""
    return max(q.shape[-1], v.shape[-1]) <= _NARROW


def _in_blocks(
    q: Tensor,
    k_t: Tensor,
    v: Tensor,
    make_bias: Callable[[slice, Tensor], None] | None,
    scale: float,
) -> Tensor:
    """Attention a few boards at a time, their heads in one axis.

    Args:
        q: queries.
        k_t: keys, transposed.
        v: values.
        make_bias: writes the bias of some boards; None for no bias.
        scale: of the products of queries and keys.
    """
    boards, heads, queries, _ = q.shape
    keys, width = v.shape[-2:]
    narrow = _is_narrow(q, v)
    size = max(1, _HEADS_AT_ONCE // heads)
    memory = q.new_empty(size * heads, queries, keys)
    beta = 0 if make_bias is None else 1
    if narrow:
        result = q.new_empty(boards, heads, width, queries).mT
    else:  # so that the heads of a square, which come next, lie side by side
        result = q.new_empty(boards, queries, heads, width).transpose(1, 2)
    for start in range(0, boards, size):
        some = slice(start, start + size)
        scores = memory[: min(size, boards - start) * heads]
        if make_bias is not None:
            make_bias(some, scores)
        k_some = k_t[some].flatten(0, 1) if narrow else k_t.mT[some].flatten(0, 1).mT
        scores.baddbmm_(q[some].flatten(0, 1), k_some, beta=beta, alpha=scale)
        torch.softmax(scores, -1, out=scores)
        if narrow:  # transposed: with the narrow side last it takes six times as long
            mixed = torch.bmm(v.mT[some].flatten(0, 1), scores.mT).mT
        else:
            mixed = torch.bmm(scores, v[some].flatten(0, 1))
        result[some] = mixed.view(-1, heads, queries, width)
    return result
