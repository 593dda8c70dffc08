"""Samples of which nobody counted in how many of them nothing was issued, as other tools' files may have."""

from __future__ import annotations

import pytest

from llmflame.analysis.stalls.bound import bound_of, dominant_of
from llmflame.analysis.stalls.counts import StallCounts
from llmflame.analysis.stalls.position import Position

NOWHERE = Position(1.0, 1.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("reasons", "group", "reason", "bound"),
    [
        (
            {"long_scoreboard": 900, "selected": 60, "not_selected": 40},
            "device memory",
            "long_scoreboard",
            None,
        ),
        ({"barrier": 500, "mio_throttle": 300, "not_selected": 200}, "barriers", "barrier", None),
        ({"not_selected": 900, "selected": 80, "wait": 20}, "issuing", "not_selected", "issue"),
    ],
)
def test_all_samples_speak_for_the_lost_ones(
    reasons: dict[str, int], group: str, reason: str, bound: str | None
) -> None:
    counts = StallCounts()
    for name, samples in reasons.items():
        counts.add(name, samples, 0)
    most = dominant_of(counts)
    assert most is not None
    assert (most.group, most.reason) == (group, reason)
    assert bound_of(counts, NOWHERE) == bound
