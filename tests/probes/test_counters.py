"""The counters at a span's edge, against what the system says in other ways."""

from __future__ import annotations

import mmap
import os
import time
from itertools import pairwise
from pathlib import Path

import pytest

from llmflame.probes import counters as module
from llmflame.probes.counters import PAGE_BYTES, Counters, Edge


def _pretend(monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]) -> Counters:
    """Counters of a machine whose /proc says so; a file that isn't named is missing."""
    opened: dict[int, bytes] = {}

    def fake_open(path: str) -> int | None:
        if path not in files:
            return None
        opened[1000 + len(opened)] = files[path]
        return 999 + len(opened)

    monkeypatch.setattr(module, "open_readable", fake_open)
    monkeypatch.setattr(os, "pread", lambda fd, count, at: opened[fd][at : at + count])
    monkeypatch.setattr(os, "close", lambda fd: opened.pop(fd))
    return Counters()


IO = b"rchar: 9\nwchar: 8\nsyscr: 7\nsyscw: 6\nread_bytes: 4096\nwrite_bytes: 5\ncancelled_write_bytes: 0\n"


def test_fields_are_read_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    counters = _pretend(
        monkeypatch,
        {
            "/proc/self/statm": b"1000 250 40 1 0 300 0\n",
            "/proc/self/io": IO,
            "/proc/thread-self/schedstat": b"111 222 3\n",
        },
    )
    edge = counters.read()
    counters.close()
    assert (edge.rss_bytes, edge.rss_file_bytes) == (250 * PAGE_BYTES, 40 * PAGE_BYTES)
    assert (edge.run_queue_ns, edge.read_bytes) == (222, 4096)


def test_what_the_platform_does_not_tell_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    counters = _pretend(monkeypatch, {})
    monkeypatch.setattr(module, "resource", None)
    edge = counters.read()
    counters.close()
    unknown = {name for name, value in edge._asdict().items() if value is None}
    assert unknown == {
        "run_queue_ns",
        "minor_faults",
        "major_faults",
        "read_bytes",
        "rss_bytes",
        "rss_file_bytes",
    }


def test_io_without_read_bytes_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    counters = _pretend(monkeypatch, {"/proc/self/io": b"rchar: 9\nxread_bytes: 5\n"})
    assert counters.read().read_bytes is None


def test_edges_never_run_backwards() -> None:
    counters = Counters()
    try:
        edges = [counters.read() for _ in range(50)]
    finally:
        counters.close()
    for earlier, later in pairwise(edges):
        assert later.time_ns > earlier.time_ns
        for field in ("thread_cpu_ns", "process_cpu_ns", "run_queue_ns", "minor_faults", "major_faults"):
            before, after = getattr(earlier, field), getattr(later, field)
            assert (before is None) == (after is None) and (before is None or after >= before)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
def test_touched_pages_are_resident_and_faulted_in() -> None:
    counters, pages = Counters(), 4096
    try:
        before = counters.read()
        memory = mmap.mmap(-1, pages * PAGE_BYTES)
        for page in range(pages):
            memory[page * PAGE_BYTES] = 1
        after = counters.read()
        memory.close()
    finally:
        counters.close()
    assert before.rss_bytes is not None and after.rss_bytes is not None
    # Others may free meanwhile, and huge pages need fewer faults.
    assert after.rss_bytes - before.rss_bytes > pages * PAGE_BYTES * 0.9
    assert after.minor_faults is not None and before.minor_faults is not None
    assert after.minor_faults > before.minor_faults


def test_closing_releases_every_descriptor_and_twice_is_harmless() -> None:
    folder = Path("/proc/self/fd")
    if not folder.exists():
        pytest.skip("needs Linux")
    before = {entry.name for entry in folder.iterdir()}
    counters = Counters()
    counters.read()
    opened = {entry.name for entry in folder.iterdir()} - before
    assert opened
    counters.close()
    counters.close()
    assert not opened & {name for name in opened if (folder / name).is_symlink()}
    assert isinstance(counters.read(), Edge), "without descriptors the rest can still be read"


def test_an_unreadable_file_is_no_source(tmp_path: Path) -> None:
    assert module.open_readable(str(tmp_path / "none")) is None
    assert module.open_readable(str(tmp_path)) is None, "a folder can be opened, but not read"


def test_the_cost_is_the_median_distance_of_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    counters = Counters()
    now = iter(range(0, 10**6, 7))
    monkeypatch.setattr(time, "perf_counter_ns", lambda: next(now))
    assert counters.cost_ns() == 7
    counters.close()
