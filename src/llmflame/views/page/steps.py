"""The page's part about decode steps: the steps table by column, how the times are spread, the outliers."""

from __future__ import annotations

from dataclasses import asdict

from llmflame.analysis.step_spread import DEVIATIONS, step_spread
from llmflame.analysis.steps_table import steps_table
from llmflame.analysis.tables import Table
from llmflame.store.profile import Profile
from llmflame.views.page.document import StringTable
from llmflame.views.page.tables import encoded
from llmflame.views.page.timeline import MOST_REQUESTS

MOST_STEPS = 4_096
"""That the page draws one by one; of more, every k-th, those of the anatomy pass and the slowest."""
MOST_OUTLIERS = 50


def step_data(profile: Profile) -> dict[str, object] | None:
    """None where no decode step was timed."""
    spread = step_spread(profile)
    if spread is None:
        return None
    table = steps_table(profile)
    strings = StringTable()
    told = asdict(spread)
    outliers = told.pop("outliers")
    return {
        "table": encoded(thinned(table), strings),
        "of": len(table.rows),
        "strings": strings.values,
        "spread": told,
        "deviations": DEVIATIONS,
        "outliers": outliers[:MOST_OUTLIERS],
        "outlier_count": len(outliers),
        "requests_shown": MOST_REQUESTS,
    }


def thinned(table: Table, most: int = MOST_STEPS) -> Table:
    """The steps that the page carries, in order."""
    rows = table.rows
    if len(rows) <= most:
        return table
    anatomy, slowest = table.place("anatomy"), table.place("max_ns")
    by_time = sorted(range(len(rows)), key=lambda place: -int(rows[place][slowest] or 0))
    stride = -(-len(rows) // (most // 2))
    kept = {place for place, row in enumerate(rows) if row[anatomy] is not None}
    kept |= {*by_time[:MOST_OUTLIERS], *range(0, len(rows), stride), len(rows) - 1}
    return Table(table.view, table.columns, tuple(rows[place] for place in sorted(kept)), table.notes)
