"""Gauges of a child by a thread: rows of its pass, one warning near the limit, no trouble of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from itertools import pairwise
from pathlib import Path

import pytest

from llmflame.probes.gauges import ProcessGauges
from llmflame.probes.memory_limits import Limit, Limits
from llmflame.recording import gauge_feed
from llmflame.recording.gauge_feed import GaugeThread, NearLimit, device_of
from llmflame.store.rows import GaugeRow, ProbeReportRow, Row

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
MIB = 1 << 20
WAIT_S = 60
PROGRAM = """
import signal, sys
def warned(*_):
    print("warned", flush=True)
signal.signal(signal.SIGUSR1, warned)
print("ready", flush=True)
held = []
for line in sys.stdin:
    held.append(b"x" * int(line))
    print("held", flush=True)
"""


@pytest.fixture
def child() -> Iterator[subprocess.Popen[str]]:
    """Holds as many bytes more as each line of its input says."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None and process.stdout is not None
    with process.stdin, process.stdout:
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()
    process.wait()


def feed_of(pid: int) -> GaugeThread:
    return GaugeThread("clean", pid, origin_ns=time.perf_counter_ns(), interval_s=0.002)


def gauges(rows: list[Row], name: str) -> list[GaugeRow]:
    return [row for row in rows if isinstance(row, GaugeRow) and row.name == name]


def reports(rows: list[Row]) -> dict[str, float | None]:
    return {row.name: row.value for row in rows if isinstance(row, ProbeReportRow)}


def grow(child: subprocess.Popen[str], size: int) -> None:
    assert child.stdin is not None and child.stdout is not None
    child.stdin.write(f"{size}\n")
    child.stdin.flush()
    assert child.stdout.readline() == "held\n"


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def test_growth_is_seen_and_the_reading_tells_of_itself(child: subprocess.Popen[str]) -> None:
    feed = feed_of(child.pid)
    feed.start()
    taken: list[Row] = []

    def begun() -> bool:
        taken.extend(feed.take())
        return bool(gauges(taken, "anonymous_bytes"))

    wait_for(begun)
    grow(child, 64 * MIB)
    rows = taken + feed.stop()
    anonymous = gauges(rows, "anonymous_bytes")
    assert anonymous[-1].value - anonymous[0].value > 60 * MIB
    assert {row.pass_name for row in rows if isinstance(row, GaugeRow | ProbeReportRow)} == {"clean"}
    times = [row.time_ns for row in rows if isinstance(row, GaugeRow)]
    assert times == sorted(times) and times[0] >= 0
    told = reports(rows)
    assert told["interval"] == 2_000_000
    assert (told["readings"] or 0) >= 2
    assert any(name.startswith("limit: ") for name in told)
    assert not any(name.startswith("unreadable") for name in told)
    assert feed.stop() == [] == feed.take()


def test_consecutive_rows_of_a_gauge_differ(child: subprocess.Popen[str]) -> None:
    feed = feed_of(child.pid)
    feed.start()
    for _ in range(3):
        grow(child, MIB)
    rows = feed.stop()
    for name in {row.name for row in rows if isinstance(row, GaugeRow)}:
        values = [row.value for row in gauges(rows, name)]
        assert all(a != b for a, b in pairwise(values)), name


def test_it_ends_with_the_process(child: subprocess.Popen[str]) -> None:
    feed = feed_of(child.pid)
    feed.start()
    child.kill()
    child.wait()
    wait_for(lambda: not any(thread.name == "llmflame gauges" for thread in threading.enumerate()))
    feed.stop()


def test_a_feed_that_was_never_started_can_be_stopped(child: subprocess.Popen[str]) -> None:
    assert reports(feed_of(child.pid).stop())["readings"] == 0


def test_trouble_of_its_own_is_told(child: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise RuntimeError("no gauges today")

    monkeypatch.setattr(gauge_feed, "ProcessGauges", failing)
    feed = feed_of(child.pid)
    feed.start()
    assert "unreadable: RuntimeError: no gauges today" in reports(feed.stop())


def limited(monkeypatch: pytest.MonkeyPatch, child: subprocess.Popen[str], spare: int) -> GaugeThread:
    """A feed of a child whose control group has so many bytes more than the child holds."""
    values = ProcessGauges(child.pid).read()
    assert values is not None
    limit = Limit("cgroup memory.max", values["anonymous_bytes"] + spare, Path("/nowhere"), 2)
    monkeypatch.setattr(Limits, "of", lambda _pid: Limits((limit,)))
    feed = feed_of(child.pid)
    feed.start()
    return feed


def test_a_child_near_its_limit_is_warned_once(
    child: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = limited(monkeypatch, child, 256 * MIB)
    feed.warn_signal = True
    grow(child, 64 * MIB)
    assert child.stdin is not None and child.stdout is not None
    child.stdin.write(f"{192 * MIB}\n")
    child.stdin.flush()
    assert sorted([child.stdout.readline(), child.stdout.readline()]) == ["held\n", "warned\n"]
    grow(child, MIB)
    told = reports(feed.stop())
    assert told["warned near the limit"] is not None


def test_a_child_that_does_not_handle_the_signal_gets_none(
    child: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = limited(monkeypatch, child, 64 * MIB)
    grow(child, 128 * MIB)
    grow(child, 1)
    assert "warned near the limit" not in reports(feed.stop())


def test_the_groups_other_processes_count_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.stat").write_text("anon 900\nshmem 70\n")
    sent: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append(number))
    near = NearLimit(41, Limit("cgroup memory.max", 1000, tmp_path, 2))
    near.check({"anonymous_bytes": 499})
    assert sent == []
    near.check({"anonymous_bytes": 500})
    near.check({"anonymous_bytes": 999})
    assert near.sent_at_bytes == 970
    assert sent == [int(signal.SIGUSR1)]


@pytest.mark.parametrize(
    ("name", "build", "device"),
    [
        ("cpu", "2.13.0", None),
        ("auto", "2.13.0+cpu", None),
        ("auto", "2.13.0", "0"),
        ("cuda", "2.13.0+cpu", "0"),
        ("cuda:3", "2.13.0", "3"),
    ],
)
def test_the_device_that_a_workload_names(
    name: str, build: str, device: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "version", lambda _package: build)
    assert device_of(name) == device
