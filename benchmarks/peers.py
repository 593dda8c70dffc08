"""Other profilers around one request of the same workload, each as its own documentation uses it."""

from __future__ import annotations

import cProfile
import importlib
import importlib.util
import pstats
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.workload import Loop

Outcome = tuple[dict[str, Any], Callable[[], object] | None]
"""Nanoseconds and bytes; and what is only timed on request, because it takes minutes."""
Run = Callable[[Loop, Path], Outcome]


def _torch(loop: Loop, folder: Path, *, stacks: bool = False, everything: bool = False) -> Outcome:
    from torch.profiler import ProfilerActivity, profile

    options: dict[str, Any] = {
        "activities": [ProfilerActivity.CPU],
        "with_stack": stacks,
        "profile_memory": everything,
        "record_shapes": everything,
    }
    with profile(**options):  # the first session of a process loads what later ones reuse
        pass
    begin = time.perf_counter_ns()
    with profile(**options) as profiler:
        wall = loop.bare()
    block = time.perf_counter_ns() - begin
    path = folder / "trace.json"
    begin = time.perf_counter_ns()
    profiler.export_chrome_trace(str(path))
    result = _result(wall, block, time.perf_counter_ns() - begin, path)
    return result, lambda: profiler.key_averages().table()


def _cprofile(loop: Loop, folder: Path) -> Outcome:
    profiler, path = cProfile.Profile(), folder / "profile.pstats"
    begin = time.perf_counter_ns()
    with profiler:
        wall = loop.bare()
    block = time.perf_counter_ns() - begin
    begin = time.perf_counter_ns()
    profiler.dump_stats(path)
    pstats.Stats(str(path)).sort_stats("cumulative")
    return _result(wall, block, time.perf_counter_ns() - begin, path), None


def _pyinstrument(loop: Loop, folder: Path) -> Outcome:
    profiler: Any = importlib.import_module("pyinstrument").Profiler()
    path = folder / "profile.html"
    begin = time.perf_counter_ns()
    with profiler:
        wall = loop.bare()
    block = time.perf_counter_ns() - begin
    begin = time.perf_counter_ns()
    path.write_text(profiler.output_html(), encoding="utf-8")
    return _result(wall, block, time.perf_counter_ns() - begin, path), None


def _viztracer(loop: Loop, folder: Path) -> Outcome:
    path = folder / "trace.json"
    tracer: Any = importlib.import_module("viztracer").VizTracer(output_file=str(path), verbose=0)
    begin = time.perf_counter_ns()
    tracer.start()
    wall = loop.bare()
    tracer.stop()
    block = time.perf_counter_ns() - begin
    begin = time.perf_counter_ns()
    tracer.save()
    return _result(wall, block, time.perf_counter_ns() - begin, path), None


def _memray(loop: Loop, folder: Path) -> Outcome:
    memray: Any = importlib.import_module("memray")
    path = folder / "memray.bin"
    begin = time.perf_counter_ns()
    with memray.Tracker(str(path)):
        wall = loop.bare()
    block = time.perf_counter_ns() - begin
    begin = time.perf_counter_ns()
    page = folder / "page.html"
    command = [sys.executable, "-m", "memray", "flamegraph", "-o", str(page), str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return _result(wall, block, time.perf_counter_ns() - begin, path), None


def _result(wall: int, block: int, save: int, path: Path) -> dict[str, Any]:
    """`save_ns` reaches from the end of the traced block to something that a person can look at."""
    return {"walls_ns": [wall], "block_ns": block, "save_ns": save, "output_bytes": path.stat().st_size}


PEERS: dict[str, Run] = {
    "torch.profiler": _torch,
    "torch.profiler with_stack": partial(_torch, stacks=True),
    "torch.profiler with_stack + memory + shapes": partial(_torch, stacks=True, everything=True),
    "cProfile": _cprofile,
    "pyinstrument": _pyinstrument,
    "viztracer": _viztracer,
    "memray": _memray,
}
EXTERNAL: dict[str, tuple[str, ...]] = {
    "py-spy 100 Hz nonblocking": ("--rate", "100", "--nonblocking"),
    "py-spy 100 Hz": ("--rate", "100"),
}
"""Options of `py-spy record`, which is put around the whole process."""
ALL = (*PEERS, *EXTERNAL)


def installed(name: str) -> bool:
    """Is the tool there?"""
    if name in EXTERNAL:
        return py_spy() is not None
    return name == "cProfile" or importlib.util.find_spec(name.split(".")[0].split()[0]) is not None


def py_spy() -> str | None:
    """The program beside this interpreter, or on the path."""
    beside = Path(sys.executable).with_name("py-spy")
    return str(beside) if beside.exists() else shutil.which("py-spy")
