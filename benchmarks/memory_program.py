"""The program that memory profilers are put around: import, load, one request, in a process of its own.

    python benchmarks/memory_program.py [--under TOOL --output FILE] [--device cuda]

Tools that are started by a command of their own run it as it is; those that are used from inside a program
are named by `--under`.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

FRAMES = 25
"""Of each block's stack that tracemalloc keeps: what its documentation starts with."""
Under = Callable[[Path], contextlib.AbstractContextManager[None]]


@contextlib.contextmanager
def _tracemalloc(output: Path) -> Iterator[None]:
    """From before the imports on."""
    tracemalloc.start(FRAMES)
    yield
    tracemalloc.take_snapshot().dump(str(output))


@contextlib.contextmanager
def _torch_profiler(output: Path, *, stacks: bool) -> Iterator[None]:
    """From the load on: torch must be there."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    activities = [ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities, profile_memory=True, with_stack=stacks) as profiler:
        yield
    profiler.export_chrome_trace(str(output))


@contextlib.contextmanager
def _cuda_history(output: Path, *, stacks: str | None) -> Iterator[None]:
    """Every block of CUDA's caching allocator: Python's stacks, also C++'s (`all`), or none."""
    import torch

    memory: Any = torch.cuda.memory
    context: Any = "all" if stacks is not None else None
    options: dict[str, Any] = {"stacks": stacks} if stacks is not None else {}
    memory._record_memory_history(enabled="all", context=context, **options)
    yield
    memory._dump_snapshot(str(output))
    memory._record_memory_history(enabled=None)


UNDER: dict[str, Under] = {
    "tracemalloc": _tracemalloc,
    "torch.profiler": partial(_torch_profiler, stacks=False),
    "torch.profiler with stacks": partial(_torch_profiler, stacks=True),
    "CUDA history, no stacks": partial(_cuda_history, stacks=None),
    "CUDA history, Python's stacks": partial(_cuda_history, stacks="python"),
    "CUDA history, all stacks": partial(_cuda_history, stacks="all"),
}


def run(device: str) -> None:
    """Import, load, and one request."""
    from benchmarks import workload

    workload.load(replace(workload.WORKLOAD, device=device)).bare()


def main() -> int:
    """Run it under a tool, or under none."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--under", choices=UNDER)
    parser.add_argument("--output", type=Path, default=Path("output"))
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    under = UNDER[options.under](options.output) if options.under else contextlib.nullcontext()
    with under:
        run(options.device)
    return 0


if __name__ == "__main__":
    sys.exit(main())
