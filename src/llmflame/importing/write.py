"""An observation as a profile: one phase, `imported`, of the pass `stalls`."""

from __future__ import annotations

from pathlib import Path

from llmflame.errors import UsageError
from llmflame.importing.observation import Observation
from llmflame.store import metrics
from llmflame.store.observed import ObservedTree
from llmflame.store.rows import (
    IMPORTED,
    PassRow,
    ProbeReportRow,
    SpanRow,
    StallKernelRow,
    StallRow,
    WindowRow,
)
from llmflame.store.writer import ProfileWriter, move_profile, unfinished_beside

PASS = "stalls"
MODE = "imported"
SPAN, COUNTED, TIMED, SAMPLED = 1, 1, 2, 3
"""Numbers of the span and of the windows."""
MOST = 1 << 62
"""What a column of the file holds."""
TIMES = (metrics.WALL.name, metrics.SAMPLES.name)


def write_profile(observation: Observation, target: Path, *, version: str) -> None:
    """Write `target`, in full or not at all; a file that was there is replaced. Raises UsageError."""
    _check_sums(observation)
    unfinished = unfinished_beside(target)
    writer = ProfileWriter(unfinished, version=version, mode=MODE)
    try:
        _write(writer, observation)
    except BaseException:
        writer.abandon()
        raise
    writer.finish("complete")
    move_profile(unfinished, target)


def _check_sums(found: Observation) -> None:
    """Each number of a file was looked at by itself; a million of them may still be more than fits."""
    cells = (sum(values.values()) for values in found.tree.cells.values())
    counts = (sum(pair[0] for pair in reasons.values()) for reasons in found.stalls.values())
    if max([found.wall_ns, *cells, *counts], default=0) > MOST:
        raise UsageError(f"what {found.source} of {found.model} add up to is no number of anything")


def _write(writer: ProfileWriter, found: Observation) -> None:
    writer.facts(found.facts)
    writer.subject({"model": found.model, "imported_from": found.source})
    writer.rows([PassRow(PASS, "complete", None, None, 0, found.wall_ns, None), _span(found.wall_ns)])
    writer.rows(ProbeReportRow(PASS, "importer", note, None, "") for note in found.notes)
    counted, timed = _apart(found.tree)
    writer.tree(WindowRow(PASS, COUNTED, "traced", IMPORTED, None, found.wall_ns, None, None, None), counted)
    writer.tree(WindowRow(PASS, TIMED, "sampled", IMPORTED, None, found.wall_ns, None, None, None), timed)
    if found.stalls:
        _stalls(writer, found)


def _stalls(writer: ProfileWriter, found: Observation) -> None:
    samples = sum(count for reasons in found.stalls.values() for count, _ in reasons.values())
    window = WindowRow(PASS, SAMPLED, "stalls", IMPORTED, None, found.wall_ns, samples, None, None)
    writer.tree(window, ObservedTree())
    for number, (kernel, reasons) in enumerate(found.stalls.items(), start=1):
        writer.rows([StallKernelRow(PASS, number, kernel, kernel, "")])
        writer.rows(
            StallRow(PASS, SAMPLED, number, 0, None, reason, samples, lost)
            for reason, (samples, lost) in reasons.items()
        )


def _apart(tree: ObservedTree) -> tuple[ObservedTree, ObservedTree]:
    """What was counted, and what was sampled or timed: a phase's time is that of its samples' window."""
    trees = []
    for timed in (False, True):
        part = ObservedTree()
        part.parents, part.frames = tree.parents, tree.frames
        part.cells = {name: cells for name, cells in tree.cells.items() if (name in TIMES) is timed}
        trees.append(part)
    return trees[0], trees[1]


def _span(wall_ns: int) -> SpanRow:
    unknown = dict.fromkeys(
        (
            "tokens", "kv_tokens", "thread_cpu_ns", "process_cpu_ns", "run_queue_ns", "disk_wait_ns",
            "minor_faults", "major_faults", "read_bytes", "rss_bytes", "rss_file_bytes", "peak_rss_bytes",
            "device_bytes", "device_peak_bytes",
        )
    )  # fmt: skip
    return SpanRow(
        pass_name=PASS, id=SPAN, parent=None, name=IMPORTED, repetition=None, step=None, treatment="sampled",
        start_ns=0, wall_ns=wall_ns, **unknown,
    )  # fmt: skip
