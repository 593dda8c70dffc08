"""Any file at all is either a profile or one clear line."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmflame.errors import UnreadableProfileError
from llmflame.store.observed import ObservedTree
from llmflame.store.profile import Profile, read_profile
from llmflame.store.rows import GaugeRow, PassRow, ProbeReportRow
from llmflame.store.writer import APPLICATION_ID, SCHEMA_VERSION

from . import written
from .written import beside, new_path, open_writer, unprivileged


def _write(path: Path) -> None:
    tree = ObservedTree()
    for number in range(60):
        tree.add(tree.child(number // 2, written.frame_key(f"f{number}")), "wall_ns", number + 1)
        tree.slices.append((number, 10 * number))
        tree.device_work.append((number, 7, number, number + 1, number + 9, None))
    writer = open_writer(path)
    writer.subject({"model": "m"})
    writer.rows([PassRow("clean", "complete", None, 1, 0, 1, 1)])
    writer.rows([ProbeReportRow("clean", "p", "n", 1.0, "ns")])
    writer.rows([GaugeRow("clean", "g", number, 1.0) for number in range(500)])
    writer.tree(written.window(), tree)
    writer.finish("complete")


class GoodFile(bytes):
    """An undamaged profile; short to print where an example fails."""

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"


@pytest.fixture(scope="module")
def good() -> GoodFile:
    with new_path() as path:
        _write(path)
        return GoodFile(path.read_bytes())


def _refused(path: Path) -> str:
    with pytest.raises(UnreadableProfileError) as caught:
        read_profile(path)
    line = str(caught.value)
    assert line.startswith(str(path)) and "\n" not in line
    assert caught.value.exit_code == 2
    return line


def _read_or_refuse(path: Path) -> Profile | None:
    """Nothing but UnreadableProfileError may come out."""
    try:
        return read_profile(path)
    except UnreadableProfileError as error:
        assert "\n" not in str(error)
        return None


def test_a_missing_file(tmp_path: Path) -> None:
    assert "no such file" in _refused(tmp_path / "none.llmflame")


def test_a_folder(tmp_path: Path) -> None:
    _refused(tmp_path)


@pytest.mark.parametrize("content", [b"", b"x", b"just text\n" * 500, b"SQLite format 3\0", bytes(8192)])
def test_no_database(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.llmflame"
    path.write_bytes(content)
    _refused(path)
    assert path.read_bytes() == content


def _database(path: Path, script: str) -> None:
    db = sqlite3.connect(path)
    db.executescript(script)
    db.close()


def test_another_programs_database(tmp_path: Path) -> None:
    path = tmp_path / "x.llmflame"
    _database(path, "CREATE TABLE run (a); INSERT INTO run VALUES (1);")
    assert "not a llmflame profile" in _refused(path)


def test_a_newer_schema_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "x.llmflame"
    _write(path)
    _database(path, f"PRAGMA user_version = {SCHEMA_VERSION + 1};")
    line = _refused(path)
    assert "newer" in line and "pip install --upgrade llmflame" in line


def test_killed_before_the_first_row(tmp_path: Path) -> None:
    path = tmp_path / "x.llmflame"
    _database(path, f"CREATE TABLE run (a); PRAGMA application_id = {APPLICATION_ID};")
    assert "before it wrote anything" in _refused(path)


@pytest.mark.parametrize(
    "table",
    [
        *("machine", "subject", "pass", "probe_report", "span", "frame", "node", "metric"),
        *("window", "cell", "slice", "device_work", "anchor", "gauge"),
    ],
)
def test_a_missing_table(tmp_path: Path, table: str) -> None:
    path = tmp_path / "x.llmflame"
    _write(path)
    _database(path, f"DROP VIEW phase; DROP VIEW named_cell; DROP TABLE {table};")
    _refused(path)


@pytest.mark.parametrize(
    "table",
    ["machine", "pass", "span", "frame", "node", "window", "cell", "slice", "device_work"],
)
def test_a_column_of_a_newer_minor_schema_is_left_alone(tmp_path: Path, table: str) -> None:
    path = tmp_path / "x.llmflame"
    _write(path)
    _database(
        path,
        f"INSERT INTO machine VALUES ('a', 'b', 1, NULL, 'c'); "
        f"INSERT INTO span (pass_name, id, name, treatment, start_ns, wall_ns) "
        f"VALUES ('clean', 1, 'load', 'clean', 0, 1); ALTER TABLE {table} ADD COLUMN more;",
    )
    assert [span.name for span in read_profile(path).spans] == ["load"]


def test_a_truncated_file_at_every_page_and_many_other_offsets(tmp_path: Path, good: GoodFile) -> None:
    path = tmp_path / "x.llmflame"
    offsets = {*range(0, len(good), 4096), *range(0, len(good), 997), 99, 100, 101, len(good) - 2000}
    for offset in sorted(offsets):
        path.write_bytes(good[:offset])
        _refused(path)


@pytest.mark.parametrize("lost", [*range(1, 20), 100, 1000, 4095])
def test_a_file_that_lost_its_last_bytes(tmp_path: Path, good: GoodFile, lost: int) -> None:
    path = tmp_path / "x.llmflame"
    path.write_bytes(good[:-lost])
    _refused(path)


@given(st.lists(st.tuples(st.integers(0, 2**20), st.integers(1, 255)), min_size=1, max_size=40))
def test_flipped_bytes(good: GoodFile, flips: list[tuple[int, int]]) -> None:
    damaged = bytearray(good)
    for offset, mask in flips:
        damaged[offset % len(damaged)] ^= mask
    with new_path() as path:
        path.write_bytes(damaged)
        _read_or_refuse(path)


@given(st.integers(0, 15), st.binary(min_size=1, max_size=200), st.integers(0, 4095))
def test_overwritten_stretches(good: GoodFile, page: int, noise: bytes, inside: int) -> None:
    offset = (page * 4096 + inside) % (len(good) - len(noise))
    with new_path() as path:
        path.write_bytes(good[:offset] + noise + good[offset + len(noise) :])
        _read_or_refuse(path)


@pytest.mark.parametrize("page", range(1, 12))
def test_a_page_of_zeros(good: GoodFile, page: int) -> None:
    with new_path() as path:
        path.write_bytes(good[: page * 4096] + bytes(4096) + good[(page + 1) * 4096 :])
        _read_or_refuse(path)


@given(st.binary(max_size=3000))
def test_noise(noise: bytes) -> None:
    with new_path() as path:
        path.write_bytes(noise)
        _refused(path)


@given(st.binary(max_size=3000))
def test_noise_behind_the_magic(noise: bytes) -> None:
    with new_path() as path:
        path.write_bytes(b"SQLite format 3\0" + noise)
        _refused(path)


def test_a_name_that_sqlite_would_read_as_options(tmp_path: Path) -> None:
    path = tmp_path / "50% ?mode=rwc&#x.llmflame"
    _write(path)
    assert read_profile(path).run.status == "complete"


def test_a_file_in_a_folder_that_nobody_may_write(tmp_path: Path) -> None:
    with new_path() as path:
        _write(path)
        path.parent.chmod(0o555)
        path.chmod(0o444)
        try:
            with unprivileged():
                assert not os.access(path.parent, os.W_OK, effective_ids=True)
                profile = read_profile(path)
        finally:
            path.parent.chmod(0o755)
    assert profile.run.status == "complete"
    assert len(profile.gauges) == 500


@pytest.mark.parametrize("folder_mode", [0o555, 0o755])
def test_a_killed_writers_file_where_nobody_may_write(folder_mode: int) -> None:
    with new_path() as path, new_path() as copied, new_path() as scratch:
        writer = open_writer(path)
        writer.rows([GaugeRow("clean", "g", number, 1.0) for number in range(10)])
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", f"{copied}{suffix}")
            Path(f"{copied}{suffix}").chmod(0o444)
        writer.abandon()
        before = beside(copied)
        copied.parent.chmod(folder_mode)
        scratch.parent.chmod(0o777)
        with unprivileged(), _temporary_files_in(scratch.parent):
            assert len(read_profile(copied).gauges) == 10
        copied.parent.chmod(0o755)
        assert beside(copied) == before == {copied.name, f"{copied.name}-wal"}
        assert beside(scratch) == set(), "the copy that was read is gone"


@contextlib.contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


@pytest.mark.parametrize(
    "script",
    [
        "DELETE FROM run",
        "DELETE FROM node WHERE id = 2",
        "DELETE FROM node WHERE id = 61",
        "DELETE FROM frame WHERE id = 3",
        "DELETE FROM window",
        "DELETE FROM metric",
        "UPDATE node SET parent = id WHERE id = 5",
        "UPDATE node SET parent = 60 WHERE id = 5",
        "UPDATE gauge SET value = 'abc' WHERE rowid = 77",
        "UPDATE gauge SET time_ns = 1.5 WHERE rowid = 77",
        "UPDATE gauge SET value = x'00' WHERE rowid = 77",
        "UPDATE cell SET value = 'abc' WHERE node = 7",
        "UPDATE cell SET value = 9e999 WHERE node = 7",
        "UPDATE gauge SET value = -9e999 WHERE rowid = 77",
        "UPDATE slice SET node = 99 WHERE number = 7",
        "UPDATE slice SET window = 2 WHERE number = 7",
        "UPDATE slice SET start_ns = 1.5 WHERE number = 7",
        "UPDATE slice SET start_ns = 'early' WHERE number = 7",
        "UPDATE device_work SET node = 99 WHERE number = 7",
        "UPDATE device_work SET window = 2 WHERE number = 7",
        "UPDATE device_work SET end_ns = start_ns - 1 WHERE number = 7",
        "UPDATE device_work SET stream = 'fast' WHERE number = 7",
        "UPDATE device_work SET bytes = x'00' WHERE number = 7",
        "UPDATE pass SET wall_ns = 'long'",
        "UPDATE probe_report SET value = 'much'",
        "UPDATE window SET wall_ns = 'long'",
        "UPDATE frame SET line = 'first' WHERE id = 3",
        "UPDATE frame SET name = x'00' WHERE id = 3",
        "UPDATE run SET started_at = x'00'",
    ],
)
def test_a_sound_database_that_is_no_sound_profile(tmp_path: Path, script: str) -> None:
    path = tmp_path / "x.llmflame"
    _write(path)
    _database(path, script)
    assert "damaged" in _refused(path)


def test_a_name_too_long_for_a_file() -> None:
    _refused(Path("a" * 5000))


@pytest.mark.parametrize("content", [b"just text\n" * 500, b"SQLite format 3\0" + b"x" * 5000])
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_a_refused_file_is_closed(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.llmflame"
    path.write_bytes(content)
    before = set(Path("/proc/self/fd").iterdir())
    with pytest.raises(UnreadableProfileError):
        read_profile(path)
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    with new_path() as path:
        _write(path)
        path.parent.chmod(0o755)
        path.chmod(0)
        with unprivileged():
            _refused(path)


def test_reading_and_summing_up_needs_no_torch(tmp_path: Path) -> None:
    path = tmp_path / "x.llmflame"
    _write(path)
    program = (
        "import sys, llmflame\n"
        "profile = llmflame.open(sys.argv[1])\n"
        "llmflame.summary(profile)\n"
        "print(sorted({'torch', 'transformers', 'numpy', 'pandas'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
