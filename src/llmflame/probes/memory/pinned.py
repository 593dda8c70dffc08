"""Page-locked host memory: how much the driver was asked for in a window, and by which frames."""

from __future__ import annotations

import torch

from llmflame.probes.device import cuda_in_use
from llmflame.store.metrics import CALLS, PINNED
from llmflame.store.observed import ObservedTree

HOST_ALLOCATIONS = frozenset({"cudaHostAlloc", "cudaMallocHost", "cudaHostRegister", "hipHostMalloc"})
"""The driver's calls that lock pages; torch makes one where its cache of such blocks has none that fits."""


def pinned_bytes() -> int | None:
    """Bytes of page-locked blocks that torch asked the driver for so far, whatever became of them.

    None where no device is used or torch keeps no such statistics.
    """
    if not cuda_in_use():
        return None
    try:
        return int(torch.cuda.host_memory_stats()["allocated_bytes.allocated"])
    except (AttributeError, KeyError, RuntimeError):
        return None


def assign_pinned(tree: ObservedTree, grown_bytes: int | None) -> None:
    """Charge what a window locked to the calls that did it, in equal parts where there were several."""
    calls = tree.cells.get(CALLS.name, {})
    nodes = {
        node: count
        for node, count in calls.items()
        if (frame := tree.frames[node]) is not None and frame[0] == "runtime" and frame[1] in HOST_ALLOCATIONS
    }
    total = sum(nodes.values())
    if not grown_bytes or not total:
        return
    for node, count in nodes.items():
        tree.add(node, PINNED.name, grown_bytes * count / total)
