"""Who holds the memory at an instant: every reading of the system beside every holder that can be named.

Off the clock of what is timed: it reads the memory map and walks the interpreter's objects, a tenth of a
second.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from llmflame.probes.device import cuda_in_use
from llmflame.probes.memory.blocks import allocated_blocks, owned
from llmflame.probes.memory.heap import Heap, python_arena_bytes
from llmflame.probes.memory.mappings import FileRanges, Mapping, read_mappings
from llmflame.probes.memory.tensors import Storage, storages, weight_bytes
from llmflame.store import categories
from llmflame.store.rows import Space

MOST_OWNERS = 100
"""Of tensors that belong to nobody: the smaller ones beyond are one owner, so that a file does not grow
with a program's objects."""
REST = "others"
PYTHON = "Python's small objects"
NATIVE = "native heap and larger objects"
NOT_A_WEIGHT = "read, but not held by a parameter"


@dataclass(slots=True)
class Census:
    """What was found. Bytes by space, category and owner, and the readings that they must add up to."""

    held: dict[tuple[Space, str, str], tuple[int, int]] = field(default_factory=dict)
    """(bytes, blocks)."""
    readings: dict[str, int] = field(default_factory=dict)

    def add(self, space: Space, category: str, owner: str, size: int, blocks: int = 1) -> None:
        """Count bytes for a holder; none where there are none."""
        if size:
            before = self.held.get((space, category, owner), (0, 0))
            self.held[space, category, owner] = (before[0] + size, before[1] + blocks)

    def total(self, space: Space, *wanted: str) -> int:
        """Bytes of some categories."""
        return sum(
            size for (s, category, _), (size, _) in self.held.items() if s == space and category in wanted
        )


def take_census(root: Any, cache: Any, device: str, heap: Heap) -> Census:
    """The holders of host and device memory now. `device` is torch's name of the model's."""
    census = Census()
    found = storages(root, cache)
    census.readings["weight_bytes"] = weight_bytes(root)
    census.readings["kv_cache_bytes"] = sum(s.bytes for s in found if s.category == categories.KV_CACHE)
    _host(census, found, read_mappings(), heap)
    if device.startswith("cuda") and cuda_in_use():
        _device(census, found, torch.device(device).index or 0)
    _shorten(census)
    return census


def _host(census: Census, found: Sequence[Storage], mappings: list[Mapping] | None, heap: Heap) -> None:
    host = [storage for storage in found if storage.device == "cpu"]
    if mappings is None:
        for storage in host:
            census.add("host", storage.category, storage.owner, storage.bytes)
        return
    ranges, shared = FileRanges(mappings), [mapping for mapping in mappings if mapping.is_shared]
    in_files: dict[int, list[Storage]] = defaultdict(list)
    heap_tensors = pinned = 0
    for storage in host:
        mapping = ranges.of(storage.address)
        if mapping is not None:
            in_files[mapping.begin].append(storage)
        elif any(one.begin <= storage.address < one.end for one in shared):
            pinned += storage.bytes
            census.add("host", categories.PINNED, storage.owner, storage.bytes)
        else:
            heap_tensors += storage.bytes
            census.add("host", storage.category, storage.owner, storage.bytes)
    _mapped(census, mappings, in_files)
    _shared(census, shared, pinned)
    readings = census.readings
    readings["resident_bytes"] = sum(mapping.resident_bytes for mapping in mappings)
    readings["proportional_bytes"] = sum(mapping.proportional_bytes for mapping in mappings)
    readings["anonymous_bytes"] = sum(
        mapping.anonymous_bytes for mapping in mappings if not mapping.is_shared
    )
    readings["swap_bytes"] = sum(mapping.swap_bytes for mapping in mappings)
    private = sum(m.anonymous_bytes for m in mappings if not (m.is_file or m.is_shared))
    _heap(census, heap, private, heap_tensors)


