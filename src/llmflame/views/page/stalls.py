"""The page's part about stalls: what kernels wait for, in numbers and in words."""

from __future__ import annotations

from llmflame.analysis.stalls.coverage import stall_coverage
from llmflame.analysis.stalls.reasons import GROUP_WORDS, GROUPS, REASONS
from llmflame.analysis.stalls.stalls_table import stalls_table
from llmflame.analysis.tables import Table
from llmflame.analysis.tree import Tree
from llmflame.store.profile import Profile
from llmflame.views.page.document import StringTable
from llmflame.views.page.tables import encoded


def stall_data(profile: Profile, run: Tree) -> dict[str, object] | None:
    """None where no stalls were sampled. `run` is the whole run's tree, without them."""
    if not profile.stalls:
        return None
    table = stalls_table(profile, run)
    strings = StringTable()
    return {
        "table": encoded(table, strings),
        "strings": strings.values,
        "groups": [[group, words.meaning, words.helps] for group, words in GROUP_WORDS.items()],
        "reasons": [
            [one.name, one.group, one.meaning, one.helps] for one in REASONS.values() if _has(table, one.name)
        ],
        "phases": [
            {
                "phase": one.phase,
                "samples": one.samples,
                "busy_ns": round(one.busy_ns),
                "explained_share": one.explained_share,
                "groups_ns": {group: round(one.groups_ns.get(group, 0.0)) for group in GROUPS},
            }
            for one in stall_coverage(profile, run)
        ],
    }


def _has(table: Table, reason: str) -> bool:
    place = table.place(reason)
    return any(row[place] for row in table.rows)
