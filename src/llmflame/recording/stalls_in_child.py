"""The stalls pass of `llmflame profile`, in a process that no tracer has ever been in."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llmflame.recording import cold_start, pieces
from llmflame.recording.nowhere import Nowhere
from llmflame.recording.session import Phase, Session
from llmflame.recording.workload import Workload
from llmflame.subjects.checkpoint import Checkpoint


def run_stalls(session: Session, checkpoint: Checkpoint, workload: Workload, mode: str) -> None:
    """Load, warm up, sample. Raises StallsRefusedError where the device or its driver doesn't allow it."""
    with tempfile.TemporaryDirectory(prefix="llmflame-") as folder:
        _run(session, checkpoint, workload, mode, Path(folder))


def _run(session: Session, checkpoint: Checkpoint, workload: Workload, mode: str, folder: Path) -> None:
    caught: list[Any] = []

    @contextlib.contextmanager
    def loading(session: Session, name: str) -> Iterator[Phase]:
        from llmflame.probes.stalls.binaries import Binaries
        from llmflame.probes.stalls.cupti_library import Cupti
        from llmflame.recording.stalls import check_device, exact_step

        check_device(session)
        if mode == "exact":
            exact_step(workload.new_tokens)
        caught.append(Binaries(Cupti.loaded(), folder))
        with cold_start.plain(session, name) as phase:
            yield phase

    pipeline = cold_start.import_and_load(session, checkpoint, workload, cold_start.plain, loading)
    from llmflame.recording.requests import request_of
    from llmflame.recording.stalls import exact_step, measure_stalls, open_sampler

    run, _ = request_of(pipeline, workload)
    session.progress(pieces.STALLS_WARMUP)
    run(Nowhere(), workload.new_tokens)
    session.progress(pieces.STALLS)
    measure_stalls(
        session,
        pipeline.model,
        lambda probe: run(probe, workload.new_tokens),
        binaries=caught[0],
        exact=exact_step(workload.new_tokens) if mode == "exact" else None,
        opened=lambda serialized: open_sampler(session, serialized=serialized),
    )
