"""Samples are weighted by the time since the last, so that a stretch's weights are its wall time."""

from __future__ import annotations

import gc
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import CodeType

import pytest
from hypothesis import given
from hypothesis import strategies as st

import llmflame
from llmflame.probes import sampler as module
from llmflame.probes.pools import PoolLinks
from llmflame.probes.sampler import (
    MOST_PAUSE_NS,
    STARVED_NS,
    StackSampler,
    Stretch,
    pause_after_ns,
    sampled_tree,
)
from llmflame.store.observed import ObservedTree

MAIN = threading.main_thread().ident
SECOND = 1_000_000_000
RATE = 100.0
INTERVAL = SECOND // 100


def code(name: str, file: str = "/program/x.py", line: int = 1) -> CodeType:
    return code.__code__.replace(co_name=name, co_filename=file, co_firstlineno=line)


def own(name: str) -> CodeType:
    return code(name, f"{llmflame.__path__[0]}/recording/x.py")


F, G, H = code("f"), code("g", line=20), code("h", line=30)
IMPORT = code("_find_and_load", "<frozen importlib._bootstrap>")
"""As the interpreter names it."""


class FakeFrame:
    """A stack that a sample can be taken of."""

    def __init__(self, *codes: CodeType) -> None:
        self.f_code = codes[-1]
        self.f_back = FakeFrame(*codes[:-1]) if len(codes) > 1 else None


class Threads:
    """What `sys._current_frames` says, and what /proc says of the threads."""

    def __init__(self) -> None:
        self.frames: dict[int, FakeFrame] = {}
        self.on_disk: set[int | None] = set()
        self.cpu_ns = 0
        self.resident = 0
        self.starved_ns = 0

    def main(self, *codes: CodeType) -> None:
        assert MAIN is not None
        self.frames[MAIN] = FakeFrame(*codes)


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Threads]:
    fake = Threads()
    monkeypatch.setattr(sys, "_current_frames", lambda: fake.frames)
    monkeypatch.setattr(module, "_sleeps_on_storage", lambda task: task in fake.on_disk)
    monkeypatch.setattr(module, "_thread_cpu_clock", lambda _thread: 77)
    monkeypatch.setattr(StackSampler, "_resident", lambda _self: fake.resident)
    seen = {"starved": 0}

    def starved(_self: StackSampler) -> int:
        growth, seen["starved"] = fake.starved_ns - seen["starved"], fake.starved_ns
        return growth

    monkeypatch.setattr(StackSampler, "_starved_growth", starved)
    real = time.clock_gettime_ns
    monkeypatch.setattr(time, "clock_gettime_ns", lambda clock: fake.cpu_ns if clock == 77 else real(clock))
    yield fake


def make(links: PoolLinks | None = None) -> StackSampler:
    return StackSampler(links or PoolLinks(), rate_hz=RATE, clock_ns=lambda: 0)


def end(sampler: StackSampler, at_ns: int) -> Stretch:
    stretch = sampler.switch(None, at_ns)
    assert stretch is not None
    return stretch


def walls(tree: ObservedTree, metric: str = "wall_ns") -> dict[str, float]:
    found = {}
    for node, value in tree.cells.get(metric, {}).items():
        names: list[str] = []
        while node > 0:
            frame = tree.frames[node]
            assert frame is not None
            names.append(frame[1])
            node = tree.parents[node]
        found["/".join(reversed(names))] = value
    return found


def test_weights_are_the_elapsed_time(threads: Threads) -> None:
    sampler = make()
    assert sampler.switch("load", 1000) is None
    threads.main(F, G)
    sampler.sample(1100)
    threads.main(F, H)
    sampler.sample(1700)  # late: a native call held the interpreter lock
    threads.main(F, G)
    sampler.sample(1800)
    stretch = end(sampler, 1850)
    assert (stretch.name, stretch.begin_ns, stretch.end_ns, stretch.samples) == ("load", 1000, 1850, 3)
    assert {stack[-1].co_name: seen.wall_ns for stack, seen in stretch.main.items()} == {"g": 250, "h": 600}
    assert stretch.uncovered_ns == 0
    tree = sampled_tree(stretch)
    assert walls(tree) == {"f/g": 250, "f/h": 600}
    assert walls(tree, "samples") == {"f/g": 2, "f/h": 1}


def test_a_stretch_without_a_sample_is_unattributed(threads: Threads) -> None:
    sampler = make()
    sampler.switch("load", 1000)
    stretch = end(sampler, 1500)
    assert stretch.uncovered_ns == 500
    assert walls(sampled_tree(stretch)) == {"unattributed": 500}


