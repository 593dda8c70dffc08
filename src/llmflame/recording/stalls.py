"""The pass in which the device's program counters are sampled, with no tracer near.

Continuous sampling can't tell launches apart, but costs next to nothing, and ranges tell phases apart. A
range costs 1.6 ms on an H200 (the device must be idle at both ends): ranges by module would take longer than
the step. Exact sampling runs the kernels of one decode step one by one.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from llmflame.errors import StallsRefusedError
from llmflame.probes.sections import STEP, RequestProbe
from llmflame.probes.stalls.binaries import Binaries
from llmflame.probes.stalls.cupti_library import Cupti
from llmflame.probes.stalls.cupti_sampler import CuptiSampler, current_context
from llmflame.probes.stalls.sampler import NOT_ISSUED, NoSampler, StallCounts, StallSampler
from llmflame.recording.anatomy import WINDOW_STEPS
from llmflame.recording.session import Session
from llmflame.recording.stall_rows import StallRows

DRAIN_INTERVAL_NS = 500_000_000
"""How often samples are taken over while a range goes on: the hardware's buffer fills in seconds."""
COST_PAIRS = 3
"""Requests without and with sampling, taken in turns: what it costs."""
LATEST_EXACT_STEP = 8
MARK_NUMBERS = 16 << 20
"""64 MiB of float32: 20 us of an H200, on all of its multiprocessors."""
Open = Callable[[bool], StallSampler]
"""Opens a sampler; True asks for one launch at a time."""


@dataclass(slots=True)
class Range:
    """What was sampled in one phase or step."""

    counts: StallCounts = field(default_factory=StallCounts)
    wall_ns: int = 0


@dataclass(slots=True)
class StallWatcher:
    """Samples a request by phases; or with `exact_step` that step alone."""

    session: Session
    sampler: StallSampler
    exact_step: int | None = None
    ranges: dict[str, Range] = field(default_factory=dict)
    mark: Callable[[], None] = lambda: None
    """Launches a kernel that is surely sampled, before any of the step's: launches are counted from it."""
    query_tokens: Callable[[], int] = lambda: 0
    _begin_ns: int | None = None
    _drained_ns: int = 0

    def opening(self, name: str, index: int | None) -> bool:
        """Begin a range where none is open; take over samples where one has been for long."""
        if name != STEP:
            self._stop("decode")
        elif self._begin_ns is None and self.exact_step in (None, index):
            self._start()
        elif self._begin_ns is not None and time.perf_counter_ns() - self._drained_ns > DRAIN_INTERVAL_NS:
            self.sampler.drain()
            self._drained_ns = time.perf_counter_ns()
        return True

    def closing(self, name: str, index: int | None) -> bool:
        """End the range of each chunk of the prompt, and of the step that was asked for."""
        if name == STEP and (index == 0 or self.query_tokens() > 1):
            self._stop("prefill")
        elif name == STEP and self.exact_step is not None:
            self._stop("decode")
        return True

    def end(self) -> None:
        """End what is open at the end of a request."""
        self._stop("decode")

    def _start(self) -> None:
        self._synchronize()
        self.sampler.start()
        if self.exact_step is not None:
            self.mark()
        self._begin_ns = self._drained_ns = time.perf_counter_ns()

    def _stop(self, name: str) -> None:
        if self._begin_ns is None:
            return
        self._synchronize()
        wall_ns, self._begin_ns = time.perf_counter_ns() - self._begin_ns, None
        found = self.ranges.setdefault(name, Range())
        found.wall_ns += wall_ns
        found.counts.add(self.sampler.stop())

    def _synchronize(self) -> None:
        if self.session.device is not None:
            self.session.device.synchronize()


def sampled_request(
    session: Session, root: Any, run: Callable[[RequestProbe], Any], sampler: StallSampler, step: int | None
) -> dict[str, Range]:
    """Run one request; what was sampled in its phases, or in one step of it."""
    with sampling(session, root, sampler, step) as (probe, ranges):
        run(probe)
    return ranges


