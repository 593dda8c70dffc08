"""Which formats there are, and which options each has a use for. A format is imported when it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from llmflame.analysis.experiment.experiment import is_experiment
from llmflame.exports.request import Request

PHASES, METRIC, VIEW, ALL_FRAMES = "--phase", "--metric", "--view", "--all-frames"


@dataclass(frozen=True, slots=True)
class Format:
    """A format: `make` gives text, or bytes that no terminal should be shown."""

    suffix: str
    """Of the file, with what was chosen: `{metric}`, `{view}`."""
    make: Callable[[Request], str] | Callable[[Request], bytes]
    options: frozenset[str] = frozenset()
    is_text: bool = True
    timelines: bool = False
    """Whether it shows windows over time."""
    cells: bool = True
    """Whether it tells what frames took."""

    def file_name(self, stem: str, request: Request) -> str:
        """A profile's name with the usual suffix."""
        return stem + self.suffix.format(metric=request.metric, view=request.view)


def _speedscope(request: Request) -> str:
    from llmflame.exports.speedscope import speedscope

    return speedscope(request)


def _folded(request: Request) -> str:
    from llmflame.exports.folded import folded

    return folded(request)


def _pstats(request: Request) -> bytes:
    from llmflame.exports.pstats import pstats

    return pstats(request)


def _chrome(request: Request) -> str:
    from llmflame.exports.chrome import chrome

    return chrome(request)


def _pprof(request: Request) -> bytes:
    from llmflame.exports.pprof import pprof

    return pprof(request)


def _csv(request: Request) -> str:
    from llmflame.exports.csv_table import csv_table

    return csv_table(request)


def _parquet(request: Request) -> bytes:
    from llmflame.exports.parquet import parquet

    return parquet(request)


def _markdown(request: Request) -> str:
    if is_experiment(request.profile):
        from llmflame.exports.lab_markdown import lab_markdown

        return lab_markdown(request.profile)
    from llmflame.exports.markdown import markdown

    return markdown(request)


def _json(request: Request) -> str:
    if is_experiment(request.profile):
        from llmflame.exports.lab_json import lab_json

        return lab_json(request.profile)
    from llmflame.exports.json_document import json_document

    return json_document(request)


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "speedscope": Format(".speedscope.json", _speedscope, frozenset((PHASES, ALL_FRAMES))),
        "folded": Format(".{metric}.folded", _folded, frozenset((PHASES, METRIC, ALL_FRAMES))),
        "pstats": Format(".pstats", _pstats, frozenset((PHASES, ALL_FRAMES)), is_text=False),
        "chrome": Format(
            ".trace.json", _chrome, frozenset((PHASES, ALL_FRAMES)), timelines=True, cells=False
        ),
        "pprof": Format(".pb.gz", _pprof, frozenset((PHASES, ALL_FRAMES)), is_text=False),
        "csv": Format(".{view}.csv", _csv, frozenset((PHASES, VIEW, ALL_FRAMES))),
        "parquet": Format(".{view}.parquet", _parquet, frozenset((PHASES, VIEW, ALL_FRAMES)), is_text=False),
        "markdown": Format(".md", _markdown),
        "json": Format(".json", _json),
    }
)
