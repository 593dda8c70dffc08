"""`cuda-graph`: all kernels of a decode step started with one call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmflame.lab.variants.setup import Room, ScratchSetup, Step
from llmflame.lab.variants.variant import Circumstances, Variant

if TYPE_CHECKING:
    from llmflame.lab.steps.graph import GraphStep


def _scratch(setup: ScratchSetup) -> None:
    setup.capture = _capture


def _capture(step: Step, room: Room) -> GraphStep:
    from llmflame.lab.steps.graph import GraphStep

    return GraphStep(step, room)


def _refusal(circumstances: Circumstances) -> str | None:
    return None if circumstances.device == "cuda" else "CUDA graphs need a CUDA device"


VARIANT = Variant(
    name="cuda-graph",
    changes="A decode step is captured once as a CUDA graph and replayed for each token.",
    helps="A step of one sequence has hundreds of kernels of a few microseconds, and starting one takes "
    "the host longer than that: replayed, the device no longer waits for it.",
    phases=("decode",),
    equality="bitwise",
    slot="graph",
    apply={"scratch": _scratch},
    refusal=_refusal,
    needs=("fixed-cache",),
)
