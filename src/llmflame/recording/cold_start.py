"""Import and load: under the sampler in the clean pass, under the tracer in the anatomy pass."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Protocol

from llmflame.probes.pagecache import cached_share
from llmflame.probes.pools import PoolLinks
from llmflame.probes.sampler import RATE_HZ, StackSampler, sampled_tree
from llmflame.recording.loading import import_libraries, load_pipeline, resolve_device
from llmflame.recording.session import Phase, Session
from llmflame.recording.slices import SliceRoom
from llmflame.recording.workload import Workload
from llmflame.subjects.checkpoint import Checkpoint


class Watch(Protocol):
    """How a phase is watched."""

    def __call__(self, session: Session, name: str) -> contextlib.AbstractContextManager[Phase]:
        """A phase under some instrument."""


def import_and_load(
    session: Session, checkpoint: Checkpoint, workload: Workload, importing: Watch, loading: Watch
) -> Any:
    """The pipeline, with both phases recorded. Raises UsageError for a device or folder that won't do."""
    with importing(session, "import") as phase:
        import_libraries(phase.part)
    if session.pass_name == "clean":
        from llmflame.recording.memory import take_moment

        take_moment(session, None, "import")
    session.device_name = resolve_device(workload.device)
    cached = cached_share(checkpoint.weight_files)
    session.report("page cache", "weights cached before load", cached, "share")
    with loading(session, "load") as phase:
        pipeline = load_pipeline(checkpoint, workload.dtype, session.device_name, phase.part)
    from llmflame.probes.device import Device

    session.device = Device(session.device_name)
    return pipeline


@contextlib.contextmanager
def plain(session: Session, name: str) -> Iterator[Phase]:
    """Nothing but counters."""
    with session.phase(name) as phase:
        yield phase


@contextlib.contextmanager
def traced(session: Session, name: str) -> Iterator[Phase]:
    """Operators and allocations of this thread, without Python frames: a load has a million of those."""
    from llmflame.probes import tracing
    from llmflame.probes.eventtree import Modules
    from llmflame.recording.anatomy import read_windows

    with session.phase(name) as phase:
        phase.treatment, phase.part_marker = "traced", tracing.part
        on_cuda = session.device_name != "cpu"
        window = tracing.Window(name, None, cuda=on_cuda, stacks=False, inputs=True)
        window.open()
        yield phase
        recorded = window.close()
    read_windows(session, [recorded], Modules({}, None))


class Sampling:
    """The sampler over several phases. Use as a context; `watch` is a `Watch`."""

    def __init__(self) -> None:
        self._links = PoolLinks()
        self._sampler = StackSampler(self._links)
        self._room: SliceRoom | None = None

    def __enter__(self) -> Sampling:
        self._links.__enter__()
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._sampler.stop()
        self._links.__exit__()

    def report(self, session: Session) -> None:
        """What sampling cost."""
        session.report("sampler", "cost", self._sampler.cost_ns, "ns")
        session.report("sampler", "rate", RATE_HZ, "Hz")

    @contextlib.contextmanager
    def watch(self, session: Session, name: str) -> Iterator[Phase]:
        """A phase whose stacks are sampled."""
        with session.phase(name) as phase:
            phase.treatment = "sampled"
            assert phase.begin is not None
            self._sampler.switch(name, phase.begin.time_ns)
            yield phase
            stretch = self._sampler.switch(None, phase.finish().time_ns)
            assert stretch is not None
            phase.disk_wait_ns = stretch.disk_wait_ns
        row = session.window(
            kind="sampled",
            span_name=name,
            step=None,
            wall_ns=stretch.end_ns - stretch.begin_ns,
            samples=stretch.samples,
            events=None,
            dropped=0,
        )
        tree = sampled_tree(stretch)
        self._room = self._room or SliceRoom(session)
        self._room.fit(row, tree)
        session.sink.tree(row, tree)
        session.report("sampler", f"late in {name}", stretch.late, "count")
        session.report("sampler", f"without a CPU in {name}", stretch.uncovered_ns, "ns")
        session.flush()
