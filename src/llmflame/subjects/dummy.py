"""MODEL as `dummy:NAME`: a published architecture in its true shape with random weights, made offline.

Speed and memory of a dense model don't depend on the values of its weights, so such a model stands in for
one that is gated or far away. Its text is noise.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmflame.errors import UsageError
from llmflame.subjects import cache, child
from llmflame.subjects.progress import Progress

WRITER_VERSION = 1
"""Part of the cache key: raise it when the same config would be written differently."""

_LLAMA: Mapping[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 128000,
    "eos_token_id": 128001,
    "hidden_act": "silu",
    "initializer_range": 0.02,
    "max_position_embeddings": 131072,
    "mlp_bias": False,
    "model_type": "llama",
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-05,
    "rope_theta": 500000.0,
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "vocab_size": 128256,
}


def _llama3_rope(factor: float) -> dict[str, Any]:
    return {
        "factor": factor,
        "high_freq_factor": 4.0,
        "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    }


@dataclass(frozen=True, slots=True)
class Shape:
    """A published architecture."""

    published_as: str
    """The hub id whose config.json this is."""
    parameters: int
    """Tied weights counted once."""
    config: Mapping[str, Any]


SHAPES: Mapping[str, Shape] = {
    "llama-3.2-1b": Shape(
        "meta-llama/Llama-3.2-1B",
        1_235_814_400,
        {
            **_LLAMA,
            "head_dim": 64,
            "hidden_size": 2048,
            "intermediate_size": 8192,
            "num_hidden_layers": 16,
            "rope_scaling": _llama3_rope(32.0),
            "tie_word_embeddings": True,
        },
    ),
    "llama-3.1-8b": Shape(
        "meta-llama/Llama-3.1-8B",
        8_030_261_248,
        {
            **_LLAMA,
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "num_hidden_layers": 32,
            "rope_scaling": _llama3_rope(8.0),
            "tie_word_embeddings": False,
        },
    ),
    "qwen3-0.6b": Shape(
        "Qwen/Qwen3-0.6B",
        596_049_920,
        {
            "architectures": ["Qwen3ForCausalLM"],
            "attention_bias": False,
            "attention_dropout": 0.0,
            "bos_token_id": 151643,
            "eos_token_id": 151645,
            "head_dim": 128,
            "hidden_act": "silu",
            "hidden_size": 1024,
            "initializer_range": 0.02,
            "intermediate_size": 3072,
            "max_position_embeddings": 40960,
            "max_window_layers": 28,
            "model_type": "qwen3",
            "num_attention_heads": 16,
            "num_hidden_layers": 28,
            "num_key_value_heads": 8,
            "rms_norm_eps": 1e-06,
            "rope_scaling": None,
            "rope_theta": 1000000,
            "sliding_window": None,
            "tie_word_embeddings": True,
            "torch_dtype": "bfloat16",
            "use_cache": True,
            "use_sliding_window": False,
            "vocab_size": 151936,
        },
    ),
}


def shape(name: str) -> Shape:
    """The published shape of that name. Raises UsageError with the names that there are."""
    try:
        return SHAPES[name]
    except KeyError:
        raise UsageError(f"there is no dummy `{name[:80]}`; there are {', '.join(SHAPES)}") from None


def cache_key(name: str, config: Mapping[str, Any]) -> str:
    """The cache entry of a dummy: it changes with the config and with the way of writing."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
    return f"dummy-{name}-{digest[:12]}-v{WRITER_VERSION}"


def folder(name: str, config: Mapping[str, Any], progress: Progress) -> Path:
    """The checkpoint folder of a dummy with that config.json, written on first use."""

    def build(target: Path) -> None:
        arguments = ["dummy", str(target), json.dumps(config)]
        child.run(arguments, what=f"writing the random weights of {name}", progress=progress)

    return cache.build_once(cache_key(name, config), build, progress=progress)
