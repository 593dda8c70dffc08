"""From raw measurements to the figures that the targets speak of."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.workload import NEW_TOKENS

RESAMPLES = 2000
MEGABYTE = 1e6
NEAR_MS = 50
"""Phases longer than this must be named."""

Raw = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number beside its target."""

    name: str
    value: float | None
    unit: str
    at_most: float | None = None
    at_least: float | None = None
    interval: tuple[float, float] | None = None
    """95 % confidence interval by bootstrap."""
    note: str = ""

    @property
    def verdict(self) -> str:
        """`pass`, `miss`, `-` without a target, `not measured` without a value."""
        if self.value is None:
            return "not measured"
        if self.at_most is None and self.at_least is None:
            return "-"
        too_much = self.at_most is not None and self.value > self.at_most
        too_little = self.at_least is not None and self.value < self.at_least
        return "miss" if too_much or too_little else "pass"


def middle(values: Sequence[float]) -> float | None:
    """The median; None of nothing."""
    return median(values) if values else None


def interval(values: Sequence[float], seed: int = 0) -> tuple[float, float] | None:
    """95 % percentile-bootstrap interval of the median."""
    if len(values) < 3:
        return None
    draw = random.Random(seed)
    medians = sorted(median(draw.choices(values, k=len(values))) for _ in range(RESAMPLES))
    return medians[int(RESAMPLES * 0.025)], medians[int(RESAMPLES * 0.975)]


def good(raw: Raw, name: str) -> list[Raw]:
    """The measurements of a name that brought numbers."""
    return [result for result in raw.get(name, []) if "error" not in result]


def figures(raw: Raw) -> list[Figure]:
    """All figures that the measurements allow."""
    return [*_clean(raw), *_anatomy(raw), *_windows(raw), *_profile(raw)]


def _clean(raw: Raw) -> list[Figure]:
    pairs = [pair for result in good(raw, "pairs") for pair in result["pairs"]]
    ratios = [pair["clean"]["wall_ns"] / pair["bare_ns"] for pair in pairs]
    outer = [pair["clean"]["outer_ns"] / pair["bare_ns"] for pair in pairs]
    processes = _ratio(_walls(raw, "clean"), _walls(raw, "nothing"))
    bare = [pair["bare_ns"] for pair in pairs]
    return [
        Figure("nothing attached: wall a token", _scaled(middle(bare), 1e6 * NEW_TOKENS), "ms"),
        Figure(
            "clean pass / nothing, wall a token, in turn in one process",
            middle(ratios),
            "x",
            at_most=1.02,
            at_least=0.98,
            interval=interval(ratios),
            note=f"{len(pairs)} pairs",
        ),
        Figure("the same, attaching and writing rows included", middle(outer), "x", interval=interval(outer)),
        Figure("clean pass / nothing, wall a token, process beside process", processes, "x"),
    ]


def _anatomy(raw: Raw) -> list[Figure]:
    runs = good(raw, "record")
    ratios = [run["traced_wall_ns"] / median(run["clean_walls_ns"]) for run in runs]
    added = [run["peak_rss_bytes"]["anatomy"] - run["peak_rss_bytes"]["clean"] for run in runs]
    untraced = [run["untraced_ratio"] for run in runs]
    return [
        Figure(
            "anatomy pass: generation wall / clean pass, process beside process",
            middle(ratios),
            "x",
            at_most=1.15,
            interval=interval(ratios),
            note=f"{len(runs)} recordings",
        ),
        Figure("untraced steps / clean steps, process beside process", middle(untraced), "x"),
        Figure(
            "anatomy pass: added peak RSS, whole pass", _scaled(middle(added), MEGABYTE), "MB", at_most=300
        ),
        Figure(
            "end of generation until the summary is read",
            _scaled(middle([run["until_readable_ns"] for run in runs]), 1e9),
            "s",
            at_most=3,
        ),
    ]


def _windows(raw: Raw) -> list[Figure]:
    pairs = [pair for result in good(raw, "windows") for pair in result["pairs"]]
    walls = [pair["traced"]["wall_ns"] / pair["clean"]["wall_ns"] for pair in pairs]
    added = [pair["traced"]["peak_rss_bytes"] - pair["clean"]["peak_rss_bytes"] for pair in pairs]
    note = f"{len(pairs)} pairs"
    untraced = [ratio for pair in pairs for ratio in _step_ratios(pair, _untraced)]
    after = [ratio for pair in pairs for ratio in _step_ratios(pair, _after_window)]
    traced = [ratio for pair in pairs for ratio in _step_ratios(pair, lambda t, i: t[i] == "traced")]
    anchored = [ratio for pair in pairs for ratio in _step_ratios(pair, lambda t, i: t[i] == "anchored")]
    pauses = [_pause_ns(pair["traced"]) for pair in pairs]
    return [
        Figure(
            "traced request / clean request, in turn in one process",
            middle(walls),
            "x",
            at_most=1.15,
            interval=interval(walls),
            note=note,
        ),
        Figure(
            "untraced steps / the same clean steps, in turn in one process",
            middle(untraced),
            "x",
            at_most=1.03,
            at_least=0.97,
            interval=interval(untraced),
            note=note,
        ),
        Figure("the two steps after a window / the same clean steps", middle(after), "x"),
        Figure("traced steps / the same clean steps", middle(traced), "x"),
        Figure("steps under module hooks / the same clean steps", middle(anchored), "x"),
        Figure("opening and closing windows between steps, a request", _scaled(middle(pauses), 1e6), "ms"),
        Figure("traced request and its reading: added peak RSS", _scaled(middle(added), MEGABYTE), "MB", 300),
    ]


