"""`sliding-cache`: keys and values of the last tokens alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmflame.lab.variants.setup import ScratchSetup
from llmflame.lab.variants.variant import Variant

if TYPE_CHECKING:
    from llmflame.lab.variants.setup import LabCache
    from llmflame.scratch.model import LanguageModel

SINKS, WINDOW = 4, 252
"""The first tokens are kept beside the last: without them text falls apart (Xiao et al. 2023)."""


def _scratch(setup: ScratchSetup) -> None:
    setup.cache = make


def make(model: LanguageModel, rows: int, capacity: int) -> LabCache:
    """A cache that shows a token its window alone."""
    from llmflame.lab.caches.sliding import SlidingCache

    return SlidingCache(model, rows, capacity, sinks=SINKS, window=WINDOW)


VARIANT = Variant(
    name="sliding-cache",
    changes=f"A step looks at the first {SINKS} tokens and the last {WINDOW} alone.",
    helps="What a step reads of the cache stops growing with the text. What lies further back is forgotten, "
    f"so outputs change as soon as a text has more than {SINKS + WINDOW} tokens.",
    phases=("decode",),
    equality="approximate",
    slot="cache",
    apply={"scratch": _scratch},
)
