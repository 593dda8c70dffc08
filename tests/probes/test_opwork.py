"""What the operators of a window must do: each product once, and the weights that it reads known as such."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from llmflame.probes.charge import charge
from llmflame.probes.events import OpWork, TraceEvent
from llmflame.probes.eventtree import module_paths, read_trace
from llmflame.probes.opwork import assign_work, weight_storages
from llmflame.probes.tracing import Window
from llmflame.store.observed import ObservedTree
from tests.probes import traced_work as tiny
from tests.probes.made_traces import event, trace
from tests.probes.native_events import events_of

BF16 = 2
WEIGHT = 77
"""Address of a weight's storage."""


def tensor(*sizes: int, storage: int = 1, dtype: str = "torch.bfloat16") -> Any:
    strides = [0] * len(sizes)
    step = 1
    for place in reversed(range(len(sizes))):
        strides[place], step = step, step * sizes[place]
    return SimpleNamespace(
        sizes=list(sizes), strides=strides, dtype=dtype, storage_data_ptr=storage, impl_ptr=id(object())
    )


def operator(name: str, inputs: list[Any] | None, *children: TraceEvent) -> TraceEvent:
    made = event("op", name, 110, 120, *children)
    made.inputs = inputs
    return made


def product(*children: TraceEvent) -> TraceEvent:
    """Two rows of four by a weight of 4 x 8."""
    return operator("aten::mm", [tensor(2, 4, storage=1), tensor(4, 8, storage=WEIGHT)], *children)


PRODUCT = OpWork(
    flops=2 * 2 * 4 * 8,
    read_bytes=(8 + 32) * BF16,
    written_bytes=16 * BF16,
    weight_bytes=32 * BF16,
)


def worked(*roots: TraceEvent) -> dict[str, OpWork]:
    made = trace(*roots)
    assign_work(made, {WEIGHT})
    return {one.frame[1]: one.work for one in events_of(made) if one.work is not None}


def test_a_product_reads_its_weight() -> None:
    assert worked(product()) == {"aten::mm": PRODUCT}


def test_an_operator_that_leaves_its_work_to_others_has_none_of_its_own() -> None:
    view = operator("aten::t", [tensor(8, 4, storage=WEIGHT)])
    assert worked(operator("aten::linear", [tensor(2, 4), tensor(8, 4)], view, product())) == {
        "aten::mm": PRODUCT
    }


def test_what_runs_below_a_known_operator_is_how_it_does_it() -> None:
    """A bias that is copied into the result first is no work beside the product's."""
    copied = operator("aten::copy_", [tensor(2, 8), tensor(8)])
    assert worked(product(copied)) == {"aten::mm": PRODUCT}


def test_an_operator_that_nobody_knows_says_so() -> None:
    assert worked(operator("mine::fused", [tensor(2, 4)])) == {"mine::fused": OpWork(known=False)}


def test_an_operator_that_nobody_knows_is_known_by_what_it_calls() -> None:
    assert worked(operator("mine::fused", [tensor(2, 4)], product())) == {"aten::mm": PRODUCT}


def test_views_ranges_frames_and_calls_do_no_work() -> None:
    roots = [
        operator("aten::view", [tensor(2, 4), [8]]),
        operator("a range of the program's", []),
        event("python", "f", 110, 120),
        event("runtime", "cudaLaunchKernel", 110, 120),
    ]
    assert worked(*roots) == {}


def test_a_window_without_shapes_has_no_work() -> None:
    assert worked(operator("aten::mm", None)) == {}


def test_operators_of_all_threads_are_looked_at() -> None:
    made = trace(product())
    made.roots[2] = [product()]
    assign_work(made, {WEIGHT})
    assert all(one.work == PRODUCT for one in events_of(made))


@pytest.mark.parametrize("inputs", [[tensor(2, 4)], [None, None], ["a", 3], [tensor(2, 4), tensor(5, 8)]])
def test_inputs_that_make_no_sense_are_not_known(inputs: list[Any]) -> None:
    assert worked(operator("aten::mm", inputs)) == {"aten::mm": OpWork(known=False)}


# --- weights ---------------------------------------------------------------------------------------------


class Wrapped(torch.Tensor):
    """A tensor without a storage, as quantised weights are."""

    @staticmethod
    def __new__(cls) -> Wrapped:
        return torch.Tensor._make_wrapper_subclass(cls, (2, 2))

    @classmethod
    def __torch_dispatch__(cls, *_: Any) -> Any:
        raise NotImplementedError


