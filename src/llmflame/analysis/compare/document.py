"""The document of `llmflame diff --json`. docs/compare.md describes it; fields are added, never changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmflame.analysis.compare.amounts import Amount
from llmflame.analysis.compare.changes import Change, Ranked, calls_changed, ranked, weight_ns
from llmflame.analysis.compare.comparison import Comparison
from llmflame.analysis.compare.figures import Figure
from llmflame.analysis.compare.interval import BETWEEN_RECORDINGS, CONFIDENCE
from llmflame.analysis.compare.stalls import StallAmount, StallComparison
from llmflame.analysis.findings import Finding
from llmflame.analysis.opening import SUBJECT_FIELDS
from llmflame.store import metrics
from llmflame.store.model import Metric
from llmflame.store.profile import Profile

SCHEMA = 1


def diff_document(comparison: Comparison, metric: Metric, limit: int | None = None) -> dict[str, Any]:
    """Everything that the terminal and the page show; `limit` is the length of each list of changes."""
    frames = ranked(comparison.frames, metric, comparison.bands)
    modules = ranked(comparison.modules, metric, comparison.bands)
    calls = calls_changed(comparison.frames)
    return {
        "schema": SCHEMA,
        "view": "diff",
        "confidence": CONFIDENCE,
        "between_recordings": BETWEEN_RECORDINGS,
        "a": _run(comparison.before),
        "b": _run(comparison.after),
        "forced": comparison.forced,
        "differs": [
            {"section": one.section, "name": one.name, "a": one.a, "b": one.b} for one in comparison.differs
        ],
        "figures": [_figure(one) for one in comparison.figures],
        "phases": [_figure(one) for one in comparison.phases],
        "times": [_amount(one) for one in comparison.times],
        "peaks": [_amount(one) for one in comparison.peaks],
        "counts": [_amount(one) for one in comparison.counts],
        "noise": {
            phase: {"low": band.low, "high": band.high, "least_ns": band.least_ns}
            for phase, band in comparison.bands.items()
        },
        "findings": [
            {"only": side, "name": one.name, "scope": one.scope, "title": one.title}
            for side, one in _findings(comparison.findings)
        ],
        "stalls": _stalls(comparison.stalls, limit),
        "calls": [_call(one) for one in calls[:limit]],
        "metric": metric.name,
        "unit": metric.unit,
        "modules": [_change(one) for one in modules[:limit]],
        "frames": [_change(one) for one in frames[:limit]],
        "counted": {"calls": len(calls), "modules": len(modules), "frames": len(frames)},
    }


def _run(profile: Profile) -> dict[str, Any]:
    return {
        "file": profile.path.name,
        "started_at": profile.run.started_at,
        "status": profile.run.status,
        "reason": profile.run.reason,
        "subject": {name: profile.subject.get(name) for name in SUBJECT_FIELDS},
    }


def _figure(one: Figure) -> dict[str, Any]:
    return {
        "name": one.name,
        "label": one.label,
        "unit": one.unit,
        "a": one.a,
        "b": one.b,
        "ratio": one.ratio,
        "low": one.interval.low if one.interval else None,
        "high": one.interval.high if one.interval else None,
        "verdict": one.verdict,
        "repetitions_a": one.repetitions[0],
        "repetitions_b": one.repetitions[1],
    }


def _amount(one: Amount) -> dict[str, Any]:
    return {
        "phase": one.phase,
        "metric": one.metric.name,
        "unit": one.metric.unit,
        "label": one.metric.label,
        "a": _whole(one.a),
        "b": _whole(one.b),
        "verdict": one.verdict,
    }


def _change(one: Ranked) -> dict[str, Any]:
    before, after = one.change.of(one.metric.name)
    return {**_place(one.change), "a": round(before), "b": round(after), "verdict": one.verdict}


def _call(one: Change) -> dict[str, Any]:
    before, after = one.of(metrics.CALLS.name)
    return {**_place(one), "a": round(before), "b": round(after), "time_ns": round(weight_ns(one))}


def _stalls(found: StallComparison | None, limit: int | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "missing": found.missing,
        "groups": [_stall(one) for one in found.groups],
        "kernels": [_stall(one) for one in found.kernels[:limit]],
    }


def _stall(one: StallAmount) -> dict[str, Any]:
    return {
        "phase": one.phase,
        "kernel": one.kernel,
        "group": one.group,
        "reason": one.reason,
        "a_ns": round(one.a_ns),
        "b_ns": round(one.b_ns),
        "a_share": one.a_share,
        "b_share": one.b_share,
    }


def _place(one: Change) -> Mapping[str, Any]:
    return {
        "phase": one.phase,
        "kind": one.kind,
        "name": one.name,
        "module": one.module,
        "modules": len(one.modules),
        "file": one.file,
        "line": one.line,
        "only": one.only,
    }


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _findings(both: tuple[Sequence[Finding], Sequence[Finding]]) -> list[tuple[str, Finding]]:
    """B's first: they say what may be wrong now."""
    return [*(("b", one) for one in both[1]), *(("a", one) for one in both[0])]
