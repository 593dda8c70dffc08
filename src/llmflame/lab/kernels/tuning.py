"""Which way of cutting a kernel's work is fastest on this device: tried on the model's own tensors."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from triton.runtime.errors import OutOfResources

Cut = TypeVar("Cut")


@dataclass(frozen=True, slots=True)
class Tiles:
    """How a GEMV is cut."""

    rows: int
    """Outputs of a program."""
    width: int
    """Columns at a time; words of eight where weights have 4 bits."""
    warps: int
    stages: int
    """Blocks that are fetched ahead."""


@dataclass(frozen=True, slots=True)
class Span:
    """How the columns of a cache are cut."""

    columns: int
    """At a time."""
    warps: int


_WIDE = (
    Tiles(4, 512, 4, 1), Tiles(4, 512, 4, 3), Tiles(2, 512, 2, 3), Tiles(2, 1024, 4, 1), Tiles(4, 1024, 4, 1),
    Tiles(16, 256, 8, 1), Tiles(1, 2048, 4, 1), Tiles(2, 2048, 4, 1), Tiles(4, 2048, 4, 1),
    Tiles(8, 2048, 8, 1), Tiles(4, 2048, 8, 1), Tiles(1, 4096, 8, 1), Tiles(2, 4096, 8, 1),
    Tiles(4, 4096, 8, 1), Tiles(1, 8192, 8, 1),
)  # fmt: skip
_OF_8_BITS = (
    Tiles(4, 1024, 4, 1), Tiles(2, 512, 2, 3), Tiles(16, 256, 8, 1), Tiles(2, 2048, 4, 1),
    Tiles(4, 2048, 4, 1), Tiles(8, 2048, 4, 1), Tiles(8, 2048, 8, 1), Tiles(2, 4096, 8, 1),
    Tiles(4, 4096, 8, 1), Tiles(2, 4096, 4, 1), Tiles(8, 1024, 4, 1), Tiles(4, 2048, 4, 2),
)  # fmt: skip
_OF_4_BITS = (
    Tiles(4, 256, 2, 1), Tiles(8, 256, 2, 1), Tiles(16, 256, 2, 1), Tiles(2, 256, 2, 1),
    Tiles(4, 128, 1, 1), Tiles(8, 128, 1, 1), Tiles(2, 512, 4, 1), Tiles(4, 512, 4, 1),
    Tiles(8, 512, 4, 1), Tiles(4, 256, 4, 1), Tiles(2, 1024, 8, 1), Tiles(4, 256, 2, 2),
)  # fmt: skip
SPANS = (Span(16, 4), Span(32, 4), Span(64, 4), Span(64, 8), Span(128, 8), Span(128, 16))
_REPLAYS = 5


def candidates(bits: int) -> tuple[Tiles, ...]:
    """What may be fast for weights of so many bits; widths are in words of eight for 4 bits."""
    return {4: _OF_4_BITS, 8: _OF_8_BITS}.get(bits, _WIDE)


def best(run: Callable[[Cut], None], cuts: tuple[Cut, ...]) -> Cut:
    """The one with which `run` takes the device the least time, as a graph, without launches.

    One that needs more shared memory than a multiprocessor has is none.
    """
    times: dict[Cut, float] = {}
    for cut in cuts:
        with contextlib.suppress(OutOfResources):
            times[cut] = graph_ns(functools.partial(run, cut))
    return min(times, key=lambda cut: times[cut])


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
