"""Whose limit memory ran into. Needs no torch for the host's: memory may run out before that is there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llmflame.probes.memory_limits import KIB, Limit, Limits
from llmflame.store.rows import Space

if TYPE_CHECKING:
    from llmflame.probes.memory.device_refusals import Refusal

_IN_USE = {"RLIMIT_AS": "VmSize", "RLIMIT_DATA": "VmData"}
"""What /proc/self/status calls that which a limit of the process counts."""


@dataclass(frozen=True, slots=True)
class LimitHit:
    """The limit that memory ran into."""

    space: Space
    name: str | None = None
    bytes: int | None = None
    used_bytes: int | None = None
    """As the limit counts it."""
    released_bytes: int = 0
    """Part of it that was given back while the exception passed through the frames."""


def host_limit(requested_bytes: int | None) -> LimitHit:
    """The limit with the least room left, of those with too little room for the request if there are such."""
    status = sizes_of(Path("/proc/self/status"))
    rooms = []
    for limit in Limits.of("self").all:
        used = _used(limit, status)
        if used is not None:
            rooms.append((limit.bytes - used, limit, used))
    tight = [room for room in rooms if requested_bytes is not None and room[0] < requested_bytes]
    if not rooms:
        return LimitHit("host")
    _, limit, used = min(tight or rooms, key=lambda room: room[0])
    peak = status.get("VmPeak", 0)
    if limit.name == "RLIMIT_AS" and used + (requested_bytes or 0) <= limit.bytes < peak + (
        requested_bytes or 0
    ):
        # In use then were more than the limit less the request, and at most the peak.
        return LimitHit("host", limit.name, limit.bytes, peak, peak - used)
    return LimitHit("host", limit.name, limit.bytes, used)


def _used(limit: Limit, status: dict[str, int]) -> int | None:
    if limit.group is not None:
        held = limit.held_bytes()
        return held if held is not None else status.get("VmRSS")
    if limit.name in _IN_USE:
        return status.get(_IN_USE[limit.name])
    available = sizes_of(Path("/proc/meminfo")).get("MemAvailable")
    return limit.bytes - available if available is not None else None


def sizes_of(path: Path) -> dict[str, int]:
    """The lines `Name:  123 kB` of a file of /proc, in bytes."""
    try:
        fields = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {one[0].rstrip(":"): int(one[1]) * KIB for one in fields if len(one) == 3 and one[2] == "kB"}


def device_limit(index: int, refusal: Refusal | None) -> LimitHit:
    """A device's memory, or the fraction of it that this process was allowed and has used up."""
    import torch

    free, total = torch.cuda.mem_get_info(index)
    allowed = total
    share = getattr(torch.cuda, "get_per_process_memory_fraction", None)
    if refusal is not None:
        free, allowed = refusal.free_bytes, refusal.limit_bytes
    elif share is not None:
        allowed = int(share(index) * total)
    if allowed < total:
        reserved = refusal.reserved_bytes if refusal is not None else torch.cuda.memory_reserved(index)
        return LimitHit("device", "set_per_process_memory_fraction", allowed, reserved)
    return LimitHit("device", "device memory", total, total - free)
