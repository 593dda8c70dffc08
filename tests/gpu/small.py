"""Small programs for a CUDA device, each recorded live: what the tracer must get right about one thing.

Run as a program (`python -m tests.gpu.small graph OUTPUT`) it records one in a process in which nothing was
traced before: a session of the tracer before a graph's capture may blind it to the graph's kernels.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

import llmflame
from llmflame.store.model import Frame
from llmflame.store.profile import Profile
from llmflame.store.rows import DeviceWorkRow, WindowRow

WIDTH = 256
PAGEABLE_BYTES = 64 << 20
"""Large enough that the call returns only when nearly all of it is copied."""
RANGE = "a range of the program's"


class Layers(nn.Module):
    """A few products with something small between them."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(WIDTH, WIDTH)
        self.down = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.gelu(self.down(torch.sin(self.up(x)) * 2.0)) + x


class Program(nn.Module):
    """A root module: takes tokens, works on a row for each."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = Layers()
        self.to("cuda", torch.bfloat16)

    def rows(self, ids: torch.Tensor) -> torch.Tensor:
        return ids.reshape(-1, 1).to(torch.bfloat16).expand(-1, WIDTH)

    def forward(self, ids: torch.Tensor) -> Any:
        return self.layers(self.rows(ids))


class Copying(Program):
    """Brings a pageable tensor to the device in each step, and one number back."""

    def __init__(self) -> None:
        super().__init__()
        self.host = torch.ones(PAGEABLE_BYTES, dtype=torch.uint8)

    def forward(self, ids: torch.Tensor) -> Any:
        brought = self.host.to("cuda")
        return self.layers(self.rows(ids)).sum().item() + brought[0].item()


class Naming(Program):
    """Names a range whose kernels still run when the host has long gone on."""

    def __init__(self) -> None:
        super().__init__()
        self.large = torch.ones(8192, 8192, dtype=torch.bfloat16, device="cuda")

    def forward(self, ids: torch.Tensor) -> Any:
        with torch.profiler.record_function(RANGE):
            product = self.large @ self.large
        return self.afterwards(ids), product

    def afterwards(self, ids: torch.Tensor) -> torch.Tensor:
        made = self.rows(ids)
        for _ in range(10):
            made = self.layers(made)
        return made


class TwoStreams(Program):
    """Works on a stream of its own, too."""

    def __init__(self) -> None:
        super().__init__()
        self.side = torch.cuda.Stream()  # type: ignore[no-untyped-call]

    def forward(self, ids: torch.Tensor) -> Any:
        rows = self.rows(ids)
        self.side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.side):
            beside = self.layers(rows)
        made = self.layers(rows)
        torch.cuda.current_stream().wait_stream(self.side)
        return made + beside


class Replaying(Program):
    """Replays a graph of its layers, captured before anything is traced."""

    def __init__(self) -> None:
        super().__init__()
        self.given = torch.ones(1, WIDTH, dtype=torch.bfloat16, device="cuda")
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.no_grad(), torch.cuda.stream(side):
            for _ in range(3):
                self.layers(self.given)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.no_grad(), torch.cuda.graph(self.graph):
            self.made = self.layers(self.given)

    def forward(self, ids: torch.Tensor) -> Any:
        self.given.fill_(float(ids.shape[1]))
        self.graph.replay()
        return self.made.clone()


class Compiled(Program):
    """Its layers are compiled, the root itself is not: hooks see its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.compile(self.layers, dynamic=True)  # type: ignore[assignment]


PROGRAMS = {"graph": Replaying, "compiled": Compiled}


def record(root: Program, output: Path, *, steps: int = 10) -> Profile:
    """A prompt of four tokens and a step for each further one, in every pass."""
    prompt = torch.ones((1, 4), dtype=torch.long, device="cuda")
    with torch.no_grad(), llmflame.Recorder(root, output, repetitions=2) as recorder:
        for _ in recorder.passes():
            root(prompt)
            for _ in range(steps - 1):
                root(prompt[:, :1])
    return recorder.profile


def traced_steps(profile: Profile) -> list[WindowRow]:
    return [window for window in profile.windows if window.kind == "traced" and window.step is not None]


def works_of(profile: Profile, window: WindowRow) -> list[DeviceWorkRow]:
    return [work for work in profile.device_work if work.window == window.id]


def frames_above(profile: Profile, node: int | None) -> Iterator[Frame]:
    """The frames of a place, the innermost first."""
    while node is not None:
        yield profile.frames[profile.nodes[node].frame]
        node = profile.nodes[node].parent


def cells_of(profile: Profile, window: WindowRow, metric: str) -> Counter[int]:
    """A metric's values in a window, by node."""
    found: Counter[int] = Counter()
    for cell in profile.cells:
        if cell.window == window.id and profile.metrics[cell.metric].name == metric:
            found[cell.node] += round(cell.value)
    return found


def by_launch(works: list[DeviceWorkRow]) -> dict[int | None, list[DeviceWorkRow]]:
    found: dict[int | None, list[DeviceWorkRow]] = defaultdict(list)
    for work in works:
        found[work.launched_ns].append(work)
    return found


if __name__ == "__main__":
    record(PROGRAMS[sys.argv[1]](), Path(sys.argv[2]))
