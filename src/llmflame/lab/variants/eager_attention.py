"""`eager-attention`: transformers' attention written out as its formula."""

from __future__ import annotations

from llmflame.lab.variants.setup import HubSetup
from llmflame.lab.variants.variant import Variant


def _hub(setup: HubSetup) -> None:
    setup.load_options["attn_implementation"] = "eager"


VARIANT = Variant(
    name="eager-attention",
    changes="Attention as plain operators: transformers' own choice is sdpa, the scratch engine's is this.",
    helps="It doesn't: it is what the fused back ends are compared with, and what some models still run.",
    phases=("prefill", "decode"),
    equality="equivalent",
    slot="attention",
    apply={"transformers": _hub},
)
