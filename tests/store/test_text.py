"""Whatever a profiled program calls its functions, the file can hold and show it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given

from llmflame.store.observed import ObservedTree
from llmflame.store.profile import read_profile
from llmflame.store.rows import GaugeRow, PassRow, ProbeReportRow
from llmflame.store.text import MAX_CHARACTERS, storable

from . import written
from .written import new_path, open_writer


@given(written.ANY_TEXT)
def test_storable_text_is_utf8_without_nul(text: str) -> None:
    stored = storable(text)
    assert "\0" not in stored
    assert stored.encode().decode() == stored
    assert storable(stored) == stored


@given(written.TEXT)
def test_ordinary_text_is_kept(text: str) -> None:
    assert storable(text) == text


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("a\0b", "a\\x00b"),
        ("a\ud800b", "a\\ud800b"),
        ("\udcff\0", "\\udcff\\x00"),
        ("\U0001f525 flamme", "\U0001f525 flamme"),
        ("", ""),
        ("x" * MAX_CHARACTERS, "x" * MAX_CHARACTERS),
        ("x" * (MAX_CHARACTERS + 1), "x" * MAX_CHARACTERS + f"… ({MAX_CHARACTERS + 1} characters)"),
    ],
)
def test_escapes_are_visible(text: str, stored: str) -> None:
    assert storable(text) == stored


def test_a_megabyte_of_name_is_cut_and_says_so() -> None:
    stored = storable("é\0" * (1 << 19))
    assert stored.endswith(f"… ({1 << 20} characters)")
    assert len(stored) < 5 * MAX_CHARACTERS


HOSTILE = ("\ud800", "a\0b", "n" * (1 << 20), "'; DROP TABLE run; --", "\x1b[31m", "\r\n")


@pytest.mark.parametrize("name", HOSTILE, ids=["surrogate", "nul", "megabyte", "sql", "escape", "lines"])
def test_hostile_names_go_through_every_text_column(tmp_path: Path, name: str) -> None:
    path = tmp_path / "run.llmflame"
    tree = ObservedTree()
    tree.add(tree.child(0, ("module", name, name, 1, name)), "wall_ns", 5)
    writer = open_writer(path)
    writer.subject({name: name})
    writer.rows(
        [
            PassRow("clean", "failed", name, None, None, None, None),
            ProbeReportRow("clean", name, name, 1.0, name),
            GaugeRow("clean", name, 1, 1.0),
        ]
    )
    writer.tree(written.window(1, name), tree)
    writer.finish("failed", name)
    profile = read_profile(path)
    kept = storable(name)
    assert profile.subject == {kept: kept}
    assert profile.run.reason == profile.passes[0].reason == kept
    assert [(r.probe, r.name, r.unit) for r in profile.probe_reports] == [(kept, kept, kept)]
    assert [gauge.name for gauge in profile.gauges] == [kept]
    assert [row.span_name for row in profile.windows] == [kept]
    (frame,) = (frame for frame in profile.frames.values() if frame.kind == "module")
    assert (frame.name, frame.file, frame.module) == (kept, kept, kept)
    assert len(profile.frames) == 2


def test_names_that_differ_only_behind_the_cut_stay_two_frames() -> None:
    tree = ObservedTree()
    for end in ("a", "b"):
        tree.add(tree.child(0, written.frame_key("n" * MAX_CHARACTERS + end)), "wall_ns", 1)
    with new_path() as path:
        writer = open_writer(path)
        writer.tree(written.window(), tree)
        writer.finish("complete")
        profile = read_profile(path)
    assert len(profile.cells) == 2
