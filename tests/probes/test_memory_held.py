"""What is held at a window's peak: small replays by hand, and random ones against a simpler count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmflame.probes.charge import charge
from llmflame.probes.memory.held import CacheAddresses, Peak, Taken, hold
from llmflame.store import categories as c
from llmflame.store.observed import FrameKey, ObservedTree
from tests.probes.made_traces import allocation, event, named, trace

HELD, LEFT = "held_bytes", "left_bytes"
NOTHING = CacheAddresses()
MODULE_END = 50
"""When the call of the module ends, in replays by hand."""


class Replay:
    """A window in which one operator of one module takes and gives back."""

    def __init__(self, *, device: bool = False) -> None:
        self.tree = ObservedTree()
        module: FrameKey = ("module", "MLP", None, None, "layers.0.mlp")
        self.node = self.tree.descend(0, [module, ("op", "aten::mm", None, None, None)])
        self.device = device
        self.events: list[Taken] = []

    def take(self, at: int, address: int, size: int, until: int = MODULE_END) -> None:
        self.events.append(Taken(at, address, size, self.device, self.node, until))

    def free(self, at: int, address: int, size: int) -> None:
        self.take(at, address, -size)

    def held(self, cache: CacheAddresses = NOTHING, alive: Collection[int] | None = None) -> Peak:
        return hold(self.tree, self.events, cache, alive)

    def cells(self, metric: str = HELD) -> dict[str, float]:
        """Of the operator's leaves, by their names."""
        return {path[-1]: size for path, size in named(self.tree, metric).items()}


def sizes(peak: Peak) -> dict[tuple[str, str], int]:
    return {(category, owner): size for (_, category, owner), (size, _) in peak.held.items()}


MLP = "layers.0.mlp"


# --- by hand ---------------------------------------------------------------------------------------------


def test_what_outlives_the_modules_call_is_an_activation_and_the_rest_temporary() -> None:
    replay = Replay()
    replay.take(10, 1, 100)
    replay.take(11, 2, 30)
    replay.take(12, 3, 7)
    replay.take(13, 4, 1)
    replay.free(MODULE_END, 2, 30)
    replay.free(MODULE_END + 1, 3, 7)
    replay.free(20, 1, 100)
    peak = replay.held()
    assert peak.bytes == {"host": 138}
    assert peak.held == {("host", c.TEMPORARIES, MLP): (130, 2), ("host", c.ACTIVATIONS, MLP): (8, 2)}
    assert replay.cells() == {c.TEMPORARIES: 130, c.ACTIVATIONS: 8}


def test_the_peak_is_an_instant_not_the_sum_of_all_that_was_taken() -> None:
    replay = Replay()
    replay.take(10, 1, 100)
    replay.free(11, 1, 100)
    replay.take(12, 2, 60)
    replay.take(13, 3, 50)
    replay.free(14, 2, 60)
    replay.take(15, 4, 55)
    peak = replay.held()
    assert peak.bytes == {"host": 110}
    assert sizes(peak) == {(c.TEMPORARIES, MLP): 60, (c.ACTIVATIONS, MLP): 50}


def test_of_equal_peaks_the_first_counts() -> None:
    replay = Replay()
    replay.take(10, 1, 100)
    replay.free(60, 1, 100)
    replay.take(70, 2, 100, until=90)
    replay.free(80, 2, 100)
    assert sizes(replay.held()) == {(c.ACTIVATIONS, MLP): 100}


def test_host_and_device_have_peaks_of_their_own() -> None:
    host, device = Replay(), Replay(device=True)
    host.take(10, 1, 100)
    host.free(11, 1, 100)
    device.take(12, 1, 5000)
    host.events += device.events
    peak = host.held()
    assert peak.bytes == {"host": 100, "device": 5000}
    assert peak.held["device", c.ACTIVATIONS, MLP] == (5000, 1)
    assert host.cells("device_held_bytes") == {c.ACTIVATIONS: 5000}


