"""The figures of what looking at memory costs, and their page."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from benchmarks.figures import Figure, interval
from benchmarks.memory_peers import NOTHING, OWN, PEERS

MOST_OF_ANATOMY = 1.05
"""Of the whole anatomy request, reading included."""
MOST_OF_DECODE = 1.01
MEGABYTE = 1e6
Raw = dict[str, Any]


def figures(raw: Raw) -> list[Figure]:
    """All figures that the measurements allow."""
    found: list[Figure] = []
    if "anatomy" in raw:
        found += _anatomy(raw["anatomy"])
    if "timeline" in raw:
        found += _timeline(raw["timeline"])
    if "counted" in raw:
        found += _counted(raw["counted"])
    files = [r["file_bytes"] for r in raw.get("peers", {}).get(OWN, []) if "file_bytes" in r]
    if files:
        found += _file("a whole recording", files[0])
    return found


def _anatomy(raw: Raw) -> list[Figure]:
    requests = raw["requests"]
    found = []
    for way, other, name in (
        ("with", "without", "with the memory view / without"),
        ("with", "no bytes", "with the memory view / with no bytes at all, not even allocated ones"),
    ):
        for key, what in (
            ("outer_ns", "anatomy request and its reading"),
            ("thread_cpu_ns", "the same, CPU time of its thread"),
        ):
            ratios = _ratios(requests, key, way, other)
            bar = MOST_OF_ANATOMY if (key, other) == ("outer_ns", "without") else None
            of = _middle(requests[way], key) / _middle(requests[other], key)
            found.append(
                Figure(f"{what}: {name}", of, "x", bar, None, interval(ratios), f"{len(ratios)} pairs")
            )
    for way in ("with", "without"):
        found.append(Figure(f"anatomy request, {way}", _middle(requests[way], "request_ns") / 1e9, "s"))
        found.append(Figure(f"its reading, {way}", _middle(requests[way], "reading_ns") / 1e9, "s"))
    whole = sum(raw["parts_ns"].values())
    share = whole / _middle(requests["with"], "outer_ns")
    found.append(
        Figure("the memory view's parts, each timed / anatomy request and reading", share, "share", 0.05)
    )
    for name, ns in sorted(raw["parts_ns"].items(), key=lambda part: -part[1]):
        found.append(Figure(f"of that: {name}", ns / 1e6, "ms"))
    return found + _file("one anatomy request alone", raw["file_bytes"])


def _timeline(raw: Raw) -> list[Figure]:
    bare, read = raw["bare_ns"], raw["read_ns"]
    ratios = [a / b for a, b in zip(read, bare, strict=True)]
    return [
        Figure(
            "decode loop while its gauges are read every 10 ms / while not, medians",
            median(read) / median(bare),
            "x",
            MOST_OF_DECODE,
            None,
            interval(ratios),
            f"{len(bare)} pairs",
        ),
        Figure(
            "the same, CPU time of the loop's thread",
            median(raw["read_cpu_ns"]) / median(raw["bare_cpu_ns"]),
            "x",
            interval=interval([a / b for a, b in zip(raw["read_cpu_ns"], raw["bare_cpu_ns"], strict=True)]),
        ),
        Figure("the reader's CPU time / the loop's wall", raw["reader_cpu_ns"] / sum(read), "share"),
        Figure("a reading", raw["reader_cpu_ns"] / max(raw["readings"], 1) / 1e3, "µs"),
    ]


def _counted(raw: Raw) -> list[Figure]:
    ratios = [a / b for a, b in zip(raw["counted_ns"], raw["clean_ns"], strict=True)]
    counted, clean = median(raw["counted_ns"]), median(raw["clean_ns"])
    return [
        Figure("clean request", clean / 1e9, "s"),
        Figure("counted request, which nobody times but a person waits for", counted / 1e9, "s"),
        Figure(
            "counted / clean request",
            counted / clean,
            "x",
            interval=interval(ratios),
            note=f"{len(ratios)} pairs",
        ),
        Figure(
            "a census",
            median(raw["censuses_ns"]) / 1e6,
            "ms",
            note=f"{raw['census_counts'][0]} in a counted request",
        ),
    ]


def _file(name: str, sizes: dict[str, int]) -> list[Figure]:
    return [
        Figure(f"profile of {name}", sizes["with"] / MEGABYTE, "MB"),
        Figure("the same less what is there for memory", sizes["without"] / MEGABYTE, "MB"),
    ]


def _ratios(requests: Raw, key: str, way: str, other: str) -> list[float]:
    return [a[key] / b[key] for a, b in zip(requests[way], requests[other], strict=True)]


def _middle(results: Sequence[Raw], key: str) -> float:
    return float(median(result[key] for result in results))


def peer_rows(raw: dict[str, list[Raw]]) -> list[Raw]:
    """One row a tool, medians over its processes."""
    bare = [result["wall_s"] for result in raw.get(NOTHING, []) if "error" not in result]
    bare_cpu = [result["cpu_s"] for result in raw.get(NOTHING, []) if "error" not in result]
    rows: list[Raw] = []
    for peer in PEERS:
        results = raw.get(peer.name, [])
        if not results:
            continue
        good = [result for result in results if "error" not in result]
        row: Raw = {"name": peer.name, **peer.sees._asdict(), "processes": len(good)}
        if not good:
            row["error"] = results[0]["error"]
            row["peak_mb"] = results[0].get("peak_rss_bytes", 0) / MEGABYTE or None
        else:
            row["wall_s"] = _middle(good, "wall_s")
            row["ratio"] = row["wall_s"] / median(bare) if bare else None
            row["cpu_ratio"] = _middle(good, "cpu_s") / median(bare_cpu) if bare_cpu else None
            row["peak_mb"] = _middle(good, "peak_rss_bytes") / MEGABYTE
            row["output_mb"] = _middle(good, "output_bytes") / MEGABYTE
            row["report_s"] = _middle(good, "report_s") if "report_s" in good[0] else None
        rows.append(row)
    return rows


def page(header: Raw, found: Sequence[Figure], rows: Sequence[Raw]) -> str:
    """Markdown: what it ran on, figures beside their bars, and the other tools."""
    lines = ["# What looking at memory costs", ""]
    lines += [f"- {name}: {value}" for name, value in header.items()]
    lines += [
        "",
        "| figure | value | 95 % interval of the pairs | target | verdict |",
        "|---|---:|---|---|---|",
    ]
    lines += [_figure(figure) for figure in found]
    lines += ["", "## The same work under other tools", ""]
    lines += [
        "Import, load and one request, each in a fresh process. Wall is the whole process until its file is",
        "written; peak is of the largest process. llmflame starts a process for each of its two passes;",
        "in them it runs the request six times (two warm-ups, undisturbed, counted, with shapes, traced) and",
        "five tokens of it three times (by module), and imports and loads twice.",
        "torch.profiler begins with the load, since torch must be there first. `page s` is a command of the",
        "tool's own that makes a page of its file. Where other processes used CPUs meanwhile (above), walls",
        "of two rounds differ by that: the CPU time is the column to compare.",
        "",
        "| tool | wall s | of bare | CPU time of bare | peak RSS MB | writes MB | page s "
        "| tensors with their module | KV cache | mapped weights | time on the same tree | processes |",
        "|---|---:|---:|---:|---:|---:|---:|---|---|---|---|---:|",
    ]
    lines += [_peer(row) for row in rows]
    return "\n".join(lines) + "\n"


def _figure(figure: Figure) -> str:
    assert figure.value is not None
    value = f"{figure.value:.4f}" if figure.unit in ("x", "share") else f"{figure.value:.3f}"
    spread = "" if figure.interval is None else f"{figure.interval[0]:.3f} to {figure.interval[1]:.3f}"
    name = f"{figure.name} ({figure.note})" if figure.note else figure.name
    target = "" if figure.at_most is None else f"≤ {figure.at_most:g}"
    return f"| {name} | {value} {figure.unit} | {spread} | {target} | {figure.verdict} |"


def _peer(row: Raw) -> str:
    if "error" in row:
        numbers = [row["error"], "", "", _cell(row["peak_mb"], 0), "", ""]
    else:
        numbers = [
            _cell(row["wall_s"], 1),
            _cell(row["ratio"], 2, " x"),
            _cell(row["cpu_ratio"], 2, " x"),
            _cell(row["peak_mb"], 0),
            _cell(row["output_mb"], 1),
            _cell(row["report_s"], 1),
        ]
    sees = [row["module"], row["cache"], row["mapped"], row["time"]]
    return f"| {' | '.join([row['name'], *numbers, *sees, str(row['processes'])])} |"


def _cell(value: float | None, digits: int, unit: str = "") -> str:
    return "" if value is None else f"{value:.{digits}f}{unit}"
