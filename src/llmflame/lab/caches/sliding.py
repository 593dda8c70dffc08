"""A KV cache of which a step sees the beginning and the end."""

from __future__ import annotations

import torch
from torch import Tensor

from llmflame.lab.caches.static import StaticCache
from llmflame.scratch.model import LanguageModel


class SlidingCache(StaticCache):
    """Attention sinks and a window: Xiao et al. 2023 (StreamingLLM, arXiv 2309.17453), section 3.2.

    Keys keep the rotation of the position at which they were computed; a prompt is computed whole. Only steps
    of one token are cut: the columns that are shown are then all left of the token's own.
    """

    def __init__(self, model: LanguageModel, rows: int, capacity: int, *, sinks: int, window: int) -> None:
        super().__init__(model, rows, capacity)
        self._sinks, self._window = sinks, window
        self._cut = False

    def reserve(self, new: int, device: torch.device) -> tuple[Tensor, int]:
        """As `StaticCache`; of one token S is sinks and window at most."""
        columns, width = super().reserve(new, device)
        self._cut = new == 1 and width > self._sinks + self._window
        return columns, self._sinks + self._window if self._cut else width

    def update(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """As `StaticCache`, of the columns that are shown."""
        whole = super().update(layer, keys, values)
        if not self._cut:
            return whole
        first, last = self._sinks, self._window
        keys, values = (torch.cat((part[:, :, :first], part[:, :, -last:]), dim=2) for part in whole)
        return keys, values
