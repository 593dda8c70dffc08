"""Memory profilers around the same work: how each is started, what it sees, and what it costs."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from benchmarks.memory_file import sizes
from benchmarks.recorded import high_water
from benchmarks.spawn import ROOT
from llmflame.store.profile import read_profile

PROGRAM = str(ROOT / "benchmarks" / "memory_program.py")
WATCH_INTERVAL_S = 0.1
LIMIT_S = 300.0
OWN = "llmflame profile"
NOTHING = "nothing"


class Sees(NamedTuple):
    """What a tool says of a model's memory."""

    module: str = ""
    """Does it see tensors with their module?"""
    cache: str = ""
    """The key/value cache?"""
    mapped: str = ""
    """Weights that lie in a mapped file?"""
    time: str = ""
    """Time on the same tree?"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A tool, how it is started, and what it sees of a model's memory."""

    name: str
    start: tuple[str, ...]
    """Of the command; `{output}` is the file to write, `{device}` the device."""
    sees: Sees
    suffix: str = "bin"
    cuda_only: bool = False
    once: bool = False
    """So slow that one round is enough."""
    report: tuple[str, ...] = ()
    """What makes a page of the file for a person, where the tool itself doesn't."""


def _inside(name: str, sees: Sees, suffix: str = "json", cuda_only: bool = False) -> Peer:
    command = ("{python}", PROGRAM, "--under", name, "--output", "{output}", "--device", "{device}")
    return Peer(name, command, sees, suffix=suffix, cuda_only=cuda_only)


_PLAIN = (PROGRAM, "--device", "{device}")
_MEMRAY_SEES = Sees("Python frames", "as frames", "the mapping as a whole", "no")
_TORCH_SEES = Sees("no", "as operators", "no", "yes, in a trace")
_STACK_SEES = Sees("class and number, no path", "as frames", "no", "yes, in a trace")
_CUDA_SEES = Sees("Python frames", "as frames", "no", "no")
_MEMRAY = ("{python}", "-m", "memray", "run", "-q", "-o", "{output}")
_MEMRAY_PAGE = ("{python}", "-m", "memray", "flamegraph", "-f", "-o", "{output}.html", "{output}")
PEERS = (
    Peer(NOTHING, ("{python}", *_PLAIN), Sees()),
    Peer(
        OWN,
        (
            *("{python}", "-m", "llmflame", "profile", "demo", "--repetitions", "1", "--new-tokens", "64"),
            *("--dtype", "float32", "--device", "{device}", "-o", "{output}"),
        ),
        Sees("module's path", "yes, by layer", "yes, by module", "yes"),
        suffix="llmflame",
    ),
    Peer("memray", (*_MEMRAY, *_PLAIN), _MEMRAY_SEES, report=_MEMRAY_PAGE),
    Peer("memray --native", (*_MEMRAY, "--native", *_PLAIN), _MEMRAY_SEES, report=_MEMRAY_PAGE),
    Peer(
        "Scalene",
        ("{python}", "-m", "scalene", "run", "-o", "{output}", PROGRAM, "---", "--device", "{device}"),
        Sees("lines of one folder", "no", "no", "yes, by line"),
        suffix="json",
        once=True,
    ),
    _inside("tracemalloc", Sees("no: Python's objects only", "no", "no", "no"), "pickle"),
    _inside("torch.profiler", _TORCH_SEES),
    _inside("torch.profiler with stacks", _STACK_SEES),
    _inside("CUDA history, no stacks", Sees("no", "no", "no", "no"), "pickle", cuda_only=True),
    _inside("CUDA history, Python's stacks", _CUDA_SEES, "pickle", cuda_only=True),
    _inside("CUDA history, all stacks", _CUDA_SEES, "pickle", cuda_only=True),
)


def measure(peer: Peer, device: str, environment: dict[str, str], limit_s: float = LIMIT_S) -> dict[str, Any]:
    """Run the work under a tool: wall, peak of the largest process, bytes written, other processes' CPUs."""
    if peer.cuda_only and not device.startswith("cuda"):
        return {"error": "CUDA only"}
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / f"output.{peer.suffix}"
        filled = {"python": sys.executable, "output": str(output), "device": device}
        result = _run([part.format(**filled) for part in peer.start], folder, environment, limit_s)
        result["output_bytes"] = output.stat().st_size if output.exists() else 0
        if "error" not in result and peer.report:
            page = _run([part.format(**filled) for part in peer.report], folder, environment, limit_s)
            result["report_s"] = page["wall_s"]
        if "error" not in result and peer.name == OWN:
            profile = read_profile(output)
            peaks = [row.peak_rss_bytes or 0 for row in profile.passes]
            result["peak_rss_bytes"] = max(result["peak_rss_bytes"], *peaks)
            result["file_bytes"] = sizes(output)
        return result


def _run(command: Sequence[str], folder: str, environment: dict[str, str], limit_s: float) -> dict[str, Any]:
    with tempfile.TemporaryFile() as stderr:
        begin, others, load = time.monotonic(), _others_s(), os.getloadavg()[0]
        used = _children_s()
        child = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
        result: dict[str, Any] = {}
        with _peak(child.pid) as peak:
            try:
                code = child.wait(timeout=limit_s)
            except subprocess.TimeoutExpired:
                result["error"] = f"not done after {limit_s:.0f} s"
            else:
                if code:
                    stderr.seek(0)
                    said = stderr.read().decode(errors="replace").strip().splitlines()
                    result["error"] = f"exit code {code}: {said[-1][:200] if said else ''}"
            finally:
                wall = time.monotonic() - begin
                with contextlib.suppress(OSError):
                    os.killpg(child.pid, signal.SIGKILL)  # whatever it left behind
                child.wait()
        result |= {"wall_s": wall, "peak_rss_bytes": max(peak.values(), default=0), "load_before": load}
        result["cpu_s"] = _children_s() - used
        result["other_cpus"] = max(_others_s() - others, 0.0) / wall
        return result


def _children_s() -> float:
    """CPU seconds of this process' children that have ended, and of theirs."""
    return sum(os.times()[2:4])


def _others_s() -> float:
    """CPU seconds of all processes but this one and its children: what else the machine did."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system) - sum(os.times()[:4])


@contextlib.contextmanager
def _peak(pid: int) -> Iterator[dict[int, int]]:
    """The highest VmHWM of a process and of each of its descendants, read until they end: it may be reset."""
    peaks: dict[int, int] = {}
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(WATCH_INTERVAL_S):
            with contextlib.suppress(psutil.Error):
                root = psutil.Process(pid)
                for process in (root, *root.children(recursive=True)):
                    peaks[process.pid] = max(peaks.get(process.pid, 0), high_water(process.pid))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peaks
    finally:
        ended.set()
        thread.join()
