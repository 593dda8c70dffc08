"""Reads what memray noted of a run: by phase, which stack asked for how much, and what was held at the peak.

memray's records say neither when they were made nor in which phase, but they are in order, and the recorder
left marks among them at each edge (`heap_follower.Marks`): no clocks are compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from llmflame.probes.heap_mappings import MMAP, MUNMAP, Kind, MappedRange, Mappings, Record, mark_bytes
from llmflame.probes.heap_stacks import HeapStacks
from llmflame.store.metrics import ALLOCATIONS, HEAP, HEAP_HELD, HEAP_LEFT, MAPPED
from llmflame.store.observed import FrameKey, ObservedTree

FREE = 5
"""memray's number of this call; what is greater than it, and smaller than `MMAP`, allocates."""
NO_PHASE = -1
RECORDS_OF_MARK = 2
"""It is mapped and given back."""


@dataclass(slots=True)
class HeapPhase:
    """What happened to the heap in one phase. Numbers are by stack: see `HeapReading.stacks`."""

    name: str
    number: int
    begin_bytes: int
    """What the heap held when it began."""
    records: int = 0
    allocated: dict[int, int] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)
    left: dict[int, int] = field(default_factory=dict)
    """Of what was allocated in the phase, what is there at its end."""
    mapped: dict[int, int] = field(default_factory=dict)
    peak_bytes: int = 0
    held: dict[int, int] = field(default_factory=dict)
    """At the peak, wherever in the run it was allocated. Known once the phase has ended."""
    end_bytes: int = 0
    given_back_bytes: int = 0
    """Of what was there when the phase began, what it gave back."""


@dataclass(slots=True)
class HeapReading:
    """All records of a run, added up."""

    phases: list[HeapPhase] = field(default_factory=list)
    stacks: dict[int, Record] = field(default_factory=dict)
    """One record of each stack. Odd numbers are of worker threads."""
    records: int = 0
    marks: int = 0
    marks_without_stack: int = 0
    """Python's stacks are gone where another profiler took the interpreter's hook."""
    overwritten: int = 0
    """Allocations at an address where a block was, whose end nobody noted."""
    unknown_frees: int = 0
    """Of blocks from before the first record."""
    reserved_bytes: int = 0
    """Ranges of addresses that were asked for and can't be touched, and devices' windows."""
    end_bytes: int = 0


def read_heap(
    records: Iterable[Record], labels: Sequence[str | None], kinds: Mapping[int, Kind], main_thread: int
) -> HeapReading:
    """Add up a run's records.

    `labels` says by mark which phase begins there (None: none does), `kinds` by its place among the mappings
    what one is that isn't the heap's.
    """
    walk = _Walk(labels, kinds, main_thread)
    for record in records:
        walk.take(record)
    return walk.finish()


