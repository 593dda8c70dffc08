"""The phases of a pass in its own process, from the first instruction to the last repetition."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from llmflame.probes.counters import Edge
from llmflame.probes.pagecache import cached_share
from llmflame.probes.pools import PoolLinks
from llmflame.probes.sampler import RATE_HZ, StackSampler, sampled_tree
from llmflame.probes.spans import Place
from llmflame.recording.loading import check_device, import_libraries, load_pipeline
from llmflame.recording.session import Phase, Session
from llmflame.recording.wire import PipeSink
from llmflame.recording.workload import WARMUP_TOKENS, Workload, check_context
from llmflame.subjects.checkpoint import Checkpoint


def run_pass(order: dict[str, Any], sink: PipeSink, began_ns: int, began_cpu_ns: int) -> None:
    """Run `clean` or `anatomy` as ordered; rows go to the sink as phases end."""
    checkpoint = _checkpoint(order["checkpoint"])
    workload = Workload(**order["workload"])
    session = Session(
        order["pass"], sink, order["origin_ns"], lambda text: sink.send("progress", text)
    )
    _log_startup(session, order["spawned_ns"], began_ns, began_cpu_ns)
    if session.pass_name == "clean":
        _clean(session, checkpoint, workload)
    else:
        _anatomy(session, checkpoint, workload)
    session.flush()
    sink.send("peak", session.highest_rss_bytes)


def _checkpoint(fields: dict[str, Any]) -> Checkpoint:
    folder, files = Path(fields["folder"]), tuple(Path(file) for file in fields["weight_files"])
    return Checkpoint(**{**fields, "folder": folder, "weight_files": files})


def _log_startup(session: Session, spawned_ns: int, began_ns: int, began_cpu_ns: int) -> None:
    """From the moment the parent asked for a process until its first instruction here."""
    now = session.counters.read()
    end = now._replace(time_ns=began_ns, thread_cpu_ns=began_cpu_ns, process_cpu_ns=began_cpu_ns)
    begin = end._replace(time_ns=spawned_ns, thread_cpu_ns=0, process_cpu_ns=0)
    session.spans.log(Place("startup"), begin, end, peak_rss_bytes=session.peak().rss_bytes)


def _clean(session: Session, checkpoint: Checkpoint, workload: Workload) -> None:
    with PoolLinks() as links:
        sampler = StackSampler(links)
        sampler.start()
        try:
            pipeline = _import_and_load(session, checkpoint, workload, sampler)
            request, count = _request(session, pipeline, workload)
            with _sampled(session, sampler, "warmup"):
                request(_Nowhere(), min(workload.new_tokens, WARMUP_TOKENS))
        finally:
            sampler.stop()
    session.report("sampler", "cost", sampler.cost_ns, "ns")
    session.report("sampler", "rate", RATE_HZ, "Hz")
    _describe(session, pipeline, workload, count)
    session.report("counters", "edge cost", session.counters.cost_ns(), "ns")
    from llmflame.recording.passes import clean_request

    for repetition in range(workload.repetitions):
        session.progress(f"request {repetition + 1} of {workload.repetitions}, undisturbed")
        clean_request(
            session, pipeline.model, lambda probe: request(probe, workload.new_tokens), repetition
        )


def _anatomy(session: Session, checkpoint: Checkpoint, workload: Workload) -> None:
    import os

    # One thread, so that the tracer, which follows only the thread that started it, sees the whole load.
    os.environ["HF_DEACTIVATE_ASYNC_LOAD"] = "1"
    pipeline = _import_and_load(session, checkpoint, workload, None)
    request, _ = _request(session, pipeline, workload)
    from llmflame.recording import passes

    session.progress("calibrating the tracer")
    passes.calibrate(session)
    request(_Nowhere(), min(workload.new_tokens, WARMUP_TOKENS))
    root = pipeline.model
    short = min(workload.new_tokens, len(passes.ANCHOR_REQUEST_STEPS))
    session.progress("timing modules")
    for repetition in range(passes.ANCHOR_REQUESTS):
        passes.anchor_request(session, root, lambda probe: request(probe, short), repetition + 1)
    session.progress("tracing a few windows")
    passes.traced_request(session, root, lambda probe: request(probe, workload.new_tokens), 0)


def _import_and_load(
    session: Session, checkpoint: Checkpoint, workload: Workload, sampler: StackSampler | None
) -> Any:
    with _sampled(session, sampler, "import") as phase:
        import_libraries(phase.part)
    check_device(workload.device)
    if session.pass_name == "clean":
        cached = cached_share(checkpoint.weight_files)
        session.report("page cache", "weights cached before load", cached, "share")
    with _sampled(session, sampler, "load", traced=sampler is None) as phase:
        pipeline = load_pipeline(checkpoint, workload.dtype, workload.device, phase.part)
    from llmflame.probes.device import Device

    session.device = Device(workload.device)
    return pipeline


@contextlib.contextmanager
def _sampled(
    session: Session, sampler: StackSampler | None, name: str, *, traced: bool = False
) -> Iterator[Phase]:
    """A phase under the sampler (clean pass) or under the tracer without stacks (a load in the anatomy pass)."""
    window = None
    with session.phase(name) as phase:
        if sampler is not None:
            phase.treatment = "sampled"
            sampler.switch(name, _begin(phase).time_ns)
        elif traced:
            from llmflame.probes.tracing import Window

            phase.treatment = "traced"
            window = Window(name, None, stacks=False)
            window.open()
        yield phase
        recorded = window.close() if window is not None else None
        if sampler is not None:
            end = session.counters.read()
            stretch = sampler.switch(None, end.time_ns)
            assert stretch is not None
            phase.disk_wait_ns = stretch.disk_wait_ns
    if sampler is not None:
        tree = sampled_tree(stretch)
        row = session.window(
            kind="sampled",
            span_name=name,
            step=None,
            wall_ns=stretch.end_ns - stretch.begin_ns,
            samples=stretch.samples,
            events=None,
            dropped=0,
        )
        session.sink.tree(row, tree)
        session.report("sampler", f"late in {name}", stretch.late, "count")
        session.flush()
    if recorded is not None:
        from llmflame.probes.eventtree import Modules
        from llmflame.recording.anatomy import read_windows

        read_windows(session, [recorded], Modules({}, None))


def _begin(phase: Phase) -> Edge:
    assert phase.begin is not None
    return phase.begin


class _Nowhere:
    """Takes the marks of a request that is not recorded."""

    def enter(self, _name: str, _index: int | None = None) -> None:
        """Forget it."""


def _request(
    session: Session, pipeline: Any, workload: Workload
) -> tuple[Callable[[Any, int], Any], int]:
    import torch

    from llmflame.recording.requests import generation_defaults, marked_pipeline, pipeline_call, prompt_of

    text, count = prompt_of(pipeline.tokenizer, workload)
    config = pipeline.model.config
    check_context(count, workload.new_tokens, getattr(config, "max_position_embeddings", None))
    call = pipeline_call(pipeline, [text] * workload.batch_size, workload)

    def run(probe: Any, new_tokens: int) -> Any:
        torch.manual_seed(workload.seed)
        with generation_defaults(pipeline.model, workload), marked_pipeline(pipeline, probe):
            probe.enter("tokenize")
            return call(new_tokens)

    return run, count


def _describe(session: Session, pipeline: Any, workload: Workload, prompt_tokens: int) -> None:
    import torch

    model = pipeline.model
    parameters = {id(p): p for p in model.parameters()}
    session.sink.subject(
        {
            "parameters": sum(p.numel() for p in parameters.values()),
            "weights_in_memory_bytes": sum(p.numel() * p.element_size() for p in parameters.values()),
            "dtype": str(model.dtype).removeprefix("torch."),
            "device": str(model.device),
            "architecture": type(model).__name__,
            "attention": str(getattr(model.config, "_attn_implementation", None)),
            "layers": getattr(model.config, "num_hidden_layers", None),
            "prompt_tokens": prompt_tokens,
            "new_tokens": workload.new_tokens,
            "batch_size": workload.batch_size,
            "torch_threads": torch.get_num_threads(),
        }
    )
