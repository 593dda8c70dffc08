"""`batch-N`: as many sequences at once."""

from __future__ import annotations

from llmflame.lab.variants.setup import Setup
from llmflame.lab.variants.variant import Variant

SIZES = (2, 4, 8, 16, 32, 64)


def batch(size: int) -> Variant:
    """That many sequences; the first is the one of a trial without it."""

    def apply(setup: Setup) -> None:
        setup.batch = size

    return Variant(
        name=f"batch-{size}",
        changes=f"{size} prompts of the same length are run together.",
        helps="Weights are read once for all of them, so tokens a second grow almost by the number, until "
        "arithmetic or the KV cache becomes the limit; a single sequence gets slower.",
        phases=("prefill", "decode"),
        equality="equivalent",
        slot="batch",
        apply={"scratch": apply, "transformers": apply},
    )


VARIANTS = tuple(batch(size) for size in SIZES)
