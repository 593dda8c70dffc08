"""What the name of a frame tells of it, in a stack that somebody collapsed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from llmflame.store.observed import FrameKey

_PYTHON = re.compile(r"(?P<name>[^()]{1,1000})[ _]\((?P<file>[^()]{1,1000}\.py)(?::(?P<line>\d{1,9}))?\)")
"""As py-spy writes them, and with an underscore `llmflame export --format folded`."""
_ANNOTATED = re.compile(r"(?P<name>.+)_\[(?P<kind>[a-zA-Z])\]", re.DOTALL)
"""What flamegraph.pl colours by: `_[k]` of the kernel of the system, `_[j]` compiled at run time, `_[i]`
inlined, `_[w]` of a waker; iaprof adds `_[G]`, a function on the GPU, and `_[g]`, what lies below it."""
ON_DEVICE, BELOW = "G", "g"
INTEL_GROUPS = {
    "sbid": "device memory",
    "send": "device memory",
    "dist_acc": "arithmetic",
    "dist_or_acc": "arithmetic",
    "pipestall": "arithmetic",
    "pipe": "arithmetic",
    "control": "instruction fetch",
    "inst_fetch": "instruction fetch",
    "sync": "barriers",
    "active": "issuing",
    "tdr": "other",
}
"""The reasons that Intel's execution units give, in the groups of `analysis/stalls/reasons.py`."""


def frames_of(stack: Sequence[str]) -> Iterator[FrameKey]:
    """The frames of a plain stack."""
    for text in stack:
        yield _host(text)


def gpu_frames(stack: Sequence[str]) -> Iterator[FrameKey]:
    """Those of a stack that goes on on a GPU: its function is a kernel, below it stalls and instructions."""
    parted = [_parted(text) for text in stack]
    below = [place for place, (_, mark) in enumerate(parted) if mark == BELOW]
    # An instruction may be called as a reason is (`send`): the last such name is the reason.
    reason = max((place for place in below if _reason(parted[place][0]) in INTEL_GROUPS), default=None)
    for place, (name, mark) in enumerate(parted):
        if mark == ON_DEVICE:
            yield ("kernel", name, None, None, None)
        elif place == reason:
            yield ("stall_group", INTEL_GROUPS[_reason(name)], None, None, None)
            yield ("stall", name, None, None, None)
        elif mark == BELOW:
            yield ("instruction", name, None, None, None)
        else:
            yield _host(stack[place])


def has_gpu_frames(text: str) -> bool:
    """Does the beginning of a file name functions on a GPU as iaprof does?"""
    return f"_[{ON_DEVICE}]" in text or f"_[{BELOW}]" in text


def _parted(text: str) -> tuple[str, str | None]:
    """A frame's name and its annotation."""
    match = _ANNOTATED.fullmatch(text)
    return (match["name"], match["kind"]) if match is not None else (text, None)


def _reason(name: str) -> str:
    return name.lower().replace(" ", "_").removeprefix("stall_")


def _host(text: str) -> FrameKey:
    python = _PYTHON.fullmatch(text)
    if python is not None:
        line = int(python["line"]) if python["line"] else None
        return ("python", python["name"], python["file"], line, None)
    return ("other", _parted(text)[0], None, None, None)
