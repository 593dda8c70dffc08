"""`fused-kernels`: a decode step of one sequence in kernels of our own."""

from __future__ import annotations

from llmflame.lab.variants.setup import Room, ScratchSetup, Step
from llmflame.lab.variants.variant import Circumstances, Variant

_CPU_DTYPES = ("float32", "bfloat16")


def _scratch(setup: ScratchSetup) -> None:
    on_cpu = setup.device == "cpu"
    setup.kernels = _cpu_step if on_cpu else _cuda_step
    if on_cpu:
        setup.prefill = _cpu_prompt


def _cpu_step(room: Room) -> Step:
    from llmflame.lab.kernels.cpu_step import CpuStep

    return CpuStep(room)


def _cpu_prompt(room: Room) -> Step:
    from llmflame.lab.kernels.cpu_step import CpuPrompt
    from llmflame.lab.scratch_runner import last

    return CpuPrompt(room, last(room))


def _cuda_step(room: Room) -> Step:
    from llmflame.lab.kernels.decode import KernelStep
    from llmflame.lab.scratch_runner import plain

    return KernelStep(room, plain(room), tune=True)


def _refusal(circumstances: Circumstances) -> str | None:
    if circumstances.batch != 1:
        return f"its kernels are made for one sequence, not {circumstances.batch}"
    if circumstances.device == "cpu":
        if circumstances.dtype not in _CPU_DTYPES:
            return f"its C++ computes in {' and '.join(_CPU_DTYPES)}, not in {circumstances.dtype}"
        return None if circumstances.compiler else "it needs a C++ compiler, and finds none"
    if "triton" not in circumstances.modules:
        return "it needs triton, which isn't installed"
    return None


VARIANT = Variant(
    name="fused-kernels",
    changes="A decode step in kernels of our own: on CUDA five of Triton's a layer, in the tiles that are "
    "fastest on this device; on the CPU all layers in one call of C++, which computes short prompts, too.",
    helps="A step must read every weight once. What is lost to that are gaps between operators, and reads "
    "that start too late or too few at once; few kernels have little of either.",
    phases=("prefill", "decode"),
    equality="equivalent",
    slot="compile",
    fills=("layout",),
    apply={"scratch": _scratch},
    refusal=_refusal,
    needs=("static-cache", "projections"),
)
