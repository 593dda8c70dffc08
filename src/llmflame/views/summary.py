"""One screen about one run: what a person waited for, where it went, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from llmflame.analysis.coverage import phases_of
from llmflame.analysis.phases import COLD_START, GENERATION
from llmflame.analysis.top_table import Place, top_places
from llmflame.analysis.tree import Tree
from llmflame.store import metrics
from llmflame.units import human_time_ns, percent
from llmflame.views.cells import bar, cell, frame_name
from llmflame.views.findings import short_findings
from llmflame.views.grid import Grid, GridColumn, Paragraph
from llmflame.views.growth import memory_lines
from llmflame.views.opening import opening_view
from llmflame.views.roofline import roofline_lines
from llmflame.views.safe import safe_text
from llmflame.views.stall_groups import stall_lines
from llmflame.views.verdict import verdict

COLD_LIMIT = 5
BAR_CELLS = 6
TOP_BAR_CELLS = 10
Document = Mapping[str, Any]


def summary_view(document: Document, tree: Tree, limit: int = 10) -> RenderableType:
    """The summary document and the run's tree (without plumbing) as a screen."""
    has_phases = bool(document["phases"])
    return Group(opening_view(document, has_phases=has_phases), rest_view(document, tree, limit))


def rest_view(document: Document, tree: Tree, limit: int = 10) -> RenderableType:
    """What stands below the opening."""
    if not document["phases"]:
        return Group()
    parts: list[RenderableType] = [Text()]
    if document["sentence"]:
        parts += [Paragraph(Text(safe_text(document["sentence"]), style="bold")), Text()]
    parts.append(_phases(document["phases"]))
    if document["memory"] is not None:
        parts += [Text(), *memory_lines(document["memory"])]
    limits = roofline_lines(document)
    stalls = stall_lines(document["stalls"])
    if limits or stalls:
        parts += [Text(), *limits, *stalls]
    top = top_places(tree, GENERATION, limit)
    if top:
        whole = _wall_ns(document, GENERATION)
        parts += [Text(), _heading(f"Self time in {' + '.join(GENERATION)}", whole), _top(top, whole)]
    cold = top_places(tree, COLD_START, COLD_LIMIT, by_phase=True)
    if cold:
        whole = _wall_ns(document, COLD_START)
        label = f"Self time in the cold start, {' + '.join(COLD_START)}"
        parts += [Text(), _heading(label, whole, _samples(tree)), _top(cold, whole)]
    if document["findings"]:
        heading = Paragraph(Text("What to change", style="bold"))
        parts += [Text(), heading, *short_findings(document["findings"])]
    return Group(*parts, Text(), *verdict(document))


def _wall_ns(document: Document, phases: tuple[str, ...]) -> float:
    return float(sum(phase["wall_s"] * 1e9 for phase in document["phases"] if phase["name"] in phases))


def _samples(tree: Tree) -> float:
    """How many samples tell of the cold start: few of them are a rough guess."""
    own = tree.selfs.get(metrics.SAMPLES.name, [])
    return sum(value for value, phase in zip(own, phases_of(tree), strict=False) if phase in COLD_START)


def _heading(text: str, whole_ns: float, samples: float = 0) -> Paragraph:
    by = f", {samples:,.0f} samples" if samples else ""
    return Paragraph(
        Text().append(text, style="bold").append(f"  {human_time_ns(whole_ns)}{by}", style="dim")
    )


def _phases(phases: list[Document]) -> RenderableType:
    device = any(phase["device_peak_bytes"] for phase in phases)
    grid = Grid(
        [
            GridColumn("Phase", align="left"),
            GridColumn("", align="left", drop=3),
            GridColumn("Time"),
            GridColumn("Share"),
            GridColumn("On CPU"),
            GridColumn("Run queue", drop=1),
            GridColumn("Disk", drop=2),
            GridColumn("Other", drop=2),
            GridColumn("Peak RSS"),
            *([GridColumn("Device peak")] if device else []),
            GridColumn("Read", drop=4),
            GridColumn("Faults", drop=5),
            GridColumn("Named", drop=6),
        ],
        dense=True,
    )
    longest = max(phase["share"] for phase in phases) or 1.0
    for phase in phases:
        waiting = phase["waiting"]
        times = (waiting[f"{name}_s"] for name in ("on_cpu", "run_queue", "disk", "other"))
        grid.add(
            Text(safe_text(phase["name"], 30)),
            bar(phase["share"] / longest, BAR_CELLS),
            Text(human_time_ns(phase["wall_s"] * 1e9), style="bold"),
            cell(phase["share"], "share"),
            *(cell(None if seconds is None else seconds * 1e9, "ns") for seconds in times),
            cell(phase["host_peak_bytes"], "bytes"),
            *([cell(phase["device_peak_bytes"], "bytes")] if device else []),
            cell(phase["read_bytes"], "bytes"),
            _faults(phase),
            cell(phase["coverage"], "share"),
        )
    return grid


def _faults(phase: Document) -> Text:
    """Page faults of both kinds: what they cost differs, how many there are is a first hint."""
    minor, major = phase["minor_faults"], phase["major_faults"]
    if minor is None and major is None:
        return cell(None, "count")
    both = (minor or 0) + (major or 0)
    return Text(f"{both / 1e3:,.0f} k") if both >= 10_000 else cell(both, "count")


def _top(places: list[Place], whole_ns: float) -> RenderableType:
    grid = Grid(
        [
            GridColumn("", align="left", drop=2),
            GridColumn("Self"),
            GridColumn("Share"),
            GridColumn("Calls", drop=3),
            GridColumn("", align="left", flexible=True, keep="ends", least=40),
        ],
        header=False,
    )
    longest = places[0].self_ns or 1.0
    for place in places:
        share = place.self_ns / whole_ns if whole_ns else 0.0
        calls = Text(f"{place.calls:,.0f} ×", style="dim") if round(place.calls) else Text()
        length = bar(place.self_ns / longest, TOP_BAR_CELLS)
        grid.add(length, human_time_ns(place.self_ns), percent(share), calls, _where(place))
    return grid


def _where(place: Place) -> Text:
    """`name  module.path (30 modules)` or `name  file:line`."""
    text = Text()
    if place.phase:
        text.append(f"{safe_text(place.phase, 30)} ", style="dim")
    text.append(frame_name(place.name, place.kind, 120))
    if place.module is not None:
        text.append(f"  {safe_text(place.module) or 'the root module'}", style="cyan")
        if len(place.modules) > 1:
            text.append(f" × {len(place.modules)}", style="dim")
    if place.file:
        line = f":{place.line}" if place.line is not None else ""
        text.append(f"  {safe_text(place.file)}{line}", style="dim")
    return text
