"""What torch.compile has done in this process, where anybody uses it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

REASON_LIMIT = 160
"""Characters of a reason that are kept: torch writes whole paragraphs."""


@dataclass(frozen=True, slots=True)
class CompilerCounts:
    """Graphs compiled so far, and why tracing was broken off, by torch's first line on it."""

    graphs: int = 0
    breaks: Mapping[str, int] = field(default_factory=dict)


def compiler_counts() -> CompilerCounts | None:
    """Dynamo's own counters; None where nothing was compiled. Imports nothing."""
    utils = sys.modules.get("torch._dynamo.utils")
    counters = getattr(utils, "counters", None)
    if not counters:
        return None
    graphs = int(dict(counters.get("stats", {})).get("unique_graphs", 0))
    breaks: dict[str, int] = {}
    for reason, count in dict(counters.get("graph_break", {})).items():
        first = str(reason).strip().splitlines()[0][:REASON_LIMIT] if str(reason).strip() else "unknown"
        breaks[first] = breaks.get(first, 0) + int(count)
    return CompilerCounts(graphs, breaks)