def test_what_was_given_back_from_before_the_window_makes_room() -> None:
    """Before the peak it counts, after it not; where nothing more is ever held there is no peak."""
    replay = Replay()
    replay.free(10, 7, 40)
    replay.take(11, 1, 100)
    replay.free(12, 8, 500)
    peak = replay.held(CacheAddresses(before={8: ("k", 500)}))
    assert peak.bytes == {"host": 60}
    assert peak.held == {("host", c.ACTIVATIONS, MLP): (100, 1), ("host", c.TENSORS, ""): (-40, -1)}
    less = Replay()
    less.free(10, 7, 40)
    less.take(11, 1, 30)
    peak = less.held()
    assert peak.bytes == {"host": 0} and not peak.held and not less.cells()


def test_a_cache_is_what_lies_in_it_when_the_window_closes() -> None:
    replay = Replay(device=True)
    replay.take(10, 1, 110)
    replay.free(11, 9, 100)
    replay.take(12, 2, 20)
    cache = CacheAddresses(before={9: ("layers.0.keys", 100)}, after={1: ("layers.0.keys", 110)})
    peak = replay.held(cache)
    assert peak.bytes == {"device": 110}
    assert sizes(peak) == {(c.KV_CACHE, MLP): 110}, "the old one was still there"
    replay.take(13, 3, 200)
    assert sizes(replay.held(cache)) == {
        (c.KV_CACHE, MLP): 110,
        (c.KV_CACHE, ""): -100,
        (c.ACTIVATIONS, MLP): 220,
    }


def test_an_address_that_is_taken_again_is_another_block() -> None:
    replay = Replay()
    replay.take(10, 1, 100)
    replay.free(11, 1, 100)
    replay.take(12, 1, 120)
    replay.free(70, 1, 120)
    replay.take(71, 1, 10)
    peak = replay.held(alive={1})
    assert sizes(peak) == {(c.ACTIVATIONS, MLP): 120}
    assert replay.cells(LEFT) == {"aten::mm": 10}


def test_events_of_one_instant_are_replayed_in_their_order() -> None:
    """Blocks were compared by time alone: what came behind the peak in its nanosecond was held at it."""
    replay = Replay()
    replay.take(10, 1, 100)
    replay.free(10, 1, 100)
    replay.take(10, 2, 60)
    peak = replay.held()
    assert peak.bytes == {"host": 100}
    assert sizes(peak) == {(c.TEMPORARIES, MLP): 100}


# --- left behind -----------------------------------------------------------------------------------------


def test_left_behind_is_what_lives_on_and_is_in_no_cache() -> None:
    replay = Replay()
    for address, size in ((1, 100), (2, 20), (3, 3), (4, 4000)):
        replay.take(10 + address, address, size)
    replay.free(20, 3, 3)
    replay.held(CacheAddresses(after={2: ("k", 20)}), alive={1, 2, 3, 99})
    assert replay.cells(LEFT) == {"aten::mm": 100}


@pytest.mark.parametrize("alive", [None, (), {99}])
def test_nothing_is_left_behind_where_nobody_looked_or_found_it(alive: Collection[int] | None) -> None:
    replay = Replay()
    replay.take(10, 1, 100)
    replay.held(alive=alive)
    assert not replay.cells(LEFT)


def test_what_is_left_behind_needs_no_peak() -> None:
    replay = Replay(device=True)
    replay.free(10, 7, 400)
    replay.take(11, 1, 100)
    assert replay.held(alive={1}).bytes == {"device": 0}
    assert replay.cells("device_left_bytes") == {"aten::mm": 100}


# --- what the host's allocator does not tell -------------------------------------------------------------


def grow(old: int, new: int, place: str = "k") -> CacheAddresses:
    return CacheAddresses(before={old: (place, 100)}, after={new: (place, 110)})


def test_a_cache_that_grows_by_copying_gives_the_old_tensor_back() -> None:
    """torch's tracer is silent about blocks from before it came: each step seemed to keep a whole cache."""
    replay = Replay()
    replay.take(10, 2, 110)
    replay.take(12, 3, 200)
    peak = replay.held(grow(1, 2))
    assert peak.bytes == {"host": 210}
    assert sizes(peak) == {(c.KV_CACHE, MLP): 110, (c.KV_CACHE, ""): -100, (c.ACTIVATIONS, MLP): 200}


