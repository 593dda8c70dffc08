"""Variants of a real model that are planted to be found out, and the worker that runs them.

`python -m benchmarks.lab_planted SPEC.json` does what `llmflame.lab.worker` does, with these alone: the
model, its processes, its outputs and its clock are real. `lab_verdicts.py` asks the lab what it says of them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from llmflame.errors import UsageError
from llmflame.lab.variants.setup import Setup, Stage
from llmflame.lab.variants.variant import Variant
from llmflame.lab.worker import main

SLOWER_S = 0.005
"""Of each step, whose time is 30 to 60 ms on two cores."""
HUNGRY_NUMBERS = 64 << 20
"""256 MiB of float32, half of the demo's weights."""


def _wrong(setup: Setup) -> None:
    """Leave the last third of the layers out: faster, and another model."""

    def shorten(model: Any) -> None:
        layers = model.model.layers
        model.model.layers = layers[: len(layers) * 2 // 3]

    setup.change(Stage.REPLACE, shorten)


def _each_step(setup: Setup, act: Callable[[], None]) -> None:
    setup.change(
        Stage.REPLACE, lambda model: model.register_forward_pre_hook(lambda _module, _arguments: act())
    )


def _slower(setup: Setup) -> None:
    _each_step(setup, lambda: time.sleep(SLOWER_S))


def _hungry(setup: Setup) -> None:
    def feed(model: Any) -> None:
        import torch

        model.ballast = [torch.ones(HUNGRY_NUMBERS)]

    setup.change(Stage.REPLACE, feed)


def _crash(setup: Setup) -> None:
    def crash() -> None:
        raise RuntimeError("planted to crash")

    _each_step(setup, crash)


def _killed(setup: Setup) -> None:
    _each_step(setup, lambda: os.kill(os.getpid(), signal.SIGSEGV))


def _hang(setup: Setup) -> None:
    def hang() -> None:
        # Something that it started must not outlive it either.
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
        time.sleep(3600)

    _each_step(setup, hang)


def _recompile(setup: Setup) -> None:
    """Compile something small anew in each step."""
    setup.compiles = True

    def change(model: Any) -> None:
        import torch

        def recompile(_module: Any, _arguments: Any) -> None:
            torch._dynamo.reset()
            torch.compile(torch.sin)(torch.ones(8))

        model.register_forward_pre_hook(recompile)

    setup.change(Stage.REPLACE, change)


PLANTED: dict[str, Callable[[Setup], None]] = {
    "nothing": lambda _setup: None,
    "wrong": _wrong,
    "slower": _slower,
    "hungry": _hungry,
    "crash": _crash,
    "killed": _killed,
    "hang": _hang,
    "recompile": _recompile,
}


class Planted:
    """Finds these as the lab's registry finds its own."""

    def find(self, name: str) -> Variant:
        """The variant of that name. Raises UsageError."""
        if name not in PLANTED:
            raise UsageError(f"nothing is planted under the name {name}")
        return Variant(
            name=name,
            changes="Planted.",
            helps="Planted.",
            phases=("decode",),
            equality="equivalent",
            slot=name,
            apply={"transformers": PLANTED[name]},
        )

    def chosen(self, names: Iterable[str]) -> tuple[Variant, ...]:
        """The variants of these names: all go together."""
        return tuple(self.find(name) for name in names)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], Planted()))
