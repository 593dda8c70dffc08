"""The page of `memory_check.py`: what was found, beside what it must be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llmflame.units import human_bytes, percent

Result = Mapping[str, Any]
MOST_RESIDUAL = 0.05
MOST_ERROR = 0.05


def page(title: str, header: Mapping[str, Any], results: Sequence[Result]) -> str:
    """Markdown: what it ran on, one row a case, the plans, and the planted faults."""
    fine = [one for one in results if "failed" not in one]
    lines = [f"# {title}", "", *(f"- {name}: {value}" for name, value in header.items()), ""]
    lines += _cases(fine)
    lines += _plans(fine)
    lines += _planted(fine)
    lines += [f"- **{one['case']} failed**: {one['failed']}" for one in results if "failed" in one]
    return "\n".join(lines) + "\n"


def _cases(results: Iterable[Result]) -> list[str]:
    lines = [
        f"The residual is the measured peak less the sum of its parts, of the worst phase; at most "
        f"{percent(MOST_RESIDUAL)} is wanted. KV cache and weights are beside a calculation by hand.",
        "",
        "| case | highest peak | residual | of the host | KV cache | by formula | weights | by hand "
        "| a step adds |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for one in results:
        space = "device" if any(phase["space"] == "device" for phase in one["phases"]) else "host"
        phases = [phase for phase in one["phases"] if phase["space"] == space]
        peak = max(phase["peak_bytes"] for phase in phases)
        worst = max(phase["residual_share"] for phase in phases)
        host = max(phase["residual_share"] for phase in one["phases"] if phase["space"] == "host")
        grown = [row["held"]["bytes_per_step"] for row in one["growth"] if row["space"] == space]
        cells = (
            _name(one), human_bytes(peak), percent(worst), percent(host), f"{one['kv_cache_bytes']:,}",
            f"{one['kv_cache_by_formula']:,}", f"{one['weight_bytes']:,}", f"{one['weight_bytes_by_hand']:,}",
            human_bytes(grown[0]) if grown else "-",
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _plans(results: Iterable[Result]) -> list[str]:
    rows = [
        f"| {_name(one)} | {row['phase']} | {human_bytes(row['planned_bytes'])} "
        f"| {human_bytes(row['measured_bytes'])} | {100 * row['error']:+.1f} % |"
        for one in results
        for row in one.get("plan", ())
    ]
    if not rows:
        return []
    return ["", f"`llmflame plan` of the same request; at most {percent(MOST_ERROR)} is wanted.", "",
            "| case | phase | planned | measured | error |", "|---|---|---:|---:|---:|", *rows]  # fmt: skip


def _planted(results: Iterable[Result]) -> list[str]:
    rows = []
    for one in results:
        found = one.get("planted")
        if found is None:
            continue
        slope = found["slope_bytes_per_step"]
        cells = (
            one["case"], f"{found['wanted_bytes']:,}", f"{found['found_bytes']:,.0f}",
            f"{slope:,.0f}" if slope is not None else "-", "yes" if found["in_the_module"] else "no",
            "yes" if found["in_the_function"] else "no",
        )  # fmt: skip
        rows.append(f"| {' | '.join(cells)} |")
    if not rows:
        return []
    return ["", "Planted faults: the heaviest stack of their kind.", "",
            "| fault | planted bytes | found bytes | fitted bytes a step | its module | its function |",
            "|---|---:|---:|---:|---|---|", *rows]  # fmt: skip


def _name(one: Result) -> str:
    return f"{one['case']}" if one["dtype"] in one["case"] else f"{one['case']}, {one['dtype']}"
