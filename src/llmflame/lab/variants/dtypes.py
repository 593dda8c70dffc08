"""`float32`, `bf16` and `fp16`: how many bits a weight, an activation and the KV cache have."""

from __future__ import annotations

from llmflame.lab.variants.setup import Setup
from llmflame.lab.variants.variant import Equality, Variant


def _variant(name: str, dtype: str, equality: Equality, helps: str) -> Variant:
    def apply(setup: Setup) -> None:
        setup.dtype = dtype

    return Variant(
        name=name,
        changes=f"The model is loaded and computes in {dtype}.",
        helps=helps,
        phases=("load", "prefill", "decode"),
        equality=equality,
        slot="dtype",
        apply={"scratch": apply, "transformers": apply},
    )


VARIANTS = (
    _variant(
        "float32",
        "float32",
        "approximate",
        "Twice the bytes of bfloat16, and the precision in which equality can be checked token by token.",
    ),
    _variant(
        "bf16",
        "bfloat16",
        "approximate",
        "Half the bytes of float32, and of its matrix units' work. On a CPU without instructions for it, "
        "products may be slower than in float32.",
    ),
    _variant(
        "fp16",
        "float16",
        "approximate",
        "As bf16, with more digits and a range that large activations can leave.",
    ),
)
