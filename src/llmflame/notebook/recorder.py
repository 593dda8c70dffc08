"""The recorder of the front door: what it has recorded shows itself."""

from __future__ import annotations

from pathlib import Path

from llmflame.notebook.shown import ShownProfile, read_shown
from llmflame.recording import live


class Recorder(live.Recorder):  # noqa: D101  described by the class that it extends
    __doc__ = live.Recorder.__doc__

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
