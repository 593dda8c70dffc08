"""The closed form, by hand and against the simulation."""

from __future__ import annotations

from typing import Any

import pytest

from llmflame.planning import formula
from llmflame.planning.activations import simulate
from llmflame.planning.architecture import build
from llmflame.planning.attention import Kernels
from llmflame.planning.request import Request
from llmflame.planning.shape import Shape, most_tokens, shape_of
from llmflame.subjects.dummy import SHAPES
from tests.planning.configs import config

PER_TOKEN = {"llama-3.2-1b": 32_768, "llama-3.1-8b": 131_072, "qwen3-0.6b": 114_688}


def published(name: str) -> Any:
    from transformers import AutoConfig

    settings = dict(SHAPES[name].config)
    return AutoConfig.for_model(settings.pop("model_type"), **settings)


def shaped(config: Any) -> Shape:
    shape = shape_of(config)
    assert shape is not None
    return shape


@pytest.mark.parametrize("name", list(SHAPES))
def test_published_shapes(name: str) -> None:
    shape = shaped(published(name))
    built = build(published(name), "bfloat16")
    assert built.parameters == SHAPES[name].parameters
    assert built.weight_bytes == sum(built.module_bytes.values())
    assert formula.weight_bytes(shape, 2) == pytest.approx(built.parameter_bytes, rel=1e-4)
    assert formula.kv_bytes(shape, 1, 1, 2) == PER_TOKEN[name]
    assert most_tokens(published(name)) == SHAPES[name].config["max_position_embeddings"]


@pytest.mark.parametrize("name", list(SHAPES))
@pytest.mark.parametrize("request_", [Request(1, 2048, 64), Request(16, 128, 2), Request(1, 8, 200)])
@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_agrees_with_the_simulation(name: str, request_: Request, kind: Any) -> None:
    found = simulate(build(published(name), "bfloat16").model, request_, Kernels(kind, 1))
    computed = formula.footprint(shaped(published(name)), request_, 2)
    assert computed.prefill.total == pytest.approx(found.prefill.total, rel=0.005)
    assert computed.decode.total == pytest.approx(found.decode.total, rel=0.04)
    assert computed.kv_bytes == found.kv_bytes
    assert computed.kv_bytes_per_token == found.kv_bytes_per_token


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_agrees_on_eager_attention(dtype: str) -> None:
    request = Request(2, 700, 2)
    found = simulate(build(config("llama"), dtype, "eager").model, request, Kernels("cpu", 1))
    element = 4 if dtype == "float32" else 2
    computed = formula.footprint(shaped(config("llama")), request, element, "eager")
    assert computed.prefill.total == pytest.approx(found.prefill.total, rel=0.08)


def test_a_sliding_window_bounds_the_cache() -> None:
    shape = shaped(config("mistral"))
    assert (shape.sliding_layers, shape.window) == (3, 100)
    assert formula.kv_bytes(shape, 5000, 1, 2) == formula.kv_bytes(shape, 99, 1, 2)


def test_a_static_cache() -> None:
    shape, request = shaped(config("llama")), Request(2, 100, 28, static_cache=True)
    computed = formula.footprint(shape, request, 2)
    assert computed.prefill.kv_cache == computed.decode.kv_cache == formula.kv_bytes(shape, 128, 2, 2)


def test_no_shape_without_heads() -> None:
    assert shape_of(config("mamba")) is None
