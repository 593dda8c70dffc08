"""Random draws repeat after the state was put back, and nothing else is changed."""

from __future__ import annotations

import random

import numpy
import torch

from llmflame.recording.random_state import RandomState


def _draws() -> tuple[float, float, float]:
    return random.random(), float(numpy.random.random()), torch.rand(()).item()


def test_draws_repeat_as_often_as_asked() -> None:
    state = RandomState()
    first, second = _draws(), _draws()
    assert first != second
    for _ in range(2):
        state.restore()
        assert (_draws(), _draws()) == (first, second)
