"""Single traced steps: undisturbed time, their own frames alone, as many as were traced."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmflame.analysis.plumbing import without_plumbing
from llmflame.analysis.run_tree import build_run_tree
from llmflame.analysis.step_columns import MOST_STEPS, with_steps
from llmflame.store.model import Frame
from llmflame.store.profile import read_profile
from tests.handmade_gpu import handmade_gpu

from .small import by_path, observed, op, python, request, stored, window


def test_a_step_holds_its_own_frames_and_its_undisturbed_time() -> None:
    steps = [100 + step for step in range(1, 21)]
    first = observed({(op("a"),): {"wall_ns": 500, "calls": 3, "allocated_bytes": 16}})
    later = observed({(op("b"),): {"wall_ns": 700, "calls": 5}})
    profile = stored(
        request({"prefill": 40, "decode": sum(steps)}, steps=steps),
        [(window(1001, "decode", 500, 1), first), (window(1002, "decode", 700, 8), later)],
    )
    run = build_run_tree(profile)
    tree = with_steps(run)
    assert by_path(tree, "wall_ns@decode.1") == pytest.approx({"decode/a": 102})
    assert by_path(tree, "wall_ns@decode.8") == pytest.approx({"decode/b": 108})
    assert by_path(tree, "calls@decode.1") == {"decode/a": 3}
    assert by_path(tree, "allocated_bytes@decode.1") == {"decode/a": 16}
    assert "allocated_bytes@decode.8" not in tree.selfs
    assert [metric.label for metric in tree.metrics if metric.name == "wall_ns@decode.8"] == [
        "Wall time, decode step 8"
    ]
    assert [metric.name for metric in tree.metrics] == list(tree.selfs)
    assert {name: tree.selfs[name] for name in run.tree.selfs} == run.tree.selfs


def test_a_phase_without_steps_has_none() -> None:
    profile = stored(
        request({"tokenize": 200}),
        [(window(1001, "tokenize", 400), observed({(python("encode"),): {"wall_ns": 300}}))],
    )
    run = build_run_tree(profile)
    assert with_steps(run) is run.tree


def test_there_are_so_many_columns_and_no_more() -> None:
    steps = [10] * 40
    windows = [
        (window(1000 + step, "decode", 10, step), observed({(op("a"),): {"wall_ns": 10}}))
        for step in range(1, 30)
    ]
    tree = with_steps(build_run_tree(stored(request({"decode": 400}, steps=steps), windows)))
    assert sum("wall_ns@" in name for name in tree.selfs) == MOST_STEPS


def test_on_a_gpu_a_step_has_four_times(tmp_path: Path) -> None:
    run = build_run_tree(read_profile(handmade_gpu(tmp_path / "a.llmflame")))
    tree = with_steps(run)
    (step,) = {name.split("@")[1] for name in tree.selfs if name.startswith("wall_ns@")}
    wall, host = tree.totals(f"wall_ns@{step}")[0], tree.totals(f"host_ns@{step}")[0]
    (window_,) = [w for p in run.phases for w in p.windows if f"{p.span.name}.{w.row.step}" == step]
    assert wall == pytest.approx(window_.clean_ns) and host == pytest.approx(window_.clean_ns)
    assert 0 < tree.totals(f"gpu_idle_ns@{step}")[0] < wall
    assert tree.totals(f"device_ns@{step}")[0] > 0


def test_hidden_frames_take_no_calls_of_a_step_with_them() -> None:
    torch_call = ("python", "_wrapped_call_impl", "torch/nn/modules/module.py", 1, None)
    frames = observed({(python("f"), torch_call): {"wall_ns": 10, "calls": 7}, (python("f"),): {"calls": 1}})
    profile = stored(request({"decode": 10}, steps=[10]), [(window(1001, "decode", 10, 1), frames)])
    tree = with_steps(build_run_tree(profile))
    assert Frame("python", "_wrapped_call_impl", "torch/nn/modules/module.py", 1) in tree.frames
    bare = without_plumbing(tree)
    assert by_path(bare, "calls@decode.1") == {"decode/f": 1}
    assert by_path(bare, "wall_ns@decode.1") == {"decode/f": 10}
