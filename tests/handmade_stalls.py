"""The hand-made run on a GPU with sampled stalls: a product that waits for memory, an addition that issues,
an attention that waits at barriers, and a kernel of nobody that the tracer never saw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from llmflame.store.rows import (
    InstructionRow,
    PassRow,
    ProbeReportRow,
    Row,
    StallKernelRow,
    StallRow,
    WindowRow,
)
from tests.handmade import MIB, MS
from tests.handmade_gpu import ADD, GEMM, handmade_gpu

ATTENTION = "flash_fwd_kernel"
UNSEEN = "kernel_of_nobody"
Samples = Mapping[str, tuple[int, int]]
STALLS: Mapping[str, Samples] = {
    GEMM: {
        "long_scoreboard": (7_700, 7_000),
        "wait": (1_000, 900),
        "selected": (700, 0),
        "barrier": (590, 400),
        "misc": (10, 5),
    },
    ADD: {"not_selected": (900, 0), "selected": (85, 0), "wait": (15, 5)},
    ATTENTION: {"barrier": (500, 450), "warpgroup_arrive": (300, 250), "selected": (200, 0)},
    UNSEEN: {"sleeping": (30, 30)},
}
"""Of decode; prefill has half of each."""
WHOLE = 10_000 + 1_000 + 1_000 + 30
"""Samples in decode."""
HIDDEN = 33
INSTRUCTIONS: Mapping[str, tuple[tuple[str, str | None, int | None], ...]] = {
    GEMM: (("LDG.E.128", None, None), ("HGMMA.64x8x16.F32.BF16", None, None)),
    ADD: (("FADD", "fused.py", 12), ("FADD", "fused.py", 12)),
}
PREFILL, DECODE, STEP = 2001, 2002, 2003
LAYERS = 3


def stall_rows(
    stalls: Mapping[str, Samples] = STALLS,
    *,
    sampled_wall_rate: float = 1.01,
    dropped: int = 0,
    buffer_full: bool = False,
    instructions: bool = True,
) -> Iterable[Row]:
    """What the pass leaves: continuous ranges of prefill and decode."""
    yield PassRow("stalls", "complete", None, 4244, 6_000 * MS, 1_000 * MS, 200 * MIB)
    for number, name in enumerate(stalls, start=1):
        yield StallKernelRow("stalls", number, name, f"_Z{number}", "00c0ffee")
    for window, phase, rate in ((PREFILL, "prefill", 0.5), (DECODE, "decode", 1.0)):
        total = sum(int(count * rate) for samples in stalls.values() for count, _ in samples.values())
        yield WindowRow(
            "stalls", window, "stalls", phase, None, MS, total + HIDDEN + dropped, None, dropped
        )  # fmt: skip
        for name, value, unit in (
            ("clean wall", 1.0 * MS, "ns"),
            ("sampled wall", sampled_wall_rate * MS, "ns"),
            ("sampled over clean", sampled_wall_rate, "ratio"),
            ("hidden", HIDDEN, "count"),
            ("buffer full", int(buffer_full), "count"),
        ):
            yield ProbeReportRow("stalls", "stalls", f"{phase}: {name}", value, unit)
        for number, samples in enumerate(stalls.values(), start=1):
            for pc, (reason, (count, lost)) in enumerate(samples.items()):
                yield StallRow(
                    "stalls", window, number, 0, 16 * pc, reason, int(count * rate), int(lost * rate)
                )
    for number, name in enumerate(stalls if instructions else (), start=1):
        for pc, (text, file, line) in enumerate(INSTRUCTIONS.get(name, ())):
            yield InstructionRow("stalls", number, 16 * pc, text, file, line)
    yield ProbeReportRow("stalls", "stalls", "period cycles", 2048.0, "cycles")


ONE_STEP = (GEMM, ATTENTION, GEMM, ADD) * LAYERS + (GEMM,)
"""The kernels of a decode step in the order of their launches."""


def step_rows(
    names: tuple[str, ...] = ONE_STEP, *, step: int = 1, events: int | None = None
) -> Iterable[Row]:
    """One decode step whose launches were told apart: the k-th product waits k times as much at barriers."""
    kernels = sorted(set(names))
    yield WindowRow("stalls", STEP, "stalls", "decode", step, 9_000_000, None, events, 0)
    known = {name: number for number, name in enumerate(kernels, start=101)}
    for name, number in known.items():
        yield StallKernelRow("stalls", number, name, f"_Z{number}", "00c0ffee")
    for launch, name in enumerate(names, start=1):
        yield StallRow("stalls", STEP, known[name], launch, None, "long_scoreboard", 100, 90)
        yield StallRow("stalls", STEP, known[name], launch, None, "barrier", 10 * launch, 10 * launch)


def handmade_stalls(path: Path, rows: Iterable[Row] | None = None, *, kernel: str = GEMM) -> Path:
    """Write the profile, with `rows` of the pass in place of the usual ones."""
    return handmade_gpu(path, kernel=kernel, more=stall_rows() if rows is None else rows)
