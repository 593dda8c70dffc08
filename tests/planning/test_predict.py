"""Predictions inside a recording process."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from llmflame.planning.predict import predict
from llmflame.store import categories
from llmflame.store.rows import PredictionRow
from tests.planning.configs import config

REQUEST: dict[str, Any] = {"batch": 2, "prompt_tokens": 64, "new_tokens": 8, "dtype": "bfloat16"}


def found(rows: list[PredictionRow]) -> dict[tuple[str, str], int]:
    return {(row.phase, row.category): row.bytes for row in rows}


@pytest.mark.parametrize(("kind", "space"), [("cpu", "host"), ("cuda", "device")])
def test_rows(kind: Any, space: str) -> None:
    rows = predict(config("llama"), **REQUEST, device_kind=kind, weight_bytes=1000)
    assert {row.phase for row in rows} == {"load", "prefill", "decode"}
    assert {row.space for row in rows} == {space}
    assert {row.category for row in rows} <= set(categories.ORDER) and all(row.formula for row in rows)
    amounts = found(rows)
    assert len(amounts) == len(rows)
    assert amounts["load", categories.WEIGHTS] == 1000
    assert amounts["prefill", categories.KV_CACHE] == 2 * 64 * 2 * 3 * 2 * 32 * 2
    assert (("load", categories.CONTEXT) in amounts) is (kind == "cuda")


def test_weights_are_computed_or_mapped() -> None:
    rows = found(predict(config("llama"), **REQUEST, device_kind="cpu", weight_bytes=None))
    mapped = found(
        predict(config("llama"), **REQUEST, device_kind="cpu", weight_bytes=None, checkpoint_dtype="bfloat16")
    )
    whole = rows["prefill", categories.WEIGHTS]
    assert whole == mapped["prefill", categories.WEIGHTS] + mapped["prefill", categories.CHECKPOINT]
    converted = found(
        predict(config("llama"), **REQUEST, device_kind="cpu", weight_bytes=None, checkpoint_dtype="float32")
    )
    assert converted["load", categories.CHECKPOINT] > converted["load", categories.WEIGHTS]


def test_leaves_the_process_alone() -> None:
    own = config("llama")
    before, state, dtype = copy.deepcopy(own.to_dict()), torch.get_rng_state(), torch.get_default_dtype()
    predict(own, **REQUEST, device_kind="cpu", weight_bytes=None, static_cache=True)
    assert own.to_dict() == before
    assert torch.equal(state, torch.get_rng_state()) and torch.get_default_dtype() is dtype


@pytest.mark.parametrize("broken", [None, 3, object(), "config"])
def test_never_raises(broken: Any) -> None:
    rows = predict(broken, **REQUEST, device_kind="cpu", weight_bytes=7)
    assert found(rows) in ({}, {("load", categories.WEIGHTS): 7})
    assert predict(config("llama"), **{**REQUEST, "dtype": "odd"}, device_kind="cpu", weight_bytes=7) == []
