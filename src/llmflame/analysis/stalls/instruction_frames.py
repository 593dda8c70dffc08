"""At which instructions a kernel's warps wait for a reason: by class, and by source line where known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llmflame.analysis.stalls.counts import function_windows
from llmflame.analysis.stalls.opcodes import opcode_class
from llmflame.store.model import Frame
from llmflame.store.profile import Profile
from llmflame.store.rows import InstructionRow

Split = Mapping[str, Sequence[tuple[Frame, float]]]
"""By reason: frames of kind `instruction` with their shares of the reason's samples, the largest first. What
is missing to 1 is in instructions that nothing is known of."""
UNNAMED = "instruction"
"""Of which only the source line is known."""


def instruction_splits(profile: Profile) -> dict[tuple[str, str], Split]:
    """By phase and kernel; empty where no binary could be read."""
    if not profile.instructions:
        return {}
    phases = {window.id: window.span_name for window in function_windows(profile)}
    names = {(kernel.pass_name, kernel.id): kernel.name for kernel in profile.stall_kernels}
    frames = {(one.pass_name, one.kernel, one.pc): _frame(one) for one in profile.instructions}
    wholes: dict[tuple[str, str, str], int] = {}
    parts: dict[tuple[str, str], dict[str, dict[Frame, int]]] = {}
    for row in profile.stalls:
        phase = phases.get(row.window)
        if phase is None or not row.samples:
            continue
        kernel = names[row.pass_name, row.kernel]
        whole = (phase, kernel, row.reason)
        wholes[whole] = wholes.get(whole, 0) + row.samples
        frame = frames.get((row.pass_name, row.kernel, row.pc)) if row.pc is not None else None
        if frame is not None:
            own = parts.setdefault((phase, kernel), {}).setdefault(row.reason, {})
            own[frame] = own.get(frame, 0) + row.samples
    return {
        key: {reason: _ranked(own, wholes[*key, reason]) for reason, own in reasons.items()}
        for key, reasons in parts.items()
    }


def _frame(one: InstructionRow) -> Frame:
    return Frame("instruction", opcode_class(one.text) or UNNAMED, one.file, one.line)


def _ranked(own: Mapping[Frame, int], whole: int) -> list[tuple[Frame, float]]:
    ranked = sorted(
        own.items(), key=lambda item: (-item[1], item[0].name, item[0].file or "", item[0].line or 0)
    )
    return [(frame, samples / whole) for frame, samples in ranked]
