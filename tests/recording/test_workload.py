"""What can't be run is refused in one line, before anything is."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch

from llmflame.errors import UsageError
from llmflame.recording.workload import DEFAULT_NEW_TOKENS, Workload, check_context


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        *[({name: value}, name) for name in ("new_tokens", "batch_size", "repetitions") for value in (0, -1)],
        ({"prompt_tokens": 0}, "prompt_tokens"),
        ({"prompt_tokens": -7}, "prompt_tokens"),
        ({"prompt": ""}, "prompt"),
        ({"prompt_tokens": 100}, "context"),
        ({"new_tokens": 100}, "context"),
        ({"prompt_tokens": 60, "new_tokens": 41}, "context"),
    ],
)
def test_bad_values_are_one_line(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError) as caught:
        Workload(**fields).check(100)
    line = str(caught.value)
    assert named.replace("_", "-") in line and "\n" not in line
    assert (
        any(str(abs(value)) in line for value in fields.values() if isinstance(value, int))
        or named == "prompt"
    )


@pytest.mark.parametrize(
    "fields",
    [
        *[
            {name: value}
            for name in ("new_tokens", "batch_size", "repetitions", "seed")
            for value in ("8", 1.5, None, True, [1])
        ],
        {"prompt_tokens": "3"},
        {"prompt_tokens": 3.0},
        {"prompt_tokens": False},
        {"prompt": 5},
        {"prompt": ["a\nb"]},
        {"dtype": 7},
        {"dtype": None},
        {"device": 0},
        {"sample": "no"},
        {"sample": 1},
        {"stop_at_eos": None},
        {"gauge_interval_ms": "10"},
        {"gauge_interval_ms": True},
    ],
)
def test_values_of_another_type_are_one_line(fields: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        Workload(**fields).check(100)
    (name,) = fields
    option = name.removesuffix("_ms").replace("_", "-")
    assert str(caught.value).startswith(f"--{option} must be ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seed", [-(2**70), -(2**63) - 1, 2**64])
def test_a_seed_that_torch_does_not_take(seed: int) -> None:
    with pytest.raises(UsageError, match=f"--seed must be .* not {seed}"):
        Workload(seed=seed).check(100)


@pytest.mark.parametrize("interval", [0, 0.5, -10, 1001, math.inf, math.nan])
def test_an_interval_that_costs_or_misses_too_much(interval: float) -> None:
    with pytest.raises(UsageError, match="--gauge-interval must be from 1 to 1000 ms, not"):
        Workload(gauge_interval_ms=interval).check(100)


@pytest.mark.parametrize("seed", [-(2**63), -1, 0, 2**64 - 1])
def test_a_seed_that_torch_takes(seed: int) -> None:
    Workload(seed=seed).check(100)
    torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"new_tokens": 1, "batch_size": 1, "repetitions": 1, "prompt_tokens": 1},
        {"prompt_tokens": 60, "new_tokens": 40},
        {"prompt": None, "prompt_tokens": 5},
        {"prompt": " "},
        {"gauge_interval_ms": 1},
        {"gauge_interval_ms": 1000.0},
    ],
)
def test_good_values_pass(fields: dict[str, Any]) -> None:
    Workload(**fields).check(100)


def test_an_unknown_context_allows_any_length() -> None:
    Workload(prompt_tokens=10**9, new_tokens=10**9).check(None)


def test_a_context_is_filled_to_the_last_token() -> None:
    check_context(60, 40, 100)
    with pytest.raises(UsageError, match="60 prompt \\+ 41 new tokens"):
        check_context(60, 41, 100)


def test_it_travels_as_json() -> None:
    workload = Workload(prompt="\ud800 \0 \n", new_tokens=3, sample=True, dtype="float32", seed=5)
    assert Workload(**json.loads(json.dumps(workload.to_dict()))) == workload
    assert Workload().to_dict()["new_tokens"] == DEFAULT_NEW_TOKENS
