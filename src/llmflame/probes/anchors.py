"""Times every `nn.Module` instance in a few steps with nothing attached but two hooks a call.

A tracer slows many small Python frames more than one large kernel, so a traced step can't be scaled as a
whole. These steps are disturbed by about a microsecond a module call, which is calibrated and subtracted;
they tell what each module took on the wall clock and on the CPU, and the traced frames inside a module are
scaled to that.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from llmflame.probes.eventtree import Modules
from llmflame.store.rows import AnchorRow

CALIBRATION_CALLS = 300
CALIBRATION_ROUNDS = 7


@dataclass(slots=True)
class _Open:
    module: int
    wall_ns: int
    cpu_ns: int
    inner_wall_ns: int = 0
    inner_cpu_ns: int = 0
    inner_calls: int = 0

    def take(self, child: _Open) -> None:
        """Have a call's inner calls for one's own."""
        self.inner_wall_ns += child.inner_wall_ns
        self.inner_cpu_ns += child.inner_cpu_ns
        self.inner_calls += child.inner_calls


@dataclass(slots=True)
class _Sum:
    calls: int = 0
    child_calls: int = 0
    wall_ns: int = 0
    cpu_ns: int = 0


class AnchorProbe:
    """`start` before a step, `stop` after it. One hook pair serves all modules of the process."""

    def __init__(self, modules: Modules) -> None:
        self._modules = modules
        self._handles: list[Any] = []
        self._open: list[_Open] = []
        self._sums: dict[int, _Sum] = {}

    def start(self, *, in_root: bool = False) -> None:
        """Attach the hooks. Calls under way are not seen, but the root's when called `in_root`'s hook."""
        self._open, self._sums = [], {}
        self._handles = [
            register_module_forward_pre_hook(self._enter),
            register_module_forward_hook(self._leave),
        ]
        if in_root and self._modules.root is not None:
            self._open.append(_Open(self._modules.root, time.perf_counter_ns(), time.thread_time_ns()))

    def stop(self, pass_name: str, repetition: int, step: int) -> list[AnchorRow]:
        """Detach; one row a module that ran, its own time without the modules that it called."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        rows: dict[str, _Sum] = {}
        for module, own in self._sums.items():
            total = rows.setdefault(self._modules.paths[module], _Sum())
            total.calls += own.calls
            total.child_calls += own.child_calls
            total.wall_ns += own.wall_ns
            total.cpu_ns += own.cpu_ns
        return [
            AnchorRow(pass_name, repetition, step, path, s.calls, s.child_calls, s.wall_ns, s.cpu_ns)
            for path, s in rows.items()
        ]

    def _enter(self, module: Any, _args: Any) -> None:
        if id(module) not in self._modules.paths:
            return  # no part of the model's tree: its time is its caller's
        entry = _Open(id(module), 0, 0)
        self._open.append(entry)
        entry.cpu_ns = time.thread_time_ns()
        entry.wall_ns = time.perf_counter_ns()

    def _leave(self, module: Any, _args: Any, _output: Any) -> None:
        wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
        number = id(module)
        if number not in self._modules.paths:
            return
        while self._open and self._open[-1].module != number:
            raised = self._open.pop()  # and was caught above it: its time is its caller's, not its children's
            if self._open:
                self._open[-1].take(raised)
        if not self._open:
            return
        entry = self._open.pop()
        wall_ns, cpu_ns = wall - entry.wall_ns, cpu - entry.cpu_ns
        own = self._sums.setdefault(number, _Sum())
        own.calls += 1
        own.child_calls += entry.inner_calls
        own.wall_ns += wall_ns - entry.inner_wall_ns
        own.cpu_ns += cpu_ns - entry.inner_cpu_ns
        if self._open:
            outer = self._open[-1]
            outer.inner_wall_ns += wall_ns
            outer.inner_cpu_ns += cpu_ns
            outer.inner_calls += 1


class _Nothing(torch.nn.Module):
    def forward(self, x: Any) -> Any:
        """Return what came."""
        return x


class _Many(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = _Nothing()

    def forward(self, x: Any) -> Any:
        """Call the inner module many times."""
        for _ in range(CALIBRATION_CALLS):
            x = self.inner(x)
        return x


def hook_cost_ns() -> float:
    """What the hooks add to the caller's own time for one module call, on this machine now."""
    outer = _Many()
    probe = AnchorProbe(Modules({id(outer): "outer", id(outer.inner): "inner"}, id(outer)))
    costs = []
    for _ in range(CALIBRATION_ROUNDS):
        plain = _timed(outer)
        probe.start()
        outer(None)
        own = {row.module: row.wall_ns for row in probe.stop("", 0, 0)}
        # Unhooked, the caller's own time and the inner calls' time together are `plain`.
        costs.append((own["outer"] + own["inner"] - plain) / CALIBRATION_CALLS)
    return max(median(costs), 0.0)


def _timed(module: torch.nn.Module) -> int:
    begin = time.perf_counter_ns()
    module(None)
    return time.perf_counter_ns() - begin
