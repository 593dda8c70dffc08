"""What the summary says first, and what needs no tree: what ran, where, how it ended, and how fast it was."""

from __future__ import annotations

from typing import Any

from llmflame.analysis.latency import latency, phase_seconds
from llmflame.analysis.machine import machine_summary
from llmflame.store.profile import Profile

SUBJECT_FIELDS = (
    "model",
    "architecture",
    "parameters",
    "dtype",
    "device",
    "prompt_tokens",
    "new_tokens",
    "batch_size",
)


def opening(profile: Profile) -> dict[str, Any]:
    """Some fields of the document of `show --json`: a person can read them while the rest is worked out."""
    return {
        "status": profile.run.status,
        "reason": profile.run.reason,
        "machine": machine_summary(list(profile.machine)),
        "subject": {name: profile.subject.get(name) for name in SUBJECT_FIELDS},
        "latency": _latency(profile),
    }


def _latency(profile: Profile) -> dict[str, Any]:
    values = latency(profile)
    tpot = values.tpot
    return {
        "ttft_ms": values.ttft_ms,
        "tpot_ms": {
            "median": tpot.median_ms if tpot else None,
            "p10": tpot.p10_ms if tpot else None,
            "p90": tpot.p90_ms if tpot else None,
            "n": tpot.count if tpot else 0,
        },
        "e2e_ms": values.e2e_ms,
        "tokens_per_s": values.tokens_per_s,
        "load_s": phase_seconds(profile, "load"),
        "import_s": phase_seconds(profile, "import"),
    }
