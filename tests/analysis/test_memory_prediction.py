"""Predictions stand beside what was measured; what a step holds is compared as one."""

from __future__ import annotations

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
    assert set(rows) == {c.WEIGHTS, c.KV_CACHE, STEP_OWN, "total"}
    assert {row.phase for row in rows.values()} == {"decode"}
    assert rows[STEP_OWN].predicted_bytes == 2 * MIB and rows[STEP_OWN].measured_bytes == 3 * MIB
    assert rows[STEP_OWN].error == pytest.approx(-1 / 3)
    assert rows[c.WEIGHTS].error == 0
    assert rows["total"].predicted_bytes == 89 * MIB


def test_nothing_measured_has_no_error() -> None:
    assert Compared("decode", "host", c.KV_CACHE, 5, 0.0, "").error is None
