"""`fused-projections`: queries, keys and values from one matrix product, gate and up from another."""

from __future__ import annotations

from llmflame.lab.variants.setup import ScratchSetup, Stage
from llmflame.lab.variants.variant import Variant


def _scratch(setup: ScratchSetup) -> None:
    from llmflame.lab.modules.fused import fuse

    setup.change(Stage.FUSE, fuse)


VARIANT = Variant(
    name="fused-projections",
    changes="Three projections of attention become one, and two of the feed-forward network.",
    helps="Fewer and larger products: less overhead for each, and more of the memory's bandwidth. "
    "Of large batches it changes little.",
    phases=("prefill", "decode"),
    equality="equivalent",
    slot="projections",
    apply={"scratch": _scratch},
)
