"""A plan as one document, for programs and for views."""

from __future__ import annotations

from typing import Any

from llmflame.planning.bisection import Most
from llmflame.planning.plan import Plan

SCHEMA = 1


def document(plan: Plan) -> dict[str, Any]:
    """What `llmflame plan --json` prints; docs/plan.md describes it. Amounts in bytes."""
    request, device, footprint = plan.request, plan.device, plan.footprint
    return {
        "schema": SCHEMA,
        "view": "plan",
        "model": {
            "name": plan.model,
            "architecture": plan.architecture,
            "parameters": plan.parameters,
            "checkpoint_dtype": plan.checkpoint_dtype,
            "most_tokens": plan.most_tokens,
            "module_bytes": dict(plan.module_bytes),
        },
        "request": {
            "batch": request.batch,
            "context": request.prompt_tokens,
            "new_tokens": request.new_tokens,
            "dtype": plan.dtype,
            "attention": plan.attention,
        },
        "device": {
            "name": device.name,
            "kind": device.kind,
            "total_bytes": device.total_bytes,
            "estimated": device.estimated,
            "source": device.source,
        },
        "fits": plan.fits,
        "peak_phase": plan.peak.name,
        "peak_bytes": plan.peak.total,
        "phases": [
            {
                "phase": phase.name,
                "space": phase.space,
                "total_bytes": phase.total,
                "categories": [
                    {
                        "category": item.category,
                        "bytes": item.bytes,
                        "estimated": item.estimated,
                        "formula": item.formula,
                    }
                    for item in phase.items
                ],
            }
            for phase in plan.phases
        ],
        "kv_cache": {
            "bytes_per_token": round(footprint.kv_bytes_per_token),
            "bytes": footprint.kv_bytes,
        },
        "logits_bytes": footprint.prefill.logits,
        "most_batch": _most(plan.most_batch),
        "most_context": _most(plan.most_context),
        "method": footprint.method,
        "notes": list(plan.notes),
    }


def _most(most: Most) -> dict[str, Any]:
    return {"value": most.value, "capped": most.capped, "exact": most.exact}
