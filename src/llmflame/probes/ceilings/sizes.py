"""How much is moved and multiplied: enough to leave the caches, never more than a share of free memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil

from llmflame.probes.ceilings.outcome import NotMeasured
from llmflame.probes.machine.caches import cache_facts, has_sysfs_caches
from llmflame.probes.machine.lscpu import run_lscpu

MIB = 1024 * 1024
HOST_SHARE = 1 / 8
"""Of the RAM that is available, for all buffers of one measure."""
DEVICE_SHARE = 1 / 4
"""Of the device memory that is free, for all buffers of one measure."""
PAGE_BYTES = 64 * 1024
"""Buffers are whole multiples of this: of every page size that Linux uses by default."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a measurement wants; each measure takes less where memory or time is short."""

    host_bytes: int = 256 * MIB
    """Of each buffer in RAM, at least; more where caches are large."""
    cache_multiple: int = 3
    """How many times the last-level cache a buffer in RAM holds."""
    host_most_bytes: int = 2048 * MIB
    disk_bytes: int = 256 * MIB
    host_matmul_sides: tuple[int, ...] = (1024, 2048, 4096)
    device_bytes: int = 4096 * MIB
    transfer_bytes: int = 256 * MIB
    device_matmul_side: int = 8192
    launches: int = 500
    """Kernels in one queue: fewer than the 1,024 that fit before a launch waits."""
    round_trips: int = 200
    repeats: int = 7
    limit_s: float = 1.0
    """One measure stops repeating itself after this time."""
    disk_write_s: float = 3.0
    disk_read_s: float = 3.0
    warmup_s: float = 0.2
    """How long a device works before it is timed: it raises its clocks only under load."""


def host_buffer_bytes(sizes: Sizes, buffers: int) -> tuple[int, str]:
    """Bytes of each of `buffers` equal buffers in RAM, and in words how they compare with the caches.

    Raises NotMeasured where so little RAM is free that caches would be measured.
    """
    cache = last_level_cache_bytes()
    wanted = min(max(sizes.host_bytes, sizes.cache_multiple * (cache or 0)), sizes.host_most_bytes)
    room = int(psutil.virtual_memory().available * HOST_SHARE) // buffers
    size = min(wanted, room) // PAGE_BYTES * PAGE_BYTES
    if size < sizes.host_bytes // 4 or size < PAGE_BYTES:
        raise NotMeasured(f"only {room // MIB} MiB of RAM may be taken for each buffer")
    if cache is None:
        return size, f"{size // MIB} MiB (the last-level cache's size is unknown)"
    return size, f"{size // MIB} MiB ({size / cache:.1f} times the last-level cache)"


def last_level_cache_bytes(root: Path = Path("/")) -> int | None:
    """All instances of the largest cache together; None where the system doesn't tell."""
    facts = cache_facts(root, run_lscpu(with_caches=not has_sysfs_caches(root)))
    known = {fact.name: fact.value for fact in facts if isinstance(fact.value, int)}
    sizes = [
        value * known.get(f"{name.removesuffix(' size')} instances", 1)
        for name, value in known.items()
        if name.endswith(" size")
    ]
    return max(sizes, default=None)
