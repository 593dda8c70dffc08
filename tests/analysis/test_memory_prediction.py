"""Predictions stand beside what was measured; what a step holds is compared as one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from llmflame.analysis.memory.composition import compositions
from llmflame.analysis.memory.prediction import STEP_OWN, Compared, compare
from llmflame.store import categories as c
from llmflame.store.profile import read_profile
from tests.handmade import MIB
from tests.handmade_memory import handmade_memory


@pytest.mark.parametrize("device", [False, True])
def test_activations_and_temporaries_are_compared_together(tmp_path: Path, device: bool) -> None:
    profile = read_profile(handmade_memory(tmp_path / "a.llmflame", device=device))
    rows = {row.category: row for row in compare(profile, compositions(profile))}
    whole = c.CONTEXT if device else c.RUNTIME
    assert set(rows) == {c.WEIGHTS, c.KV_CACHE, STEP_OWN, whole, "total"}
    assert {row.phase for row in rows.values()} == {"decode"}
    assert rows[STEP_OWN].predicted_bytes == 2 * MIB and rows[STEP_OWN].measured_bytes == 3 * MIB
    assert rows[STEP_OWN].error == pytest.approx(-1 / 3)
    assert rows[c.WEIGHTS].error == 0
    assert rows["total"].predicted_bytes == 129 * MIB
    assert rows["total"].measured_bytes == (488 if device else 140) * MIB


def test_a_prediction_of_a_part_has_no_total(tmp_path: Path) -> None:
    """Without what the process itself takes it would be compared with what it does not speak of."""
    profile = read_profile(handmade_memory(tmp_path / "a.llmflame"))
    part = tuple(row for row in profile.predictions if row.category != c.RUNTIME)
    rows = compare(replace(profile, predictions=part), compositions(profile))
    assert "total" not in {row.category for row in rows} and rows


def test_nothing_measured_has_no_error() -> None:
    assert Compared("decode", "host", c.KV_CACHE, 5, 0.0, "").error is None
