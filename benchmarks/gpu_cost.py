"""What recording costs on this device: bare requests beside clean, traced and fully profiled ones."""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.gpu_model import Request, build, generate, shape
from benchmarks.workload import discarding_session
from llmflame.recording.session import Session

PAIRS = 12
TRACED = 5


def measure(name: str, device: str, dtype: str, request: Request) -> dict[str, Any]:
    """Walls of one request in nanoseconds, interleaved where they are compared.

    Everything undisturbed runs first: a process that has once traced CUDA may stay slower.
    """
    import torch

    model = build(shape(name), dtype=dtype, device=device)
    run = generate(model, request)
    with torch.no_grad():
        run()
        run()
        found: dict[str, Any] = {"model": name, "bare_ns": [], "clean_ns": []}
        order = random.Random(0)
        for _ in range(PAIRS):
            first = order.random() < 0.5
            for clean in (first, not first):
                found["clean_ns" if clean else "bare_ns"].append(
                    _clean(model, run, device) if clean else _timed(run)
                )
        found |= _traced(model, run, device)
        found |= _everything(run)
    found["clean_ratio"] = median(
        clean / bare for clean, bare in zip(found["clean_ns"], found["bare_ns"], strict=True)
    )
    # Each traced request beside a clean one of the same process, right before it.
    pairs = zip(found["anatomy_ns"], found["late_clean_ns"], strict=True)
    found["anatomy_ratio"] = median(traced / clean for traced, clean in pairs)
    found["anatomy_ratio_to_first_clean"] = median(found["anatomy_ns"]) / median(found["clean_ns"])
    found["everything_ratio"] = found["everything_block_ns"] / median(found["clean_ns"])
    return found


def _timed(run: Any) -> int:
    begin = time.perf_counter_ns()
    run()
    return time.perf_counter_ns() - begin


def _session(name: str, device: str) -> Session:
    from llmflame.probes.device import Device

    session = discarding_session(name)
    session.device = Device(device)
    return session


def _clean(model: Any, run: Any, device: str) -> int:
    from llmflame.recording import passes

    walls: list[int] = []
    passes.clean_request(_session("clean", device), model, lambda probe: _marked(probe, run, walls), 0)
    return walls[0]


def _marked(probe: Any, run: Any, walls: list[int]) -> None:
    probe.enter("prepare")
    walls.append(_timed(run))


def _traced(model: Any, run: Any, device: str) -> dict[str, Any]:
    from llmflame.recording import passes

    session = _session("anatomy", device)
    passes.calibrate(session)
    walls: list[int] = []
    late: list[int] = []
    for number in range(TRACED):
        late.append(_clean(model, run, device))
        passes.traced_request(session, model, lambda probe: _marked(probe, run, walls), number)
    reports = {
        report.name: report.value
        for report in session.sink.reports  # type: ignore[attr-defined]
        if report.name in ("starting windows", "stopping windows", "reading")
    }
    return {"anatomy_ns": walls, "late_clean_ns": late, "tracer": reports}


def _everything(run: Any) -> dict[str, Any]:
    """torch.profiler with stacks, memory and shapes over the whole request, as its documentation has it."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    activities = [ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(ProfilerActivity.CUDA)
    begin = time.perf_counter_ns()
    with profile(activities=activities, with_stack=True, profile_memory=True, record_shapes=True):
        inner = _timed(run)
    return {"everything_ns": inner, "everything_block_ns": time.perf_counter_ns() - begin}


def main() -> int:
    """JSON to standard output."""
    name, device, dtype = sys.argv[1:4]
    tokens = int(sys.argv[4]) if len(sys.argv) > 4 else 128
    print(json.dumps(measure(name, device, dtype, Request(1, 16, tokens))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
