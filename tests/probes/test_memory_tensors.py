"""The tensors of this process, by storage: each once, and whose they are."""

from __future__ import annotations

import gc
import warnings
import weakref
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from llmflame.probes.memory.tensors import (
    DEPTH,
    cache_storages,
    object_tensors,
    storages,
    weight_bytes,
)
from llmflame.store.categories import KV_CACHE, TENSORS, WEIGHTS


class Pair(torch.Tensor):
    """A tensor that is made of two others, like quantised values and their scales."""

    first: torch.Tensor
    second: torch.Tensor

    @staticmethod
    def __new__(cls, first: torch.Tensor, second: torch.Tensor) -> Pair:
        made: Pair = torch.Tensor._make_wrapper_subclass(cls, first.shape, dtype=first.dtype)
        made.first, made.second = first, second
        return made

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["first", "second"], None

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, function: Any, _types: Any, args: Any = (), _kwargs: Any = None
    ) -> Any:
        assert function is torch.ops.aten.detach.default
        return cls(args[0].first, args[0].second)


class Broken(Pair):
    """One that can't say what it is made of."""

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["first", "third"], None


def mine(tensor: torch.Tensor) -> list[tuple[str, str]]:
    """Category and owner of a tensor's storage among all of the process."""
    address = tensor.untyped_storage().data_ptr()
    return [(one.category, one.owner) for one in storages(None) if one.address == address]


def sizes(cache: Any) -> dict[str, int]:
    return {one.owner: one.bytes for one in cache_storages(cache)}


# --- storages --------------------------------------------------------------------------------------------


def test_views_of_one_storage_are_counted_once() -> None:
    whole = torch.zeros(10, 10)
    cache = [whole, whole[2:4], whole.t(), whole.view(100), whole.detach()]
    (found,) = cache_storages(cache)
    assert (found.bytes, found.address, found.device) == (400, whole.data_ptr(), "cpu")


def test_a_part_of_a_storage_holds_the_whole() -> None:
    part = torch.zeros(1000)[10:20]
    (found,) = cache_storages([part])
    assert found.bytes == 4000 and found.address == part.untyped_storage().data_ptr() != part.data_ptr()


def test_tied_weights_are_counted_once() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(8, 8, bias=False), torch.nn.Linear(8, 8, bias=False))
    model[1].weight = model[0].weight
    assert weight_bytes(model) == 256
    assert [(one.owner, one.bytes) for one in storages(model, everything=False)] == [("0", 256)]


def test_weights_that_share_memory_without_being_one_parameter_are_counted_once() -> None:
    first, second = (torch.nn.Linear(8, 8, bias=False) for _ in range(2))
    second.weight = torch.nn.Parameter(first.weight.detach())
    model = torch.nn.Sequential(first, second)
    assert weight_bytes(model) == 256
    assert len(storages(model, everything=False)) == 1


def test_a_tensor_belongs_to_the_first_of_model_cache_and_nobody() -> None:
    model = torch.nn.Linear(4, 4)
    model.register_buffer("seen", torch.zeros(7))
    cache, other = [torch.zeros(5), model.weight], torch.zeros(3, 2, dtype=torch.int16)
    found = {(one.category, one.owner, one.bytes) for one in storages(model, cache)}
    assert {(WEIGHTS, "", 64), (WEIGHTS, "", 16), (WEIGHTS, "", 28), (KV_CACHE, "0", 20)} <= found
    assert (TENSORS, "int16 [3, 2]", 12) in found
    assert other.numel() == 6
    assert not any(one.category == TENSORS for one in storages(model, cache, everything=False))


