"""A model's weights in huge pages: 512 times fewer entries for the table that finds memory."""

from __future__ import annotations

import mmap
from pathlib import Path

import torch
from torch import nn

_CACHE_LINE = 64
"""Bytes."""
SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def move(model: nn.Module) -> None:
    """Copy every parameter and buffer on the CPU into one stretch of memory for which huge pages are asked.

    Tensors that share memory still do, whole ones. Each keeps its place in a cache line: some CPUs' matrix
    products sum in an order that depends on it, and nothing but the pages should differ.
    """
    held = {id(t): t for t in (*model.parameters(), *model.buffers())}.values()
    tensors = {tensor.data_ptr(): tensor for tensor in held if tensor.device.type == "cpu" and tensor.nbytes}
    places, size = {}, 0
    for address, tensor in tensors.items():
        places[address] = size + (address - size) % _CACHE_LINE
        size = places[address] + tensor.nbytes
    arena = mmap.mmap(-1, max(size, 1))
    arena.madvise(mmap.MADV_HUGEPAGE)
    memory = torch.frombuffer(arena, dtype=torch.uint8)
    for tensor in held:
        if (place := places.get(tensor.data_ptr())) is not None:
            part = memory[place : place + tensor.nbytes].view(tensor.dtype).view(tensor.shape)
            tensor.data = part.copy_(tensor)


def refusal() -> str | None:
    """Why this system has none to give, or None."""
    if not hasattr(mmap, "MADV_HUGEPAGE"):
        return "this system has no transparent huge pages"
    try:
        setting = SETTING.read_text("utf-8")
    except OSError:
        return "the kernel has no transparent huge pages"
    return "transparent huge pages are switched off in the kernel" if "[never]" in setting else None
