"""What a child says through the pipe is what its parent stores: the file is as if written directly."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmflame.recording.wire import PipeSink, Sink, store
from llmflame.store.model import Fact
from llmflame.store.observed import ObservedTree
from llmflame.store.profile import Profile, read_profile
from llmflame.store.rows import AnchorRow, PassRow, Row, SpanRow
from llmflame.store.writer import ProfileWriter
from tests.store import written


def _key(row: Row) -> tuple[object, ...]:
    """Coarser than any table's own key."""
    if isinstance(row, SpanRow):
        return (row.table, row.id)
    if isinstance(row, PassRow):
        return (row.table, row.name)
    return (row.table, row.module if isinstance(row, AnchorRow) else id(row))


TELL = st.tuples(
    st.lists(
        written.REPORTS | written.GAUGES | written.SPANS | written.PASSES | written.ANCHORS,
        max_size=6,
        unique_by=lambda row: _key(row),
    ),
    st.lists(written.FACTS, max_size=3),
    st.dictionaries(written.TEXT, st.none() | written.TEXT | written.INTEGERS, max_size=3),
    written.observed_trees(),
)
Told = tuple[list[Row], list[Fact], dict[str, str | int | None], ObservedTree]


def _tell(sink: Sink, told: Told) -> None:
    rows, facts, subject, tree = told
    sink.rows(rows)
    sink.facts(facts)
    sink.subject(subject)
    sink.tree(written.window(), tree)


def _contents(profile: Profile) -> tuple[object, ...]:
    return (
        profile.machine,
        profile.subject,
        profile.passes,
        profile.probe_reports,
        profile.spans,
        profile.frames,
        profile.nodes,
        profile.windows,
        profile.cells,
        profile.anchors,
        profile.gauges,
        profile.slices,
        profile.threads,
        profile.thread_slices,
        profile.device_work,
    )


@given(TELL)
def test_round_trip(told: Told) -> None:
    stream = io.BytesIO()
    _tell(PipeSink(stream), told)
    with written.new_path() as path:
        direct = written.open_writer(path)
        _tell(direct, told)
        direct.finish("complete")
        expected = _contents(read_profile(path))
    with written.new_path() as path:
        parent = written.open_writer(path)
        for line in stream.getvalue().splitlines():
            kind, body = json.loads(line)
            assert store(parent, kind, body)
        parent.finish("complete")
        assert _contents(read_profile(path)) == expected


def test_a_message_is_one_line_whatever_is_in_it() -> None:
    stream = io.BytesIO()
    sink = PipeSink(stream)
    sink.subject({"a\nb": "\r\n\x85\u2028\ud800\0"})
    sink.send("progress", "line\nbreak")
    lines = stream.getvalue().split(b"\n")
    assert len(lines) == 3 and lines[-1] == b""
    assert json.loads(lines[0]) == ["subject", {"a\nb": "\r\n\x85\u2028\ud800\0"}]


def test_a_message_is_sent_at_once() -> None:
    raw = io.BytesIO()
    stream = io.BufferedWriter(raw)
    PipeSink(stream).send("done", None)
    assert raw.getvalue() == b'["done", null]\n'


@pytest.mark.parametrize("kind", ["done", "usage", "failed", "progress", "peak", "", "no such kind"])
def test_what_is_not_for_the_file_is_the_supervisors(tmp_path: Path, kind: str) -> None:
    writer: ProfileWriter = written.open_writer(tmp_path / "x.llmflame")
    assert store(writer, kind, None) is False
    writer.abandon()


def test_a_deep_tree_goes_through() -> None:
    tree = ObservedTree()
    deepest = tree.descend(0, [written.frame_key("again")] * 5000)
    tree.add(deepest, "wall_ns", 1)
    stream = io.BytesIO()
    PipeSink(stream).tree(written.window(), tree)
    _, (_, wire) = json.loads(stream.getvalue())
    again = ObservedTree.from_wire(wire)
    assert again.parents == tree.parents and again.cells == tree.cells
    assert again.slices == [] and again.device_work == [] and again.threads == []
    assert len(wire["frames"]) == 1


@pytest.mark.parametrize(
    "wire",
    [
        {},
        {"frames": [], "parents": [-1, 0], "node_frames": [-1, 0], "cells": {}},
        {"frames": [["a"]], "parents": None, "node_frames": [-1], "cells": {}},
        {"frames": [], "parents": [-1], "node_frames": [-1], "cells": {}},
        {"frames": [], "parents": [-1], "node_frames": [-1], "cells": {}, "slices": [3], "device_work": []},
    ],
)
def test_anything_else_is_no_tree(wire: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, IndexError)):
        ObservedTree.from_wire(wire)
