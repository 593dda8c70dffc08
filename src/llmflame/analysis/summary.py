"""The document of `llmflame show --json`. docs/show-json.md describes it; fields are added, never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from statistics import median
from typing import Any

from llmflame.analysis.coverage import bytes_coverage, wall_coverage
from llmflame.analysis.device_checks import device_checks
from llmflame.analysis.findings import Finding, find
from llmflame.analysis.idle import idle
from llmflame.analysis.latency import latency
from llmflame.analysis.memory.composition import compositions, run_peak
from llmflame.analysis.memory.growth import growth
from llmflame.analysis.memory.overview import SPACES
from llmflame.analysis.opening import opening
from llmflame.analysis.paging import mapped_bytes, page_fault_ns, weights_cached_share
from llmflame.analysis.phases import GENERATION, decode_steps, phase_spans, run_wall_ns, steps, waiting
from llmflame.analysis.roofline import Roofline, rooflines
from llmflame.analysis.run_tree import RunTree, build_run_tree
from llmflame.analysis.sentence import sentence
from llmflame.analysis.stalls.checks import stall_checks
from llmflame.analysis.stalls.document import stalls_document
from llmflame.analysis.top import top_frames
from llmflame.store.profile import Profile

SCHEMA = 1
TOP_LIMIT = 20
TRACED_REPETITION = 0
"""Of the anatomy pass: the request with windows; the others are timed module by module."""


def summarise(profile: Profile, run: RunTree | None = None, *, top_limit: int = TOP_LIMIT) -> dict[str, Any]:
    """Everything that one screen says. Times in the unit that a name ends in; unknown is None."""
    run = run if run is not None else build_run_tree(profile)
    covered = wall_coverage(run.tree)
    first = opening(profile)
    document = {
        "schema": SCHEMA,
        **{name: first[name] for name in ("status", "reason", "machine", "subject")},
        "phases": _phases(profile, covered),
        "memory": _memory(profile),
        "weights_cached": weights_cached_share(profile),
        "latency": first["latency"],
        "coverage": {"wall": covered.get("run"), "bytes": bytes_coverage(run.tree)},
        "cost": cost(profile, run),
        "checks": [asdict(one) for one in (*device_checks(profile, run), *stall_checks(profile, run))],
        "device": _device(run),
        "roofline": [_roofline(one) for one in rooflines(profile, run.tree)],
        "stalls": stalls_document(profile, run.tree),
        "findings": [finding_document(one) for one in find(profile, run)],
        "top": _top(run, top_limit),
    }
    return {**document, "sentence": sentence(document)}


def _phases(profile: Profile, covered: Mapping[str, float]) -> list[dict[str, Any]]:
    whole = run_wall_ns(profile) or 1
    return [
        {
            "name": span.name,
            "wall_s": span.wall_ns / 1e9,
            "share": span.wall_ns / whole,
            "host_peak_bytes": span.peak_rss_bytes,
            "device_peak_bytes": span.device_peak_bytes,
            "coverage": covered.get(span.name),
            "waiting": _seconds(asdict(waiting(span))),
            "read_bytes": span.read_bytes,
            "mapped_bytes": mapped_bytes(profile, span),
            "page_fault_s": _seconds_of(page_fault_ns(profile, span)),
            "minor_faults": span.minor_faults,
            "major_faults": span.major_faults,
        }
        for span in phase_spans(profile)
    ]


def _memory(profile: Profile) -> dict[str, Any] | None:
    """What the peaks are made of, and what a decode step adds; None where nobody counted."""
    found = compositions(profile)
    peaks = [peak for space in SPACES if (peak := run_peak(found, space)) is not None]
    grown = growth(profile)
    if not peaks and not grown:
        return None
    return {
        "peaks": [
            {
                "space": peak.space,
                "phase": peak.phase,
                "peak_bytes": peak.peak_bytes,
                "held_bytes": {category: round(size) for category, size in peak.parts},
            }
            for peak in peaks
        ],
        "growth": [
            {
                "space": one.space,
                "bytes_per_step": one.held.bytes_per_step,
                "kv_cache_bytes_per_step": one.kv_cache.bytes_per_step,
            }
            for one in grown
        ],
    }


def _seconds_of(ns: float | None) -> float | None:
    return None if ns is None else ns / 1e9


def _seconds(parts: dict[str, int | None]) -> dict[str, float | None]:
    return {name.removesuffix("_ns") + "_s": None if ns is None else ns / 1e9 for name, ns in parts.items()}


def cost(profile: Profile, run: RunTree) -> dict[str, Any]:
    """What recording cost, as shares of what was recorded, and what it lost."""
    reports = {(r.pass_name, r.probe, r.name): r.value for r in profile.probe_reports}
    edge = reports.get(("clean", "counters", "edge cost"))
    values = latency(profile)
    traced = reports.get(("anatomy", "tracer", "generation wall"))
    sampler, slept = reports.get(("clean", "sampler", "cost")), _sampled_ns(profile)
    lost = sum(r.value or 0 for r in profile.probe_reports if r.name == "windows lost")
    return {
        "clean": edge / (values.tpot.median_ms * 1e6) if edge is not None and values.tpot else None,
        "anatomy": _anatomy_cost(profile, traced, values.e2e_ms),
        "sampler": sampler / slept if sampler is not None and slept else None,
        "scale_factor": run.factor,
        "slowdown_in_windows": run.slowdown,
        "dropped": int(lost + sum(window.dropped or 0 for window in profile.windows)),
    }


def _anatomy_cost(profile: Profile, traced_ns: float | None, e2e_ms: float | None) -> float | None:
    """What the traced request took more than a clean one, at the pace that the machine had then.

    The two requests are half a minute apart: the untraced steps of the traced one tell the pace.
    """
    if not traced_ns or not e2e_ms:
        return None
    clean = [step.wall_ns for step in decode_steps(profile)]
    untraced = [
        step.wall_ns
        for step in steps(profile, pass_name="anatomy", repetition=TRACED_REPETITION)
        if step.step and step.treatment == "clean"
    ]
    pace = median(untraced) / median(clean) if clean and untraced else 1.0
    return traced_ns / (e2e_ms * 1e6 * pace) - 1


def _sampled_ns(profile: Profile) -> int:
    return sum(window.wall_ns for window in profile.windows if window.kind == "sampled")


def _device(run: RunTree) -> dict[str, Any] | None:
    """What the GPU did in prefill and decode; None where none worked."""
    account = idle(run.tree, GENERATION)
    if account is None:
        return None
    return {
        "busy_s": (account.wall_ns - account.total_ns) / 1e9,
        "idle_s": account.total_ns / 1e9,
        "idle_share": account.total_ns / account.wall_ns if account.wall_ns else None,
        "idle_named_share": account.named_ns / account.total_ns if account.total_ns else None,
        "pace": run.device_pace,
        "idle_by_cause_s": {cause: own / 1e9 for cause, own in account.by_cause.items()},
    }


def _roofline(one: Roofline) -> dict[str, Any]:
    """One phase against the ceilings; times are of the whole phase."""
    return {
        "phase": one.phase,
        "steps": one.steps,
        "wall_s": one.wall_ns / 1e9,
        "floor_s": None if one.floor_ns is None else one.floor_ns / 1e9,
        "parts_s": {part: own / 1e9 for part, own in one.parts.items()},
        "flops": one.flops or None,
        "weight_bytes": one.weight_bytes or None,
        "kv_bytes": one.kv_bytes,
        "known_share": one.known_share,
        "mfu": one.mfu,
        "mfu_published": one.mfu_published,
        "mbu": one.mbu,
        "mbu_published": one.mbu_published,
    }


def finding_document(one: Finding) -> dict[str, Any]:
    """A finding as programs read it."""
    return {
        "name": one.name,
        "title": one.title,
        "scope": one.scope,
        "gain_s": one.gain_ns / 1e9,
        "gain_bytes": round(one.gain_bytes),
        "gain_share": one.gain_share,
        "evidence": list(one.evidence),
        "change": one.change,
        "variant": one.variant,
        "frames": list(one.frames),
    }


def _top(run: RunTree, limit: int) -> list[dict[str, Any]]:
    return [
        {
            "path": frame.path,
            "kind": frame.kind,
            "self_ms": frame.self_ns / 1e6,
            "share": frame.share,
            "calls": round(frame.calls),
            "bytes": round(frame.allocated_bytes),
        }
        for frame in top_frames(run.tree, limit)
    ]
