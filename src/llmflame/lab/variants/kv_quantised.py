"""`kv-int8` and `kv-fp8`: keys and values of 8 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmflame.lab.variants.setup import HubSetup, ScratchSetup
from llmflame.lab.variants.variant import Circumstances, Variant

if TYPE_CHECKING:
    from llmflame.lab.variants.setup import LabCache
    from llmflame.scratch.model import LanguageModel

_FP8_CAPABILITY = (8, 9)
_HELPS = (
    "Half the cache of bfloat16, so longer texts or larger batches fit; a step reads less where a kernel "
    "takes it as it is. Here it is written out again for attention, which costs time: it saves memory alone."
)


def _variant(name: str, dtype: str, changes: str) -> Variant:
    def scratch(setup: ScratchSetup) -> None:
        def make(model: LanguageModel, rows: int, capacity: int) -> LabCache:
            import torch

            from llmflame.lab.caches.quantised import QuantisedCache

            return QuantisedCache(model, rows, capacity, getattr(torch, dtype))

        setup.cache = make
        setup.kv_element = 1.0

    def hub(setup: HubSetup) -> None:
        setup.generate_options |= {
            "cache_implementation": "quantized",
            "cache_config": {"backend": "quanto", "nbits": 8},
        }
        setup.kv_element = 1.0

    return Variant(
        name=name,
        changes=changes,
        helps=_HELPS,
        phases=("decode",),
        equality="approximate",
        slot="cache",
        fills=("fixed-cache",),
        apply={"scratch": scratch, "transformers": hub} if name == "kv-int8" else {"scratch": scratch},
        refusal=lambda circumstances: _refusal(name, circumstances),
    )


def _refusal(name: str, circumstances: Circumstances) -> str | None:
    if circumstances.engine == "transformers" and "optimum" not in circumstances.modules:
        return "transformers' quantized cache needs optimum-quanto, which isn't installed"
    if name == "kv-fp8" and circumstances.device == "cuda" and not _converts_fp8(circumstances.capability):
        return "this device converts no 8-bit floats: compute capability 8.9 is the first that does"
    return None


def _converts_fp8(capability: tuple[int, int] | None) -> bool:
    return capability is not None and capability >= _FP8_CAPABILITY


VARIANTS = (
    _variant("kv-int8", "int8", "Each key and value is 8-bit numbers with a factor of its own."),
    _variant("kv-fp8", "float8_e4m3fn", "The same with 8-bit floats (e4m3)."),
)
