"""One screen about memory: what the peaks are made of, how they were foretold, and what grows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from llmflame.analysis.top_table import layers_together
from llmflame.store import categories
from llmflame.units import human_bytes, percent
from llmflame.views.cells import UNKNOWN, cell
from llmflame.views.grid import Grid, GridColumn, Paragraph
from llmflame.views.growth import growth_parts, pinned_parts
from llmflame.views.holders import Holders
from llmflame.views.safe import safe_text

Document = Mapping[str, Any]
SHORT = {
    categories.WEIGHTS: "Weights",
    categories.CHECKPOINT: "Checkpoint",
    categories.KV_CACHE: "KV cache",
    categories.ACTIVATIONS: "Activations",
    categories.TEMPORARIES: "Temporaries",
    categories.TENSORS: "Tensors",
    categories.WORKSPACE: "Workspace",
    categories.SLACK: "Slack",
    categories.CONTEXT: "Context",
    categories.OTHER_PROCESSES: "Others'",
    categories.PINNED: "Pinned",
    categories.RUNTIME: "Python",
}
COLUMN_SHARE = 0.005
"""A category that never holds so much of a peak has no column."""
SPACES = ("device", "host")
MOST_STACK_LINES = 20
MOST_NOTE = 1000


def memory_view(document: Document) -> RenderableType:
    """The document of `analysis.memory.overview.memory_document` as a screen."""
    sections: list[list[RenderableType]] = [
        _failure(document["failure"]),
        *(_peak(peak) for peak in document["peaks"]),
        *(_phases(document["phases"], space) for space in SPACES),
        _predictions(document["predictions"]),
        growth_parts(document),
        pinned_parts(document["pinned"]),
        [Paragraph(Text(safe_text(note, MOST_NOTE), style="dim")) for note in document["notes"]],
    ]
    parts: list[RenderableType] = []
    for section in sections:
        if section:
            parts += [Text(), *section] if parts else section
    return Group(*parts) if parts else Paragraph(Text("Nothing was recorded that this view could show."))


def _heading(text: str) -> Paragraph:
    return Paragraph(Text(text, style="bold"))


def _peak(peak: Document) -> list[RenderableType]:
    headline = Text(f"{safe_text(peak['space'].capitalize(), 20)} peak ", style="bold")
    headline.append(human_bytes(peak["peak_bytes"]), style="bold")
    headline.append(f" in {safe_text(peak['phase'], 30)}", style="not bold")
    others = peak["other_processes_bytes"]
    if others:
        headline.append(f"  and {human_bytes(others)} of other processes beside it", style="not bold dim")
    parts = [(part["category"], part["bytes"]) for part in peak["parts"]]
    return [Paragraph(headline), Holders(parts, peak["owners"], peak["peak_bytes"])]


def _phases(phases: Sequence[Document], space: str) -> list[RenderableType]:
    """A row a phase, a column a category that matters in one of them."""
    rows = [phase for phase in phases if phase["space"] == space]
    if not rows:
        return []
    held = [{part["category"]: part["bytes"] for part in phase["parts"]} for phase in rows]
    largest: dict[str, float] = defaultdict(float)
    for phase, sizes in zip(rows, held, strict=True):
        for category, size in sizes.items():
            matters = category == categories.KV_CACHE or abs(size) >= COLUMN_SHARE * phase["peak_bytes"]
            if matters and category in SHORT:
                largest[category] = max(largest[category], abs(size))
    # The cache is what grows: it leaves a narrow screen last, however small it is yet.
    order = sorted(largest, key=lambda name: (name != categories.KV_CACHE, -largest[name]))
    shown = [name for name in categories.ORDER if name in largest]
    grid = Grid(
        [
            GridColumn("Phase", align="left"),
            *(GridColumn(SHORT[name], drop=1 + order.index(name)) for name in shown),
            GridColumn("Peak"),
            GridColumn("Residual"),
        ],
        dense=True,
    )
    for phase, sizes in zip(rows, held, strict=True):
        rest = sizes.get(categories.OTHER, 0)
        grid.add(
            Text(safe_text(phase["phase"], 30)),
            *(cell(sizes.get(name, 0), "bytes") for name in shown),
            Text(human_bytes(phase["peak_bytes"]), style="bold"),
            cell(rest / phase["peak_bytes"], "share"),
        )
    return [_heading(f"At each phase's peak, {space}"), grid]


def _predictions(rows: Sequence[Document]) -> list[RenderableType]:
    if not rows:
        return []
    grid = Grid(
        [
            GridColumn("Phase", align="left"),
            GridColumn("Held as", align="left"),
            GridColumn("Predicted"),
            GridColumn("Measured"),
            GridColumn("Error"),
            GridColumn("How", align="left", flexible=True, drop=1, least=16),
        ]
    )
    before = None
    for row in rows:
        where = (row["phase"], row["space"])
        style = "bold" if row["category"] == "total" else ""
        grid.add(
            Text(", ".join(safe_text(word, 30) for word in where)) if where != before else Text(),
            Text(safe_text(row["category"], 40), style=style),
            Text(human_bytes(row["predicted_bytes"]), style=style),
            Text(human_bytes(row["measured_bytes"]), style=style),
            _error(row["error"]),
            Text(safe_text(row["formula"]), style="dim"),
        )
        before = where
    return [_heading("Predicted from the configuration, and measured"), grid]


def _error(error: float | None) -> Text:
    if error is None:
        return Text(UNKNOWN, style="dim")
    return Text(f"+{percent(error)}" if error > 0 else percent(error))


def _failure(failure: Document | None) -> list[RenderableType]:
    """Who held what when memory ran out, what was asked for and by whom, what would have fitted."""
    if failure is None:
        return []
    step = f", step {failure['step']:,}" if failure["step"] is not None else ""
    headline = Text(f"Memory ran out in {safe_text(failure['phase'], 30)}{step}", style="bold red")
    said = failure["said"]
    parts: list[RenderableType] = [Paragraph(headline)]
    asked = _asked(said)
    if asked:
        parts.append(Paragraph(Text(asked), hang=2))
    lines = [line for line in str(said.get("stack") or "").splitlines() if line.strip()]
    if lines:
        parts.append(Paragraph(Text("asked for by", style="dim")))
    if len(lines) > MOST_STACK_LINES:
        lines = ["…", *lines[-MOST_STACK_LINES:]]
    parts += [Paragraph(Text(safe_text(line.rstrip()), style="dim"), indent=2, hang=2) for line in lines]
    for line in str(said.get("fits") or "").splitlines():
        parts.append(Paragraph(Text("→ ").append(safe_text(line, MOST_NOTE)), hang=2))
    for space in SPACES:
        parts += _held_then(failure["held"].get(space, ()), space)
    return parts


def _asked(said: Document) -> str:
    """`2.00 GiB were asked for; the limit is 139 GiB, the device's memory`."""
    size, limit, name = said.get("requested_bytes"), said.get("limit_bytes"), said.get("limit_name")
    words = [f"{human_bytes(size)} was asked for"] if isinstance(size, int | float) else []
    if isinstance(limit, int | float):
        of = f", {safe_text(str(name), 80)}" if name else ""
        words.append(f"the limit is {human_bytes(limit)}{of}")
    elif name:
        words.append(f"the limit is {safe_text(str(name), 80)}")
    return "; ".join(words)


def _held_then(held: Sequence[Document], space: str) -> list[RenderableType]:
    sizes: dict[str, float] = defaultdict(float)
    owners: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(lambda: [0.0, 0]))
    for one in held:
        sizes[one["category"]] += one["bytes"]
        entry = owners[one["category"]][layers_together(one["owner"])]
        entry[0] += one["bytes"]
        entry[1] += 1
    if not sizes:
        return []
    named = {
        category: [
            {"owner": owner, "bytes": size, "count": round(count)}
            for owner, (size, count) in sorted(found.items(), key=lambda item: -abs(item[1][0]))
        ]
        for category, found in owners.items()
    }
    whole = sum(sizes.values())
    heading = Text(f"The {space} held {human_bytes(whole)} then", style="bold")
    return [Text(), Paragraph(heading), Holders(list(sizes.items()), named, whole, residual=False)]
