"""Samples the Python stacks of the main thread and of thread pools, outside of what is timed to be true.

Each sample is weighted by the time since the last one, because samples bunch behind long native calls; a
stretch's weights add up to its wall time exactly. Worker threads are charged beside the wall, below the
code that gave them their work.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import CodeType, FrameType

import llmflame
from llmflame.probes.charge import OWN, UNATTRIBUTED
from llmflame.probes.counters import PAGE_BYTES, open_readable
from llmflame.probes.paths import short_path
from llmflame.probes.pools import PoolLinks, Stack, stack_of
from llmflame.probes.sampled_thread import SampledThread, Seen, thread_name
from llmflame.store.metrics import CPU, OVERLAPPED, RESIDENT, SAMPLES, WALL
from llmflame.store.observed import FrameKey, ObservedThread, ObservedTree

RATE_HZ = 50
"""At 100 Hz the sampler's turns at the interpreter lock cost imports several times more."""
COST_SHARE = 0.02
"""A sample is never taken sooner than its predecessor's cost allows: stacks of imports are hundreds deep."""
MOST_PAUSE_NS = 250_000_000
"""However much a sample cost: the interpreter may collect its garbage in the sampler's thread, which takes as
long as ten thousand samples."""
STARVED_NS = 100_000_000
"""A sampler that waited longer than this for a CPU since its last sample doesn't know what ran meanwhile:
that wait is unattributed. (One that waited for the interpreter's lock does know: whoever kept the lock is
seen right after, and no other stack can have moved.)"""
LATE_FACTOR = 2.0
"""A sample later than this many intervals is counted as late."""
IMPORT_SYSTEM: FrameKey = ("other", "import system", "<frozen importlib>", None, None)
_OWN = tuple(f"{folder}{os.sep}" for folder in llmflame.__path__)


@dataclass(slots=True)
class Stretch:
    """The samples of one span."""

    name: str
    begin_ns: int
    end_ns: int = 0
    main: dict[Stack, Seen] = field(default_factory=dict)
    workers: dict[tuple[Stack, Stack], Seen] = field(default_factory=dict)
    threads: dict[int | None, SampledThread] = field(default_factory=dict)
    """By the system's number, the main thread first."""
    samples: int = 0
    late: int = 0
    disk_wait_ns: int = 0
    uncovered_ns: int = 0


