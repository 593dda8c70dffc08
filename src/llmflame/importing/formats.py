"""Which formats are read, and how a file's is told from its beginning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from llmflame.errors import UsageError
from llmflame.importing.folded import folded_observation, iaprof_observation
from llmflame.importing.folded_frames import has_gpu_frames
from llmflame.importing.folded_lines import is_folded
from llmflame.importing.ncu import ncu_observation
from llmflame.importing.ncu_csv import is_ncu
from llmflame.importing.observation import Observation
from llmflame.importing.text_file import head


@dataclass(frozen=True, slots=True)
class Format:
    """`looks` tells from a file's beginning whether it is of this format."""

    looks: Callable[[str], bool]
    read: Callable[[Path], Observation]


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "ncu-csv": Format(is_ncu, ncu_observation),
        "iaprof": Format(lambda text: has_gpu_frames(text) and is_folded(text), iaprof_observation),
        "folded": Format(is_folded, folded_observation),
    }
)
"""In the order in which they are tried: collapsed stacks of a GPU are collapsed stacks too."""


def format_of(path: Path) -> str:
    """The name of a file's format. Raises UsageError where it is none that is known."""
    text = head(path)
    for name, form in FORMATS.items():
        if form.looks(text):
            return name
    known = ", ".join(FORMATS)
    raise UsageError(f"{path}: neither a table of Nsight Compute nor collapsed stacks (--format {known})")
