"""`python -m llmflame.lab.worker SPEC.json`: runs one trial in a process of its own.

Writes `result.json` into the trial's folder, in full or not at all; its exit code is 0 whenever it has.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from llmflame.atomic import write_atomically
from llmflame.errors import LlmflameError
from llmflame.lab.trial import TrialResult, TrialSpec

if TYPE_CHECKING:
    from llmflame.lab.rows import Catalogue

RESULT = "result.json"
_LONGEST = 400
"""Characters of a reason."""


def main(arguments: list[str], catalogue: Catalogue | None = None) -> int:
    """Run the trial that a file describes, with the lab's own variants or those of a catalogue."""
    spec = TrialSpec.from_json(Path(arguments[0]).read_text("utf-8"))
    write_atomically(Path(spec.folder) / RESULT, run(spec, catalogue).to_json())
    return 0


def run(spec: TrialSpec, catalogue: Catalogue | None = None) -> TrialResult:
    """The trial's result, whatever happens short of the process' end. A traceback goes to stderr."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # The model is a folder by now or is fetched by a process of its own: nothing leaves this one.
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        from llmflame.lab.variants import registry
        from llmflame.subjects.progress import silent
        from llmflame.subjects.resolve import resolve

        variants = (catalogue or registry).chosen(spec.variants)
        checkpoint = resolve(spec.model, progress=silent)
        from llmflame.lab.trial_run import run_trial

        return run_trial(spec, variants, checkpoint)
    except LlmflameError as error:
        return TrialResult("failed", str(error))
    except Exception as error:
        traceback.print_exc()
        return TrialResult("failed", _one_line(error))


def _one_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"[:_LONGEST]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
