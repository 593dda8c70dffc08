"""The first lines of the summary: what ran on what, and the few numbers that people compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

from llmflame.units import human_time_ns, three_digits
from llmflame.views.cells import UNKNOWN
from llmflame.views.grid import Grid, GridColumn, Paragraph
from llmflame.views.heading import machine_line, status_lines, title

Document = Mapping[str, Any]
HEADLINE_LEAST = 4
"""Numbers of a request; the cold start's come after them."""


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
    tight = Grid(columns, dense=True)
    tight.add(*(Text(value, style="bold") for _, value, _ in numbers))
    if not spread:
        return tight
    roomy = Grid(columns, list(tight.rows))
    roomy.add(*(Text(below, style="dim") for _, _, below in numbers))
    return _Headline(roomy, Group(tight, Paragraph(Text(f"TPOT {spread}", style="dim"))))


@dataclass(frozen=True, slots=True)
class _Headline:
    """Numbers with what belongs below them, or, where that would cost one of the first four, behind them."""

    roomy: Grid
    tight: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        fits = len(self.roomy.layout(options.max_width).places) >= HEADLINE_LEAST
        yield self.roomy if fits else self.tight


def _rate(rate: float) -> str:
    return three_digits(rate) if rate < 1_000 else f"{rate:,.0f}"


def _ms(value: float | None) -> str:
    return UNKNOWN if value is None else human_time_ns(value * 1e6)


def _seconds(value: float | None) -> str:
    return UNKNOWN if value is None else human_time_ns(value * 1e9)
