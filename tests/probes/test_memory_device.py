"""Who holds a device's memory: the allocator's blocks under the tensors that lie in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmflame.probes.memory import census as census_module
from llmflame.probes.memory.blocks import GRAPH_POOL, NO_TENSOR, Block, allocated_blocks, owned
from llmflame.probes.memory.census import Census, take_census
from llmflame.probes.memory.heap import Heap
from llmflame.probes.memory.tensors import Storage
from llmflame.store import categories as c

MIB = 1 << 20
TOTAL = 1000 * MIB
FREE = 300 * MIB
SEGMENT = 0x7F00_0000_0000
ACTIVE, INACTIVE, WAITING = "active_allocated", "inactive", "active_pending_free"


def segment(
    blocks: Iterable[tuple[str, int]],
    *,
    device: int = 0,
    place: int = 0,
    pool: Any = (0, 0),
    told: bool = True,
) -> dict[str, Any]:
    """As `torch.cuda.memory_snapshot` gives it; `told`: with each block's address, as newer torch does."""
    address = begin = SEGMENT + place * 64 * MIB
    found = []
    for state, size in blocks:
        block = {"state": state, "size": size, "requested_size": size - 100}
        found.append(block | ({"address": address} if told else {}))
        address += size
    return {
        "device": device, "address": begin, "total_size": address - begin, "segment_pool_id": pool,
        "blocks": found,
    }  # fmt: skip


def on_device(place: int, offset: int, size: int, owner: str = "a", device: int = 0) -> Storage:
    address = SEGMENT + place * 64 * MIB + offset
    return Storage(f"cuda:{device}", address, size, c.WEIGHTS, owner)


Fake = Callable[..., None]


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """A device that isn't there."""

    def fake(segments: Any, allocated: int = 0, reserved: int = 0) -> None:
        def snapshot() -> Any:
            if isinstance(segments, Exception):
                raise segments
            return segments

        for name, answer in {
            "is_available": lambda: True,
            "is_initialized": lambda: True,
            "memory_allocated": lambda _index: allocated,
            "memory_reserved": lambda _index: reserved,
            "mem_get_info": lambda _index: (FREE, TOTAL),
            "memory_snapshot": snapshot,
        }.items():
            monkeypatch.setattr(torch.cuda, name, answer)

    return fake


# --- blocks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("told", [True, False])
def test_blocks_in_use_and_no_others(cuda: Fake, told: bool) -> None:
    blocks = [(ACTIVE, 512), (INACTIVE, 1024), (ACTIVE, 2048), (WAITING, 512), (ACTIVE, 4096)]
    cuda([segment(blocks, told=told)])
    assert allocated_blocks(0) == [
        Block("cuda:0", SEGMENT, 512, False),
        Block("cuda:0", SEGMENT + 1536, 2048, False),
        Block("cuda:0", SEGMENT + 4096, 4096, False),
    ]


def test_blocks_of_another_device_are_left_out(cuda: Fake) -> None:
    cuda([segment([(ACTIVE, 512)]), segment([(ACTIVE, 1024)], device=1, place=1)])
    assert [(block.device, block.bytes) for block in allocated_blocks(1) or []] == [("cuda:1", 1024)]
    assert allocated_blocks(2) == []


@pytest.mark.parametrize("pool", [(0, 1), [3, 0]])
def test_blocks_of_a_graphs_pool_are_known(cuda: Fake, pool: Any) -> None:
    cuda([segment([(ACTIVE, 512)], pool=pool), segment([(ACTIVE, 512)], place=1, pool=[0, 0])])
    assert [block.graph for block in allocated_blocks(0) or []] == [True, False]


def test_a_torch_that_says_nothing_of_pools(cuda: Fake) -> None:
    plain = segment([(ACTIVE, 512)])
    del plain["segment_pool_id"]
    cuda([plain])
    assert [block.graph for block in allocated_blocks(0) or []] == [False]


@pytest.mark.parametrize("error", [RuntimeError("cudaMallocAsync"), AttributeError("no snapshot")])
def test_an_allocator_without_a_list(cuda: Fake, error: Exception) -> None:
    cuda(error)
    assert allocated_blocks(0) is None


def test_a_holder_has_the_allocators_bytes_not_its_own() -> None:
    blocks = [Block("cuda:0", SEGMENT, 512, False), Block("cuda:0", SEGMENT + 512, 2 * MIB, False)]
    found = owned(blocks, [on_device(0, 0, 100), on_device(0, 512, MIB + 1, "b")])
    assert [(one.category, one.owner, one.bytes) for one in found] == [
        (c.WEIGHTS, "a", 512),
        (c.WEIGHTS, "b", 2 * MIB),
    ]


def test_blocks_that_no_tensor_reaches_are_workspace() -> None:
    blocks = [Block("cuda:0", SEGMENT, 512, True), Block("cuda:0", SEGMENT + 512, 1024, False)]
    on_host = Storage("cpu", SEGMENT + 512, 1024, c.WEIGHTS, "a")
    found = owned(blocks, [on_host])
    assert [(one.category, one.owner) for one in found] == [
        (c.WORKSPACE, GRAPH_POOL),
        (c.WORKSPACE, NO_TENSOR),
    ]


def test_a_tensor_in_a_graphs_pool_is_its_holders() -> None:
    assert owned([Block("cuda:0", SEGMENT, 512, True)], [on_device(0, 0, 400)])[0].owner == "a"


# --- a census of the device ------------------------------------------------------------------------------


