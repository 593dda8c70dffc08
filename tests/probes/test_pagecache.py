"""How much of a file is in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmflame.probes import pagecache
from llmflame.probes.pagecache import cached_share


def test_a_file_that_was_just_written_is_cached(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"x" * 100_001)
    file.read_bytes()
    assert cached_share([file]) == 1.0


def test_a_share_is_of_pages_over_all_files(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {"a": (1, 4), "b": (5, 6), "empty": (0, 0)}
    monkeypatch.setattr(pagecache, "_resident_pages", lambda file: pages.get(file.name))
    assert cached_share([Path("a"), Path("b"), Path("empty")]) == 6 / 10
    assert cached_share([Path("a"), Path("unknown")]) is None


def test_nothing_is_unknown(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    assert cached_share([]) is None
    assert cached_share([empty]) is None
    assert cached_share([tmp_path / "none"]) is None
    assert cached_share([tmp_path]) is None


def test_looking_does_not_change_the_file_or_keep_it_open(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"x" * 10_000)
    open_files = Path("/proc/self/fd")
    before = len([*open_files.iterdir()]) if open_files.exists() else 0
    for _ in range(5):
        cached_share([file])
    assert file.read_bytes() == b"x" * 10_000
    if before:
        assert len([*open_files.iterdir()]) == before


def test_a_file_that_may_not_be_written_can_be_asked_about(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"x" * 10_000)
    file.chmod(0o444)
    assert cached_share([file]) is not None
