"""`prompt-lookup`: tokens guessed from what the text already says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from llmflame.lab.variants.setup import HubSetup, ScratchSetup
from llmflame.lab.variants.variant import Circumstances, Variant

if TYPE_CHECKING:
    from llmflame.lab.variants.setup import Drafter
    from llmflame.scratch.model import LanguageModel

GUESSES, LONGEST = 4, 3
"""Tokens of a guess, and of the ending that is searched for."""


class PromptLookup:
    """Finds where the text's ending stood before, and guesses that it goes on as it did then.

    Saxena 2023, github.com/apoorvumang/prompt-lookup-decoding.
    """

    def __init__(self, count: int = GUESSES, longest: int = LONGEST) -> None:
        self.count, self._longest = count, longest
        self._after: dict[tuple[int, ...], int] = {}
        self._seen = 0

    def begin(self, prompt: list[int]) -> None:
        """Forget the last request."""
        self._after.clear()
        self._seen = 0

    def draft(self, tokens: list[int]) -> list[int]:
        """What followed the last place of the longest ending that stood before; none if none did."""
        # An ending's own place isn't known yet: only what has a token behind it is.
        for end in range(max(self._seen, 1), len(tokens)):
            for length in range(1, min(self._longest, end) + 1):
                self._after[tuple(tokens[end - length : end])] = end
        self._seen = len(tokens)
        for length in range(min(self._longest, len(tokens)), 0, -1):
            begin = self._after.get(tuple(tokens[-length:]))
            if begin is not None:
                found = tokens[begin : begin + self.count]
                # Of fixed length, so that a compiled step sees one shape; what is too much is just wrong.
                return found + [tokens[-1]] * (self.count - len(found))
        return []


def _scratch(setup: ScratchSetup) -> None:
    setup.speculate = _drafter


def _drafter(_model: LanguageModel, _folder: Path) -> Drafter:
    return PromptLookup()


def _hub(setup: HubSetup) -> None:
    setup.generate_options |= {"prompt_lookup_num_tokens": GUESSES, "max_matching_ngram_size": LONGEST}


def _refusal(circumstances: Circumstances) -> str | None:
    if circumstances.batch != 1:
        return "rows of a batch would accept different numbers of tokens: one sequence alone"
    return None


VARIANT = Variant(
    name="prompt-lookup",
    changes=f"Where the text's ending stood before, the {GUESSES} tokens that followed are guessed and "
    "checked in one step; what the model would have chosen itself is kept.",
    helps="A step of a few tokens reads weights as often as a step of one. It pays for texts that repeat "
    "themselves or their prompt, and costs the checks where guesses are wrong.",
    phases=("decode",),
    equality="equivalent",
    slot="speculation",
    apply={"scratch": _scratch, "transformers": _hub},
    refusal=_refusal,
)
