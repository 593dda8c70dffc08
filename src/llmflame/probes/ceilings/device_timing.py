"""Timing work on a CUDA device by its own clock: events in the stream, read after the work is done."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from statistics import median

import torch

from llmflame.probes.ceilings.sizes import Sizes
from llmflame.probes.ceilings.timing import Timed

REPEAT_NS = 5e6
"""One repeat lasts about this long or more: gaps between kernels and the events' resolution don't count."""
MOST_CALLS = 256
"""Calls in one repeat: fewer than the 1,024 launches that a queue holds."""


def device_timed(call: Callable[[], object], sizes: Sizes) -> Timed:
    """The median time of one call on the current device, after a warm-up at full load.

    Needs a call that only enqueues work: what the host waits for belongs to `timing.timed`.
    """
    call()
    torch.cuda.synchronize()
    once_ns = max(_between_events(call, 1), 1.0)
    calls = min(max(math.ceil(REPEAT_NS / once_ns), 1), MOST_CALLS)
    warm_until = time.monotonic() + sizes.warmup_s
    while time.monotonic() < warm_until:
        _between_events(call, calls)
    times = [_between_events(call, calls) for _ in range(sizes.repeats)]
    return Timed(median(times), len(times))


def _between_events(call: Callable[[], object], calls: int) -> float:
    """Nanoseconds of one of `calls` calls in a row."""
    begin = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    end = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    begin.record()
    for _ in range(calls):
        call()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) * 1e6 / calls
