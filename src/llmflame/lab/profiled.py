"""The profile of a trial: its request once more, recorded, after everything that was timed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from llmflame.errors import LlmflameError
from llmflame.lab.trial import TrialSpec
from llmflame.lab.variants.setup import Setup
from llmflame.recording.live import Recorder


def record(spec: TrialSpec, setup: Setup, runner: Any, prompt: Tensor) -> str:
    """Write `spec.profile`. Returns why there is none, or nothing: a measured trial isn't lost for it."""
    assert spec.profile is not None
    try:
        with Recorder(runner.root, Path(spec.profile), force=True, repetitions=1) as recorder:
            for _ in recorder.passes():
                runner.request(prompt, spec.new_tokens, lambda _ids: None)
    except (LlmflameError, RuntimeError, AssertionError) as error:
        lines = str(error).strip().splitlines()
        return f"no profile: {type(error).__name__}: {lines[0][:300] if lines else 'no message'}"
    return ""