def test_a_tensor_without_memory_here_is_left_out() -> None:
    with FakeTensorMode():
        fake = torch.zeros(4)
    cache = [torch.zeros(4, device="meta"), torch.zeros(0, 4), torch.eye(3).to_sparse(), fake]
    beside = torch.zeros(4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cache_storages(cache) == []
        assert mine(beside) == [(TENSORS, "float32 [4]")]


def test_weights_that_are_not_initialised_yet_have_no_bytes() -> None:
    """Such a layer anywhere in the process had the whole census fail: it has no shape to be named after."""
    lazy = torch.nn.LazyLinear(3)
    assert weight_bytes(lazy) == 0
    assert storages(lazy, everything=False) == []
    assert mine(beside := torch.zeros(4)) == [(TENSORS, "float32 [4]")]
    assert beside.numel() == 4


def test_a_tensor_of_several_shapes_is_named_after_its_class() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own: the layout is to be replaced
        nested = torch.nested.nested_tensor([torch.zeros(20), torch.zeros(30)])
    assert mine(nested) == [(TENSORS, "Tensor")]


def test_a_tensor_made_of_others_is_counted_by_those() -> None:
    first, second = torch.zeros(6, dtype=torch.int8), torch.zeros(3)
    assert [(one.owner, one.bytes) for one in cache_storages([Pair(first, second)])] == [("0", 6), ("0", 12)]
    model = torch.nn.Module()
    model.weight = torch.nn.Parameter(Pair(torch.zeros(6), second))
    assert weight_bytes(model) == 24 + 12
    assert sorted(one.bytes for one in storages(model, everything=False)) == [12, 24]


def test_a_tensor_that_can_not_say_what_it_is_made_of_is_left_out() -> None:
    assert cache_storages([Broken(torch.zeros(6), torch.zeros(3)), torch.ones(2)])[0].bytes == 8


def test_looking_keeps_nothing_alive() -> None:
    gc.disable()
    try:
        tensor = torch.zeros(1000)
        gone, cache = weakref.ref(tensor), SimpleNamespace(layers=[tensor])
        assert storages(None, cache)
        assert list(object_tensors(cache))
        del tensor, cache
        assert gone() is None
    finally:
        gc.enable()


# --- what an object holds --------------------------------------------------------------------------------


def test_attributes_lists_tuples_and_dicts_are_looked_into() -> None:
    thing = SimpleNamespace(
        keys=[torch.zeros(2), (torch.zeros(3), None)], states={"a": torch.zeros(4), 7: torch.zeros(5)}, size=3
    )
    found = {path: tensor.numel() for path, tensor in object_tensors(thing)}
    assert found == {"keys.0": 2, "keys.1.0": 3, "states.a": 4, "states.7": 5}


def test_a_bare_tensor_has_no_place_and_a_single_number_is_a_count() -> None:
    tensor = torch.zeros(2)
    assert list(object_tensors(tensor)) == [("", tensor)]
    assert list(object_tensors([torch.tensor(5), torch.zeros(1, 1)])) == []
    assert list(object_tensors(None)) == []


class Layer:
    """What a cache may hold for a layer."""

    def __init__(self, owner: Any = None) -> None:
        self.keys, self.values, self.owner = torch.zeros(2), torch.zeros(3), owner


class Holder:
    """A cache with layers that know it."""

    def __init__(self, layers: int) -> None:
        self.layers = [Layer(self) for _ in range(layers)]


def test_objects_that_hold_one_another_are_looked_into_once() -> None:
    """With a way back to the cache in each of n layers it was n to the fourth power visits, at every step."""
    cache = Holder(200)
    found = list(object_tensors(cache))
    assert len(found) == 400
    assert [path for path, _ in found[:3]] == ["layers.0.keys", "layers.0.values", "layers.1.keys"]
    cache.layers[0].owner = cache.layers
    assert len(list(object_tensors(cache))) == 400


def test_a_list_that_holds_itself_comes_to_an_end() -> None:
    loop: list[Any] = [torch.zeros(2)]
    loop += [loop] * 50
    assert [path for path, _ in object_tensors(loop)] == ["0"]


def test_what_lies_too_deep_on_one_way_is_found_on_another() -> None:
    shared: Any = [torch.zeros(2)]
    deep: Any = shared
    for _ in range(DEPTH - 1):
        deep = [deep]
    assert list(object_tensors(deep)) and not list(object_tensors([deep]))
    assert [path for path, _ in object_tensors([[deep], shared])] == ["1.0"]
    assert list(object_tensors([torch.zeros(2)], depth=0)) == []


class Proud:
    """An object whose properties raise, one of them the class that it claims."""

    def __init__(self) -> None:
        self.kept = torch.zeros(2)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise RuntimeError("no class")

    @property
    def tensors(self) -> Any:
        raise RuntimeError("no tensors")

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name}")


class Slotted:
    """One without a dictionary of attributes."""

    __slots__ = ("kept",)

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name}")


def test_properties_that_raise_are_not_asked() -> None:
    assert [path for path, _ in object_tensors([Proud(), Slotted()])] == ["0.kept"]


def test_a_reference_to_what_is_gone_holds_nothing() -> None:
    gone = weakref.proxy(Layer())
    assert list(object_tensors([gone, weakref.ref(Holder(1))])) == []