class StackSampler:
    """`start` in the main thread, `switch` at each span's edge, `stop` before anything is timed."""

    def __init__(
        self,
        links: PoolLinks,
        *,
        rate_hz: float = RATE_HZ,
        clock_ns: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self._links = links
        self._interval_ns = round(1e9 / rate_hz)
        self._clock_ns = clock_ns
        self._main = threading.main_thread()
        self._lock = threading.Lock()
        self._stretch: Stretch | None = None
        self._last_ns = 0
        self._last_stack: Stack | None = None
        self._last_resident = 0
        self._last_cpu_ns = 0
        self._last_starved_ns = 0
        self._schedstat: int | None = None
        self._cpu_clock = _thread_cpu_clock(self._main)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._statm: int | None = None
        self.cost_ns = 0
        """CPU time that the sampler's own thread took."""

    def start(self) -> None:
        """Begin sampling; nothing is charged before the first `switch`."""
        try:
            self._statm = os.open("/proc/self/statm", os.O_RDONLY)
        except OSError:
            self._statm = None
        self._thread = threading.Thread(target=self._run, name="llmflame sampler", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End sampling and wait for the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        for descriptor in (self._statm, self._schedstat):
            if descriptor is not None:
                os.close(descriptor)
        self._statm = self._schedstat = None

    def switch(self, name: str | None, at_ns: int) -> Stretch | None:
        """Begin charging to a new span (None: to nothing) at an instant; returns the one that ended."""
        with self._lock:
            ended = self._stretch
            if ended is not None:
                ended.end_ns = at_ns
                self._charge(ended, self._last_stack, self._last_ns, at_ns)
            self._stretch = Stretch(name, at_ns) if name is not None else None
            if self._stretch is not None:
                main = SampledThread(self._main.native_id, self._main.name, is_main=True)
                self._stretch.threads[main.native_id] = main
            self._last_ns, self._last_stack = at_ns, None
            self._last_resident = self._resident()
            self._cpu_growth()
            return ended

    def _run(self) -> None:
        self._schedstat = open_readable("/proc/thread-self/schedstat")
        due = self._clock_ns() + self._interval_ns
        while not self._stop.wait(max(due - self._clock_ns(), 0) / 1e9):
            now, cpu_ns = self._clock_ns(), time.thread_time_ns()
            with self._lock:
                self.sample(now, now - due)
            # By CPU time: on the wall clock a sample also waits for the interpreter's lock.
            pause_ns = pause_after_ns(time.thread_time_ns() - cpu_ns)
            due = max(due + self._interval_ns, self._clock_ns() + pause_ns)
        self.cost_ns = time.thread_time_ns()

    def sample(self, now_ns: int, behind_ns: int = 0) -> None:
        """Take one sample. The lock is held by the caller, where there are several threads."""
        stretch = self._stretch
        if stretch is None or self._main.ident is None or now_ns < self._last_ns:
            return
        frames = dict(sys._current_frames())
        began_ns, self._last_ns = self._last_ns, now_ns
        resident = self._resident()
        growth, self._last_resident = max(resident - self._last_resident, 0), resident
        workers = [
            (link, frames[ident]) for ident, link in list(self._links.links.items()) if ident in frames
        ]
        stack = stack_of(frames.get(self._main.ident))
        main = stretch.main.setdefault(stack, Seen())
        spoken = self._charge(stretch, stack, began_ns, now_ns)
        main.samples += 1
        self._last_stack = stack
        stretch.samples += 1
        stretch.late += behind_ns > self._interval_ns * LATE_FACTOR
        tasks = [self._main.native_id]
        for (native_id, submitter), frame in workers:
            worker = stretch.workers.setdefault((submitter, _below_link(frame)), Seen())
            worker.wall_ns += spoken
            worker.samples += 1
            worker.resident_bytes += growth // len(workers)
            if native_id not in stretch.threads:
                stretch.threads[native_id] = SampledThread(native_id, thread_name(native_id))
            stretch.threads[native_id].add(worker, now_ns - spoken, now_ns)
            tasks.append(native_id)
        if not workers:
            main.resident_bytes += growth
        if any(_sleeps_on_storage(task) for task in tasks):
            stretch.disk_wait_ns += spoken
        # This function's own frame is among them: a cycle, in which what the program had would live on.
        frames.clear()

    def _charge(self, stretch: Stretch, stack: Stack | None, began_ns: int, now_ns: int) -> int:
        """Charge the time since the last sample to a stack, as far as the sample can speak for it.

        Negative where a sample was taken after the instant at which its stretch is said to end. Returns what
        was charged.
        """
        elapsed_ns = now_ns - began_ns
        cpu_ns = max(min(self._cpu_growth(), elapsed_ns), 0)
        starved_ns = self._starved_growth()
        known = 0 if stack is None else elapsed_ns
        if stack is not None and starved_ns > STARVED_NS:
            known = max(elapsed_ns - starved_ns, min(cpu_ns, elapsed_ns))
        if stack is not None:
            stretch.main[stack].wall_ns += known
            stretch.main[stack].cpu_ns += cpu_ns
        stretch.uncovered_ns += elapsed_ns - known
        main = stretch.threads[self._main.native_id]
        main.add(None, began_ns, now_ns - known)
        main.add(stretch.main[stack] if stack is not None else None, now_ns - known, now_ns)
        return known

    def _starved_growth(self) -> int:
        """Time for which the sampler's own thread was ready but had no CPU, since this was last asked."""
        if self._schedstat is None:
            return 0
        now = int(os.pread(self._schedstat, 128, 0).split()[1])
        growth, self._last_starved_ns = now - self._last_starved_ns, now
        return growth

    def _cpu_growth(self) -> int:
        """CPU time that the main thread took since this was last asked."""
        if self._cpu_clock is None:
            return 0
        now = time.clock_gettime_ns(self._cpu_clock)
        growth, self._last_cpu_ns = now - self._last_cpu_ns, now
        return growth

    def _resident(self) -> int:
        if self._statm is None:
            return 0
        return int(os.pread(self._statm, 128, 0).split()[1]) * PAGE_BYTES


def pause_after_ns(cost_ns: int) -> int:
    """How long to wait after a sample that took so much CPU time."""
    return min(round(cost_ns / COST_SHARE), MOST_PAUSE_NS)


def _thread_cpu_clock(thread: threading.Thread) -> int | None:
    if not hasattr(time, "pthread_getcpuclockid") or thread.ident is None:
        return None
    return time.pthread_getcpuclockid(thread.ident)


def _below_link(frame: FrameType) -> Stack:
    """A worker's own frames, without the pool's machinery."""
    stack = stack_of(frame)
    for depth, code in enumerate(stack):
        if code.co_name == "linked" and code.co_filename.startswith(_OWN):
            return stack[depth + 1 :]
    return stack


def _sleeps_on_storage(native_id: int | None) -> bool:
    """Is the thread in uninterruptible sleep, as it is while the disk is read?"""
    try:
        with open(f"/proc/self/task/{native_id}/stat", "rb") as file:  # noqa: PTH123  half the cost
            return file.read(256).rpartition(b")")[2][1:2] == b"D"
    except OSError:
        return False


def sampled_tree(stretch: Stretch) -> ObservedTree:
    """The tree of a stretch. Sum of `wall_ns` = its length; workers are in `overlapped_ns`."""
    tree = ObservedTree()
    nodes: dict[int, int] = {}
    for stack, seen in stretch.main.items():
        node = tree.descend(0, _frames(stack)) or tree.child(0, UNATTRIBUTED)
        nodes[id(seen)] = node
        _add(tree, node, seen, WALL.name)
    for (submitter, below), seen in stretch.workers.items():
        node = tree.descend(0, _frames(submitter))
        node = tree.child(node, ("thread", "worker threads", None, None, None))
        nodes[id(seen)] = node = tree.descend(node, _frames(below))
        _add(tree, node, seen, OVERLAPPED.name)
    if stretch.uncovered_ns:
        tree.add(tree.child(0, UNATTRIBUTED), WALL.name, stretch.uncovered_ns)
    for thread in stretch.threads.values():
        stays = thread.within(stretch.begin_ns, stretch.end_ns)
        if stays:
            where = [tree.child(0, UNATTRIBUTED) if seen is None else nodes[id(seen)] for seen, _, _ in stays]
            lane = ObservedThread(thread.name, thread.native_id, thread.is_main)
            lane.stays = [(node, begin, end) for node, (_, begin, end) in zip(where, stays, strict=True)]
            tree.threads.append(lane)
    return tree


def _add(tree: ObservedTree, node: int, seen: Seen, time_metric: str) -> None:
    tree.add(node, time_metric, seen.wall_ns)
    if seen.cpu_ns:
        tree.add(node, CPU.name, seen.cpu_ns)
    tree.add(node, SAMPLES.name, seen.samples)
    tree.add(node, RESIDENT.name, seen.resident_bytes)


def _frames(stack: Stack) -> list[FrameKey]:
    """Frames from the program's first on: what lies above llmflame's own is how llmflame was started, and one
    that ends in llmflame's own is llmflame at work.

    The import system's five frames an import say nothing, but where it is what runs (it searches folders,
    reads bytecode, maps libraries) it is a frame of its own.
    """
    own = [depth for depth, code in enumerate(stack) if code.co_filename.startswith(_OWN)]
    start = own[-1] + 1 if own else 0
    if own and start == len(stack):
        return [OWN]
    frames = [_frame(code) for code in stack[start:] if not _is_import_machinery(code)]
    if stack and _is_import_machinery(stack[-1]):
        frames.append(IMPORT_SYSTEM)
    return frames


def _frame(code: CodeType) -> FrameKey:
    return ("python", code.co_name, short_path(code.co_filename), code.co_firstlineno, None)


def _is_import_machinery(code: CodeType) -> bool:
    return code.co_filename.startswith(("<frozen importlib", "<frozen zipimport")) or (
        code.co_filename.endswith("importlib/__init__.py")
    )
