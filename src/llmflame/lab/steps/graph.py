"""A decode step as a CUDA graph: the host starts all its kernels at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from llmflame.lab.caches.static import StaticCache
from llmflame.lab.variants.setup import Room, Step

_WARMUPS = 3
"""Runs before the capture, in which libraries choose kernels and take workspaces."""


@dataclass(frozen=True, slots=True)
class _Captured:
    replay: Callable[[], None]
    given: Tensor
    """Where the graph reads its tokens, [B, T]."""
    logits: Tensor
    chosen: Tensor
    """Of single tokens the same memory as `given`: the next replay finds them where it looks."""


class GraphStep:
    """Captures a step for each number of tokens when it is first asked for it, and replays it from then on.

    What it returns is overwritten by the next replay.
    """

    def __init__(self, step: Step, room: Room) -> None:
        assert isinstance(room.cache, StaticCache)
        self._step, self._cache = step, room.cache
        self._captured: dict[int, _Captured] = {}

    def __call__(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """tokens: [B, T]. Returns logits [B, T, V] and ids [B, T]."""
        captured = self._captured.get(tokens.shape[1])
        if captured is None:
            captured = self._captured[tokens.shape[1]] = self._capture(tokens)
        if tokens is not captured.given:
            captured.given.copy_(tokens)
        captured.replay()
        return captured.logits, captured.chosen

    def _capture(self, tokens: Tensor) -> _Captured:
        given, position = tokens.clone(), self._cache.position.clone()
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARMUPS):
                self._step(given)
                # What a warm-up wrote lies right of the position, where nothing looks.
                self._cache.position.copy_(position)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            logits, chosen = self._step(given)
            if tokens.shape[1] == 1:
                given.copy_(chosen)
                chosen = given
        return _Captured(graph.replay, given, logits, chosen)
