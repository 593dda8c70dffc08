"""`huge-pages`: weights in pages of 2 MiB instead of 4 KiB."""

from __future__ import annotations

from llmflame.lab.variants.setup import Setup, Stage
from llmflame.lab.variants.variant import Circumstances, Variant


def _apply(setup: Setup) -> None:
    from llmflame.lab.modules.huge_pages import move

    setup.change(Stage.LAYOUT, move)


def _refusal(circumstances: Circumstances) -> str | None:
    if circumstances.device != "cpu":
        return "it is about the CPU's memory; a GPU's pages are large already"
    from llmflame.lab.modules.huge_pages import refusal

    return refusal()


VARIANT = Variant(
    name="huge-pages",
    changes="After loading, weights are copied into memory for which the kernel is asked for 2 MiB pages.",
    helps="A step walks through all weights, which is one miss of the address table for every 4 KiB; and a "
    "core fetches ahead within a page alone. Loading takes a copy longer.",
    phases=("prefill", "decode"),
    equality="bitwise",
    slot="pages",
    apply={"scratch": _apply, "transformers": _apply},
    refusal=_refusal,
)
