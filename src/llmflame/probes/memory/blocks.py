"""The blocks that torch's CUDA allocator has given out, and who holds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from llmflame.probes.memory.tensors import Storage
from llmflame.store.categories import WORKSPACE

GRAPH_POOL = "CUDA graph pool"
NO_TENSOR = "no tensor reaches it"


@dataclass(frozen=True, slots=True)
class Block:
    """Memory of the allocator in use."""

    device: str
    address: int
    bytes: int
    """As given out: rounded up to 512 bytes, or to what was left of its segment."""
    graph: bool
    """Does it belong to a CUDA graph's private pool?"""


def allocated_blocks(device: int) -> list[Block] | None:
    """The blocks in use on one device; None where the allocator keeps no list (cudaMallocAsync)."""
    try:
        segments: list[dict[str, Any]] = torch.cuda.memory_snapshot()  # type: ignore[no-untyped-call]
    except (RuntimeError, AttributeError):
        return None
    blocks = []
    for segment in segments:
        if segment["device"] != device:
            continue
        graph = tuple(segment.get("segment_pool_id", (0, 0))) != (0, 0)
        address = segment["address"]
        for block in segment["blocks"]:
            if block["state"] == "active_allocated":
                blocks.append(Block(f"cuda:{device}", block.get("address", address), block["size"], graph))
            address += block["size"]
    return blocks


def owned(blocks: list[Block], storages: list[Storage]) -> list[Storage]:
    """Each block in use under its holder, in the allocator's own bytes."""
    holders = {storage.address: storage for storage in storages if storage.device != "cpu"}
    found = []
    for block in blocks:
        holder = holders.get(block.address)
        category = holder.category if holder is not None else WORKSPACE
        owner = holder.owner if holder is not None else GRAPH_POOL if block.graph else NO_TENSOR
        found.append(Storage(block.device, block.address, block.bytes, category, owner))
    return found
