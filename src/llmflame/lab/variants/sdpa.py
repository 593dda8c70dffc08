"""`sdpa` and its back ends: attention by torch's fused function instead of its formula written out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmflame.lab.variants.setup import HubSetup, ScratchSetup, Stage
from llmflame.lab.variants.variant import Circumstances, Variant

if TYPE_CHECKING:
    from torch import Tensor

    from llmflame.scratch.model import Attend


def _with(backend: str | None) -> Attend:
    from torch.nn import functional
    from torch.nn.attention import SDPBackend, sdpa_kernel

    def attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """As `scratch.model.attend`; the mask is all that says what is past, so none is called causal."""
        shared = queries.shape[1] // keys.shape[1]
        if shared > 1 and backend in _ONE_KEY_A_QUERY:
            keys, values = (heads.repeat_interleave(shared, dim=1) for heads in (keys, values))
        return functional.scaled_dot_product_attention(
            queries, keys, values, attn_mask=mask, enable_gqa=keys.shape[1] != queries.shape[1]
        )

    def attend_by(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        with sdpa_kernel(getattr(SDPBackend, str(backend))):
            return attend(queries, keys, values, mask)

    return attend if backend is None else attend_by


def _variant(name: str, backend: str | None, changes: str, helps: str) -> Variant:
    def scratch(setup: ScratchSetup) -> None:
        def replace(model: Any) -> None:
            for layer in model.model.layers:
                layer.self_attn.attend = _with(backend)

        setup.change(Stage.REPLACE, replace)

    def hub(setup: HubSetup) -> None:
        setup.load_options["attn_implementation"] = "sdpa"
        if backend is not None:
            setup.before_load.append(lambda: _allow_only(backend))

    return Variant(
        name=name,
        changes=changes,
        helps=helps,
        phases=("prefill", "decode"),
        equality="equivalent",
        slot="attention",
        apply={"scratch": scratch, "transformers": hub},
        refusal=lambda circumstances: _refusal(backend, circumstances),
    )


_ONE_KEY_A_QUERY = ("EFFICIENT_ATTENTION",)
"""Back ends that have no kernel for query heads that share a key head."""
_SWITCHES = {
    "MATH": "enable_math_sdp",
    "FLASH_ATTENTION": "enable_flash_sdp",
    "EFFICIENT_ATTENTION": "enable_mem_efficient_sdp",
}


def _allow_only(backend: str) -> None:
    """torch's own switches, for the whole process."""
    import torch

    for name, switch in _SWITCHES.items():
        getattr(torch.backends.cuda, switch)(name == backend)


def _refusal(backend: str | None, circumstances: Circumstances) -> str | None:
    if backend == "EFFICIENT_ATTENTION" and circumstances.device == "cpu":
        return "torch has this back end on CUDA alone"
    if backend == "FLASH_ATTENTION" and circumstances.device == "cuda":
        if circumstances.engine == "scratch":
            return "torch's flash attention takes no mask on CUDA, and this engine always gives one"
        if circumstances.dtype == "float32":
            return "torch's flash attention computes in bfloat16 and float16 alone"
    return None


VARIANTS = (
    _variant(
        "sdpa",
        None,
        "Attention by torch's scaled_dot_product_attention, which chooses a back end itself.",
        "Scores and weights stay on the chip instead of being written and read again; it matters for long "
        "texts, and a step of a short one saves some operators.",
    ),
    _variant(
        "sdpa-math",
        "MATH",
        "The same function, by its back end of plain operators.",
        "What the fused back ends are compared with.",
    ),
    _variant(
        "sdpa-flash",
        "FLASH_ATTENTION",
        "The same function, by FlashAttention.",
        "Tiles of keys and values with a running softmax: memory that grows with the text, not its square.",
    ),
    _variant(
        "sdpa-efficient",
        "EFFICIENT_ATTENTION",
        "The same function, by xFormers' memory-efficient kernels.",
        "The fused kernels that take any mask, and float32.",
    ),
)
