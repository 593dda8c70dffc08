"""A run in one line of text: for a console, and above the page in a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmflame.units import human_time_ns
from llmflame.views.heading import title
from llmflame.views.safe import safe_text

REASON_LIMIT = 200
Document = Mapping[str, Any]


def one_line(document: Document) -> str:
    """`NAME  architecture · ...: 34.9 ms a token, 63.1 ms to the first, 2.26 s in all`, from the summary."""
    said = document.get("sentence") or _latency(document["latency"]) or "nothing was timed"
    return f"{title(document['subject']).plain.strip()}: {said}{_status(document)}"


def _latency(latency: Document) -> str:
    known = (
        (latency["tpot_ms"]["median"], "a token"),
        (latency["ttft_ms"], "to the first"),
        (latency["e2e_ms"], "in all"),
    )
    return ", ".join(f"{human_time_ns(value * 1e6)} {word}" for value, word in known if value is not None)


def _status(document: Document) -> str:
    if document["status"] == "complete":
        return ""
    reason = f": {safe_text(document['reason'], REASON_LIMIT)}" if document["reason"] else ""
    return f" ({safe_text(document['status'], 40)}{reason})"
