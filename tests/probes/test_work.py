"""The work of operators: by hand, against what torch returns and counts, and over real models."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from llmflame.probes.work import Argument, Tensor, Work, arguments, count, is_composite, is_free, op_work
from llmflame.probes.work.convolution import CONVOLUTION
from llmflame.probes.work.free import _FREE
from llmflame.probes.work.operator import _RULES
from llmflame.probes.work.tensor import ITEM_BYTES, SCALAR_TYPES
from tests.probes import traced_work as tiny

BF16, F32, I64 = 2, 4, 8


def tensor(*sizes: int, dtype: str = "bfloat16", storage: int | None = None) -> Tensor:
    strides = [math.prod(sizes[axis + 1 :]) for axis in range(len(sizes))]
    return Tensor(sizes, tuple(strides), dtype, storage)


def known(name: str, *inputs: Argument) -> Work:
    work = op_work(f"aten::{name}", list(inputs))
    assert work is not None
    assert work.read_bytes == sum(read for _, read in work.reads)
    return work


def numbers(name: str, *inputs: Argument) -> tuple[int, int, int]:
    work = known(name, *inputs)
    return work.flops, work.read_bytes, work.written_bytes


def test_a_tensors_bytes_are_its_distinct_elements() -> None:
    assert tensor(2, 3, 4).elements == 24 and tensor(2, 3, 4, dtype="float32").bytes == 96
    assert Tensor((2, 3, 4), (4, 0, 1), "int64").elements == 8  # expanded
    assert Tensor((2, 3, 4), (4, 0, 1), "int64").numel == 24
    assert Tensor((5, 3), (1, 1), "int8").elements == 7  # unfolded: windows of 3 over 7
    assert Tensor((2, 4), (1, 2), "bool").bytes == 8  # transposed
    assert Tensor((), (), "float64").bytes == 8
    assert Tensor((0, 4), (4, 1), "float64").bytes == 0
    assert Tensor((3, 4), (), "float16").bytes == 24
    with pytest.raises(KeyError):
        _ = Tensor((3,), (1,), "quint4x2").bytes


def test_item_sizes_and_type_numbers_are_torchs() -> None:
    for name, item_bytes in ITEM_BYTES.items():
        assert getattr(torch, name).itemsize == item_bytes
    source = torch.zeros(2)
    for code, name in SCALAR_TYPES.items():
        if name == "complex32":  # warns that it is experimental
            continue
        dtype = getattr(torch, name)
        (root, *_) = tiny.traced(partial(torch.empty_like, source, dtype=dtype))
        assert arguments(root.typed[1].inputs)[1] == code


def test_one_tensor_twice_is_read_once() -> None:
    one, other = tensor(4, 8, storage=1), tensor(4, 8, storage=2)
    assert known("mul", one, one).read_bytes == 32 * BF16
    assert known("mul", one, other).read_bytes == 64 * BF16
    assert known("mul", tensor(4, 8), tensor(4, 8)).read_bytes == 64 * BF16
    query, key = (Tensor((4, 8), (24, 1), "bfloat16", 1, identity) for identity in (10, 11))
    assert known("mul", query, key).read_bytes == 64 * BF16  # slices of one projection
    assert known("mul", query, query).read_bytes == 32 * BF16


def test_matrix_products() -> None:
    left, right, batch = tensor(5, 7), tensor(7, 3), tensor(2, 7, 3)
    flops, read, written = 2 * 5 * 7 * 3, (5 * 7 + 7 * 3) * BF16, 5 * 3 * BF16
    assert numbers("mm", left, right) == (flops, read, written)
    assert numbers("mm", left, right, tensor(5, 3, dtype="float32")) == (flops, read, 5 * 3 * F32)
    assert numbers("mm", left, right, 6) == (flops, read, 5 * 3 * F32)  # torch.mm(..., out_dtype)
    bias = tensor(3)
    assert numbers("addmm", bias, left, right, 1, 1) == (flops, read + 3 * BF16, written)
    assert numbers("addmm", bias, left, right, 0, 1) == (flops, read, written)
    assert numbers("addmm_", tensor(5, 3), left, right, 1, 1) == (flops, read + written, written)
    assert numbers("_addmm_activation", bias, left, right, 1, 1, True)[0] == flops
    assert numbers("bmm", tensor(2, 5, 7), batch) == (2 * flops, 2 * read, 2 * written)
    full = tensor(2, 5, 3)
    assert numbers("baddbmm", full, tensor(2, 5, 7), batch, 1, 0.5) == (2 * flops, 2 * (read + written), 60)
    assert numbers("baddbmm", full, tensor(2, 5, 7), batch, 0, 0.5) == (2 * flops, 2 * read, 2 * written)
    assert numbers("mv", left, tensor(7)) == (70, 42 * BF16, 5 * BF16)
    assert numbers("addmv", tensor(5), left, tensor(7), 1, 1) == (70, 47 * BF16, 5 * BF16)
    assert numbers("dot", tensor(7), tensor(7)) == (14, 14 * BF16, BF16)
    assert numbers("linear", tensor(2, 5, 7), tensor(3, 7), bias) == (
        2 * flops,
        (70 + 21 + 3) * BF16,
        30 * BF16,
    )
    assert numbers("matmul", tensor(2, 5, 7), right) == (2 * flops, (70 + 21) * BF16, 30 * BF16)
    assert numbers("matmul", tensor(4, 1, 5, 7), batch)[0] == 8 * flops
    assert numbers("matmul", tensor(7), right) == (2 * 7 * 3, 28 * BF16, 3 * BF16)
    eight = tensor(5, 7, dtype="int8")
    assert numbers("_int_mm", eight, tensor(7, 3, dtype="int8")) == (flops, 56, 15 * 4)
    scale = tensor(dtype="float32")
    scaled = tensor(5, 7, dtype="float8_e4m3fn"), tensor(7, 3, dtype="float8_e4m3fn"), scale, scale
    assert numbers("_scaled_mm", *scaled, None, None, 15, True) == (flops, 56 + 2 * F32, written)


def test_products_that_do_not_fit_are_unknown() -> None:
    left = tensor(5, 7)
    wrong: dict[str, list[Argument]] = {
        "mm": [left, tensor(6, 3)],
        "bmm": [left, tensor(7, 3)],
        "matmul": [tensor(2, 5, 7), tensor(3, 7, 2)],
        "linear": [left, tensor(3, 6), None],
        "dot": [left, left],
        "mv": [tensor(7), tensor(7)],
        "_grouped_mm": [left, tensor(7, 3), None, None, None],
    }
    for name, inputs in wrong.items():
        assert op_work(f"aten::{name}", inputs) is None
    packed = tensor(3, 7, dtype="quint4x2")
    assert op_work("aten::linear", [left, packed, None]) is None
    assert op_work("quantized::linear", [left, tensor(3, 7)]) is None


def test_experts_are_read_as_far_as_there_are_rows() -> None:
    weights, offsets = tensor(8, 32, 48), tensor(8, dtype="int32")
    flops, read, written = numbers("_grouped_mm", tensor(28, 32), weights, offsets, None, None)
    assert (flops, written) == (2 * 28 * 32 * 48, 28 * 48 * BF16)
    assert read == (28 * 32 + 8 * 32 * 48) * BF16 + 8 * 4
    assert numbers("_grouped_mm", tensor(2, 32), weights, offsets, None, None) == (
        2 * 2 * 32 * 48,
        (2 * 32 + 2 * 32 * 48) * BF16 + 8 * 4,
        2 * 48 * BF16,
    )


def test_convolutions_need_their_strides() -> None:
    given, weight, bias = tensor(2, 64, 20), tensor(64, 1, 4), tensor(64)
    causal = numbers("conv1d", given, weight, bias, [1], [3], [1], 64)
    assert causal == (2 * 2 * 64 * 23 * 4, (2560 + 256 + 64) * BF16, 2 * 64 * 23 * BF16)
    patches = [tensor(1, 3, 28, 28), tensor(16, 3, 14, 14), None, [14, 14], [0], [1, 1], False, [0, 0], 1]
    assert numbers("convolution", *patches)[0] == 2 * (16 * 3 * 14 * 14) * 4
    # As torch's event tree has them: a stride of 14 or of 1 can't be told apart.
    assert op_work("aten::conv1d", [given, weight, bias, None, None, None, 64]) is None
    transposed = [tensor(2, 64, 20), tensor(64, 1, 4), None, [1], [0], [1], True, [0], 64]
    assert op_work("aten::convolution", transposed) is None


def test_element_by_element() -> None:
    hidden, weight = tensor(2, 7, 32), tensor(32)
    elements = 2 * 7 * 32
    assert numbers("add", hidden, tensor(2, 7, 32), 1) == (elements, 2 * elements * BF16, elements * BF16)
    assert numbers("mul", weight, hidden) == (elements, (elements + 32) * BF16, elements * BF16)
    assert numbers("silu", hidden) == (elements, elements * BF16, elements * BF16)
    assert numbers("add_", hidden, weight, 1) == (elements, (elements + 32) * BF16, elements * BF16)
    assert numbers("pow", tensor(3, dtype="float32"), 2) == (3, 12, 12)
    assert numbers("eq", tensor(5, dtype="int64"), 3) == (0, 40, 5)
    assert numbers("add", tensor(5, dtype="int64"), 3, 1) == (0, 40, 40)  # no floating-point operation
    assert numbers("exp", tensor(5, dtype="int64")) == (5, 40, 20)
    mask = Tensor((2, 1, 7, 7), (0, 49, 7, 1), "bool")
    assert numbers("where", mask, 0.0, tensor(dtype="bfloat16")) == (0, 49 + BF16, 98 * BF16)
    assert numbers("masked_fill", tensor(2, 4, 7, 7), mask, -1.0) == (0, 392 * BF16 + 49, 392 * BF16)
    assert numbers("mul", tensor(1), tensor(7, 1), tensor(7, 1, dtype="float32"))[2] == 28  # the out's type
    assert op_work("aten::add", [tensor(3), tensor(4), 1]) is None
    assert op_work("aten::add", [2, 3, 1]) is None


def test_reductions_read_all_and_write_what_is_left() -> None:
    single = tensor(2, 7, 32, dtype="float32")
    elements = 2 * 7 * 32
    # Lists of dimensions are None in the event tree: the last one is meant.
    assert numbers("mean", single, None, True, None) == (elements, elements * F32, 14 * F32)
    assert numbers("mean", single, [0, 1], True, None)[2] == 32 * F32
    assert numbers("sum", single, None) == (elements, elements * F32, F32)
    assert numbers("sum", tensor(2, 7, dtype="bool"), None, False, None) == (0, 14, 2 * I64)
    out = tensor(7, 1, dtype="float32")
    assert numbers("sum", single, None, True, 6, out)[2] == 7 * F32
    assert numbers("max", single, 1, False) == (0, elements * F32, 64 * (F32 + I64))
    assert numbers("max", single) == (0, elements * F32, F32)
    assert numbers("max", tensor(4, 1), tensor(5)) == (20, 9 * BF16, 20 * BF16)
    assert numbers("argmax", single, None, False)[2] == I64
    assert numbers("argmax", single, -1, True, tensor(2, 7, 1, dtype="int64"))[2] == 14 * I64
    assert numbers("topk", single, 5, -1, True, True) == (0, elements * F32, 14 * 5 * (F32 + I64))
    assert numbers("sort", single, -1, False)[2] == elements * (F32 + I64)
    assert numbers("cumsum", tensor(2, 7, dtype="int64"), -1, None) == (0, 112, 112)
    assert numbers("_softmax", tensor(2, 4, 7, 7), -1, True) == (5 * 392, 392 * BF16, 392 * F32)
    assert numbers("multinomial", tensor(2, 101, dtype="float32"), 3, False, None)[2] == 2 * 3 * I64
    assert op_work("aten::max", [single, 7, False]) is None


def test_norms() -> None:
    hidden, weight = tensor(2, 7, 32), tensor(32, storage=1)
    elements = 2 * 7 * 32
    moved = (elements + 32) * BF16, elements * BF16
    assert numbers("_fused_rms_norm", hidden, None, weight, 1e-6) == (
        4 * elements,
        moved[0],
        moved[1] + 14 * 4,
    )
    flops, read, written = numbers("native_layer_norm", hidden, None, weight, weight, 1e-5)
    assert (flops, read, written) == (7 * elements, moved[0], moved[1] + 2 * 14 * 4)  # one weight for both
    assert numbers("rms_norm", hidden, None, None, None) == (3 * elements, elements * BF16, elements * BF16)


def test_movement() -> None:
    table, rows = tensor(101, 32), tensor(2, 7, dtype="int64")
    work = known("embedding", table, rows, -1, False, False)
    assert work.reads == ((table, 14 * 32 * BF16), (rows, 14 * I64))
    assert (work.flops, work.written_bytes) == (0, 14 * 32 * BF16)
    assert numbers("embedding", tensor(3, 32), rows) == (0, 96 * BF16 + 112, 14 * 32 * BF16)
    assert numbers("copy_", tensor(4, 4), tensor(4, dtype="float32"), False) == (0, 16, 32)
    expanded = Tensor((2, 2, 2, 8), (16, 8, 0, 1), "bfloat16")
    assert numbers("clone", expanded, 0) == (0, 32 * BF16, 64 * BF16)  # what repeat_kv does
    assert numbers("_to_copy", tensor(4), 6, None, None, None, False, None) == (0, 8, 16)
    assert numbers("cat", [tensor(0), tensor(2, 2, 7, 8)], -2) == (0, 224 * BF16, 224 * BF16)
    assert numbers("cat", [tensor(3), tensor(2, dtype="float32")], 0) == (0, 14, 20)
    assert numbers("fill_", tensor(4, dtype="float32"), 0.0) == (0, 0, 16)
    assert numbers("zero_", tensor(4, 4)) == (0, 0, 32)
    index = tensor(2, 3, dtype="int64")
    assert numbers("gather", tensor(2, 101), 1, index, False) == (0, 12 + 48, 12)
    assert numbers("scatter", tensor(2, 101), 1, index, 1.0) == (0, 404 + 48, 404)
    assert numbers("scatter_", tensor(2, 101), 1, index, 1.0) == (0, 48, 12)
    cache, new, place = tensor(1, 2, 64, 8), tensor(1, 2, 1, 8), tensor(1, dtype="int64")
    assert numbers("index_copy_", cache, 2, place, new) == (0, 8 + 32, 32)
    assert numbers("index_add_", cache, 2, place, new, 1) == (16, 8 + 64, 32)
    assert numbers("arange", 7, None, None, None, False) == (0, 0, 56)
    assert numbers("arange", 0, 7, 2, tensor(0, dtype="int64")) == (0, 0, 32)
    assert numbers("arange", 0.0, 1.0, 0.3, None, None, None, False) == (0, 0, 16)
    assert op_work("aten::arange", [0, math.inf, 1, None, None, None, None]) is None
    assert op_work("aten::index", [tensor(4), None]) is None  # its list of indices isn't recorded


def test_what_moves_nothing() -> None:
    for name in (
        "view",
        "transpose",
        "expand",
        "as_strided",
        "slice",
        "_unsafe_view",
        "t",
        "detach_",
        "empty",
    ):
        assert is_free(f"aten::{name}")
        assert op_work(f"aten::{name}", [tensor(4, 4)]) is None
    assert is_free("detach_") and is_free("aten::to") and is_free("aten::reshape")
    assert not any(is_free(f"aten::{name}") for name in _RULES)
    assert not is_free("aten::copy_") and not is_free("## anything ##")


def calls() -> dict[str, Callable[[], Any]]:
    """Calls whose results tell what had to be written."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 6, 8, generator=generator)
    half, wide = x.to(torch.bfloat16), x.to(torch.float64)
    integers, small = torch.arange(12).view(2, 6), torch.arange(6, dtype=torch.int8)
    truth, index = x > 0, torch.tensor([[0, 2], [1, 1]])
    zero = torch.zeros((), dtype=torch.float64)
    return {
        "halves": lambda: half + half.to(torch.float16),
        "wider": lambda: half * x,
        "widest": lambda: x - wide,
        "number": lambda: half * 2.5,
        "a dimensionless float64": lambda: x * zero,
        "integer and float": lambda: integers * 0.5,
        "integers": lambda: small + integers,
        "truth": lambda: truth & (x < 1),
        "truth and integer": lambda: truth[0] + small[:, None],
        "true division": lambda: integers / 3,
        "floor division": lambda: integers // 5,
        "rounded division": lambda: torch.div(integers, 5, rounding_mode="floor"),
        "in place": lambda: x.clone().mul_(2),
        "comparison": lambda: half >= 0,
        "where": lambda: torch.where(truth, half, 0.0),
        "masked": lambda: half.masked_fill(truth[:1], -1.0),
        "clamp": lambda: half.clamp(min=-1, max=1.5),
        "clamped integers": lambda: integers.clamp(min=0.5),
        "unary of integers": lambda: torch.sqrt(integers),
        "negation": lambda: -integers,
        "power": lambda: half**3.0,
        "softplus": lambda: F.softplus(half),
        "gelu": lambda: F.gelu(half, approximate="tanh"),
        "multiply and add": lambda: torch.addcmul(x, x, x, value=0.5),
        "interpolation": lambda: torch.lerp(x, x + 1, 0.5),
        "sum": lambda: half.sum(-1),
        "sum of truths": lambda: truth.sum(-1, keepdim=True),
        "whole sum": lambda: integers.sum(),
        "typed sum": lambda: half.sum(-1, dtype=torch.float32),
        "mean": lambda: half.mean(-1, keepdim=True),
        "maximum": lambda: half.max(1),
        "whole maximum": lambda: half.max(),
        "maximum of two": lambda: torch.max(half, half[:1]),
        "amax": lambda: x.amax(-1),
        "argmax": lambda: half.argmax(1),
        "any": lambda: truth.any(1),
        "all": lambda: truth.all(),
        "variance": lambda: half.var(-1, correction=1),
        "vector norm": lambda: torch.linalg.vector_norm(half, dim=-1),
        "logsumexp": lambda: torch.logsumexp(half, -1),
        "product": lambda: small.prod(),
        "cumulative": lambda: small.cumsum(0),
        "sort": lambda: half.sort(dim=1),
        "topk": lambda: half.topk(3, dim=1),
        "softmax": lambda: half.softmax(-1),
        "softmax in float32": lambda: torch.softmax(half, 1, dtype=torch.float64),
        "log softmax": lambda: x.log_softmax(1),
        "fused rms norm": lambda: torch.ops.aten._fused_rms_norm(half, [8], half[0, 0], 1e-6),
        "layer norm": lambda: torch.native_layer_norm(x, [8], x[0, 0], x[0, 1], 1e-5),
        "group norm": lambda: torch.native_group_norm(x, None, None, 2, 6, 8, 3, 1e-5),
        "cast": lambda: half.float(),
        "clone": lambda: half[:, :1].expand(2, 6, 8).clone(memory_format=torch.contiguous_format),
        "cat": lambda: torch.cat([half, x], 1),
        "stack": lambda: torch.stack([half, half]),
        "contiguous": lambda: half.transpose(0, 1).contiguous(),
        "embedding": lambda: F.embedding(index, x[0]),
        "index select": lambda: x.index_select(1, index[0]),
        "gather": lambda: integers.gather(1, index),
        "scatter": lambda: x[0].scatter(1, index, 1.0),
        "scatter add": lambda: x[0].scatter_add(1, index, x[1]),
        "index add": lambda: x.index_add(1, index[0], x[:, :2]),
        "tril": lambda: half.tril(),
        "flip": lambda: half.flip(0),
        "arange": lambda: torch.arange(1, 9, 3),
        "floating arange": lambda: torch.arange(0.0, 1.0, 0.1),
        "typed arange": lambda: torch.arange(4, dtype=torch.int32),
        "linspace": lambda: torch.linspace(0, 1, 11),
        "zeros": lambda: torch.zeros(3, 4, dtype=torch.bfloat16),
        "isin": lambda: torch.isin(integers, index),
        "mm": lambda: half[0] @ half[1].T,
        "addmm": lambda: torch.addmm(x[0, 0, :6], x[0], x[1].T),
        "bmm": lambda: torch.bmm(half, half.mT),
        "linear": lambda: F.linear(x, x[0], x[0, :, 0]),
        "mv": lambda: torch.mv(x[0], x[0, 0]),
        "dot": lambda: torch.dot(x[0, 0], x[0, 1]),
        "histogram": lambda: torch.histc(x, 10, -3, 3),
        "sampling": lambda: torch.multinomial(x[0].abs(), 4, replacement=True),
    }


