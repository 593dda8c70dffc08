"""A flame graph of bytes: what is held at the peak of a traced step, down to the line that asked for it.

What was there before the step hangs below its category and the module that owns it; what the step took hangs
below the frames that took it. Together they are the phase's holders without the slack and what is not
torch's, which hang below their categories too: the tree's total is the measured peak (more by what holders
say too much).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from llmflame.analysis.memory.composition import Composition, compositions
from llmflame.analysis.memory.moments import moments
from llmflame.analysis.plumbing import without_plumbing
from llmflame.analysis.tree import Tree
from llmflame.store import categories, metrics
from llmflame.store.model import Frame, Metric
from llmflame.store.profile import Profile
from llmflame.store.rows import Space, WindowRow

METRIC: Mapping[Space, Metric] = {"host": metrics.HELD, "device": metrics.DEVICE_HELD}
ASKED = frozenset((categories.ACTIVATIONS, categories.TEMPORARIES))
"""What only a step in progress holds: a trace says which frames asked for it."""


def traced_steps(profile: Profile) -> list[WindowRow]:
    """The windows whose live bytes were followed: prefill and some decode steps."""
    return [row for row in profile.windows if row.kind == "traced" and row.span_name in ("prefill", "decode")]


def held_tree(
    profile: Profile, composition: Composition, window: int | None = None, *, all_frames: bool = False
) -> Tree:
    """The tree of a phase's peak, in bytes; with the frames of one traced step, by default the phase's
    last. Frames that only pass a call on are left out unless `all_frames`."""
    classes = {
        frame.module: frame.name
        for frame in profile.frames.values()
        if frame.kind == "module" and frame.module is not None
    }
    name = str(profile.subject.get("model") or "run")
    builder = _Builder(METRIC[composition.space], name, classes)
    top = builder.child(0, Frame("phase", composition.phase))
    wanted = window if window is not None else _window_of(profile, composition.phase)
    asked = builder.window(profile, wanted, top) if wanted is not None else {}
    for (category, owner), size in sorted(composition.holders.items()):
        rest = size - asked.get(category, 0.0) if category in ASKED else size
        if category in ASKED and asked.get(category):
            asked[category] -= min(asked[category], size)
        if rest > 0:
            builder.owner(top, category, owner, rest)
    return builder.tree if all_frames else without_plumbing(builder.tree)


def held_trees(profile: Profile) -> list[tuple[Composition, Tree]]:
    """One tree for each phase's peak."""
    return [(composition, held_tree(profile, composition)) for composition in compositions(profile)]


def _window_of(profile: Profile, phase: str) -> int | None:
    moment = moments(profile).peak(phase) if phase in ("prefill", "decode") else None
    return moment.row.window if moment is not None else None


class _Builder:
    """Makes nodes below their parents, in whatever order."""

    def __init__(self, metric: Metric, name: str, classes: Mapping[str, str]) -> None:
        self._classes = classes
        self._known: dict[tuple[int, Frame], int] = {}
        self._frames: dict[Frame, int] = {}
        self._metric = metric
        self.tree = Tree(metrics=[metric], selfs={metric.name: []})
        self.child(-1, Frame("run", name))

    def child(self, parent: int, frame: Frame) -> int:
        """The node of a frame below another, made where it is new."""
        node = self._known.get((parent, frame))
        if node is None:
            node = self._known[parent, frame] = len(self.tree.parents)
            number = self._frames.setdefault(frame, len(self._frames))
            if number == len(self.tree.frames):
                self.tree.frames.append(frame)
            self.tree.parents.append(parent)
            self.tree.node_frames.append(number)
            self.tree.origins.append("measured")
            self.tree.selfs[self._metric.name].append(0.0)
        return node

    def owner(self, top: int, category: str, owner: str, size: float) -> None:
        """Bytes below their category, and below the parts of their owner's path."""
        node = self.child(top, Frame("memory", category))
        if owner and " " not in owner:
            parts = owner.split(".")
            for end in range(1, len(parts) + 1):
                path = ".".join(parts[:end])
                name = self._classes.get(path, parts[end - 1])
                node = self.child(node, Frame("module", name, module=path))
        elif owner:
            node = self.child(node, Frame("other", owner))
        self.tree.selfs[self._metric.name][node] += size

    def window(self, profile: Profile, window: int, top: int) -> dict[str, float]:
        """The frames of a traced step with what they hold; returns the bytes of each category."""
        numbers = {number for number, metric in profile.metrics.items() if metric.name == self._metric.name}
        found: dict[str, float] = defaultdict(float)
        for cell in profile.cells:
            if cell.window != window or cell.metric not in numbers:
                continue
            path = []
            node: int | None = cell.node
            while node is not None:
                path.append(profile.frames[profile.nodes[node].frame])
                node = profile.nodes[node].parent
            category = path[0].name
            if category not in ASKED:
                continue
            here = top
            for frame in reversed(path[:-1]):  # the last is the phase
                here = self.child(here, frame)
            self.tree.selfs[self._metric.name][here] += cell.value
            found[category] += cell.value
        return found