def test_while_it_is_copied_both_are_held() -> None:
    """The parts add up to the peak also where it is that very instant."""
    replay = Replay()
    replay.take(10, 2, 110)
    peak = replay.held(grow(1, 2))
    assert peak.bytes == {"host": 110}
    assert sizes(peak) == {(c.KV_CACHE, MLP): 110}


def test_what_is_told_is_not_counted_twice() -> None:
    replay = Replay()
    replay.take(10, 2, 110)
    replay.free(11, 1, 100)
    replay.take(12, 3, 200)
    assert replay.held(grow(1, 2)).bytes == {"host": 210}


def test_a_size_that_is_told_of_an_earlier_block_is_not_believed() -> None:
    """torch keeps the sizes of blocks that it saw taken: one given back between windows leaves its behind."""
    replay = Replay()
    replay.take(10, 2, 110)
    replay.free(11, 1, 640)  # as large as what lay there in an earlier window
    replay.take(12, 3, 200)
    peak = replay.held(grow(1, 2))
    assert peak.bytes == {"host": 210}
    assert sizes(peak) == {(c.KV_CACHE, MLP): 110, (c.KV_CACHE, ""): -100, (c.ACTIVATIONS, MLP): 200}


def test_a_cache_that_grows_where_it_is_gives_nothing_back() -> None:
    replay = Replay()
    replay.take(12, 3, 200)
    cache = CacheAddresses(before={1: ("k", 100)}, after={1: ("k", 100)})
    assert replay.held(cache).bytes == {"host": 200}


def test_an_old_tensors_address_may_be_taken_by_the_next_layer() -> None:
    """It is in the cache before and after, and was given back in between all the same."""
    replay = Replay()
    replay.take(10, 2, 110)
    replay.take(20, 1, 110)
    replay.take(30, 4, 500)
    cache = CacheAddresses(
        before={1: ("0.keys", 100), 3: ("1.keys", 100)}, after={2: ("0.keys", 110), 1: ("1.keys", 110)}
    )
    peak = replay.held(cache)
    assert peak.bytes == {"host": 110 - 100 + 110 - 100 + 500}
    assert sizes(peak) == {(c.KV_CACHE, MLP): 220, (c.KV_CACHE, ""): -200, (c.ACTIVATIONS, MLP): 500}


def test_an_old_tensors_address_may_be_taken_and_given_back_again() -> None:
    replay = Replay()
    replay.take(10, 2, 110)
    replay.take(20, 1, 90)
    replay.free(21, 1, 90)
    replay.take(30, 4, 500)
    peak = replay.held(grow(1, 2))
    assert peak.bytes == {"host": 510}
    assert sizes(peak) == {(c.KV_CACHE, MLP): 110, (c.KV_CACHE, ""): -100, (c.ACTIVATIONS, MLP): 500}


def test_an_address_that_is_taken_before_its_place_has_a_successor_was_given_back() -> None:
    replay = Replay()
    replay.take(10, 1, 30)
    replay.take(20, 2, 110)
    peak = replay.held(grow(1, 2))
    assert peak.bytes == {"host": 40}
    assert sizes(peak) == {(c.ACTIVATIONS, MLP): 30, (c.KV_CACHE, MLP): 110, (c.KV_CACHE, ""): -100}


def test_a_devices_allocator_tells_all() -> None:
    replay = Replay(device=True)
    replay.take(10, 2, 110)
    assert replay.held(grow(1, 2)).bytes == {"device": 110}


# --- owners ----------------------------------------------------------------------------------------------


def test_the_owner_is_the_innermost_module_around() -> None:
    tree = ObservedTree()
    model: FrameKey = ("module", "Model", None, None, "")
    mlp: FrameKey = ("module", "MLP", None, None, "layers.0.mlp")
    mm: FrameKey = ("op", "aten::mm", None, None, None)
    places = [[mm], [model, mm], [model, mlp], [model, mlp, ("python", "f", "x.py", 1, None), mm]]
    events = [
        Taken(number, number + 1, 10**number, False, tree.descend(0, path), 99)
        for number, path in enumerate(places)
    ]
    assert sizes(hold(tree, events, NOTHING, None)) == {
        (c.ACTIVATIONS, ""): 1 + 10,
        (c.ACTIVATIONS, "layers.0.mlp"): 100 + 1000,
    }


