"""memray's Python stacks as frames of the tree: the same keys as the sampler's, so that both meet.

memray says the line that a frame is at; a frame of the tree is named by the line that its function begins at.
"""

from __future__ import annotations

import linecache
import os
import re
from pathlib import Path

from llmflame.probes.charge import OWN, UNATTRIBUTED
from llmflame.probes.first_lines import FirstLines
from llmflame.probes.heap_mappings import Record
from llmflame.probes.paths import short_path
from llmflame.probes.sampler import IMPORT_SYSTEM
from llmflame.store.observed import FrameKey

WORKERS: FrameKey = ("thread", "worker threads", None, None, None)
MODULE = "<module>"
_POOLS = ("threading.py", "concurrent/futures/thread.py")
"""How a worker came to run says nothing of what it ran."""
_OWN_CODE = f"{Path(__file__).parents[1]}{os.sep}"
_Element = tuple[str, str, int]


class HeapStacks:
    """Turns stacks into paths of frames; reads each function's first line once."""

    def __init__(self) -> None:
        self._first_lines = FirstLines()
        self._frames: dict[_Element, FrameKey | None] = {}

    def path(self, record: Record, *, in_worker: bool) -> tuple[FrameKey, ...]:
        """The frames of a record from the program's first to the one that allocated.

        What lies above llmflame's own is how llmflame was started; import machinery is one frame, and only
        where it is what allocated.
        """
        found: list[FrameKey] = []
        stack = record.stack_trace()
        for depth, element in enumerate(stack):
            if element[1].startswith(_OWN_CODE):
                if depth == 0:
                    found.append(OWN)
                break
            frame = self._frame(element)
            if frame is not None:
                found.append(frame)
            elif depth == 0:
                found.append(IMPORT_SYSTEM)
        if in_worker:
            while found and found[-1][2] in _POOLS:
                found.pop()
        if not found:
            found.append(UNATTRIBUTED)
        if in_worker:
            found.append(WORKERS)
        return tuple(reversed(found))

    def _frame(self, element: _Element) -> FrameKey | None:
        """None for the machinery of imports."""
        try:
            return self._frames[element]
        except KeyError:
            frame = self._frames[element] = self._new_frame(*element)
            return frame

    def _new_frame(self, function: str, file: str, line: int) -> FrameKey | None:
        if file.startswith(("<frozen importlib", "<frozen zipimport")) or file.endswith(
            "importlib/__init__.py"
        ):
            return None
        return ("python", function, short_path(file), self._begin(function, file, line), None)

    def _begin(self, function: str, file: str, line: int) -> int:
        """A comprehension or a lambda has no line of definition: it is named by the line that it is at."""
        if function == MODULE:
            return 1
        if function.startswith("<"):
            return line
        return self._first_lines.of(file, function, line) or _class_line(file, function, line) or line


def _class_line(file: str, name: str, line: int) -> int | None:
    """Where the class begins whose body was at a line."""
    lines = linecache.getlines(file)
    heading = re.compile(rf"\s*class\s+{re.escape(name)}\b")
    for begin in range(min(line, len(lines)), 0, -1):
        if heading.match(lines[begin - 1]):
            while begin > 1 and lines[begin - 2].lstrip().startswith("@"):
                begin -= 1
            return begin
    return None