class _Walk:
    """Holds the live blocks while records go by.

    What each stack holds at a phase's peak is what it holds now, less what changed since; a new peak begins
    these changes anew. So no live set is ever copied but at a phase's end.
    """

    def __init__(self, labels: Sequence[str | None], kinds: Mapping[int, Kind], main_thread: int) -> None:
        self._labels = labels
        self._kinds = kinds
        self._main_thread = main_thread
        self._reading = HeapReading()
        self._blocks: dict[int, tuple[int, int, int]] = {}
        """By address: size, stack, number of the phase."""
        self._mappings = Mappings()
        self._mapping_number = -1
        self._phase: HeapPhase | None = None
        self._held: dict[int, int] = {}
        self._since: dict[int, int] = {}
        self._total = 0

    def take(self, record: Record) -> None:
        """Add one record."""
        allocator = record.allocator
        self._reading.records += 1
        if allocator == FREE:
            self._free(record.address)
        elif allocator < MMAP:
            self._allocate(record)
        elif allocator == MUNMAP:
            self._unmap(record.address, record.size)
        else:
            self._map(record)

    def finish(self) -> HeapReading:
        """The sums."""
        self._end_phase(self._reading.records - self._reading.marks * RECORDS_OF_MARK)
        self._reading.end_bytes = self._total
        return self._reading

    def _stack(self, record: Record) -> int:
        stack = record.stack_id * 2 + (record.tid != self._main_thread)
        if stack not in self._reading.stacks:
            self._reading.stacks[stack] = record
        return stack

    def _allocate(self, record: Record) -> None:
        address, size, stack = record.address, record.size, self._stack(record)
        if address in self._blocks:
            self._reading.overwritten += 1
            self._free(address)
        phase = self._phase
        self._blocks[address] = (size, stack, phase.number if phase is not None else NO_PHASE)
        self._grow(size, stack)

    def _free(self, address: int) -> None:
        block = self._blocks.pop(address, None)
        if block is None:
            self._reading.unknown_frees += 1
        else:
            self._shrink(*block)

    def _map(self, record: Record) -> None:
        self._mapping_number += 1
        if self._reading.marks < len(self._labels) and record.size == mark_bytes(self._reading.marks):
            self._pass_mark(record)
            return
        kind = self._kinds.get(self._mapping_number, "heap")
        stack, phase = self._stack(record), self._phase
        self._unmap(record.address, record.size)  # a mapping may be laid over another
        number = phase.number if phase is not None else NO_PHASE
        self._mappings.add(MappedRange(record.address, record.size, stack, number, kind))
        if kind == "heap":
            self._grow(record.size, stack)
        elif kind == "reserved":
            self._reading.reserved_bytes += record.size
        elif phase is not None:
            phase.mapped[stack] = phase.mapped.get(stack, 0) + record.size

    def _unmap(self, address: int, size: int) -> None:
        for mapping, taken in self._mappings.cut(address, size):
            if mapping.kind == "heap":
                self._shrink(taken, mapping.stack, mapping.phase)

    def _grow(self, size: int, stack: int) -> None:
        phase = self._phase
        if phase is not None:
            phase.allocated[stack] = phase.allocated.get(stack, 0) + size
            phase.counts[stack] = phase.counts.get(stack, 0) + 1
            phase.left[stack] = phase.left.get(stack, 0) + size
        self._change(size, stack)

    def _shrink(self, size: int, stack: int, number: int) -> None:
        phase = self._phase
        if phase is not None:
            if phase.number == number:
                phase.left[stack] -= size
            else:
                phase.given_back_bytes += size
        self._change(-size, stack)

    def _change(self, change: int, stack: int) -> None:
        self._held[stack] = self._held.get(stack, 0) + change
        self._total += change
        phase = self._phase
        if phase is None:
            return
        if self._total > phase.peak_bytes:
            phase.peak_bytes = self._total
            self._since.clear()
        else:
            self._since[stack] = self._since.get(stack, 0) + change

    def _pass_mark(self, record: Record) -> None:
        reading = self._reading
        label = self._labels[reading.marks]
        reading.marks += 1
        reading.marks_without_stack += not record.stack_trace(1)
        if self._phase is not None and label == self._phase.name:
            return
        before = reading.records - (reading.marks - 1) * RECORDS_OF_MARK - 1
        self._end_phase(before)
        if label is not None:
            self._phase = HeapPhase(label, len(reading.phases), self._total, -before, peak_bytes=self._total)

    def _end_phase(self, records: int) -> None:
        """`records` is how many there were so far, without the marks'."""
        phase, self._phase = self._phase, None
        if phase is None:
            return
        since = self._since
        phase.held = {stack: size for stack, now in self._held.items() if (size := now - since.get(stack, 0))}
        phase.records += records
        phase.end_bytes = self._total
        since.clear()
        self._reading.phases.append(phase)


def phase_tree(phase: HeapPhase, paths: Mapping[int, tuple[FrameKey, ...]]) -> ObservedTree:
    """A phase's numbers at the stacks' frames."""
    tree = ObservedTree()
    nodes: dict[int, int] = {}
    for metric, values in (
        (HEAP, phase.allocated),
        (ALLOCATIONS, phase.counts),
        (HEAP_HELD, phase.held),
        (HEAP_LEFT, phase.left),
        (MAPPED, phase.mapped),
    ):
        for stack, value in values.items():
            if value:
                node = nodes.get(stack)
                if node is None:
                    node = nodes[stack] = tree.descend(0, paths[stack])
                tree.add(node, metric.name, value)
    return tree


def paths_of(reading: HeapReading) -> dict[int, tuple[FrameKey, ...]]:
    """The frames of each stack."""
    stacks = HeapStacks()
    return {
        number: stacks.path(record, in_worker=bool(number % 2)) for number, record in reading.stacks.items()
    }
