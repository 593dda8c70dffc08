"""What a loaded model says of itself."""

from __future__ import annotations

import os
from typing import Any

import torch

from llmflame.store.writer import Scalar


def model_facts(model: Any) -> dict[str, Scalar]:
    """Parameters (tied ones once), bytes in memory, dtype, device and shape of a live model."""
    parameters = {id(parameter): parameter for parameter in model.parameters()}.values()
    config = getattr(model, "config", None)
    first = next(iter(parameters), None)
    return {
        "architecture": type(model).__name__,
        "parameters": sum(parameter.numel() for parameter in parameters),
        "weights_in_memory_bytes": sum(p.numel() * p.element_size() for p in parameters),
        "dtype": str(first.dtype).removeprefix("torch.") if first is not None else None,
        "device": str(first.device) if first is not None else None,
        "attention": _text(getattr(config, "_attn_implementation", None)),
        "layers": getattr(_text_config(config), "num_hidden_layers", None),
        **cache_facts(config, first.element_size() if first is not None else None),
        "torch_threads": torch.get_num_threads(),
        "device_name": torch.cuda.get_device_name(first.device)
        if first is not None and first.is_cuda
        else None,
        "device_allocator": device_allocator() if first is not None and first.is_cuda else None,
        "tf32": bool(torch.backends.cuda.matmul.allow_tf32) if first is not None and first.is_cuda else None,
    }


CACHING_OFF = "PYTORCH_NO_CUDA_MEMORY_CACHING"


def device_allocator() -> str:
    """What gives out device memory: torch's own allocator, the driver's, or nobody's cache."""
    if os.environ.get(CACHING_OFF) == "1":
        return "none: caching is switched off"
    return str(torch.cuda.get_allocator_backend())


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def cache_facts(config: Any, element_bytes: int | None) -> dict[str, Scalar]:
    """What a key/value cache takes a token and a sequence, predicted: 2 layers x heads x head size x bytes.

    Layers of a sliding window keep no more than its tokens. All None where the config names no heads (a
    state-space model has no such cache).
    """
    config = _text_config(config)
    layers = getattr(config, "num_hidden_layers", None)
    attention_heads = getattr(config, "num_attention_heads", None)
    heads = getattr(config, "num_key_value_heads", None) or attention_heads
    width = getattr(config, "hidden_size", None)
    if not (layers and heads and attention_heads and width and element_bytes):
        return dict.fromkeys(CACHE_FACTS)
    head_size = getattr(config, "head_dim", None) or width // attention_heads
    sliding, window = _sliding(config, layers)
    values = (2 * heads * head_size * element_bytes, heads, sliding, window)
    return dict(zip(CACHE_FACTS, values, strict=True))


_WINDOWS = {"sliding_attention": "sliding_window", "chunked_attention": "attention_chunk_size"}
"""Kinds of layer that keep a window of tokens, and what configs call its length."""
CACHE_FACTS = ("kv_layer_bytes_per_token", "kv_heads", "kv_sliding_layers", "kv_sliding_window")


def _text_config(config: Any) -> Any:
    """A model that also sees or hears keeps its language model's shape in a config of its own."""
    inner = getattr(config, "get_text_config", None)
    if inner is None:
        return config
    try:
        return inner(decoder=True)
    except ValueError:  # more than one: whose cache it is, it doesn't say
        return config


def _sliding(config: Any, layers: int) -> tuple[int, int | None]:
    """How many layers keep a window of tokens only, and its length, as transformers' cache decides it."""
    kinds = getattr(config, "layer_types", None)
    for kind, name in _WINDOWS.items():
        window = getattr(config, name, None)
        if window:
            found = layers if kinds is None else sum(one == kind for one in kinds)
            if found:
                return found, window
    return 0, None
