"""The anatomy of a request: torch's tracer in a few windows, module hooks in a few steps, else nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from llmflame.probes.anchors import AnchorProbe, hook_cost_ns
from llmflame.probes.calibration import measure_event_costs
from llmflame.probes.charge import charge
from llmflame.probes.deviceaccount import DeviceAccount
from llmflame.probes.eventtree import Modules, TraceLostError, read_trace
from llmflame.probes.memory.held import CacheAddresses, Places, hold
from llmflame.probes.memory.pinned import assign_pinned, pinned_bytes
from llmflame.probes.memory.tensors import cache_storages
from llmflame.probes.opwork import assign_work
from llmflame.probes.sections import STEP
from llmflame.probes.tracing import Recorded, Window
from llmflame.probes.transfers import transfer_rows
from llmflame.recording.session import Session
from llmflame.recording.slices import SliceRoom
from llmflame.store.categories import REWRITTEN
from llmflame.store.metrics import WORK
from llmflame.store.rows import AnchorRow, Treatment

WINDOW_STEPS = (0, 1, 8, 64, 512, 4096, 32768)
"""Prefill, then decode steps at geometric positions: a step's anatomy changes with the length of its
key/value cache alone, so the cost of tracing does not grow with the number of tokens."""
ANCHOR_LAG = (3, 4, 5)
"""Steps after a window that are timed under module hooks: the first two still feel the tracer's traces in
the caches."""


def anchor_steps(windows: tuple[int, ...] = WINDOW_STEPS) -> frozenset[int]:
    """The steps near each decode window that are timed module by module.

    The first window's are those of the requests before, which are timed for nothing else.
    """
    return frozenset(step + lag for step in windows if step > 1 for lag in ANCHOR_LAG) - frozenset(windows)


@dataclass(slots=True)
class AnatomyWatcher:
    """Opens windows and anchors where the plan says, off the clock of the sections."""

    session: Session
    modules: Modules
    repetition: int
    windows: frozenset[int]
    """Steps to trace."""
    anchors: frozenset[int]
    """Steps to time module by module."""
    trace_phases: bool
    """Trace tokenize, prepare and detokenize too."""
    compiled: Callable[[], bool] = lambda: False
    """Is the section that opens a call that torch.compile made? Hooks would have it compiled again."""
    cache: Callable[[], Any] = lambda: None
    """The key/value cache that the section that opens was given, or that the one that ended has returned."""
    shapes: bool = False
    """Windows keep the operators' shapes, for their work, instead of kernels and bytes."""
    recorded: list[Recorded] = field(default_factory=list)
    rows: list[AnchorRow] = field(default_factory=list)
    treatments: dict[tuple[str, int | None], Treatment] = field(default_factory=dict)
    opening_ns: int = 0
    closing_ns: int = 0
    """What starting and stopping the tracer took, outside of its windows."""
    _window: Window | None = None
    _anchor: AnchorProbe | None = None
    _cache_before: Places = field(default_factory=dict)
    _pinned_before: int | None = None

    def opening(self, name: str, index: int | None) -> bool:
        """Attach what the plan wants for this section."""
        traced = index in self.windows if name == STEP else self.trace_phases
        if traced:
            self.treatments[name, index] = "traced"
            phase = name if name != STEP else "prefill" if index == 0 else "decode"
            self._window = Window(phase, index, cuda=self.session.on_cuda, shapes=self.shapes)
            self._cache_before = self._cache_addresses()
            self._pinned_before = pinned_bytes()
            begin = time.perf_counter_ns()
            self._window.open()
            self.opening_ns += time.perf_counter_ns() - begin
        elif name == STEP and index in self.anchors and not self.compiled():
            self.treatments[name, index] = "anchored"
            self._anchor = AnchorProbe(self.modules)
            self._anchor.start(in_root=True)
        return self._window is not None or self._anchor is not None

    def closing(self, _name: str, index: int | None) -> bool:
        """Detach it."""
        window, self._window = self._window, None
        anchor, self._anchor = self._anchor, None
        if window is not None:
            begin = time.perf_counter_ns()
            recorded = window.close()
            self.closing_ns += time.perf_counter_ns() - begin
            before, now = self._pinned_before, pinned_bytes()
            recorded.pinned_bytes = now - (before or 0) if now is not None else None
            recorded.cache = CacheAddresses(self._cache_before, self._cache_addresses())
            self.recorded.append(recorded)
        if anchor is not None:
            self.rows += anchor.stop(self.session.pass_name, self.repetition, index or 0)
        return window is not None or anchor is not None

    def _cache_addresses(self) -> Places:
        return {storage.address: (storage.owner, storage.bytes) for storage in cache_storages(self.cache())}


def calibrate(session: Session) -> None:
    """Measure what instruments cost here; also warms the tracer up: no window is its first session."""
    for kind, cost in measure_event_costs(cuda=session.on_cuda).items():
        session.report("tracer", f"{kind} inside", cost.inside_ns, "ns")
        session.report("tracer", f"{kind} outside", cost.outside_ns, "ns")
    session.report("anchors", "hook cost", hook_cost_ns(), "ns")


def read_windows(
    session: Session,
    recorded: list[Recorded],
    modules: Modules,
    weights: Collection[int] = (),
    alive: Collection[int] | None = None,
) -> None:
    """Turn closed windows into trees and send them, releasing each as it is done.

    `weights` are the addresses of the parameters' storages: of windows with shapes, what is read of them is
    counted apart. `alive` are those of all storages after the request: see `hold`.
    """
    lost, account, room = 0, DeviceAccount(), SliceRoom(session)
    while recorded:
        window = recorded.pop(0)
        try:
            trace = read_trace(window, modules)
        except TraceLostError:
            lost += 1
            continue
        if window.only_shapes:
            assign_work(trace, weights)
        tree = charge(trace)
        if window.only_shapes:
            tree.cells = {name: cells for name, cells in tree.cells.items() if name in WORK}
        else:
            account.add(trace.checks, tree, window.allocated_bytes)
        row = session.window(
            kind="shapes" if window.only_shapes else "traced",
            span_name=window.span_name,
            step=window.step,
            wall_ns=trace.close_ns - trace.open_ns,
            samples=None,
            events=trace.event_count,
            dropped=0 if window.only_shapes else trace.lost_count,
        )
        if window.shapes and not window.only_shapes:
            moved = transfer_rows(trace, session.pass_name, window.span_name)
            session.put(*moved)
            session.report("transfers", f"kinds in {window.span_name}", len(moved), "count")
        if not window.only_shapes:
            assign_pinned(tree, window.pinned_bytes)
            peak = hold(tree, trace.taken, window.cache, alive)
            moment = session.moment(phase=row.span_name, step=row.step, when="peak", window=row.id)
            above = {f"{space}_above_opening_bytes": size for space, size in peak.bytes.items()}
            again = {f"{space}_{REWRITTEN}": size for space, size in peak.rewritten.items()}
            session.held(moment, peak.held, above | again)
        room.fit(row, tree)
        session.sink.tree(row, tree)
    session.report("tracer", "windows lost", lost, "count")
    for name, value, unit in account.rows():
        session.report("device checks", name, value, unit)
