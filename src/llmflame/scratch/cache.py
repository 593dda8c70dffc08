"""The KV cache: keys and values of past tokens, which later tokens look at and nothing ever changes.

A token's key and value depend on that token and those before it. Kept, a step computes one token's; not kept,
it computes all of them again: Pope et al. 2022 (arXiv 2211.05102), section 2.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class KeyValueCache(Protocol):
    """What the model asks of a cache. B rows, K heads, T new tokens, S columns, D dimensions.

    A cache may have more columns than tokens (S is its capacity then): what is right of a token is hidden
    from it anyway.
    """

    def reserve(self, new: int, device: torch.device) -> tuple[Tensor, int]:
        """Room for `new` tokens of each row. Returns their columns, [T], and S."""

    def update(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Put [B, K, T, D] each into the reserved columns. Returns the layer's, [B, K, S, D] each."""


class DynamicCache:
    """A cache that grows by a token a step: nothing to size beforehand, and a copy of all of it each time."""

    def __init__(self) -> None:
        self.length = 0
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []

    def reserve(self, new: int, device: torch.device) -> tuple[Tensor, int]:
        """The columns right of what is there, [T], and the new width S."""
        begin, self.length = self.length, self.length + new
        return torch.arange(begin, self.length, device=device), self.length

    def update(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append [B, K, T, D] each. Returns [B, K, S, D] each."""
        if layer == len(self._keys):
            self._keys.append(keys)
            self._values.append(values)
        else:
            self._keys[layer] = torch.cat((self._keys[layer], keys), dim=2)
            self._values[layer] = torch.cat((self._values[layer], values), dim=2)
        return self._keys[layer], self._values[layer]
