"""`compile` and its modes: the decode step as one graph of generated kernels."""

from __future__ import annotations

from llmflame.lab.variants.setup import HubSetup, Room, ScratchSetup, Step
from llmflame.lab.variants.variant import Circumstances, Variant


def _variant(name: str, mode: str | None, changes: str, helps: str, fills: tuple[str, ...] = ()) -> Variant:
    def scratch(setup: ScratchSetup) -> None:
        def compile_step(step: Step, room: Room) -> Step:
            from llmflame.lab.steps.compiled import compiled

            return compiled(step, room, mode=mode)

        setup.compile = compile_step
        setup.compiles = True

    def hub(setup: HubSetup) -> None:
        setup.generate_options["compile_mode"] = mode or "default"
        setup.compiles = True

    return Variant(
        name=name,
        changes=changes,
        helps=helps,
        phases=("decode",),
        equality="equivalent",
        slot="compile",
        fills=fills,
        apply={"scratch": scratch, "transformers": hub},
        refusal=lambda circumstances: _refusal(mode, circumstances),
        needs=("fixed-cache",),
    )


def _refusal(mode: str | None, circumstances: Circumstances) -> str | None:
    if circumstances.device == "cuda" and "triton" not in circumstances.modules:
        return "torch.compile needs triton for a CUDA device, which isn't installed"
    if circumstances.device == "cpu" and not circumstances.compiler:
        return "torch.compile needs a C++ compiler for the CPU, and finds none"
    if circumstances.device == "cpu" and mode == "reduce-overhead":
        return "this mode is CUDA graphs, which need a CUDA device"
    return None


VARIANTS = (
    _variant(
        "compile",
        None,
        "The decode step is compiled by torch.compile as one graph of fixed shapes.",
        "Operators between matrix products become one kernel each, and Python no longer runs between them. "
        "Compiling takes from seconds to minutes.",
    ),
    _variant(
        "compile-reduce-overhead",
        "reduce-overhead",
        "The same, with torch's own CUDA graphs of what was compiled.",
        "The host starts a whole step at once.",
        fills=("graph",),
    ),
    _variant(
        "compile-max-autotune",
        "max-autotune-no-cudagraphs",
        "The same, with kernels chosen by trying them on this machine.",
        "On CUDA a product with one vector becomes a reduction that reads weights faster than a library's "
        "GEMV; on the CPU generated products compete with the library's. Compiling takes minutes.",
    ),
)