@contextlib.contextmanager
def sampling(
    session: Session, root: Any, sampler: StallSampler, step: int | None
) -> Iterator[tuple[RequestProbe, dict[str, Range]]]:
    """One request that the caller runs inside; its ranges are filled when it has ended."""
    watcher = StallWatcher(session, sampler, step)
    if step is not None:
        watcher.mark = _mark_on(session.device_name)
    probe = RequestProbe(session.counters, opening=watcher.opening, closing=watcher.closing)
    watcher.query_tokens = lambda: probe.query_tokens
    probe.attach(root)
    try:
        yield probe, watcher.ranges
        watcher.end()
        probe.finish()
    finally:
        probe.detach()


def _mark_on(device: str) -> Callable[[], None]:
    import torch

    marked = torch.empty(MARK_NUMBERS if device.startswith("cuda") else 1, device=device)

    def mark() -> None:
        marked.fill_(1.0)

    return mark


def after_mark(counts: StallCounts) -> StallCounts:
    """Launches numbered from the one after the mark. CUPTI counts all that it has seen in the process.

    Raises StallsRefusedError where a launch is more than one function's: then several have one number.
    """
    functions: dict[int, tuple[str, str]] = {}
    for function, binary, launch, *_ in counts.samples:
        if functions.setdefault(launch, (function, binary)) != (function, binary):
            raise StallsRefusedError("launches can't be told apart: the samples of several have one number")
    base = min(functions, default=0)
    marks = [place for place in counts.samples if place[2] == base]
    of_mark = sum(counts.samples[place] for place in marks if not place[4].endswith(NOT_ISSUED))
    found = StallCounts(total=counts.total - of_mark, dropped=counts.dropped, hidden=counts.hidden)
    found.buffer_full = counts.buffer_full
    for (function, binary, launch, pc, reason), number in counts.samples.items():
        if launch > base:
            found.samples[function, binary, launch - base, pc, reason] = number
    return found


def open_sampler(session: Session, *, serialized: bool) -> CuptiSampler:
    """Of the device that the model is on. Raises StallsRefusedError where nobody can."""
    check_device(session)
    session.device.synchronize()  # type: ignore[union-attr]  # a CUDA device has one
    return CuptiSampler(Cupti.loaded(), current_context(), serialized=serialized)


def check_device(session: Session) -> None:
    """Raise StallsRefusedError where there is no device to be sampled."""
    if not session.device_name.startswith("cuda"):
        raise StallsRefusedError(
            "stalls can't be sampled: the model runs on the CPU, and only NVIDIA GPUs are sampled"
        )


def exact_step(new_tokens: int) -> int:
    """The decode step that is sampled launch by launch: one that the anatomy traces, too."""
    fitting = [step for step in WINDOW_STEPS if 1 <= step <= min(LATEST_EXACT_STEP, new_tokens - 1)]
    if not fitting:
        raise StallsRefusedError("exact stalls need a decode step: ask for two new tokens at least")
    return max(fitting)


def measure_stalls(
    session: Session,
    root: Any,
    run: Callable[[RequestProbe], Any],
    *,
    binaries: Binaries | None,
    exact: int | None,
    opened: Open,
    pairs: int = COST_PAIRS,
) -> None:
    """Requests without and with sampling in turns, then one step launch by launch where that is asked for."""
    rows = StallRows(session, binaries)
    walls: dict[str, list[tuple[int, int]]] = {}
    whole: dict[str, Range] = {}
    description: dict[str, str] = {}
    for _ in range(pairs):
        clean = _clean_walls(session, root, run)
        with contextlib.closing(opened(False)) as sampler:
            description = sampler.description
            for name, found in sampled_request(session, root, run, sampler, None).items():
                walls.setdefault(name, []).append((clean.get(name, 0), found.wall_ns))
                total = whole.setdefault(name, Range())
                total.counts.add(found.counts)
                total.wall_ns += found.wall_ns
    rows.describe(description, walls)
    for name, found in whole.items():
        rows.put(name, None, found.counts, found.wall_ns)
    try:
        if exact is not None:
            with contextlib.closing(opened(True)) as sampler:
                for name, found in sampled_request(session, root, run, sampler, exact).items():
                    rows.put(name, exact, after_mark(found.counts), found.wall_ns)
    finally:
        rows.finish()


def _clean_walls(session: Session, root: Any, run: Callable[[RequestProbe], Any]) -> dict[str, int]:
    ranges = sampled_request(session, root, run, NoSampler(), None)
    return {name: found.wall_ns for name, found in ranges.items()}
