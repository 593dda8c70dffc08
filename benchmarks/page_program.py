"""A profile of any size, made up: a model of many layers whose decode steps were traced."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

from llmflame.store.observed import FrameKey, ObservedTree
from llmflame.store.rows import PassRow, Row, SpanRow, WindowRow
from llmflame.store.writer import ProfileWriter

MS = 1_000_000
STEPS = 16
WINDOWS = (1, 8)
LAYER_NODES = 420
DEPTH = 24
FRAMES = 1_500
STEP_NS = 40 * MS


def write(path: Path, nodes: int, seed: int = 1) -> None:
    """A profile whose run has about so many nodes: every layer has the same shape, as in a real model."""
    writer = ProfileWriter(path, version="benchmark", mode="processes")
    writer.subject({"model": f"made up, {nodes:,} nodes", "device": "cpu", "new_tokens": STEPS + 1})
    writer.rows([PassRow("clean", "complete", None, 1, 0, None, None), *_spans()])
    shape = _shape(random.Random(seed))
    layers = max(1, nodes // (LAYER_NODES + 1))
    for number, step in enumerate(WINDOWS):
        tree = _window(layers, shape, random.Random(seed + step))
        row = WindowRow("anatomy", 1001 + number, "traced", "decode", step, 2 * STEP_NS, None, None, 0)
        writer.tree(row, tree)
    writer.finish("complete")


def _spans() -> Iterable[Row]:
    times = {"prefill": 2 * STEP_NS, "decode": STEPS * STEP_NS}
    at, number, rows = 0, 101, [_span("request", 100, 0, sum(times.values()))]
    for name, wall_ns in times.items():
        parent = number
        rows.append(_span(name, number, at, wall_ns, parent=100))
        number += 1
        if name == "decode":
            for step in range(1, STEPS + 1):
                begin = at + (step - 1) * STEP_NS
                rows.append(_span("step", number, begin, STEP_NS, parent=parent, step=step))
                number += 1
        at += wall_ns
    return rows


def _span(
    name: str, number: int, start_ns: int, wall_ns: int, *, parent: int | None = None, step: int | None = None
) -> SpanRow:
    known = dict.fromkeys(SpanRow.__dataclass_fields__)
    del known["table"]
    return SpanRow(
        **{
            **known,
            "pass_name": "clean",
            "id": number,
            "parent": parent,
            "name": name,
            "repetition": 0,
            "step": step,
            "treatment": "clean",
            "start_ns": start_ns,
            "wall_ns": wall_ns,
        }  # type: ignore[arg-type]
    )


def _shape(rng: random.Random) -> list[tuple[int, FrameKey]]:
    """Of one layer: each node's parent within it (-1: the layer itself) and its frame."""
    found: list[tuple[int, FrameKey]] = []
    path: list[int] = []
    while len(found) < LAYER_NODES:
        while path and (len(path) >= DEPTH or rng.random() < 0.5):
            path.pop()
        number = rng.randrange(FRAMES)
        kind = ("python", "op", "builtin")[number % 3]
        file = f"package_{number % 37}/module_{number % 211}.py" if kind == "python" else None
        frame = (kind, f"frame_{number}", file, number if file else None, None)
        found.append((path[-1] if path else -1, frame))
        path.append(len(found) - 1)
    return found


def _window(layers: int, shape: list[tuple[int, FrameKey]], rng: random.Random) -> ObservedTree:
    tree = ObservedTree()
    model = tree.descend(0, [("module", "Model", "model.py", 1, "")])
    for layer in range(layers):
        top = tree.child(model, ("module", "Layer", "model.py", 40, f"layers.{layer}"))
        places: list[int] = []
        for parent, frame in shape:
            node = tree.child(places[parent] if parent >= 0 else top, frame)
            places.append(node)
            tree.add(node, "wall_ns", rng.randrange(1_000, 40_000))
            tree.add(node, "calls", 1.0)
            if rng.random() < 0.2:
                tree.add(node, "allocated_bytes", float(rng.randrange(64, 1 << 20)))
    return tree
