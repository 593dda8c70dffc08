"""What a step adds, what it leaves behind, and what is still there after each request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from llmflame.units import human_bytes, percent
from llmflame.views.grid import Grid, GridColumn, Paragraph
from llmflame.views.safe import safe_text

Document = Mapping[str, Any]
WHOLE_SHARE = 0.01
"""What is explained up to this is explained."""
LINE_SHARE = 0.9
"""Less of the variance on the line, and a slope alone would mislead."""
TOLD_SHARE = 0.05
"""Of a peak: less is left to the view."""
MOST_FLOORS = 6
LEAST_CHANGE_BYTES = 1024
"""Of a floor: a few numbers and names more are no growth."""
STACK_FRAMES = 6


def growth_parts(document: Document) -> list[RenderableType]:
    """A sentence for each space, the stacks that left something behind, and the floors."""
    parts: list[RenderableType] = []
    for one in document["growth"]:
        parts.append(Paragraph(_sentence(one), hang=2))
        parts += _left(one)
    for space, values in document["floors"].items():
        words = _floor(space, values)
        if words is not None:
            parts.append(Paragraph(words, hang=2))
    return parts


def memory_lines(memory: Document) -> list[RenderableType]:
    """For the summary: a line for each space, its peak by category and what a decode step adds to it."""
    lines: list[RenderableType] = []
    grown = {one["space"]: one for one in memory["growth"]}
    for peak in memory["peaks"]:
        whole = peak["peak_bytes"]
        where = " of the device" if peak["space"] == "device" else ""
        text = Text().append(f"Memory at the peak{where} ", style="dim")
        text.append(human_bytes(whole), style="bold").append(f" ({safe_text(peak['phase'], 30)}): ")
        large = [
            (size, category)
            for category, size in peak["held_bytes"].items()
            if abs(size) >= TOLD_SHARE * whole
        ]
        large.sort(key=lambda part: -part[0])
        text.append(", ".join(f"{safe_text(category, 40)} {human_bytes(size)}" for size, category in large))
        if peak["space"] in grown:
            text.append(f"; a decode step {_added(grown[peak['space']])}")
        lines.append(Paragraph(text, hang=2))
    return lines


def _added(one: Document) -> str:
    """`adds 45.1 KiB, all of it KV cache`."""
    added, cached = one["bytes_per_step"], one["kv_cache_bytes_per_step"]
    if round(added) <= 0:
        return f"gives back {human_bytes(-added)}" if round(added) else "adds nothing"
    if abs(added - cached) <= WHOLE_SHARE * added:
        of_it = "all of it KV cache"
    elif round(cached) == 0:
        of_it = "none of it KV cache"
    else:
        of_it = f"the KV cache {human_bytes(cached)} of it"
    return f"adds {human_bytes(added)}, {of_it}"


def _sentence(one: Document) -> Text:
    added, cached = one["bytes_per_step"], one["kv_cache_bytes_per_step"]
    text = Text().append(f"{_name(one['space'])}: ", style="dim")
    if added < 0:
        text.append(f"a decode step gives back {human_bytes(-added)}", style="bold")
    else:
        text.append(f"a decode step adds {human_bytes(added)}", style="bold")
    rest = one["unexplained_bytes_per_step"]
    if round(cached):
        explained = f": the KV cache {human_bytes(cached)}, {_bytes_in_words(rest)} unexplained"
        text.append(explained if round(rest) else ", all of it KV cache")
    elif round(added) > 0:
        text.append(", none of it KV cache")
    slack, peak = one["slack_bytes_per_step"], one["peak_bytes_per_step"]
    if slack is not None and round(slack):
        text.append(f"; fragmentation {_grows(slack)} a step")
    if peak is not None and round(peak):
        text.append(f"; the transient copy in the step {_grows(peak)} a step")
    if one["cache_rewritten_bytes"]:
        text.append(f"; a traced step wrote {human_bytes(one['cache_rewritten_bytes'])} of the cache anew")
    text.append(f"  over {one['steps']:,} steps", style="dim")
    if one["explained_variance"] < LINE_SHARE:
        share = percent(max(one["explained_variance"], 0.0))
        text.append(f", a line explains {share} of the variance", style="dim")
    return text


def _grows(size: float) -> str:
    return f"{'grows' if size > 0 else 'shrinks'} by {human_bytes(abs(size))}"


def _bytes_in_words(size: float) -> str:
    return f"{size:.0f} bytes" if abs(size) < 1024 else human_bytes(size)


def _name(space: str) -> str:
    return safe_text(space.capitalize(), 20)


def _left(one: Document) -> list[RenderableType]:
    """Who took what lives on after the request."""
    if not one["left"]:
        return []
    size = human_bytes(one["left_bytes_per_step"])
    words = Text(f"Left behind: {size} a step, seen in traced decode steps", style="bold")
    grid = _by_stack("A step", [(left["bytes_per_step"], left["stack"]) for left in one["left"]])
    return [Paragraph(words), grid]


def pinned_parts(rows: Sequence[Document]) -> list[RenderableType]:
    """Who asked for page-locked host memory."""
    if not rows:
        return []
    heading = Paragraph(Text("Page-locked host memory that was asked for", style="bold"))
    return [heading, _by_stack("Bytes", [(row["bytes"], row["stack"]) for row in rows], indent=1)]


def _by_stack(label: str, rows: Sequence[tuple[float, Sequence[str]]], indent: int = 3) -> Grid:
    by = GridColumn("Asked for by", align="left", flexible=True, keep="end")
    grid = Grid([GridColumn(label), by], indent=indent)
    for size, stack in rows:
        grid.add(human_bytes(size), stack_words(stack))
    return grid


def stack_words(stack: Sequence[str]) -> Text:
    """The innermost frames in one line, the innermost last."""
    return Text(" › ".join(safe_text(frame, 120) for frame in stack[-STACK_FRAMES:]))


def _floor(space: str, values: Sequence[float]) -> Text | None:
    """What is in use after each request: first as it is, then by how much it changed."""
    changes = [after - before for before, after in pairwise(values)]
    if all(abs(change) < LEAST_CHANGE_BYTES for change in changes):
        return None
    words = [_signed(change) for change in changes[:MOST_FLOORS]]
    if len(changes) > MOST_FLOORS:
        words.append(f"… {_signed(values[-1] - values[0])} after all {len(values):,}")
    text = Text().append(f"{_name(space)}: ", style="dim")
    text.append(f"{human_bytes(values[0])} in use after the first request", style="bold")
    return text.append(f", then {', '.join(words)}")


def _signed(size: float) -> str:
    if round(size) == 0:
        return "±0"
    return f"{'+' if size > 0 else '-'}{human_bytes(abs(size))}"
