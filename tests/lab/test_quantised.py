"""Weights of fewer bits: how far they are from what they stand for."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from llmflame.lab.modules import int4, int8


def random(rows: int, columns: int) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(0))


def test_int8_is_half_a_step_away_at_most() -> None:
    weight = random(40, 96)
    weight[3] = 0
    whole, factor = int8.quantised(weight)
    assert whole.dtype == torch.int8 and whole.abs().amax(dim=1)[0] == 127
    assert ((whole.float() * factor[:, None] - weight).abs() <= factor[:, None] / 2 * 1.001).all()


def test_fp8_is_a_sixteenth_away_at_most() -> None:
    weight = random(40, 96)
    stored, factor = int8.quantised(weight, int8.FP8)
    # Three bits behind the point: half a step of an eighth, or of the smallest number.
    allowed = weight.abs() / 16 + factor[:, None] * 2**-9
    assert ((stored.float() * factor[:, None] - weight).abs() <= allowed * 1.001).all()


def test_int4_is_half_a_step_away_at_most() -> None:
    weight = random(24, 3 * int4.GROUP)
    weight[5] = 0.25
    packed, factor, offset = int4.quantised(weight)
    assert packed.shape == (24, 3 * int4.GROUP // 2) and packed.dtype == torch.uint8
    away = (int4.restored(packed, factor, offset) - weight).abs().view(24, -1, int4.GROUP)
    assert (away <= factor[..., None] / 2 * 1.001 + 1e-6).all()


@pytest.mark.parametrize("columns", [96, 128])
@pytest.mark.parametrize("bias", [True, False])
def test_torchs_own_kernel_gives_the_same(columns: int, bias: bool) -> None:
    linear = nn.Linear(columns, 64, bias=bias).to(torch.bfloat16).requires_grad_(False)
    made = int8.Int8Linear(linear)
    x = random(3, columns).to(torch.bfloat16)[None]
    assert made._direct
    expected = x.float() @ (made.weight.float() * made.scale.float()[:, None]).T
    if linear.bias is not None:
        expected = expected + linear.bias.float()
    assert made(x).shape == (1, 3, 64)
    assert (made(x).float() - expected).abs().max() <= 0.02 * expected.abs().max()


def test_the_head_has_8_bits_and_what_is_no_whole_groups_stays() -> None:
    model = nn.ModuleDict({"a": nn.Linear(128, 8), "b": nn.Linear(96, 8), "lm_head": nn.Linear(128, 8)})
    int4.quantise(model.requires_grad_(False))
    assert [type(part).__name__ for part in model.values()] == ["Int4Linear", "Linear", "Int8Linear"]
