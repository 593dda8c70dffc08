"""What of a window's allocations is held when most is held, and what of them is still held long after.

An allocator's events say address and size, the tree says who asked: replaying them in order gives the live
set at any instant. All is relative to the window's opening; what was there before is a census' business.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from llmflame.store import categories
from llmflame.store.metrics import DEVICE_HELD, DEVICE_LEFT, HELD, LEFT
from llmflame.store.observed import FrameKey, ObservedTree
from llmflame.store.rows import Space

SPACES: tuple[Space, Space] = ("host", "device")


@dataclass(frozen=True, slots=True)
class Taken:
    """One event of an allocator."""

    time_ns: int
    address: int
    bytes: int
    """Taken; less than 0 for bytes given back."""
    on_device: bool
    node: int
    """Of the window's tree: who asked."""
    until_ns: int
    """When the innermost module's call ends that it happened in."""


Places = Mapping[int, tuple[str, int]]
"""Of a cache's storages: by address, the place in the cache and the bytes."""


@dataclass(frozen=True, slots=True)
class CacheAddresses:
    """Where the key/value cache's storages lay when a window opened and when it closed."""

    before: Places = field(default_factory=dict)
    after: Places = field(default_factory=dict)


@dataclass(slots=True)
class Peak:
    """How a window's peak differs from its opening, by category and by the module that asked."""

    bytes: dict[Space, int] = field(default_factory=dict)
    rewritten: dict[Space, int] = field(default_factory=dict)
    """Bytes of the cache that lie in storages made in the window: of one that grows by copying, all of it."""
    held: dict[tuple[Space, str, str], tuple[int, int]] = field(default_factory=dict)
    """(bytes, blocks); below 0 for what was there before and had been given back."""

    def add(self, space: Space, category: str, owner: str, size: int) -> None:
        """Count one block."""
        before, blocks = self.held.get((space, category, owner), (0, 0))
        self.held[space, category, owner] = (before + size, blocks + (1 if size > 0 else -1))


@dataclass(slots=True)
class _Block:
    taken: Taken
    place: int
    """In the order of the events: several may have the same time."""
    freed: int | None = None
    """The place of the event that gave it back."""
    freed_ns: int | None = None

    def held_at(self, place: int) -> bool:
        """Is it there just after the event at that place?"""
        return self.place <= place and (self.freed is None or self.freed > place)


def hold(
    tree: ObservedTree, events: Iterable[Taken], cache: CacheAddresses, alive: Collection[int] | None
) -> Peak:
    """Adds to the tree what is held at the peak and what is left behind; returns the peak by holder.

    `alive` are the addresses of storages that live after the request: what was taken in the window, was not
    given back in it, and is among them was left behind. None where nobody looked.
    """
    ordered = sorted(events, key=lambda event: event.time_ns)
    owners = _Owners(tree)
    peak = Peak()
    for space in SPACES:
        mine = [event for event in ordered if event.on_device == (space == "device")]
        if mine and space == "host":
            mine = _with_replaced(mine, cache)
        if mine:
            _hold_in(space, mine, tree, owners, cache, alive, peak)
    return peak


def _with_replaced(events: list[Taken], cache: CacheAddresses) -> list[Taken]:
    """With what the host's allocator doesn't tell: that it took back a block from before the tracer came.

    A cache that grows by copying gives a tensor back as soon as its successor is made; at the latest when its
    address is taken again. Where the allocator does tell, it may be with the size of an earlier block there,
    of which it saw the beginning but not the end: a cache's storages say their own.
    """
    first: dict[int, int] = {}
    for event in events:
        first.setdefault(event.address, event.bytes)
    gone = {
        address: (place, size)
        for address, (place, size) in cache.before.items()
        if first.get(address, 0) > 0 or (address not in first and address not in cache.after)
    }
    places = {place: address for address, (place, _) in gone.items()}
    told: set[int] = set()
    found: list[Taken] = []

    def give_back(address: int, event: Taken) -> None:
        _, size = gone.pop(address)
        found.append(Taken(event.time_ns, address, -size, event.on_device, event.node, event.until_ns))

    for event in events:
        if event.address in gone:  # taken again: it was given back before that
            give_back(event.address, event)
        known = cache.before.get(event.address) if first.get(event.address, 0) < 0 else None
        if known is not None and event.bytes < 0 and event.address not in told:
            told.add(event.address)
            found.append(replace(event, bytes=-known[1]))
        else:
            found.append(event)
        if event.bytes > 0 and event.address in cache.after:
            replaced = places.get(cache.after[event.address][0])
            if replaced in gone:
                give_back(replaced, event)
    return found


