"""Values as texts, by their unit. Everything from a profile goes through `safe_text`."""

from __future__ import annotations

from rich.text import Text

from llmflame.analysis.kernel_name import short_kernel_name
from llmflame.analysis.tables import Value
from llmflame.units import human_bytes, human_rate, human_time_ns, percent
from llmflame.views.safe import safe_text

UNKNOWN = "–"
FLAME = "dark_orange3"
_BLOCKS = " ▏▎▍▌▋▊▉█"


def frame_name(name: str, kind: object, limit: int = 200) -> str:
    """A frame's name as it is shown: of a kernel, what a person reads of it."""
    return safe_text(short_kernel_name(name) if kind == "kernel" else name, limit)


def cell(value: Value, unit: str) -> Text:
    """A value in human units; unknown is a dash, nothing is a quiet zero."""
    if unit == "text":
        return Text(safe_text(value)) if isinstance(value, str) else Text()
    if value is None or isinstance(value, str):
        return Text(UNKNOWN, style="dim")
    if value == 0 and unit != "index":
        return Text("0", style="dim")
    return Text(amount(float(value), unit))


def amount(value: float, unit: str) -> str:
    """A number in its unit."""
    if unit == "ns":
        return human_time_ns(value)
    if unit == "bytes":
        return human_bytes(value)
    if unit == "share":
        return percent(value)
    if unit == "flop":
        return human_rate(value, "FLOP")
    return f"{value:,.0f}"


def bar(share: float, width: int) -> Text:
    """A share of 1 as a bar of eighths of a cell; what is more than nothing shows at least a sliver."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    if share > 0:
        eighths = max(eighths, 1)
    full, part = divmod(eighths, 8)
    return Text("█" * full + (_BLOCKS[part] if part else ""), style=FLAME)


def large(number: float) -> str:
    """A count of things too many to count: `134.5 M`, `1.24 B`, `7,168`."""
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if number >= size:
            value = number / size
            return f"{value:.2f} {unit}" if value < 10 else f"{value:.1f} {unit}"
    return f"{number:,.0f}"
