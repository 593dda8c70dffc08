"""On a CUDA device: copies, streams, ranges, graphs and compiled code, each in a small program of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import llmflame
from llmflame.analysis.device_checks import PROBE, device_checks
from llmflame.analysis.run_tree import build_run_tree
from llmflame.analysis.timeline import blocking
from llmflame.analysis.windows import WindowIndex
from llmflame.store.profile import Profile
from tests.gpu import small
from tests.gpu.small import by_launch, frames_above, traced_steps, works_of
from tests.integration.test_live import assert_conserved

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
ROOT = Path(__file__).parents[2]
GRAPH = "cudaGraphLaunch [graph]"
OF_THE_RECORDING = ("launches", "work on the tree", "clocks", "allocator")
LIMIT_S = 300


def assert_sound(profile: Profile) -> None:
    assert profile.run.status == "complete"
    assert_conserved(profile)
    checks = {check.name: check for check in device_checks(profile, build_run_tree(profile))}
    for name in OF_THE_RECORDING:
        assert checks[name].passed, checks[name].words
    assert [window.dropped for window in profile.windows] == [0] * len(profile.windows)


def recorded_apart(program: str, output: Path) -> Profile:
    """In a process in which nothing was traced before."""
    command = [sys.executable, "-m", "tests.gpu.small", program, str(output)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stderr
    return llmflame.open(output)


def names_of(profile: Profile, kind: str) -> set[str]:
    return {frame.name for frame in profile.frames.values() if frame.kind == kind}


def test_a_pageable_copy_blocks_its_call_and_says_its_bytes(tmp_path: Path) -> None:
    profile = small.record(small.Copying(), tmp_path / "a.llmflame")
    assert_sound(profile)
    index = WindowIndex(profile)
    for window in traced_steps(profile):
        large = [work for work in works_of(profile, window) if work.bytes == small.PAGEABLE_BYTES]
        assert len(large) == 1, "one a step"
        copy, call, *_ = frames_above(profile, large[0].node)
        assert copy.kind == "copy" and copy.name.startswith("Memcpy HtoD (Pageable")
        assert (call.kind, call.name) == ("runtime", "cudaMemcpyAsync")
        traced = index.traced(window)
        assert traced is not None
        blocked = {traced.slices[number].node for number in blocking(traced)}
        assert profile.nodes[large[0].node].parent in blocked
        names = {work: next(frames_above(profile, work.node)).name for work in works_of(profile, window)}
        back = [work.bytes for work, name in names.items() if name.startswith("Memcpy DtoH")]
        assert sorted(size or 0 for size in back) == [1, 2], "a byte and a number in bfloat16"


def test_work_on_two_streams_is_told_apart(tmp_path: Path) -> None:
    profile = small.record(small.TwoStreams(), tmp_path / "a.llmflame")
    assert_sound(profile)
    for window in traced_steps(profile):
        works = works_of(profile, window)
        by_stream = {
            stream: sum(work.stream == stream for work in works) for stream in {w.stream for w in works}
        }
        assert len(by_stream) == 2 and min(by_stream.values()) >= 4


def test_a_range_that_the_program_names_is_the_hosts_alone(tmp_path: Path) -> None:
    """The device's stretch of it was once a frame of the host, with all that ran meanwhile below it."""
    profile = small.record(small.Naming(), tmp_path / "a.llmflame")
    assert_sound(profile)
    kinds = {frame.kind for frame in profile.frames.values() if frame.name == small.RANGE}
    assert kinds == {"op"}
    after = {
        tuple(
            frame.name for frame in frames_above(profile, node.parent) if frame.kind in ("python", "module")
        )
        for node in profile.nodes.values()
        if profile.frames[node.frame].name == "afterwards"
    }
    assert after and all(above[0] == "forward" and "Naming" in above for above in after), after
    calls = {
        window.step: sum(
            value
            for node, value in small.cells_of(profile, window, "calls").items()
            if next(frames_above(profile, node)).name == "Layers"
        )
        for window in traced_steps(profile)
    }
    assert set(calls.values()) == {10}


def _below(profile: Profile, node: int, name: str) -> bool:
    return any(frame.name == name for frame in frames_above(profile, node))


def test_a_graphs_kernels_hang_below_its_launch_in_the_module_that_replays_it(tmp_path: Path) -> None:
    profile = recorded_apart("graph", tmp_path / "a.llmflame")
    assert_sound(profile)
    for window in traced_steps(profile):
        replayed = [work for work in works_of(profile, window) if _below(profile, work.node, GRAPH)]
        (kernels,) = by_launch(replayed).values()
        assert len(kernels) >= 4, "all below one launch"
        for work in kernels:
            frames = list(frames_above(profile, work.node))
            assert frames[0].kind == "kernel"
            assert (frames[1].kind, frames[1].name) == ("runtime", GRAPH)
            assert any(frame.kind == "module" and frame.name == "Replaying" for frame in frames)


def test_a_compiled_modules_kernels_have_tritons_names(tmp_path: Path) -> None:
    profile = recorded_apart("compiled", tmp_path / "a.llmflame")
    assert_sound(profile)
    assert any(name.startswith("triton_") for name in names_of(profile, "kernel"))
    for window in traced_steps(profile):
        triton = [
            work
            for work in works_of(profile, window)
            if next(frames_above(profile, work.node)).name.startswith("triton_")
        ]
        assert triton
        for work in triton:
            frames = list(frames_above(profile, work.node))
            assert frames[1].kind == "runtime"
            assert any(frame.kind == "module" and frame.name == "Compiled" for frame in frames)
    assert not any("CompiledFxGraph" in name for name in names_of(profile, "kernel"))
    reports = {report.name: report.value for report in profile.probe_reports if report.probe == "compiler"}
    assert reports["graphs compiled in timed requests"] == 0, "the warm-up compiled all"


def test_a_device_that_only_waits_has_its_checks_too(tmp_path: Path) -> None:
    profile = small.record(small.Program(), tmp_path / "a.llmflame", steps=3)
    assert_sound(profile)
    sums = {report.name: report.value for report in profile.probe_reports if report.probe == PROBE}
    counted = sum(len(works_of(profile, window)) for window in profile.windows)
    assert sums["work listed"] == sums["work on the tree"] == counted > 0
    assert sums["allocator imbalance"] == 0
