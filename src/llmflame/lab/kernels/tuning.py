"""Which tiles of a GEMV are fastest on this device: tried on the model's own weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Tiles:
    """How a GEMV is cut."""

    rows: int
    """Outputs of a program."""
    width: int
    """Columns at a time."""
    warps: int
    stages: int
    """Blocks that are fetched ahead."""


DEFAULT = Tiles(4, 512, 4, 1)
CANDIDATES = (
    DEFAULT,
    Tiles(1, 2048, 4, 1),
    Tiles(1, 4096, 8, 1),
    Tiles(2, 1024, 4, 1),
    Tiles(2, 2048, 8, 1),
    Tiles(2, 512, 2, 3),
    Tiles(4, 1024, 4, 1),
    Tiles(4, 1024, 8, 2),
    Tiles(4, 512, 4, 3),
    Tiles(8, 256, 4, 2),
    Tiles(8, 512, 8, 1),
    Tiles(16, 256, 8, 1),
)
_REPLAYS = 5


def best_tiles(run: Callable[[Tiles], None]) -> Tiles:
    """The candidate with which `run` takes the device the least time, as a graph, without launches."""
    return min(CANDIDATES, key=lambda tiles: graph_ns(lambda: run(tiles)))


def graph_ns(run: Callable[[], None]) -> float:
    """Nanoseconds of one replay: the least of a few."""
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    graph.replay()
    times: list[float] = []
    for _ in range(_REPLAYS):
        begin = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        end = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) * 1e6)
    return min(times)
