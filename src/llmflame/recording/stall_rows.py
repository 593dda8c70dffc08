"""Writes what was sampled: kernels, reasons, and the instructions that were sampled often."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from statistics import median

from llmflame.probes.stalls.binaries import Binaries
from llmflame.probes.stalls.disassembly import disassembler, instruction_texts, source_lines
from llmflame.probes.stalls.sampler import NOT_ISSUED, StallCounts
from llmflame.recording.session import Session
from llmflame.store.rows import InstructionRow, StallKernelRow, StallRow

HOT_SHARE = 0.005
"""Of a function's samples: instructions with fewer are put together."""
MOST_DISASSEMBLED = 32
"""Functions, those with the most samples first: each takes up to a second."""

_Key = tuple[int, int, int | None, str]
"""Kernel, launch, offset, reason."""


class StallRows:
    """Numbers the functions of one pass and stores its windows."""

    def __init__(self, session: Session, binaries: Binaries | None) -> None:
        self._session = session
        self._binaries = binaries
        self._kernels: dict[tuple[str, str], int] = {}
        self._weights: Counter[tuple[str, str]] = Counter()
        self._offsets: dict[tuple[str, str], set[int]] = defaultdict(set)

    def describe(self, description: Mapping[str, str], walls: Mapping[str, list[tuple[int, int]]]) -> None:
        """Report who sampled and how often, and what it cost: (without, with) by phase."""
        session = self._session
        for name, unit in (("period_cycles", "cycles"), ("buffer_bytes", "bytes")):
            if name in description:
                session.report("stalls", name.replace("_", " "), float(description[name]), unit)
        for phase, pairs in walls.items():
            session.report("stalls", f"{phase}: clean wall", median(clean for clean, _ in pairs), "ns")
            session.report("stalls", f"{phase}: sampled wall", median(wall for _, wall in pairs), "ns")
            ratios = [wall / clean for clean, wall in pairs if clean]
            if ratios:
                session.report("stalls", f"{phase}: sampled over clean", median(ratios), "ratio")

    def put(self, phase: str, step: int | None, counts: StallCounts, wall_ns: int) -> None:
        """Store one range: a window with its kernels' samples."""
        session = self._session
        window = session.window(
            kind="stalls",
            span_name=phase,
            step=step,
            wall_ns=wall_ns,
            samples=counts.total,
            events=None,
            dropped=counts.dropped,
        )
        label = window.label
        for name, value in (("hidden", counts.hidden), ("buffer full", int(counts.buffer_full))):
            session.report("stalls", f"{label}: {name}", value, "count")
        session.put(window, *self._samples(window.id, counts))
        session.flush()

    def _samples(self, window: int, counts: StallCounts) -> list[StallRow]:
        hot = self._hot(counts)
        samples: Counter[_Key] = Counter()
        not_issued: Counter[_Key] = Counter()
        for (function, binary, launch, pc, reason), number in counts.samples.items():
            offset = pc if pc in hot[function, binary] else None
            kernel = self._kernel(function, binary)
            if reason.endswith(NOT_ISSUED):
                not_issued[kernel, launch, offset, reason.removesuffix(NOT_ISSUED)] += number
            else:
                samples[kernel, launch, offset, reason] += number
        return [
            # The two are read one after the other: a sample may have been lost by one of them.
            StallRow(self._session.pass_name, window, *key, number, min(not_issued[key], number))
            for key, number in samples.items()
        ]

    def _hot(self, counts: StallCounts) -> dict[tuple[str, str], set[int]]:
        """By function: the offsets that are kept apart."""
        by_offset: Counter[tuple[str, str, int]] = Counter()
        whole: Counter[tuple[str, str]] = Counter()
        for (function, binary, _, pc, reason), number in counts.samples.items():
            if not reason.endswith(NOT_ISSUED):
                by_offset[function, binary, pc] += number
                whole[function, binary] += number
        hot: dict[tuple[str, str], set[int]] = defaultdict(set)
        for (function, binary, pc), number in by_offset.items():
            if number >= HOT_SHARE * whole[function, binary]:
                hot[function, binary].add(pc)
                self._offsets[function, binary].add(pc)
        self._weights.update(whole)
        return hot

    def _kernel(self, function: str, binary: str) -> int:
        number = self._kernels.get((function, binary))
        if number is None:
            number = self._kernels[function, binary] = len(self._kernels) + 1
            name = demangled(function)
            self._session.put(StallKernelRow(self._session.pass_name, number, name, function, binary))
        return number

    def finish(self) -> None:
        """Name the instructions, where their binaries are known: after all that is measured."""
        tool = disassembler()
        if self._binaries is not None:
            self._session.report("stalls", "binaries", self._binaries.caught, "count")
            self._session.report("stalls", "binaries' size", self._binaries.bytes, "bytes")
        named = 0
        for (function, binary), _ in self._weights.most_common(MOST_DISASSEMBLED):
            named += self._name(tool, function, binary)
        self._session.report("stalls", "functions disassembled", named, "count")
        self._session.flush()

    def _name(self, tool: str | None, function: str, binary: str) -> bool:
        file = self._binaries.find(function, binary) if self._binaries is not None else None
        if file is None or self._binaries is None:
            return False
        offsets = self._offsets[function, binary]
        texts = instruction_texts(tool, file, function) if tool is not None else {}
        lines = source_lines(self._binaries.cupti, file, function, sorted(offsets))
        kernel = self._kernels[function, binary]
        for offset in sorted(offsets & (texts.keys() | lines.keys())):
            place = lines.get(offset, (None, None))
            row = InstructionRow(self._session.pass_name, kernel, offset, texts.get(offset, ""), *place)
            self._session.put(row)
        return bool(texts or lines)


def demangled(function: str) -> str:
    """As torch's tracer names the function's launches."""
    import torch

    demangle = getattr(torch._C, "_demangle", None)
    return str(demangle(function)) if demangle is not None else function
