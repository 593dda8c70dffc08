"""`pinned-load`: weights to the device through page-locked memory, while the next ones are read."""

from __future__ import annotations

from llmflame.lab.variants.setup import ScratchSetup
from llmflame.lab.variants.variant import Circumstances, Variant


def _scratch(setup: ScratchSetup) -> None:
    from llmflame.lab.modules.pinned import load

    setup.load = load


def _refusal(circumstances: Circumstances) -> str | None:
    return None if circumstances.device == "cuda" else "weights for the CPU need no copy to a device"


VARIANT = Variant(
    name="pinned-load",
    changes="Weights go through two page-locked buffers: one is copied to the device while the other is "
    "filled.",
    helps="A copy from ordinary memory goes through a small buffer of the driver's and holds the host up; "
    "this one runs beside the reading of the file.",
    phases=("load",),
    equality="bitwise",
    slot="load",
    apply={"scratch": _scratch},
    refusal=_refusal,
)
