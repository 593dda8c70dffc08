"""Requests for exports of the hand-made profiles, and the consumer that reads some of them back."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from llmflame.exports.request import Request
from llmflame.store.profile import read_profile
from tests.handmade import handmade
from tests.handmade_gpu import handmade_gpu
from tests.handmade_memory import handmade_memory
from tests.handmade_stalls import handmade_stalls

HOSTILE = "a;b c\n<img src=x onerror=alert(1)>\x1b[31m\u202e\udc80|`*@x`"
PROFILES: Mapping[str, Callable[..., Path]] = {
    "cpu": handmade,
    "gpu": handmade_gpu,
    "memory": handmade_memory,
}
SLICED = "cpu with slices"
"""The same run as `cpu`, of which is known what its traced windows did when."""
THREADED = "cpu with threads"
"""And of which is known what other threads did."""
MADE: Mapping[str, Callable[..., Path]] = {
    **PROFILES,
    SLICED: partial(handmade, slices=True),
    THREADED: partial(handmade, slices=True, threads=True),
    "stalls": handmade_stalls,
}
on_each_profile = pytest.mark.parametrize("kind", PROFILES)
CONSUMERS = Path(__file__).parent / "consumers"
SPEEDSCOPE = CONSUMERS / "node_modules" / "speedscope" / "dist" / "release"
TRACE_MODEL = CONSUMERS / "node_modules" / "@tracerbench" / "trace-model"
needs_trace_model = pytest.mark.skipif(
    shutil.which("node") is None or not TRACE_MODEL.is_dir(),
    reason="needs node and tests/exports/consumers/node_modules (npm ci in that folder)",
)
needs_speedscope = pytest.mark.skipif(
    shutil.which("node") is None or not SPEEDSCOPE.is_dir(),
    reason="needs node and tests/exports/consumers/node_modules (npm ci in that folder)",
)


def request_of(folder: Path, kind: str, **wanted: Any) -> Request:
    """Of one of the hand-made profiles."""
    return Request(read_profile(MADE[kind](folder / f"{kind}.llmflame")), **wanted)


def in_speedscope(path: Path) -> list[dict[str, Any]]:
    """The profiles that speedscope's importer makes of a file, without a complaint."""
    read = read_by_node("speedscope.mjs", path)
    assert read["complaints"] == []
    profiles: list[dict[str, Any]] = read["profiles"]
    return profiles


def read_by_node(consumer: str, path: Path) -> Any:
    """What a script of the folder `consumers` prints about a file."""
    done = subprocess.run(
        ["node", CONSUMERS / consumer, path], capture_output=True, encoding="utf-8", timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    return json.loads(done.stdout)
