"""A tree of frames as one window observed it: built where the program runs, stored where the file is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

FrameKey = tuple[str, str, str | None, int | None, str | None]
Slice = tuple[int, int]
"""A node, and since when (nanoseconds since the window opened) the main thread was in it."""
Stay = tuple[int, int, int]
"""A node, and from when to when (nanoseconds since the window opened) a thread was in it."""
DeviceWork = tuple[int, int, int | None, int, int, int | None]
"""Node, stream, launched at, start, end (nanoseconds since the window opened), bytes of a copy."""


@dataclass(slots=True)
class ObservedThread:
    """A thread of the host and where it was, in order; gaps are times of which nothing is known."""

    name: str | None
    native_id: int | None
    is_main: bool = False
    stays: list[Stay] = field(default_factory=list)


class ObservedTree:
    """A trie of frames with numbers at its nodes. Node 0 is the root (the window itself, no frame)."""

    def __init__(self) -> None:
        self.parents: list[int] = [-1]
        self.frames: list[FrameKey | None] = [None]
        self._children: dict[tuple[int, FrameKey], int] = {}
        self.cells: dict[str, dict[int, float]] = {}
        self.slices: list[Slice] = []
        """What the main thread did, in order and without a gap; none where they weren't kept."""
        self.threads: list[ObservedThread] = []
        """Those of which `slices` tells nothing: a sampled window's all, a traced one's but the main."""
        self.device_work: list[DeviceWork] = []

    def child(self, parent: int, frame: FrameKey) -> int:
        """The node of `frame` under `parent`, made where it is new."""
        key = (parent, frame)
        node = self._children.get(key)
        if node is None:
            node = len(self.parents)
            self._children[key] = node
            self.parents.append(parent)
            self.frames.append(frame)
        return node

    def descend(self, parent: int, frames: Iterable[FrameKey]) -> int:
        """The node at the end of a path below `parent`."""
        for frame in frames:
            parent = self.child(parent, frame)
        return parent

    def add(self, node: int, metric: str, value: float) -> None:
        """Add to one node's own value."""
        cells = self.cells.setdefault(metric, {})
        cells[node] = cells.get(node, 0) + value

    def __len__(self) -> int:
        return len(self.parents)

    def to_wire(self) -> dict[str, object]:
        """Plain lists and strings: frames once, nodes by number."""
        table: dict[FrameKey, int] = {}
        frames = [-1]
        for frame in self.frames[1:]:
            assert frame is not None
            frames.append(table.setdefault(frame, len(table)))
        return {
            "frames": [list(frame) for frame in table],
            "parents": self.parents,
            "node_frames": frames,
            "cells": {metric: [list(cells), list(cells.values())] for metric, cells in self.cells.items()},
            "slices": self.slices,
            "threads": [[one.name, one.native_id, one.is_main, one.stays] for one in self.threads],
            "device_work": self.device_work,
        }

    @classmethod
    def from_wire(cls, wire: dict[str, object]) -> ObservedTree:
        """The inverse of `to_wire`. Raises KeyError, TypeError or IndexError for anything else."""
        tree = cls()
        table: list[FrameKey] = [tuple(frame) for frame in wire["frames"]]  # type: ignore[attr-defined]
        parents: list[int] = wire["parents"]  # type: ignore[assignment]
        numbers: list[int] = wire["node_frames"]  # type: ignore[assignment]
        for parent, number in zip(parents[1:], numbers[1:], strict=True):
            tree.child(parent, table[number])
        cells: dict[str, tuple[list[int], list[float]]] = wire["cells"]  # type: ignore[assignment]
        for metric, (nodes, values) in cells.items():
            tree.cells[metric] = dict(zip(nodes, values, strict=True))
        tree.slices = [tuple(piece) for piece in wire["slices"]]  # type: ignore[attr-defined]
        for name, native_id, is_main, stays in wire["threads"]:  # type: ignore[attr-defined]
            tree.threads.append(ObservedThread(name, native_id, is_main, [tuple(stay) for stay in stays]))
        tree.device_work = [tuple(work) for work in wire["device_work"]]  # type: ignore[attr-defined]
        return tree
