"""On a device: peaks are explained, cache and weights are counted exactly, planted faults are found."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

import llmflame
from llmflame.analysis.memory.composition import compositions
from llmflame.analysis.memory.growth import asked_for, growth
from llmflame.analysis.memory.moments import moments
from llmflame.analysis.memory.stack import stack_of
from llmflame.store import categories, metrics
from llmflame.store.profile import Profile
from tests.integration import checkpoints

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
MIB = 1024 * 1024
NEW_TOKENS = 12
CULPRIT = "model.layers.1.mlp"
MOST_RESIDUAL = 0.05


def record(folder: Path, output: Path, fault: Any = None, **options: Any) -> Profile:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).to("cuda")
    if fault is not None:
        mlp = model.get_submodule(CULPRIT)
        original = mlp.forward
        mlp.forward = lambda hidden: fault(original, hidden)
    ids = torch.ones((1, 8), dtype=torch.long, device="cuda")
    options |= {"max_new_tokens": NEW_TOKENS, "min_new_tokens": NEW_TOKENS, "do_sample": False}
    with llmflame.Recorder(model, output, repetitions=2) as recorder:
        for _ in recorder.passes():
            model.generate(ids, **options)
    return recorder.profile


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.tiny(tmp_path_factory.mktemp("tiny"))


@pytest.mark.parametrize("cache", ["dynamic", "static"])
def test_peaks_are_explained_and_counts_exact(folder: Path, tmp_path: Path, cache: str) -> None:
    options = {} if cache == "dynamic" else {"cache_implementation": "static", "disable_compile": True}
    profile = record(folder, tmp_path / "a.llmflame", **options)
    on_device = [one for one in compositions(profile) if one.space == "device"]
    assert {one.phase for one in on_device} >= {"prefill", "decode"}
    for one in on_device:
        assert sum(one.holders.values()) == one.peak_bytes
        assert one.residual_share <= MOST_RESIDUAL
    end = moments(profile).find("memory", "decode", "end")
    assert end is not None
    per_token = profile.subject["kv_layer_bytes_per_token"] * profile.subject["layers"]
    assert end.readings["kv_cache_bytes"] == per_token * (8 + NEW_TOKENS - 1)
    allocated = end.readings["device_allocated_bytes"]
    outside = (categories.SLACK, categories.CONTEXT, categories.OTHER_PROCESSES)
    named = sum(size for (category, _), size in end.held["device"].items() if category not in outside)
    assert named == allocated


def test_a_leak_on_the_device_has_its_slope_and_stack(folder: Path, tmp_path: Path) -> None:
    kept: list[torch.Tensor] = []

    def leaking(original: Any, hidden: torch.Tensor) -> Any:
        kept.append(torch.zeros(MIB, dtype=torch.uint8, device="cuda"))
        return original(hidden)

    profile = record(folder, tmp_path / "a.llmflame", leaking)
    (device,) = [one for one in growth(profile) if one.space == "device"]
    assert device.unexplained_bytes_per_step == pytest.approx(MIB, rel=0.01)
    (node, size), *_ = device.left
    assert size == MIB
    assert any(frame.startswith("leaking") for frame in stack_of(profile, node))


def test_a_temporary_is_found_in_its_module(folder: Path, tmp_path: Path) -> None:
    def wasteful(original: Any, hidden: torch.Tensor) -> Any:
        scratch = torch.zeros(64 * MIB, dtype=torch.uint8, device="cuda")
        return original(hidden) + scratch[0].to(hidden.dtype)

    profile = record(folder, tmp_path / "a.llmflame", wasteful)
    numbers = {n for n, metric in profile.metrics.items() if metric.name == metrics.DEVICE_HELD.name}
    heaviest = max((c for c in profile.cells if c.metric in numbers), key=lambda cell: cell.value)
    assert heaviest.value == 64 * MIB
    stack = stack_of(profile, heaviest.node)
    assert stack[-1] == categories.TEMPORARIES
    assert any(CULPRIT in frame for frame in stack)


def test_a_pinned_buffer_is_found_with_its_stack(folder: Path, tmp_path: Path) -> None:
    kept: list[torch.Tensor] = []

    def locking(original: Any, hidden: torch.Tensor) -> Any:
        kept.append(torch.empty(64 * MIB, dtype=torch.uint8, pin_memory=True))
        return original(hidden)

    profile = record(folder, tmp_path / "a.llmflame", locking)
    found = asked_for(profile, metrics.PINNED.name)
    windows = sum(row.kind == "traced" and row.step is not None for row in profile.windows)
    # Prefill and decode are places of their own in the tree, the planted line stands in both.
    assert all(any(frame.startswith("locking") for frame in stack_of(profile, node)) for node, _ in found)
    assert sum(size for _, size in found) == 64 * MIB * windows


def test_without_a_caching_allocator_the_sums_stay_honest(folder: Path, tmp_path: Path) -> None:
    import subprocess
    import sys

    program = (
        "import sys, pathlib, tests.gpu.test_memory_cuda as t;"
        "t.record(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))"
    )
    environment = os.environ | {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
    command = [sys.executable, "-c", program, str(folder), str(tmp_path / "a.llmflame")]
    subprocess.run(command, check=True, env=environment, timeout=200)
    for one in compositions(llmflame.open(tmp_path / "a.llmflame")):
        assert sum(one.holders.values()) == one.peak_bytes
