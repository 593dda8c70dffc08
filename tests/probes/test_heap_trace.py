"""memray's records, added up by phase: against an independent walk over the same records."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import llmflame
from llmflame.errors import UsageError
from llmflame.probes import heap_follower
from llmflame.probes.charge import OWN, UNATTRIBUTED
from llmflame.probes.heap_mappings import (
    MMAP,
    MUNMAP,
    Kind,
    MappedRange,
    Mappings,
    kind_at,
    kinds_of_mappings,
    mark_bytes,
    parse_maps,
)
from llmflame.probes.heap_stacks import WORKERS, HeapStacks
from llmflame.probes.heap_trace import FREE, HeapPhase, HeapReading, paths_of, phase_tree, read_heap
from llmflame.probes.sampler import IMPORT_SYSTEM
from llmflame.store.metrics import HEAP_HELD

MALLOC, REALLOC, POSIX_MEMALIGN = 6, 7, 9
MAIN, WORKER = 1, 2
PAGE = 4096
MIB = 1 << 20
OWN_FILE = f"{llmflame.__path__[0]}/recording/x.py"
MAPS = b"""\
10000000-10100000 rw-p 00000000 00:00 0
20000000-30000000 r--p 00000000 fe:00 1234      /weights/model.safetensors
40000000-50000000 ---p 00000000 00:00 0
50000000-50001000 rw-p 00000000 00:00 0
60000000-60100000 rw-s 00000000 00:01 77        /dev/zero (deleted)
70000000-70100000 rw-s 00000000 00:05 9         /dev/nvidia-uvm
80000000-80100000 ---p 00000000 00:00 0
7f0000000000-7f0000021000 rw-p 00000000 00:00 0 [heap]
"""


@dataclass(frozen=True)
class Made:
    """A record as memray would have it."""

    allocator: int
    address: int
    size: int = 0
    stack_id: int = 0
    tid: int = MAIN
    stack: tuple[tuple[str, str, int], ...] = field(default=(("f", "/program/x.py", 3),))

    def stack_trace(self, max_stacks: int | None = None) -> list[tuple[str, str, int]]:
        return list(self.stack[:max_stacks])


def mark(number: int, *, lost: bool = False) -> list[Made]:
    stack = () if lost else (("place", "/x.py", 1),)
    address = 0x9000_0000_0000
    return [Made(MMAP, address, mark_bytes(number), stack=stack), Made(MUNMAP, address, mark_bytes(number))]


def read(records: list[Made], *labels: str | None, **kinds: Kind) -> HeapReading:
    return read_heap(records, labels, {int(name[1:]): kind for name, kind in kinds.items()}, MAIN)


def only(reading: HeapReading) -> HeapPhase:
    (phase,) = reading.phases
    return phase


def test_what_is_held_at_the_peak_is_not_what_is_left() -> None:
    records = [
        *mark(0),
        Made(MALLOC, 100, 10, stack_id=1),
        Made(POSIX_MEMALIGN, 200, 70, stack_id=2),
        Made(FREE, 200),
        Made(MALLOC, 300, 20, stack_id=1),
        *mark(1),
        Made(MALLOC, 400, 1000, stack_id=3),
    ]
    reading = read(records, "load", None)
    phase = only(reading)
    assert (phase.peak_bytes, phase.held) == (80, {2: 10, 4: 70})
    assert {stack: left for stack, left in phase.left.items() if left} == {2: 30}
    assert phase.allocated == {2: 30, 4: 70}
    assert phase.counts == {2: 2, 4: 1}
    assert (phase.begin_bytes, phase.end_bytes, reading.end_bytes) == (0, 30, 1030)
    assert (phase.records, reading.records) == (4, 9), "marks are none of a phase's records"


def test_a_phase_that_only_frees_has_its_peak_at_its_beginning() -> None:
    records = [Made(MALLOC, 100, 10, stack_id=1), *mark(0), Made(FREE, 100), *mark(1)]
    phase = only(read(records, "decode", None))
    assert (phase.peak_bytes, phase.held, phase.end_bytes, phase.given_back_bytes) == (10, {2: 10}, 0, 10)


def test_a_block_that_is_made_longer_is_given_back_and_made_anew() -> None:
    records = [*mark(0), Made(MALLOC, 100, 10), Made(FREE, 100), Made(REALLOC, 100, 25), *mark(1)]
    phase = only(read(records, "load", None))
    assert (phase.peak_bytes, phase.end_bytes, phase.allocated) == (25, 25, {0: 35})


def test_one_phase_may_have_many_marks() -> None:
    records = [*mark(0), Made(MALLOC, 100, 10), *mark(1), Made(MALLOC, 200, 10), *mark(2), *mark(3)]
    reading = read(records, "decode", "decode", "detokenize", None)
    assert [(phase.name, phase.end_bytes) for phase in reading.phases] == [("decode", 20), ("detokenize", 20)]
    assert reading.marks == 4


def test_marks_hold_nothing() -> None:
    reading = read([*mark(0), *mark(1)], "load", None)
    assert (only(reading).peak_bytes, reading.end_bytes, reading.stacks) == (0, 0, {})


def test_marks_tell_where_the_stacks_were_lost() -> None:
    reading = read([*mark(0), *mark(1, lost=True)], "load", None)
    assert reading.marks_without_stack == 1


def test_files_are_mapped_and_not_held() -> None:
    records = [
        *mark(0),
        Made(MMAP, 0x10000, 10 * MIB + 1, stack_id=1),
        Made(MMAP, 0x9000_0000, MIB, stack_id=2),
        Made(MMAP, 0xA000_0000, 64 * MIB, stack_id=3),
        *mark(1),
        Made(MUNMAP, 0x10000, 10 * MIB + 1),
    ]
    reading = read(records, "load", None, k1="file", k3="reserved")
    phase = only(reading)
    assert (phase.mapped, phase.allocated) == ({2: 10 * MIB + 1}, {4: MIB})
    assert (phase.peak_bytes, reading.end_bytes, reading.reserved_bytes) == (MIB, MIB, 64 * MIB)


def test_the_end_of_a_block_that_nobody_noted_is_counted() -> None:
    reading = read([Made(FREE, 5), Made(MALLOC, 100, 10), Made(MALLOC, 100, 30)])
    assert (reading.unknown_frees, reading.overwritten, reading.end_bytes) == (1, 1, 30)


def test_a_worker_is_another_stack() -> None:
    records = [*mark(0), Made(MALLOC, 1, 10, 5), Made(MALLOC, 2, 20, 5, WORKER), *mark(1)]
    reading = read(records, "load", None)
    assert only(reading).held == {10: 10, 11: 20}
    tree = phase_tree(only(reading), paths_of(reading))
    frame = ("python", "f", "/program/x.py", 3, None)
    held = tree.cells[HEAP_HELD.name]
    assert held[tree.descend(0, [frame])] == 10
    assert held[tree.descend(0, [WORKERS, frame])] == 20


def _stream(seed: int, length: int) -> tuple[list[Made], list[str | None]]:
    """Records as a process might leave: blocks, mappings that are cut, phases one behind the other."""
    draw = random.Random(seed)
    blocks: list[int] = []
    records: list[Made] = []
    labels: list[str | None] = []
    for number in range(length):
        choice = draw.random()
        if choice < 0.05:
            records += mark(len(labels))
            labels.append(draw.choice(["import", "load", None]))
        elif choice < 0.5 or not blocks:
            blocks.append(number + 1)
            tid = draw.choice([MAIN, WORKER])
            records.append(Made(MALLOC, number + 1, draw.randrange(1000), draw.randrange(6), tid))
        elif choice < 0.8:
            records.append(Made(FREE, blocks.pop(draw.randrange(len(blocks)))))
        else:
            pages, size = draw.randrange(8, 40), draw.randrange(1, 6) * PAGE
            call = draw.choice([MMAP, MUNMAP])
            records.append(Made(call, pages * PAGE, size, draw.randrange(6)))
    records += mark(len(labels))
    return records, [*labels, None]


@dataclass
class Slow:
    """The same numbers by copying the live set, page by page and block by block, at each new peak."""

    live: dict[object, tuple[int, int, int]] = field(default_factory=dict)

    def total(self) -> int:
        return sum(size for size, _, _ in self.live.values())

    def take(self, record: Made, stretch: int) -> None:
        stack = record.stack_id * 2 + (record.tid != MAIN)
        pages = range(record.address // PAGE, (record.address + record.size) // PAGE)
        if record.allocator == FREE:
            self.live.pop(record.address)
        elif record.allocator == MALLOC:
            self.live[record.address] = (record.size, stack, stretch)
        else:
            for page in pages:
                self.live.pop(("page", page), None)
                if record.allocator == MMAP:
                    self.live["page", page] = (PAGE, stack, stretch)

    def by_stack(self, stretch: int | None = None) -> dict[int, int]:
        sums: dict[int, int] = {}
        for size, stack, made in self.live.values():
            if size and (stretch is None or made == stretch):
                sums[stack] = sums.get(stack, 0) + size
        return sums


@given(st.integers(0, 2**32), st.integers(1, 300))
def test_an_independent_walk_finds_the_same(seed: int, length: int) -> None:
    records, labels = _stream(seed, length)
    reading = read(records, *labels)
    slow, stretch, peak = Slow(), -1, 0
    current: str | None = None
    found: list[tuple[str, int, dict[int, int], dict[int, int]]] = []
    held: dict[int, int] = {}
    marks = iter(labels)
    for record in records:
        if record.size >= mark_bytes(0):
            if record.allocator == MUNMAP:
                continue
            label = next(marks)
            if label == current and current is not None:
                continue
            if current is not None:
                found.append((current, peak, held, slow.by_stack(stretch)))
            current, stretch = label, stretch + 1
            peak, held = slow.total(), slow.by_stack()
            continue
        slow.take(record, stretch)
        # A mapping laid over others first gives those back: a peak in between is none.
        if slow.total() > peak:
            peak, held = slow.total(), slow.by_stack()
    assert [
        (phase.name, phase.peak_bytes, phase.held, {s: left for s, left in phase.left.items() if left})
        for phase in reading.phases
    ] == found
    for phase in reading.phases:
        assert sum(phase.held.values()) == phase.peak_bytes
        left = sum(phase.left.values())
        assert phase.begin_bytes + left - phase.given_back_bytes == phase.end_bytes
    assert reading.end_bytes == slow.total()


def test_the_system_s_list_tells_mappings_apart() -> None:
    ranges = parse_maps(MAPS)
    assert kind_at(ranges, 0x10000000, MIB) == "heap"
    assert kind_at(ranges, 0x20000000, 0x10000000) == "file"
    assert kind_at(ranges, 0x21000000, MIB) == "file"
    assert kind_at(ranges, 0x40000000, 0x10001000) == "heap", "a part of it was opened"
    assert kind_at(ranges, 0x80000000, MIB) == "reserved"
    assert kind_at(ranges, 0x60000000, MIB) == "heap", "shared memory has a name and is no file"
    assert kind_at(ranges, 0x70000000, MIB) == "reserved"
    assert kind_at(ranges, 0x90000000, MIB) is None
    assert kind_at(ranges, 0x1000, MIB) is None


def test_a_mapping_that_is_gone_is_a_file_s_by_its_size() -> None:
    records = [
        Made(MMAP, 0x10000000, MIB),  # 0: anonymous, by the list
        Made(MMAP, 0x20000000, 268_435_456),  # 1: a file, by the list
        Made(MMAP, 0x50000, 269_060_552),  # 2: gone, the size of the weights
        Made(MUNMAP, 0x50000, 269_060_552),
        Made(MMAP, 0x50000, 300),  # 3: gone, of no known size
        Made(MALLOC, 1, 10),
        *mark(0),  # 4
        Made(MMAP, 0x20000000, 999),  # 5: laid over the file, never listed
    ]
    kinds = kinds_of_mappings(records, [MAPS], {269_060_552})
    assert kinds.of == {1: "file", 2: "file"}
    assert (kinds.listed, kinds.by_size, kinds.unlisted) == (2, 1, 2)


def test_parts_of_a_mapping_can_be_given_back() -> None:
    mappings = Mappings()
    mappings.add(MappedRange(0, 10 * PAGE - 5, 1, 0, "heap"))
    assert [taken for _, taken in mappings.cut(2 * PAGE, PAGE)] == [PAGE]
    assert sorted((one.start, one.size) for one in mappings) == [(0, 2 * PAGE), (3 * PAGE, 7 * PAGE - 5)]
    assert [taken for _, taken in mappings.cut(0, 100 * PAGE)] == [2 * PAGE, 7 * PAGE - 5]
    assert mappings.cut(0, PAGE) == []


SOURCE = """\
import abc

