"""Hand-made profiles of memory: small numbers that add up, on a host and on a device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from llmflame.store import categories as c
from llmflame.store.observed import ObservedTree
from llmflame.store.rows import (
    GaugeRow,
    HoldingRow,
    MomentRow,
    PassRow,
    PredictionRow,
    ReadingRow,
    Row,
    Space,
    SpanRow,
    WindowRow,
)
from llmflame.store.writer import ProfileWriter, Scalar
from tests.handmade import FACTS, MIB, MS, SUBJECT, module, python, span

Held = Mapping[tuple[str, str], int]
KIB = 1 << 10
STEPS = 5
"""Decode steps of the counted request."""
STEP_BYTES = 64 * KIB
"""That the cache grows by in a step."""
LEFT_BYTES = 1000
"""That a traced decode step leaves behind."""
PASSED_ON = python("_call_impl", "torch/nn/modules/module.py", 1782)
FORWARD = python("forward", "transformers/models/tiny/modeling_tiny.py", 40)
LEAKS = python("remember", "app/history.py", 7)
WEIGHTS: Held = {
    (c.WEIGHTS, "model.embed_tokens"): 20 * MIB,
    (c.WEIGHTS, "model.layers.0.mlp"): 30 * MIB,
    (c.WEIGHTS, "model.layers.1.mlp"): 30 * MIB,
}
RUNTIME: Held = {
    (c.RUNTIME, "Python's small objects"): 10 * MIB,
    (c.RUNTIME, "native heap and larger objects"): 14 * MIB,
    (c.RUNTIME, c.LIBRARIES): 16 * MIB,
    (c.SLACK, "the heap's free chunks"): 8 * MIB,
}
AT_LOAD: Held = {**WEIGHTS, **RUNTIME, (c.CHECKPOINT, "read, but not held by a parameter"): 4 * MIB}
CACHE: Held = {
    (c.KV_CACHE, "model.layers.0.self_attn"): 3 * MIB,
    (c.KV_CACHE, "model.layers.1.self_attn"): 3 * MIB,
}
"""At the last decode step."""
STEP_PEAK: Held = {
    (c.ACTIVATIONS, "model.layers.1"): 1 * MIB,
    (c.TEMPORARIES, "model.layers.1.mlp"): 2 * MIB,
    (c.KV_CACHE, "model.layers.0.self_attn"): 2 * MIB,
    (c.KV_CACHE, ""): -1 * MIB,
}
"""Beyond what was there when the window of step 1 opened."""
PEAKS = {"load": 160 * MIB, "warmup": 150 * MIB, "prefill": 134 * MIB, "decode": 140 * MIB}


def moment(
    number: int,
    pass_name: str,
    phase: str,
    when: str,
    held: Mapping[Space, Held],
    readings: Mapping[str, int] | None = None,
    *,
    step: int | None = None,
    at_ms: float = 0.0,
    window: int | None = None,
) -> Iterable[Row]:
    """A moment with its holdings and readings."""
    yield MomentRow(pass_name, number, phase, step, when, round(at_ms * MS), window)  # type: ignore[arg-type]
    for space, holders in held.items():
        for (category, owner), size in holders.items():
            yield HoldingRow(pass_name, number, space, category, owner, size, 1)
    for name, value in (readings or {}).items():
        yield ReadingRow(pass_name, number, name, value)


def gauge(pass_name: str, name: str, *readings: tuple[float, float]) -> Iterable[GaugeRow]:
    """Readings as (milliseconds, value)."""
    for at_ms, value in readings:
        yield GaugeRow(pass_name, name, round(at_ms * MS), float(value))


def handmade_memory(
    path: Path, *, device: bool = False, owner: str = "model.layers.1.mlp", failed: bool = False
) -> Path:
    """Write the profile: on a CPU, or with the model on a GPU. `owner` holds one more weight; `failed`: a
    census of memory that ran out."""
    writer = ProfileWriter(path, version="0.0.test", mode="processes")
    writer.facts(FACTS)
    subject: dict[str, Scalar] = {**SUBJECT, "device": "cuda:0" if device else "cpu"}
    writer.subject({**subject, **(FAILURE if failed else {})})
    writer.rows(_clean(device))
    writer.rows([PassRow("memory", "complete", None, 4242, 3_000 * MS, 200 * MS, 200 * MIB)])
    writer.rows(_steps(device))
    extra: Held = {(c.WEIGHTS, owner): 2 * KIB} if owner != "model.layers.1.mlp" else {}
    writer.rows(_censuses(device, extra))
    writer.rows([PassRow("anatomy", "complete", None, 4243, 4_000 * MS, 2_000 * MS, 210 * MIB)])
    writer.tree(*_window(device))
    writer.rows(moment(1, "anatomy", "decode", "peak", {_space(device): STEP_PEAK}, step=1, window=1001))
    writer.rows(_predictions(_space(device)))
    if failed:
        space = _space(device)
        held = {space: {**WEIGHTS, **CACHE, (c.TENSORS, "float32 [3, 4]"): 5 * MIB}}
        readings = {"anonymous_bytes": 124 * MIB, "device_allocated_bytes": 91 * MIB}
        writer.rows(moment(9, "clean", "decode", "failure", held, readings, step=3, at_ms=1_900))
    writer.finish("failed" if failed else "complete", "OutOfMemoryError" if failed else None)
    return path


FAILURE: dict[str, Scalar] = {
    "out_of_memory_requested_bytes": 64 * MIB,
    "out_of_memory_stack": "generate  app/run.py:3\nforward  models/tiny.py:40\naten::cat",
    "out_of_memory_limit_bytes": 128 * MIB,
    "out_of_memory_limit_name": "the group's memory.max",
    "out_of_memory_fits": "27 MiB more were needed than the 37 MiB that were free: at most batch size 2, "
    "or 4,096 tokens at batch size 4. `llmflame plan` says what fits.",
}


def _space(device: bool) -> Space:
    return "device" if device else "host"


def _clean(device: bool) -> Iterable[Row]:
    yield PassRow("clean", "complete", None, 4242, 0, 3_000 * MS, 200 * MIB)
    for number, (name, start, wall) in enumerate(
        (("import", 0, 500), ("load", 500, 500), ("warmup", 1_000, 300)), start=1
    ):
        yield _peaked(span(number, name, wall, start_ms=start), device)
    at, where = 1_400.0, {"repetition": 0, "parent": 10}
    yield span(10, "request", 250, start_ms=at, repetition=0)
    for number, (name, wall) in enumerate((("prefill", 50), ("decode", 200)), start=11):
        yield _peaked(span(number, name, wall, start_ms=at, **where), device)  # type: ignore[arg-type]
        at += wall
    yield from gauge("clean", "anonymous_bytes", (510, 60 * MIB), (700, 130 * MIB), (900, 124 * MIB))
    yield from gauge("clean", "file_bytes", (510, 16 * MIB), (700, 30 * MIB), (900, 20 * MIB))
    yield from gauge("clean", "heap_floor_bytes", (1_650, 100 * MIB), (1_900, 100 * MIB), (2_200, 101 * MIB))
    if device:
        yield from gauge("clean", "device_used_bytes", (505, 512 * MIB), (900, 1_000 * MIB))


def _peaked(row: SpanRow, device: bool) -> SpanRow:
    on_device = {"warmup": 95 * MIB, "prefill": 90 * MIB, "decode": 92 * MIB}.get(row.name)
    peak = PEAKS.get(row.name)
    if peak is not None and device:
        peak -= sum(WEIGHTS.values())
    return replace(row, peak_rss_bytes=peak, device_peak_bytes=on_device if device else None)


def _steps(device: bool) -> Iterable[Row]:
    """Steps of 10 ms from 3000 ms on; the cache lies where the model is."""
    yield span(20, "request", 60, start_ms=3_000, repetition=0, pass_name="memory", treatment="counted")
    for step in range(STEPS + 1):
        start = 3_000 + 10 * step
        row = span(
            21 + step, "step", 10, start_ms=start, parent=20, repetition=0, step=step, pass_name="memory",
            treatment="counted",
        )  # fmt: skip
        in_use = 80 * MIB + step * (STEP_BYTES + 512)
        peak = in_use + MIB + step * STEP_BYTES
        yield replace(row, device_peak_bytes=peak if device else None)
        cached = step * STEP_BYTES
        yield from gauge("memory", "kv_cache_bytes", (start, cached))
        grown = step * (100 if device else STEP_BYTES + 100)
        yield from gauge("memory", "heap_bytes", (start, 100 * MIB + grown))
        if device:
            yield from gauge("memory", "device_allocated_bytes", (start, in_use))
            yield from gauge("memory", "device_reserved_bytes", (start, in_use + 4 * MIB + step * 2 * KIB))


def _censuses(device: bool, extra: Held) -> Iterable[Row]:
    host = {"anonymous_bytes": 124 * MIB, "file_bytes": 20 * MIB, "resident_bytes": 144 * MIB}
    readings = {
        **host, "device_allocated_bytes": 84 * MIB, "device_reserved_bytes": 96 * MIB,
        "device_used_bytes": 1_000 * MIB,
    } if device else host  # fmt: skip

    def at(host_only: Held, model: Held) -> dict[Space, Held]:
        return {"host": host_only, "device": model} if device else {"host": {**host_only, **model}}

    model = {**WEIGHTS, **extra}
    load = {k: size for k, size in AT_LOAD.items() if k not in WEIGHTS}
    yield from moment(1, "clean", "load", "end", at(load, model), readings, at_ms=1_000)
    later = {**host, "file_bytes": 16 * MIB} if not device else {**readings, "file_bytes": 16 * MIB}
    for number, (phase, step, cache) in enumerate(
        (("request", None, {}), ("prefill", 0, {}), ("decode", 1, {}), ("decode", STEPS, CACHE)), start=1
    ):
        held = at(RUNTIME, {**model, **cache})
        yield from moment(
            number, "memory", phase, "begin", held, later, step=step, at_ms=3_000 + 10 * (step or 0)
        )


def _window(device: bool) -> tuple[WindowRow, ObservedTree]:
    """The frames that took what `STEP_PEAK` tells of activations and temporaries, and what is left."""
    held, left = ("device_held_bytes", "device_left_bytes") if device else ("held_bytes", "left_bytes")
    tree = ObservedTree()
    root = [module("TinyForCausalLM", ""), PASSED_ON, FORWARD]
    layer = tree.descend(0, [*root, module("TinyLayer", "model.layers.1")])
    mlp = tree.descend(layer, [module("TinyMLP", "model.layers.1.mlp"), ("op", "aten::mm", None, None, None)])
    tree.add(tree.child(layer, ("memory", c.ACTIVATIONS, None, None, None)), held, 1 * MIB)
    tree.add(tree.child(mlp, ("memory", c.TEMPORARIES, None, None, None)), held, 2 * MIB)
    tree.add(tree.child(layer, LEAKS), left, LEFT_BYTES)
    if device:
        tree.add(tree.child(layer, LEAKS), "pinned_bytes", 64 * KIB)
    return WindowRow("anatomy", 1001, "traced", "decode", 1, 10 * MS, None, 50, 0), tree


def _predictions(space: Space) -> Iterable[Row]:
    for category, size, formula in (
        (c.WEIGHTS, 80 * MIB, "parameters times their dtype's size"),
        (c.KV_CACHE, 7 * MIB, "2 x layers x heads x size x tokens"),
        (c.ACTIVATIONS, 1 * MIB, "of one layer"),
        (c.TEMPORARIES, 1 * MIB, "of one layer"),
        (c.CONTEXT if space == "device" else c.RUNTIME, 40 * MIB, "as measured on this machine"),
    ):
        yield PredictionRow("decode", space, category, size, formula)
