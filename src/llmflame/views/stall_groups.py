"""What kernels wait for by group: a line for the summary, and two runs side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from llmflame.units import human_time_ns, percent
from llmflame.views.grid import Grid, GridColumn, Paragraph

HANG = 2
LEAST_SHARE = 0.05
"""Of a phase's sampled device time: smaller groups are not named in the summary."""
LEAST_CHANGE = 0.005
"""Of both runs' sampled time: groups that have less are not listed."""


def stall_lines(stalls: Mapping[str, Any] | None) -> list[RenderableType]:
    """For the summary, a line a phase: what its kernels wait for, by device time."""
    lines: list[RenderableType] = []
    for phase in stalls["phases"] if stalls is not None else ():
        groups = sorted(phase["groups_s"].items(), key=lambda pair: -pair[1])
        whole = sum(own for _, own in groups)
        named = ", ".join(
            f"{group} {percent(own / whole)}" for group, own in groups if own >= LEAST_SHARE * whole
        )
        if named:
            label = Text(f"Kernels of {phase['phase']} by why they wait: ", style="dim")
            lines.append(Paragraph(label.append(Text(named, style="none")), hang=HANG))
    return lines


def stall_changes(stalls: Mapping[str, Any] | None) -> RenderableType | None:
    """What two runs' kernels wait for, by phase and group; None where neither was sampled."""
    if stalls is None:
        return None
    if stalls["missing"] is not None:
        return Paragraph(Text(f"Only {'B' if stalls['missing'] == 'a' else 'A'} has stalls.", style="dim"))
    rows: Sequence[Mapping[str, Any]] = stalls["groups"]
    whole = sum(row["a_ns"] + row["b_ns"] for row in rows)
    grid = Grid(
        [
            GridColumn("Phase", align="left"),
            GridColumn("Waiting for", align="left"),
            GridColumn("A"),
            GridColumn("B"),
            GridColumn("Change"),
            GridColumn("Share of A", drop=1),
            GridColumn("Share of B", drop=1),
        ]
    )
    for row in rows:
        if row["a_ns"] + row["b_ns"] < LEAST_CHANGE * whole:
            continue
        change = row["b_ns"] - row["a_ns"]
        grid.add(
            row["phase"],
            row["group"],
            human_time_ns(row["a_ns"]),
            human_time_ns(row["b_ns"]),
            f"{'+' if change > 0 else '-' if change < 0 else ''}{human_time_ns(abs(change))}",
            percent(row["a_share"]),
            percent(row["b_share"]),
        )
    return grid if grid.rows else None
