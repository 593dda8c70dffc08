"""What was predicted from the configuration beside what was measured."""

from __future__ import annotations

from dataclasses import dataclass

from llmflame.analysis.memory.composition import Composition
from llmflame.store import categories
from llmflame.store.profile import Profile
from llmflame.store.rows import Space

STEP_OWN = "a step's own tensors"
"""Activations, temporaries, inputs and scores: how a program's code splits them is its own affair."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One prediction and its measurement."""

    phase: str
    space: Space
    category: str
    predicted_bytes: int
    measured_bytes: float
    formula: str

    @property
    def error(self) -> float | None:
        """By how much the prediction is off, as a share of what was measured; None where nothing was."""
        if not self.measured_bytes:
            return None
        return (self.predicted_bytes - self.measured_bytes) / self.measured_bytes


def compare(profile: Profile, found: list[Composition]) -> list[Compared]:
    """Predictions of phases that were measured, category by category, and their totals."""
    rows = []
    for composition in found:
        mine = [
            row
            for row in profile.predictions
            if (row.phase, row.space) == (composition.phase, composition.space)
        ]
        if not mine:
            continue
        merged: dict[str, tuple[int, str]] = {}
        for row in mine:
            name = STEP_OWN if row.category in _STEP else row.category
            if name == categories.CHECKPOINT and row.phase != "load":
                name = categories.WEIGHTS
            predicted, formula = merged.get(name, (0, row.formula))
            merged[name] = (predicted + row.bytes, formula)
        for name, (predicted, formula) in merged.items():
            measured = sum(composition.of(category) for category in _measured(name, composition.phase))
            rows.append(Compared(composition.phase, composition.space, name, predicted, measured, formula))
        if any(row.category in _WHOLE for row in mine):
            total = sum(row.bytes for row in mine)
            peak = composition.peak_bytes
            rows.append(Compared(composition.phase, composition.space, "total", total, peak, "the sum"))
    return rows


def _measured(name: str, phase: str) -> tuple[str, ...]:
    """The categories that a prediction speaks of."""
    if name == STEP_OWN:
        return _STEP
    if name == categories.WEIGHTS and phase != "load":
        return (categories.WEIGHTS, categories.CHECKPOINT)  # which of the two is the load's affair
    return (name,)


_WHOLE = (categories.RUNTIME, categories.CONTEXT)
"""Without these a prediction is not of all that a process takes."""
_STEP = (categories.ACTIVATIONS, categories.TEMPORARIES, categories.TENSORS)
