"""Who holds the host's memory: every byte of a reading under some holder."""

from __future__ import annotations

import gc
import mmap
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmflame.probes.memory import census as census_module
from llmflame.probes.memory.census import (
    MOST_OWNERS,
    NATIVE,
    NOT_A_WEIGHT,
    PYTHON,
    REST,
    Census,
    take_census,
)
from llmflame.probes.memory.heap import Heap, HeapUse
from llmflame.probes.memory.mappings import KIB, Mapping, read_mappings
from llmflame.probes.memory.tensors import Storage, storages
from llmflame.store import categories as c

MIB = 1 << 20
ARENAS = 3 * MIB
USED, FREE = 50 * MIB, 7 * MIB
USE = HeapUse(USED, FREE)
FREE_CHUNKS = 5


class MadeHeap(Heap):
    """One that says what it is told."""

    def __init__(self, use: HeapUse | None = None) -> None:
        self.use = use

    def read(self) -> HeapUse | None:
        return self.use


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A census of storages, mappings and a heap that are all made up."""

    def take(
        found: Iterable[Storage],
        mappings: list[Mapping] | None,
        use: HeapUse | None = USE,
        arenas: int | None = ARENAS,
    ) -> Census:
        monkeypatch.setattr(census_module, "storages", lambda *_: list(found))
        monkeypatch.setattr(census_module, "read_mappings", lambda: mappings)
        monkeypatch.setattr(census_module, "python_arena_bytes", lambda: arenas)
        return take_census(None, None, "cpu", MadeHeap(use))

    return take


def host(address: int, size: int, category: str = c.WEIGHTS, owner: str = "a") -> Storage:
    return Storage("cpu", address, size, category, owner)


def mapping(begin: int, size: int, name: str, resident: int | None = None, anonymous: int = 0) -> Mapping:
    resident = size if resident is None else resident
    return Mapping(begin, begin + size, name, resident, resident // 2, anonymous, 1)


def held(census: Census) -> dict[tuple[str, str], int]:
    assert {space for space, _, _ in census.held} <= {"host"}
    return {(category, owner): size for (_, category, owner), (size, _) in census.held.items()}


MAP = [
    mapping(1 * MIB, 4 * MIB, "/usr/lib/libtorch.so", resident=3 * MIB, anonymous=1 * MIB),
    mapping(8 * MIB, 8 * MIB, "/models/a.safetensors", resident=6 * MIB),
    mapping(20 * MIB, 64 * MIB, "", resident=60 * MIB, anonymous=60 * MIB),
    mapping(100 * MIB, 4 * MIB, "/dev/zero (deleted)", anonymous=0),
]


def test_each_byte_is_under_the_holder_of_its_place(made: Any) -> None:
    found = [
        host(9 * MIB, 2 * MIB, owner="model.embed"),
        host(12 * MIB, 4 * MIB, owner="model.head"),
        host(30 * MIB, 10 * MIB, owner="model.mlp"),
        host(50 * MIB, 5 * MIB, c.KV_CACHE, "layers.0.keys"),
        host(101 * MIB, 1 * MIB, c.TENSORS, "uint8 [1048576]"),
    ]
    census = made(found, MAP)
    assert held(census) == {
        (c.CHECKPOINT, "model.embed"): 2 * MIB * 6 // 8,
        (c.CHECKPOINT, "model.head"): 4 * MIB * 6 // 8,
        (c.CHECKPOINT, NOT_A_WEIGHT): 6 * MIB - 6 * MIB * 6 // 8,
        (c.WEIGHTS, "model.mlp"): 10 * MIB,
        (c.KV_CACHE, "layers.0.keys"): 5 * MIB,
        (c.PINNED, "uint8 [1048576]"): 1 * MIB,
        (c.PINNED, "page-locked or shared, in no tensor"): 3 * MIB,
        (c.RUNTIME, c.LIBRARIES): 3 * MIB,
        (c.RUNTIME, PYTHON): ARENAS,
        (c.RUNTIME, NATIVE): USED - 15 * MIB,
        (c.SLACK, "the heap's free chunks"): FREE,
    }
    assert census.readings == {
        "weight_bytes": 0,
        "kv_cache_bytes": 5 * MIB,
        "resident_bytes": (3 + 6 + 60 + 4) * MIB,
        "proportional_bytes": (3 + 6 + 60 + 4) * MIB // 2,
        "anonymous_bytes": 61 * MIB,
        "file_bytes": (3 - 1 + 6) * MIB,
        "shared_bytes": 4 * MIB,
        "swap_bytes": 4,
        "python_arena_bytes": ARENAS,
        "heap_used_bytes": USED,
        "heap_free_bytes": FREE,
        "heap_untouched_bytes": 0,
    }
    assert census.total("host", c.CHECKPOINT) == 6 * MIB


def test_a_map_that_can_not_be_read_leaves_the_tensors(made: Any) -> None:
    """The census says less, and all that it says is a tensor's."""
    found = [host(9 * MIB, 2 * MIB), host(30 * MIB, 10 * MIB, c.KV_CACHE, "k"), host(9, 5, c.TENSORS, "t")]
    census = made(found, None)
    assert held(census) == {(c.WEIGHTS, "a"): 2 * MIB, (c.KV_CACHE, "k"): 10 * MIB, (c.TENSORS, "t"): 5}
    assert set(census.readings) == {"weight_bytes", "kv_cache_bytes"}


