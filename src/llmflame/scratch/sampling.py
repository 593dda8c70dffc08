"""From logits to the next token: the most probable one, or one at random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from llmflame.scratch.errors import SettingError

Sampler = Callable[[Tensor], Tensor]
"""Logits [B, V] to token ids [B]."""


def greedy(logits: Tensor) -> Tensor:
    """The most probable token. logits: [B, V]. Returns [B]."""
    return logits.argmax(-1)


def nucleus(logits: Tensor, temperature: float, top_p: float) -> tuple[Tensor, Tensor]:
    """The smallest set of tokens that together have at least probability `top_p`, and their probabilities.

    Holtzman et al. 2020 (arXiv 1904.09751), section 3.1, equations 2 and 3, of softmax(logits / temperature),
    section 3.3. logits: [B, V]. Returns two of [B, V]: probabilities in falling order, 0 outside of the set
    and 1 in sum, and their ids.
    """
    probabilities, ids = (logits.float() / temperature).softmax(-1).sort(-1, descending=True)
    # A token belongs to it while those before it aren't enough; the first always does.
    before = probabilities.cumsum(-1) - probabilities
    kept = before < top_p
    kept[..., 0] = True
    inside = probabilities * kept
    return inside / inside.sum(-1, keepdim=True), ids


@dataclass(frozen=True, slots=True)
class TopP:
    """Draws from the nucleus. Raises SettingError for a temperature or a share that means nothing."""

    temperature: float = 1.0
    """Below 1 sharpens, above 1 flattens."""
    top_p: float = 1.0
    """1 keeps every token."""
    generator: torch.Generator | None = None
    """On the device of the logits; None for torch's own."""

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf") or not 0 < self.top_p <= 1:
            given = f"{self.temperature:g} and {self.top_p:g}"
            raise SettingError(f"temperature must be above 0 and top_p in (0, 1], not {given}")

    def __call__(self, logits: Tensor) -> Tensor:
        """logits: [B, V]. Returns [B]."""
        probabilities, ids = nucleus(logits, self.temperature, self.top_p)
        drawn = torch.multinomial(probabilities, 1, generator=self.generator)  # [B, 1]
        return ids.gather(-1, drawn)[:, 0]


def sampler(temperature: float, top_p: float, seed: int, device: str) -> Sampler:
    """`greedy` for temperature 0, the formula's limit; else `TopP`, with the same draws for the same seed."""
    if temperature == 0:
        if top_p != 1:
            raise SettingError("temperature 0 draws nothing, which top_p could bound: give a temperature too")
        return greedy
    return TopP(temperature, top_p, torch.Generator(device).manual_seed(seed))
