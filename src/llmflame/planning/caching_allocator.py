"""How much memory torch's caching allocator takes from a CUDA device for a sequence of requests.

The rules are those of c10/cuda/CUDACachingAllocator.cpp at its default settings, for one stream: sizes are
rounded up, small and large blocks lie in segments of their own, the smallest free block that is large enough
is taken and split, neighbours that are free become one, and no segment is given back.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass

MIB = 2**20
LEAST_BLOCK = 512
"""Bytes; every size is a multiple (kMinBlockSize)."""
SMALL = 1 * MIB
"""Up to this a block lies in a small segment (kSmallSize)."""
SMALL_SEGMENT = 2 * MIB
"""kSmallBuffer."""
MIDDLE = 10 * MIB
"""Below this a large block is cut from a segment that has room for more (kMinLargeAlloc)."""
MIDDLE_SEGMENT = 20 * MIB
"""kLargeBuffer."""
SEGMENT_STEP = 2 * MIB
"""Segments of large blocks are multiples (kRoundLarge)."""


@dataclass(slots=True, eq=False)
class _Block:
    address: int
    size: int
    small: bool
    free: bool = False
    before: _Block | None = None
    """Its neighbour within the segment."""
    after: _Block | None = None


class CachingAllocator:
    """The pools of one stream. Sizes in bytes."""

    def __init__(self) -> None:
        self.reserved_bytes = 0
        """Taken from the device so far."""
        self._held: dict[int, _Block] = {}
        self._blocks: dict[int, _Block] = {}
        """Free ones by address."""
        self._free: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
        """(size, address) in order, of small and of large segments."""

    def follow(self, events: Iterable[tuple[int, int]]) -> None:
        """Hand out and take back: an identity and its bytes, above 0 where they are asked for."""
        for identity, size in events:
            if size < 0:
                self.release(identity)
            else:
                self.allocate(identity, size)

    def allocate(self, identity: int, size: int) -> None:
        """Hand out a block, which `identity` names until it is released. No bytes take no block."""
        if not size:
            return
        wanted = -(-size // LEAST_BLOCK) * LEAST_BLOCK
        block = self._taken(wanted) or self._segment(wanted)
        self._split(block, wanted)
        self._held[identity] = block

    def release(self, identity: int) -> None:
        """Take a block back and join it with free neighbours. One that had no bytes is not known."""
        block = self._held.pop(identity, None)
        if block is None:
            return
        if block.before is not None and block.before.free:
            block = self._joined(self._unlisted(block.before), block)
        if block.after is not None and block.after.free:
            block = self._joined(block, self._unlisted(block.after))
        self._list(block)

    def _taken(self, wanted: int) -> _Block | None:
        pool = self._free[wanted <= SMALL]
        place = bisect_left(pool, (wanted, -1))
        return self._unlisted(self._blocks[pool[place][1]]) if place < len(pool) else None

    def _segment(self, wanted: int) -> _Block:
        if wanted <= SMALL:
            size = SMALL_SEGMENT
        elif wanted < MIDDLE:
            size = MIDDLE_SEGMENT
        else:
            size = -(-wanted // SEGMENT_STEP) * SEGMENT_STEP
        block = _Block(self.reserved_bytes, size, wanted <= SMALL)
        self.reserved_bytes += size
        return block

    def _split(self, block: _Block, wanted: int) -> None:
        rest = block.size - wanted
        if rest < LEAST_BLOCK if block.small else rest <= SMALL:
            return
        remainder = _Block(block.address + wanted, rest, block.small, before=block, after=block.after)
        if block.after is not None:
            block.after.before = remainder
        block.size, block.after = wanted, remainder
        self._list(remainder)

    def _joined(self, block: _Block, after: _Block) -> _Block:
        block.size += after.size
        block.after = after.after
        if after.after is not None:
            after.after.before = block
        return block

    def _list(self, block: _Block) -> None:
        block.free = True
        self._blocks[block.address] = block
        insort(self._free[block.small], (block.size, block.address))

    def _unlisted(self, block: _Block) -> _Block:
        block.free = False
        del self._blocks[block.address]
        pool = self._free[block.small]
        del pool[bisect_left(pool, (block.size, block.address))]
        return block