def test_what_is_written_is_what_torch_returns() -> None:
    """Types, shapes and variants of the calls above, against the bytes of their results."""
    made = calls()
    results: dict[str, Any] = {}
    marks = tiny.traced(partial(_call_all, made, results))
    regions = {event.name: event for event in marks if event.name in made}
    assert list(regions) == list(made)
    for name, event in regions.items():
        found = tiny.counted(event.children)
        assert not found.unknown, name
        outputs = results[name] if isinstance(results[name], tuple) else (results[name],)
        (_, work) = found.known[-1]  # what comes before it makes the operands
        assert work.written_bytes == sum(output.numel() * output.element_size() for output in outputs), name
        assert 0 <= work.read_bytes <= sum(read.numel * read.item_bytes for read, _ in work.reads), name


def _call_all(made: dict[str, Callable[[], Any]], results: dict[str, Any]) -> None:
    for name, call in made.items():
        with torch.profiler.record_function(name):
            results[name] = call()


def test_positions_are_those_of_torchs_schemas() -> None:
    for name, rule in CONVOLUTION.items():
        (schema, *_) = [
            s for s in torch._C._jit_get_schemas_for_operator(f"aten::{name}") if not s.overload_name
        ]
        names = [argument.name for argument in schema.arguments]
        positions = rule.args[0]  # type: ignore[attr-defined]
        for field in ("stride", "padding", "dilation", "bias", "transposed"):
            if (at := getattr(positions, field)) is not None:
                assert names[at] == field, name
    for name in {*_RULES, *_FREE}:
        assert torch._C._jit_get_schemas_for_operator(f"aten::{name}"), name
    assert is_composite("aten::linear") and not is_composite("aten::mm")


