"""The phases of a pass in its own process, from the first instruction to the last repetition.

Nothing here imports torch before the `import` phase does: that is what is timed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llmflame.probes.faults import minor_fault_cost_ns
from llmflame.probes.spans import Place
from llmflame.recording import cold_start, pieces
from llmflame.recording.nowhere import Nowhere
from llmflame.recording.out_of_memory import RanOutOfMemoryError, WatchedSession, note
from llmflame.recording.requests import request_of
from llmflame.recording.session import Session
from llmflame.recording.wire import PipeSink
from llmflame.recording.workload import Workload
from llmflame.store.rows import PassRow
from llmflame.subjects.checkpoint import Checkpoint


def run_pass(order: dict[str, Any], sink: PipeSink, began_ns: int, began_cpu_ns: int) -> None:
    """Run `clean`, `anatomy`, `stalls` or `allocations` as ordered; rows go to the sink as phases end.

    Raises RanOutOfMemoryError where memory ran out; who held it is stored.
    """
    checkpoint = _checkpoint(order["checkpoint"])
    workload = Workload(**order["workload"])
    session = WatchedSession(
        order["pass"], sink, order["origin_ns"], lambda text: sink.send("progress", text)
    )
    with contextlib.closing(session):
        try:
            _log_startup(session, order["spawned_ns"], began_ns, began_cpu_ns)
            if session.pass_name == "clean":
                _clean(session, checkpoint, workload)
            elif session.pass_name == "allocations":
                from llmflame.recording.allocations import run_allocations

                run_allocations(session, checkpoint, workload)
            elif session.pass_name == "stalls":
                from llmflame.recording.stalls_in_child import run_stalls

                run_stalls(session, checkpoint, workload, order["stalls"])
            else:
                _anatomy(session, checkpoint, workload)
        except Exception as error:
            reason = note(session, error, weights=checkpoint.weight_bytes or 0)
            if reason is None:
                raise
            raise RanOutOfMemoryError(reason) from error
        session.peak()
        session.flush()
    sink.send("peak", session.highest_rss_bytes)


def _checkpoint(fields: dict[str, Any]) -> Checkpoint:
    folder, files = Path(fields["folder"]), tuple(Path(file) for file in fields["weight_files"])
    return Checkpoint(**{**fields, "folder": folder, "weight_files": files})


def _log_startup(session: Session, spawned_ns: int, began_ns: int, began_cpu_ns: int) -> None:
    """From the moment the parent asked for a process until its first instruction here."""
    now = session.counters.read()
    end = now._replace(
        time_ns=began_ns,
        thread_cpu_ns=began_cpu_ns,
        process_cpu_ns=began_cpu_ns,
        run_queue_ns=None,  # nobody read these then
        minor_faults=None,
        major_faults=None,
        read_bytes=None,
    )
    begin = end._replace(time_ns=spawned_ns, thread_cpu_ns=0, process_cpu_ns=0)
    session.spans.log(Place("startup"), begin, end, peak_rss_bytes=session.peak().rss_bytes)


def _clean(session: Session, checkpoint: Checkpoint, workload: Workload) -> None:
    with cold_start.Sampling() as sampling:
        pipeline = cold_start.import_and_load(session, checkpoint, workload, sampling.watch, sampling.watch)
        from llmflame.recording.memory import take_moment

        take_moment(session, pipeline.model, "load")
        session.note_reserved()
        run, count = request_of(pipeline, workload)
        session.progress(pieces.WARMUP)
        with sampling.watch(session, "warmup"):
            # The whole length: libraries build and cache plans for each length of the key/value cache.
            run(Nowhere(), workload.new_tokens)
    sampling.report(session)
    session.report("counters", "edge cost", session.counters.cost_ns(), "ns")
    session.report("faults", "minor fault cost", minor_fault_cost_ns(session.counters), "ns")
    _describe(session, pipeline, workload, count)
    from llmflame.recording import passes

    compiled = passes.compiled_graphs()
    for repetition in range(workload.repetitions):
        session.progress(pieces.request_of(repetition, workload.repetitions))
        passes.clean_request(
            session, pipeline.model, lambda probe: run(probe, workload.new_tokens), repetition
        )
    session.sink.subject(session.seen_shape)  # a model may have ended early
    passes.report_compiler(session, compiled)
    session.checkpoint_dtype = checkpoint.dtype
    _count_memory(session, pipeline.model, lambda probe: run(probe, workload.new_tokens))


def _count_memory(session: Session, root: Any, run: Callable[[Any], Any]) -> None:
    """One more request in this process, after all that is timed: the same memory, and time to look at it."""
    from llmflame.recording import passes

    session.progress(pieces.MEMORY)
    with contextlib.closing(session.beside("memory")) as memory:
        begin = memory.counters.read()
        passes.counted_request(memory, root, run)
        wall_ns = memory.counters.read().time_ns - begin.time_ns
        start_ns = begin.time_ns - memory.spans.origin_ns
        memory.put(
            PassRow("memory", "complete", None, os.getpid(), start_ns, wall_ns, memory.highest_rss_bytes)
        )
        memory.flush()


def _anatomy(session: Session, checkpoint: Checkpoint, workload: Workload) -> None:
    # One thread, so that the tracer, which follows only the thread that started it, sees the whole load.
    os.environ["HF_DEACTIVATE_ASYNC_LOAD"] = "1"
    pipeline = cold_start.import_and_load(session, checkpoint, workload, cold_start.plain, cold_start.traced)
    run, _ = request_of(pipeline, workload)
    from llmflame.recording import passes

    session.progress(pieces.CALIBRATION)
    passes.calibrate(session)
    run(Nowhere(), workload.new_tokens)
    session.progress(pieces.MODULES)
    root = pipeline.model
    short = min(workload.new_tokens, len(passes.ANCHOR_REQUEST_STEPS))
    for repetition in range(passes.ANCHOR_REQUESTS):
        passes.anchor_request(session, root, lambda probe: run(probe, short), repetition + 1)
    session.progress(pieces.SHAPES)
    session.last_step = workload.new_tokens - 1
    passes.shapes_request(session, root, lambda probe: run(probe, workload.new_tokens))
    session.progress(pieces.WINDOWS)
    passes.traced_request(session, root, lambda probe: run(probe, workload.new_tokens), 0)


def _describe(session: Session, pipeline: Any, workload: Workload, prompt_tokens: int) -> None:
    from llmflame.recording.loading import why_no_cuda
    from llmflame.recording.subject_facts import model_facts

    session.sink.subject(
        model_facts(pipeline.model)
        | {
            "cuda_unusable": why_no_cuda() if workload.device == "auto" else None,
            "prompt_tokens": prompt_tokens,
            "new_tokens": workload.new_tokens,
            "batch_size": workload.batch_size,
        }
    )
