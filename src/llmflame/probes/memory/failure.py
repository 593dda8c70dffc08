"""Who holds the memory when it has run out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from llmflame.probes.device import cuda_in_use
from llmflame.probes.memory.census import Census, take_census
from llmflame.probes.memory.device_refusals import Refusal
from llmflame.probes.memory.heap import Heap
from llmflame.probes.memory.limit_hit import sizes_of
from llmflame.probes.memory.scene import Scene
from llmflame.probes.memory.tensors import Storage, cache_storages, storages
from llmflame.store import categories
from llmflame.store.rows import Space

GIVEN_BACK = "given back while the exception passed through"
_CACHE, _FRAMES = "<cache>", "<frames>"
_READINGS = {
    "resident_bytes": "VmRSS",
    "peak_resident_bytes": "VmHWM",
    "address_space_bytes": "VmSize",
    "peak_address_space_bytes": "VmPeak",
    "data_bytes": "VmData",
}


def census_at_failure(scene: Scene, device: str, heap: Heap, refusal: Refusal | None) -> Census:
    """The holders of memory now, with the tensors of the exception's frames under their modules.

    Where there is not even memory to look: weights and cache alone, or nothing. Never raises an Exception.
    """
    # One walk knows the three kinds apart by these names, which no module has.
    known = {_CACHE: scene.cache, _FRAMES: scene.tensors}
    try:
        census = take_census(scene.root, known, device, heap)
    except Exception:
        census = Census()
        with contextlib.suppress(Exception):
            _add(census, storages(scene.root, known, everything=False))
    census = _named(census, scene.cache)
    with contextlib.suppress(Exception):
        status = sizes_of(Path("/proc/self/status"))
        for name, field in _READINGS.items():
            if field in status:
                census.readings.setdefault(name, status[field])
    with contextlib.suppress(Exception):
        if device.startswith("cuda") and cuda_in_use():
            _read_device(census, torch.device(device).index or 0, refusal)
    return census


def _add(census: Census, found: Iterable[Storage]) -> None:
    for storage in found:
        space: Space = "host" if storage.device == "cpu" else "device"
        census.add(space, storage.category, storage.owner, storage.bytes)


def _named(census: Census, cache: Any) -> Census:
    named = Census(readings=census.readings)
    for (space, category, owner), (size, blocks) in census.held.items():
        if owner.startswith(f"{_FRAMES}."):
            owner = owner.removeprefix(f"{_FRAMES}.").rpartition(".")[0]
            category = categories.ACTIVATIONS if category == categories.KV_CACHE else category
        elif owner.startswith(_CACHE):
            owner = owner.removeprefix(_CACHE).removeprefix(".")
        named.add(space, category, owner, size, blocks)
    if "kv_cache_bytes" in named.readings:
        with contextlib.suppress(Exception):
            named.readings["kv_cache_bytes"] = sum(one.bytes for one in cache_storages(cache))
    return named


def _read_device(census: Census, index: int, refusal: Refusal | None) -> None:
    """The allocator's numbers; what was given out when it refused and isn't any more, as temporaries."""
    readings = census.readings
    readings["device_free_bytes"], readings["device_total_bytes"] = torch.cuda.mem_get_info(index)
    stats: dict[str, Any] = torch.cuda.memory_stats(index)
    readings["device_allocated_bytes"] = allocated = stats["allocated_bytes.all.current"]
    readings["device_reserved_bytes"] = stats["reserved_bytes.all.current"]
    with contextlib.suppress(Exception):  # an allocator without a list of blocks
        segments: list[dict[str, Any]] = torch.cuda.memory_snapshot()  # type: ignore[no-untyped-call]
        free = [
            block["size"]
            for segment in segments
            if segment["device"] == index
            for block in segment["blocks"]
            if block["state"] == "inactive"
        ]
        readings["device_largest_free_bytes"] = max(free, default=0)
    if refusal is None or refusal.device != index:
        return
    gone = refusal.allocated_bytes - allocated
    key: tuple[Space, str, str] = ("device", categories.SLACK, "reserved, but not in use")
    slack = census.held.get(key, (0, 0))[0]
    # Bytes given back stay with the allocator: what they add to its slack was in use at that instant.
    if 0 < gone <= slack:
        census.held.pop(key)
        census.add(*key, slack - gone)
        census.add("device", categories.TEMPORARIES, GIVEN_BACK, gone)
        readings["device_allocated_bytes"] = refusal.allocated_bytes
