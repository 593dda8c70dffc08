"""The decoder computes what transformers computes, with and without a cache, padded and not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from llmflame.scratch import generate
from llmflame.scratch.cache import DynamicCache
from llmflame.scratch.checkpoint import load
from llmflame.scratch.config import Config, RopeScaling
from llmflame.scratch.model import Attention, LanguageModel
from llmflame.scratch.tokenizer import Batch, pad
from tests.scratch import small

BAR = 1e-5
VARIANTS: dict[str, dict[str, Any]] = {
    "llama, tied, Llama 3's RoPE": {**small.LLAMA},
    "llama, untied": {**small.LLAMA, "tie_word_embeddings": False},
    "llama, plain RoPE": {**small.LLAMA, "rope_scaling": None},
    "llama, biases": {**small.LLAMA, "attention_bias": True, "mlp_bias": True},
    "llama, every head its own keys": {**small.LLAMA, "num_key_value_heads": 4},
    "llama, one key head": {**small.LLAMA, "num_key_value_heads": 1},
    "qwen3, tied": {**small.QWEN3},
    "qwen3, untied": {**small.QWEN3, "tie_word_embeddings": False},
}


def prompts(*lengths: int) -> Batch:
    generator = torch.Generator().manual_seed(sum(lengths))
    return pad([torch.randint(0, 300, (length,), generator=generator).tolist() for length in lengths])


def mask_of(batch: Batch) -> Tensor:
    return (torch.arange(batch.tokens.shape[1]) >= batch.padding[:, None]).long()


def theirs(model: Any, batch: Batch) -> Tensor:
    mask = mask_of(batch)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    with torch.inference_mode():
        logits: Tensor = model(batch.tokens, attention_mask=mask, position_ids=positions).logits
    return logits[mask.bool()]


def ours(model: LanguageModel, batch: Batch, *parts: int) -> Tensor:
    """Logits of real tokens, [N, V]; with `parts`, through a cache that gets as many columns at a time."""
    with torch.inference_mode():
        if not parts:
            every: Tensor = model(batch.tokens, batch.padding)
            return every[mask_of(batch).bool()]
        cache = DynamicCache()
        pieces = torch.split(batch.tokens, list(parts), dim=1)
        logits = torch.cat([model(piece, batch.padding, cache) for piece in pieces], dim=1)
        return logits[mask_of(batch).bool()]


@pytest.mark.parametrize("name", VARIANTS)
def test_logits_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    reference = small.write(tmp_path, VARIANTS[name])
    model = load(tmp_path)
    for batch in (prompts(70), prompts(9, 24, 1, 17)):
        expected = theirs(reference, batch)
        assert expected.abs().max() > 1, "logits that are all small would be close to anything"
        torch.testing.assert_close(ours(model, batch), expected, rtol=0, atol=BAR)


def test_the_parts_that_are_compared_matter(tmp_path: Path) -> None:
    """Without the scaling, or without the norms of queries and keys, the comparison would fail."""
    reference = small.write(tmp_path, small.LLAMA)
    batch = prompts(70)
    expected = theirs(reference, batch)
    small.change(tmp_path / "config.json", rope_parameters={"rope_type": "default", "rope_theta": 5e5})
    assert (ours(load(tmp_path), batch) - expected).abs().max() > 100 * BAR
    normed = small.write(tmp_path / "qwen3", small.QWEN3)
    without = load(tmp_path / "qwen3")
    for attention in [part for part in without.modules() if isinstance(part, Attention)]:
        attention.q_norm = torch.nn.Identity()
    assert (ours(without, batch) - theirs(normed, batch)).abs().max() > 100 * BAR


def test_shards_are_one_model(tmp_path: Path) -> None:
    reference = small.write(tmp_path, {**small.LLAMA, "tie_word_embeddings": False}, shard="40KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    batch = prompts(20)
    torch.testing.assert_close(ours(load(tmp_path), batch), theirs(reference, batch), rtol=0, atol=1e-4)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_low_precision_is_transformers_own(dtype: str, tmp_path: Path) -> None:
    """As far from float32 as transformers is in the same dtype, within a factor of two."""
    reference = small.write(tmp_path, small.QWEN3)
    batch = prompts(40)
    exact = theirs(reference, batch)
    model = load(tmp_path, dtype)
    assert {p.dtype for p in model.parameters()} == {getattr(torch, dtype)}
    away = (ours(model, batch).float() - exact).norm()
    assert away <= 2 * (theirs(reference.to(getattr(torch, dtype)), batch).float() - exact).norm()


@pytest.fixture(scope="module", params=["llama", "qwen3"])
def model(request: pytest.FixtureRequest) -> LanguageModel:
    """Of a shape of its own, built without a checkpoint."""
    config = Config(
        vocabulary=90,
        width=24,
        inner_width=40,
        layers=2,
        heads=6,
        kv_heads=2,
        head_dim=8,
        context=128,
        norm_epsilon=1e-5,
        rope_base=500.0,
        rope_scaling=RopeScaling(8.0, 1.0, 4.0, 32),
        tied=False,
        qk_norm=request.param == "qwen3",
        attention_bias=False,
        mlp_bias=False,
        dtype="float32",
    )
    torch.manual_seed(5)
    made = LanguageModel(config).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(2.0)
    return made


lengths = st.lists(st.integers(1, 12), min_size=1, max_size=4)


def batch_of(sizes: list[int]) -> Batch:
    generator = torch.Generator().manual_seed(sum(sizes))
    return pad([torch.randint(0, 90, (size,), generator=generator).tolist() for size in sizes])


@given(sizes=lengths, cut=st.integers(0, 12))
@settings(max_examples=30)
def test_the_cache_changes_nothing(model: LanguageModel, sizes: list[int], cut: int) -> None:
    """Whatever the lengths of the prompts are, and wherever their columns are cut in two."""
    batch = batch_of(sizes)
    width = batch.tokens.shape[1]
    parts = [part for part in (min(cut, width), width - min(cut, width)) if part]
    torch.testing.assert_close(ours(model, batch, *parts), ours(model, batch), rtol=1e-4, atol=1e-5)


@given(sizes=lengths)
@settings(max_examples=15)
def test_cached_tokens_are_the_naive_ones(model: LanguageModel, sizes: list[int]) -> None:
    batch = batch_of(sizes)
    naive, cached = (torch.stack(list(g(model, batch, 6))) for g in (generate.naive, generate.cached))
    assert naive.tolist() == cached.tolist()


@given(sizes=lengths)
@settings(max_examples=15)
def test_a_row_is_what_it_is_alone(model: LanguageModel, sizes: list[int]) -> None:
    """Neither padding nor the other rows change it."""
    batch = batch_of(sizes)
    with torch.inference_mode():
        together = model(batch.tokens, batch.padding)
        for row, padding in enumerate(batch.padding.tolist()):
            alone = model(batch.tokens[row : row + 1, padding:], torch.zeros(1, dtype=torch.long))
            torch.testing.assert_close(together[row, padding:], alone[0], rtol=1e-4, atol=1e-5)


def test_the_last_column_alone_is_the_same(model: LanguageModel) -> None:
    batch = batch_of([4, 7])
    with torch.inference_mode():
        every = model(batch.tokens, batch.padding)
        last = model(batch.tokens, batch.padding, last_only=True)
    assert last.shape == (2, 1, 90)
    torch.testing.assert_close(last[:, 0], every[:, -1])