def test_an_unknown_heap_and_unknown_arenas_are_left_out(made: Any) -> None:
    census = made([host(30 * MIB, 10 * MIB)], MAP, use=None, arenas=None)
    assert (c.RUNTIME, NATIVE) not in held(census) and (c.RUNTIME, PYTHON) not in held(census)
    assert not {"heap_used_bytes", "python_arena_bytes"} & set(census.readings)


def test_tensors_beyond_the_heap_leave_it_nothing_rather_than_less(made: Any) -> None:
    """Of another allocator, or mapped by a program itself."""
    census = made([host(30 * MIB, 2 * USED)], MAP)
    assert (c.RUNTIME, NATIVE) not in held(census)
    assert all(size > 0 for size in held(census).values())


def test_memory_in_huge_pages_is_nobodys_file(made: Any) -> None:
    """The kernel names it like one, and counts none of it as resident: a tensor in it lost its bytes."""
    census = made([host(9 * MIB, MIB)], [mapping(8 * MIB, 4 * MIB, "/anon_hugepage (deleted)", resident=0)])
    assert held(census)[c.WEIGHTS, "a"] == MIB
    assert census.readings["file_bytes"] == 0


def test_small_owners_of_tensors_are_one_and_no_byte_is_lost(made: Any) -> None:
    count = MOST_OWNERS + 50
    found = [host(30 * MIB + n, n + 1, c.TENSORS, f"float32 [{n}]") for n in range(count)]
    found += [host(40 * MIB + n, n + 1, c.WEIGHTS, f"layers.{n}") for n in range(count)]
    census = made(found, MAP)
    tensors = {owner: size for (category, owner), size in held(census).items() if category == c.TENSORS}
    assert len(tensors) == MOST_OWNERS + 1
    assert sum(tensors.values()) == census.total("host", c.WEIGHTS) == sum(range(1, count + 1))
    assert tensors[REST] == sum(range(1, 51)), "the smallest"
    assert census.held["host", c.TENSORS, REST] == (sum(range(1, 51)), 50)
    assert sum(category == c.WEIGHTS for category, _ in held(census)) == count, "modules stay what they are"


PAGES = st.integers(0, 64)
PLACES = st.lists(
    st.tuples(
        st.sampled_from(["/a.so", "/w.safetensors", "/dev/zero", "/dev/nvidia0", "", "[heap]"]), PAGES, PAGES
    ),
    max_size=8,
)


