"""The document of `show --view memory --json`, which the terminal and the page draw. docs/memory.md
describes it."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from llmflame.analysis.memory.composition import PROCESSES, Composition, compositions, run_peak
from llmflame.analysis.memory.growth import Growth, asked_for, floors, growth
from llmflame.analysis.memory.moments import moments
from llmflame.analysis.memory.prediction import compare
from llmflame.analysis.memory.series import series
from llmflame.analysis.memory.stack import stack_of
from llmflame.analysis.top_table import layers_together
from llmflame.store import metrics
from llmflame.store.profile import Profile
from llmflame.store.rows import Space

SCHEMA = 1
MOST_OWNERS = 12
MOST_LEFT = 10
UNREADABLE = "unreadable: "
"""Before what a gauge could not read, in the name of its report."""
SPACES: tuple[Space, Space] = ("device", "host")


def memory_document(profile: Profile) -> dict[str, Any]:
    """Peaks by category and owner, prediction beside measurement, growth, what was left, what can't be
    seen."""
    found = compositions(profile)
    return {
        "schema": SCHEMA,
        "view": "memory",
        "peaks": [_peak(one) for space in SPACES if (one := run_peak(found, space)) is not None],
        "phases": [_phase(one) for one in found],
        "predictions": [
            {
                "phase": row.phase,
                "space": row.space,
                "category": row.category,
                "predicted_bytes": row.predicted_bytes,
                "measured_bytes": round(row.measured_bytes),
                "error": row.error,
                "formula": row.formula,
            }
            for row in compare(profile, found)
        ],
        "growth": [_growth(profile, one) for one in growth(profile)],
        "floors": {space: [round(value) for value in values] for space, values in floors(profile).items()},
        "pinned": [
            {"bytes": size, "stack": stack_of(profile, node)}
            for node, size in asked_for(profile, metrics.PINNED.name)[:MOST_LEFT]
        ],
        "failure": _failure(profile),
        "notes": _notes(profile),
    }


def _peak(composition: Composition) -> dict[str, Any]:
    """The run's highest peak, with its owners; the numbered layers of a model are one."""
    owners: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(lambda: [0.0, 0]))
    for (category, owner), size in composition.holders.items():
        entry = owners[category][layers_together(owner)]
        entry[0] += size
        entry[1] += 1
    return _phase(composition) | {
        "owners": {
            category: [
                {"owner": owner, "bytes": round(size), "count": count}
                for owner, (size, count) in sorted(found.items(), key=lambda item: -abs(item[1][0]))[
                    :MOST_OWNERS
                ]
            ]
            for category, found in owners.items()
        }
    }


def _phase(composition: Composition) -> dict[str, Any]:
    return {
        "phase": composition.phase,
        "space": composition.space,
        "peak_bytes": composition.peak_bytes,
        "parts": [
            {"category": category, "bytes": round(size), "share": size / composition.peak_bytes}
            for category, size in composition.parts
        ],
        "residual_share": composition.residual_share,
        "other_processes_bytes": composition.others_bytes,
    }


def _growth(profile: Profile, one: Growth) -> dict[str, Any]:
    return {
        "space": one.space,
        "steps": one.steps,
        "bytes_per_step": one.held.bytes_per_step,
        "explained_variance": one.held.explained,
        "kv_cache_bytes_per_step": one.kv_cache.bytes_per_step,
        "slack_bytes_per_step": one.slack.bytes_per_step if one.slack else None,
        "peak_bytes_per_step": one.peak.bytes_per_step if one.peak else None,
        "cache_rewritten_bytes": one.rewritten_bytes,
        "unexplained_bytes_per_step": one.unexplained_bytes_per_step,
        "left_bytes_per_step": one.left_bytes_per_step,
        "left": [
            {"bytes_per_step": size, "stack": stack_of(profile, node)} for node, size in one.left[:MOST_LEFT]
        ],
    }


def _failure(profile: Profile) -> dict[str, Any] | None:
    """Who held what when memory ran out."""
    moment = next((one for one in moments(profile).all if one.row.when == "failure"), None)
    if moment is None:
        return None
    return {
        "phase": moment.row.phase,
        "step": moment.row.step,
        "held": {
            space: [
                {"category": category, "owner": owner, "bytes": round(size)}
                for (category, owner), size in sorted(held.items(), key=lambda item: -item[1])
            ]
            for space, held in moment.held.items()
        },
        "readings": moment.readings,
        "said": {
            name.removeprefix("out_of_memory_"): value
            for name, value in profile.subject.items()
            if name.startswith("out_of_memory_")
        },
    }


def _notes(profile: Profile) -> list[str]:
    """What could not be seen."""
    notes = []
    if not profile.moments:
        notes.append("Nobody counted who holds the memory in this recording.")
    gauges = series(profile, "clean")
    if profile.moments and "anonymous_bytes" not in gauges:
        notes.append("The resident set was not sampled: the peak of the load is split by its end alone.")
    for moment in moments(profile).all:
        if moment.row.when == "peak":
            continue
        if "anonymous_bytes" not in moment.readings and "device_allocated_bytes" not in moment.readings:
            notes.append("The process' memory map can't be read here: pages of files are not told apart.")
            break
    allocator = profile.subject.get("device_allocator")
    if isinstance(allocator, str) and allocator.startswith("none"):
        notes.append(
            "PYTORCH_NO_CUDA_MEMORY_CACHING=1: torch counts no device memory. Tensors are known, what lies "
            "between them and the device's memory in use is all called context and libraries."
        )
    elif isinstance(allocator, str) and allocator != "native":
        notes.append(
            f"The allocator is {allocator}: it keeps no list of blocks, what no tensor explains is workspace."
        )
    used = any(one.readings.get("device_used_bytes") for one in moments(profile).all)
    if used and profile.run.mode != PROCESSES:
        notes.append(
            "The process ran before the recording: where the driver lists no processes, what others hold of "
            "the device is not told apart from this one's context."
        )
    unread = dict.fromkeys(
        report.name.removeprefix(UNREADABLE)
        for report in profile.probe_reports
        if report.probe == "gauges" and report.name.startswith(UNREADABLE)
    )
    notes += [f"Not read over time: {words}." for words in unread]
    return notes
