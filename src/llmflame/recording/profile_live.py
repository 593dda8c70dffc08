"""`llmflame.profile`: one call for a name, a model or a pipeline."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any

from llmflame.errors import UsageError
from llmflame.store.profile import Profile, read_profile


def profile_anything(
    subject: Any,
    prompt: str | None = None,
    *,
    tokenizer: Any = None,
    output: str | Path | None = None,
    force: bool = False,
    **workload: Any,
) -> Profile:
    """Profile MODEL by name in fresh processes, or a live object in this one. See `llmflame.profile`."""
    from llmflame.recording.workload import Workload

    fields = dict(workload)
    if prompt is not None:
        fields["prompt"] = prompt
    unknown = set(fields) - set(Workload.__dataclass_fields__)
    if unknown:
        raise UsageError(f"profile() takes no {', '.join(sorted(unknown))}")
    work = Workload(**fields)
    if output is not None:
        return _into(subject, work, tokenizer, Path(output), force)
    with tempfile.TemporaryDirectory(prefix="llmflame-") as folder:
        return _into(subject, work, tokenizer, Path(folder) / "run.llmflame", force)


def _into(subject: Any, work: Any, tokenizer: Any, output: Path, force: bool) -> Profile:
    if isinstance(subject, str | Path):
        from llmflame.recording.record import record
        from llmflame.subjects.progress import silent
        from llmflame.subjects.resolve import resolve

        record(resolve(str(subject), progress=silent), work, output, force=force)
        return read_profile(output)
    return _live(subject, work, tokenizer, output, force)


def _live(subject: Any, work: Any, tokenizer: Any, output: Path, force: bool) -> Profile:
    import torch

    from llmflame.recording.live import Recorder
    from llmflame.recording.requests import generation_defaults, pipeline_call, prompt_of
    from llmflame.recording.workload import check_context

    pipeline = subject if hasattr(subject, "_forward") else _pipeline(subject, tokenizer)
    work.check(None)
    text, count = prompt_of(pipeline.tokenizer, work)
    check_context(count, work.new_tokens, getattr(pipeline.model.config, "max_position_embeddings", None))
    call = pipeline_call(pipeline, [text] * work.batch_size, work)
    recorder = Recorder(pipeline, output, force=force, repetitions=work.repetitions)
    with recorder, generation_defaults(pipeline.model, work), _state_kept():
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


@contextlib.contextmanager
def _state_kept() -> Any:
    """The caller's random state is the caller's: put back what seeding changed."""
    import torch

    state = torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_rng_state(state)
