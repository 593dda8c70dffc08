"""Who runs requests for a trial: the same two questions to both engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

Arrived = Callable[[list[list[int]]], None]
"""Told of each step once its ids are on the host: one list a row, of one id or several."""


class Runner(Protocol):
    """A loaded model with its variants."""

    def request(self, prompt: Tensor, new_tokens: int, arrived: Arrived) -> None:
        """Generate exactly `new_tokens` greedily after `prompt` [B, T], never stopping early."""

    def forced(self, ids: Tensor, prompt_tokens: int) -> Iterator[Tensor]:
        """Logits for given tokens, [B, N], through the path that generates.

        Yields [B, n, V] parts, float32 on the CPU, that together are what follows tokens
        `prompt_tokens - 1` to N - 2.
        """
