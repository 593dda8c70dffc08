"""What a frame of stalls says in words."""

from __future__ import annotations

from dataclasses import dataclass

from llmflame.analysis.stalls.reasons import GROUP_WORDS, REASONS
from llmflame.store.model import Frame


@dataclass(frozen=True, slots=True)
class StallWords:
    """What the warps wait for, and what usually helps: sentences."""

    meaning: str
    helps: str


def stall_words(frame: Frame) -> StallWords | None:
    """Of a stall or a group of them; None for all other frames, and for reasons that nothing is known of."""
    if frame.kind == "stall_group":
        known = {str(group): words for group, words in GROUP_WORDS.items()}.get(frame.name)
        return StallWords(_sentence(known.meaning), _sentence(known.helps)) if known is not None else None
    reason = REASONS.get(frame.name) if frame.kind == "stall" else None
    return StallWords(reason.meaning, reason.helps) if reason is not None else None


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
