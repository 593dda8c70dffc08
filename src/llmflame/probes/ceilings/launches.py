"""What a kernel costs that does next to nothing: the host's time to launch it, and the way there and back."""

from __future__ import annotations

import time
from statistics import median

import torch

from llmflame.probes.ceilings.outcome import Outcome
from llmflame.probes.ceilings.sizes import Sizes


def launch(sizes: Sizes) -> Outcome:
    """Nanoseconds of the host for one operator in a row of many: Python, torch's dispatch and the launch."""
    tensor = torch.ones(1, device="cuda")
    times = [_queue_ns(tensor, sizes.launches) for _ in range(sizes.repeats + 1)][1:]
    how = f"Tensor.neg_ of one element, {sizes.launches} in a row, host clock, median of {len(times)}"
    return Outcome(median(times) / sizes.launches, how)


def round_trip(sizes: Sizes) -> Outcome:
    """Nanoseconds from before the call of one operator until the host has seen it finish."""
    tensor = torch.ones(1, device="cuda")
    _queue_ns(tensor, sizes.launches)
    times = [_queue_ns(tensor, 1, wait=True) for _ in range(sizes.round_trips)]
    how = f"Tensor.neg_ of one element and torch.cuda.synchronize, host clock, median of {len(times)}"
    return Outcome(median(times), how)


def _queue_ns(tensor: torch.Tensor, launches: int, *, wait: bool = False) -> int:
    torch.cuda.synchronize()
    begin = time.perf_counter_ns()
    for _ in range(launches):
        tensor.neg_()
    if wait:
        torch.cuda.synchronize()
    end = time.perf_counter_ns()
    torch.cuda.synchronize()
    return end - begin
