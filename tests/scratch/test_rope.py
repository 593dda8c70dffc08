"""Rotary positions: frequencies against transformers' own, and the one property that they are for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from llmflame.scratch import rope
from llmflame.scratch.config import read_config
from llmflame.subjects import dummy
from tests.scratch import small


@pytest.mark.parametrize("name", ["llama-3.2-1b", "llama-3.1-8b"])
def test_scaling_is_transformers_own(name: str, tmp_path: Path) -> None:
    settings = dict(dummy.shape(name).config)
    (tmp_path / "config.json").write_text("{}")
    small.change(tmp_path / "config.json", **settings)
    config = read_config(tmp_path)
    theirs = transformers.AutoConfig.for_model(settings.pop("model_type"), **settings)
    expected, factor = ROPE_INIT_FUNCTIONS["llama3"](theirs)
    found = rope.frequencies(config)
    assert factor == 1.0 and found.shape == (config.head_dim // 2,)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    assert config.rope_scaling is not None
    plain = rope.frequencies(replace(config, rope_scaling=None))
    ratio = plain / found
    assert ratio[0] == 1 and ratio[-1] == pytest.approx(config.rope_scaling.factor)
    assert ((ratio > 1.01) & (ratio < config.rope_scaling.factor * 0.99)).any(), "none is in between"


def test_products_depend_on_distance_alone() -> None:
    generator = torch.Generator().manual_seed(1)
    query, key = torch.randn(2, 1, 1, 1, 16, generator=generator).unbind(0)
    theta = 100.0 ** -(torch.arange(0, 16, 2) / 16)

    def product(query_at: int, key_at: int) -> float:
        turned = [
            rope.rotate(x, *rope.angles(torch.tensor([[at]]), theta, torch.float32))
            for x, at in ((query, query_at), (key, key_at))
        ]
        return float((turned[0] * turned[1]).sum())

    assert product(7, 3) == pytest.approx(product(104, 100), rel=1e-4)
    assert product(7, 3) != pytest.approx(product(8, 3), rel=1e-2)
    assert product(5, 5) == pytest.approx(float((query * key).sum()), rel=1e-4)


def test_low_precision_still_tells_positions_apart() -> None:
    theta = torch.tensor([1.0, 0.1])
    near, next_to_it = (
        rope.angles(torch.tensor([[at]]), theta, torch.bfloat16)[0].flatten().tolist() for at in (256, 257)
    )
    assert near != next_to_it