def take(monkeypatch: pytest.MonkeyPatch, found: Iterable[Storage], device: str = "cuda:0") -> Census:
    monkeypatch.setattr(census_module, "storages", lambda *_: list(found))
    monkeypatch.setattr(census_module, "read_mappings", lambda: None)
    return take_census(None, None, device, Heap())


def held(census: Census) -> dict[tuple[str, str], int]:
    return {
        (category, owner): size
        for (space, category, owner), (size, _) in census.held.items()
        if space == "device"
    }


def test_allocated_bytes_are_the_sum_of_their_holders(cuda: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    cuda(
        [
            segment([(ACTIVE, 4 * MIB), (INACTIVE, 12 * MIB), (ACTIVE, 4 * MIB)]),
            segment([(ACTIVE, 8 * MIB)], place=1, pool=(0, 1)),
            segment([(ACTIVE, 16 * MIB)], place=2, device=1),
        ],
        allocated=16 * MIB,
        reserved=28 * MIB,
    )
    tensors = [
        on_device(0, 0, 4 * MIB - 9),
        on_device(0, 16 * MIB, 3 * MIB, "b"),
        on_device(2, 0, 16 * MIB, "elsewhere", device=1),
    ]
    census = take(monkeypatch, tensors)
    assert held(census) == {
        (c.WEIGHTS, "a"): 4 * MIB,
        (c.WEIGHTS, "b"): 4 * MIB,
        (c.WORKSPACE, GRAPH_POOL): 8 * MIB,
        (c.SLACK, "reserved, but not in use"): 12 * MIB,
    }
    assert census.readings["device_allocated_bytes"] == 16 * MIB
    assert census.readings["device_reserved_bytes"] == 28 * MIB
    assert census.readings["device_used_bytes"] == TOTAL - FREE
    assert census.readings["device_total_bytes"] == TOTAL
    assert census.total("host", *c.ORDER) == 0, "a device's tensors are not the host's"


@pytest.mark.parametrize("segments", [RuntimeError("cudaMallocAsync"), []], ids=["raises", "empty"])
def test_without_a_list_what_no_tensor_explains_is_workspace(
    cuda: Fake, monkeypatch: pytest.MonkeyPatch, segments: Any
) -> None:
    cuda(segments, allocated=10 * MIB, reserved=32 * MIB)
    census = take(monkeypatch, [on_device(0, 0, 4 * MIB - 9), on_device(0, 8 * MIB, 3 * MIB, "b")])
    assert held(census) == {
        (c.WEIGHTS, "a"): 4 * MIB - 9,
        (c.WEIGHTS, "b"): 3 * MIB,
        (c.WORKSPACE, "in use, but in no list of blocks"): 3 * MIB + 9,
        (c.SLACK, "reserved, but not in use"): 22 * MIB,
    }


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:1"])
def test_only_the_models_device_is_counted(cuda: Fake, monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    index = 1 if device == "cuda:1" else 0
    cuda(
        [segment([(ACTIVE, MIB)]), segment([(ACTIVE, 2 * MIB)], device=1, place=1)],
        allocated=(index + 1) * MIB,
        reserved=(index + 1) * MIB,
    )
    tensors = [on_device(0, 0, MIB, "first"), on_device(1, 0, 2 * MIB, "second", device=1)]
    owner = ("first", "second")[index]
    assert held(take(monkeypatch, tensors, device)) == {(c.WEIGHTS, owner): (index + 1) * MIB}


def test_a_device_that_nobody_uses_yet_is_not_asked(cuda: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking would make a context, which takes memory itself."""
    cuda([])
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _index: pytest.fail("a context"))
    census = take(monkeypatch, [])
    assert not held(census) and not any(name.startswith("device") for name in census.readings)


STATES = st.sampled_from([ACTIVE, ACTIVE, INACTIVE])
SEGMENTS = st.lists(
    st.tuples(
        st.lists(st.tuples(STATES, st.integers(1, 40), st.sampled_from(["model", "cache", ""])), max_size=6),
        st.integers(0, 1),
        st.booleans(),
    ),
    max_size=5,
)


@given(SEGMENTS, st.booleans(), st.integers(0, 9))
def test_holders_always_add_up_to_what_is_reserved(
    made: list[tuple[list[tuple[str, int, str]], int, bool]], has_list: bool, untold: int
) -> None:
    """Whatever tensors there are, and whether or not the allocator keeps a list."""
    segments, tensors, allocated, reserved = [], [], untold * 512, untold * 512
    for place, (blocks, device, graph) in enumerate(made):
        sized = [(state, count * 512) for state, count, _ in blocks]
        segments.append(segment(sized, device=device, place=place, pool=(0, 1) if graph else (0, 0)))
        offset = 0
        for state, count, owner in blocks:
            if state == ACTIVE and owner:
                tensors.append(on_device(place, offset, count * 512 - 7, owner, device))
            offset += count * 512
        if device == 0:
            allocated += sum(size for state, size in sized if state == ACTIVE)
            reserved += offset
    with pytest.MonkeyPatch.context() as patch:
        for name, answer in {
            "is_available": lambda: True,
            "is_initialized": lambda: True,
            "memory_allocated": lambda _index: allocated,
            "memory_reserved": lambda _index: reserved,
            "mem_get_info": lambda _index: (FREE, TOTAL),
            "memory_snapshot": lambda: segments if has_list else [],
        }.items():
            patch.setattr(torch.cuda, name, answer)
        census = take(patch, tensors)
    found = held(census)
    assert all(size > 0 for size in found.values())
    assert sum(found.values()) == reserved
    assert sum(size for (category, _), size in found.items() if category != c.SLACK) == allocated
