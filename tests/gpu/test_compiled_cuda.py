"""What `generate` compiles: its steps are told apart, and a graph's kernels hang below the graph's launch."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

import llmflame
from llmflame.analysis.device_checks import device_checks
from llmflame.analysis.phases import decode_steps
from llmflame.analysis.run_tree import build_run_tree
from llmflame.store.profile import Profile
from tests.integration import checkpoints
from tests.integration.test_live import assert_conserved

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
NEW_TOKENS = 10
PROGRAM = f"""
import sys, torch, llmflame
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.bfloat16).to("cuda")
ids = torch.ones((1, 8), dtype=torch.long, device="cuda")
options = dict(max_new_tokens={NEW_TOKENS}, min_new_tokens={NEW_TOKENS}, do_sample=False)
for _ in range(3):  # the first compiles, the second records the graph
    model.generate(ids, cache_implementation="static", **options)
with llmflame.Recorder(model, sys.argv[2], repetitions=2) as recorder:
    for _ in recorder.passes():
        model.generate(ids, cache_implementation="static", **options)
assert "get_compiled_call" not in vars(model)
"""


@pytest.fixture(scope="module")
def compiled_profile(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    """Recorded in a fresh process: tracing before a capture may blind the tracer to the graph's kernels."""
    folder = checkpoints.tiny(tmp_path_factory.mktemp("tiny"))
    output = tmp_path_factory.mktemp("out") / "compiled.llmflame"
    command = [sys.executable, "-c", PROGRAM, str(folder), str(output)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert result.returncode == 0, result.stderr[-3000:]
    return llmflame.open(output)


def test_compiled_steps_are_steps_and_time_is_conserved(compiled_profile: Profile) -> None:
    assert len(decode_steps(compiled_profile, repetition=0)) == NEW_TOKENS - 1
    assert_conserved(compiled_profile)


def test_generated_kernels_hang_below_the_graph_that_holds_them(compiled_profile: Profile) -> None:
    tree = build_run_tree(compiled_profile).tree
    below_graph = [
        tree.frame(node).name
        for node in range(len(tree))
        if tree.frame(node).kind == "kernel"
        and any(tree.frame(above).name == "cudaGraphLaunch [graph]" for above in tree.path(node))
    ]
    generated = [name for name in below_graph if name.startswith("triton_")]
    assert generated, "a step that was compiled with reduce-overhead is replayed as a graph"
    checks = device_checks(compiled_profile, build_run_tree(compiled_profile))
    # These tests' own process may have used the GPU before the recording's came.
    failed = [check for check in checks if check.passed is False and check.name != "alone on the GPU"]
    assert failed == []