def test_parameters_and_buffers_share_storages() -> None:
    one = nn.Linear(3, 3, bias=False)
    other = nn.Linear(3, 3, bias=False)
    other.weight = one.weight
    root = nn.Sequential(one, other, nn.BatchNorm1d(3, affine=False))
    expected = {tensor.untyped_storage().data_ptr() for tensor in (one.weight, *root.buffers())}
    assert weight_storages(root) == expected and len(expected) == 4


@pytest.mark.parametrize("odd", ["wrapped", "sparse", "lazy"])
def test_weights_that_have_no_address_are_left_out(odd: str) -> None:
    """Asked for one they raise, each its own kind of error: a quantised model could not be recorded."""
    root = nn.Sequential(nn.Linear(3, 3, bias=False))
    expected = weight_storages(root)
    if odd == "wrapped":
        root.register_buffer("odd", Wrapped())
    elif odd == "sparse":
        root.register_buffer("odd", torch.eye(3).to_sparse())
    else:
        root.append(nn.LazyLinear(3))
    assert weight_storages(root) == expected and len(expected) == 1


# --- real ------------------------------------------------------------------------------------------------


@dataclass
class Step:
    """One forward pass of a tiny model over one token, in a window with shapes."""

    model: Any
    recorded: Any
    tree: ObservedTree
    weights: Counter[str] = field(default_factory=Counter)
    """Bytes of weights read, by operator."""


def step(*, tied: bool) -> Step:
    model = tiny.model("Llama", "sdpa", **tiny.SIZES, tie_word_embeddings=tied)
    window = Window("decode", 1, cuda=False, shapes=True)
    with torch.no_grad():
        window.open()
        model(tiny.tokens(1)[:1], use_cache=False)
        recorded = window.close()
    read = read_trace(recorded, module_paths(model))
    assign_work(read, weight_storages(model))
    made = Step(model, recorded, charge(read))
    for node, value in made.tree.cells["weight_bytes"].items():
        frame = made.tree.frames[node]
        assert frame is not None
        made.weights[frame[1]] += int(value)
    return made


@pytest.fixture(scope="module", params=[False, True], ids=["untied", "tied"])
def taken(request: pytest.FixtureRequest) -> Step:
    return step(tied=request.param)


def test_a_window_with_shapes_has_inputs_and_no_allocations(taken: Step) -> None:
    read = read_trace(taken.recorded, module_paths(taken.model))
    operators = [one for one in events_of(read) if one.frame[0] == "op" and not one.is_own]
    assert operators and not any(one.is_allocation for one in events_of(read))
    assert any(one.inputs for one in operators if one.frame[1] == "aten::mm")
    assert "allocations" not in taken.tree.cells
    assert taken.tree.device_work == []


def test_a_window_without_shapes_has_no_inputs() -> None:
    window = Window("decode", 1, cuda=False)
    window.open()
    torch.ones(3, 3) @ torch.ones(3, 3)
    recorded = window.close()
    read = read_trace(recorded, module_paths(nn.Linear(1, 1)))
    assert not recorded.shapes
    assert all(one.inputs is None for one in events_of(read))
    assert any(one.is_allocation for one in events_of(read))


def test_a_step_reads_each_weight_once_but_of_the_embedding_the_tokens_row(taken: Step) -> None:
    """A tied embedding is read twice: one row of it as a table, and whole as the last layer."""
    model = taken.model
    table = model.get_input_embeddings().weight
    of_parameters = sum(one.numel() * BF16 for one in model.parameters())
    tied = model.lm_head.weight is table
    whole = of_parameters if tied else of_parameters - table.numel() * BF16
    row = table.shape[1] * BF16
    rotary = sum(one.numel() * BF16 for one in {id(b): b for b in model.buffers()}.values()) // 2
    assert taken.weights["aten::embedding"] == row
    assert sum(taken.weights.values()) == whole + row + rotary, "of two rotary buffers a step reads one"
    norms = sum(one.numel() for name, one in model.named_parameters() if "norm" in name)
    assert taken.weights["aten::mm"] == whole - norms * BF16


def test_a_steps_products_are_two_operations_a_weight(taken: Step) -> None:
    flops = 0.0
    for node, value in taken.tree.cells["flops"].items():
        frame = taken.tree.frames[node]
        flops += value if frame is not None and frame[1] == "aten::mm" else 0
    assert flops == taken.weights["aten::mm"]  # two bytes a weight, two operations a weight


def test_no_operator_of_it_is_unknown(taken: Step) -> None:
    assert sum(taken.tree.cells.get("unknown_work", {}).values()) == 0
