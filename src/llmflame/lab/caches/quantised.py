"""A KV cache of 8 bits a number: each key and value has a factor of its own."""

from __future__ import annotations

import torch
from torch import Tensor

from llmflame.lab.caches.static import StaticCache
from llmflame.scratch.model import LanguageModel


class QuantisedCache(StaticCache):
    """As `StaticCache`, in int8 or float8_e4m3fn, with factors in float32, [B, K, capacity, 1] a layer.

    A vector is divided by its largest number, as in KIVI's per-token scheme (Liu et al. 2024, arXiv
    2402.02750, section 3), and read back as it was rounded; the new token's own is rounded too.
    """

    def __init__(self, model: LanguageModel, rows: int, capacity: int, dtype: torch.dtype) -> None:
        super().__init__(model, rows, capacity)
        self._shown = self.keys[0].dtype
        whole = not dtype.is_floating_point
        self._largest = float(torch.iinfo(dtype).max if whole else torch.finfo(dtype).max)
        self._whole = whole
        self.keys = [keys.to(dtype) for keys in self.keys]
        self.values = [values.to(dtype) for values in self.values]
        self._factors = [[torch.zeros_like(t[..., :1], dtype=torch.float32) for t in (k, v)]
                         for k, v in zip(self.keys, self.values, strict=True)]  # fmt: skip

    def update(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write [B, K, T, D] each. Returns [B, K, S, D] each, in the model's dtype."""
        pairs = zip((self.keys[layer], self.values[layer]), self._factors[layer], (keys, values), strict=True)
        first, second = (self._through(*pair) for pair in pairs)
        return first, second

    def _through(self, store: Tensor, factors: Tensor, new: Tensor) -> Tensor:
        """Round and write the new ones; read all back."""
        tiny = torch.finfo(torch.float32).tiny
        factor = new.float().abs().amax(-1, keepdim=True).clamp(min=tiny) / self._largest
        scaled = new.float() / factor
        rounded = (scaled.round() if self._whole else scaled).to(store.dtype)
        # An 8-bit float has no kernel for this; its bytes do.
        store.view(torch.uint8).index_copy_(2, self._columns, rounded.view(torch.uint8))
        factors.index_copy_(2, self._columns, factor)
        read = store[:, :, : self.width].float() * factors[:, :, : self.width]
        return read.to(self._shown)
