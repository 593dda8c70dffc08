"""Rows, trees and files for the tests of the store."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hypothesis import strategies as st

from llmflame.store import metrics
from llmflame.store.model import Fact
from llmflame.store.observed import FrameKey, ObservedThread, ObservedTree
from llmflame.store.rows import (
    AnchorRow,
    GaugeRow,
    PassRow,
    ProbeReportRow,
    SpanRow,
    WindowRow,
)
from llmflame.store.writer import ProfileWriter

MEMORY = Path("/dev/shm")
"""Where a file costs no disk."""
SIDES = ("-wal", "-shm", "-reserve", "-journal")
"""What may lie beside a profile while it is written."""

INTEGERS = st.integers(-(2**63), 2**63 - 1)
COUNTS = st.integers(0, 2**62)
LENGTHS = st.integers(0, 2**62 - 1)
"""Added to a count they are still what a file can hold."""
MAYBE = st.none() | COUNTS
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
"""What is stored as it is."""
ANY_TEXT = st.text(st.characters(), max_size=40)
"""With lone surrogates and NUL."""
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
NAMES = st.sampled_from(["clean", "anatomy"])
STATUSES = st.sampled_from(["complete", "partial", "failed"])

PASSES = st.builds(PassRow, TEXT, STATUSES, st.none() | TEXT, MAYBE, MAYBE, MAYBE, MAYBE)
REPORTS = st.builds(ProbeReportRow, NAMES, TEXT, TEXT, st.none() | FLOATS, TEXT)
SPANS = st.builds(
    SpanRow,
    NAMES,
    COUNTS,
    MAYBE,
    TEXT,
    MAYBE,
    MAYBE,
    st.sampled_from(["clean", "sampled", "anchored", "traced"]),
    INTEGERS,
    COUNTS,
    *[MAYBE] * 14,
)
WINDOWS = st.builds(
    WindowRow,
    NAMES,
    st.integers(1, 2**31),
    st.sampled_from(["sampled", "traced", "shapes"]),
    TEXT,
    MAYBE,
    COUNTS,
    MAYBE,
    MAYBE,
    MAYBE,
)
ANCHORS = st.builds(AnchorRow, NAMES, *[st.integers(0, 2**31)] * 2, TEXT, *[COUNTS] * 4)
GAUGES = st.builds(GaugeRow, NAMES, TEXT, INTEGERS, FLOATS)
FACTS = st.builds(
    Fact,
    TEXT,
    TEXT,
    st.none() | TEXT | INTEGERS | FLOATS | st.booleans(),
    st.none() | TEXT,
    TEXT,
)
KINDS = ("python", "module", "op", "builtin", "runtime", "wait", "kernel", "copy", "thread", "other")
FRAME_KEYS: st.SearchStrategy[FrameKey] = st.tuples(
    st.sampled_from(KINDS), TEXT, st.none() | TEXT, st.none() | st.integers(0, 10**6), st.none() | TEXT
)

THREADS: st.SearchStrategy[list[tuple[bool, str | None]]] = st.sampled_from(
    [[], [(True, "MainThread")], [(False, None), (False, "a")]]
)
"""Are they the main one, and their names."""


@st.composite
def observed_trees(draw: st.DrawFn) -> ObservedTree:
    """Any shape; few distinct frames, so that the same one is met at many places."""
    tree = ObservedTree()
    frames = draw(st.lists(FRAME_KEYS, min_size=1, max_size=4))
    for parent, frame in draw(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), max_size=40)):
        tree.child(parent % len(tree), frames[frame % len(frames)])
    names = [metric.name for metric in metrics.ALL]
    for name, node, value in draw(
        st.lists(
            st.tuples(st.sampled_from(names), st.integers(0, 40), st.integers(-(2**40), 2**40)), max_size=40
        )
    ):
        tree.add(node % len(tree), name, value)
    nodes = st.integers(0, 40)
    for node, start in draw(st.lists(st.tuples(nodes, COUNTS), max_size=12)):
        tree.slices.append((node % len(tree), start))
    for node, *rest in draw(st.lists(st.tuples(nodes, COUNTS, COUNTS, LENGTHS, MAYBE, MAYBE), max_size=12)):
        stream, start, length, launched, size = rest
        assert stream is not None and start is not None and length is not None
        tree.device_work.append((node % len(tree), stream, launched, start, start + length, size))
    for is_main, called in draw(THREADS):
        stays = [
            (node % len(tree), start, start + length)
            for node, start, length in draw(st.lists(st.tuples(nodes, COUNTS, LENGTHS), max_size=4))
        ]
        tree.threads.append(ObservedThread(called, draw(MAYBE), is_main, stays))
    return tree


def path_of(tree: ObservedTree, node: int) -> tuple[FrameKey, ...]:
    """The frames from the top down to a node."""
    frames: list[FrameKey] = []
    while node > 0:
        frame = tree.frames[node]
        assert frame is not None
        frames.append(frame)
        node = tree.parents[node]
    return tuple(reversed(frames))


def cells_by_path(tree: ObservedTree) -> dict[tuple[str, tuple[FrameKey, ...]], float]:
    """Every number that isn't 0 under its metric and path."""
    return {
        (metric, path_of(tree, node)): value
        for metric, cells in tree.cells.items()
        for node, value in cells.items()
        if value
    }


def window(number: int = 1, span_name: str = "decode", step: int | None = None) -> WindowRow:
    """A window that holds nothing but a tree."""
    return WindowRow("anatomy", number, "traced", span_name, step, 1000, None, None, None)


def frame_key(name: str) -> FrameKey:
    """A Python function."""
    return ("python", name, "x.py", 1, None)


def open_writer(path: Path, *, max_pages: int | None = None) -> ProfileWriter:
    """A writer as a recorder opens it."""
    return ProfileWriter(path, version="1.2.3", mode="processes", max_pages=max_pages)


def beside(path: Path) -> set[str]:
    """The names in the file's folder."""
    return {entry.name for entry in path.parent.iterdir()}


@contextlib.contextmanager
def new_path() -> Iterator[Path]:
    """A path in a fresh folder: hypothesis runs many examples in one test."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder) / "run.llmflame"


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Without root's right to write anywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
