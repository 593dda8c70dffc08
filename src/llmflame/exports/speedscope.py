"""speedscope's file format: several weighted profiles over one list of frames.

https://www.speedscope.app/file-format-schema.json
"""

from __future__ import annotations

import json
from typing import Any

from llmflame.analysis.tree import Tree
from llmflame.exports.names import file_name, frame_name, one_line
from llmflame.exports.request import Request
from llmflame.exports.stacks import Stacks, with_own
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
    shared = {"$schema": SCHEMA, "shared": {"frames": frames.listed}}
    about = {
        "name": one_line(request.title),
        "activeProfileIndex": 0,
        "exporter": f"llmflame@{one_line(request.profile.run.llmflame_version)}",
    }
    listed = ",".join(filter(None, profiles))
    return f'{_encoded(shared)[:-1]},"profiles":[{listed}],{_encoded(about)[1:]}'


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


def _profile(name: str, unit: str, tree: Tree, metric: str, frames: _Frames) -> str:
    """A profile as text, empty without samples: most of the file is lists of small numbers."""
    own = tree.selfs[metric]
    stacks = Stacks(
        tree,
        lambda frame: str(frames.number(tree.frames[frame])),
        lambda above, number: f"{above},{number}",
    )
    nodes = with_own(tree, [own])
    if not nodes:
        return ""
    samples = "],[".join([stacks.of(node) for node in nodes])
    weights = [round(own[node], DIGITS) for node in nodes]
    head = {
        "type": "sampled",
        "name": name,
        "unit": unit,
        "startValue": 0,
        "endValue": round(sum(weights), DIGITS),
    }
    return f'{_encoded(head)[:-1]},"samples":[[{samples}]],"weights":{_encoded(weights)}}}'


def _encoded(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
