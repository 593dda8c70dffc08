"""A request in which nothing is timed: who holds the memory, before and after its phases and at every
step."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from llmflame.planning.predict import predict
from llmflame.probes.memory.census import Census, take_census
from llmflame.probes.memory.tensors import cache_storages
from llmflame.probes.sections import STEP, RequestProbe, Section
from llmflame.recording.session import Peaks, Session, log_request
from llmflame.recording.subject_facts import model_facts

FLOOR = "request"
"""The phase of the moments before and after a whole request."""


@dataclass(slots=True)
class MemoryWatcher:
    """Counts at the request's ends, at the ends of prefill, and around the last step; reads at every step."""

    session: Session
    root: Any
    cache: Callable[[], Any] = lambda: None
    step_peaks: dict[int | None, Peaks] = field(default_factory=dict)
    static_cache: bool = False
    """Has the cache its whole length from the first token on?"""

    def opening(self, name: str, index: int | None) -> bool:
        """Count, read, and begin a new peak."""
        if name == STEP:
            if index in (0, 1, self.session.last_step):
                self.count("decode" if index else "prefill", index, "begin")
            self.read_step()
        self.session.start_peak()
        return True

    def closing(self, name: str, index: int | None) -> bool:
        """Read the peak."""
        if name == STEP:
            self.step_peaks.setdefault(index, self.session.peak())
        return True

    def called(self, name: str, index: int | None) -> bool:
        """Read and count where the last forward call has returned: its cache ends with the generation."""
        if name == STEP and index == self.session.last_step:
            self.step_peaks[index] = self.session.peak()
            self.read_step()
            self.count("decode" if index else "prefill", index, "end")
            self.static_cache = bool(getattr(self.cache(), "is_compileable", False))
        return False

    def read_step(self) -> None:
        """What a step's edge costs a microsecond or two to know."""
        session, use = self.session, self.session.heap.read()
        session.gauge("heap_bytes", use.used_bytes if use is not None else None)
        cached = sum(storage.bytes for storage in cache_storages(self.cache()))
        session.gauge("kv_cache_bytes", cached)
        session.gauge_device()

    def count(self, phase: str, step: int | None, when: str) -> Census:
        """A census, stored as a moment."""
        census = take_census(self.root, self.cache(), self.session.device_name, self.session.heap)
        moment = self.session.moment(phase=phase, step=step, when=when)
        self.session.held(moment, census.held, census.readings)
        self.session.flush()  # what ends the process now leaves it behind
        return census


def take_moment(session: Session, root: Any, phase: str, when: str = "end") -> None:
    """Who holds the memory between phases."""
    MemoryWatcher(session, root).count(phase, None, when)
    session.gauge_device()
    session.flush()


@contextlib.contextmanager
def memory_request(session: Session, root: Any) -> Any:
    """One counted request; what runs inside marks its sections on the probe."""
    gc.collect()  # what earlier requests left to the collector is not this one's
    watcher = MemoryWatcher(session, root)
    probe = RequestProbe(
        session.counters, opening=watcher.opening, closing=watcher.closing, called=watcher.called
    )
    watcher.cache = lambda: probe.cache
    watcher.count(FLOOR, None, "begin")
    probe.attach(root)
    try:
        yield probe
        sections: list[Section] = probe.finish()
    except BaseException:
        probe.abort()
        raise
    finally:
        probe.detach()
        watcher.cache = lambda: None  # the probe knows the watcher, and that the model
    gc.collect()
    watcher.count(FLOOR, None, "end")
    treatments = {(section.name, section.index): "counted" for section in sections}
    log_request(
        session,
        sections,
        repetition=0,
        peaks={},
        treatments=treatments,  # type: ignore[arg-type]
        step_peaks=watcher.step_peaks,
    )
    session.flush()
    _predict(session, root, static_cache=watcher.static_cache)


def _predict(session: Session, root: Any, *, static_cache: bool) -> None:
    """What the request that was counted should hold, by the model's configuration alone."""
    facts, seen = model_facts(root), session.seen_shape
    wanted = (seen.get("batch_size"), seen.get("prompt_tokens"), seen.get("new_tokens"))
    if not all(isinstance(number, int) and number > 0 for number in wanted):
        return
    batch, prompt, new = (int(number or 0) for number in wanted)
    session.put(
        *predict(
            getattr(root, "config", None),
            batch=batch,
            prompt_tokens=prompt,
            new_tokens=new,
            dtype=str(facts["dtype"]),
            device_kind="cuda" if session.on_cuda else "cpu",
            weight_bytes=None,
            static_cache=static_cache,
            checkpoint_dtype=session.checkpoint_dtype,
            reserved_bytes=session.reserved_bytes,
        )
    )
    session.flush()
