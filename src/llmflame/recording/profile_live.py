"""`llmflame.profile`: one call for a name, a model or a pipeline."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmflame.errors import UsageError
from llmflame.progress import SILENT, Progress
from llmflame.store.profile import Profile, read_profile

if TYPE_CHECKING:
    from llmflame.recording.workload import Workload


def profile_anything(
    subject: Any,
    *,
    tokenizer: Any,
    output: str | Path | None,
    force: bool,
    trust: Mapping[str, bool],
    workload: Mapping[str, Any],
    stalls: str | None = None,
    progress: Progress = SILENT,
) -> Profile:
    """Profile MODEL by name in fresh processes, or a live object in this one. See `llmflame.profile`."""
    from llmflame.recording.workload import Workload

    unknown = set(workload) - set(Workload.__dataclass_fields__)
    if unknown:
        raise UsageError(f"profile() takes no {', '.join(sorted(unknown))}")
    named = isinstance(subject, str | Path)
    settled = [] if named else [name for name in ("dtype", "device") if name in workload]
    if settled:
        raise UsageError(f"a live model has its {settled[0]} already: move it yourself, or name a model")
    work = Workload(**workload)
    with contextlib.ExitStack() as stack:
        stack.callback(progress.finish)
        if output is None:
            output = (
                Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="llmflame-"))) / "run.llmflame"
            )
        options = {"force": force, "stalls": stalls, "progress": progress}
        if named:
            return _by_name(str(subject), work, Path(output), trust, options)
        return _live(subject, work, tokenizer, Path(output), options)


def _by_name(
    spec: str, work: Workload, output: Path, trust: Mapping[str, bool], options: Mapping[str, Any]
) -> Profile:
    from llmflame.recording.record import record
    from llmflame.subjects.resolve import resolve

    record(resolve(spec, progress=options["progress"], **trust), work, output, **options)
    return read_profile(output)


def _live(subject: Any, work: Workload, tokenizer: Any, output: Path, options: Mapping[str, Any]) -> Profile:
    import torch

    from llmflame.recording.live import Recorder
    from llmflame.recording.requests import generation_defaults, pipeline_call, prompt_of
    from llmflame.recording.workload import check_context

    pipeline = subject if hasattr(subject, "_forward") else _pipeline(subject, tokenizer)
    work.check(None)
    text, count = prompt_of(pipeline.tokenizer, work)
    check_context(count, work.new_tokens, getattr(pipeline.model.config, "max_position_embeddings", None))
    call = pipeline_call(pipeline, [text] * work.batch_size, work)
    recorder = Recorder(
        pipeline,
        output,
        repetitions=work.repetitions,
        gauge_interval_ms=work.gauge_interval_ms,
        **options,
    )
    # Seeding must not change the caller's random state, on whatever device it is.
    with recorder, generation_defaults(pipeline.model, work), torch.random.fork_rng():
        recorder.describe(prompt=work.prompt, prompt_tokens=count)
        for _ in recorder.passes():
            torch.manual_seed(work.seed)
            call(work.new_tokens)
    return recorder.profile


def _pipeline(model: Any, tokenizer: Any) -> Any:
    if tokenizer is None:
        raise UsageError("profile(model, prompt) needs tokenizer=..., or give it a pipeline")
    from transformers import pipeline

    return pipeline("text-generation", model=model, tokenizer=tokenizer, device=model.device)
