"""The variants, and whether this machine can do them."""

from __future__ import annotations

from typing import Any, Literal

from llmflame.lab.circumstances import circumstances
from llmflame.lab.rows import BATCH
from llmflame.lab.trial import Engine, TrialSpec
from llmflame.lab.trial_run import setup_of
from llmflame.lab.variants.registry import VARIANTS
from llmflame.lab.variants.variant import Circumstances, Variant

SCHEMA = 1


def listing(engine: Engine, device: Literal["cpu", "cuda"], dtype: str) -> dict[str, Any]:
    """The document of `llmflame lab --list --json`. Imports torch.

    `refusal` is why a variant can't be done here by that engine, null where it can. What depends on the
    model is only known once a trial runs.
    """
    spec = TrialSpec("", engine, (), device, dtype, 1, 1, 2, 0, 1, None, 0, "")
    here = circumstances(spec, setup_of(spec, ()), None)
    return {
        "schema": SCHEMA,
        "view": "variants",
        "engine": engine,
        "device": device,
        "dtype": dtype,
        "variants": [
            {
                "name": variant.name,
                "class": variant.equality,
                "phases": list(variant.phases),
                "kind": variant.slot,
                "needs": list(variant.needs),
                "engines": list(variant.engines),
                "changes": variant.changes,
                "helps": variant.helps,
                "refusal": _refusal(variant, here),
            }
            for variant in VARIANTS
            if variant.slot != BATCH
        ],
    }


def _refusal(variant: Variant, here: Circumstances) -> str | None:
    if here.engine not in variant.apply:
        return f"it applies to {' and '.join(variant.apply)} alone"
    return variant.refusal(here)
