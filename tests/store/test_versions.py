"""Files of older schemas stay readable: what they don't have reads as nothing there."""

from __future__ import annotations

import dataclasses
import sqlite3
from pathlib import Path

import pytest

from llmflame.analysis.run_tree import build_run_tree
from llmflame.analysis.summary import summarise
from llmflame.cli.app import run
from llmflame.errors import UnreadableProfileError
from llmflame.store.profile import SINCE, Profile, read_profile
from llmflame.store.writer import APPLICATION_ID, SCHEMA_VERSION
from tests.handmade import handmade

SCHEMA_1 = Path(__file__).with_name("schema_1.sql")
"""As it was when version 1 was current."""
METRICS_1 = 12
"""Version 1 had so many metrics; new ones came behind them."""


def first(path: Path) -> Path:
    """The hand-made profile as a recorder of version 1 left it."""
    current = handmade(path.with_name("current.llmflame"))
    db = sqlite3.connect(path)
    db.executescript(SCHEMA_1.read_text("utf-8"))
    db.execute("ATTACH ? AS current", (str(current),))
    tables = db.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall()
    for (table,) in tables:
        known = f"WHERE id <= {METRICS_1}" if table == "metric" else ""
        db.execute(f"INSERT INTO main.{table} SELECT * FROM current.{table} {known}")
    db.commit()
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute("PRAGMA user_version = 1")
    db.close()
    return path


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return first(tmp_path / "old.llmflame")


def third(path: Path, current: Path) -> Path:
    """A profile as a recorder of version 3 left it, whose other tables are today's."""
    path.write_bytes(current.read_bytes())
    return script(path, "DROP TABLE thread; DROP TABLE thread_slice; PRAGMA user_version = 3;")


def script(path: Path, commands: str) -> Path:
    db = sqlite3.connect(path)
    db.executescript(commands)
    db.close()
    return path


def refused(path: Path) -> str:
    with pytest.raises(UnreadableProfileError) as caught:
        read_profile(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_schema_that_is_written_now_is_the_newest_that_brought_a_table() -> None:
    assert max(SINCE.values()) <= SCHEMA_VERSION == 6


def test_a_file_of_version_1_has_all_that_it_had_and_nothing_else(old: Path, tmp_path: Path) -> None:
    was, now = read_profile(old), read_profile(tmp_path / "current.llmflame")
    assert was.slices == () and was.device_work == ()
    assert was.cells and was.cells == now.cells
    assert len(was.metrics) == METRICS_1 < len(now.metrics)
    assert all(now.metrics[number] == metric for number, metric in was.metrics.items())
    for name in (field.name for field in dataclasses.fields(Profile)):
        if name not in ("path", "metrics"):
            assert getattr(was, name) == getattr(now, name), name


def test_a_file_of_version_1_is_summed_up_as_ever(old: Path, tmp_path: Path) -> None:
    was, now = read_profile(old), read_profile(tmp_path / "current.llmflame")
    assert summarise(was) == summarise(now)
    assert build_run_tree(was).tree.selfs["wall_ns"] == build_run_tree(now).tree.selfs["wall_ns"]


@pytest.mark.parametrize("options", [[], ["--json"], ["--view", "tree"], ["--view", "ops"]])
def test_a_file_of_version_1_is_shown(
    old: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["show", str(old), *options]) == 0
    assert capsys.readouterr().out


def test_a_table_that_version_1_did_not_know_is_left_alone(old: Path) -> None:
    profile = read_profile(script(old, "CREATE TABLE slice (anything); INSERT INTO slice VALUES ('x')"))
    assert profile.slices == ()


def test_damage_in_a_file_of_version_1_is_found(old: Path) -> None:
    assert "a cell of an unknown window" in refused(script(old, "DELETE FROM window WHERE id = 1"))


@pytest.mark.parametrize("commands", ["", "DROP TABLE slice;", "DROP TABLE device_work;"])
def test_a_file_that_claims_version_2_and_lacks_its_tables_is_refused(
    old: Path, tmp_path: Path, commands: str
) -> None:
    path = script(tmp_path / "current.llmflame", commands) if commands else old
    assert "no such table" in refused(script(path, "PRAGMA user_version = 2"))


def test_a_file_of_version_3_has_all_but_threads(tmp_path: Path) -> None:
    current = handmade(tmp_path / "current.llmflame", slices=True, threads=True)
    was, now = read_profile(third(tmp_path / "old.llmflame", current)), read_profile(current)
    assert now.threads and now.thread_slices and (was.threads, was.thread_slices) == ((), ())
    for name in (field.name for field in dataclasses.fields(Profile)):
        if name not in ("path", "threads", "thread_slices"):
            assert getattr(was, name) == getattr(now, name), name


@pytest.mark.parametrize("table", ["thread", "thread_slice"])
def test_a_file_that_claims_version_4_and_lacks_its_tables_is_refused(tmp_path: Path, table: str) -> None:
    current = handmade(tmp_path / "current.llmflame", threads=True)
    assert "no such table" in refused(script(current, f"DROP TABLE {table};"))
