"""Where a recording ends up."""

from __future__ import annotations

from pathlib import Path

from llmflame.store.profile import read_profile
from llmflame.store.rows import GaugeRow
from llmflame.store.writer import ProfileWriter, move_profile


def _writer(path: Path, version: str) -> ProfileWriter:
    writer = ProfileWriter(path, version=version, mode="processes")
    writer.rows([GaugeRow("clean", version, 1, 1.0)])
    return writer


def test_a_killed_recordings_log_is_not_replayed_into_its_successor(tmp_path: Path) -> None:
    """The old file's write-ahead log once stayed beside the new file, and its rows were read."""
    old = tmp_path / "run.llmflame"
    killed = _writer(old, "old")
    assert old.with_name("run.llmflame-wal").stat().st_size
    new = tmp_path / ".run.llmflame.1"
    _writer(new, "new").finish("complete")
    move_profile(new, old)
    profile = read_profile(old)
    assert profile.run.llmflame_version == "new"
    assert [gauge.name for gauge in profile.gauges] == ["new"]
    killed._db.close()


def test_a_log_that_could_not_be_folded_in_goes_along(tmp_path: Path) -> None:
    import sqlite3

    new, output = tmp_path / ".run.llmflame.1", tmp_path / "run.llmflame"
    output.write_text("an older profile")
    writer = _writer(new, "new")
    reader = sqlite3.connect(new)
    reader.execute("SELECT * FROM gauge").fetchone()
    writer.finish("complete")
    move_profile(new, output)
    reader.close()
    assert read_profile(output).run.status == "complete"
