"""profile.proto, gzipped: time and bytes on the same stacks, with phase, module and step as labels.

https://github.com/google/pprof/blob/main/proto/profile.proto
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass

from llmflame.analysis.coverage import phases_of
from llmflame.analysis.memory.composition import run_peak
from llmflame.analysis.tree import Tree
from llmflame.exports.names import file_name, frame_name, one_line
from llmflame.exports.protobuf import content, number, numbers, varint
from llmflame.exports.request import Request
from llmflame.exports.stacks import Stacks, WholeNumbers, with_own
from llmflame.exports.steps import Parts, step_parts
from llmflame.store import metrics
from llmflame.store.model import Frame, Metric
from llmflame.store.rows import Space

TYPES: tuple[tuple[str, Metric], ...] = (
    ("wall", metrics.WALL),
    ("host", metrics.HOST),
    ("device", metrics.DEVICE),
    ("gpu_idle", metrics.IDLE),
    ("allocated", metrics.ALLOCATED),
    ("device_allocated", metrics.DEVICE_ALLOCATED),
    ("held", metrics.HELD),
    ("device_held", metrics.DEVICE_HELD),
)
UNITS = {"ns": "nanoseconds", "bytes": "bytes"}
LEVEL = 6
"""gzip's highest level takes six times as long for a file that is 6 % smaller."""
NOTHING = 1e-3
"""What rounding leaves of a node whose steps account for all of it, in nanoseconds or bytes."""
SPACES: tuple[Space, ...] = ("host", "device")


def pprof(request: Request) -> bytes:
    """Times and allocated bytes of the run's tree; held bytes at the highest peak of what was asked for."""
    trees = [(request.tree, [metric.name for _, metric in TYPES])]
    for space in SPACES:
        peak = run_peak(request.peaks, space)
        if peak is not None:
            tree, metric = request.held(peak)
            trees.append((tree, [metric]))
    known = {name for tree, wanted in trees for name in wanted if name in tree.selfs}
    profile = _Profile([pair for pair in TYPES if pair[1].name in known])
    for tree, _ in trees:
        profile.add(tree, step_parts(request, profile.columns) if tree is request.tree else {})
    wall_ns = round(sum(request.tree.selfs.get(metrics.WALL.name, ())))
    title = f"llmflame {request.profile.run.llmflame_version}: {request.title}"
    # Without a time of day the same profile is the same file.
    return gzip.compress(profile.encoded(one_line(title), wall_ns), LEVEL, mtime=0)


@dataclass(slots=True)
class _Column:
    name: str
    whole: WholeNumbers


class _Profile:
    """The message in the making: strings, functions and locations are numbered as they come."""

    def __init__(self, types: list[tuple[str, Metric]]) -> None:
        self._strings: dict[str, int] = {"": 0}
        self._frames: dict[Frame, int] = {}
        self._locations: list[bytes] = []
        self._samples: list[bytes] = []
        self._labels: dict[tuple[str, str | None], bytes] = {}
        """By phase and module."""
        self._steps: dict[int, bytes] = {}
        self._columns = [_Column(metric.name, WholeNumbers()) for _, metric in types]
        self._types = [
            content(1, number(1, self._string(name)) + number(2, self._string(UNITS[metric.unit])))
            for name, metric in types
        ]

    @property
    def columns(self) -> list[str]:
        """The metrics of the sample types."""
        return [column.name for column in self._columns]

    def add(self, tree: Tree, parts: Parts) -> None:
        """One sample for each node with something of its own, and each step that speaks for a part of it."""
        empty = [0.0] * len(tree)
        columns = [tree.selfs.get(column.name, empty) for column in self._columns]
        stacks = Stacks(
            tree,
            lambda frame: varint(self._location(tree.frames[frame])),
            lambda above, location: location + above,  # the innermost frame comes first
        )
        phases, modules = phases_of(tree), _modules_of(tree)
        for node in with_own(tree, columns):
            labels = self._labelled(phases[node], modules[node])
            where = content(1, stacks.of(node))
            rest = [column[node] for column in columns]
            for step, part in parts.get(node, {}).items():
                self._sample(where, part, labels + self._step(step))
                rest = [whole - own for whole, own in zip(rest, part, strict=True)]
            if max(rest) > NOTHING:
                self._sample(where, rest, labels)

    def _sample(self, where: bytes, values: list[float], labels: bytes) -> None:
        # Nothing is nothing, whatever rest an earlier value left.
        whole = [
            own.whole.next(value) if value else 0 for own, value in zip(self._columns, values, strict=True)
        ]
        if any(whole):
            self._samples.append(content(2, where + numbers(2, whole) + labels))

    def encoded(self, comment: str, wall_ns: int) -> bytes:
        """The whole message."""
        comments = numbers(13, [self._string(comment)])
        default = number(14, self._string(TYPES[0][0]))
        strings = [content(6, text.encode("utf-8")) for text in self._strings]
        return b"".join(
            [
                *self._types,
                *self._samples,
                *self._locations,
                *strings,
                number(10, wall_ns),
                comments,
                default,
            ]
        )

    def _string(self, text: str) -> int:
        return self._strings.setdefault(text, len(self._strings))

    def _labelled(self, phase: str, module: str | None) -> bytes:
        known = self._labels.get((phase, module))
        if known is None:
            known = self._labels[phase, module] = self._label("phase", phase) + self._label("module", module)
        return known

    def _label(self, key: str, value: str | None) -> bytes:
        if not value:
            return b""
        return content(3, number(1, self._string(key)) + number(2, self._string(one_line(value))))

    def _step(self, step: int) -> bytes:
        """As a number: pprof takes `-tagfocus=step=8` for one. Its readers take a 0 for no label at all."""
        if not step:
            return b""
        if step not in self._steps:
            self._steps[step] = content(3, number(1, self._string("step")) + number(3, step))
        return self._steps[step]

    def _location(self, frame: Frame) -> int:
        """A frame as a function and its one location."""
        known = self._frames.get(frame)
        if known is not None:
            return known
        here = self._frames[frame] = len(self._frames) + 1
        name, file = self._string(frame_name(frame)), self._string(file_name(frame) or "")
        line = frame.line or 0
        # No system name: pprof would take it for C++ and drop `<module>` as the arguments of a template.
        function = number(1, here) + number(2, name) + number(4, file) + number(5, line)
        self._locations.append(content(5, function))
        self._locations.append(content(4, number(1, here) + content(4, number(1, here) + number(2, line))))
        return here


def _modules_of(tree: Tree) -> list[str | None]:
    """By node: the path of the innermost module at or above it."""
    found: list[str | None] = []
    for node, parent in enumerate(tree.parents):
        module = tree.frame(node).module
        found.append(module if module is not None else found[parent] if parent >= 0 else None)
    return found
