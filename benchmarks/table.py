"""The figures as a page for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.figures import Figure


def page(header: dict[str, Any], found: Sequence[Figure], peers: Sequence[dict[str, Any]]) -> str:
    """Markdown: what it ran on, figures beside their targets, and the peers."""
    lines = ["# What llmflame costs", ""]
    lines += [f"- {name}: {value}" for name, value in header.items()]
    lines += ["", "| figure | value | 95 % interval | target | verdict |", "|---|---:|---|---|---|"]
    lines += [_figure(figure) for figure in found]
    lines += ["", "## The same request under other tools", ""]
    lines += [
        "Wall is `pipeline(...)` against nothing attached, peak the resident set from the request until",
        "the output is there, ready the time from the end of the traced block to something that a person",
        "can look at. py-spy watches the whole process, the others only the request; llmflame's ready",
        "includes the end of the process, writing the file and reading the summary back.",
        "",
        "| tool | wall | block s | ready s | output MB | peak RSS MB | `key_averages()` s | processes |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [_peer(row) for row in peers]
    return "\n".join(lines) + "\n"


def _figure(figure: Figure) -> str:
    value = "" if figure.value is None else f"{_number(figure)} {figure.unit}"
    spread = "" if figure.interval is None else f"{figure.interval[0]:.3f} to {figure.interval[1]:.3f}"
    name = f"{figure.name} ({figure.note})" if figure.note else figure.name
    return f"| {name} | {value} | {spread} | {_target(figure)} | {figure.verdict} |"


def _number(figure: Figure) -> str:
    assert figure.value is not None
    return f"{figure.value:.6f}" if figure.unit == "share" else f"{figure.value:.3f}"


def _target(figure: Figure) -> str:
    parts = []
    if figure.at_least is not None:
        parts.append(f"≥ {figure.at_least:g}")
    if figure.at_most is not None:
        parts.append(f"≤ {figure.at_most:g}")
    return " and ".join(parts)


def _peer(row: dict[str, Any]) -> str:
    if "error" in row:
        return f"| {row['name']} | {row['error']} | | | | | | 0 |"
    table = row.get("table_error") or _cell(row.get("table_s"), 1)
    cells = [
        _cell(row.get("ratio"), 2, " x"),
        _cell(row.get("block_s"), 2),
        _cell(row.get("save_s"), 2),
        _cell(row.get("output_mb"), 1),
        _cell(row.get("peak_mb"), 0),
        table,
        str(row["processes"]),
    ]
    return f"| {row['name']} | {' | '.join(cells)} |"


def _cell(value: float | None, digits: int, unit: str = "") -> str:
    return "" if value is None else f"{value:.{digits}f}{unit}"
