"""A delay of five milliseconds before one layer's MLP, and where a profile has it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch

import llmflame
from llmflame.analysis.phases import decode_steps, representative_repetition
from llmflame.analysis.run_tree import build_run_tree
from llmflame.store.profile import Profile

PLANTED_S = 0.005
MODULE = "model.layers.7.mlp"


def burn() -> None:
    """Keep the CPU busy for a while."""
    end = time.perf_counter() + PLANTED_S
    while time.perf_counter() < end:
        pass


def nap() -> None:
    """Leave the CPU alone for a while."""
    time.sleep(PLANTED_S)


DEEDS: dict[str, Callable[[], None]] = {"burn": burn, "nap": nap}


def record(pipeline: Any, output: Path, name: str) -> tuple[Profile, list[float]]:
    """A profile of the model with a deed before one layer's MLP, and how long each deed took, in ns."""
    mlp = pipeline.model.get_submodule(MODULE)
    original, took = mlp.forward, []

    def forward(x: torch.Tensor) -> torch.Tensor:
        begin = time.perf_counter_ns()
        DEEDS[name]()
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
