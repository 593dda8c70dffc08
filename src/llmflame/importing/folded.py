"""Collapsed stacks as a tree of samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from llmflame.errors import UsageError
from llmflame.importing.folded_frames import frames_of, gpu_frames
from llmflame.importing.folded_lines import read_stacks
from llmflame.importing.observation import Observation
from llmflame.store import metrics
from llmflame.store.observed import FrameKey

Frames = Callable[[Sequence[str]], Iterator[FrameKey]]
NO_TIMES = "collapsed stacks tell no times: widths are samples"


def folded_observation(path: Path) -> Observation:
    """Read collapsed stacks of anything. Raises UsageError where there is none."""
    return _observation(path, "collapsed stacks", frames_of)


def iaprof_observation(path: Path) -> Observation:
    """Read collapsed stacks that go on on a GPU, as iaprof's. Raises UsageError where there is none."""
    return _observation(path, "collapsed GPU stacks (iaprof)", gpu_frames)


def _observation(path: Path, source: str, frames: Frames) -> Observation:
    found = Observation(path.stem, source, notes=[NO_TIMES])
    for stack, value in read_stacks(path):
        node = found.tree.descend(0, frames(stack))
        found.tree.add(node, metrics.SAMPLES.name, value)
    if len(found.tree) == 1:
        raise UsageError(f"{path}: no stack in it, as in main;forward;mm 12")
    return found
