"""What the sections below the flame graph show: each is there only where the profile knows something."""

from __future__ import annotations

from llmflame.analysis.tree import Tree
from llmflame.store.profile import Profile
from llmflame.views.page.lab import lab_data
from llmflame.views.page.roofline import roofline_data
from llmflame.views.page.stalls import stall_data
from llmflame.views.page.steps import step_data
from llmflame.views.page.tables import table_data
from llmflame.views.page.timeline import timeline_data


def page_sections(profile: Profile, run: Tree, shown: Tree) -> dict[str, object]:
    """By the section's name, its data; None where there is nothing to show.

    `run` is the whole run's tree, `shown` the one that the page draws.
    """
    return {
        "lab": lab_data(profile),
        "timeline": timeline_data(profile),
        "steps": step_data(profile),
        "roofline": roofline_data(profile, run),
        "stalls": stall_data(profile, run),
        "tables": table_data(run, shown),
    }
