"""`chunked-prefill`: a prompt computed in parts."""

from __future__ import annotations

from llmflame.lab.variants.setup import HubSetup, ScratchSetup
from llmflame.lab.variants.variant import Variant

CHUNK = 512
"""Tokens: enough for products to be bound by arithmetic, few enough for small activations."""


def _scratch(setup: ScratchSetup) -> None:
    setup.prefill_chunk = CHUNK


def _hub(setup: HubSetup) -> None:
    setup.generate_options["prefill_chunk_size"] = CHUNK


VARIANT = Variant(
    name="chunked-prefill",
    changes=f"The prompt is computed {CHUNK} tokens at a time.",
    helps="Activations, and scores of written-out attention, are as large as a chunk and not as the prompt: "
    "less memory at its peak. A prompt shorter than a chunk is unchanged.",
    phases=("prefill",),
    equality="equivalent",
    slot="prefill",
    apply={"scratch": _scratch, "transformers": _hub},
)