@given(
    PLACES, st.lists(st.tuples(st.integers(0, 600), st.integers(1, 40)), max_size=12), st.integers(0, 10**7)
)
def test_holders_add_up_to_the_readings(
    places: list[tuple[str, int, int]], tensors: list[tuple[int, int]], used: int
) -> None:
    """Pages of files and shared memory exactly; the heap as it says, but for what is not resident."""
    mappings, at = [], 0
    for name, size, resident in places:
        pages = min(size, resident) * 4 * KIB
        mappings.append(mapping(at, (size + 1) * 4 * KIB, name, pages, 0 if name.startswith("/") else pages))
        at += (size + 2) * 4 * KIB
    found: list[Storage] = []
    end = 0
    for gap, size in tensors:
        begin = end + gap * KIB
        around = next((one for one in mappings if one.begin <= begin < one.end), None)
        end = begin + min(size * KIB, around.end - begin if around is not None else size * KIB)
        found.append(host(begin, end - begin, owner=str(len(found))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(census_module, "storages", lambda *_: found)
        patch.setattr(census_module, "read_mappings", lambda: mappings)
        patch.setattr(census_module, "python_arena_bytes", lambda: None)
        census = take_census(None, None, "cpu", MadeHeap(HeapUse(used, FREE_CHUNKS)))
    assert all(size > 0 for size, _ in census.held.values())
    pages = census.total("host", c.CHECKPOINT) + census.held.get(("host", c.RUNTIME, c.LIBRARIES), (0, 0))[0]
    pages += sum(one.resident_bytes for one in mappings if one.name == "/dev/nvidia0")
    # Shares of modules are rounded, each by half a byte at most.
    assert pages == pytest.approx(census.readings["file_bytes"], abs=len(found))
    assert census.total("host", c.PINNED) >= census.readings["shared_bytes"]
    in_heap = census.total("host", c.WEIGHTS)
    native = census.held.get(("host", c.RUNTIME, NATIVE), (0, 0))[0]
    free = census.total("host", c.SLACK)
    untouched = census.readings["heap_untouched_bytes"]
    assert native + free + untouched == max(used - in_heap, 0) + FREE_CHUNKS
    private = sum(one.anonymous_bytes for one in mappings)
    assert native + free <= max(private - in_heap, 0)
    assert not untouched or native + free == max(private - in_heap, 0)


def test_memory_that_was_asked_for_and_never_touched_is_no_part_of_the_resident_set(made: Any) -> None:
    """A CUDA driver asks the heap for more than a hundred megabytes that it does not use."""
    (*_, heap, _) = MAP
    census = made([], [heap], HeapUse(heap.resident_bytes + 90 * MIB, FREE))
    assert census.readings["heap_untouched_bytes"] == 90 * MIB + FREE + ARENAS
    assert sum(held(census).values()) == census.readings["resident_bytes"] == heap.resident_bytes


def test_a_drivers_pages_are_shared_and_stand_in_the_kernels_sum_of_file_pages(made: Any) -> None:
    """RssFile counts them: a reading without them made 73 MiB of other file pages appear in each peak."""
    census = made([], [mapping(1 * MIB, 4 * MIB, "/dev/nvidiactl")], HeapUse(0, 0), None)
    assert held(census) == {(c.PINNED, "page-locked or shared, in no tensor"): 4 * MIB}
    assert census.readings["file_bytes"] == 4 * MIB


# --- of this process -------------------------------------------------------------------------------------

needs_map = pytest.mark.skipif(not Path("/proc/self/smaps").is_file(), reason="needs /proc")


class Tiny(torch.nn.Module):
    """A megabyte of weights in the heap, and a quarter of it tied."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(256, 256)
        self.mlp = torch.nn.Linear(256, 768, bias=False)
        self.head = torch.nn.Linear(256, 256, bias=False)
        self.head.weight = self.embed.weight


def test_a_tiny_models_weights_and_cache_are_counted_exactly() -> None:
    model, cache = Tiny(), {"keys": torch.zeros(1000), "values": [torch.zeros(3000)]}
    census = take_census(model, cache, "cpu", Heap())
    assert census.total("host", c.WEIGHTS) == census.readings["weight_bytes"] == MIB
    assert census.held["host", c.WEIGHTS, "embed"] == (256 * 1024, 1)
    assert census.held["host", c.WEIGHTS, "mlp"] == (768 * 1024, 1)
    assert ("host", c.WEIGHTS, "head") not in census.held
    assert census.total("host", c.KV_CACHE) == census.readings["kv_cache_bytes"] == 16_000
    assert {space for space, _, _ in census.held} == {"host"}


@needs_map
def test_pages_of_files_are_all_under_some_holder() -> None:
    census = take_census(Tiny(), None, "cpu", Heap())
    files = census.total("host", c.CHECKPOINT) + census.held["host", c.RUNTIME, c.LIBRARIES][0]
    copied = sum(one.anonymous_bytes for one in read_mappings() or [] if one.is_file)
    assert files == pytest.approx(census.readings["file_bytes"] + copied, rel=0.02)


@needs_map
def test_a_new_tensor_is_in_the_resident_set_and_under_its_holder_alike() -> None:
    size, heap = 64 * MIB, Heap()
    take_census(None, None, "cpu", heap)
    before = take_census(None, None, "cpu", heap)
    tensor = torch.ones(size // 4)
    after = take_census(None, None, "cpu", heap)
    sums = [sum(held for held, _ in census.held.values()) for census in (before, after)]
    resident = after.readings["resident_bytes"] - before.readings["resident_bytes"]
    # A heap that kept enough free chunks takes no new pages: neither side grows then.
    assert sums[1] - sums[0] == pytest.approx(resident, abs=4 * MIB)
    assert after.held["host", c.TENSORS, f"float32 [{size // 4}]"] == (size, 1)
    assert tensor.nbytes == size


@needs_map
def test_weights_that_are_read_where_they_lie_are_pages_of_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(bytes(64 * KIB))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as mapped:
        assert sum(mapped[::4096]) == 0
        model = torch.nn.Linear(64, 64, bias=False)
        model.weight = torch.nn.Parameter(
            torch.frombuffer(mapped, dtype=torch.float32)[: 64 * 64].view(64, 64)
        )
        census = take_census(torch.nn.ModuleDict({"up": model}), None, "cpu", Heap())
        assert census.held["host", c.CHECKPOINT, "up"][0] == 64 * KIB, "the whole storage, all resident"
        assert census.total("host", c.WEIGHTS) == 0
        assert census.readings["weight_bytes"] == 64 * 64 * 4
        del model.weight
        gc.collect()


def test_a_census_keeps_no_tensor_alive() -> None:
    gc.collect()
    gc.disable()
    try:
        model, cache, other = Tiny(), [torch.zeros(2000)], torch.zeros(3000)
        things: list[Any] = [model, model.mlp.weight, cache[0], other]
        gone = [weakref.ref(one) for one in things]
        census = take_census(model, cache, "cpu", Heap())
        del model, cache, other, things
        assert [one() for one in gone] == [None] * 4
        assert census.held
    finally:
        gc.enable()


def test_a_census_finds_what_the_one_before_it_found() -> None:
    model, cache, heap = Tiny(), [torch.zeros(2000)], Heap()
    take_census(model, cache, "cpu", heap)
    first = take_census(model, cache, "cpu", heap)
    before = {storage.address for storage in storages(model, cache)}
    second = take_census(model, cache, "cpu", heap)
    assert {storage.address for storage in storages(model, cache)} == before
    for category in (c.WEIGHTS, c.KV_CACHE, c.TENSORS, c.CHECKPOINT, c.PINNED):
        assert first.total("host", category) == second.total("host", category)
    if "heap_used_bytes" in first.readings:
        grown = second.readings["heap_used_bytes"] - first.readings["heap_used_bytes"]
        assert abs(grown) < MIB, "it leaves next to nothing behind"
