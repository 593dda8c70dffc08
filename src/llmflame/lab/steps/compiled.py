"""A decode step compiled by torch."""

from __future__ import annotations

import torch
from torch import Tensor

from llmflame.lab.caches.static import StaticCache
from llmflame.lab.variants.setup import Room, Step


def compiled(step: Step, room: Room, *, mode: str | None = None) -> Step:
    """The step as one graph without breaks, of fixed shapes; `mode` as of torch.compile.

    In modes with CUDA graphs the next run overwrites outputs, so ids, which are the next input, are copied.
    """
    assert isinstance(room.cache, StaticCache)
    for tensor in (room.padding, room.cache.position, *room.cache.keys, *room.cache.values):
        # They stay where they are: else a graph that writes to them isn't captured.
        torch._dynamo.mark_static_address(tensor)
    made: Step = torch.compile(step, mode=mode, dynamic=False, fullgraph=True)
    if mode not in ("reduce-overhead", "max-autotune"):
        return made

    def run(tokens: Tensor) -> tuple[Tensor, Tensor]:
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        logits, chosen = made(tokens)
        return logits, chosen.clone()

    return run
