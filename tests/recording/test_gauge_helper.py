"""Gauges of this process by another: it ends when told and with its parent, and leaves nothing."""

from __future__ import annotations

import json
import mmap
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from llmflame.recording.gauge_helper import GaugeHelper
from llmflame.store.rows import GaugeRow, ProbeReportRow, Row
from llmflame.subjects.environment import own_import_path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
WAIT_S = 60
BLOCK_BYTES = 8 << 20
MODULE = [sys.executable, "-P", "-m", "llmflame.recording.gauge_process"]


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def helpers() -> list[psutil.Process]:
    return [
        process
        for process in psutil.Process().children()
        if process.status() == psutil.STATUS_ZOMBIE or "gauge_process" in " ".join(process.cmdline())
    ]


@pytest.fixture(autouse=True)
def no_helper_stays() -> Iterator[None]:
    """One test's failure was once that of eight others, which counted its helper among their own."""
    yield
    for process in helpers():
        process.kill()
        process.wait()


def names(rows: list[Row]) -> set[str]:
    return {row.name for row in rows if isinstance(row, GaugeRow)}


def take_until(helper: GaugeHelper, count: int) -> list[Row]:
    rows: list[Row] = []

    def enough() -> bool:
        rows.extend(helper.take())
        return len(rows) >= count

    wait_for(enough)
    return rows


def test_rows_carry_the_pass_that_had_begun() -> None:
    helper = GaugeHelper(origin_ns=time.perf_counter_ns(), interval_s=0.002)
    helper.begin("clean")
    helper.start()
    rows = take_until(helper, 3)
    helper.begin("clean")
    helper.begin("memory")
    helper.begin("anatomy")

    def seen() -> bool:
        """What does not change is not said: memory comes and goes until the helper had its turn. A mapping,
        because late in a long run the heap has so much free memory that a large object changes nothing."""
        with mmap.mmap(-1, BLOCK_BYTES) as block:
            block.write(bytes(BLOCK_BYTES))
            time.sleep(0.01)
        rows.extend(helper.take())
        return any(isinstance(row, GaugeRow) and row.pass_name == "anatomy" for row in rows)

    wait_for(seen)
    rows += helper.stop()
    assert {"anonymous_bytes", "file_bytes", "minor_faults"} <= names(rows)
    gauges = [row for row in rows if isinstance(row, GaugeRow)]
    passes = list(dict.fromkeys(row.pass_name for row in gauges))
    assert passes[0] == "clean" and passes[-1] == "anatomy"
    for earlier, later in pairwise(gauges):
        assert earlier.time_ns <= later.time_ns
    (readings,) = (row for row in rows if isinstance(row, ProbeReportRow) and row.name == "readings")
    assert readings.pass_name == "clean" and readings.value
    assert helper.stop() == []


def test_a_pass_begins_with_what_the_gauges_were() -> None:
    """What does not change in a later pass would otherwise be known of the first alone."""
    helper = GaugeHelper(origin_ns=0)
    helper._begins = [(0, "clean"), (100, "memory"), (200, "anatomy")]
    rows = helper._rows([["a", 10, 1], ["b", 11, 5], ["a", 20, 2], ["a", 250, 3], ["b", 260, 6]])
    assert rows == [
        GaugeRow("clean", "a", 10, 1),
        GaugeRow("clean", "b", 11, 5),
        GaugeRow("clean", "a", 20, 2),
        GaugeRow("anatomy", "a", 200, 2),
        GaugeRow("anatomy", "b", 200, 5),
        GaugeRow("anatomy", "a", 250, 3),
        GaugeRow("anatomy", "b", 260, 6),
    ]


def test_stopping_leaves_no_process_and_no_descriptor() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    helper = GaugeHelper(origin_ns=0)
    helper.begin("clean")
    helper.start()
    assert len(helpers()) == 1
    helper.stop()
    assert helpers() == []
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_helper_that_died_is_no_trouble() -> None:
    helper = GaugeHelper(origin_ns=0)
    helper.begin("clean")
    helper.start()
    rows = take_until(helper, 1)
    helpers()[0].kill()
    rows += helper.stop()
    assert "anonymous_bytes" in names(rows)
    assert helpers() == []


def test_no_interpreter_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    helper = GaugeHelper(origin_ns=0)
    helper.begin("clean")
    helper.start()
    (row,) = helper.stop()
    assert isinstance(row, ProbeReportRow)
    assert row.name == "unreadable: helper process: not found"


def test_it_ends_with_its_parent() -> None:
    program = (
        "import os, time\n"
        "from llmflame.recording.gauge_helper import GaugeHelper\n"
        "helper = GaugeHelper(origin_ns=0)\n"
        "helper.start()\n"
        "print(helper._process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], env=own_import_path(), stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent.stdout:
        helper = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        parent.wait()
    psutil.wait_procs([helper], timeout=WAIT_S)
    assert not helper.is_running() or helper.status() == psutil.STATUS_ZOMBIE


def test_it_writes_documents_and_imports_nothing_heavy(tmp_path: Path) -> None:
    """What the helper imports, it costs the machine at the start of every recording."""
    done = subprocess.run(
        [*MODULE[:1], "-X", "importtime", *MODULE[1:], str(os.getpid()), "0.001", "0"],
        env=own_import_path(),
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    *readings, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert {name for name, _, _ in readings} >= {"anonymous_bytes", "high_water_bytes"}
    assert set(last) == {"report", "unreadable"} and last["unreadable"] == []
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not imported & {"torch", "numpy", "transformers", "psutil", "pynvml", "sqlite3"}
