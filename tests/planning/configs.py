"""Configs of tiny models, and a plain model to plan for."""

from __future__ import annotations

from typing import Any

SIZES: dict[str, Any] = {
    "hidden_size": 256,
    "intermediate_size": 688,
    "num_hidden_layers": 3,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "vocab_size": 1000,
    "max_position_embeddings": 2048,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def config(kind: str) -> Any:
    """A transformers config by model type, with a few sizes."""
    from transformers import AutoConfig

    if kind == "gpt2":
        sizes = {"n_embd": 256, "n_layer": 3, "n_head": 8, "vocab_size": 1000, "n_positions": 2048}
        return AutoConfig.for_model("gpt2", **sizes, bos_token_id=1, eos_token_id=2)
    if kind == "mistral":
        return AutoConfig.for_model("mistral", **SIZES, sliding_window=100)
    if kind == "mamba":
        return AutoConfig.for_model("mamba", hidden_size=64, num_hidden_layers=2, vocab_size=100)
    return AutoConfig.for_model(kind, **SIZES)