def test_a_number_that_becomes_a_tensor_does_not_hide_the_product() -> None:
    x = torch.randn(4, 8)
    found = tiny.counted(tiny.traced(lambda: (x * torch.tensor(2.0, dtype=torch.float64), x.sum(0))))
    names = [event.name for event, _ in found.known]
    assert names[-2:] == ["aten::mul", "aten::sum"]
    assert found.known[-2][1].flops == 32


def test_only_what_counts_is_counted() -> None:
    """A composite operator counts where nothing below it does, and what isn't known is named once."""
    a, b = tensor(2, 3), tensor(3, 3)
    tree: dict[str, list[str]] = {
        "root": ["aten::linear", "aten::linear#leaf", "custom::op", "frame"],
        "aten::linear": ["aten::t", "aten::mm"],
        "aten::mm": ["aten::copy_"],
        "custom::op": ["aten::view", "aten::index"],
        "frame": ["aten::mul"],
    }
    inputs: dict[str, list[Argument]] = {
        "aten::linear": [a, b, None],
        "aten::linear#leaf": [a, b, None],
        "aten::mm": [a, b],
        "aten::mul": [a, a],
        "aten::copy_": [a, a],
    }
    found = count(
        ["root"],
        lambda node: tree.get(node, []),
        lambda node: None if node in ("root", "frame") else node.split("#")[0],
        lambda node: op_work(node.split("#")[0], inputs.get(node, [])),
    )
    assert [node for node, _ in found.known] == ["aten::mm", "aten::linear#leaf", "aten::mul"]
    assert found.unknown == ["aten::index"]


