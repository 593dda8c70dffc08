"""The configs of tiny models, and a writer of safetensors files that may be wrong."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from llmflame.subjects import dummy

_SMALL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "vocab_size": 300,
    "bos_token_id": 298,
    "eos_token_id": 299,
    "max_position_embeddings": 512,
}
TINY_LLAMA: dict[str, Any] = {**dummy.SHAPES["llama-3.2-1b"].config, **_SMALL}
TINY_QWEN: dict[str, Any] = {**dummy.SHAPES["qwen3-0.6b"].config, **_SMALL, "max_window_layers": 2}
TINY_UNTIED: dict[str, Any] = {**TINY_LLAMA, "tie_word_embeddings": False}


def write_safetensors(path: Path, header: object, data: bytes = b"") -> None:
    """A safetensors file with any header, right or wrong."""
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + data)
