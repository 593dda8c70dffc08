"""The page's roofline: points, and the ceilings above them."""

from __future__ import annotations

from llmflame.analysis.ceiling import ceilings
from llmflame.analysis.roofline_points import ceiling_lines, points
from llmflame.analysis.tree import Tree
from llmflame.store.profile import Profile

MOST_POINTS = 400


def roofline_data(profile: Profile, tree: Tree) -> dict[str, object] | None:
    """None where no operator's work is known."""
    found = points(tree)
    if not any(point.intensity is not None for point in found):
        return None
    limits = ceilings(profile)
    return {
        "device": limits.device,
        "dtype": limits.dtype,
        "points": [
            {
                "by": point.by,
                "phase": point.phase,
                "name": point.name,
                "flops": point.flops,
                "bytes": point.moved_bytes,
                "time_ns": round(point.time_ns),
                "intensity": point.intensity,
                "flop_per_s": point.flop_per_s,
                "place": point.place,
            }
            for point in found[:MOST_POINTS]
        ],
        "left_out": max(len(found) - MOST_POINTS, 0),
        "ceilings": [
            {"origin": one.origin, "dtype": one.dtype, "rate": one.rate, "own": one.is_own}
            for one in ceiling_lines(profile)
        ],
    }
