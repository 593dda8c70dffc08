"""`generate` with a static cache decodes through a compiled call, which runs no hooks: its steps count."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import llmflame
from llmflame.analysis.phases import decode_steps

NEW_TOKENS = 6


class Compiling(torch.nn.Module):
    """A model whose decoding goes through `get_compiled_call`, as that of `transformers` does."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.Linear(4, 4)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Something of the inputs' length."""
        made: torch.Tensor = self.inner(torch.ones(input_ids.shape[1], 4))
        return made

    def get_compiled_call(self, _config: object) -> Callable[..., Any]:
        """The forward pass without hooks."""
        return self.forward

    def generate(self) -> None:
        """A prefill through the module, the rest through the compiled call."""
        call = self.get_compiled_call(None)
        self(input_ids=torch.ones(1, 5))
        for _ in range(NEW_TOKENS - 1):
            call(input_ids=torch.ones(1, 1))


class Hooked(Compiling):
    """One whose compiled call is its plain one."""

    def get_compiled_call(self, _config: object) -> Callable[..., Any]:
        """The module itself."""
        return self.__call__


@pytest.mark.parametrize("hooked", [False, True])
def test_compiled_steps_are_steps(tmp_path: Path, hooked: bool) -> None:
    """Where the compiled call is the module itself, its hooks must not mark a step twice."""
    model = Hooked() if hooked else Compiling()
    with llmflame.Recorder(model, tmp_path / "a.llmflame", repetitions=1) as recorder:
        for _ in recorder.passes():
            model.generate()
    assert len(decode_steps(recorder.profile)) == NEW_TOKENS - 1
    traced = [w.step for w in recorder.profile.windows if w.kind == "traced" and w.step is not None]
    assert traced == [0, 1]
    assert {row.step for row in recorder.profile.anchors} == {0}, "hooks would have it compiled again"
    assert "get_compiled_call" not in vars(model)
