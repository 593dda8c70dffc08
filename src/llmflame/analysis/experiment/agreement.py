"""Is a row's output still the stock model's? Asked before anybody looks at a time.

The numbers are measured by `llmflame.lab.outputs`; here they are judged, by the class that the row's
variants promise and by the dtype of the experiment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from llmflame.store.lab_rows import EqualityClass

TOKENS, TOKENS_EQUAL, FIRST_DIVERGENCE = "tokens", "tokens equal", "first divergence"
POSITIONS, MAX_DELTA, MAX_LOGIT = "positions", "max delta", "max logit"
MEAN_KL, TOP_1 = "mean kl", "top-1 agreement"
PERPLEXITY, STOCK_PERPLEXITY = "perplexity", "stock perplexity"
ERROR, STOCK_ERROR = "max error", "stock max error"
"""The largest difference of a logit from the stock model's in float32."""
ERROR_KL, STOCK_ERROR_KL = "mean error kl", "stock mean error kl"
RANDOM_WEIGHTS = "random weights"

FLOAT32_DELTA = 1e-3
"""Of the largest logit: what float32 sums in another order differ by stays a hundred times below it, products
of TensorFloat-32 operands (11 bits) do not."""
TIMES_STOCK_ERROR = 2.0
"""In narrow dtypes: an error of at most twice the plain implementation's in the same dtype, both against
float32. The criterion of FlashAttention's tests (Dao et al.; its README, "Tests")."""
LEAST_ERROR_KL = 1e-6
"""Divergences below this are rounding of the logarithms that they are computed from."""
NARROW_DELTA = 0.05
"""Of the largest logit, where no float32 model could be run: a dozen roundings of bfloat16, 2^-8 each."""
NARROW_KL = 0.01
"""In nats, where no float32 model could be run: llama.cpp's 6-bit weights reach 0.006, 5-bit ones 0.011."""
APPROXIMATE_KL = 0.1
"""In nats a token. llama.cpp's table for Llama 3 8B (its perplexity tool's README): 8-bit weights 0.001,
4-bit 0.03 to 0.07, 3-bit 0.07 to 0.24, 2-bit 0.34 to 0.46."""
APPROXIMATE_PERPLEXITY = 1.10
"""Times the stock model's: in the same table 4-bit weights reach 1.08 at worst, 3-bit ones exceed it."""

Measures = Mapping[str, float | None]
WIDE = ("float32", "float64")


@dataclass(frozen=True, slots=True)
class Agreement:
    """The verdict, in a word and in words."""

    verdict: Literal["agrees", "disagrees", "unchecked"]
    words: str


def judge(equality: EqualityClass, dtype: str, measures: Measures) -> Agreement:
    """What the numbers say of a row of a class, in an experiment of a dtype."""
    if not measures:
        return Agreement("unchecked", "its output was not compared")
    if measures.get(POSITIONS) and measures.get(MAX_DELTA) is None:
        return Agreement("disagrees", "its logits are not finite, or not as many as the stock model's")
    if equality == "approximate":
        return _approximate(measures)
    if equality == "bitwise":
        return _bitwise(measures)
    return _wide(measures) if dtype in WIDE else _narrow(measures)


def tokens_decide(equality: EqualityClass, dtype: str, measures: Measures) -> bool:
    """Whether every process of the row must generate the stock model's very tokens.

    Random weights give nearly equal logits: there the largest is decided by rounding.
    """
    exact = equality == "bitwise" or (equality == "equivalent" and dtype in WIDE)
    return exact and not measures.get(RANDOM_WEIGHTS)


def _bitwise(measures: Measures) -> Agreement:
    wrong = _other_tokens(measures)
    if wrong is not None:
        return wrong
    delta = measures.get(MAX_DELTA)
    if delta:
        return Agreement("disagrees", f"promised equal bits, but a logit differs by {delta:.2g}")
    return Agreement("agrees", _tokens(measures) if delta is None else "the same bits")


