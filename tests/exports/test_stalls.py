"""Stalls in files for other tools: below the kernels, with all of the kernels' time."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmflame.exports.folded import folded
from llmflame.exports.request import Request
from llmflame.exports.speedscope import speedscope
from llmflame.exports.steps import step_parts
from llmflame.store.profile import read_profile
from tests.exports.made import in_speedscope, needs_speedscope
from tests.handmade_gpu import GEMM, handmade_gpu
from tests.handmade_stalls import handmade_stalls, stall_rows, step_rows


@pytest.mark.parametrize("metric", ["wall", "device"])
def test_collapsed_stacks_end_in_reasons(tmp_path: Path, metric: str) -> None:
    bare = folded(Request(read_profile(handmade_gpu(tmp_path / "bare.llmflame")), metric=metric))
    stalled = folded(Request(read_profile(handmade_stalls(tmp_path / "run.llmflame")), metric=metric))

    def kernel_ns(text: str) -> dict[str, int]:
        """By what stands below the product: the sum of its stacks."""
        found: dict[str, int] = {}
        for line in text.splitlines():
            stack, _, value = line.rpartition(" ")
            if GEMM in stack:
                below = stack.partition(GEMM)[2]
                found[below] = found.get(below, 0) + int(value)
        return found

    before, after = kernel_ns(bare), kernel_ns(stalled)
    assert set(before) == {""} and "" not in after
    assert sum(after.values()) == pytest.approx(before[""], abs=100)
    assert after[";device_memory;long_scoreboard"] == pytest.approx(0.77 * before[""], rel=1e-3)


def test_no_other_metric_gets_them(tmp_path: Path) -> None:
    text = folded(Request(read_profile(handmade_stalls(tmp_path / "run.llmflame")), metric="idle"))
    assert "device_memory" not in text


@needs_speedscope
def test_speedscope_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "run.speedscope.json"
    request = Request(read_profile(handmade_stalls(tmp_path / "run.llmflame")))
    path.write_text(speedscope(request), "utf-8")
    assert "long_scoreboard" in path.read_text("utf-8")
    assert in_speedscope(path)


@pytest.mark.parametrize("all_frames", [False, True])
@pytest.mark.parametrize("exact", [False, True])
def test_steps_keep_their_parts(tmp_path: Path, *, all_frames: bool, exact: bool) -> None:
    """Each step's part of each metric is what it was before kernels were divided."""
    rows = [*stall_rows(), *(step_rows() if exact else ())]
    profile = read_profile(handmade_stalls(tmp_path / "run.llmflame", rows))
    bare = read_profile(handmade_gpu(tmp_path / "bare.llmflame"))
    names = ["wall_ns", "device_ns", "host_ns"]
    sums = []
    for one in (bare, profile):
        request = Request(one, all_frames=all_frames)
        parts = step_parts(request, names)
        by_step: dict[int, list[float]] = {}
        for node, by in parts.items():
            for step, values in by.items():
                # No step may have more of a node than the node has.
                assert values[0] <= request.tree.selfs["wall_ns"][node] + 1e-3
                before = by_step.get(step, [0.0] * len(names))
                by_step[step] = [a + b for a, b in zip(before, values, strict=True)]
        sums.append(by_step)
    assert sums[0].keys() == sums[1].keys()
    for step, values in sums[0].items():
        assert sums[1][step] == pytest.approx(values, rel=1e-9)
