"""Sampling: which tokens, how often, and the same ones for the same seed."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmflame.scratch.errors import SettingError
from llmflame.scratch.sampling import TopP, greedy, nucleus, sampler

PROBABILITIES = torch.tensor([0.05, 0.4, 0.1, 0.3, 0.15])
DRAWS = 20_000


def frequencies(temperature: float, top_p: float) -> torch.Tensor:
    draw = TopP(temperature, top_p, torch.Generator().manual_seed(11))
    drawn = draw(PROBABILITIES.log().expand(DRAWS, -1))
    return torch.bincount(drawn, minlength=5) / DRAWS


@pytest.mark.parametrize(
    ("top_p", "expected"),
    [
        (1.0, [0.05, 0.4, 0.1, 0.3, 0.15]),
        (0.9, [0.0, 0.4 / 0.95, 0.1 / 0.95, 0.3 / 0.95, 0.15 / 0.95]),
        (0.69, [0.0, 0.4 / 0.7, 0.0, 0.3 / 0.7, 0.0]),
        (0.3, [0.0, 1.0, 0.0, 0.0, 0.0]),
        (1e-9, [0.0, 1.0, 0.0, 0.0, 0.0]),
    ],
)
def test_draws_follow_the_nucleus(top_p: float, expected: list[float]) -> None:
    found = frequencies(1.0, top_p)
    wanted = torch.tensor(expected)
    # Five standard deviations of a share of 0.5.
    torch.testing.assert_close(found, wanted, rtol=0, atol=5 * 0.5 / DRAWS**0.5)
    assert bool((found[wanted == 0] == 0).all())


def test_temperature_sharpens() -> None:
    squared = PROBABILITIES.square() / PROBABILITIES.square().sum()
    torch.testing.assert_close(frequencies(0.5, 1.0), squared, rtol=0, atol=0.02)


@given(
    st.lists(st.floats(-20, 20), min_size=1, max_size=20),
    st.floats(0.01, 1.0),
    st.floats(0.1, 5.0),
)
def test_the_nucleus_is_the_smallest_set(values: list[float], top_p: float, temperature: float) -> None:
    logits = torch.tensor([values])
    probabilities, ids = nucleus(logits, temperature, top_p)
    every = (logits / temperature).softmax(-1)[0]
    kept = ids[0][probabilities[0] > 0]
    assert sorted(ids[0].tolist()) == list(range(len(values)))
    assert float(probabilities.sum()) == pytest.approx(1, abs=1e-5)
    assert float(every[kept].sum()) >= top_p - 1e-5
    assert float(every[kept[:-1]].sum()) < top_p + 1e-5


def test_greedy_is_the_most_probable() -> None:
    logits = torch.tensor([[0.1, 3.0, -1.0], [5.0, 3.0, 4.0]])
    assert greedy(logits).tolist() == [1, 0]
    assert sampler(0, 1, 0, "cpu") is greedy


def test_the_same_seed_draws_the_same() -> None:
    logits = torch.randn(4, 50, generator=torch.Generator().manual_seed(0))
    first, again, other = (sampler(1.0, 0.9, seed, "cpu") for seed in (1, 1, 2))
    draws = [[draw(logits).tolist() for _ in range(5)] for draw in (first, again, other)]
    assert draws[0] == draws[1] != draws[2]


@pytest.mark.parametrize(
    ("temperature", "top_p"), [(-1.0, 1.0), (float("nan"), 1.0), (float("inf"), 1.0), (1.0, 0.0), (1.0, 1.1)]
)
def test_settings_that_mean_nothing(temperature: float, top_p: float) -> None:
    with pytest.raises(SettingError, match="temperature must be"):
        sampler(temperature, top_p, 0, "cpu")
    with pytest.raises(SettingError, match="draws nothing"):
        sampler(0, 0.5, 0, "cpu")
