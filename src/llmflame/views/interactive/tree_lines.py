"""A row of the tree as cells."""

from __future__ import annotations

from rich.text import Text

from llmflame.analysis.tables import ratio
from llmflame.store import metrics
from llmflame.store.model import Frame
from llmflame.views.cells import amount, cell, frame_name
from llmflame.views.grid import GridColumn, Layout, laid_out
from llmflame.views.interactive.graph import Look
from llmflame.views.interactive.outline import Line
from llmflame.views.safe import safe_text
from llmflame.views.tree import NAME_STYLES

AMOUNT_CELLS = 8
"""Of all amounts but the longest times, which the whole of a look tells."""
SHARE_CELLS = 8
CALLS_CELLS = 7
COLUMNS = (
    GridColumn("Total"),
    GridColumn("Self", drop=1),
    GridColumn("Share"),
    GridColumn("Floor", drop=5),
    GridColumn("Calls", drop=2),
    GridColumn("Allocated", drop=3),
    GridColumn("Frame", align="left", flexible=True, keep="ends", least=36),
)
NAME_LEAST = 24
"""Cells of a frame that its indentation leaves it."""
ROOMY = 60
"""Cells of the frames' column from which on a level is indented by two of them."""
OPEN, CLOSED, LEAF = "▾ ", "▸ ", "  "
FOUND = "underline"


def layout_of(look: Look, room: int) -> Layout:
    """Columns of fixed widths: what is opened later must not move what stands there."""
    known = look.graph.tree.selfs
    timed = look.unit == "ns"
    amounts = max(AMOUNT_CELLS, len(amount(look.whole(), look.unit)))
    widths = [
        amounts,
        amounts,
        SHARE_CELLS,
        AMOUNT_CELLS if look.metric == metrics.WALL.name and metrics.FLOOR.name in known else 0,
        CALLS_CELLS if metrics.CALLS.name in known and look.metric != metrics.CALLS.name else 0,
        len(COLUMNS[5].label) if timed and metrics.ALLOCATED.name in known else 0,
        room,
    ]
    return laid_out(COLUMNS, widths, room)


def cells_of(look: Look, line: Line, room: int, *, opened: bool, found: bool) -> list[Text]:
    """The cells of one row, one for each of `COLUMNS`; `room` is the width of the last one."""
    graph, node = look.graph, line.node
    calls = graph.own(metrics.CALLS.name, node)
    allocated = graph.total(metrics.ALLOCATED.name)[node] if look.unit == "ns" else 0
    floor = look.floor(node)
    mark = (OPEN if opened else CLOSED) if look.below(node) else LEAF
    wanted = line.level * (2 if room >= ROOMY else 1)
    indent = " " * min(wanted, max(room - NAME_LEAST, 0))
    frame = Text(indent + ("› " if line.only else "") + mark, style="dim")
    return [
        cell(round(look.total(node)), look.unit),
        cell(round(graph.own(look.metric, node)), look.unit),
        cell(ratio(look.total(node), look.whole()), "share"),
        cell(round(floor), "ns") if floor else Text(),
        cell(round(calls), "count") if calls else Text(),
        cell(round(allocated), "bytes") if allocated else Text(),
        frame.append_text(named(graph.tree.frame(node), found=found)),
    ]


def named(frame: Frame, *, found: bool = False) -> Text:
    """A frame's name and, dimmed, where it is."""
    style = NAME_STYLES.get(frame.kind, "")
    text = Text().append(frame_name(frame.name, frame.kind), style=f"{style} {FOUND}" if found else style)
    place = place_of(frame)
    return text.append(f"  {place}", style="dim") if place else text


def place_of(frame: Frame) -> str:
    """A module's path, else a function's file and line; empty where neither is known."""
    if frame.kind == "module" and frame.module:
        return safe_text(frame.module)
    if not frame.file:
        return ""
    return safe_text(frame.file) + (f":{frame.line}" if frame.line is not None else "")
