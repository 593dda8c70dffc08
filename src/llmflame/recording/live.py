"""Profiles a live object in this process: clean requests first, then a few steps under hooks, then windows.

A process that has once run a CUDA profiling session stays slower, so nothing is timed after the windows.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from llmflame.atomic import check_writable
from llmflame.errors import StallsRefusedError, UsageError
from llmflame.probes.ceilings.kept import with_kept
from llmflame.probes.device import Device
from llmflame.probes.machine import read_machine
from llmflame.probes.sections import RequestProbe
from llmflame.probes.tracing import refuse_taken_slot
from llmflame.progress import SILENT, Progress
from llmflame.recording import passes, pieces
from llmflame.recording.ending import ending
from llmflame.recording.gauge_helper import GaugeHelper
from llmflame.recording.live_stalls import live_stalls
from llmflame.recording.memory import FLOOR, take_moment
from llmflame.recording.out_of_memory import note, watch_device
from llmflame.recording.requests import marked_pipeline
from llmflame.recording.session import Session
from llmflame.recording.single import SingleRun
from llmflame.recording.subject_facts import model_facts
from llmflame.recording.version import version
from llmflame.store.profile import Profile, read_profile
from llmflame.store.rows import STALL_MODES, PassName, PassRow, Status
from llmflame.store.writer import ProfileWriter, Scalar, move_profile, unfinished_beside
from llmflame.subjects import cache

GAUGE_INTERVAL_MS = 10.0
"""How often memory is read, from outside."""
DEFAULT_REPETITIONS = 3
"""Timed requests."""
ANATOMY = ((pieces.MODULES, 1, "anchors"), (pieces.SHAPES, 0, "shapes"), (pieces.WINDOWS, 0, "windows"))
"""The requests of the anatomy: what they are called, their repetition and their instruments."""


def runs_of(repetitions: int) -> int:
    """How often `Recorder.passes` asks for the request: a warm-up, memory and the anatomy's beside."""
    return 1 + repetitions + 1 + len(ANATOMY)


