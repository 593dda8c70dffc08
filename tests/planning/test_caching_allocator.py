"""The rules of torch's caching allocator, and what an H200 reserved for real requests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaConfig

from llmflame.planning import architecture
from llmflame.planning.activations import simulate
from llmflame.planning.attention import Kernels
from llmflame.planning.caching_allocator import (
    LEAST_BLOCK,
    MIB,
    MIDDLE_SEGMENT,
    SMALL,
    SMALL_SEGMENT,
    CachingAllocator,
)
from llmflame.planning.request import Request


def reserved_for(*events: tuple[int, int]) -> int:
    allocator = CachingAllocator()
    allocator.follow(events)
    return allocator.reserved_bytes


@pytest.mark.parametrize(
    ("size", "reserved"),
    [
        (0, 0),
        (1, SMALL_SEGMENT),
        (SMALL, SMALL_SEGMENT),
        (SMALL + 1, MIDDLE_SEGMENT),
        (10 * MIB - LEAST_BLOCK, MIDDLE_SEGMENT),
        (10 * MIB, 10 * MIB),
        (33 * MIB, 34 * MIB),
    ],
)
def test_the_segment_of_a_first_block(size: int, reserved: int) -> None:
    assert reserved_for((1, size)) == reserved


def test_blocks_share_a_segment_until_it_is_full() -> None:
    small = [(number, SMALL) for number in range(5)]
    assert reserved_for(*small) == 3 * SMALL_SEGMENT
    assert reserved_for(*((number, 6 * MIB) for number in range(3))) == MIDDLE_SEGMENT
    assert reserved_for(*((number, 6 * MIB) for number in range(4))) == 2 * MIDDLE_SEGMENT


def test_a_large_block_is_not_cut_for_a_rest_that_small_blocks_could_fill() -> None:
    """The rest of 1 MiB stays with the block, and a large request of 1 MiB more needs a segment."""
    assert reserved_for((1, 33 * MIB), (2, SMALL + 1)) == 34 * MIB + MIDDLE_SEGMENT


def test_the_smallest_free_block_that_is_large_enough_is_taken() -> None:
    kept = [(1, 64 * MIB), (2, 32 * MIB), (1, -64 * MIB), (2, -32 * MIB)]
    assert reserved_for(*kept, (3, 30 * MIB), (4, 60 * MIB)) == 96 * MIB


def test_free_neighbours_become_one_block() -> None:
    parts = [(number, 16 * MIB) for number in range(4)]
    whole = [(9, 64 * MIB), (9, -64 * MIB), *parts]
    back = [(number, -16 * MIB) for number in (0, 2, 1, 3)]
    assert reserved_for(*whole, *back, (5, 64 * MIB)) == 64 * MIB
    fragmented = [(0, -16 * MIB), (2, -16 * MIB)]
    assert reserved_for(*whole, *fragmented, (5, 32 * MIB)) == 96 * MIB


EVENTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 40 * MIB)), max_size=60)


@given(EVENTS)
def test_it_reserves_what_is_held_and_hands_all_of_it_out_again(wanted: list[tuple[int, int]]) -> None:
    """Each number is asked for and released in turn."""
    allocator = CachingAllocator()
    held: dict[int, int] = {}
    highest = 0
    for number, size in wanted:
        if number in held:
            allocator.release(number)
            del held[number]
        else:
            allocator.allocate(number, size)
            held[number] = size
        highest = max(highest, sum(held.values()))
        assert allocator.reserved_bytes >= highest
    taken = allocator.reserved_bytes
    for number in held:
        allocator.release(number)
    sizes = [size for number, size in wanted if size]
    if sizes:
        allocator.allocate(-1, min(sizes))
        assert allocator.reserved_bytes == taken, "something of that size is free"


MEASURED = {
    Request(1, 16, 64): 2_512_388_096,
    Request(8, 16, 64): 2_556_428_288,
    Request(1, 4096, 24): 2_998_927_360,
    Request(8, 4096, 8): 6_444_548_096,
}
"""Reserved on an H200 after several requests: benchmarks/results/h200/memory.json."""


@pytest.mark.parametrize("request_", MEASURED, ids=str)
def test_what_a_real_device_reserved(request_: Request) -> None:
    config = LlamaConfig(
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=16,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=64,
        vocab_size=128_256,
        tie_word_embeddings=True,
    )
    built = architecture.build(config, "bfloat16")
    found = simulate(built.model, request_, Kernels("cuda", capability=(9, 0))).reserved
    assert found is not None
    assert found.load <= found.prefill <= found.decode
    assert found.decode == pytest.approx(MEASURED[request_], rel=0.003)


def test_what_the_load_left_is_used_before_more_is_taken() -> None:
    config = LlamaConfig(
        hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, vocab_size=256
    )
    built = architecture.build(config, "bfloat16")
    found = simulate(built.model, Request(1, 8, 4), Kernels("cuda", capability=(9, 0)), 512 * MIB).reserved
    assert found is not None
    assert found.load - 512 * MIB <= SMALL_SEGMENT * 2, "blocks of a megabyte and less lie elsewhere"
