"""On a CUDA device: kernels hang below the operators that launched them, and none is lost."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import llmflame
from llmflame.analysis.run_tree import build_run_tree
from llmflame.analysis.summary import summarise
from llmflame.store.profile import Profile
from tests.integration import checkpoints
from tests.integration.test_live import assert_conserved

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


@pytest.fixture(scope="module")
def cuda_profile(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    from transformers import pipeline

    folder = checkpoints.tiny(tmp_path_factory.mktemp("tiny"))
    made = pipeline("text-generation", model=str(folder), dtype=torch.bfloat16, device="cuda")
    output = tmp_path_factory.mktemp("out") / "cuda.llmflame"
    return llmflame.profile(made, "A river runs", new_tokens=10, repetitions=2, output=output)


def nodes_of(profile: Profile, kind: str) -> list[tuple[Any, int]]:
    tree = build_run_tree(profile).tree
    return [(tree, node) for node in range(len(tree)) if tree.frame(node).kind == kind]


def test_host_time_is_conserved(cuda_profile: Profile) -> None:
    assert_conserved(cuda_profile)


def test_every_kernel_hangs_below_its_launch_and_operator(cuda_profile: Profile) -> None:
    kernels = nodes_of(cuda_profile, "kernel")
    assert kernels
    below_an_operator = 0
    for tree, node in kernels:
        kinds = [tree.frame(above).kind for above in tree.path(node)]
        assert kinds[-2] in ("runtime", "kernel")
        below_an_operator += "op" in kinds
    assert below_an_operator >= 0.9 * len(kernels)


def test_kernels_have_device_time_and_no_host_time(cuda_profile: Profile) -> None:
    for tree, node in nodes_of(cuda_profile, "kernel"):
        assert tree.selfs["device_ns"][node] > 0
        assert tree.selfs["wall_ns"][node] == 0


def test_no_launch_of_a_window_lost_its_kernel(cuda_profile: Profile) -> None:
    assert [window.dropped for window in cuda_profile.windows] == [0] * len(cuda_profile.windows)


def test_a_step_launches_as_many_kernels_as_torch_profiler_sees(cuda_profile: Profile) -> None:
    """Counted from torch's flat event list of one more decode step."""
    calls = next(number for number, metric in cuda_profile.metrics.items() if metric.name == "calls")
    window = next(w for w in cuda_profile.windows if w.span_name == "decode" and w.step == 8)
    other = next(w for w in cuda_profile.windows if w.span_name == "decode" and w.step == 1)

    def kernels(number: int) -> int:
        return sum(
            int(cell.value)
            for cell in cuda_profile.cells
            if cell.window == number
            and cell.metric == calls
            and cuda_profile.frames[cuda_profile.nodes[cell.node].frame].kind == "kernel"
        )

    assert kernels(window.id) == kernels(other.id) > 0


def test_device_memory_is_in_the_phases(cuda_profile: Profile) -> None:
    document = summarise(cuda_profile)
    peaks = {phase["name"]: phase["device_peak_bytes"] for phase in document["phases"]}
    assert peaks["prefill"] > 0
    assert peaks["decode"] > 0
