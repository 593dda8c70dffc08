"""Which formats there are, what opens each, and which options it has a use for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from llmflame.exports.chrome import chrome
from llmflame.exports.csv_table import csv_table
from llmflame.exports.folded import folded
from llmflame.exports.json_document import json_document
from llmflame.exports.markdown import markdown
from llmflame.exports.parquet import parquet
from llmflame.exports.pprof import pprof
from llmflame.exports.pstats import pstats
from llmflame.exports.request import Request
from llmflame.exports.speedscope import speedscope

PHASES, METRIC, VIEW, ALL_FRAMES = "--phase", "--metric", "--view", "--all-frames"


@dataclass(frozen=True, slots=True)
class Format:
    """A format: `make` gives text, or bytes that no terminal should be shown."""

    suffix: str
    """Of the file, with what was chosen: `{metric}`, `{view}`."""
    make: Callable[[Request], str] | Callable[[Request], bytes]
    options: frozenset[str] = frozenset()
    is_text: bool = True

    def file_name(self, stem: str, request: Request) -> str:
        """A profile's name with the usual suffix."""
        return stem + self.suffix.format(metric=request.metric, view=request.view)


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "speedscope": Format(".speedscope.json", speedscope, frozenset((PHASES, ALL_FRAMES))),
        "folded": Format(".{metric}.folded", folded, frozenset((PHASES, METRIC, ALL_FRAMES))),
        "pstats": Format(".pstats", pstats, frozenset((PHASES, ALL_FRAMES)), is_text=False),
        "chrome": Format(".trace.json", chrome, frozenset((PHASES, ALL_FRAMES))),
        "pprof": Format(".pb.gz", pprof, frozenset((PHASES, ALL_FRAMES)), is_text=False),
        "csv": Format(".{view}.csv", csv_table, frozenset((PHASES, VIEW, ALL_FRAMES))),
        "parquet": Format(".{view}.parquet", parquet, frozenset((PHASES, VIEW, ALL_FRAMES)), is_text=False),
        "markdown": Format(".md", markdown),
        "json": Format(".json", json_document),
    }
)
