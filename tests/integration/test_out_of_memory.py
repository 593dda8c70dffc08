"""Programs that hit a limit of memory: the profile is readable and says who held what, and what was asked
for."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from llmflame.analysis.memory.overview import memory_document
from llmflame.store.profile import Profile, read_profile
from llmflame.store.rows import MomentRow

WAIT_S = 300
ROOM_BYTES = 600_000_000
REQUEST_ROOM_BYTES = 1_100_000_000
"""Beyond what the libraries map: enough for the tokeniser, which ends the process where memory runs out, and
less than the model's call takes."""
LIVE = """
import sys, torch, llmflame

class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.up = torch.nn.Linear(256, 1024)

    def forward(self, x):
        wide = self.up(x)
        return wide, [torch.ones(int(sys.argv[2]) // 8, dtype=torch.uint8) for _ in range(8)]

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = Layer()

    def forward(self, x):
        return self.layer(x)

recorder = llmflame.Recorder(Model(), sys.argv[1])
try:
    with recorder, torch.no_grad():
        recorder._model(torch.ones(4, 16, 256))
except RuntimeError as error:
    print(type(error).__name__, "in", error.__traceback__.tb_frame.f_code.co_name, error.__cause__)
    sys.exit(0 if "DefaultCPUAllocator" in str(error) else 3)
"""

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs /proc")


@pytest.fixture(scope="module")
def mapped_bytes() -> int:
    """What the libraries alone map, in this build."""
    lines = [
        "import torch",
        "from transformers import AutoModelForCausalLM, pipeline",
        "print(open('/proc/self/statm').read().split()[0])",
    ]
    command = [sys.executable, "-c", "; ".join(lines)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1]) * resource.getpagesize()


def limited(limit: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def failure_of(profile: Profile) -> MomentRow:
    (moment,) = [moment for moment in profile.moments if moment.when == "failure"]
    return moment


def test_a_batch_that_does_not_fit(tmp_path: Path, tiny_folder: Path, mapped_bytes: int) -> None:
    output, limit = tmp_path / "out.llmflame", mapped_bytes + REQUEST_ROOM_BYTES
    command = [sys.executable, "-m", "llmflame", "profile", str(tiny_folder), "-o", str(output)]
    options = ["--device", "cpu", "--new-tokens", "4", "--batch-size", "4000", "--prompt-tokens", "400"]
    result = subprocess.run(
        [*command, *options], capture_output=True, text=True, timeout=WAIT_S, preexec_fn=limited(limit)
    )
    assert result.returncode == 1, result.stderr
    assert "out of memory" in result.stderr and "Traceback" not in result.stderr
    profile = read_profile(output)
    assert profile.run.status == "failed"
    assert "out of memory: " in (profile.run.reason or "")
    moment = failure_of(profile)
    assert (moment.pass_name, moment.phase) == ("clean", "warmup")
    document = memory_document(profile)["failure"]
    readings, said = document["readings"], document["said"]
    loaded = next(m for m in profile.moments if m.phase == "load")
    at_load = {r.name: r.value for r in profile.readings if (r.pass_name, r.moment) == ("clean", loaded.id)}
    assert readings["weight_bytes"] == at_load["weight_bytes"] > 0
    owners = {one["owner"] for one in document["held"]["host"]}
    assert {"model.embed_tokens", "model.layers.0.mlp.up_proj", "model.layers.1.self_attn.q_proj"} <= owners
    assert (said["space"], said["limit_name"], said["limit_bytes"]) == ("host", "RLIMIT_AS", limit)
    assert "LlamaForCausalLM  generate (" in said["stack"]
    assert said["fits"].endswith("`llmflame plan` says what fits.")


def test_a_live_model_that_does_not_fit(tmp_path: Path, mapped_bytes: int) -> None:
    output, limit = tmp_path / "out.llmflame", mapped_bytes + ROOM_BYTES
    result = subprocess.run(
        [sys.executable, "-c", LIVE, str(output), str(2 * ROOM_BYTES)],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        preexec_fn=limited(limit),
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["RuntimeError", "in", "<module>", "None"]
    profile = read_profile(output)
    assert profile.run.status == "failed"
    asked = 2 * ROOM_BYTES // 8
    assert profile.subject["out_of_memory_requested_bytes"] == asked
    assert "in layer; " in (profile.run.reason or "")
    assert failure_of(profile).phase == "prefill"
    held = {(h.category, h.owner): h.bytes for h in profile.holdings}
    assert held["weights", "layer.up"] == (256 * 1024 + 1024) * 4
    assert held["activations", "layer"] >= 4 * 16 * 1024 * 4


def test_not_even_the_libraries_fit(tmp_path: Path, tiny_folder: Path, mapped_bytes: int) -> None:
    """The recorder itself needs no torch."""
    output = tmp_path / "out.llmflame"
    command = [sys.executable, "-m", "llmflame", "profile", str(tiny_folder), "-o", str(output)]
    result = subprocess.run(
        [*command, "--device", "cpu"],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        preexec_fn=limited(mapped_bytes // 2),
    )
    assert result.returncode == 1, result.stderr
    assert read_profile(output).run.status == "failed"
