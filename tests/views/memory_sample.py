"""A made-up run with memory: a load, two requests, and on a GPU a device whose allocator keeps more than it
uses."""

from __future__ import annotations

from dataclasses import replace

from llmflame.store import categories
from llmflame.store.observed import ObservedTree
from llmflame.store.profile import Profile
from llmflame.store.rows import (
    GaugeRow,
    HoldingRow,
    MomentRow,
    PredictionRow,
    ReadingRow,
    Row,
    Space,
    SpanRow,
)
from tests.analysis.small import observed, op, python, request, span, stored, window

MIB = 1 << 20
MS = 1_000_000
PHASES = {"tokenize": 5 * MS, "prefill": 20 * MS, "decode": 100 * MS}
READINGS = 4_000
STRIDE_NS = 100_000
HIGHEST = 2_345
"""The one reading above all others."""


def memory_profile(owner: str = "model.embed", *, device: bool = False, predicted: bool = True) -> Profile:
    """Weights of 300 MiB held by one module, a traced decode step, and readings each 0.1 ms."""
    spaces: tuple[Space, ...] = ("host", "device") if device else ("host",)
    rows: list[Row] = [*_spans(device), *_gauges(device)]
    for number, (pass_name, phase, when) in enumerate(
        [("clean", "load", "end"), ("memory", "prefill", "begin"), ("memory", "decode", "begin")]
    ):
        rows.append(
            MomentRow(pass_name, number, phase, None, "end" if when == "end" else "begin", 160 * MS, None)
        )
        for space in spaces:
            rows.append(HoldingRow(pass_name, number, space, categories.WEIGHTS, owner, 300 * MIB, 1))
            rows.append(HoldingRow(pass_name, number, space, categories.KV_CACHE, "", 10 * MIB, 2))
        rows.append(ReadingRow(pass_name, number, "anonymous_bytes", 400 * MIB))
        if device:
            rows.append(ReadingRow(pass_name, number, "device_used_bytes", 800 * MIB))
            rows.append(ReadingRow(pass_name, number, "device_reserved_bytes", 400 * MIB))
    rows.append(MomentRow("anatomy", 9, "decode", 3, "peak", 300 * MS, 7))
    for space in spaces:
        rows.append(HoldingRow("anatomy", 9, space, categories.ACTIVATIONS, "lm_head", 6 * MIB, 2))
        if predicted:
            rows.append(PredictionRow("decode", space, categories.WEIGHTS, 290 * MIB, "290 Mi × 1 B"))
    trees = [(window(6, "decode", 10 * MS, 1), _step(2)), (window(7, "decode", 10 * MS, 3), _step(4))]
    return stored(rows, trees, subject={"model": "demo"})


def _spans(device: bool) -> list[SpanRow]:
    spans = [span("load", 150 * MS, 1)]
    for repetition in range(2):
        first, begin = 100 * (repetition + 1), (150 + 130 * repetition) * MS
        spans += request(PHASES, repetition=repetition, first=first, start_ns=begin, gap_ns=5 * MS)
    found = []
    for number, row in enumerate(spans):
        peak = (500 + number) * MIB
        held, most = ((300 + number) * MIB, 360 * MIB) if device else (None, None)
        found.append(replace(row, peak_rss_bytes=peak, device_bytes=held, device_peak_bytes=most))
    return found


def _gauges(device: bool) -> list[GaugeRow]:
    rows = []
    for number in range(READINGS):
        time = number * STRIDE_NS
        anonymous = min(number, 1_500) * 4096 * 64 + (50 * MIB if number == HIGHEST else 0)
        rows.append(GaugeRow("clean", "anonymous_bytes", time, anonymous))
        if number % 10 == 0:
            rows.append(GaugeRow("clean", "file_bytes", time, 80 * MIB - number * 4096))
        if device:
            rows.append(GaugeRow("clean", "device_used_bytes", time, 800 * MIB if number else 0))
    for time in (278 * MS, 407 * MS) if device else ():
        rows.append(GaugeRow("clean", "device_allocated_bytes", time, 310 * MIB))
        rows.append(GaugeRow("clean", "device_reserved_bytes", time, 400 * MIB))
    return rows


def _step(size: int) -> ObservedTree:
    path = (python("generate"), op("aten::mm"), ("memory", categories.ACTIVATIONS, None, None, None))
    return observed({path: {"held_bytes": size * MIB, "device_held_bytes": size * MIB}})