def _profile(raw: Raw) -> list[Figure]:
    runs, long = good(raw, "record"), good(raw, "record 512")
    size = middle([run["file_bytes"] for run in runs])
    growth = None if size is None or not long else (middle([run["file_bytes"] for run in long]) or 0) / size
    worst = [
        min(share for wall, share in run["coverage"].values() if wall > NEAR_MS * 1e6) for run in runs + long
    ]
    errors = [run["tree_error"] for run in runs + long]
    return [
        Figure("profile file", _scaled(size, MEGABYTE), "MB", at_most=5),
        Figure("profile file, 512 tokens / 64 tokens", growth, "x", at_most=1.5),
        Figure("named wall time, worst phase over 50 ms", min(worst, default=None), "share", at_least=0.98),
        Figure("the tree's total beside the measured wall", max(errors, default=None), "share", 0.001),
    ]


def _step_ratios(pair: Raw, wanted: Callable[[list[str], int], bool]) -> list[float]:
    traced, clean = pair["traced"], pair["clean"]
    both = min(len(traced["steps_ns"]), len(clean["steps_ns"]))
    return [
        traced["steps_ns"][i] / clean["steps_ns"][i] for i in range(both) if wanted(traced["treatments"], i)
    ]


def _untraced(treatments: list[str], index: int) -> bool:
    return treatments[index] == "clean"


def _after_window(treatments: list[str], index: int) -> bool:
    return treatments[index] == "clean" and "traced" in treatments[max(index - 2, 0) : index]


def _pause_ns(traced: Raw) -> float:
    return float(sum(pause for pause in traced["pauses_ns"] if pause > 0))


def _walls(raw: Raw, name: str) -> list[float]:
    """One median a process."""
    return [median(result["walls_ns"]) for result in good(raw, name) if result.get("walls_ns")]


def _ratio(above: Sequence[float], below: Sequence[float]) -> float | None:
    return median(above) / median(below) if above and below else None


def _scaled(value: float | None, by: float) -> float | None:
    return None if value is None else value / by


def peer_rows(raw: Raw, names: Sequence[str]) -> list[dict[str, Any]]:
    """One row a tool, medians over its processes; llmflame's own anatomy first."""
    base = middle(_walls(raw, "nothing"))
    rows = [_own_row(raw, base)]
    for name in names:
        results = good(raw, name)
        if not results:
            errors = [result["error"] for result in raw.get(name, [])]
            rows.append({"name": name, "error": errors[0] if errors else "not run"})
            continue
        wall = middle(_walls(raw, name))
        rows.append(
            {
                "name": name,
                "ratio": wall / base if wall is not None and base else None,
                "block_s": _scaled(_of(results, "block_ns"), 1e9),
                "save_s": _scaled(_of(results, "save_ns"), 1e9),
                "output_mb": _scaled(_of(results, "output_bytes"), MEGABYTE),
                "peak_mb": _scaled(_of(results, "request_peak_rss_bytes"), MEGABYTE),
                "table_s": _scaled(_of(results, "key_averages_ns"), 1e9),
                "table_error": next((r["late_error"] for r in results if "late_error" in r), None),
                "processes": len(results),
            }
        )
    return rows


def _own_row(raw: Raw, base: float | None) -> dict[str, Any]:
    runs = good(raw, "record")
    pairs = [pair for result in good(raw, "windows") for pair in result["pairs"]]
    wall = middle([run["traced_wall_ns"] for run in runs])
    return {
        "name": "llmflame, anatomy pass",
        "ratio": wall / base if wall is not None and base else None,
        "block_s": _scaled(wall, 1e9),
        "save_s": _scaled(middle([run["until_readable_ns"] for run in runs]), 1e9),
        "output_mb": _scaled(middle([run["file_bytes"] for run in runs]), MEGABYTE),
        "peak_mb": _scaled(middle([pair["traced"]["peak_rss_bytes"] for pair in pairs]), MEGABYTE),
        "processes": len(runs),
    }


def _of(results: Sequence[Raw], name: str) -> float | None:
    return middle([result[name] for result in results if result.get(name) is not None])
