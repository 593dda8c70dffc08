"""What one minor page fault costs on this machine: fresh memory touched a page at a time."""

from __future__ import annotations

import mmap
from statistics import median

from llmflame.probes.counters import PAGE_BYTES, Counters

PAGES = 1024
ROUNDS = 5


def minor_fault_cost_ns(counters: Counters) -> float | None:
    """The median over a few rounds; None where faults can't be counted.

    Huge pages are turned off for the memory touched, because one such fault stands for hundreds.
    """
    costs = [cost for _ in range(ROUNDS) if (cost := _round(counters)) is not None]
    return median(costs) if costs else None


def _round(counters: Counters) -> float | None:
    with mmap.mmap(-1, PAGES * PAGE_BYTES) as memory:
        if hasattr(mmap, "MADV_NOHUGEPAGE"):
            memory.madvise(mmap.MADV_NOHUGEPAGE)
        with memoryview(memory) as view:
            before = counters.read()
            view[::PAGE_BYTES] = bytes(PAGES)
            after = counters.read()
    if before.minor_faults is None or after.minor_faults is None:
        return None
    faults = after.minor_faults - before.minor_faults
    return (after.thread_cpu_ns - before.thread_cpu_ns) / faults if faults >= PAGES // 2 else None