def _heap(census: Census, heap: Heap, resident_bytes: int, tensor_bytes: int) -> None:
    """What is in private memory beside tensors. An allocator counts what it gave out, and the kernel what was
    touched: a driver asks for much that it never uses, which is no part of any resident set."""
    arenas, use = python_arena_bytes(), heap.read()
    rest = max(resident_bytes - tensor_bytes, 0)
    if arenas is not None:
        census.readings["python_arena_bytes"] = arenas
        arenas = min(arenas, rest)
        rest -= arenas
        census.add("host", categories.RUNTIME, PYTHON, arenas)
    if use is not None:
        census.readings["heap_used_bytes"] = use.used_bytes
        census.readings["heap_free_bytes"] = use.free_bytes
        native = max(use.used_bytes - tensor_bytes, 0)
        census.readings["heap_untouched_bytes"] = max(native + use.free_bytes - rest, 0)
        free = min(use.free_bytes, rest)
        census.add("host", categories.RUNTIME, NATIVE, min(native, rest - free))
        census.add("host", categories.SLACK, "the heap's free chunks", free)


def _shared(census: Census, shared: Iterable[Mapping], pinned_tensors: int) -> None:
    resident = sum(mapping.resident_bytes for mapping in shared)
    census.readings["shared_bytes"] = resident
    census.add(
        "host", categories.PINNED, "page-locked or shared, in no tensor", max(resident - pinned_tensors, 0)
    )


def _mapped(census: Census, mappings: Sequence[Mapping], in_files: dict[int, list[Storage]]) -> None:
    """Pages of files: of a weight file by the modules whose weights lie there, in proportion to what is
    resident."""
    libraries = 0
    for mapping in mappings:
        if not mapping.is_file:
            continue
        inside = in_files.get(mapping.begin, [])
        if not inside and not mapping.is_weights:
            libraries += mapping.resident_bytes
            continue
        share = mapping.resident_bytes / max(mapping.end - mapping.begin, 1)
        named = 0
        for storage in inside:
            size = round(storage.bytes * share)
            named += size
            census.add("host", categories.CHECKPOINT, storage.owner, size)
        census.add("host", categories.CHECKPOINT, NOT_A_WEIGHT, max(mapping.resident_bytes - named, 0))
    census.readings["file_bytes"] = sum(
        mapping.resident_bytes - mapping.anonymous_bytes for mapping in mappings if mapping.is_counted_as_file
    )
    census.add("host", categories.RUNTIME, categories.LIBRARIES, libraries)


def _device(census: Census, found: Sequence[Storage], index: int) -> None:
    allocated, reserved = torch.cuda.memory_allocated(index), torch.cuda.memory_reserved(index)
    free, total = torch.cuda.mem_get_info(index)
    readings = census.readings
    readings["device_allocated_bytes"], readings["device_reserved_bytes"] = allocated, reserved
    readings["device_used_bytes"], readings["device_total_bytes"] = total - free, total
    here = [storage for storage in found if storage.device == f"cuda:{index}"]
    blocks = allocated_blocks(index)
    named = 0
    for storage in owned(blocks, here) if blocks else here:
        named += storage.bytes
        census.add("device", storage.category, storage.owner, storage.bytes)
    census.add("device", categories.WORKSPACE, "in use, but in no list of blocks", max(allocated - named, 0))
    census.add("device", categories.SLACK, "reserved, but not in use", max(reserved - allocated, 0))


def _shorten(census: Census) -> None:
    by_category: dict[tuple[Space, str], list[tuple[int, str]]] = defaultdict(list)
    for (space, category, owner), (size, _) in census.held.items():
        by_category[space, category].append((size, owner))
    for (space, category), owners in by_category.items():
        if category not in (categories.TENSORS, categories.PINNED):
            continue
        for _, owner in sorted(owners, reverse=True)[MOST_OWNERS:]:
            size, blocks = census.held.pop((space, category, owner))
            census.add(space, category, REST, size, blocks)
