"""A smaller model that guesses what a larger one will say."""

from __future__ import annotations

import torch

from llmflame.lab.caches.static import StaticCache
from llmflame.scratch.model import LanguageModel


class ModelDrafter:
    """Greedy guesses: Leviathan et al. 2023 (arXiv 2211.17192). Raises ValueError for another vocabulary.

    `columns`: tokens of the longest request.
    """

    def __init__(self, draft: LanguageModel, model: LanguageModel, columns: int, count: int) -> None:
        if draft.config.vocabulary != model.config.vocabulary:
            sizes = f"{draft.config.vocabulary} and {model.config.vocabulary}"
            raise ValueError(f"the draft model has another vocabulary: {sizes} tokens")
        self.count = count
        self._draft = draft
        self._cache = StaticCache(draft, 1, columns + 2 * count)
        device = draft.model.embed_tokens.weight.device
        self._padding = torch.zeros(1, dtype=torch.long, device=device)
        self._given: list[int] = []
        """The tokens whose keys the cache holds."""

    def begin(self, prompt: list[int]) -> None:
        """Forget the last request."""
        self._cache.truncate(0)
        self._given = []

    def draft(self, tokens: list[int]) -> list[int]:
        """What the draft would say; it keeps the keys of all that was right so far."""
        # The last guesses may have been wrong from the first on: what is certain ends before them.
        self._cache.truncate(min(self._cache.length, self._sure(tokens)))
        self._given = list(tokens)
        guess: list[int] = []
        fresh = tokens[self._cache.length :]
        for _ in range(self.count):
            given = torch.tensor([fresh], device=self._padding.device)
            logits = self._draft(given, self._padding, self._cache, last_only=True)
            fresh = [int(logits.argmax())]
            guess += fresh
        self._given += guess[:-1]
        return guess

    def _sure(self, tokens: list[int]) -> int:
        """How many of the cache's tokens are the text's; one is left to be computed."""
        same = next(
            (n for n, (a, b) in enumerate(zip(self._given, tokens, strict=False)) if a != b),
            min(len(self._given), len(tokens)),
        )
        return min(same, len(tokens) - 1)