def _wide(measures: Measures) -> Agreement:
    if not measures.get(RANDOM_WEIGHTS) and (wrong := _other_tokens(measures)) is not None:
        return wrong
    share = _share(measures)
    if share is None:
        if measures.get(RANDOM_WEIGHTS):
            return Agreement("disagrees", "it gives no logits, and tokens of random weights say nothing")
        return Agreement("agrees", _tokens(measures))
    words = f"max |Δ| {share:.1e} of the largest logit"
    if not share <= FLOAT32_DELTA:
        return Agreement("disagrees", f"{words}, more than {FLOAT32_DELTA:g}")
    return Agreement("agrees", words if measures.get(RANDOM_WEIGHTS) else f"{_tokens(measures)}, {words}")


def _narrow(measures: Measures) -> Agreement:
    delta, kl = measures.get(MAX_DELTA), measures.get(MEAN_KL)
    if delta is None or kl is None:
        return Agreement("disagrees", "it gives no logits to compare")
    error, stock = measures.get(ERROR), measures.get(STOCK_ERROR)
    error_kl, stock_kl = measures.get(ERROR_KL), measures.get(STOCK_ERROR_KL)
    seen = f"max |Δ| {delta:.2g}, KL {kl:.1e}{_top(measures)}"
    if None in (error, stock, error_kl, stock_kl):
        share = _share(measures)
        if share is None or not share <= NARROW_DELTA or not kl <= NARROW_KL:
            return Agreement(
                "disagrees", f"{seen}: more than {NARROW_DELTA:g} of a logit or {NARROW_KL:g} nats"
            )
        return Agreement("agrees", f"{seen} (no float32 model to compare with)")
    assert error is not None and stock is not None and error_kl is not None and stock_kl is not None
    times = f"{error / stock:.2g} times the stock error" if stock else f"error {error:.2g}"
    if not error <= TIMES_STOCK_ERROR * stock or not error_kl <= max(
        TIMES_STOCK_ERROR * stock_kl, LEAST_ERROR_KL
    ):
        kl_times = f"KL {error_kl / stock_kl:.2g} times" if stock_kl else f"KL {error_kl:.1e}"
        return Agreement(
            "disagrees", f"{times} against float32 ({kl_times}); {TIMES_STOCK_ERROR:g} times are allowed"
        )
    return Agreement("agrees", f"{seen}; {times}")


def _approximate(measures: Measures) -> Agreement:
    kl = measures.get(MEAN_KL)
    mine, stock = measures.get(PERPLEXITY), measures.get(STOCK_PERPLEXITY)
    if kl is None or mine is None or not stock:
        return Agreement("disagrees", "it gives no logits to compare")
    words = f"KL {kl:.2g}{_top(measures)}, perplexity ×{mine / stock:.3f}"
    if not kl <= APPROXIMATE_KL:
        return Agreement("disagrees", f"{words}: more than {APPROXIMATE_KL:g} nats")
    if not mine <= stock * APPROXIMATE_PERPLEXITY:
        return Agreement("disagrees", f"{words}: more than ×{APPROXIMATE_PERPLEXITY:g}")
    return Agreement("agrees", words)


def _other_tokens(measures: Measures) -> Agreement | None:
    count, equal = measures.get(TOKENS), measures.get(TOKENS_EQUAL)
    if not count or equal is None:
        return Agreement("disagrees", "it gave no tokens to compare")
    if equal == count:
        return None
    first = measures.get(FIRST_DIVERGENCE)
    where = "" if first is None else f", from token {first:.0f} on"
    return Agreement("disagrees", f"{count - equal:.0f} of {count:.0f} tokens differ{where}")


def _tokens(measures: Measures) -> str:
    return f"the same {measures.get(TOKENS) or 0:.0f} tokens"


def _share(measures: Measures) -> float | None:
    delta, largest = measures.get(MAX_DELTA), measures.get(MAX_LOGIT)
    if delta is None or largest is None:
        return None
    return delta / largest if largest else delta


def _top(measures: Measures) -> str:
    top = measures.get(TOP_1)
    return "" if top is None else f", top-1 {top:.1%}"
