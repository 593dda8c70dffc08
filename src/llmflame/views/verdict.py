"""How much the numbers can be trusted: coverage, the profiler's own cost, what scaling had to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from llmflame.units import percent
from llmflame.views.grid import Paragraph
from llmflame.views.safe import safe_text

LARGE_FACTOR = 1.3
MOST_OF_A_CHECK = 400
"""Characters: a check's words may hold the names of kernels."""


def verdict(document: Mapping[str, Any]) -> list[RenderableType]:
    """One or two calm lines, and a warning where a traced window ran far slower than the clean steps."""
    coverage, cost = document["coverage"], document["cost"]
    lines = [_line("Charged to named frames", _coverage(coverage)), _line("Own cost", _costs(cost))]
    warning = _warning(cost)
    failed = [_failed(check) for check in document["checks"] if check["passed"] is False]
    return [Paragraph(line) for line in (*lines, *failed, warning) if line is not None]


def _failed(check: Mapping[str, Any]) -> Text:
    words = safe_text(f"{check['name']}: {check['words']}", MOST_OF_A_CHECK)
    return Text(f"Check failed, {words}.", style="yellow")


def _line(label: str, words: list[str]) -> Text | None:
    return Text().append(f"{label}: ", style="dim").append(", ".join(words)) if words else None


def _coverage(coverage: Mapping[str, float | None]) -> list[str]:
    wall, size = coverage.get("wall"), coverage.get("bytes")
    words = []
    if wall is not None:
        words.append(f"{percent(wall)} of wall time")
    if size is not None:
        words.append(f"{percent(size)} of bytes allocated")
    return words


def _costs(cost: Mapping[str, float | None]) -> list[str]:
    words = []
    if cost.get("clean") is not None:
        words.append(f"clean pass {percent(cost['clean'])}")  # type: ignore[arg-type]
    if cost.get("sampler") is not None:
        words.append(f"sampler {percent(cost['sampler'])} of import, load and warm-up")  # type: ignore[arg-type]
    anatomy = cost.get("anatomy")
    if anatomy is not None:
        sign = "+" if anatomy > 0 else ""
        words.append(f"anatomy pass {sign}{percent(anatomy)}")
    if cost.get("scale_factor") is not None:
        words.append(f"scale factor {cost['scale_factor']:.2f}")
    dropped = cost.get("dropped")
    words.append(f"{dropped:,.0f} events dropped" if dropped else "nothing dropped")
    return words


def _warning(cost: Mapping[str, float | None]) -> Text | None:
    factor, slowdown = cost.get("scale_factor") or 0.0, cost.get("slowdown_in_windows") or 0.0
    if max(factor, slowdown) <= LARGE_FACTOR:
        return None
    words = [f"traced decode steps ran {slowdown:.2f} times as long as clean ones"] if slowdown else []
    if factor > LARGE_FACTOR:
        words.append(f"{factor:.2f} times after calibration, more than {LARGE_FACTOR}")
    return Text(
        f"Note: {'; '.join(words)}. Times of phases, steps and modules are measured undisturbed; "
        "how a module's time divides among its frames is an estimate.",
        style="yellow",
    )
