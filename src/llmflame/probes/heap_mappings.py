"""Mappings of memory: which are of files, and what is left of them when parts are given back.

A record of a mapping says its address and size, not what it maps. Where it still exists when the system's
list is read, at a phase's edge, the list says it: that is exact. One that was gone by then is taken
for a file's where it has the size of a weight file to the byte: that is a rule.
"""

from __future__ import annotations

import mmap
from bisect import bisect_left, bisect_right, insort
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

MMAP, MUNMAP = 14, 15
"""memray's numbers of these calls; smaller ones are the heap's."""
NO_FILES = ("/dev/", "/memfd:", "/SYSV", "anon_inode:", "[")
"""How the names of mappings begin that have one but are no file's: shared memory, and devices' windows."""
DEVICES = "/dev/nvidia"

Kind = Literal["heap", "file", "reserved"]
"""`heap` is anonymous memory, `reserved` a range of addresses that can't be touched, or a device's."""


class Record(Protocol):
    """What is read of memray's `AllocationRecord`."""

    @property
    def tid(self) -> int:
        """The thread, numbered from 1."""

    @property
    def address(self) -> int:
        """Where the block begins."""

    @property
    def size(self) -> int:
        """As asked for; 0 for a block that is freed."""

    @property
    def allocator(self) -> int:
        """Which call it was."""

    @property
    def stack_id(self) -> int:
        """The same for records of the same Python stack."""

    def stack_trace(self, max_stacks: int | None = None) -> list[tuple[str, str, int]]:
        """Function, file and line from the innermost frame outwards. Not for frees."""


@dataclass(frozen=True, slots=True)
class Range:
    """Some of the addresses of a process, as the system lists them."""

    start: int
    end: int
    kind: Kind


def read_maps(path: Path = Path("/proc/self/maps")) -> bytes | None:
    """The system's list of this process' mappings, unread: parsing allocates. None where there is none."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def parse_maps(maps: bytes) -> list[Range]:
    """The ranges of a list, in rising order."""
    ranges = []
    for line in maps.decode(errors="replace").splitlines():
        fields = line.split(maxsplit=5)
        start, _, end = fields[0].partition("-")
        ranges.append(Range(int(start, 16), int(end, 16), _kind(fields)))
    return ranges


def _kind(fields: Sequence[str]) -> Kind:
    permissions, inode, name = fields[1], fields[4], fields[5] if len(fields) > 5 else ""
    if name.startswith(DEVICES):
        return "reserved"
    if inode != "0" and not name.startswith(NO_FILES):
        return "file"
    return "reserved" if permissions.startswith("---") else "heap"


def kind_at(ranges: Sequence[Range], address: int, size: int) -> Kind | None:
    """What lies at an address, by a list's ranges in rising order; None where nothing does.

    A reserved range may be opened piece by piece: it is one for as long as none of it can be touched.
    """
    at = bisect_right(ranges, address, key=lambda one: one.start) - 1
    if at < 0 or ranges[at].end <= address:
        return None
    last = bisect_left(ranges, address + size, key=lambda one: one.start)
    kinds = {one.kind for one in ranges[at:last]}
    return ranges[at].kind if ranges[at].kind == "file" else "heap" if "heap" in kinds else "reserved"


@dataclass(slots=True)
class Kinds:
    """What the mappings of a run were, by their place among its records of mappings."""

    of: dict[int, Kind]
    """Those that aren't `heap`."""
    listed: int = 0
    """How many the system's list told."""
    by_size: int = 0
    """How many files' were told by their size."""
    unlisted: int = 0
    """How many were gone before a list was read, and had no file's size."""


def kinds_of_mappings(
    records: Iterable[Record], lists: Iterable[bytes | None], sizes: Container[int]
) -> Kinds:
    """Tell the mappings apart; `sizes` are those of weight files.

    `lists` has by mark what the system listed right after it, None where it wasn't asked. Marks are the
    mappings of `mark_bytes`, in order.
    """
    kinds = Kinds({})
    live: dict[int, tuple[int, int]] = {}
    waiting, mark, number = iter(lists), 0, -1
    for record in records:
        allocator = record.allocator
        if allocator < MMAP:
            continue
        if allocator == MUNMAP:
            if record.address in live:
                _by_size(kinds, *live.pop(record.address), sizes)
            continue
        number += 1
        if record.size == mark_bytes(mark):
            mark += 1
            maps = next(waiting, None)
            if maps is not None:
                _by_list(kinds, live, parse_maps(maps))
            continue
        if record.address in live:
            _by_size(kinds, *live.pop(record.address), sizes)
        live[record.address] = number, record.size
    for place, size in live.values():
        _by_size(kinds, place, size, sizes)
    return kinds


def _by_list(kinds: Kinds, live: dict[int, tuple[int, int]], ranges: Sequence[Range]) -> None:
    for address, (number, size) in list(live.items()):
        kind = kind_at(ranges, address, size)
        if kind is None:
            continue
        del live[address]
        kinds.listed += 1
        if kind != "heap":
            kinds.of[number] = kind


def _by_size(kinds: Kinds, number: int, size: int, sizes: Container[int]) -> None:
    if size in sizes:
        kinds.of[number] = "file"
        kinds.by_size += 1
    else:
        kinds.unlisted += 1


FIRST_MARK = 0x5EED
MARK_UNIT_BYTES = 4096


def mark_bytes(number: int) -> int:
    """The size of a mark's mapping: a hundred megabytes of addresses that nobody touches, so no memory."""
    return (FIRST_MARK + number) * MARK_UNIT_BYTES


@dataclass(frozen=True, slots=True)
class MappedRange:
    """A mapping, or what is left of one."""

    start: int
    size: int
    stack: int
    phase: int
    kind: Kind

    @property
    def end(self) -> int:
        """Behind its last page."""
        return self.start + -(-self.size // mmap.PAGESIZE) * mmap.PAGESIZE


class Mappings:
    """The mappings that exist, by address: parts of them can be given back or mapped over."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._mappings: dict[int, MappedRange] = {}

    def __iter__(self) -> Iterator[MappedRange]:
        return iter(self._mappings.values())

    def add(self, mapping: MappedRange) -> None:
        """Add one; nothing lies there."""
        insort(self._starts, mapping.start)
        self._mappings[mapping.start] = mapping

    def cut(self, start: int, size: int) -> list[tuple[MappedRange, int]]:
        """Take a range out; says of which mappings it took how many bytes."""
        end = start + -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        at = max(bisect_right(self._starts, start) - 1, 0)
        touched = []
        for first in self._starts[at : bisect_left(self._starts, end)]:
            if self._mappings[first].end > start:
                touched.append(self._mappings.pop(first))
        taken = []
        for mapping in touched:
            del self._starts[bisect_left(self._starts, mapping.start)]
            before = max(start - mapping.start, 0)
            after = max(mapping.start + mapping.size - end, 0)
            if before:
                self.add(replace(mapping, size=before))
            if after:
                self.add(replace(mapping, start=end, size=after))
            taken.append((mapping, mapping.size - before - after))
        return taken
