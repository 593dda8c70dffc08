"""Another process' gauges: true numbers, none invented, and a loop that keeps what changes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llmflame.probes.gauges import SELDOM_READINGS, GaugeLoop, ProcessGauges, Reading, Values

MIB = 1 << 20
NAMES = {
    "anonymous_bytes",
    "file_bytes",
    "shared_bytes",
    "high_water_bytes",
    "swap_bytes",
    "minor_faults",
    "major_faults",
    "storage_read_bytes",
}
STAT = b"41 (a ) S 9) (b) S 1 1 1 0 -1 4194304 1234 5 67 8 0 0 0 0 20 0 1 0 100 0 0\n"
STATUS = (
    b"Name:\tRssAnon:\nState:\tS (sleeping)\n"
    b"VmPeak:\t  900 kB\nVmHWM:\t     700 kB\nVmRSS:\t     600 kB\nRssAnon:\t     300 kB\n"
    b"RssFile:\t     200 kB\nRssShmem:\t     100 kB\nVmSwap:\t       7 kB\nThreads:\t1\n"
)
IO = b"rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 4096\nwrite_bytes: 8192\n"


def proc(root: Path, **files: bytes) -> Path:
    """A /proc with one process, 41."""
    (root / "self").mkdir(exist_ok=True)
    (root / "41").mkdir(exist_ok=True)
    for name, text in files.items():
        (root / "41" / name).write_bytes(text)
    return root


def read_once(root: Path) -> tuple[Values | None, list[str]]:
    gauges = ProcessGauges(41, proc=root)
    values = gauges.read()
    gauges.close()
    return values, gauges.unreadable


def test_the_files_numbers_whatever_the_process_is_called(tmp_path: Path) -> None:
    values, unreadable = read_once(proc(tmp_path, stat=STAT, status=STATUS, io=IO))
    assert unreadable == []
    assert values == {
        "high_water_bytes": 700 * 1024,
        "anonymous_bytes": 300 * 1024,
        "file_bytes": 200 * 1024,
        "shared_bytes": 100 * 1024,
        "swap_bytes": 7 * 1024,
        "minor_faults": 1234,
        "major_faults": 67,
        "storage_read_bytes": 4096,
    }


def test_what_an_older_kernel_does_not_say_is_absent(tmp_path: Path) -> None:
    values, _ = read_once(proc(tmp_path, stat=STAT, status=b"Name:\tx\nVmHWM:\t 7 kB\n", io=b"rchar: 1\n"))
    assert values == {"high_water_bytes": 7168, "minor_faults": 1234, "major_faults": 67}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_refused_file_is_named(tmp_path: Path) -> None:
    root = proc(tmp_path, stat=STAT, status=STATUS, io=IO)
    (root / "41" / "io").chmod(0)
    values, unreadable = read_once(root)
    assert values is not None and "storage_read_bytes" not in values
    assert unreadable == ["/proc/PID/io: permission denied"]


def test_a_source_that_fails_later_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some sandboxes let /proc/PID/io be opened but not read."""
    gauges = ProcessGauges(41, proc=proc(tmp_path, stat=STAT, status=STATUS, io=IO))
    pread = os.pread

    def refusing(descriptor: int, size: int, offset: int) -> bytes:
        text = pread(descriptor, size, offset)
        if text.startswith(b"rchar"):
            raise PermissionError(1, "Operation not permitted")
        return text

    monkeypatch.setattr(os, "pread", refusing)
    for _ in range(2 * SELDOM_READINGS):
        values = gauges.read()
        assert values is not None and "storage_read_bytes" not in values
    gauges.close()
    assert gauges.unreadable == ["/proc/PID/io: operation not permitted"]


@pytest.mark.parametrize("state", [b"Z", b"X"])
def test_a_process_that_nobody_has_waited_for_is_gone(tmp_path: Path, state: bytes) -> None:
    ended = b"Name:\tx\nState:\t" + state + b" (zombie)\nThreads:\t1\n"
    assert read_once(proc(tmp_path, stat=STAT, status=ended, io=IO)) == (None, [])


