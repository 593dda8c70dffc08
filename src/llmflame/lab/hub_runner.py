"""Runs requests on transformers' own `generate`, by its public options."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, CompileConfig, GenerationConfig, LogitsProcessor
from transformers.generation.streamers import BaseStreamer

from llmflame.lab.runner import Arrived
from llmflame.lab.variants.setup import HubSetup


def load(folder: Path, setup: HubSetup) -> Any:
    """transformers' model of a folder, on the device, in evaluation mode."""
    options = {"dtype": getattr(torch, setup.dtype), "local_files_only": True, "use_safetensors": True}
    model = AutoModelForCausalLM.from_pretrained(folder, **options | setup.load_options)
    return model.to(setup.device).eval().requires_grad_(False)


class HubRunner:
    """A loaded model and the options of `generate`; always greedy, and never stopping early."""

    def __init__(self, setup: HubSetup, model: Any) -> None:
        self._model = model
        options = dict(setup.generate_options)
        mode = options.pop("compile_mode", None)
        if mode is not None and setup.device == "cpu":
            # `generate` compiles for devices alone; this is how its documentation does it by hand.
            model.forward = torch.compile(model.forward, mode=mode, dynamic=False)
        elif mode is not None:
            options["compile_config"] = CompileConfig(mode=mode)
        # Those of the checkpoint may sample, penalise or stop, which no trial does.
        model.generation_config = GenerationConfig(do_sample=False, pad_token_id=0)
        self._options = options

    @property
    def root(self) -> Any:
        """What is called for each step."""
        return self._model

    def request(self, prompt: Tensor, new_tokens: int, arrived: Arrived) -> None:
        """As `Runner.request`."""
        self._generate(prompt, new_tokens, streamer=_Told(arrived))

    def forced(self, ids: Tensor, prompt_tokens: int) -> Iterator[Tensor]:
        """As `Runner.forced`: `generate` itself runs, and is made to choose the given tokens."""
        forcing = _Forcing(ids)
        self._generate(ids[:, :prompt_tokens], ids.shape[1] - prompt_tokens, logits_processor=[forcing])
        for position in range(prompt_tokens, ids.shape[1]):
            yield forcing.seen[position][:, None]

    def _generate(self, prompt: Tensor, new_tokens: int, **options: Any) -> None:
        with torch.no_grad():
            self._model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=new_tokens,
                **self._options,
                **options,
            )


class _Told(BaseStreamer):  # type: ignore[misc]
    """Tells of ids as they come; the prompt comes first and isn't one."""

    def __init__(self, arrived: Arrived) -> None:
        self._arrived, self._prompt = arrived, True

    def put(self, value: Tensor) -> None:
        """value: [B], or several of one row [1, n]."""
        if self._prompt:
            self._prompt = False
            return
        ids: list[list[int]] = (value[:, None] if value.dim() == 1 else value).tolist()
        self._arrived(ids)

    def end(self) -> None:
        """Nothing is held back."""


class _Forcing(LogitsProcessor):  # type: ignore[misc]
    """Keeps the logits of each position, and leaves one choice: the token that was given for it."""

    def __init__(self, ids: Tensor) -> None:
        self._ids = ids
        self.seen: dict[int, Tensor] = {}

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """input_ids: [B, n]; scores: [B, V], of position n."""
        position = input_ids.shape[1]
        if position >= self._ids.shape[1]:
            return scores
        # A guess is asked about with made-up scores that are all the same, before it is checked with real
        # ones, and those are written over in place afterwards.
        if bool(scores.min() != scores.max()):
            self.seen[position] = scores.to("cpu", torch.float32, copy=True)
        return torch.full_like(scores, -torch.inf).scatter_(1, self._ids[:, position, None], 0.0)