def test_one_stretch_ends_where_the_next_begins(threads: Threads) -> None:
    sampler = make()
    threads.main(F)
    sampler.switch("import", 0)
    sampler.sample(60)
    first = sampler.switch("load", 100)
    threads.main(G)
    sampler.sample(130)
    second = end(sampler, 200)
    assert first is not None
    assert walls(sampled_tree(first)) == {"f": 100}
    assert walls(sampled_tree(second)) == {"g": 100}, "nothing of the first reaches into the second"


def test_a_stretch_does_not_know_the_stack_of_the_one_before(threads: Threads) -> None:
    sampler = make()
    threads.main(F)
    sampler.switch("import", 0)
    sampler.sample(60)
    sampler.switch("load", 100)
    assert walls(sampled_tree(end(sampler, 150))) == {"unattributed": 50}


def test_nothing_is_charged_between_stretches(threads: Threads) -> None:
    sampler = make()
    threads.main(F)
    sampler.sample(10)
    sampler.switch("load", 100)
    sampler.sample(90)  # asked for before the stretch began
    stretch = end(sampler, 150)
    sampler.sample(400)
    assert stretch.samples == 0 and walls(sampled_tree(stretch)) == {"unattributed": 50}
    assert sampler.switch(None, 500) is None


def test_late_samples_are_counted(threads: Threads) -> None:
    sampler = make()
    threads.main(F)
    sampler.switch("load", 0)
    for number, behind in enumerate((0, 2 * INTERVAL, 2 * INTERVAL + 1, 50 * INTERVAL), start=1):
        sampler.sample(number, behind)
    assert end(sampler, 10).late == 2


def test_own_frames_are_one_and_what_lies_above_them_is_left_out(threads: Threads) -> None:
    sampler = make()
    threads.main(H, own("main"), own("load"), F, G)
    sampler.switch("load", 0)
    sampler.sample(60)
    threads.main(H, own("main"), own("read"))
    sampler.sample(100)
    tree = sampled_tree(end(sampler, 100))
    assert walls(tree) == {"f/g": 60, "llmflame (this profiler)": 40}


def test_the_import_system_is_left_out_but_where_it_runs_itself(threads: Threads) -> None:
    sampler = make()
    helper = code("import_module", "/usr/lib/python3.11/importlib/__init__.py")
    threads.main(
        own("load"), IMPORT, code("_x", "<frozen importlib._bootstrap_external>"), F, helper, IMPORT, G
    )
    sampler.switch("import", 0)
    sampler.sample(60)
    threads.main(own("load"), IMPORT)
    sampler.sample(100)
    assert walls(sampled_tree(end(sampler, 100))) == {"f/g": 60, "import system": 40}


def test_frames_have_their_place(threads: Threads) -> None:
    sampler = make()
    threads.main(G)
    sampler.switch("load", 0)
    sampler.sample(1)
    assert sampled_tree(end(sampler, 1)).frames[1] == ("python", "g", "/program/x.py", 20, None)


def _link(links: PoolLinks, ident: int, *submitter: CodeType) -> None:
    links.links[ident] = (ident + 1000, tuple(submitter))


LINKED = code("linked", f"{llmflame.__path__[0]}/probes/pools.py")


def test_workers_hang_beside_the_wall_below_who_asked(threads: Threads) -> None:
    links = PoolLinks()
    sampler = make(links)
    threads.main(own("load"), F)
    _link(links, 5, own("load"), F, G)
    _link(links, 6, own("load"), F, G)
    _link(links, 7, own("load"), F)  # has ended since
    threads.frames[5] = FakeFrame(
        code("_worker", "/usr/lib/python3.11/concurrent/futures/thread.py"), LINKED, H
    )
    threads.frames[6] = FakeFrame(LINKED, H, F)
    threads.frames[8] = FakeFrame(H)  # nobody's worker
    sampler.switch("load", 0)
    sampler.sample(60)
    stretch = end(sampler, 100)
    tree = sampled_tree(stretch)
    assert walls(tree) == {"f": 100}
    assert walls(tree, "overlapped_ns") == {"f/g/worker threads/h": 60, "f/g/worker threads/h/f": 60}


def lanes(tree: ObservedTree) -> dict[int | None, list[tuple[str, int, int]]]:
    """By thread: the frames in which it was seen, and when."""
    return {
        thread.native_id: [(tree.frames[node][1], begin, end) for node, begin, end in thread.stays]  # type: ignore[index]
        for thread in tree.threads
    }


NATIVE = threading.main_thread().native_id