def test_a_deep_tree_does_not_exhaust_the_stack() -> None:
    found = count([0], lambda node: [node + 1] * (node < 50_000), lambda _: "custom::op", lambda _: None)
    assert found.unknown == [50_000]


def test_torchs_record_is_read_by_its_attributes() -> None:
    x = torch.zeros(2, 3, dtype=torch.float16)
    (event, *_) = tiny.traced(lambda: torch.cat([x, x], 1))
    first, dimension = arguments(event.typed[1].inputs)
    assert dimension == 1 and isinstance(first, list) and first[0] == first[1]
    assert isinstance(first[0], Tensor)
    assert (first[0].sizes, first[0].strides, first[0].dtype) == ((2, 3), (3, 1), "float16")
    assert first[0].storage == x.untyped_storage().data_ptr()
    assert arguments([1, 2.5, True, None, "text", 1j, [object()], []]) == [
        1,
        2.5,
        True,
        None,
        None,
        None,
        None,
        [],
    ]
    assert op_work("aten::mm", arguments([])) is None


sizes = st.lists(st.integers(0, 5), max_size=5).map(tuple)
tensors = st.builds(
    Tensor,
    sizes=sizes | st.lists(st.integers(-3, 2**40), max_size=3).map(tuple),
    strides=sizes,
    dtype=st.sampled_from([*ITEM_BYTES, "quint8", ""]),
    storage=st.none() | st.integers(0, 3),
    identity=st.none() | st.integers(0, 3),
)
one_argument: st.SearchStrategy[Any] = st.one_of(
    tensors,
    st.lists(tensors, max_size=3),
    st.lists(st.integers(-3, 3), max_size=3),
    st.integers(-(2**60), 2**60),
    st.floats(),
    st.booleans(),
    st.none(),
)


