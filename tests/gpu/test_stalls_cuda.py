"""On a CUDA device: stalls are sampled, belong to kernels that the tracer saw, and disturb nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import llmflame
from llmflame.analysis.run_tree import build_run_tree
from llmflame.analysis.stalls.breakdown import stall_breakdown
from llmflame.analysis.stalls.coverage import stall_coverage
from llmflame.errors import StallsRefusedError
from llmflame.probes.stalls.cupti_library import Cupti
from llmflame.probes.stalls.cupti_sampler import CuptiSampler, current_context
from llmflame.store.profile import Profile

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
WIDTH, STEPS = 4096, 10


class Products(torch.nn.Module):
    """Enough work for a few samples in each step."""

    def __init__(self) -> None:
        super().__init__()
        self.up = torch.nn.Linear(WIDTH, WIDTH, dtype=torch.bfloat16, device="cuda")

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        rows = input_ids.to("cuda").reshape(-1, 1).to(torch.bfloat16).expand(-1, WIDTH)
        return torch.nn.functional.silu(self.up(self.up(rows)))


def sampler() -> CuptiSampler:
    torch.zeros(1, device="cuda")
    return CuptiSampler(Cupti.loaded(), current_context())


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    output = tmp_path_factory.mktemp("stalls") / "run.llmflame"
    model = Products()
    with (
        torch.no_grad(),
        llmflame.Recorder(model, output, repetitions=2, stalls="exact") as recorder,
    ):
        for _ in recorder.passes():
            for length in (32, *(1,) * STEPS):
                model(torch.ones(1, length, dtype=torch.long))
            torch.cuda.synchronize()
    return recorder.profile


def test_every_pass_is_there(recorded: Profile) -> None:
    assert recorded.run.status == "complete"
    assert {row.name: row.status for row in recorded.passes} == dict.fromkeys(
        ("clean", "memory", "stalls", "anatomy"), "complete"
    )
    windows = [window for window in recorded.windows if window.kind == "stalls"]
    assert [window.label for window in windows] == ["prefill", "decode", "decode step 8"]
    assert all(window.samples and window.dropped == 0 for window in windows)


def test_samples_add_up_to_what_the_device_took(recorded: Profile) -> None:
    """Each sample has one reason; what the vendor hides is counted apart."""
    reports = {row.name: row.value or 0 for row in recorded.probe_reports if row.probe == "stalls"}
    for window in recorded.windows:
        if window.kind == "stalls":
            found = sum(row.samples for row in recorded.stalls if row.window == window.id)
            hidden = reports[f"{window.label}: hidden"]
            assert found + hidden == pytest.approx(window.samples, rel=0.01)


def test_samples_belong_to_kernels_that_the_tracer_saw(recorded: Profile) -> None:
    tree = build_run_tree(recorded).tree
    for phase in stall_coverage(recorded, tree):
        assert (phase.attributed_share or 0) >= 0.99, phase.unknown_kernels
        assert not phase.buffer_full
    kernels = stall_breakdown(recorded, tree, "decode")
    assert kernels[0].samples > 0 and kernels[0].device_ns > 0


def test_launches_are_told_apart_where_that_is_asked_for(recorded: Profile) -> None:
    (exact,) = [window for window in recorded.windows if window.kind == "stalls" and window.step == 8]
    launches = {row.launch for row in recorded.stalls if row.window == exact.id}
    assert len(launches) > 1 and 0 not in launches
    whole = [window.id for window in recorded.windows if window.kind == "stalls" and window.step is None]
    assert {row.launch for row in recorded.stalls if row.window in whole} == {0}


GRAPH = """
import torch
from llmflame.probes.stalls.cupti_library import Cupti
from llmflame.probes.stalls.cupti_sampler import CuptiSampler, current_context
x = torch.randn(4096, 4096, device="cuda", dtype=torch.bfloat16)
x @ x
graph = torch.cuda.CUDAGraph()
with torch.cuda.graph(graph):
    y = x @ x
sampler = CuptiSampler(Cupti.loaded(), current_context())
torch.cuda.synchronize()
sampler.start()
for _ in range(50):
    graph.replay()
torch.cuda.synchronize()
counts = sampler.stop()
sampler.close()
print("named", sum(counts.samples.values()) > 0, "hidden", counts.hidden > counts.total / 100)
"""
FORKS = """
import os, torch
from llmflame.probes.stalls.cupti_library import Cupti
from llmflame.probes.stalls.cupti_sampler import CuptiSampler, current_context
x = torch.randn(2048, 2048, device="cuda")
sampler = CuptiSampler(Cupti.loaded(), current_context())
sampler.start()
if not os.fork():
    os._exit(0)
os.wait()
x @ x
torch.cuda.synchronize()
print("sampled", sampler.stop().total > 0)
sampler.close()
"""
RESETS = """
import ctypes, os, torch
from llmflame.errors import StallsRefusedError
from llmflame.probes.stalls.cupti_library import Cupti
from llmflame.probes.stalls.cupti_sampler import CuptiSampler, current_context
x = torch.randn(2048, 2048, device="cuda")
sampler = CuptiSampler(Cupti.loaded(), current_context())
sampler.start()
x @ x
torch.cuda.synchronize()
ctypes.CDLL("libcudart.so.13", mode=os.RTLD_NOLOAD | os.RTLD_NOW).cudaDeviceReset()
try:
    sampler.stop()
except StallsRefusedError as error:
    print("refused:", error)
sampler.close()
os._exit(0)  # torch's own exit has no device any more
"""


def printed(program: str) -> str:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    return ran.stdout


def test_kernels_of_a_graph_are_sampled_as_kernels() -> None:
    assert printed(GRAPH) == "named True hidden False\n"


def test_a_program_that_forks_goes_on_being_sampled() -> None:
    assert printed(FORKS) == "sampled True\n"


def test_a_device_that_is_reset_ends_the_samples_in_one_line() -> None:
    assert printed(RESETS).startswith("refused: stalls can't be sampled: ")


def test_what_cupti_does_not_know_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmflame.probes.stalls.cupti_layout.NEWEST_KNOWN_MAJOR", 12)
    with pytest.raises(StallsRefusedError, match="newer than this release knows"):
        sampler()
