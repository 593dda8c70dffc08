"""However a run ends, what is left is one readable file, or none where there is nothing to read."""

from __future__ import annotations

import contextlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, cast

import pytest

from llmflame.errors import ProgramFailedError, UsageError
from llmflame.store.observed import ObservedTree
from llmflame.store.profile import read_profile
from llmflame.store.rows import GaugeRow, Status
from llmflame.store.writer import DiskFullError, ProfileWriter

from . import written
from .written import beside, open_writer


def _gauges(first: int, count: int) -> list[GaugeRow]:
    return [GaugeRow("clean", "rss_bytes", number, float(number)) for number in range(first, first + count)]


@pytest.mark.parametrize("status", ["complete", "partial", "failed"])
def test_finish_leaves_one_file(tmp_path: Path, status: Status) -> None:
    path = tmp_path / "run.llmflame"
    writer = open_writer(path)
    writer.rows(_gauges(0, 3))
    assert beside(path) > {path.name}, "a write-ahead log and a reserve while it is written"
    writer.finish(status, "why" if status != "complete" else None)
    assert beside(path) == {path.name}
    profile = read_profile(path)
    assert profile.run.status == status
    assert profile.run.reason == ("why" if status != "complete" else None)
    assert beside(path) == {path.name}, "reading leaves nothing behind"


def test_reading_does_not_change_a_byte(tmp_path: Path) -> None:
    path = tmp_path / "run.llmflame"
    open_writer(path).finish("complete")
    before = path.read_bytes()
    read_profile(path)
    assert path.read_bytes() == before


def test_abandon_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "run.llmflame"
    writer = open_writer(path)
    writer.rows(_gauges(0, 1000))
    writer.abandon()
    assert beside(path) == set()


def test_a_file_whose_writer_still_writes_is_partial(tmp_path: Path) -> None:
    path = tmp_path / "run.llmflame"
    writer = open_writer(path)
    writer.rows(_gauges(0, 3))
    profile = read_profile(path)
    assert profile.run.status == "partial"
    assert profile.run.reason and "\n" not in profile.run.reason
    assert profile.run.ended_at is None
    assert list(profile.gauges) == _gauges(0, 3)
    writer.rows(_gauges(3, 2))
    assert list(read_profile(path).gauges) == _gauges(0, 5)
    writer.finish("complete")
    assert read_profile(path).run.status == "complete"


def test_a_copy_with_its_log_is_what_was_committed(tmp_path: Path) -> None:
    path = tmp_path / "run.llmflame"
    writer = open_writer(path)
    writer.rows(_gauges(0, 3))
    tree = ObservedTree()
    tree.add(tree.child(0, written.frame_key("f")), "wall_ns", 5)
    writer.tree(written.window(), tree)
    copied = tmp_path / "copy" / path.name
    copied.parent.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{copied}{suffix}")
    writer.abandon()
    profile = read_profile(copied)
    assert profile.run.status == "partial"
    assert list(profile.gauges) == _gauges(0, 3)
    assert [cell.value for cell in profile.cells] == [5]


CHILD = """
    import sys, time
    from pathlib import Path
    from llmflame.store.rows import GaugeRow
    from llmflame.store.writer import ProfileWriter

    writer = ProfileWriter(Path(sys.argv[1]), version="1", mode="processes")
    for batch in range(10**9):
        writer.rows([GaugeRow("clean", "x", batch, float(i)) for i in range(10)])
        if batch == 20:
            print("written", flush=True)
"""


