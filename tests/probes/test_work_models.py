"""The work of whole models: against the formulas, against torch's own counter, and what stays unknown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from llmflame.analysis.op_class import op_class
from llmflame.probes.work import Work
from tests.probes import traced_work as tiny

BF16 = 2
"""Bytes of a weight or an activation."""


def linear_flops(batch: int, count_: int, logits: int) -> int:
    """2·B·T·L·[D(H+2K)d + H·d·D + 3·D·I] + 2·D·V·B·T'."""
    d = tiny.HEAD
    projections = tiny.HIDDEN * (tiny.HEADS + 2 * tiny.KEY_HEADS) * d + tiny.HEADS * d * tiny.HIDDEN
    layer = projections + 3 * tiny.HIDDEN * tiny.FFN
    return 2 * batch * count_ * tiny.LAYERS * layer + 2 * tiny.HIDDEN * tiny.VOCABULARY * batch * logits


def by_class(found: Sequence[tuple[Any, Work]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for event, work in found:
        of = op_class(event.name)
        sums[of] = sums.get(of, 0) + work.flops
    return sums


def torch_flops(model: Any, **inputs: Any) -> int:
    """What torch counts; it doesn't know the CPU's attention operator, so it is told by its own formula."""

    def attention(query: Any, key: Any, value: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
        counted = cast("Any", sdpa_flop_count)(query, key, value)
        return int(counted)

    own = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention}
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=own) as counter:
        model(**inputs)
    return int(counter.get_total_flops())


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_llama_against_formulas_and_torchs_counter(attention: str) -> None:
    model, ids, kept = tiny.llama(attention), tiny.tokens(), {}
    batch, count_ = tiny.BATCH, tiny.TOKENS
    square = 4 * tiny.LAYERS * batch * tiny.HEADS * tiny.HEAD * count_ * count_
    triangle = 4 * tiny.LAYERS * batch * tiny.HEADS * tiny.HEAD * count_ * (count_ + 1) // 2

    def prefill() -> None:
        kept["out"] = model(ids, use_cache=True)

    found = tiny.counted(tiny.traced(prefill))
    assert found.unknown == []
    flops = by_class(found.known)
    linear = linear_flops(batch, count_, count_)
    if attention == "sdpa":
        assert (flops["matmul"], flops["attention"]) == (linear, triangle)
        # FlopCounterMode counts the whole square of a causal attention.
        assert linear + triangle + (square - triangle) == torch_flops(model, input_ids=ids)
    else:  # eager computes the square, and throws half of it away
        assert flops["matmul"] == linear + square == torch_flops(model, input_ids=ids)
    assert weight_bytes(found.known, model) == expected_weight_bytes(batch, count_)

    past = kept["out"].past_key_values
    step = {"input_ids": ids[:, :1], "past_key_values": past, "use_cache": True}
    found = tiny.counted(tiny.traced(lambda: model(**step)))
    assert found.unknown == []
    flops = by_class(found.known)
    seen = count_ + 1
    attended = 4 * tiny.LAYERS * batch * tiny.HEADS * tiny.HEAD * seen
    assert flops["matmul"] + flops.get("attention", 0) == linear_flops(batch, 1, 1) + attended
    assert weight_bytes(found.known, model) == expected_weight_bytes(batch, 1)
    past.crop(-1)
    assert flops["matmul"] + flops.get("attention", 0) == torch_flops(model, **step)
    if attention == "sdpa":
        attentions = [work for event, work in found.known if op_class(event.name) == "attention"]
        keys = 2 * batch * tiny.KEY_HEADS * seen * tiny.HEAD * BF16
        query = batch * tiny.HEADS * tiny.HEAD * BF16
        assert [work.read_bytes for work in attentions] == [query + keys] * tiny.LAYERS


def expected_weight_bytes(batch: int, count_: int) -> int:
    """w · (L·[D(H+2K)d + H·d·D + 3·D·I + 2D] + D + V·D), and the rows of the embedding that are asked for."""
    layers = linear_flops(1, 1, 0) // 2 + tiny.LAYERS * 2 * tiny.HIDDEN
    head = tiny.HIDDEN + tiny.VOCABULARY * tiny.HIDDEN
    return BF16 * (layers + head + batch * count_ * tiny.HIDDEN)


def weight_bytes(found: Sequence[tuple[Any, Work]], model: Any) -> int:
    storages = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    return sum(read for _, work in found for given, read in work.reads if given.storage in storages)


UNRECORDED = {"aten::index", "aten::_index_put_impl_"}
"""Their indices are a list of optional tensors, which the tracer doesn't keep."""
CONVOLVED = {"aten::mkldnn_convolution", "aten::_slow_conv2d_forward", "aten::convolution_overrideable"}
"""By build of torch; their strides aren't kept."""
FAMILIES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "Llama": (tiny.SIZES, {"aten::index"}),
    "GPT2": ({"vocab_size": 101, "n_embd": 32, "n_layer": 2, "n_head": 4}, {"aten::index"}),
    "Qwen3": ({**tiny.SIZES, "head_dim": 8}, {"aten::index"}),
    "Mixtral": ({**tiny.SIZES, "num_local_experts": 4}, UNRECORDED),
    "Mamba": ({"vocab_size": 101, "hidden_size": 32, "num_hidden_layers": 2}, CONVOLVED),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_what_stays_unknown_of_generation(family: str) -> None:
    """A whole sampled generation, with a padded batch: masks, caches, processors, sampling."""
    sizes, allowed = FAMILIES[family]
    model = tiny.model(family, None if family == "Mamba" else "sdpa", **sizes)
    ids = tiny.tokens()
    mask = torch.ones_like(ids)
    mask[0, :2] = 0
    options = {"max_new_tokens": 3, "do_sample": True, "top_k": 5, "top_p": 0.9, "temperature": 0.8}
    options |= {"repetition_penalty": 1.1, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    found = tiny.counted(tiny.traced(lambda: model.generate(ids, attention_mask=mask, **options)))
    assert tiny.unknown_names(found) <= allowed
    assert len(found.known) > 100 and sum(work.flops for _, work in found.known) > 0
    assert all(min(work.flops, work.read_bytes, work.written_bytes) >= 0 for _, work in found.known)


def test_experts_count_by_the_rows_that_reach_them() -> None:
    experts, chosen = 4, 2
    model, ids = tiny.model("Mixtral", "sdpa", **tiny.SIZES, num_local_experts=experts), tiny.tokens()
    flops = by_class(tiny.counted(tiny.traced(lambda: model(ids))).known)
    dense = 3 * tiny.HIDDEN * tiny.FFN
    per_token = 2 * tiny.LAYERS * (chosen * dense + experts * tiny.HIDDEN - dense)
    count_ = tiny.TOKENS
    assert flops["matmul"] == linear_flops(tiny.BATCH, count_, count_) + tiny.BATCH * count_ * per_token