def test_modules_classes_and_torchs_own_objects_are_not_looked_into() -> None:
    things = [torch.nn.Linear(2, 2), Layer, torch.Generator(), torch.ones, lambda: torch.zeros(2), "text"]
    assert list(object_tensors(things)) == []


# --- caches ----------------------------------------------------------------------------------------------

HEADS, SIZE, LAYERS = 2, 4, 3
CONFIG = {
    "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": HEADS, "head_dim": SIZE,
    "hidden_size": HEADS * SIZE, "intermediate_size": 8, "vocab_size": 16,
}  # fmt: skip
TOKEN = HEADS * SIZE * 4
"""Bytes of the keys of one token in one layer, and as many of its values."""


def fill(cache: Any, tokens: int, layers: int = LAYERS) -> Any:
    states = torch.zeros(1, HEADS, tokens, SIZE)
    for layer in range(layers):
        cache.update(states.clone(), states.clone(), layer)
    return cache


def test_a_dynamic_cache_grows_with_its_tokens() -> None:
    from transformers import DynamicCache

    cache = fill(DynamicCache(), 5)
    assert sizes(cache) == {
        f"layers.{n}.{kind}": 5 * TOKEN for n in range(LAYERS) for kind in ("keys", "values")
    }
    assert sum(sizes(fill(cache, 1)).values()) == 2 * LAYERS * 6 * TOKEN


def test_a_static_cache_has_its_whole_length_from_the_first_token_on() -> None:
    from transformers import LlamaConfig, StaticCache

    cache = StaticCache(config=LlamaConfig(**CONFIG), max_cache_len=20)
    assert sum(sizes(cache).values()) == 0
    assert sum(sizes(fill(cache, 5)).values()) == 2 * LAYERS * 20 * TOKEN


def test_a_sliding_window_holds_no_more_than_its_tokens() -> None:
    from transformers import DynamicCache, MistralConfig

    cache = fill(DynamicCache(config=MistralConfig(**CONFIG, sliding_window=8)), 5)
    assert sum(sizes(cache).values()) == 2 * LAYERS * 5 * TOKEN
    for _ in range(10):
        fill(cache, 1)
    (held,) = {one.shape[-2] for _, one in object_tensors(cache)}
    assert held < 8
    assert 2 * LAYERS * held * TOKEN <= sum(sizes(cache).values()) <= 2 * LAYERS * 8 * TOKEN


def test_a_quantised_cache_holds_values_scales_and_what_is_not_quantised_yet() -> None:
    cache = Holder(1)
    layer = cache.layers[0]
    layer.keys = torch.zeros(10, dtype=torch.float16)
    vars(layer)["values"] = (torch.zeros(40, dtype=torch.int8), {"scale": torch.zeros(5), "shape": (5, 8)})
    vars(layer)["residual"] = Pair(torch.zeros(6, dtype=torch.int8), torch.zeros(3))
    found = [(one.owner, one.bytes) for one in cache_storages(cache)]
    assert found == [
        ("layers.0.keys", 20),
        ("layers.0.values.0", 40),
        ("layers.0.values.1.scale", 20),
        ("layers.0.residual", 6),
        ("layers.0.residual", 12),
    ]


def test_a_tuple_of_tuples_is_a_cache() -> None:
    legacy = tuple((torch.zeros(5), torch.zeros(6)) for _ in range(2))
    assert sizes(legacy) == {"0.0": 20, "0.1": 24, "1.0": 20, "1.1": 24}


def test_a_recurrent_state_is_a_cache() -> None:
    """Of a state-space model: `cache_params` in its output, however the library shapes that object."""
    from transformers import MambaConfig, MambaForCausalLM

    config = MambaConfig(vocab_size=16, hidden_size=8, state_size=4, num_hidden_layers=2)
    model = MambaForCausalLM(config).eval()
    with torch.no_grad():
        output = model(torch.ones(1, 5, dtype=torch.long), use_cache=True)
    per_layer = config.intermediate_size * (config.state_size + config.conv_kernel) * 4
    assert sum(sizes(output.cache_params).values()) == config.num_hidden_layers * per_layer


@pytest.mark.parametrize("keep", [True, False])
def test_a_cache_is_counted_while_it_lives(keep: bool) -> None:
    from transformers import DynamicCache

    cache: Any = fill(DynamicCache(), 5)
    address = next(iter(cache_storages(cache))).address
    if not keep:
        del cache
        gc.collect()
    assert any(one.address == address and one.bytes == 5 * TOKEN for one in storages(None)) is keep