def test_a_writer_killed_at_any_time_leaves_whole_batches(tmp_path: Path) -> None:
    path = tmp_path / "run.llmflame"
    command = [sys.executable, "-c", textwrap.dedent(CHILD), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "written\n"
        child.kill()
    assert child.returncode == -signal.SIGKILL
    profile = read_profile(path)
    assert profile.run.status == "partial"
    batches: dict[int, list[float]] = {}
    for gauge in profile.gauges:
        batches.setdefault(gauge.time_ns, []).append(gauge.value)
    assert len(batches) >= 21
    assert list(batches) == [*range(len(batches))]
    assert all(values == [float(i) for i in range(10)] for values in batches.values())


class Abort(Exception):
    """Something other than SQLite's own failure."""


def test_a_batch_is_stored_whole_or_not_at_all(tmp_path: Path) -> None:
    def rows() -> object:
        yield from _gauges(3, 2)
        raise Abort

    path = tmp_path / "run.llmflame"
    writer = open_writer(path)
    writer.rows(_gauges(0, 3))
    with pytest.raises(Abort):
        writer.rows(rows())  # type: ignore[arg-type]
    writer.rows(_gauges(10, 1))
    writer.finish("complete")
    assert list(read_profile(path).gauges) == [*_gauges(0, 3), *_gauges(10, 1)]


def _fill(path: Path, max_pages: int) -> tuple[int, DiskFullError]:
    """Write until the disk is full; returns how many batches of 100 were committed."""
    writer = open_writer(path, max_pages=max_pages)
    for batch in range(10_000):
        try:
            writer.rows(_gauges(batch * 100, 100))
        except DiskFullError as error:
            writer.finish("failed", str(error))
            return batch, error
    raise AssertionError("the disk never got full")


@pytest.mark.parametrize("max_pages", [60, 61, 62, 63, 200])
def test_a_full_disk_keeps_what_was_committed_and_says_why(tmp_path: Path, max_pages: int) -> None:
    path = tmp_path / "run.llmflame"
    batches, error = _fill(path, max_pages)
    assert batches > 0
    assert isinstance(error, ProgramFailedError) and error.exit_code == 1
    assert "full" in str(error) and "\n" not in str(error)
    profile = read_profile(path)
    assert (profile.run.status, profile.run.reason) == ("failed", str(error))
    assert list(profile.gauges) == _gauges(0, batches * 100)
    assert beside(path) == {path.name}


def test_the_end_of_a_full_disk_has_room_for_a_long_reason(tmp_path: Path) -> None:
    path, reason = tmp_path / "run.llmflame", "x" * 4096
    writer = open_writer(path, max_pages=60)
    with pytest.raises(DiskFullError):
        writer.rows(_gauges(0, 100_000))
    for number in range(10_000):
        try:
            writer.rows(_gauges(number, 1))
        except DiskFullError:
            break
    writer.finish("failed", reason)
    assert read_profile(path).run.reason == reason


def test_a_full_disk_in_a_tree_rolls_the_whole_window_back(tmp_path: Path) -> None:
    path = tmp_path / "run.llmflame"
    small, large = ObservedTree(), ObservedTree()
    small.add(small.child(0, written.frame_key("small")), "wall_ns", 1)
    for number in range(20_000):
        large.add(large.child(0, written.frame_key(f"large {number}")), "wall_ns", 1)
    writer = open_writer(path, max_pages=60)
    writer.tree(written.window(1), small)
    with pytest.raises(DiskFullError):
        writer.tree(written.window(2), large)
    writer.tree(written.window(3), small)
    writer.finish("partial", "full")
    profile = read_profile(path)
    assert [row.id for row in profile.windows] == [1, 3]
    assert {frame.name for frame in profile.frames.values()} == {"decode", "small"}
    assert len(profile.cells) == 2 and len(profile.nodes) == 2


@pytest.mark.parametrize("status", ["complete", "failed"])
def test_a_reader_does_not_make_the_end_fail(tmp_path: Path, status: Status) -> None:
    path = tmp_path / "run.llmflame"
    writer = open_writer(path)
    writer.rows(_gauges(0, 300))
    with contextlib.closing(sqlite3.connect(path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM gauge").fetchone()
        writer.finish(status)
        assert read_profile(path).run.status == status
    profile = read_profile(path)
    assert profile.run.status == status
    assert list(profile.gauges) == _gauges(0, 300)


def _break_the_fold(writer: ProfileWriter, message: str) -> None:
    """Let the log's way into the file fail, as it does when the disk itself is full."""

    class Failing:
        def __init__(self, db: sqlite3.Connection) -> None:
            self._db = db

        def execute(self, statement: str, *values: Any) -> object:
            if "journal_mode" in statement:
                raise sqlite3.OperationalError(message)
            return self._db.execute(statement, *values)

        def close(self) -> None:
            self._db.close()

    writer._db = cast("sqlite3.Connection", Failing(writer._db))


def test_a_disk_that_is_full_at_the_very_end_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "run.llmflame"
    writer = open_writer(path)
    writer.rows(_gauges(0, 300))
    _break_the_fold(writer, "database or disk is full")
    writer.finish("complete")
    profile = read_profile(path)
    assert profile.run.status == "complete"
    assert list(profile.gauges) == _gauges(0, 300)


@pytest.mark.parametrize("max_pages", range(1, 24))
def test_a_disk_full_from_the_start_leaves_nothing(tmp_path: Path, max_pages: int) -> None:
    path = tmp_path / "run.llmflame"
    held = _descriptors()
    try:
        writer = open_writer(path, max_pages=max_pages)
    except UsageError as error:
        assert "full" in str(error) and "\n" not in str(error)
    else:
        assert max_pages > 12, "room for the tables"
        writer.abandon()
    assert beside(path) == set()
    assert _descriptors() == held


def _descriptors() -> set[str]:
    return (
        {entry.name for entry in Path("/proc/self/fd").iterdir()} if Path("/proc/self/fd").is_dir() else set()
    )


def test_a_path_that_can_not_be_written_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "no such folder" / "run.llmflame"
    with pytest.raises(UsageError) as caught:
        open_writer(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"precious text", b"", b"\0" * 5000])
def test_another_file_is_not_overwritten_by_a_writer(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.llmflame"
    path.write_bytes(content)
    if content:
        with pytest.raises(UsageError):
            open_writer(path)
        assert path.read_bytes() == content
        assert beside(path) == {path.name}


def test_a_finished_profile_is_not_written_into(tmp_path: Path) -> None:
    path = tmp_path / "run.llmflame"
    writer = open_writer(path)
    writer.rows(_gauges(0, 3))
    writer.finish("complete")
    with pytest.raises(UsageError):
        open_writer(path)
    profile = read_profile(path)
    assert profile.run.status == "complete"
    assert list(profile.gauges) == _gauges(0, 3)


def test_plain_sqlite_can_use_the_views(tmp_path: Path) -> None:
    path = tmp_path / "run.llmflame"
    tree = ObservedTree()
    tree.add(tree.child(0, ("op", "aten::mm", None, None, None)), "wall_ns", 5)
    writer = open_writer(path)
    writer.tree(written.window(1, "decode", 8), tree)
    writer.finish("complete")
    db = sqlite3.connect(path)
    try:
        assert db.execute("SELECT * FROM phase").fetchall() == []
        query = "SELECT window, span_name, step, kind, frame, metric, unit, value, origin FROM named_cell"
        assert db.execute(query).fetchall() == [
            (1, "decode", 8, "op", "aten::mm", "wall_ns", "ns", 5, "traced")
        ]
    finally:
        db.close()


def test_the_phase_view_shows_the_clean_pass_in_order(tmp_path: Path) -> None:
    path = tmp_path / "run.llmflame"
    from llmflame.store.rows import SpanRow

    def span(pass_name: str, number: int, name: str, start: int) -> SpanRow:
        rest: list[int | None] = [None] * 14
        rest[2] = 1_500_000  # thread_cpu_ns
        rest[11] = 4_000_000  # peak_rss_bytes
        return SpanRow(pass_name, number, None, name, 0, None, "clean", start, 2_000_000, *rest)

    writer = open_writer(path)
    writer.rows(
        [
            span("clean", 1, "load", 50),
            span("clean", 2, "import", 10),
            span("clean", 3, "step", 60),
            span("anatomy", 1, "load", 5),
        ]
    )
    writer.finish("complete")
    db = sqlite3.connect(path)
    try:
        assert db.execute("SELECT * FROM phase").fetchall() == [
            ("import", 0, 2.0, 1.5, 4.0),
            ("load", 0, 2.0, 1.5, 4.0),
        ]
    finally:
        db.close()
