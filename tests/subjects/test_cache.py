"""An entry is built once, whole or not at all, whatever happens to the processes that build it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from llmflame.errors import UsageError
from llmflame.subjects import cache, manifest

WAIT_S = 60
SCRIPT = """
import sys, time
from pathlib import Path
from llmflame.subjects import cache

def build(target):
    with Path(sys.argv[1]).open("a") as log:
        log.write("built\\n")
    (target / "weights").write_text("half")
    while not Path(sys.argv[2]).exists():
        time.sleep(0.01)
    (target / "weights").write_text("whole")

with Path(sys.argv[1] + ".started").open("a") as started:
    started.write("started\\n")
print(cache.build_once("entry", build), flush=True)
"""


def start(log: Path, go_on: Path) -> subprocess.Popen[str]:
    """A process that builds, and is half done until a file is there."""
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(log), str(go_on)], stdout=subprocess.PIPE, encoding="utf-8"
    )


def write_entry(target: Path) -> None:
    (target / "sub").mkdir()
    (target / "sub" / "weights").write_text("whole")


def leftovers() -> list[Path]:
    return list(cache.folder().glob(".building-*"))


def wait_for(path: Path, lines: int = 1) -> None:
    deadline = time.monotonic() + WAIT_S
    while not path.exists() or path.read_text().count("\n") < lines:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_builds_once() -> None:
    builds: list[Path] = []

    def build(target: Path) -> None:
        builds.append(target)
        write_entry(target)

    assert cache.finished("entry") is None
    first = cache.build_once("entry", build)
    assert first == cache.build_once("entry", build) == cache.finished("entry")
    assert first.parent == cache.folder()
    assert (first / "sub" / "weights").read_text() == "whole"
    assert len(builds) == 1
    assert leftovers() == []


@pytest.mark.parametrize("damage", ["cut", "missing", "manifest"])
def test_rebuilds_a_damaged_entry(damage: str) -> None:
    entry = cache.build_once("entry", write_entry)
    if damage == "cut":
        (entry / "sub" / "weights").write_text("who")
    elif damage == "missing":
        (entry / "sub" / "weights").unlink()
    else:
        (entry / manifest.NAME).write_text("{")
    assert cache.finished("entry") is None
    assert (cache.build_once("entry", write_entry) / "sub" / "weights").read_text() == "whole"
    assert leftovers() == []


def test_a_changed_byte_is_found_by_checksum() -> None:
    entry = cache.build_once("entry", write_entry)
    (entry / "sub" / "weights").write_text("whale")
    assert cache.finished("entry") == entry
    assert (cache.build_once("entry", write_entry, verify=True) / "sub" / "weights").read_text() == "whole"


def test_a_failed_build_leaves_nothing() -> None:
    def build(target: Path) -> None:
        write_entry(target)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.build_once("entry", build)
    assert cache.finished("entry") is None
    assert [path.suffix for path in cache.folder().iterdir()] == [".lock"]


def test_a_full_disk_is_one_clear_line() -> None:
    def build(target: Path) -> None:
        write_entry(target)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(UsageError, match="is full: free some space or set LLMFLAME_CACHE"):
        cache.build_once("entry", build)
    assert leftovers() == []


def test_a_cache_that_is_no_folder_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LLMFLAME_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(UsageError, match="can't be used"):
        cache.build_once("entry", write_entry)


def test_two_processes_build_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    processes = [start(log, tmp_path / "go on") for _ in range(3)]
    wait_for(tmp_path / "log.started", lines=3)
    wait_for(log)
    (tmp_path / "go on").touch()
    outputs = {process.communicate(timeout=WAIT_S)[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert outputs == {str(cache.folder() / "entry")}
    assert log.read_text() == "built\n"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs signals")
def test_a_killed_build_leaves_no_half_entry(tmp_path: Path) -> None:
    process = start(tmp_path / "log", tmp_path / "never")
    wait_for(tmp_path / "log")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=WAIT_S)
    assert cache.finished("entry") is None
    assert not (cache.folder() / "entry").exists()
    assert len(leftovers()) == 1
    # Any later build sweeps: this one is of another entry.
    cache.build_once("other", write_entry)
    assert leftovers() == []
    assert (cache.build_once("entry", write_entry) / "sub" / "weights").read_text() == "whole"


def test_a_living_build_of_another_entry_is_left_alone(tmp_path: Path) -> None:
    process = start(tmp_path / "log", tmp_path / "go on")
    wait_for(tmp_path / "log")
    cache.build_once("other", write_entry)
    assert len(leftovers()) == 1
    (tmp_path / "go on").touch()
    assert process.communicate(timeout=WAIT_S)[0].strip() == str(cache.folder() / "entry")
    assert (cache.folder() / "entry" / "weights").read_text() == "whole"


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.folder() == tmp_path / "cache"
    monkeypatch.delenv("LLMFLAME_CACHE")
    assert cache.folder() == tmp_path / "xdg" / "llmflame"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache.folder() == tmp_path / ".cache" / "llmflame"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache.folder() == tmp_path / "Library" / "Caches" / "llmflame"
