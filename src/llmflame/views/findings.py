"""What should be changed: each finding with its bound, its evidence and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from llmflame.units import human_bytes, human_time_ns, percent
from llmflame.views.grid import Paragraph
from llmflame.views.safe import safe_text

NONE = "Nothing found that could gain 5 % of a request or of the cold start."
SHORT_LIMIT = 3
CHANGE_LIMIT = 500
"""Characters of the advice, which is several lines long."""
HANG = 3
"""Cells that a finding's number takes: everything else stands behind it."""


def findings_view(findings: Sequence[Mapping[str, Any]]) -> RenderableType:
    """All findings, with evidence, change, variant and frames."""
    if not findings:
        return Paragraph(Text(NONE))
    parts: list[RenderableType] = []
    for number, finding in enumerate(findings, start=1):
        if number > 1:
            parts.append(Text())
        parts.append(Paragraph(_headline(number, finding), hang=HANG))
        parts += [
            Paragraph(Text(f"· {safe_text(words)}"), indent=HANG, hang=2) for words in finding["evidence"]
        ]
        parts.append(_change(finding))
        if finding["frames"]:
            parts.append(Paragraph(Text("heaviest:", style="dim"), indent=HANG))
        for frame in finding["frames"]:
            parts.append(Paragraph(Text(f"  {safe_text(frame)}", style="dim"), indent=HANG, hang=4))
        if finding["variant"]:
            parts.append(
                Paragraph(Text(f"variant: {safe_text(finding['variant'])}", style="dim"), indent=HANG)
            )
    return Group(*parts)


def short_findings(findings: Sequence[Mapping[str, Any]]) -> list[RenderableType]:
    """The first few, two lines each, for the summary."""
    parts: list[RenderableType] = []
    for number, finding in enumerate(findings[:SHORT_LIMIT], start=1):
        parts.append(Paragraph(_headline(number, finding), hang=HANG))
        parts.append(_change(finding))
    if len(findings) > SHORT_LIMIT:
        more = len(findings) - SHORT_LIMIT
        parts.append(Paragraph(Text(f"{more} more: --view findings", style="dim")))
    return parts


def _change(finding: Mapping[str, Any]) -> Paragraph:
    words = safe_text(finding["change"], CHANGE_LIMIT)
    return Paragraph(Text("→ ").append(words), indent=HANG, hang=2)


def _headline(number: int, finding: Mapping[str, Any]) -> Text:
    whole = percent(finding["gain_share"])
    if finding["scope"] == "memory":
        bound = f"{human_bytes(finding['gain_bytes'])}, {whole} of the peak"
    else:
        scope = "a request" if finding["scope"] == "request" else "the cold start"
        bound = f"at most {human_time_ns(finding['gain_s'] * 1e9)}, {whole} of {scope}"
    return (
        Text(f"{number}. ")
        .append(safe_text(finding["title"]), style="bold")
        .append(f"  {bound}", style="dim")
    )
