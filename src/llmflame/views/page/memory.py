"""What the page shows of memory: the memory document, charts over time, and trees of bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from llmflame.analysis.memory.overview import memory_document
from llmflame.analysis.tree import Tree
from llmflame.store.profile import Profile
from llmflame.views.page.curves import chart_data
from llmflame.views.page.held import held_columns


@dataclass(frozen=True, slots=True)
class PageMemory:
    """The memory of one run."""

    facts: Mapping[str, object]
    """The document that `llmflame show --view memory --json` prints."""
    charts: Mapping[str, object]
    """Curves and bands of phases, see `curves.py`."""
    held: Tree | None
    """Bytes by place, a metric for each peak; None where nobody counted."""


def page_memory(profile: Profile) -> PageMemory:
    """All that a profile says of memory."""
    return PageMemory(memory_document(profile), chart_data(profile), held_columns(profile))