@given(st.sampled_from(sorted(_RULES)), st.sampled_from(["", "_"]), st.lists(one_argument, max_size=9))
def test_any_inputs_give_work_or_none(name: str, suffix: str, inputs: list[Argument]) -> None:
    work = op_work(f"aten::{name}{suffix}", inputs)
    if work is not None:
        assert min(work.flops, work.read_bytes, work.written_bytes, 0) == 0
        assert all(read >= 0 for _, read in work.reads)


@pytest.mark.parametrize("name", sorted(_RULES))
def test_odd_inputs_of_every_operator(name: str) -> None:
    odd: list[list[Argument]] = [
        [],
        [None] * 9,
        [tensor()] * 9,
        [tensor(0)] * 9,
        [[]] * 9,
        [True] * 9,
        [-1] * 9,
    ]
    odd += [
        [tensor(2, 3), *rest] for rest in ([None] * 8, [-9] * 8, [math.nan] * 8, [[tensor(2)]] * 8, [99] * 8)
    ]
    for inputs in odd:
        work = op_work(f"aten::{name}", inputs)
        assert work is None or min(work.flops, work.read_bytes, work.written_bytes) >= 0


@given(st.text(max_size=40), st.lists(one_argument, max_size=3))
def test_any_name_is_no_error(name: str, inputs: list[Argument]) -> None:
    for prefix in ("", "aten::"):
        op_work(prefix + name, inputs)
        is_free(prefix + name)


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=4))
def test_expanded_dimensions_count_once(dimensions: list[tuple[int, bool]]) -> None:
    base = torch.empty([1 if expanded else size for size, expanded in dimensions])
    shown = base.expand([size for size, _ in dimensions])
    made = Tensor(tuple(shown.shape), tuple(shown.stride()), "float32")
    assert made.numel == shown.numel()
    assert made.elements == (base.numel() if shown.numel() else 0)
