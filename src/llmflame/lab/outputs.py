"""How far what a trial put out is from what the stock model did. Arrays in, numbers out; judged elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmflame.analysis.experiment import agreement as names

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]
CHUNK = 16
"""Positions at a time: a vocabulary of 128 k in float64 is a megabyte each."""


@dataclass(frozen=True, slots=True)
class Output:
    """Arrays of a check. Shapes as in `llmflame.lab.trial.TrialResult`."""

    tokens: Ids
    logits: Floats | None


def read_output(tokens: str | None, logits: str | None) -> Output | None:
    """The arrays of a trial's files, logits left in theirs; None where they can't be read."""
    try:
        if tokens is None:
            return None
        ids = np.load(Path(tokens), allow_pickle=False)
        values = None if logits is None else np.load(Path(logits), mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return None
    return Output(ids, values)


def token_measures(mine: Ids, stock: Ids) -> dict[str, float | None]:
    """How many of the generated tokens are the same, and from which on they aren't in any row."""
    if mine.shape != stock.shape:
        return {names.TOKENS: float(stock.size), names.TOKENS_EQUAL: 0.0, names.FIRST_DIVERGENCE: 0.0}
    differ = mine != stock
    first = float(np.argmax(differ.any(axis=0))) if differ.any() else None
    return {
        names.TOKENS: float(stock.size),
        names.TOKENS_EQUAL: float(stock.size - differ.sum()),
        names.FIRST_DIVERGENCE: first,
    }


def logit_measures(
    mine: Floats, stock: Floats, targets: Ids, reference: Floats | None = None
) -> dict[str, float | None]:
    """Teacher-forced: largest |delta|, KL(stock || mine) in nats a token, top-1 agreement, perplexities.

    `mine`, `stock`, `reference` [B, T, V]; `targets` [B, T], the tokens that follow. `reference` is the stock
    model in float32: with it also the errors of both against it. What is not finite is None.
    """
    positions = float(stock.shape[0] * stock.shape[1])
    if mine.shape != stock.shape:
        return {names.POSITIONS: positions, names.MAX_DELTA: None}
    sums = _Sums()
    errors, stock_errors = _Sums(), _Sums()
    for part, ids in _parts(stock.shape, targets):
        a, b = np.asarray(stock[part], np.float64), np.asarray(mine[part], np.float64)
        sums.add(a, b, ids)
        if reference is not None:
            exact = np.asarray(reference[part], np.float64)
            errors.add(exact, b, ids)
            stock_errors.add(exact, a, ids)
    found: dict[str, float | None] = {
        names.POSITIONS: positions,
        names.MAX_DELTA: sums.delta,
        names.MAX_LOGIT: sums.largest,
        names.MEAN_KL: sums.kl / positions,
        names.TOP_1: sums.same_top / positions,
        names.PERPLEXITY: _exp(sums.other_loss / positions),
        names.STOCK_PERPLEXITY: _exp(sums.base_loss / positions),
    }
    if reference is not None:
        found |= {
            names.ERROR: errors.delta,
            names.STOCK_ERROR: stock_errors.delta,
            names.ERROR_KL: errors.kl / positions,
            names.STOCK_ERROR_KL: stock_errors.kl / positions,
        }
    return {
        name: value if value is not None and math.isfinite(value) else None for name, value in found.items()
    }


@dataclass(slots=True)
class _Sums:
    delta: float = 0.0
    largest: float = 0.0
    kl: float = 0.0
    same_top: int = 0
    base_loss: float = 0.0
    other_loss: float = 0.0

    def add(self, base: NDArray[np.float64], other: NDArray[np.float64], ids: Ids) -> None:
        """Rows of logits [N, V] and the tokens that follow [N]."""
        # numpy's maximum passes NaN on, Python's may not.
        self.delta = float(np.maximum(self.delta, np.abs(base - other).max()))
        self.largest = float(np.maximum(self.largest, np.abs(base).max()))
        log_base, log_other = _log_softmax(base), _log_softmax(other)
        self.kl += float((np.exp(log_base) * (log_base - log_other)).sum())
        self.same_top += int((base.argmax(axis=-1) == other.argmax(axis=-1)).sum())
        rows = np.arange(len(ids))
        self.base_loss -= float(log_base[rows, ids].sum())
        self.other_loss -= float(log_other[rows, ids].sum())


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def _parts(shape: tuple[int, ...], targets: Ids) -> Iterator[tuple[Any, Ids]]:
    for row in range(shape[0]):
        for begin in range(0, shape[1], CHUNK):
            end = min(begin + CHUNK, shape[1])
            yield (row, slice(begin, end)), targets[row, begin:end]


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf
