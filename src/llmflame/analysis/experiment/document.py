"""An experiment as one JSON document: `llmflame lab --json`, `llmflame show LAB --json`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from llmflame.analysis.experiment import agreement as limits
from llmflame.analysis.experiment.experiment import Experiment
from llmflame.analysis.experiment.results import Figures, Result
from llmflame.analysis.experiment.samples import METRIC_LABELS
from llmflame.analysis.experiment.speedup import CONFIDENCE, LEAST_EFFECT, Speedup

SCHEMA = 1
_SUBJECT = (
    "model", "spec", "source", "architecture", "parameters", "random_weights", "dtype", "device",
    "device_name", "engine", "prompt_tokens", "new_tokens", "rounds", "warmups", "repetitions",
    "time_limit_s", "threads", "seed", "ladder", "torch", "transformers",
)  # fmt: skip


def document(experiment: Experiment) -> dict[str, Any]:
    """Ratios and shares of 1, times in ns, sizes in bytes; null is "not known"."""
    run, subject = experiment.profile.run, experiment.subject
    best = experiment.best()
    return {
        "schema": SCHEMA,
        "view": "lab",
        "status": run.status,
        "reason": run.reason,
        "started_at": run.started_at,
        "subject": {name: subject.get(name) for name in _SUBJECT},
        "confidence": CONFIDENCE,
        "least_effect": LEAST_EFFECT,
        "limits": {
            "float32_delta_share": limits.FLOAT32_DELTA,
            "times_stock_error": limits.TIMES_STOCK_ERROR,
            "approximate_kl": limits.APPROXIMATE_KL,
            "approximate_perplexity_ratio": limits.APPROXIMATE_PERPLEXITY,
        },
        "ceilings": {
            "device": experiment.ceilings.device,
            "measured": asdict(experiment.ceilings.measured),
            "published": asdict(experiment.ceilings.published),
        },
        "batches": experiment.batches,
        "best": None if best is None else experiment.label(best),
        "rows": [_row(experiment, result) for result in experiment.results],
        "ladder": ladder(experiment.results),
    }


def ladder(results: Sequence[Result]) -> list[dict[str, Any]]:
    """The rungs that were kept, from the stock model up; [] where no ladder was asked for."""
    kept = [one for one in results if one.row.rung is not None and one.row.kept]
    rungs = [one for one in results if one.row.base is None or one in kept]
    if not any(one.row.rung is not None for one in results):
        return []
    order = sorted(rungs, key=lambda one: (one.row.batch, one.row.rung or 0))
    return [{"row": one.row.row, "batch": one.row.batch, "rung": one.row.rung or 0} for one in order]


def _row(experiment: Experiment, result: Result) -> dict[str, Any]:
    row = result.row
    return {
        "row": row.row,
        "batch": row.batch,
        "label": experiment.label(result),
        "engine": row.engine,
        "variants": row.variants.split("+") if row.variants else [],
        "class": row.equality,
        "phase": row.phase,
        "base": row.base,
        "rung": row.rung,
        "kept": bool(row.kept),
        "verdict": result.verdict,
        "reason": result.reason,
        "agreement": {
            "verdict": result.agreement.verdict,
            "words": result.agreement.words,
            "measures": {
                one.name: one.value
                for one in experiment.profile.agreements
                if (one.row, one.batch) == result.key
            },
        },
        "judged_by": METRIC_LABELS[result.metric],
        "speedup": _speedup(result.speedup),
        "step_speedup": _speedup(result.step),
        "figures": None if result.figures is None else _figures(result.figures),
        "memory": result.memory,
        "notes": list(result.notes),
        "has_profile": experiment.has_profile(result),
    }


def _speedup(one: Speedup | None) -> dict[str, Any] | None:
    if one is None:
        return None
    return {
        "ratio": one.ratio,
        "low": one.low,
        "high": one.high,
        "rounds": one.rounds,
        "verdict": one.verdict,
    }


def _figures(figures: Figures) -> dict[str, Any]:
    return asdict(figures)