def test_counts_are_read_less_often(tmp_path: Path) -> None:
    gauges = ProcessGauges(41, proc=proc(tmp_path, stat=STAT, status=STATUS, io=IO))
    readings = [gauges.read() or {} for _ in range(SELDOM_READINGS + 1)]
    gauges.close()
    assert [len(values) for values in readings] == [8, *[5] * (SELDOM_READINGS - 1), 8]


def test_a_process_that_is_not_there_is_gone(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    assert read_once(tmp_path) == (None, [])


@pytest.fixture
def holder() -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds 64 MiB of its own."""
    program = "import sys; held = b'x' * (64 << 20); print(flush=True); sys.stdin.read()"
    child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None and child.stdout is not None
    with child.stdout, child.stdin:
        child.stdout.readline()
        yield child
        child.kill()
    child.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_real_process_is_read_and_its_end_seen(holder: subprocess.Popen[bytes]) -> None:
    gauges = ProcessGauges(holder.pid)
    values = gauges.read()
    assert values is not None and set(values) | {"storage_read_bytes"} == NAMES
    assert 64 * MIB <= values["anonymous_bytes"] < 128 * MIB
    resident = values["anonymous_bytes"] + values["file_bytes"] + values["shared_bytes"]
    assert values["high_water_bytes"] >= resident
    assert values["minor_faults"] > 1000
    holder.kill()
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
    assert gauges.read() is None
    holder.wait()
    assert gauges.read() is None
    gauges.close()
    assert gauges.unreadable == []


def test_without_proc_it_is_the_resident_set(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    gauges = ProcessGauges(holder.pid, proc=tmp_path)
    values = gauges.read()
    assert values is not None and set(values) == {"rss_bytes"}
    assert values["rss_bytes"] >= 64 * MIB
    holder.kill()
    holder.wait()
    assert gauges.read() is None


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_closing_leaves_no_descriptor() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    gauges = ProcessGauges(os.getpid())
    gauges.read()
    gauges.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


class Clock:
    """Moves when told."""

    def __init__(self) -> None:
        self.now = 1000

    def __call__(self) -> int:
        return self.now


def loop(values: list[Values | None], clock: Clock, origin_ns: int = 0) -> tuple[GaugeLoop, list[Reading]]:
    kept: list[Reading] = []
    left = iter(values)
    made = GaugeLoop(lambda: next(left), kept.append, interval_s=1e-6, origin_ns=origin_ns, clock_ns=clock)
    return made, kept


def waits(clock: Clock, *pauses_ns: int) -> Callable[[float], bool]:
    """Time that passes between readings; after the last one it is told to stop."""
    left = iter(pauses_ns)

    def stopped(_seconds: float) -> bool:
        pause = next(left, None)
        clock.now += pause or 0
        return pause is None

    return stopped


def test_only_what_changes_is_kept() -> None:
    clock = Clock()
    values: list[Values | None] = [{"a": 1, "b": 5}, {"a": 1, "b": 6}, {"b": 6}, {"a": 2, "b": 6}]
    made, kept = loop([*values, {"a": 2}], clock, origin_ns=1000)
    made.run(waits(clock, 1000, 1000, 1000))
    assert kept == [
        Reading("a", 0, 1),
        Reading("b", 0, 5),
        Reading("b", 1000, 6),
        Reading("a", 3000, 2),
    ]


def test_the_end_is_read_too() -> None:
    clock = Clock()
    made, kept = loop([{"a": 1}, {"a": 2}], clock)
    made.run(waits(clock))
    assert [reading.value for reading in kept] == [1, 2]


def test_it_ends_with_the_process() -> None:
    clock = Clock()
    made, kept = loop([{"a": 1}, None], clock)
    made.run(waits(clock, 1000, 1000, 1000))
    assert [reading.value for reading in kept] == [1]
    assert made.readings == 1


def test_readings_later_than_two_intervals_are_counted() -> None:
    clock = Clock()
    made, _ = loop([{"a": 1}] * 6, clock)
    made.run(waits(clock, 1000, 2000, 2001, 900))
    report = {name: value for name, value, _ in made.report()}
    del report["cost"]
    assert report == {"interval": 1000, "readings": 6, "late readings": 1, "longest gap": 2001}