def test_threads_have_lanes(threads: Threads, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's has gaps where it had no job; what goes on is one stay; both are what the tree has."""
    monkeypatch.setattr(module, "thread_name", {1005: "pool_0"}.get)
    links = PoolLinks()
    sampler = make(links)
    threads.main(F)
    sampler.switch("load", 1000)
    sampler.sample(1010)
    _link(links, 5, F)
    threads.frames[5] = FakeFrame(LINKED, G)
    sampler.sample(1020)
    sampler.sample(1035)
    threads.frames[5] = FakeFrame(LINKED, H)
    _link(links, 6, F)
    threads.frames[6] = FakeFrame(LINKED, H)
    sampler.sample(1050)
    links.links.clear()
    threads.main(G)
    sampler.sample(1060)
    _link(links, 5, F)
    sampler.sample(1080)
    tree = sampled_tree(end(sampler, 1100))
    assert lanes(tree) == {
        NATIVE: [("f", 0, 50), ("g", 50, 100)],
        1005: [("g", 10, 35), ("h", 35, 50), ("h", 60, 80)],
        1006: [("h", 35, 50)],
    }
    assert [(one.name, one.is_main) for one in tree.threads] == [
        ("MainThread", True),
        ("pool_0", False),
        (None, False),
    ]
    assert walls(tree) == {"f": 50, "g": 50}
    assert walls(tree, "overlapped_ns") == {"f/worker threads/g": 25, "f/worker threads/h": 50}


def test_a_lane_ends_with_its_stretch_and_says_what_nobody_saw(threads: Threads) -> None:
    sampler = make()
    threads.main(F)
    sampler.switch("load", 0)
    sampler.sample(STARVED_NS)
    threads.starved_ns = 3 * STARVED_NS
    threads.main(G)
    sampler.sample(5 * STARVED_NS)
    tree = sampled_tree(end(sampler, 5 * STARVED_NS - 7))  # its end had been read before that sample
    assert lanes(tree) == {
        NATIVE: [
            ("f", 0, STARVED_NS),
            ("unattributed", STARVED_NS, 4 * STARVED_NS),
            ("g", 4 * STARVED_NS, 5 * STARVED_NS - 7),
        ]
    }


def test_growth_of_memory_goes_to_who_worked(threads: Threads) -> None:
    links = PoolLinks()
    sampler = make(links)
    threads.main(F)
    threads.resident = 100
    sampler.switch("load", 0)
    threads.resident = 150
    sampler.sample(10)
    threads.resident = 120
    sampler.sample(20)
    for ident in (5, 6):
        _link(links, ident, F)
        threads.frames[ident] = FakeFrame(LINKED, H)
    threads.resident = 320
    sampler.sample(30)
    tree = sampled_tree(end(sampler, 30))
    assert walls(tree, "resident_bytes") == {"f": 50, "f/worker threads/h": 200}


def test_time_on_cpu_never_exceeds_the_wall(threads: Threads) -> None:
    sampler = make()
    threads.main(F)
    threads.cpu_ns = 5000
    sampler.switch("load", 0)
    threads.cpu_ns += 30
    sampler.sample(60)
    threads.cpu_ns += 999
    sampler.sample(100)
    threads.cpu_ns += 7
    stretch = end(sampler, 120)
    (seen,) = stretch.main.values()
    assert (seen.wall_ns, seen.cpu_ns) == (120, 30 + 40 + 7)
    assert walls(sampled_tree(stretch), "on_cpu_ns") == {"f": 77}


def test_a_long_wait_for_the_interpreters_lock_is_the_stacks_that_is_seen_after_it(threads: Threads) -> None:
    sampler = make()
    threads.main(F)
    sampler.switch("load", 0)
    sampler.sample(10 * STARVED_NS)
    assert walls(sampled_tree(end(sampler, 10 * STARVED_NS))) == {"f": 10 * STARVED_NS}


def test_a_sampler_that_had_no_cpu_does_not_know_what_ran(threads: Threads) -> None:
    sampler = make()
    threads.main(F)
    sampler.switch("load", 0)
    sampler.sample(STARVED_NS)
    threads.main(G)
    threads.starved_ns = 3 * STARVED_NS
    threads.cpu_ns += 30
    sampler.sample(5 * STARVED_NS)
    stretch = end(sampler, 5 * STARVED_NS)
    assert walls(sampled_tree(stretch)) == {"f": STARVED_NS, "g": STARVED_NS, "unattributed": 3 * STARVED_NS}


def test_short_waits_for_a_cpu_are_nothing(threads: Threads) -> None:
    sampler = make()
    threads.main(F)
    sampler.switch("load", 0)
    threads.starved_ns = STARVED_NS
    sampler.sample(2 * STARVED_NS)
    assert walls(sampled_tree(end(sampler, 2 * STARVED_NS))) == {"f": 2 * STARVED_NS}


def test_disk_wait_is_of_the_main_thread_or_a_linked_worker(threads: Threads) -> None:
    links = PoolLinks()
    sampler = make(links)
    threads.main(F)
    sampler.switch("load", 0)
    threads.on_disk = {threading.main_thread().native_id}
    sampler.sample(10)
    threads.on_disk = {1005}
    sampler.sample(30)
    _link(links, 5, F)
    threads.frames[5] = FakeFrame(LINKED, H)
    sampler.sample(70)
    assert end(sampler, 100).disk_wait_ns == 10 + 40


@given(
    st.lists(
        st.tuples(st.integers(0, 1000), st.sampled_from([(F,), (F, G), (own("x"),), (IMPORT,), (F, H, G)])),
        max_size=20,
    ),
    st.integers(0, 1000),
)
def test_weights_add_up_exactly(samples: list[tuple[int, tuple[CodeType, ...]]], rest: int) -> None:
    sampler, now = make(), 50
    fake = Threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "_current_frames", lambda: fake.frames)
        sampler.switch("load", now)
        for elapsed, stack in samples:
            now += elapsed
            fake.main(*stack)
            sampler.sample(now)
        stretch = end(sampler, now + rest)
    tree = sampled_tree(stretch)
    assert sum(tree.cells.get("wall_ns", {}).values()) == now + rest - 50
    assert sum(tree.cells.get("samples", {}).values()) == stretch.samples == len(samples)


