"""Everything about the selected row."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from llmflame.analysis.tables import Table, ratio
from llmflame.store import metrics
from llmflame.store.model import Frame, Metric
from llmflame.units import human_time_ns, percent
from llmflame.views.cells import amount, cell, frame_name
from llmflame.views.grid import Grid, GridColumn, Paragraph
from llmflame.views.interactive.graph import Look
from llmflame.views.interactive.metrics import label
from llmflame.views.safe import safe_text
from llmflame.views.stall_words import stall_words
from llmflame.views.tree import NAME_STYLES

KINDS = {
    "run": "the whole run",
    "phase": "phase",
    "python": "Python function",
    "module": "module",
    "op": "operator",
    "builtin": "built-in function",
    "runtime": "CUDA call",
    "wait": "wait for the GPU",
    "kernel": "kernel on the GPU",
    "copy": "copy or fill on the GPU",
    "stall_group": "why a kernel's warps wait",
    "stall": "stall reason, as the vendor names it",
    "instruction": "instructions of the kernel",
    "thread": "worker threads",
    "memory": "memory",
    "other": "other",
}
ORIGINS = {
    "measured": "measured, with no tracing at work",
    "traced": "traced in a window",
    "sampled": "sampled",
    "scaled": "traced, then scaled to the undisturbed time",
    "computed": "computed from other numbers",
}
COLUMNS = (
    GridColumn("", align="left", flexible=True, least=12),
    GridColumn("Total"),
    GridColumn("Self"),
)
FULL_NAME = 2_000
"""Characters of a name that are shown where there is room for all of it."""


def frame_details(look: Look, node: int) -> RenderableType:
    """A frame: what and where it is, its numbers by every metric, how they were obtained."""
    frame = look.graph.tree.frame(node)
    name = Text(frame_name(frame.name, frame.kind, FULL_NAME), style=NAME_STYLES.get(frame.kind, ""))
    name.stylize("bold")
    parts: list[RenderableType] = [Paragraph(name), *_places(frame), Paragraph(_sentence(look, node))]
    if (words := stall_words(frame)) is not None:
        parts += [Text(), Paragraph(Text(words.meaning)), Paragraph(Text("→ ").append(words.helps), hang=2)]
    parts += [Text(), _numbers(look, node)]
    origin = ORIGINS.get(look.graph.tree.origins[node], "")
    return Group(*parts, Text(), Paragraph(Text(origin, style="dim")))


def _places(frame: Frame) -> list[RenderableType]:
    kind = Text(KINDS.get(frame.kind, ""), style="dim")
    if frame.module:
        kind.append(" · ").append(safe_text(frame.module, FULL_NAME), style="not dim cyan")
    lines = []
    if frame.file:
        line = f":{frame.line}" if frame.line is not None else ""
        lines.append((safe_text(frame.file, FULL_NAME) + line, ""))
    if frame.kind == "kernel" and frame_name(frame.name, frame.kind) != safe_text(frame.name):
        lines.append((safe_text(frame.name, FULL_NAME), "dim"))
    return [Paragraph(kind), *(Paragraph(Text(words, style=style)) for words, style in lines)]


def _sentence(look: Look, node: int) -> Text:
    total, own = look.total(node), look.graph.own(look.metric, node)
    whole = ratio(total, look.whole())
    first = Text().append(amount(total, look.unit), style="bold")
    if whole is not None:
        first.append(f", {percent(whole)} of {_whole(look)}")
    found = [f"{amount(own, look.unit)} of it itself"]
    calls = look.graph.own(metrics.CALLS.name, node)
    if calls and look.unit == "ns":
        found.append(f"{calls:,.0f} calls, {human_time_ns(total / calls)} each")
    floor = look.floor(node)
    if floor and total:
        share = percent(min(floor / total, 1.0))
        found.append(f"its operators need at least {human_time_ns(floor)}, {share} of that")
    return first.append("; " + "; ".join(found))


def _whole(look: Look) -> str:
    return "the whole" if look.phase is None else safe_text(look.phase, 40)


def _numbers(look: Look, node: int) -> Grid:
    graph, grid = look.graph, Grid(COLUMNS)
    for metric in graph.tree.metrics:
        total, own = graph.total(metric.name)[node], graph.own(metric.name, node)
        if total:
            grid.add(label(metric), *_amounts(metric, total, own))
    return grid


def _amounts(metric: Metric, total: float, own: float) -> tuple[Text, Text]:
    return cell(round(total), metric.unit), cell(round(own), metric.unit)


def row_details(table: Table, row: int) -> RenderableType:
    """A row of a table with all of its columns, those too that had no room."""
    grid = Grid((GridColumn("", align="left"), GridColumn("")), header=False)
    texts: list[RenderableType] = []
    for column, value in zip(table.columns, table.rows[row], strict=True):
        if isinstance(value, str):
            texts.append(Paragraph(Text(safe_text(value, FULL_NAME), style="" if texts else "bold")))
        elif value is not None:
            words = safe_text(column.label if column.shown else column.name.replace("_", " "), 40)
            grid.add(Text(words, style="dim"), cell(value, column.unit))
    return Group(*texts, Text(), grid)
