"""What is predicted without data, compared with what torch's profiler sees a real model allocate."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from llmflame.planning.activations import simulate, tensors_in
from llmflame.planning.architecture import build
from llmflame.planning.attention import Kernels
from llmflame.planning.request import Footprint, Request
from tests.planning.configs import config

SCALARS_BYTES = 256
"""The sampling loop of `generate` keeps a few flags and lengths."""


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def simulated(kind: str, request: Request, dtype: str, attention: str | None = None) -> Footprint:
    return simulate(build(config(kind), dtype, attention).model, request, Kernels("cpu", 1))


def measured(kind: str, request: Request, dtype: str, attention: str | None = None) -> int:
    """The most bytes that `generate` holds beyond the weights."""
    from transformers import AutoModelForCausalLM

    options = {"attn_implementation": attention} if attention else {}
    model = AutoModelForCausalLM.from_config(
        copy.deepcopy(config(kind)), dtype=getattr(torch, dtype), **options
    ).eval()

    def run() -> None:
        ids = torch.full((request.batch, request.prompt_tokens), 5)
        amount = {"max_new_tokens": request.new_tokens, "min_new_tokens": request.new_tokens}
        model.generate(ids, **amount, do_sample=False, eos_token_id=None, pad_token_id=0)

    run()
    # What the warm-up left must not be released inside.
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        run()
    events = recorded.profiler.kineto_results.events()
    live = peak = 0
    for event in sorted((e for e in events if e.name() == "[memory]"), key=lambda e: e.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return int(peak)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("kind", "attention"),
    [("llama", None), ("llama", "eager"), ("qwen3", None), ("gpt2", None), ("mistral", None)],
)
def test_a_prefill_peaks_where_torch_says(kind: str, attention: str | None, dtype: str) -> None:
    request = Request(3, 300, 2)
    found = simulated(kind, request, dtype, attention)
    assert found.prefill.total > found.decode.total
    assert found.prefill.total == pytest.approx(measured(kind, request, dtype, attention), abs=SCALARS_BYTES)


@pytest.mark.parametrize(
    ("kind", "attention"),
    [("llama", None), ("llama", "eager"), ("qwen3", None), ("gpt2", None), ("mistral", None)],
)
def test_a_decode_step_peaks_where_torch_says(kind: str, attention: str | None) -> None:
    """Within a percent: `generate` may have given one of the inputs back when the peak is reached."""
    request = Request(8, 16, 120)
    found = simulated(kind, request, "bfloat16", attention)
    peak = max(found.prefill.total, found.decode.total)
    assert peak == pytest.approx(measured(kind, request, "bfloat16", attention), rel=0.01)


def test_eager_attention_writes_out_the_scores() -> None:
    request = Request(2, 512, 1)
    lean = simulated("llama", request, "float32").prefill.total
    eager = simulated("llama", request, "float32", "eager").prefill.total
    scores = 2 * 8 * 512 * 512 * 4
    assert lean < scores < eager


def test_the_cache_is_two_tensors_a_layer() -> None:
    found = simulated("llama", Request(2, 100, 21), "bfloat16")
    per_token = 2 * 3 * 2 * 32 * 2
    assert found.kv_bytes_per_token == per_token
    assert found.kv_bytes == 2 * 120 * per_token
    one_key = 2 * 119 * 2 * 32 * 2
    assert found.decode.kv_cache == found.kv_bytes + one_key


def test_a_static_cache_is_whole_from_the_start() -> None:
    found = simulated("llama", Request(2, 100, 28, static_cache=True), "bfloat16")
    whole = 2 * 128 * 2 * 3 * 2 * 32 * 2
    assert found.prefill.kv_cache == found.decode.kv_cache == pytest.approx(whole, abs=SCALARS_BYTES)


def test_a_state_does_not_grow() -> None:
    short, long = (simulated("mamba", Request(1, tokens), "float32").kv_bytes for tokens in (10, 1000))
    assert short == long > 0


def test_cuda_in_float32_with_grouped_heads_writes_out_the_scores() -> None:
    """Neither of torch's fused kernels takes it: flash needs 16 bits, the other one head of each."""
    model = build(config("llama"), "float32").model
    found = simulate(model, Request(1, 1024, 1), Kernels("cuda", 1, (9, 0)))
    assert found.prefill.total > 8 * 1024 * 1024 * 4
    half = build(config("llama"), "bfloat16").model
    assert simulate(half, Request(1, 1024, 1), Kernels("cuda", 1, (9, 0))).prefill.total < 8 * 1024 * 1024 * 2


def test_leaves_no_trace() -> None:
    model = build(config("llama"), "float32").model
    state, dtype = torch.get_rng_state(), torch.get_default_dtype()
    first = simulate(model, Request(2, 50, 5), Kernels("cpu", 1))
    assert simulate(model, Request(2, 50, 5), Kernels("cpu", 1)) == first
    assert torch.equal(state, torch.get_rng_state()) and torch.get_default_dtype() is dtype
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_tensors_are_found_in_any_container() -> None:
    class Holder:
        def __init__(self) -> None:
            self.layers = [{"k": torch.zeros(1)}, (torch.zeros(2), "text", None)]
            self.own = torch.zeros(3)
            self.self = self

    assert {len(tensor) for tensor in tensors_in(Holder())} == {1, 2, 3}
