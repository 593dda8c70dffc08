"""What a page fault costs, counted by the kernel itself."""

from __future__ import annotations

from llmflame.probes.counters import Counters, Edge
from llmflame.probes.faults import PAGES, minor_fault_cost_ns


class Scripted(Counters):
    """Counters that say what they are told."""

    def __init__(self, *edges: tuple[int, int | None]) -> None:
        self._edges = [Edge(0, cpu, 0, None, faults, None, None, None, None) for cpu, faults in edges]

    def read(self) -> Edge:
        return self._edges.pop(0)


def test_cost_is_time_by_faults() -> None:
    edges = [(0, 0), (PAGES * 500, PAGES)] * 5
    assert minor_fault_cost_ns(Scripted(*edges)) == 500


def test_rounds_without_faults_say_nothing() -> None:
    """A kernel that fills memory in larger pieces gives no cost of one fault."""
    assert minor_fault_cost_ns(Scripted(*[(0, 0), (100, 3)] * 5)) is None


def test_unknown_stays_unknown() -> None:
    assert minor_fault_cost_ns(Scripted(*[(0, None), (100, None)] * 5)) is None


def test_a_real_kernel_counts_them() -> None:
    counters = Counters()
    cost = minor_fault_cost_ns(counters)
    counters.close()
    assert cost is None or cost > 0
