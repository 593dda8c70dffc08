"""A device that fails half-way: the program's error passes through, and what was recorded before is kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from llmflame.store.profile import read_profile
from tests.integration import checkpoints

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
PROGRAM = """
import sys, torch, llmflame
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.bfloat16).to("cuda")
ids = torch.ones((1, 8), dtype=torch.long, device="cuda")
calls = 0

def outside(module, args):
    global calls
    calls += 1
    return (args[0] + (10**6 if calls == int(sys.argv[3]) else 0),)

model.get_input_embeddings().register_forward_pre_hook(outside)
with llmflame.Recorder(model, sys.argv[2], repetitions=2) as recorder:
    for _ in recorder.passes():
        model.generate(ids, max_new_tokens=12, do_sample=False)
"""
STEPS = 12
"""Calls of the model in one request: the third is undisturbed, in the sixth the tracer is attached."""


@pytest.mark.parametrize("call", [STEPS * 2 + 3, STEPS * 5 + 2])
def test_an_error_on_the_device_leaves_a_readable_profile(tmp_path: Path, call: int) -> None:
    """An index out of bounds trips an assertion in a kernel; the context is lost with it."""
    output = tmp_path / "run.llmflame"
    (tmp_path / "tiny").mkdir()
    folder = checkpoints.tiny(tmp_path / "tiny")
    command = [sys.executable, "-c", PROGRAM, str(folder), str(output), str(call)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 1
    assert "device-side assert" in result.stderr
    profile = read_profile(output)
    assert profile.run.status == "failed"
    assert "device-side assert" in (profile.run.reason or "")
    assert any(span.name == "request" and span.pass_name == "clean" for span in profile.spans)
