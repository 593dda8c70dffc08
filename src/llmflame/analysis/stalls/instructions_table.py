"""Which instructions of a kernel are waited at: by source line where its binary has them, else by opcode."""

from __future__ import annotations

from llmflame.analysis.kernel_name import short_kernel_name
from llmflame.analysis.stalls.counts import function_windows
from llmflame.analysis.stalls.opcodes import opcode_class
from llmflame.analysis.stalls.reasons import group_of
from llmflame.analysis.stalls.stalls_table import NO_STALLS
from llmflame.analysis.tables import Column, Row, Table, ratio
from llmflame.store.profile import Profile

COLUMNS = (
    Column("kernel", "text", "Kernel"),
    Column("full_name", "text", "Full name", shown=False),
    Column("line", "text", "Source line"),
    Column("opcode", "text", "Opcode"),
    Column("class", "text", "Class"),
    Column("pc", "index", "Offset", shown=False),
    Column("reason", "text", "Reason"),
    Column("group", "text", "Group", shown=False),
    Column("share", "share", "Of the kernel"),
    Column("samples", "count", "Samples"),
    Column("not_issued", "count", "Not issued"),
)
NO_NAMES = "no binary of these kernels could be read: instructions are known by their offset alone"
_Key = tuple[str, int | None, str, str | None, str]
"""Kernel, offset, opcode, source line, reason."""


def instructions_table(profile: Profile, phases: tuple[str, ...] = ()) -> Table:
    """One row an instruction and reason over `phases` (all that were sampled if none are given), by samples.

    Samples are those of the kernel in these phases: between kernels they say nothing of time. Offset and
    opcode are None for all instructions of a kernel with too few samples to be kept apart.
    """
    windows = {one.id for one in function_windows(profile) if not phases or one.span_name in phases}
    if not function_windows(profile):
        return Table("instructions", COLUMNS, (), (NO_STALLS,))
    names = {(kernel.pass_name, kernel.id): kernel.name for kernel in profile.stall_kernels}
    known = {(one.pass_name, one.kernel, one.pc): one for one in profile.instructions}
    sums: dict[_Key, list[int]] = {}
    wholes: dict[str, int] = {}
    for row in profile.stalls:
        if row.window not in windows:
            continue
        kernel = names[row.pass_name, row.kernel]
        found = known.get((row.pass_name, row.kernel, row.pc)) if row.pc is not None else None
        line = f"{found.file}:{found.line}" if found is not None and found.file else None
        key = (kernel, row.pc, found.text if found is not None else "", line, row.reason)
        own = sums.setdefault(key, [0, 0])
        own[0] += row.samples
        own[1] += row.not_issued
        wholes[kernel] = wholes.get(kernel, 0) + row.samples
    ranked = sorted(
        ((key, own) for key, own in sums.items() if own[0]), key=lambda item: (-item[1][0], str(item[0]))
    )
    rows = tuple(_row(key, samples, lost, wholes[key[0]]) for key, (samples, lost) in ranked)
    return Table("instructions", COLUMNS, rows, () if profile.instructions else (NO_NAMES,))


def _row(key: _Key, samples: int, lost: int, whole: int) -> Row:
    kernel, pc, text, line, reason = key
    return (
        short_kernel_name(kernel),
        kernel,
        line,
        text or None,
        opcode_class(text),
        pc,
        reason,
        group_of(reason),
        ratio(samples, whole),
        samples,
        lost,
    )
