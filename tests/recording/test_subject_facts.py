"""What a model says of itself: counts, bytes, and what its key/value cache will take."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from llmflame.recording.subject_facts import CACHE_FACTS, cache_facts, model_facts

BF16 = 2


def config(name: str, **fields: Any) -> Any:
    import transformers

    return getattr(transformers, f"{name}Config")(**fields)


def facts(
    per_token: int | None, heads: int | None, sliding: int | None, window: int | None
) -> dict[str, Any]:
    return dict(zip(CACHE_FACTS, (per_token, heads, sliding, window), strict=True))


SIZES = {
    "hidden_size": 64,
    "num_hidden_layers": 6,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 16,
}


def test_grouped_heads_and_a_head_size_of_their_own() -> None:
    assert cache_facts(config("Llama", **SIZES), BF16) == facts(2 * 2 * 16 * BF16, 2, 0, None)


def test_a_gpt2_has_a_key_for_each_head() -> None:
    """Its config has other names, no grouped heads and no head size."""
    made = config("GPT2", n_embd=64, n_head=4, n_layer=3)
    assert cache_facts(made, 4) == facts(2 * 4 * 16 * 4, 4, 0, None)


def test_every_other_layer_of_a_gemma2_slides() -> None:
    made = config("Gemma2", **SIZES, sliding_window=32)
    assert cache_facts(made, BF16) == facts(2 * 2 * 16 * BF16, 2, 3, 32)


def test_a_window_without_kinds_of_layers_is_every_layers() -> None:
    """Mistral's config names none; it was once predicted to keep all tokens."""
    made = config("Mistral", **SIZES, sliding_window=32)
    assert cache_facts(made, BF16) == facts(2 * 2 * 16 * BF16, 2, 6, 32)


def test_a_window_that_no_layer_uses_is_none() -> None:
    made = config("Qwen2", **{**SIZES, "head_dim": 8}, use_sliding_window=False, sliding_window=32)
    assert cache_facts(made, BF16) == facts(2 * 2 * 8 * BF16, 2, 0, None)
    unused = SimpleNamespace(**SIZES, sliding_window=32, layer_types=["full_attention"] * 6)
    assert cache_facts(unused, BF16) == facts(2 * 2 * 16 * BF16, 2, 0, None)


def test_layers_in_chunks_keep_no_more_than_one() -> None:
    kinds = ["chunked_attention", "full_attention"] * 3
    made = SimpleNamespace(**SIZES, attention_chunk_size=8192, layer_types=kinds)
    assert cache_facts(made, BF16) == facts(2 * 2 * 16 * BF16, 2, 3, 8192)


def test_a_model_that_also_sees_keeps_its_language_models_cache() -> None:
    """Only the config inside has layers and heads."""
    made = config("Gemma3", text_config={**SIZES, "sliding_window": 32, "vocab_size": 100})
    assert not hasattr(made, "num_attention_heads")
    found = cache_facts(made, BF16)
    assert found == facts(2 * 2 * 16 * BF16, 2, 5, 32), "one layer of six sees all"


@pytest.mark.parametrize(
    "made",
    [
        None,
        SimpleNamespace(),
        SimpleNamespace(hidden_size=64, num_hidden_layers=3, state_size=16),
        SimpleNamespace(hidden_size=64, num_hidden_layers=3, num_attention_heads=None),
        SimpleNamespace(hidden_size=None, num_hidden_layers=3, num_attention_heads=4),
    ],
)
def test_a_config_without_heads_predicts_nothing(made: Any) -> None:
    assert cache_facts(made, BF16) == facts(None, None, None, None)


def test_a_state_space_model_has_no_such_cache() -> None:
    assert cache_facts(config("Mamba"), BF16) == facts(None, None, None, None)


def test_a_model_without_weights_predicts_nothing() -> None:
    assert cache_facts(config("Llama"), None) == facts(None, None, None, None)


def test_a_config_that_can_not_say_which_is_its_language_model() -> None:
    class Two(SimpleNamespace):
        def get_text_config(self, decoder: bool) -> Any:
            raise ValueError("more than one")

    assert cache_facts(Two(**SIZES), BF16) == facts(2 * 2 * 16 * BF16, 2, 0, None)


def test_the_prediction_is_what_a_real_cache_takes() -> None:
    import transformers

    made = config("Llama", **SIZES, vocab_size=50, intermediate_size=32)
    model = transformers.LlamaForCausalLM._from_config(made).eval()
    with torch.no_grad():
        cache = model(torch.ones(1, 5, dtype=torch.long), use_cache=True).past_key_values
    taken = sum(t.numel() * t.element_size() for layer in cache.layers for t in (layer.keys, layer.values))
    per_token = model_facts(model)["kv_layer_bytes_per_token"]
    assert isinstance(per_token, int) and taken == per_token * 5 * len(cache.layers)


def test_tied_weights_are_counted_once() -> None:
    one = nn.Linear(3, 3, bias=False)
    other = nn.Linear(3, 3, bias=False)
    other.weight = one.weight
    found = model_facts(nn.Sequential(one, other))
    assert (found["parameters"], found["weights_in_memory_bytes"]) == (9, 36)
    assert (found["dtype"], found["device"], found["layers"]) == ("float32", "cpu", None)


def test_a_module_without_weights_or_config() -> None:
    found = model_facts(nn.Identity())
    assert (found["architecture"], found["parameters"]) == ("Identity", 0)
    assert found["dtype"] is None and found["kv_heads"] is None
