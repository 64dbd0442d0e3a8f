"""One step of attention is the formula, whatever the width of heads and the number of boards."""

from __future__ import annotations

import pytest
import torch

from leela_probe.torch_onnx.attention_kernel import attend, attend_with_smolgen

HEADS = 24  # a few boards fill the memory of one go


def inputs(boards, width):
    generator = torch.Generator().manual_seed(boards + width)
    q, k, v = (torch.randn(boards, HEADS, 64, width, generator=generator) for _ in range(3))
    compressed = torch.randn(boards, HEADS, 8, generator=generator)
    weight = torch.randn(8, 64 * 64, generator=generator)
    return q, k.mT, v, compressed, weight


def formula(q, k_t, v, bias, scale):
    return (scale * q.double() @ k_t.double() + bias.double()).softmax(dim=-1) @ v.double()


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("width", [2, 32])
@pytest.mark.parametrize("boards", [0, 1, 4, 9])
def test_attention_with_smolgen_is_the_formula(boards, width, gradients):
    q, k_t, v, compressed, weight = inputs(boards, width)
    bias = (compressed @ weight).view(boards, HEADS, 64, 64)
    with torch.set_grad_enabled(gradients):
        found = attend_with_smolgen(q, k_t, v, compressed, weight, scale=0.3)
    expected = formula(q, k_t, v, bias, 0.3).float()
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)
    before = inputs(boards, width)
    assert all(torch.equal(a, b) for a, b in zip((q, k_t, v, compressed), before, strict=False))


@pytest.mark.parametrize("width", [2, 32])
@pytest.mark.parametrize("shape", [None, (9, HEADS), (1, HEADS), (9, 1)])
def test_attention_with_or_without_a_known_bias_is_the_formula(shape, width):
    q, k_t, v, *_ = inputs(9, width)
    bias = None if shape is None else torch.randn(*shape, 64, 64)
    kept = None if bias is None else bias.clone()
    with torch.inference_mode():
        found = attend(q, k_t, v, bias, scale=0.3)
    plain = torch.zeros(1, 1, 64, 64) if bias is None else bias
    expected = formula(q, k_t, v, plain, 0.3).float()
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)
    assert kept is None or torch.equal(bias, kept)