@abc.abstractmethod
def decorated():
    return 1

@final
@other
class Body:
    x = 1

    def method(self):
        return [
            y
        ]
"""


@pytest.fixture
def source(tmp_path: Path) -> str:
    path = tmp_path / "program.py"
    path.write_text(SOURCE)
    return str(path)


def _path(*stack: tuple[str, str, int], in_worker: bool = False) -> list[tuple[str, int | None]]:
    record = Made(MALLOC, 1, 1, stack=tuple(reversed(stack)))
    return [(frame[1], frame[3]) for frame in HeapStacks().path(record, in_worker=in_worker)]


def test_frames_are_named_by_the_line_that_they_begin_at(source: str) -> None:
    stack = [("<module>", source, 7), ("Body", source, 10), ("method", source, 14), ("decorated", source, 5)]
    assert _path(*stack) == [("<module>", 1), ("Body", 7), ("method", 12), ("decorated", 3)]


def test_what_is_above_llmflame_is_how_it_was_started(source: str) -> None:
    assert _path(("<module>", source, 1), ("run", OWN_FILE, 1), ("decorated", source, 5)) == [
        ("decorated", 3)
    ]


def test_what_llmflame_allocates_is_its_own(source: str) -> None:
    assert _path(("decorated", source, 5), ("run", OWN_FILE, 1)) == [(OWN[1], None)]


def test_import_machinery_is_a_frame_only_where_it_allocates(source: str) -> None:
    machinery = ("_find_and_load", "<frozen importlib._bootstrap>", 1)
    assert _path(("<module>", source, 1), machinery, ("decorated", source, 5)) == [
        ("<module>", 1),
        ("decorated", 3),
    ]
    assert _path(("<module>", source, 1), machinery) == [("<module>", 1), (IMPORT_SYSTEM[1], None)]


def test_a_worker_s_stack_begins_with_its_job(source: str) -> None:
    import concurrent.futures.thread
    import threading

    above = [("_bootstrap", str(threading.__file__), 1), ("run", str(concurrent.futures.thread.__file__), 58)]
    worker = [(WORKERS[1], None)]
    assert _path(*above, ("decorated", source, 5), in_worker=True) == [*worker, ("decorated", 3)]
    assert _path(*above, in_worker=True) == [*worker, (UNATTRIBUTED[1], None)]
    assert _path() == [(UNATTRIBUTED[1], None)]


def test_without_memray_nothing_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(UsageError, match=r"needs memray: pip install 'llmflame\[memory\]'"):
        heap_follower.check_memray()


def test_a_platform_without_memray_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmflame.probes.heap_follower.sys.platform", "win32")
    with pytest.raises(UsageError, match="runs on Linux and macOS, not win32"):
        heap_follower.check_memray()