class Recorder:
    """Records what a live model or pipeline does, into one file.

    A request that can be repeated is run once for each pass:

        with llmflame.Recorder(model, "run.llmflame") as recorder:
            for _ in recorder.passes():
                model.generate(**inputs, max_new_tokens=64)
        recorder.profile

    What can't be repeated is recorded once, undisturbed, without `passes`; each generation in the block is a
    request:

        with llmflame.Recorder(model, "run.llmflame"):
            chat(model)

    An exception of the program passes through unchanged; the file then says `failed` and why. Raises
    UsageError where `output` exists and `force` is not set, or where another profiler holds the
    interpreter's hook.
    """

    def __init__(
        self,
        subject: Any,
        output: str | Path,
        *,
        force: bool = False,
        repetitions: int = DEFAULT_REPETITIONS,
        gauge_interval_ms: float = GAUGE_INTERVAL_MS,
        stalls: str | None = None,
        progress: Progress = SILENT,
    ) -> None:
        if repetitions < 1:
            raise UsageError(f"repetitions must be at least 1, not {repetitions}")
        if stalls not in (None, *STALL_MODES):
            raise UsageError(f"stalls is one of {', '.join(STALL_MODES)}, or None")
        self.output = Path(output)
        self._pipeline = subject if hasattr(subject, "_forward") and hasattr(subject, "model") else None
        self._model = self._pipeline.model if self._pipeline is not None else subject
        if not hasattr(self._model, "register_forward_pre_hook"):
            raise UsageError(
                f"a {type(subject).__name__} is neither an nn.Module nor a transformers pipeline"
            )
        self._force = force
        self._progress = progress
        """Told between requests, never inside one."""
        self._repetitions = repetitions
        self._stalls = stalls
        self._writer: ProfileWriter | None = None
        self._single: SingleRun | None = None
        self._gauges: GaugeHelper | None = None
        self._gauge_interval_ms = gauge_interval_ms
        self._sessions = contextlib.ExitStack()
        self._repeated = False
        self._walked = False
        self._between: Callable[[], None] | None = None
        self._unfinished = self.output
        self._began_ns = 0
        self._profile: Profile | None = None

    @property
    def profile(self) -> Profile:
        """What was recorded. Raises UsageError before the block has ended."""
        if self._profile is None:
            raise UsageError("the recording has not ended: read `profile` after the with-block")
        return self._profile

    def __enter__(self) -> Recorder:
        refuse_taken_slot()
        watch_device()
        check_writable(self.output, force=self._force)
        self._began_ns = time.perf_counter_ns()
        # The old file stays until the new one is whole.
        self._unfinished = unfinished_beside(self.output)
        self._writer = ProfileWriter(self._unfinished, version=version(), mode="in-process")
        try:
            self._sessions.callback(self._progress.finish)
            self._gauges = GaugeHelper(
                origin_ns=self._began_ns,
                interval_s=self._gauge_interval_ms / 1e3,
                device=_gpu_of(self._model),
            )
            self._sessions.callback(self._gauges.stop)
            self._gauges.start()  # first: it takes a while to start
            self._writer.facts(with_kept(cache.folder(), read_machine(cache.folder())))
            self._writer.subject({"model": _name_of(self._model), "source": "a live object"})
            self._writer.subject(model_facts(self._model) | {"python": sys.version.split()[0]})
            self._single = SingleRun(self._session("clean"), self._model, self._pipeline)
            self._single.begin()
        except BaseException:
            self._sessions.close()
            self._writer.abandon()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _where: TracebackType | None
    ) -> None:
        writer = self._writer
        assert writer is not None
        status, reason = ending(error)
        if self._single is not None and (said := note(self._single.session, error, self._model)):
            reason = said
        if self._repeated and not self._walked and error is None:
            status, reason = "partial", "the loop over passes() was left before its end"
        with self._sessions:
            if self._single is not None:
                self._single.end(keep=not self._repeated and kind is None)
                if not self._repeated:
                    if error is None:
                        take_moment(self._single.session, self._model, FLOOR)
                    self._pass_row("clean", self._began_ns, status, reason, self._single.session)
                    writer.subject(self._single.session.seen_shape)
            if self._gauges is not None:
                writer.rows(self._gauges.stop())
        writer.finish(status, reason)
        move_profile(self._unfinished, self.output)
        self._writer = None
        self._profile = self.read(self.output)

    @staticmethod
    def read(path: Path) -> Profile:
        """A file that was recorded."""
        return read_profile(path)

    def describe(self, **properties: Scalar) -> None:
        """Say more of what is run, for the file: `prompt_tokens`, `new_tokens`, `batch_size` ..."""
        if self._writer is None:
            raise UsageError("describe() belongs inside the recorder's with-block")
        self._writer.subject(properties)

    def passes(self, *, between: Callable[[], None] | None = None) -> Iterator[str]:
        """Yield once for each time that the request is to be run; the value names the pass.

        `warmup` once, `clean` for each repetition, `memory` once, `anatomy` three times: module by module,
        for the operators' shapes, and in windows. `between` is called before each but the warm-up, off the
        clock: it can put back what the request has changed.
        """
        writer = self._writer
        if writer is None or self._single is None:
            raise UsageError("passes() belongs inside the recorder's with-block")
        if self._repeated:
            raise UsageError("passes() can be walked once in a recording")
        self._repeated = True
        self._between = between
        self._single.end(keep=False)
        self._progress.begin(pieces.in_process(self._repetitions))
        self._progress.step(pieces.WARMUP)
        yield "warmup"
        begin, session = time.perf_counter_ns(), self._session("clean")
        session.report("counters", "edge cost", session.counters.cost_ns(), "ns")
        compiled = passes.compiled_graphs()
        for repetition in range(self._repetitions):
            self._progress.step(pieces.request_of(repetition, self._repetitions))
            yield from self._once(session, repetition, "clean")
        passes.report_compiler(session, compiled)
        self._pass_row("clean", begin, "complete", None, session)
        writer.subject(session.seen_shape)
        seen = session.seen_shape.get("new_tokens")
        yield from self._counted(session)
        if self._stalls is not None:
            yield from self._sampled(session)
        begin, session = time.perf_counter_ns(), self._session("anatomy")
        session.last_step = seen - 1 if isinstance(seen, int) else None
        passes.calibrate(session)
        for name, repetition, instruments in ANATOMY:
            self._progress.step(name)
            yield from self._once(session, repetition, instruments)
        self._pass_row("anatomy", begin, "complete", None, session)
        self._walked = True

    def _counted(self, clean: Session) -> Iterator[str]:
        """One request in which memory is counted."""
        begin, session = time.perf_counter_ns(), clean.beside("memory")
        self._sessions.callback(session.close)
        self._progress.step(pieces.MEMORY)
        yield from self._once(session, 0, "memory")
        self._pass_row("memory", begin, "complete", None, session)

    def _sampled(self, clean: Session) -> Iterator[str]:
        """Requests in which stalls are sampled, if they may be: before any tracer has been here."""
        begin, session = time.perf_counter_ns(), clean.beside("stalls")
        self._sessions.callback(session.close)
        self._progress.step(pieces.STALLS)
        status: Status = "complete"
        reason = None
        try:
            yield from live_stalls(session, self._model, self._stalls == "exact", self._around)
        except StallsRefusedError as error:
            status, reason = "failed", str(error)
        self._pass_row("stalls", begin, status, reason, session)

    @contextlib.contextmanager
    def _around(self, session: Session, probe: RequestProbe) -> Iterator[str]:
        self._prepare(session)
        with self._request(session, probe) as name:
            yield name

    def _prepare(self, session: Session) -> None:
        """What comes before a request, off the clock."""
        if self._between is not None:
            self._between()
        if self._gauges is not None:
            self._gauges.begin(session.pass_name)

    @contextlib.contextmanager
    def _request(self, session: Session, probe: RequestProbe) -> Iterator[str]:
        """What surrounds the caller's request, whatever watches it."""
        with self._marks(probe):
            probe.enter("tokenize" if self._pipeline is not None else "prepare")
            yield session.pass_name

    def _once(self, session: Session, repetition: int, instruments: str) -> Iterator[str]:
        """Run the body of the caller's loop as one request under a pass' instruments."""
        self._prepare(session)
        with (
            passes.request(session, self._model, repetition, instruments) as probe,
            self._request(session, probe) as name,
        ):
            yield name

    def _marks(self, probe: RequestProbe) -> contextlib.AbstractContextManager[None]:
        if self._pipeline is None:
            return contextlib.nullcontext()
        return marked_pipeline(self._pipeline, probe)

    def _session(self, pass_name: PassName) -> Session:
        assert self._writer is not None
        if self._gauges is not None:
            self._gauges.begin(pass_name)
        session = Session(pass_name, self._writer, self._began_ns)
        self._sessions.callback(session.close)
        parameter = next(iter(self._model.parameters()), None)
        session.device_name = str(parameter.device) if parameter is not None else "cpu"
        session.device = Device(session.device_name)
        if self._single is None:
            session.note_reserved()
        else:
            session.reserved_bytes = self._single.session.reserved_bytes
        return session

    def _pass_row(
        self, name: PassName, begin_ns: int, status: Status, reason: str | None, session: Session
    ) -> None:
        assert self._writer is not None
        now = time.perf_counter_ns()
        start, peak = begin_ns - self._began_ns, session.highest_rss_bytes or None
        self._writer.rows([PassRow(name, status, reason, None, start, now - begin_ns, peak)])
        if self._gauges is not None:
            self._writer.rows(self._gauges.take())


def _name_of(model: Any) -> str:
    known = getattr(getattr(model, "config", None), "_name_or_path", "")
    return Path(str(known)).name or type(model).__name__


def _gpu_of(model: Any) -> str | None:
    """The UUID of the GPU that a model is on: the driver may number GPUs in another order."""
    parameter = next(iter(model.parameters()), None)
    if parameter is None or parameter.device.type != "cuda":
        return None
    import torch

    uuid = getattr(torch.cuda.get_device_properties(parameter.device), "uuid", None)
    return f"GPU-{uuid}" if uuid is not None else str(parameter.device.index or 0)