def test_a_real_thread_samples_and_ends() -> None:
    """No fakes: the sampler's thread sees this function wait."""
    sampler = StackSampler(PoolLinks(), rate_hz=200)
    seen = threading.Event()
    real = sampler.sample

    def sample(now_ns: int, behind_ns: int = 0) -> None:
        real(now_ns, behind_ns)
        seen.set()

    sampler.sample = sample  # type: ignore[method-assign]
    sampler.start()
    begin = time.perf_counter_ns()
    sampler.switch("load", begin)
    assert seen.wait(60)
    sampler.stop()
    finish = time.perf_counter_ns()
    stretch = end(sampler, finish)
    assert stretch.samples > 0
    tree = sampled_tree(stretch)
    assert sum(tree.cells["wall_ns"].values()) == finish - begin
    assert any(frame and frame[1] == "test_a_real_thread_samples_and_ends" for frame in tree.frames)
    assert not any(thread.name == "llmflame sampler" for thread in threading.enumerate())
    assert sampler.cost_ns > 0


def test_a_thread_in_interruptible_sleep_is_not_on_disk() -> None:
    assert not module._sleeps_on_storage(threading.main_thread().native_id)
    assert not module._sleeps_on_storage(2**30)
    assert not module._sleeps_on_storage(None)


def test_a_sample_behind_the_edge_is_taken_back(threads: Threads) -> None:
    """The sampler may read its clock, wait for the lock, and sample after its span has ended."""
    sampler = make()
    threads.main(F)
    sampler.switch("load", 0)
    sampler.sample(110)
    assert walls(sampled_tree(end(sampler, 100))) == {"f": 100}


def test_a_neighbours_package_is_not_our_own(threads: Threads) -> None:
    sampler = make()
    folder = str(Path(llmflame.__file__).parent)
    threads.main(F, code("theirs", f"{folder}_plugin/x.py"), G)
    sampler.switch("load", 0)
    sampler.sample(10)
    assert walls(sampled_tree(end(sampler, 10))) == {"f/theirs/g": 10}


def test_a_starved_sample_speaks_for_no_more_of_a_worker_than_of_the_main_thread(threads: Threads) -> None:
    links = PoolLinks()
    _link(links, 5, F)
    threads.main(F)
    threads.frames[5] = FakeFrame(G)
    threads.on_disk = {1005}
    sampler = make(links)
    sampler.switch("load", 0)
    threads.starved_ns = 9 * STARVED_NS
    sampler.sample(10 * STARVED_NS)
    stretch = end(sampler, 10 * STARVED_NS)
    (worker,) = stretch.workers.values()
    assert worker.wall_ns == STARVED_NS
    assert stretch.disk_wait_ns <= STARVED_NS


def test_one_dear_sample_does_not_silence_the_sampler() -> None:
    """A garbage collection that fell into a sample once cost 200 ms: the pause that this asked for was longer
    than the load and the warm-up, of which nothing was seen."""
    assert pause_after_ns(100_000) == 5_000_000
    assert pause_after_ns(200_000_000) == MOST_PAUSE_NS


def test_a_sample_keeps_no_frame_alive() -> None:
    """Frames of calls that had returned, and their tensors, once lived until the garbage collector came."""

    class Thing:
        pass

    sampler = StackSampler(PoolLinks())
    sampler.switch("load", time.perf_counter_ns())

    def sampled() -> weakref.ref[Thing]:
        thing = Thing()
        sampler.sample(time.perf_counter_ns())
        return weakref.ref(thing)

    gc.disable()
    try:
        assert sampled()() is None
    finally:
        gc.enable()
