"""What is planted is found where it was planted, with its size.

These are the only tests that compare times. What they compare is measured inside the planted code during the
same recording, so a slow machine slows both. A recording that misses is repeated, up to five times: another
process may have disturbed one of its passes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch

import llmflame
from llmflame.analysis.phases import decode_steps, representative_repetition
from llmflame.analysis.run_tree import build_run_tree
from llmflame.store.profile import Profile

pytestmark = pytest.mark.demo

PLANTED_S = 0.005
TOLERANCE = 0.03
ATTEMPTS = 5
MODULE = "model.layers.7.mlp"


def burn() -> None:
    """Keep the CPU busy for a while."""
    end = time.perf_counter() + PLANTED_S
    while time.perf_counter() < end:
        pass


def nap() -> None:
    """Leave the CPU alone for a while."""
    time.sleep(PLANTED_S)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """OpenMP's threads wait for each other: a second one makes every other process' turn this one's delay."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def planted_profile(pipeline: Any, output: Path, deed: Callable[[], None]) -> tuple[Profile, list[float]]:
    """A profile of the model with `deed` before one layer's MLP, and how long each deed took, in ns."""
    mlp = pipeline.model.get_submodule(MODULE)
    original, took = mlp.forward, []

    def forward(x: torch.Tensor) -> torch.Tensor:
        begin = time.perf_counter_ns()
        deed()
        took.append(time.perf_counter_ns() - begin)
        output: torch.Tensor = original(x)
        return output

    mlp.forward = forward
    try:
        profile = llmflame.profile(
            pipeline, "The capital of France is", new_tokens=16, output=output, force=True
        )
    finally:
        del mlp.forward
    return profile, [float(ns) for ns in took]


def found(profile: Profile, name: str) -> tuple[float, float]:
    """Scaled wall and CPU time of the planted function for a typical decode step, below its module alone."""
    tree = build_run_tree(profile).tree
    wall, cpu = tree.totals("wall_ns"), tree.totals("on_cpu_ns")
    nodes = [n for n in range(len(tree)) if tree.frame(n).kind == "python" and tree.frame(n).name == name]
    nodes = [n for n in nodes if tree.frame(tree.path(n)[1]).name == "decode"]
    assert nodes
    for node in nodes:
        owners = [tree.frame(above).module for above in tree.path(node) if tree.frame(above).kind == "module"]
        assert owners[-1] == MODULE
    steps = [s.wall_ns for s in decode_steps(profile, repetition=representative_repetition(profile))]
    typical = median(steps) / sum(steps)
    return sum(wall[n] for n in nodes) * typical, sum(cpu[n] for n in nodes) * typical


def error_of(measured: float, truth: float) -> float:
    return abs(measured - truth) / truth


def test_a_busy_loop_is_found_at_its_module(demo_pipeline: Any, tmp_path: Path, one_thread: None) -> None:
    errors = []
    for _ in range(ATTEMPTS):
        profile, took = planted_profile(demo_pipeline, tmp_path / "a.llmflame", burn)
        wall, cpu = found(profile, "burn")
        errors.append(error_of(wall, median(took)))
        if errors[-1] <= TOLERANCE and cpu > 0.9 * wall:
            return
    pytest.fail(f"planted {PLANTED_S * 1e3} ms, found with errors {errors}")


def test_sleeping_is_told_from_burning(demo_pipeline: Any, tmp_path: Path, one_thread: None) -> None:
    errors = []
    for _ in range(ATTEMPTS):
        profile, took = planted_profile(demo_pipeline, tmp_path / "a.llmflame", nap)
        wall, cpu = found(profile, "nap")
        errors.append((error_of(wall, median(took)), cpu / wall))
        if errors[-1][0] <= TOLERANCE and cpu < 0.3 * wall:
            return
    pytest.fail(f"slept {PLANTED_S * 1e3} ms, found with (error, CPU share) {errors}")
