"""`run-ahead`: the next step is started before the last token is read."""

from __future__ import annotations

from llmflame.lab.variants.setup import ScratchSetup
from llmflame.lab.variants.variant import Circumstances, Variant


def _scratch(setup: ScratchSetup) -> None:
    setup.run_ahead = True


def _refusal(circumstances: Circumstances) -> str | None:
    return None if circumstances.device == "cuda" else "a CPU has no queue to run ahead in"


VARIANT = Variant(
    name="run-ahead",
    changes="The host queues the next step, then waits for the last one's token, which is copied behind it.",
    helps="The device doesn't wait while the host reads a token and starts a step. A text that ends has "
    "computed one step too many.",
    phases=("decode",),
    equality="bitwise",
    slot="readback",
    apply={"scratch": _scratch},
    refusal=_refusal,
)
