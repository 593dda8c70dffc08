"""`static-cache`: keys and values of a request written into one block of memory of fixed size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmflame.lab.variants.setup import HubSetup, ScratchSetup
from llmflame.lab.variants.variant import Variant

if TYPE_CHECKING:
    from llmflame.lab.variants.setup import LabCache
    from llmflame.scratch.model import LanguageModel


def _scratch(setup: ScratchSetup) -> None:
    setup.cache = make


def make(model: LanguageModel, rows: int, capacity: int) -> LabCache:
    """A static cache in the model's dtype, on its device."""
    from llmflame.lab.caches.static import StaticCache

    return StaticCache(model, rows, capacity)


def _hub(setup: HubSetup) -> None:
    setup.generate_options["cache_implementation"] = "static"


VARIANT = Variant(
    name="static-cache",
    changes="The KV cache is one block for the whole request; a step writes its column in place.",
    helps="A growing cache is copied whole for every token, and its shapes change, which neither a compiled "
    "step nor a CUDA graph can bear. transformers compiles the decode step itself with it on CUDA.",
    phases=("decode",),
    equality="equivalent",
    slot="cache",
    fills=("fixed-cache",),
    apply={"scratch": _scratch, "transformers": _hub},
)
