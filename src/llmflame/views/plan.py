"""A plan in a terminal: what was asked, what each phase holds, whether it fits, and where that ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from llmflame.store import categories
from llmflame.units import human_bytes
from llmflame.views.cells import UNKNOWN, bar, large
from llmflame.views.grid import Grid, GridColumn, Paragraph
from llmflame.views.safe import safe_text

BAR_CELLS = 24
ESTIMATED = "~"
Document = Mapping[str, Any]


def plan_view(document: Document) -> RenderableType:
    """One screen from what `--json` prints."""
    parts: list[RenderableType] = [
        *_heading(document),
        Text(),
        Paragraph(_verdict(document)),
        Text(),
        _table(document),
        Text(),
        Paragraph(_limits(document)),
        Paragraph(_cache(document)),
    ]
    notes = _notes(document)
    if notes:
        parts += [Text(), *(Paragraph(Text(note, style="dim")) for note in notes)]
    return Group(*parts)


def _heading(document: Document) -> list[RenderableType]:
    model, request, device = document["model"], document["request"], document["device"]
    title = Text(safe_text(model["name"], 80), style="bold")
    about = f"  {safe_text(model['architecture'], 60)}, {large(model['parameters'])} parameters"
    title.append(f"{about}, {request['dtype']}, {request['attention']} attention", style="not bold")
    batch = request["batch"]
    sequences = "1 sequence" if batch == 1 else f"{batch:,} sequences"
    mark = ESTIMATED if device["estimated"] else ""
    asked = (
        f"{sequences} of {request['context']:,} tokens, {request['new_tokens']:,} new; "
        f"on {safe_text(device['name'], 60)} with {mark}{human_bytes(device['total_bytes'])}"
    )
    return [Paragraph(title), Paragraph(Text(asked))]


def _verdict(document: Document) -> Text:
    needs, limit = human_bytes(document["peak_bytes"]), human_bytes(document["device"]["total_bytes"])
    if document["fits"]:
        return Text(f"fits: {needs} of {limit}", style="bold green").append(
            f", most in {document['peak_phase']}", style="not bold default"
        )
    return Text(f"does not fit: needs {needs}, there is {limit}", style="bold red").append(
        f"; most in {document['peak_phase']}", style="not bold default"
    )


def _table(document: Document) -> Grid:
    phases = document["phases"]
    peak = next(phase for phase in phases if phase["phase"] == document["peak_phase"])
    held = {name: _amounts(phase) for phase in phases for name in [phase["phase"]]}
    grid = Grid(
        [
            GridColumn("Held as", align="left"),
            *(GridColumn(name) for name in held),
            GridColumn(f"at the peak, {document['peak_phase']}", align="left", drop=1),
        ]
    )
    for category in categories.ORDER:
        cells = [amounts.get(category) for amounts in held.values()]
        if not any(cells):
            continue
        at_peak = (held[peak["phase"]].get(category) or (0, False))[0]
        grid.add(category, *map(_cell, cells), bar(at_peak / max(document["peak_bytes"], 1), BAR_CELLS))
    limit = document["device"]["total_bytes"]
    totals = [Text(human_bytes(phase["total_bytes"]), style=_fitting(phase, limit)) for phase in phases]
    grid.add(Text("total", style="bold"), *totals, "")
    return grid


def _fitting(phase: Document, limit: int) -> str:
    return "bold" if phase["total_bytes"] <= limit else "bold red"


def _amounts(phase: Document) -> dict[str, tuple[int, bool]]:
    return {item["category"]: (item["bytes"], item["estimated"]) for item in phase["categories"]}


def _cell(amount: tuple[int, bool] | None) -> Text:
    if amount is None or not amount[0]:
        return Text(UNKNOWN if amount is None else "0", style="dim")
    return Text(f"{ESTIMATED if amount[1] else ''}{human_bytes(amount[0])}")


def _limits(document: Document) -> Text:
    request, model = document["request"], document["model"]
    batch, context = document["most_batch"], document["most_context"]
    text = Text()
    if batch["value"]:
        text.append(f"batch up to {_most(batch)}", style="bold")
    else:
        text.append("no batch fits", style="bold")
    text.append(f" at context {request['context']:,}; ")
    if context["value"]:
        text.append(f"context up to {_most(context)}", style="bold")
    else:
        text.append("no context fits", style="bold")
    text.append(f" at batch {request['batch']:,}")
    if context["capped"] and model["most_tokens"]:
        text.append(f" (the model allows {model['most_tokens']:,} tokens, new ones included)")
    return text


def _most(most: Document) -> str:
    return f"{most['value']:,}" + ("" if most["exact"] else " or more")


def _cache(document: Document) -> Text:
    cache, batch = document["kv_cache"], document["request"]["batch"]
    sequences = "a sequence" if batch == 1 else "each sequence"
    return Text(
        f"key/value cache: {human_bytes(cache['bytes_per_token'])} a token of {sequences}, "
        f"{human_bytes(cache['bytes'])} at the end"
    )


def _notes(document: Document) -> list[str]:
    notes = [safe_text(note, 400) for note in document["notes"]]
    marked = {
        item["category"]: item["formula"]
        for phase in document["phases"]
        for item in phase["categories"]
        if item["estimated"]
    }
    notes += [f"{ESTIMATED} {name}: {safe_text(formula)}" for name, formula in marked.items()]
    device = document["device"]
    if device["estimated"]:
        notes.append(f"{ESTIMATED} {safe_text(device['name'], 60)}: {safe_text(device['source'])}")
    return notes
