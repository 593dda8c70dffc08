"""A small but complete profile with known numbers, made row by row: no torch, no model, no clock."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from llmflame.store.model import Fact
from llmflame.store.observed import FrameKey, ObservedThread, ObservedTree
from llmflame.store.rows import (
    AnchorRow,
    GaugeRow,
    PassRow,
    ProbeReportRow,
    Row,
    SpanRow,
    Status,
    Treatment,
    WindowRow,
)
from llmflame.store.writer import ProfileWriter, Scalar

MS = 1_000_000
MIB = 1 << 20
STEPS = 4
"""Decode steps of each repetition; step `s` of repetition `r` takes 10 + s + 2 r ms."""
REPETITIONS = 2
LAYERS = 2
PHASE_MS = {
    "startup": 20.0,
    "import": 1000.0,
    "load": 500.0,
    "warmup": 300.0,
    "tokenize": 1.0,
    "prepare": 2.0,
    "prefill": 50.0,
    "decode": 50.0,
    "detokenize": 0.5,
}
"""Of the first repetition, which is the representative one."""
GAP_MS = 0.5
RUN_MS = sum(PHASE_MS.values()) + GAP_MS
FACTS = (
    Fact("cpu", "model", "Hand-made CPU", None, "here"),
    Fact("cpu", "physical cores", 4, "cores", "here"),
    Fact("memory", "RAM total", 16 << 30, "bytes", "here"),
    Fact("system", "OS", "Test OS 1", None, "here"),
    Fact("software", "python", "3.12.1", None, "here"),
    Fact("software", "torch", "2.9.0", None, "here"),
    Fact("software", "transformers", "5.1.0", None, "here"),
    Fact("gpu", "GPUs", 0, "GPUs", "here"),
    Fact("gpu", "driver", None, None, "nvml: not found"),
)
SUBJECT: dict[str, Scalar] = {
    "model": "Tiny-2L",
    "architecture": "TinyForCausalLM",
    "parameters": 1_234_567,
    "dtype": "float32",
    "device": "cpu",
    "prompt_tokens": 7,
    "new_tokens": STEPS + 1,
    "batch_size": 1,
}


def handmade(
    path: Path,
    *,
    status: Status = "complete",
    reason: str | None = None,
    until: str = "anatomy",
    name: str = "forward",
    model: str = "Tiny-2L",
    slowdown: float = 1.2,
    slices: bool = False,
    threads: bool = False,
) -> Path:
    """Write the profile. `until` is what the run got to: `nothing`, `load`, `clean` or `anatomy`.

    `name` is that of a function in every layer, `model` the model's: both are data from outside. A traced
    decode step takes `slowdown` times as long as a clean one. With `slices` it is kept in which order the
    traced frames ran, which older releases kept only where a device worked; with `threads` what threads did.
    """
    writer = ProfileWriter(path, version="0.0.test", mode="processes")
    writer.facts(FACTS)
    writer.subject({**SUBJECT, "model": model})
    if until != "nothing":
        writer.rows(_clean_pass(until, status, reason))
        for window in (import_window(), load_window()):
            writer.tree(*(with_threads(*window, name) if threads else window))
    if until == "anatomy":
        writer.rows(_anatomy_pass())
        for window in (_load_allocations(), *(_traced_step(step, name, slowdown) for step in (0, 1))):
            window = with_threads(*window, name) if threads and window[0].step == 1 else window
            writer.tree(*(_in_order(*window) if slices else window))
    writer.finish(status, reason)
    return path


def span(
    number: int,
    name: str,
    wall_ms: float,
    *,
    start_ms: float = 0.0,
    parent: int | None = None,
    repetition: int | None = None,
    step: int | None = None,
    pass_name: str = "clean",
    treatment: Treatment = "clean",
    cpu_share: float = 0.75,
) -> SpanRow:
    """A span whose thread was on a CPU for `cpu_share`, and in the run queue for a tenth."""
    wall = round(wall_ms * MS)
    return SpanRow(
        pass_name=pass_name,
        id=number,
        parent=parent,
        name=name,
        repetition=repetition,
        step=step,
        treatment=treatment,
        start_ns=round(start_ms * MS),
        wall_ns=wall,
        tokens=7 if step == 0 else 1 if step else None,
        kv_tokens=None if step is None else 0 if step == 0 else 6 + step,
        thread_cpu_ns=round(wall * cpu_share),
        process_cpu_ns=wall,
        run_queue_ns=wall // 10,
        disk_wait_ns=wall // 20 if name in ("import", "load") else None,
        minor_faults=number * 10,
        major_faults=1 if name == "load" else 0,
        read_bytes=3 * MIB if name == "load" else 0,
        rss_bytes=(100 + number) * MIB,
        rss_file_bytes=50 * MIB,
        peak_rss_bytes=(120 + number) * MIB if step is None else None,
        device_bytes=None,
        device_peak_bytes=None,
    )


def _clean_pass(until: str, status: Status, reason: str | None) -> Iterable[Row]:
    ended: Status = status if until in ("load", "clean") else "complete"
    yield PassRow("clean", ended, reason if ended != "complete" else None, 4242, 0, 3_000 * MS, 200 * MIB)
    yield span(1, "startup", 20)
    yield span(2, "import", 1000, start_ms=20)
    yield span(3, "torch", 400, start_ms=20, parent=2)
    yield span(4, "transformers", 600, start_ms=420, parent=2)
    yield span(5, "load", 500, start_ms=1020)
    yield span(6, "weights", 450, start_ms=1030, parent=5)
    yield ProbeReportRow("clean", "sampler", "cost", 15.0 * MS, "ns")
    yield ProbeReportRow("clean", "counters", "edge cost", 12_000.0, "ns")
    yield GaugeRow("clean", "rss_bytes", 5 * MS, 100.0 * MIB)
    if until == "load":
        return
    yield span(7, "warmup", 300, start_ms=1520)
    for repetition in range(REPETITIONS):
        yield from _request(repetition)


def _request(repetition: int) -> Iterable[Row]:
    base = 10 + 20 * repetition
    start = 1820.0 + 200 * repetition
    steps = [10.0 + step + 2 * repetition for step in range(1, STEPS + 1)]
    where = {"repetition": repetition, "parent": base}
    whole = 1 + 2 + 50 + sum(steps) + 0.5 + GAP_MS
    yield span(base, "request", whole, start_ms=start, repetition=repetition)
    yield span(base + 1, "tokenize", 1, start_ms=start, **where)  # type: ignore[arg-type]
    yield span(base + 2, "prepare", 2, start_ms=start + 1, **where)  # type: ignore[arg-type]
    yield span(base + 3, "prefill", 50, start_ms=start + 3, **where)  # type: ignore[arg-type]
    yield span(base + 4, "step", 50, start_ms=start + 3, parent=base + 3, repetition=repetition, step=0)
    at = start + 53 + GAP_MS
    yield span(base + 5, "decode", sum(steps), start_ms=at, **where)  # type: ignore[arg-type]
    for number, wall in enumerate(steps, start=1):
        yield span(
            base + 5 + number, "step", wall, start_ms=at, parent=base + 5, repetition=repetition, step=number
        )
        at += wall
    yield span(base + 10, "detokenize", 0.5, start_ms=at, **where)  # type: ignore[arg-type]


def _anatomy_pass() -> Iterable[Row]:
    yield PassRow("anatomy", "complete", None, 4243, 3_000 * MS, 2_000 * MS, 210 * MIB)
    for step, treatment in ((0, "traced"), (1, "traced"), (2, "anchored"), (3, "anchored")):
        yield span(
            100 + step,
            "step",
            60 if step == 0 else 13,
            repetition=0,
            step=step,
            pass_name="anatomy",
            treatment=treatment,  # type: ignore[arg-type]
        )
    for step in (2, 3):
        for layer in range(LAYERS):
            yield AnchorRow("anatomy", 0, step, f"model.layers.{layer}", 1, 0, 4 * MS, 3 * MS)
        yield AnchorRow("anatomy", 0, step, "", 1, LAYERS, 3 * MS, 3 * MS)
    yield ProbeReportRow("anatomy", "tracer", "generation wall", 115.0 * MS, "ns")
    yield ProbeReportRow("anatomy", "anchors", "hook cost", 5_000.0, "ns")
    for kind in ("python", "builtin", "op"):
        yield ProbeReportRow("anatomy", "tracer", f"{kind} inside", 100.0, "ns")
        yield ProbeReportRow("anatomy", "tracer", f"{kind} outside", 200.0, "ns")


def python(name: str, file: str, line: int = 1) -> FrameKey:
    """A Python function."""
    return ("python", name, file, line, None)


def module(name: str, path: str) -> FrameKey:
    """An `nn.Module` instance."""
    return ("module", name, None, None, path)


def import_window() -> tuple[WindowRow, ObservedTree]:
    tree = ObservedTree()
    torch = tree.child(0, python("<module>", "torch/__init__.py"))
    other = tree.child(0, python("<module>", "transformers/__init__.py"))
    below = tree.child(other, python("create_import_structure", "transformers/utils/import_utils.py", 31))
    for node, wall in ((torch, 400), (other, 150), (below, 450)):
        tree.add(node, "wall_ns", wall * MS)
        tree.add(node, "samples", wall / 20)
    return WindowRow("clean", 1, "sampled", "import", None, 1000 * MS, 50, None, 0), tree


def load_window() -> tuple[WindowRow, ObservedTree]:
    tree = ObservedTree()
    load = tree.child(0, python("from_pretrained", "transformers/modeling_utils.py", 38))
    wait = tree.child(load, python("wait", "threading.py", 295))
    workers = tree.child(load, ("thread", "worker threads", None, None, None))
    copy = tree.child(workers, python("materialize", "transformers/core_model_loading.py", 12))
    tree.add(load, "wall_ns", 200 * MS)
    tree.add(wait, "wall_ns", 300 * MS)
    tree.add(copy, "overlapped_ns", 280 * MS)
    return WindowRow("clean", 2, "sampled", "load", None, 500 * MS, 25, None, 0), tree


def _load_allocations() -> tuple[WindowRow, ObservedTree]:
    tree = ObservedTree()
    load = tree.child(0, python("from_pretrained", "transformers/modeling_utils.py", 38))
    op = tree.child(load, ("op", "aten::empty", None, None, None))
    tree.add(op, "wall_ns", 5 * MS)
    tree.add(op, "calls", 10)
    tree.add(op, "allocated_bytes", 40 * MIB)
    tree.add(op, "allocations", 10)
    return WindowRow("anatomy", 1001, "traced", "load", None, 520 * MS, None, 100, 0), tree


def _in_order(window: WindowRow, tree: ObservedTree) -> tuple[WindowRow, ObservedTree]:
    """Each frame once, in the order of its first call: a parent's own time before its children's."""
    now, walls = 0, tree.cells["wall_ns"]
    for node in sorted(walls):
        tree.slices.append((node, now))
        now += round(walls[node])
    return window, tree


def with_threads(window: WindowRow, tree: ObservedTree, name: str) -> tuple[WindowRow, ObservedTree]:
    """Import: the main thread. Load: it waits for two workers. Decode: a thread called `name` looks about."""
    if window.span_name == "import":
        stays = [(1, 0, 400 * MS), (2, 400 * MS, 550 * MS), (3, 550 * MS, 1000 * MS)]
        tree.threads = [ObservedThread("MainThread", 4242, True, stays)]
    elif window.span_name == "load":
        load, wait, _, copy = 1, 2, 3, 4
        tree.threads = [
            ObservedThread("MainThread", 4242, True, [(load, 0, 200 * MS), (wait, 200 * MS, 500 * MS)]),
            ObservedThread("pool_0", 4250, False, [(copy, 200 * MS, 280 * MS), (copy, 300 * MS, 400 * MS)]),
            ObservedThread("pool_1", 4251, False, [(copy, 220 * MS, 320 * MS)]),
        ]
    else:
        other = tree.child(0, ("thread", "other threads", None, None, None))
        run = tree.child(other, python("run", "tqdm/_monitor.py", 60))
        wait = tree.child(run, python("wait", "threading.py", 288))
        tree.add(run, "overlapped_ns", 2 * MS)
        tree.add(wait, "overlapped_ns", window.wall_ns - 4 * MS)
        stays = [(wait, 0, MS), (run, MS, 3 * MS), (wait, 5 * MS, window.wall_ns)]
        tree.threads = [ObservedThread(name, 4260, False, stays)]
    return window, tree


def _traced_step(step: int, name: str, slowdown: float) -> tuple[WindowRow, ObservedTree]:
    """_sample > root > plumbing > forward > layers > plumbing > `name` > linear > aten::linear > aten::mm."""
    factor = (5.0 if step == 0 else 1.0) * slowdown
    tree = ObservedTree()

    def add(node: int, wall_ms: float, calls: float = 1, allocated: int = 0, freed: int = 0) -> int:
        tree.add(node, "wall_ns", round(wall_ms * factor * MS))
        tree.add(node, "calls", calls)
        if allocated:
            tree.add(node, "allocated_bytes", allocated)
            tree.add(node, "freed_bytes", freed)
            tree.add(node, "allocations", 2)
        return node

    sample = add(tree.child(0, python("_sample", "transformers/generation/utils.py", 312)), 0.5, calls=0)
    root = add(tree.child(sample, module("TinyForCausalLM", "")), 0.1)
    passing = add(tree.child(root, python("_call_impl", "torch/nn/modules/module.py", 1782)), 0.1)
    forward = add(
        tree.child(passing, python("forward", "transformers/models/tiny/modeling_tiny.py", 40)), 1.3
    )
    for layer in range(LAYERS):
        block = add(tree.child(forward, module("TinyLayer", f"model.layers.{layer}")), 0.1)
        inner = add(tree.child(block, python("_call_impl", "torch/nn/modules/module.py", 1782)), 0.1)
        code = add(tree.child(inner, python(name, "transformers/models/tiny/modeling_tiny.py", 20)), 0.3)
        builtin = add(tree.child(code, ("builtin", "linear", None, None, None)), 0.1)
        linear = add(tree.child(builtin, ("op", "aten::linear", None, None, None)), 0.2)
        add(tree.child(linear, ("op", "aten::mm", None, None, None)), 3.2, 1, 2 * MIB, MIB)
    window = WindowRow("anatomy", 1002 + step, "traced", "prefill" if step == 0 else "decode", step,
                       round(10 * factor * MS), None, 50, 0)  # fmt: skip
    return window, tree
