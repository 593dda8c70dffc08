"""`int8`, `fp8` and `int4`: weights of fewer bits, activations as they are."""

from __future__ import annotations

from llmflame.lab.variants.setup import ScratchSetup, Stage
from llmflame.lab.variants.variant import Circumstances, Variant

_FP8_CAPABILITY = (8, 9)


def _int8(setup: ScratchSetup) -> None:
    from llmflame.lab.modules.int8 import quantise

    setup.change(Stage.QUANTISE, quantise)


def _int4(setup: ScratchSetup) -> None:
    from llmflame.lab.modules.int4 import quantise

    setup.change(Stage.QUANTISE, quantise)


def _fp8(setup: ScratchSetup) -> None:
    from llmflame.lab.modules.int8 import quantise_to_fp8

    setup.change(Stage.QUANTISE, quantise_to_fp8)


def _no_fp8(circumstances: Circumstances) -> str | None:
    if circumstances.device != "cuda":
        return "CPUs have no instructions for 8-bit floats"
    if circumstances.capability is None or circumstances.capability < _FP8_CAPABILITY:
        return "this device converts no 8-bit floats: compute capability 8.9 is the first that does"
    return None


INT8 = Variant(
    name="int8",
    changes="Weights of all linear layers are 8-bit numbers, with a factor for each row.",
    helps="A step of one sequence reads half the bytes of bfloat16. It pays where a kernel multiplies them "
    "as they are; else they are written out again first, which costs more than it saves.",
    phases=("decode",),
    equality="approximate",
    slot="weights",
    apply={"scratch": _int8},
)
INT4 = Variant(
    name="int4",
    changes="Weights of the layers are 4-bit numbers, a factor and an offset for each 64; the head 8-bit.",
    helps="A quarter of the bytes of bfloat16, at the price of more noise: see its KL divergence.",
    phases=("decode",),
    equality="approximate",
    slot="weights",
    apply={"scratch": _int4},
)
FP8 = Variant(
    name="fp8",
    changes="Weights of all linear layers are 8-bit floats (e4m3), with a factor for each row.",
    helps="As many bytes as int8; its steps are finer near zero and coarser far from it.",
    phases=("decode",),
    equality="approximate",
    slot="weights",
    apply={"scratch": _fp8},
    refusal=_no_fp8,
)
