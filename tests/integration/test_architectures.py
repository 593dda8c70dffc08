"""Any decoder that `AutoModelForCausalLM` can load, not only Llama."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, pipeline

import llmflame
from tests.integration.test_live import assert_conserved

SIZES: dict[str, dict[str, Any]] = {
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256},
    "opt": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "ffn_dim": 64,
        "word_embed_proj_dim": 32,
        "max_position_embeddings": 256,
    },
    "gpt_neox": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 256,
    },
    "qwen3": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 64,
        "head_dim": 8,
        "max_position_embeddings": 256,
    },
    "gemma2": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 64,
        "head_dim": 8,
        "max_position_embeddings": 256,
    },
    "mixtral": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 64,
        "num_local_experts": 4,
        "max_position_embeddings": 256,
    },
    "mamba": {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4},
}


@pytest.mark.parametrize("kind", sorted(SIZES))
def test_it_is_profiled(kind: str, tiny_folder: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_folder)
    config = AutoConfig.for_model(
        kind, vocab_size=300, bos_token_id=298, eos_token_id=299, pad_token_id=299, **SIZES[kind]
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    made = pipeline("text-generation", model=model, tokenizer=tokenizer, device="cpu")
    profile = llmflame.profile(made, "A river", new_tokens=10, repetitions=1, output=tmp_path / "a.llmflame")
    assert_conserved(profile)
    assert {(w.span_name, w.step) for w in profile.windows} >= {("prefill", 0), ("decode", 1), ("decode", 8)}
    owned = {frame.module for frame in profile.frames.values() if frame.kind == "module"}
    assert "" in owned
    assert any(module and module.endswith(".1") for module in owned)
