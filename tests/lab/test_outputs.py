"""The numbers that say how far outputs are apart, against what can be worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from llmflame.analysis.experiment import agreement as names
from llmflame.errors import UsageError
from llmflame.lab.forced_text import forced_ids, text
from llmflame.lab.outputs import logit_measures, read_output, token_measures
from tests.lab.simulated import checkpoint


def logits(*rows: list[float]) -> np.ndarray:
    return np.asarray([rows], np.float32)


def test_equal_logits_are_no_distance_apart() -> None:
    drawn = np.random.default_rng(0).normal(0, 3, (2, 40, 11)).astype(np.float32)
    found = logit_measures(drawn, drawn, np.zeros((2, 40), np.int64), drawn)
    assert found[names.MAX_DELTA] == found[names.MEAN_KL] == found[names.ERROR] == 0
    assert found[names.TOP_1] == 1 and found[names.POSITIONS] == 80
    assert found[names.PERPLEXITY] == found[names.STOCK_PERPLEXITY]


def test_kl_and_perplexity_are_those_of_the_formula() -> None:
    stock, mine = logits([math.log(3), 0.0]), logits([0.0, 0.0])  # 3/4, 1/4 and 1/2, 1/2
    found = logit_measures(mine, stock, np.zeros((1, 1), np.int64))
    assert found[names.MEAN_KL] == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5), abs=1e-6)
    assert found[names.PERPLEXITY] == pytest.approx(2) and found[names.STOCK_PERPLEXITY] == pytest.approx(
        4 / 3
    )
    assert found[names.MAX_DELTA] == pytest.approx(math.log(3))


def test_a_constant_added_to_all_logits_is_a_difference_but_no_divergence() -> None:
    drawn = np.random.default_rng(0).normal(0, 3, (1, 5, 11)).astype(np.float32)
    found = logit_measures(drawn + 1, drawn, np.zeros((1, 5), np.int64))
    assert found[names.MAX_DELTA] == pytest.approx(1, abs=1e-5)
    assert found[names.MEAN_KL] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_one_logit_that_is_not_finite_is_found_wherever_it_is(wrong: float) -> None:
    drawn = np.zeros((2, 40, 11), np.float32)
    broken = drawn.copy()
    broken[0, 3, 5] = wrong
    with np.errstate(invalid="ignore"):
        found = logit_measures(broken, drawn, np.zeros((2, 40), np.int64))
    assert found[names.MAX_DELTA] is None and found[names.POSITIONS] == 80


def test_logits_of_another_shape_are_no_agreement() -> None:
    found = logit_measures(
        np.zeros((1, 3, 5), np.float32), np.zeros((1, 4, 5), np.float32), np.zeros((1, 4), np.int64)
    )
    assert found == {names.POSITIONS: 4, names.MAX_DELTA: None}


def test_tokens_are_counted_and_the_first_that_differs_in_any_row_is_told() -> None:
    stock = np.arange(12).reshape(2, 6)
    mine = stock.copy()
    mine[1, 4] = mine[0, 5] = 99
    found = token_measures(mine, stock)
    assert found == {names.TOKENS: 12, names.TOKENS_EQUAL: 10, names.FIRST_DIVERGENCE: 4}
    assert token_measures(stock, stock)[names.FIRST_DIVERGENCE] is None
    assert token_measures(stock[:, :3], stock)[names.TOKENS_EQUAL] == 0


def test_arrays_that_are_none_are_no_output(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"no array")
    np.save(tmp_path / "b.npy", np.asarray([{}], object), allow_pickle=True)
    for name in ("a.npy", "b.npy", "missing.npy"):
        assert read_output(str(tmp_path / name), None) is None
    assert read_output(None, None) is None


def test_the_text_fills_every_row_and_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path).folder
    one = forced_ids(folder, 1, 400)
    assert one.shape == (1, 400) and one.dtype == np.int64
    assert (forced_ids(folder, 4, 100).reshape(1, -1) == one).all()
    assert forced_ids(folder, 3, 1000).shape == (3, 1000)
    assert 1_800 <= len(text()) <= 2_400 and text().isascii()


def test_without_a_tokeniser_one_line_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"tokenizer\.json: the experiment needs"):
        forced_ids(tmp_path, 1, 10)
