"""Files that are there in full or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from llmflame.atomic import check_writable, write_atomically
from llmflame.errors import UsageError


def test_writes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    write_atomically(path, "é\n")
    write_atomically(path, "two\n")
    assert path.read_bytes() == b"two\n"
    assert list(tmp_path.iterdir()) == [path]


def test_obeys_the_file_mode_mask(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        write_atomically(tmp_path / "a", "x")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\udc80")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(UsageError, match="can't write"):
        write_atomically(tmp_path / "missing" / "a", "x")


def test_what_cannot_be_written_is_refused_beforehand(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_text("x")
    check_writable(tmp_path / "new", force=False)
    check_writable(there, force=True)
    for path, message in (
        (there, "--force"),
        (tmp_path, "is a folder"),
        (tmp_path / "no" / "a", "no such folder"),
    ):
        with pytest.raises(UsageError, match=message):
            check_writable(path, force=False)
