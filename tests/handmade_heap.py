"""A profile of a few rows whose allocations were followed: who held the heap in two phases."""

from __future__ import annotations

from pathlib import Path

from llmflame.store import metrics
from llmflame.store.rows import WindowRow
from llmflame.store.writer import ProfileWriter
from tests.analysis.small import observed, python

F, G, H = python("f", line=1), python("g", line=10), python("h", line=20)
PASSED_ON = ("python", "_call_impl", "torch/nn/modules/module.py", 5, None)
OTHER = ("other", "import system", "<frozen importlib>", None, None)
HELD, HEAP = metrics.HEAP_HELD.name, metrics.HEAP.name
LEFT, COUNT = metrics.HEAP_LEFT.name, metrics.ALLOCATIONS.name
MAPPED = metrics.MAPPED.name


def window(number: int, name: str, kind: str = "allocations") -> WindowRow:
    return WindowRow("allocations", number, kind, name, None, 0, None, 7, 0)  # type: ignore[arg-type]


def handmade_heap(path: Path) -> Path:
    """127 bytes are held at the peak of `load`, 30 at that of `decode`."""
    writer = ProfileWriter(path, version="0.0.test", mode="processes")
    writer.tree(
        window(2001, "load"),
        observed(
            {
                (F, G): {HELD: 100, HEAP: 300, COUNT: 3},
                (F, H): {HELD: 20, HEAP: 20, LEFT: 20, COUNT: 1, MAPPED: 4096},
                (H, G): {HELD: 7, HEAP: 7, LEFT: 7, COUNT: 1},
            }
        ),
    )
    decode = {(F, PASSED_ON, H): {HELD: 27}, (OTHER,): {HELD: 3, HEAP: 3}}
    writer.tree(window(2002, "decode"), observed(decode))
    writer.tree(window(1001, "decode", "traced"), observed({(F,): {metrics.WALL.name: 5}}))
    writer.finish("complete")
    return path
