"""The variants of the lab in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from llmflame.views.grid import Grid, GridColumn, Paragraph
from llmflame.views.safe import safe_text

QUIET = "dim"


def variants_view(document: Mapping[str, Any]) -> RenderableType:
    """The document of `llmflame lab --list --json` as a screen."""
    grid = Grid(
        [
            GridColumn("Variant", align="left"),
            GridColumn("Output", align="left", drop=1),
            GridColumn("Works on", align="left", drop=2),
            GridColumn("What it changes, or why it can't be done here", align="left", flexible=True),
        ]
    )
    for one in document["variants"]:
        refusal = one["refusal"]
        style = "" if refusal is None else QUIET
        words = Text(safe_text(one["changes"], 300))
        if refusal is not None:
            words = Text("not here: ", style="dark_orange3").append(safe_text(refusal, 300), style=QUIET)
        grid.add(
            Text(safe_text(one["name"], 60), style=style or "bold"),
            Text(one["class"], style=style),
            Text(", ".join(one["phases"]), style=style),
            words,
        )
    about = f"With {document['engine']} on {document['device']} in {document['dtype']}."
    return Group(grid, Text(), Paragraph(Text(about, style=QUIET)))
