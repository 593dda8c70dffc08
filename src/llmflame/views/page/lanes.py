"""The frames of a timeline's events, numbered as they first appear; without those that pass a call on."""

from __future__ import annotations

from collections.abc import Iterable

from llmflame.analysis.plumbing import is_plumbing
from llmflame.store.model import Frame
from llmflame.store.profile import Profile
from llmflame.views.page.document import StringTable, shown_name


def differences(values: Iterable[int]) -> list[int]:
    """Each value less the one before it: small numbers compress well."""
    found, before = [], 0
    for value in values:
        found.append(value - before)
        before = value
    return found


class NodeTable:
    """Nodes with their parents, as columns. A phase is a node without a parent."""

    def __init__(self, profile: Profile, strings: StringTable) -> None:
        self._profile = profile
        self._strings = strings
        self._hidden = {number for number, frame in profile.frames.items() if is_plumbing(frame)}
        self._numbers: dict[int, int] = {}
        self._spans: dict[tuple[int, Frame], int] = {}
        self._parents: list[int] = []
        self._frames: list[Frame] = []

    def shown(self, node: int) -> int:
        """The number of a node of the profile, or of the nearest that is shown above it."""
        known = self._numbers.get(node)
        if known is not None:
            return known
        _, parent, frame = self._profile.nodes[node]
        above = self.shown(parent) if parent is not None else -1
        number = above if parent is not None and frame in self._hidden else self._add(above, frame)
        self._numbers[node] = number
        return number

    def of_span(self, frame: Frame, phase: str | None) -> int:
        """The number of a span's own frame, below its phase."""
        above = -1 if phase is None else self.of_span(Frame("phase", phase), None)
        key = (above, frame)
        if key not in self._spans:
            self._parents.append(above)
            self._frames.append(frame)
            self._spans[key] = len(self._frames) - 1
        return self._spans[key]

    def _add(self, above: int, frame: int) -> int:
        self._parents.append(above)
        self._frames.append(self._profile.frames[frame])
        return len(self._frames) - 1

    def encoded(self) -> dict[str, object]:
        """Columns: how far before a node its parent is (0: it has none), and its frame's parts."""
        add = self._strings.add
        frames: dict[Frame, int] = {}
        of = [frames.setdefault(frame, len(frames)) for frame in self._frames]
        return {
            "up": [0 if above < 0 else number - above for number, above in enumerate(self._parents)],
            "frame": of,
            "frames": {
                "kind": [add(frame.kind) for frame in frames],
                "name": [add(shown_name(frame)) for frame in frames],
                "file": [add(frame.file) for frame in frames],
                "line": [-1 if frame.line is None else frame.line for frame in frames],
                "module": [add(frame.module) for frame in frames],
            },
        }
