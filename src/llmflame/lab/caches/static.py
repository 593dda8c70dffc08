"""A KV cache of fixed size: a step writes its columns where they belong, and nothing is ever copied."""

from __future__ import annotations

import torch
from torch import Tensor

from llmflame.scratch.model import LanguageModel

COLUMN_MULTIPLE = 8
"""Columns are rounded up to it, so that rows of a mask begin at addresses that kernels like."""


class StaticCache:
    """[B, K, capacity, D] for each layer. Its position is a tensor: a replayed graph counts by itself.

    Raises ValueError where more columns are asked for than there are; a replay can't be checked.
    """

    def __init__(self, model: LanguageModel, rows: int, capacity: int) -> None:
        config = model.config
        weight = model.model.embed_tokens.weight
        self.capacity = -(-capacity // COLUMN_MULTIPLE) * COLUMN_MULTIPLE
        shape = (rows, config.kv_heads, self.capacity, config.head_dim)
        # Zeros, not whatever was there: a hidden column's weight is 0, and 0 * NaN would be seen.
        self.keys = [
            torch.zeros(shape, dtype=weight.dtype, device=weight.device) for _ in range(config.layers)
        ]
        self.values = [torch.zeros_like(keys) for keys in self.keys]
        self.position = torch.zeros(1, dtype=torch.long, device=weight.device)  # [1]
        self.length = 0
        self._fixed = False
        self._columns = self.position

    def reserve(self, new: int, device: torch.device) -> tuple[Tensor, int]:
        """The next `new` columns, [T], and S: the capacity if that is fixed, else those in use."""
        if not self._fixed:
            self.advance(new)
        self._columns = self.position + torch.arange(new, device=device)
        self.position.add_(new)
        return self._columns, self.width

    def update(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write [B, K, T, D] each. Returns [B, K, S, D] each, views of the whole."""
        self.keys[layer].index_copy_(2, self._columns, keys)
        self.values[layer].index_copy_(2, self._columns, values)
        return self.keys[layer][:, :, : self.width], self.values[layer][:, :, : self.width]

    @property
    def width(self) -> int:
        """S"""
        return self.capacity if self._fixed else self.length

    def truncate(self, length: int) -> None:
        """Forget columns from `length` on; what is in them is hidden by the mask."""
        self.length = length
        self.position.fill_(length)

    def fix(self, fixed: bool) -> None:
        """Return all columns from now on, or those in use alone."""
        self._fixed = fixed

    def advance(self, new: int) -> None:
        """Count columns on the host."""
        if self.length + new > self.capacity:
            raise ValueError(f"a cache of {self.capacity} columns is asked for {self.length + new}")
        self.length += new
