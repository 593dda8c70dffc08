"""A model's modules without their weights: built from its config on torch's meta device."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from llmflame.errors import UsageError

DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True)
class Architecture:
    """Modules whose tensors have shapes and no data."""

    model: Any
    attention: str
    """The implementation that transformers chose or was asked for: `sdpa`, `eager`."""
    parameters: int
    """Tied ones once."""
    parameter_bytes: int
    buffer_bytes: int
    module_bytes: Mapping[str, int]
    """Bytes by top module, e.g. `model.layers`; a tied parameter belongs to the first that holds it."""

    @property
    def weight_bytes(self) -> int:
        """All that the model holds: parameters and buffers."""
        return self.parameter_bytes + self.buffer_bytes


def torch_dtype(name: str) -> torch.dtype:
    """A floating-point type by torch's name. Raises UsageError."""
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise UsageError(f"no such dtype: {name[:40]} (auto, {', '.join(DTYPES)})")
    return dtype


def build(config: Any, dtype: str, attention: str | None = None) -> Architecture:
    """Build the language model of a config in evaluation mode; takes no memory for weights.

    The config is copied, because transformers writes into it. Code from outside transformers is never run.
    Raises whatever transformers raises where it can't build the model.
    """
    from transformers import AutoModelForCausalLM

    own = copy.deepcopy(config)
    options = {"dtype": torch_dtype(dtype)} | ({"attn_implementation": attention} if attention else {})
    # The random state of devices is not touched: initialising a tensor without data draws nothing.
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(own, trust_remote_code=False, **options)
    model.eval()
    parameters = _distinct(model.parameters())
    buffers = _distinct(model.buffers())
    return Architecture(
        model=model,
        attention=str(getattr(model.config, "_attn_implementation", None) or attention or "eager"),
        parameters=sum(tensor.numel() for tensor in parameters),
        parameter_bytes=sum(tensor.nbytes for tensor in parameters),
        buffer_bytes=sum(tensor.nbytes for tensor in buffers),
        module_bytes=_by_module(model),
    )


def _distinct(tensors: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    return list({id(tensor): tensor for tensor in tensors}.values())


def _by_module(model: Any) -> dict[str, int]:
    """Two names deep (`model.layers`), because most models keep all in one module and the head."""
    held: dict[str, int] = {}
    seen: set[int] = set()
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        top = ".".join(name.split(".")[:-1][:2]) or name
        held[top] = held.get(top, 0) + tensor.nbytes
    return held
