"""The first lines of the summary: what ran on what, and the few numbers that people compare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from llmflame.units import human_time_ns, three_digits
from llmflame.views.cells import UNKNOWN
from llmflame.views.grid import Grid, GridColumn, Paragraph
from llmflame.views.heading import machine_line, status_lines, title

Document = Mapping[str, Any]


def opening_view(document: Document, *, has_phases: bool) -> RenderableType:
    """Of the summary document, or of as much of it as `analysis.opening` has."""
    return Group(
        Paragraph(title(document["subject"])),
        Paragraph(Text(machine_line(document["machine"]), style="dim")),
        *status_lines(document["status"], document["reason"]),
        Text(),
        _headline(document["latency"]) if has_phases else Text(" Nothing was recorded."),
    )


def _headline(latency: Document) -> RenderableType:
    """The few numbers that people compare."""
    tpot = latency["tpot_ms"]
    spread = ""
    if tpot["median"] is not None:
        spread = f"p10 {_ms(tpot['p10'])} – p90 {_ms(tpot['p90'])}, n {tpot['n']:,}"
    rate = latency["tokens_per_s"]
    numbers = (
        ("TTFT", _ms(latency["ttft_ms"]), ""),
        ("TPOT median", _ms(tpot["median"]), spread),
        ("Throughput", UNKNOWN if rate is None else f"{_rate(rate)} tok/s", ""),
        ("E2E", _ms(latency["e2e_ms"]), ""),
        ("Load", _seconds(latency["load_s"]), ""),
        ("Import", _seconds(latency["import_s"]), ""),
    )
    columns = [
        GridColumn(name, align="left", drop=number // 4) for number, (name, _, _) in enumerate(numbers)
    ]
    grid = Grid(columns)
    grid.add(*(Text(value, style="bold") for _, value, _ in numbers))
    if spread:
        grid.add(*(Text(below, style="dim") for _, _, below in numbers))
    return grid


def _rate(rate: float) -> str:
    return three_digits(rate) if rate < 1_000 else f"{rate:,.0f}"


def _ms(value: float | None) -> str:
    return UNKNOWN if value is None else human_time_ns(value * 1e6)


def _seconds(value: float | None) -> str:
    return UNKNOWN if value is None else human_time_ns(value * 1e9)