def test_a_window_without_allocations_has_no_peak() -> None:
    peak = hold(ObservedTree(), [], grow(1, 2), {1})
    assert peak.bytes == {} and peak.held == {}


def test_a_charged_trace_says_when_the_modules_call_ends() -> None:
    """A block that the outer module's call gives back was handed on by the inner one."""
    inner = event("module", "Inner", 120, 130, made(121, 1, 64), made(122, 2, 8), made(125, 2, -8))
    outer = trace(event("module", "Outer", 110, 190, inner, made(140, 3, 100), made(150, 1, -64)))
    tree = charge(outer)
    hold(tree, outer.taken, NOTHING, None)
    assert named(tree, HELD) == {
        ("Outer", "Inner", c.ACTIVATIONS): 64,
        ("Outer", c.ACTIVATIONS): 100,
    }


def made(at: int, address: int, size: int) -> Any:
    found = allocation(at, size)
    found.address = address
    return found


# --- at random -------------------------------------------------------------------------------------------


@st.composite
def replays(draw: st.DrawFn) -> tuple[list[tuple[int, int, int]], CacheAddresses, set[int]]:
    """(time, address, bytes) of blocks that are taken and given back, some of them from before the window,
    several at one instant; the allocator tells all."""
    live = {address: draw(st.integers(1, 50)) for address in draw(st.sets(st.integers(100, 104)))}
    places = st.dictionaries(
        st.integers(1, 6), st.tuples(st.sampled_from("ab"), st.integers(1, 50)), max_size=2
    )
    before = {address: ("", size) for address, size in live.items() if draw(st.booleans())}
    cache = CacheAddresses(before, draw(places))
    events, now = [], 0
    for address, size in draw(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 50)), max_size=30)):
        now += draw(st.integers(0, 2))
        if address in live:
            events.append((now, address, -live.pop(address)))
        elif old := [one for one in live if one >= 100 and draw(st.booleans())]:
            events.append((now, old[0], -live.pop(old[0])))
        else:
            live[address] = size
            events.append((now, address, size))
    return events, cache, draw(st.sets(st.integers(1, 6)))


@settings(max_examples=300)
@given(replays(), st.booleans())
def test_held_cells_are_the_highest_running_total(
    made: tuple[list[tuple[int, int, int]], CacheAddresses, set[int]], device: bool
) -> None:
    """And what was given back until then; each block under its category, as counted one by one."""
    events, cache, alive = made
    if not device:  # what the host's allocator does not tell has tests of its own
        cache = CacheAddresses({}, cache.after)
    replay = Replay(device=device)
    for at, address, size in events:
        replay.take(at, address, size, until=at + 5)
    peak = replay.held(cache, alive)

    totals = [sum(size for _, _, size in events[:end]) for end in range(len(events) + 1)]
    highest, end = max(totals), totals.index(max(totals))
    expected: Counter[tuple[str, str]] = Counter()
    left = 0
    for number, (at, address, size) in enumerate(events):
        later = [other for other in range(number + 1, len(events)) if events[other][1] == address]
        freed = later[0] if size > 0 and later else None
        if size > 0 and freed is None and address in alive - set(cache.after):
            left += size
        if number >= end or (freed is not None and freed < end):
            continue
        if size < 0:
            owner = [one for one in events[:number] if one[1] == address and one[2] > 0]
            if not owner:
                expected[c.KV_CACHE if address in cache.before else c.TENSORS, ""] += size
            continue
        if freed is None:
            category = c.KV_CACHE if address in cache.after else c.ACTIVATIONS
        else:
            category = c.TEMPORARIES if events[freed][0] <= at + 5 else c.ACTIVATIONS
        expected[category, MLP] += size

    prefix = "device_" if device else ""
    assert sum(peak.bytes.values()) == highest
    assert sizes(peak) == (dict(expected) if highest else {})
    given_back = sum(size for size in sizes(peak).values() if size < 0)
    assert sum(replay.cells(f"{prefix}held_bytes").values()) == highest - given_back
    assert sum(replay.cells(f"{prefix}left_bytes").values()) == left
    assert all(size > 0 for size in replay.cells(f"{prefix}held_bytes").values())
