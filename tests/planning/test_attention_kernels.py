"""What the attention kernels are said to allocate, compared with the CPU's own."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from torch.profiler import ProfilerActivity, profile

from llmflame.planning.attention import AttentionWithoutScores, Kernels
from llmflame.planning.storages import StorageMeter, live_at_peak


def peak_without_data(query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None) -> int:
    meter = StorageMeter(
        [tensor := query.to("meta"), other := key.to("meta"), *([] if mask is None else [mask.to("meta")])]
    )
    bias = None if mask is None else mask.to("meta")
    if bias is not None:
        meter = StorageMeter([tensor, other, bias])
    with AttentionWithoutScores(Kernels("cpu", 1)), meter:
        out = scaled_dot_product_attention(tensor, other, other, attn_mask=bias, enable_gqa=True)
    assert out.shape == query.shape
    return sum(live_at_peak(meter.events, 0, len(meter.events)).values())


def peak_of_torch(query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None) -> int:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
            scaled_dot_product_attention(query, key, key, attn_mask=mask, enable_gqa=True)
    finally:
        torch.set_num_threads(threads)
    live = peak = 0
    events = recorded.profiler.kineto_results.events()
    for event in sorted((e for e in events if e.name() == "[memory]"), key=lambda e: e.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return int(peak)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("tokens", [1, 20, 100, 192, 300, 768, 1000])
@pytest.mark.parametrize("masked", [False, True])
def test_the_cpu_kernel_allocates_what_is_said(dtype: torch.dtype, tokens: int, masked: bool) -> None:
    query = torch.zeros(2, tokens, 4, 32, dtype=dtype).transpose(1, 2)
    key = torch.zeros(2, 2, tokens + 3, 32, dtype=dtype)
    mask = torch.ones(2, 1, tokens, tokens + 3, dtype=torch.bool) if masked else None
    assert peak_without_data(query, key, mask) == peak_of_torch(query, key, mask)
