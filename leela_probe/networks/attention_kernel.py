"""softmax(scale * Q K^T + bias) V in one step, as fast as a CPU's caches allow.

The bias is smolgen's, 64 x 64 numbers a head and board: more than all other activations together.
On a CPU it is made, used and forgotten a few boards at a time, so that it never leaves the caches.
Stands on no other room.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

__all__ = ["attend", "attend_with_smolgen"]

_NARROW = 8
_HEADS_AT_ONCE = 96  # of 64 x 64 numbers each, so that they stay in the caches of the cores


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
    if _is_narrow(q, v) and (bias is None or bias.shape[:2] == q.shape[:2]):

        def make(some: slice, scores: Tensor) -> None:
            if bias is None:
                scores.zero_()
            else:
                scores.copy_(bias[some].flatten(0, 1))

        return _narrowly(q, k_t, v, make, scale)
    return F.scaled_dot_product_attention(q, k_t.mT, v, attn_mask=bias, scale=scale)


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
    boards, heads, queries, _ = q.shape
    keys = k_t.shape[-1]
    if _is_narrow(q, v):

        def make(some: slice, scores: Tensor) -> None:
            torch.mm(compressed[some].flatten(0, 1), weight, out=scores.flatten(1))

        return _narrowly(q, k_t, v, make, scale)
    size = _boards_at_once(heads) if _is_plain(q) else max(1, boards)
    parts = [
        F.scaled_dot_product_attention(
            q[some],
            k_t[some].mT,
            v[some],
            attn_mask=(compressed[some] @ weight).reshape(-1, heads, queries, keys),
            scale=scale,
        )
        for some in (slice(start, start + size) for start in range(0, max(1, boards), size))
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _boards_at_once(heads: int) -> int:
    return max(1, _HEADS_AT_ONCE // heads)


def _is_plain(q: Tensor) -> bool:
    return q.device.type == "cpu" and not torch.is_grad_enabled()


def _is_narrow(q: Tensor, v: Tensor) -> bool:
    """True where torch's own attention loses most of its time between tiny products on a CPU."""
    return _is_plain(q) and max(q.shape[-1], v.shape[-1]) <= _NARROW


def _narrowly(
    q: Tensor, k_t: Tensor, v: Tensor, make_bias: Callable[[slice, Tensor], None], scale: float
) -> Tensor:
    """Attention for heads a few numbers wide, some boards at a time in one piece of memory."""
    boards, heads, queries, _ = q.shape
    keys, width = k_t.shape[-1], v.shape[-1]
    result = q.new_empty(boards, heads, width, queries)
    size = _boards_at_once(heads)
    memory = q.new_empty(size * heads, queries, keys)
    for start in range(0, boards, size):
        some = slice(start, start + size)
        scores = memory[: min(size, boards - start) * heads]
        make_bias(some, scores)
        scores.baddbmm_(q[some].flatten(0, 1), k_t[some].flatten(0, 1), alpha=scale)
        torch.softmax(scores, -1, out=scores)
        # transposed, the narrow side comes first: scores @ v takes six times as long
        torch.bmm(v[some].mT.flatten(0, 1), scores.mT, out=result[some].flatten(0, 1))
    return result.mT
