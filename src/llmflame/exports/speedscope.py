"""speedscope's file format: several weighted profiles over one list of frames.

https://www.speedscope.app/file-format-schema.json
"""

from __future__ import annotations

import json
from typing import Any

from llmflame.analysis.tree import Tree
from llmflame.exports.names import file_name, frame_name, one_line
from llmflame.exports.request import Request
from llmflame.exports.stacks import stacks
from llmflame.store import metrics
from llmflame.store.model import Frame

SCHEMA = "https://www.speedscope.app/file-format-schema.json"
TIMES = (metrics.WALL, metrics.HOST, metrics.DEVICE, metrics.IDLE)
DIGITS = 3
"""After the point of a weight: a thousandth of a nanosecond is less than any clock tells."""


def speedscope(request: Request) -> str:
    """Wall, host, device and idle time of the run, and the bytes that are held at each phase's peak."""
    frames = _Frames()
    profiles = [
        _profile(metric.label, "nanoseconds", request.tree, metric.name, frames)
        for metric in TIMES
        if metric.name in request.tree.selfs
    ]
    for peak in request.peaks:
        name = f"Bytes held at the peak of {one_line(peak.phase)} ({peak.space})"
        tree, metric_name = request.held(peak)
        profiles.append(_profile(name, "bytes", tree, metric_name, frames))
    document = {
        "$schema": SCHEMA,
        "shared": {"frames": frames.listed},
        "profiles": [profile for profile in profiles if profile["samples"]],
        "name": one_line(request.title),
        "activeProfileIndex": 0,
        "exporter": f"llmflame@{one_line(request.profile.run.llmflame_version)}",
    }
    return json.dumps(document, separators=(",", ":"), allow_nan=False)


class _Frames:
    """The shared list; equal frames are one."""

    def __init__(self) -> None:
        self.listed: list[dict[str, Any]] = []
        self._numbers: dict[Frame, int] = {}

    def number(self, frame: Frame) -> int:
        """A frame's place in the list."""
        number = self._numbers.get(frame)
        if number is None:
            number = self._numbers[frame] = len(self.listed)
            entry: dict[str, Any] = {"name": frame_name(frame)}
            if frame.file is not None:
                entry["file"] = file_name(frame)
            if frame.line is not None:
                entry["line"] = frame.line
            self.listed.append(entry)
        return number


def _profile(name: str, unit: str, tree: Tree, metric: str, frames: _Frames) -> dict[str, Any]:
    own = tree.selfs[metric]
    samples, weights = [], []
    numbers: dict[int, int] = {}
    for node, path in stacks(tree, [own]):
        for place in path:
            if place not in numbers:
                numbers[place] = frames.number(tree.frames[place])
        samples.append([numbers[place] for place in path])
        weights.append(round(own[node], DIGITS))
    return {
        "type": "sampled",
        "name": name,
        "unit": unit,
        "startValue": 0,
        "endValue": round(sum(weights), DIGITS),
        "samples": samples,
        "weights": weights,
    }
