"""On a CUDA device: variants of a decode step against the plain one, in float32 without TF32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.lab import running
from tests.scratch import small

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning"),
]
STATIC, FUSED, GRAPH = "static-cache", "fused-projections", "cuda-graph"
TOLERANCE = 5e-5
EXACT = (
    (STATIC, GRAPH),
    (STATIC, FUSED, "sdpa", GRAPH, "run-ahead"),
    ("sdpa-efficient",),
    (STATIC, FUSED, "compile", GRAPH),
    (STATIC, FUSED, "compile-reduce-overhead"),
    (STATIC, FUSED, "fused-kernels"),
    (STATIC, FUSED, "fused-kernels", GRAPH, "run-ahead"),
    (STATIC, FUSED, "fused-kernels", GRAPH, "prompt-lookup"),
    ("kv-int8", GRAPH),
    ("pinned-load",),
)


def compare(folder: Path, names: tuple[str, ...], reference: tuple[str, ...] = ()) -> tuple[bool, float]:
    """Whether all tokens are equal, and the largest difference of a logit."""
    plain = running.runner(folder, reference, device="cuda")
    changed = running.runner(folder, names, device="cuda")
    tokens = running.generated(plain, device="cuda")
    found = [running.generated(changed, device="cuda") for _ in range(2)]
    ids = torch.cat((running.prompt(1), tokens), dim=1).cuda()
    delta = (running.forced(changed, ids) - running.forced(plain, ids)).abs().max().item()
    return all(torch.equal(one, tokens) for one in found), delta


@pytest.mark.parametrize("names", EXACT, ids="+".join)
def test_equivalent_in_float32(names: tuple[str, ...], tmp_path: Path) -> None:
    small.write(tmp_path, small.LLAMA)
    same, delta = compare(tmp_path, names, ("kv-int8",) if "kv-int8" in names else ())
    assert same and delta <= TOLERANCE


@pytest.mark.parametrize("config", [small.QWEN3, running.WIDE], ids=["qwen3", "wide"])
def test_kernels_on_other_shapes(config: dict[str, Any], tmp_path: Path) -> None:
    small.write(tmp_path, config)
    same, delta = compare(tmp_path, (STATIC, FUSED, "fused-kernels", GRAPH))
    assert same and delta <= TOLERANCE


def test_columns_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from llmflame.lab.kernels import decode

    monkeypatch.setattr(decode, "_COLUMNS_OF_A_SPLIT", 8)
    small.write(tmp_path, small.LLAMA)
    same, delta = compare(tmp_path, (STATIC, FUSED, "fused-kernels", GRAPH))
    assert same and delta <= TOLERANCE


@pytest.mark.parametrize("weights", ["int8", "int4", "fp8"])
def test_kernels_read_few_bits_as_the_modules_do(weights: str, tmp_path: Path) -> None:
    small.write(tmp_path, running.WIDE)
    modules = (STATIC, FUSED, weights)
    same, delta = compare(tmp_path, (*modules, "fused-kernels", GRAPH), modules)
    assert same and delta <= 5e-4
