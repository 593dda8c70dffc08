"""The work of attention: what each kernel keeps of a causal square, by hand and against the kernels."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from llmflame.probes.work import Argument, Tensor, Work, op_work
from llmflame.probes.work.attention import KERNELS, Band
from tests.probes import traced_work as tiny

BF16, F32 = 2, 4
B, H, K, T, D = 2, 4, 2, 7, 8


def tensor(*sizes: int, dtype: str = "bfloat16") -> Tensor:
    return Tensor(sizes, (), dtype)


def known(name: str, *inputs: Argument) -> Work:
    work = op_work(f"aten::{name}", list(inputs))
    assert work is not None
    return work


def heads_first(queries: int = T, keys: int = T) -> list[Argument]:
    return [tensor(B, H, queries, D), tensor(B, K, keys, D), tensor(B, K, keys, D)]


def heads_last(queries: int = T, keys: int = T) -> list[Argument]:
    return [tensor(B, queries, H, D), tensor(B, keys, K, D), tensor(B, keys, K, D)]


def flops(pairs: int) -> int:
    return 2 * B * H * pairs * (D + D)


def test_positions_are_those_of_torchs_schemas() -> None:
    names = {"causal": "is_causal", "mask_type": "custom_mask_type", "logsumexp": "compute_log_sumexp"}
    for name, kernel in KERNELS.items():
        (schema, *_) = [
            s for s in torch._C._jit_get_schemas_for_operator(f"aten::{name}") if not s.overload_name
        ]
        arguments = [argument.name for argument in schema.arguments]
        assert arguments[:3] == ["query", "key", "value"]
        for field, expected in names.items():
            at = getattr(kernel, field)
            if at is not None and not isinstance(at, bool):
                assert arguments[at] == expected, name
        assert kernel.mask is None or arguments[kernel.mask] in ("attn_mask", "attn_bias", "bias"), name
        if kernel.window is not None:
            assert [arguments[at] for at in kernel.window] == ["window_size_left", "window_size_right"]
        values = {arguments[at] for at in kernel.absent if at < len(arguments)}
        assert values <= {
            *("cum_seq_q", "cum_seq_k", "cu_seqlens_q", "cu_seqlens_k", "seqused_k", "seqlen_k"),
            *("alibi_slopes", "block_table", "window_size", "dropout_p", "scale"),
        }, name
        optional_tensors = {
            argument.name
            for argument in schema.arguments
            if "Tensor" in str(argument.type) and argument.name not in ("query", "key", "value")
        }
        masks = {"attn_mask", "attn_bias", "bias"}
        assert optional_tensors - masks <= values, name


def test_every_name_of_a_causal_square_gives_the_same_work() -> None:
    """As traced on an H200 and a CPU: the operators, and those that they call."""
    first, last = heads_first(), heads_last()
    calls: dict[str, list[Argument]] = {
        "scaled_dot_product_attention": [*first, None, 0.0, True, 0.35, True],
        "_scaled_dot_product_flash_attention": [*first, 0.0, True, False, None],
        "_scaled_dot_product_flash_attention_for_cpu": [*first, 0.0, True, None, 0.35],
        "_scaled_dot_product_efficient_attention": [*first, None, True, 0.0, True, None],
        "_scaled_dot_product_cudnn_attention": [*first, None, True, 0.0, True, False, None],
        "_scaled_dot_product_fused_attention_overrideable": [*first, None, 0.0, True, False, None],
        "_flash_attention_forward": [*last, None, None, T, T, 0.0, True, False, *[None] * 5],
        "_efficient_attention_forward": [*last, None, None, None, T, T, 0.0, 1, True, None, None, None],
        "_cudnn_attention_forward": [*first, None, None, None, T, T, True, 0.0, True, False, None],
    }
    assert set(calls) == set(KERNELS)
    read, out, logsumexp = B * T * D * (H + 2 * K) * BF16, B * H * T * D * BF16, B * H * T * F32
    for name, inputs in calls.items():
        work = known(name, *inputs)
        assert (work.flops, work.read_bytes) == (flops(T * (T + 1) // 2), read), name
        written = out + logsumexp * (name != "scaled_dot_product_attention")
        assert work.written_bytes == written, name


def test_the_log_sum_exp_is_written_where_it_is_asked_for() -> None:
    first = heads_first()
    out = B * H * T * D * BF16
    for name in ("_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention"):
        assert known(name, *first, None, False, 0.0, False).written_bytes == out
        assert known(name, *first, None, True, 0.0, False).written_bytes == out + B * H * T * F32


def test_causal_of_fewer_queries_than_keys() -> None:
    """Flash attention sees the newest keys, all others the oldest, and never read the rest."""
    queries, keys = 3, 10
    one_key = 2 * B * K * D * BF16
    query = B * H * queries * D * BF16
    oldest, newest = 1 + 2 + 3, 8 + 9 + 10
    top = known("_scaled_dot_product_cudnn_attention", *heads_first(3, 10), None, False, 0.0, True)
    assert (top.flops, top.read_bytes) == (flops(oldest), query + 3 * one_key)
    bottom = known("_scaled_dot_product_flash_attention", *heads_first(3, 10), 0.0, True)
    assert (bottom.flops, bottom.read_bytes) == (flops(newest), query + keys * one_key)
    efficient = [*heads_last(3, 10), None, None, None, 3, 10, 0.0]
    for mask_type, pairs in ((0, 30), (1, oldest), (2, newest)):
        assert known("_efficient_attention_forward", *efficient, mask_type, False).flops == flops(pairs)
    assert op_work("aten::_efficient_attention_forward", [*efficient, 7, False]) is None
    # A step of decoding sees everything, either way that it is asked for.
    assert known("_scaled_dot_product_flash_attention", *heads_first(1, 10), 0.0, True).flops == flops(10)
    assert known("scaled_dot_product_attention", *heads_first(1, 10), None, 0.0, False).flops == flops(10)
    assert known("scaled_dot_product_attention", *heads_first(10, 3), None, 0.0, True).flops == flops(27)


def test_a_mask_is_read_and_every_pair_counts() -> None:
    shown = Tensor((B, H, T, T), (T * T, 0, T, 1), "bool")
    work = known("scaled_dot_product_attention", *heads_first(), shown, 0.0, False)
    assert work.flops == flops(T * T)
    assert (shown, B * T * T) in work.reads


def test_a_window_keeps_its_band() -> None:
    last = [*heads_last(T, 10), None, None, T, 10, 0.0]
    causal = known("_flash_attention_forward", *last, True, False, None, 2, 0, None, None)
    assert causal.flops == flops(3 * T)
    both = known("_flash_attention_forward", *last, False, False, None, 1, 1, None, None)
    assert both.flops == flops(3 * T - 1)  # the last query has no key to its right
    endless = known("_flash_attention_forward", *last, False, False, None, -1, -1, None, None)
    assert endless.flops == flops(10 * T)


def test_what_is_in_values_is_unknown() -> None:
    lengths = tensor(3, dtype="int32")
    packed: list[Argument] = [tensor(14, H, D), tensor(14, K, D), tensor(14, K, D)]
    varlen = [*packed, lengths, lengths, 7, 7, 0.0, True, False]
    assert op_work("aten::_flash_attention_forward", varlen) is None
    paged = [*heads_last(), None, None, T, T, 0.0, True, False, None, None, None, None, None, lengths, None]
    assert op_work("aten::_flash_attention_forward", paged) is None
    scaled = [*heads_first(), lengths, lengths, lengths, 0.0, True, False, None]
    assert op_work("aten::_scaled_dot_product_flash_attention", scaled) is None
    assert op_work("aten::scaled_dot_product_attention", packed) is None
    odd_heads = [tensor(B, 3, T, D), *heads_first()[1:]]
    assert op_work("aten::scaled_dot_product_attention", odd_heads) is None


offsets = st.none() | st.integers(-12, 12)


@given(st.integers(0, 9), st.integers(0, 9), offsets, offsets)
def test_bands_are_counted_as_they_are(queries: int, keys: int, first: int | None, last: int | None) -> None:
    if first is not None and last is not None and first > last:
        first, last = last, first
    kept = [
        (query, key)
        for query in range(queries)
        for key in range(keys)
        if (first is None or key >= query + first) and (last is None or key <= query + last)
    ]
    band = Band(queries, keys, first, last)
    assert band.pairs == len(kept)
    seen = len({key for _, key in kept})
    assert band.keys_seen == seen


def _same(one: torch.Tensor, diagonal: int, query: torch.Tensor, key: torch.Tensor) -> bool:
    """Whether that is what these keys as values give under a triangle with this diagonal."""
    shape = query.shape[2], key.shape[2]
    mask = torch.ones(shape, dtype=torch.bool, device=query.device).tril(diagonal)
    expected = F.scaled_dot_product_attention(query.float(), key.float(), key.float(), mask)
    return torch.allclose(one.float(), expected, atol=0.05)


def test_a_cpus_causal_is_top_left() -> None:
    generator = torch.Generator().manual_seed(0)
    query, key = torch.randn(1, 2, 3, D, generator=generator), torch.randn(1, 2, 9, D, generator=generator)
    called = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(query, key, key, 0.0, True)[0]
    assert _same(called, 0, query, key) and not _same(called, 6, query, key)
    assert _same(F.scaled_dot_product_attention(query, key, key, is_causal=True), 0, query, key)


def test_parent_and_leaf_on_a_cpu() -> None:
    """The outer operator leaves its work to the inner one; what the mask's conversion moves counts too."""
    query, key = torch.randn(B, H, T, D), torch.randn(B, K, T, D)
    found = tiny.counted(
        tiny.traced(lambda: F.scaled_dot_product_attention(query, key, key, is_causal=True, enable_gqa=True))
    )
    assert [event.name for event, _ in found.known] == ["aten::_scaled_dot_product_flash_attention_for_cpu"]
    mask = torch.ones(B, 1, T, T, dtype=torch.bool)
    masked = tiny.counted(
        tiny.traced(lambda: F.scaled_dot_product_attention(query, query, query, mask)),
    )
    names = [event.name for event, _ in masked.known]
    assert names[-1] == "aten::_scaled_dot_product_flash_attention_for_cpu" and "aten::where" in names
    assert masked.known[-1][1].flops == flops(T * T)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_kernels_causal_means_what_the_table_says() -> None:
    aten = torch.ops.aten
    made = {"device": "cuda", "dtype": torch.bfloat16}
    query, key = torch.randn(1, 2, 64, 64, **made), torch.randn(1, 2, 128, 64, **made)  # type: ignore[call-overload]
    results = {
        "_scaled_dot_product_flash_attention": aten._scaled_dot_product_flash_attention(
            query, key, key, 0.0, True
        ),
        "_scaled_dot_product_efficient_attention": aten._scaled_dot_product_efficient_attention(
            query, key, key, None, False, 0.0, True
        ),
        "_scaled_dot_product_cudnn_attention": aten._scaled_dot_product_cudnn_attention(
            query, key, key, None, False, 0.0, True, False
        ),
    }
    for name, result in results.items():
        diagonal = 64 if KERNELS[name].bottom_right else 0
        assert _same(result[0], diagonal, query, key) and not _same(result[0], 64 - diagonal, query, key)
