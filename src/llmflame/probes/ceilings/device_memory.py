"""How fast a CUDA device moves bytes: within its memory, and from and to the host."""

from __future__ import annotations

from collections.abc import Callable

import psutil
import torch

from llmflame.probes.ceilings.device_timing import device_timed
from llmflame.probes.ceilings.host import filled
from llmflame.probes.ceilings.outcome import NotMeasured, Outcome
from llmflame.probes.ceilings.sizes import DEVICE_SHARE, HOST_SHARE, MIB, PAGE_BYTES, Sizes
from llmflame.probes.ceilings.timing import per_second, timed

COLUMNS = 8192
PART_BYTES = 1024 * MIB
"""Kernels index what is smaller than 2 GiB by 32 bits, which is faster."""
LEAST_BYTES = MIB


def copy(sizes: Sizes) -> Outcome:
    """A copy within the device's memory; the bytes read and those written both count."""
    size, words = _buffer_bytes(sizes.device_bytes, buffers=2)
    source = _random(size)
    target = torch.empty_like(source)
    result = device_timed(lambda: target.copy_(source), sizes)
    how = f"Tensor.copy_ of {words}, read + written, CUDA events, median of {result.runs}"
    return Outcome(per_second(2 * source.nbytes, result.median_ns), how)


def read(sizes: Sizes) -> Outcome:
    """A buffer read once: the faster one of sums and a product of a matrix and a vector."""
    size, words = _buffer_bytes(sizes.device_bytes, buffers=1)
    buffer = _random(size)
    parts = torch.split(buffer, PART_BYTES // 4)
    matrix = buffer[: buffer.numel() // COLUMNS * COLUMNS].view(-1, COLUMNS)
    vector = torch.rand(COLUMNS, device="cuda")
    ways: list[tuple[str, int, Callable[[], object]]] = [
        ("Tensor.sum", buffer.nbytes, lambda: [part.sum() for part in parts]),
        ("torch.mv", matrix.nbytes, lambda: torch.mv(matrix, vector)),
    ]
    outcomes = []
    for way, amount, call in ways:
        if amount:
            result = device_timed(call, sizes)
            how = f"{way} over {words} of float32, CUDA events, median of {result.runs}"
            outcomes.append(Outcome(per_second(amount, result.median_ns), how))
    return max(outcomes, key=lambda outcome: outcome.value)


def to_device_pageable(sizes: Sizes) -> Outcome:
    """A copy from ordinary host memory, which the driver moves through a pinned buffer of its own."""
    source = filled(_transfer_bytes(sizes))
    target = torch.empty_like(source, device="cuda")

    def call() -> None:
        target.copy_(source)
        torch.cuda.synchronize()

    result = timed(call, sizes.repeats, sizes.limit_s)
    how = f"Tensor.copy_ of {source.nbytes // MIB} MiB, host clock, median of {result.runs}"
    return Outcome(per_second(source.nbytes, result.median_ns), how)


def to_device_pinned(sizes: Sizes) -> Outcome:
    """A copy from page-locked host memory."""
    host = filled(_transfer_bytes(sizes)).pin_memory()
    device = torch.empty_like(host, device="cuda")
    return _transfer(device, host, sizes)


def to_host_pinned(sizes: Sizes) -> Outcome:
    """A copy to page-locked host memory."""
    host = torch.empty(_transfer_bytes(sizes) // 4, pin_memory=True)
    device = _random(host.nbytes)
    return _transfer(host, device, sizes)


def _transfer(target: torch.Tensor, source: torch.Tensor, sizes: Sizes) -> Outcome:
    result = device_timed(lambda: target.copy_(source, non_blocking=True), sizes)
    how = f"Tensor.copy_ of {source.nbytes // MIB} MiB, CUDA events, median of {result.runs}"
    return Outcome(per_second(source.nbytes, result.median_ns), how)


def _buffer_bytes(wanted: int, buffers: int) -> tuple[int, str]:
    """Bytes of each of `buffers` equal buffers on the device, and how they compare with its L2 cache."""
    free = torch.cuda.mem_get_info()[0]
    size = min(wanted, int(free * DEVICE_SHARE) // buffers) // PAGE_BYTES * PAGE_BYTES
    if size < LEAST_BYTES:
        raise NotMeasured(f"only {free // MIB} MiB of device memory are free")
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    cache = int(getattr(properties, "L2_cache_size", 0))
    if not cache:
        return size, f"{size // MIB} MiB (the L2 cache's size is unknown)"
    return size, f"{size // MIB} MiB ({size / cache:.1f} times the L2 cache)"


def _transfer_bytes(sizes: Sizes) -> int:
    room = min(psutil.virtual_memory().available * HOST_SHARE, torch.cuda.mem_get_info()[0] * DEVICE_SHARE)
    # Pinning makes a second buffer of the same size.
    size = min(sizes.transfer_bytes, int(room) // 2) // PAGE_BYTES * PAGE_BYTES
    if size < LEAST_BYTES:
        raise NotMeasured("too little memory is free")
    return size


def _random(size: int) -> torch.Tensor:
    return torch.rand(size // 4, device="cuda")
