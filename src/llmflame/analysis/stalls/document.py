"""Stalls as programs read them: a part of `llmflame show --json`."""

from __future__ import annotations

from typing import Any

from llmflame.analysis.stalls.breakdown import KernelStalls, stall_breakdown
from llmflame.analysis.stalls.counts import function_windows
from llmflame.analysis.stalls.coverage import PROBE, StallCoverage, stall_coverage
from llmflame.analysis.tree import Tree
from llmflame.store.profile import Profile

HOTTEST = 10
"""Kernels of each phase: the table `stalls` has all."""


def stalls_document(profile: Profile, tree: Tree) -> dict[str, Any] | None:
    """What was sampled by phase, with its hottest kernels; None where nothing was. `tree` is the run's."""
    if not function_windows(profile):
        return None
    kernels = stall_breakdown(profile, tree)
    return {
        "level": "function",
        "period_cycles": _report(profile, "period cycles"),
        "phases": [
            {
                **_phase(one),
                "kernels": [_kernel(each) for each in kernels if each.phase == one.phase][:HOTTEST],
            }
            for one in stall_coverage(profile, tree)
        ],
    }


def _report(profile: Profile, name: str) -> float | None:
    return next((one.value for one in profile.probe_reports if (one.probe, one.name) == (PROBE, name)), None)


def _phase(one: StallCoverage) -> dict[str, Any]:
    return {
        "phase": one.phase,
        "samples": one.samples,
        "attributed_share": one.attributed_share,
        "busy_s": one.busy_ns / 1e9,
        "explained_share": one.explained_share,
        "groups_s": {group: own / 1e9 for group, own in one.groups_ns.items()},
        "dropped": one.dropped,
        "hidden": one.hidden,
        "buffer_full": one.buffer_full,
        "cost": one.cost,
    }


def _kernel(one: KernelStalls) -> dict[str, Any]:
    return {
        "name": one.name,
        "device_s": one.device_ns / 1e9,
        "samples": one.samples,
        "not_issued_share": one.lost_share,
        "bound": one.bound,
        "dominant": one.dominant.reason if one.dominant is not None else None,
        "reasons": one.counts.shares,
        "memory_share": one.position.memory_share,
        "arithmetic_share": one.position.arithmetic_share,
    }
