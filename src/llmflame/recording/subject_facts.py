"""What a loaded model says of itself."""

from __future__ import annotations

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
        "layers": getattr(config, "num_hidden_layers", None),
        "torch_threads": torch.get_num_threads(),
    }


def _text(value: object) -> str | None:
    return None if value is None else str(value)