def _hold_in(
    space: Space,
    events: list[Taken],
    tree: ObservedTree,
    owners: _Owners,
    cache: CacheAddresses,
    alive: Collection[int] | None,
    peak: Peak,
) -> None:
    blocks, given_back = _blocks(events)
    at, highest = _highest(events)
    peak.bytes[space] = highest
    held, left = (HELD, LEFT) if space == "host" else (DEVICE_HELD, DEVICE_LEFT)
    if highest > 0:
        for block in blocks:
            if not block.held_at(at):
                continue
            taken, category = block.taken, _category(block, cache)
            peak.add(space, category, owners.module_of(taken.node), taken.bytes)
            leaf: FrameKey = ("memory", category, None, None, None)
            tree.add(tree.child(taken.node, leaf), held.name, taken.bytes)
        for place, event in given_back:
            if place <= at:
                category = categories.KV_CACHE if event.address in cache.before else categories.TENSORS
                peak.add(space, category, "", event.bytes)
    peak.rewritten[space] = sum(
        block.taken.bytes for block in blocks if block.freed_ns is None and block.taken.address in cache.after
    )
    for block in blocks:
        taken = block.taken
        if block.freed_ns is None and alive and taken.address in alive and taken.address not in cache.after:
            tree.add(taken.node, left.name, taken.bytes)


def _blocks(events: list[Taken]) -> tuple[list[_Block], list[tuple[int, Taken]]]:
    """What was taken, with when it was given back; and what was given back of what was there before, each
    with its place among the events."""
    blocks: list[_Block] = []
    live: dict[int, _Block] = {}
    given_back: list[tuple[int, Taken]] = []
    for place, event in enumerate(events):
        if event.bytes > 0:
            live[event.address] = block = _Block(event, place)
            blocks.append(block)
        elif (known := live.pop(event.address, None)) is not None:
            known.freed, known.freed_ns = place, event.time_ns
        else:
            given_back.append((place, event))
    return blocks, given_back


def _highest(events: list[Taken]) -> tuple[int, int]:
    """After which event most was held, and how much more that was than at the beginning."""
    running = highest = 0
    at = -1
    for place, event in enumerate(events):
        running += event.bytes
        if running > highest:
            highest, at = running, place
    return at, highest


def _category(block: _Block, cache: CacheAddresses) -> str:
    if block.freed_ns is None:
        return categories.KV_CACHE if block.taken.address in cache.after else categories.ACTIVATIONS
    return categories.TEMPORARIES if block.freed_ns <= block.taken.until_ns else categories.ACTIVATIONS


class _Owners:
    """The path of the innermost module around a node."""

    def __init__(self, tree: ObservedTree) -> None:
        self._tree = tree
        self._known: dict[int, str] = {0: ""}

    def module_of(self, node: int) -> str:
        path = []
        while node not in self._known:
            frame = self._tree.frames[node]
            path.append(node)
            if frame is not None and frame[0] == "module" and frame[4] is not None:
                self._known[node] = frame[4]
                break
            node = self._tree.parents[node]
        owner = self._known[node]
        for passed in path:
            self._known[passed] = owner
        return owner
