"""Lets a cell run many times and be seen once: names, random draws and output."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from IPython.utils.capture import capture_output

from llmflame.recording.random_state import RandomState

if TYPE_CHECKING:
    from types import TracebackType


class Repetition:
    """Between runs the names are bound again as they were before the first, and random draws repeat.

    So `n += 1` counts once and each run draws the same tokens. Objects that a cell changes (a list that it
    appends to) are changed by every run: nobody could copy a model and its caches each time. What the runs
    after the first print is dropped.
    """

    def __init__(self, names: dict[str, Any]) -> None:
        self._names = names
        self._before = dict(names)
        self._random = RandomState()
        self._silence = contextlib.ExitStack()
        self._silent = False

    def __enter__(self) -> Repetition:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
    ) -> None:
        self._silence.close()

    def again(self) -> None:
        """Put back what the run before has changed."""
        for name in [name for name in self._names if name not in self._before]:
            del self._names[name]
        self._names.update(self._before)
        self._random.restore()
        if not self._silent:
            self._silent = True
            self._silence.enter_context(capture_output())
