"""`packed-weights`: weights laid out once for oneDNN's own products on the CPU."""

from __future__ import annotations

from llmflame.lab.variants.setup import ScratchSetup, Stage
from llmflame.lab.variants.variant import Circumstances, Variant


def _scratch(setup: ScratchSetup) -> None:
    from llmflame.lab.modules.packed import pack

    setup.change(Stage.LAYOUT, pack)


def _refusal(circumstances: Circumstances) -> str | None:
    if circumstances.device != "cpu":
        return "the layouts are oneDNN's, for the CPU"
    import torch

    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return "this torch is built without oneDNN"
    if circumstances.dtype == "float16" and "avx512_fp16" not in circumstances.cpu_flags:
        return "oneDNN computes in float16 on CPUs with AVX512-FP16 alone"
    if circumstances.dtype == "bfloat16" and not circumstances.cpu_flags & {"avx512bw", "amx_bf16", "bf16"}:
        return "oneDNN computes in bfloat16 on CPUs with AVX-512 or AMX alone"
    return None


VARIANT = Variant(
    name="packed-weights",
    changes="Weights of linear layers are reordered for oneDNN's kernels, once, after loading.",
    helps="The kernel that torch takes for one row of bfloat16 reads its weights at half of what memory "
    "gives; oneDNN's own, given its own layout, reads faster. In float32 it changes little.",
    phases=("prefill", "decode"),
    equality="equivalent",
    slot="layout",
    apply={"scratch": _scratch},
    refusal=_refusal,
)
