"""The recorder of the front door: it shows where it is, and what it has recorded shows itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llmflame.notebook.shown import ShownProfile, read_shown
from llmflame.progress import Progress
from llmflame.recording import live
from llmflame.views.watching import progress_for


class Recorder(live.Recorder):
    """Records what a live model or pipeline does, into one file, and shows in a notebook how far it is.

    A request that can be repeated is run once for each pass:

        with llmflame.Recorder(model, "run.llmflame") as recorder:
            for _ in recorder.passes():
                model.generate(**inputs, max_new_tokens=64)
        recorder.profile

    See `llmflame.recording.live.Recorder` for what else there is. `progress`: None shows it in a notebook,
    True in a terminal too, False nowhere; it is drawn between requests, never inside one.
    """

    def __init__(
        self,
        subject: Any,
        output: str | Path,
        *,
        force: bool = False,
        repetitions: int = live.DEFAULT_REPETITIONS,
        gauge_interval_ms: float = live.GAUGE_INTERVAL_MS,
        stalls: str | None = None,
        progress: Progress | bool | None = None,
    ) -> None:
        super().__init__(
            subject,
            output,
            force=force,
            repetitions=repetitions,
            gauge_interval_ms=gauge_interval_ms,
            stalls=stalls,
            progress=progress_for(progress, alone=True),
        )

    @staticmethod
    def read(path: Path) -> ShownProfile:
        """A file that was recorded."""
        return read_shown(path)

    @property
    def profile(self) -> ShownProfile:
        """What was recorded. Raises UsageError before the block has ended."""
        found = super().profile
        assert isinstance(found, ShownProfile)
        return found
